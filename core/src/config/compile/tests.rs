//! What configurations mean, and what is said about wrong ones.

use serde_json::json;

use super::*;
use crate::config::{Access, Route, RouteModel, SecretRole};

pub(super) fn compiled(json: serde_json::Value) -> Result<Gateway, Vec<String>> {
    let config: Config = serde_json::from_value(json).unwrap();
    compile(&config).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

pub(super) fn problems(json: serde_json::Value) -> String {
    compiled(json).unwrap_err().join("\n")
}

#[test]
fn fills_in_presets_and_defaults() {
    let gateway = compiled(json!({
        "providers": {"openai": {"apiKey": "${OPENAI_API_KEY}"}, "gemini": {"apiKey": "k"}},
        "models": ["gemini:gemini-2.5-flash", {"provider": "openai", "model": "gpt-5-mini", "limits": {"maxTokens": 7}}],
    }))
    .unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&gateway).unwrap());
}

#[test]
fn reports_every_problem_with_its_path() {
    let problems = problems(json!({
        "providers": {"local": {}, "bad name": {"dialect": "openai", "baseUrl": "localhost"}},
        "models": ["nocolon", "missing:m", {"provider": "local", "model": ""}],
        "promptPath": "api", "limits": {"requestTimeout": 0, "maxRequestBytes": 1},
    }));
    insta::assert_snapshot!(problems);
}

#[test]
fn the_filter_never_sees_a_key() {
    let gateway = compiled(json!({
        "providers": {"openai": {"apiKey": "sk-very-secret", "headers": {"x-org": "org-secret"}}},
        "models": ["openai:m"],
    }))
    .unwrap();
    let json = serde_json::to_string(&gateway).unwrap();
    assert!(!json.contains("secret"), "{json}");
    assert_eq!(serde_json::from_str::<Gateway>(&json).unwrap().models, gateway.models);
}

#[test]
fn endpoints_have_clusters_and_states_of_their_own() {
    let gateway = compiled(json!({
        "providers": {
            "openai": {"headers": {"X-Org": "one", "x-all": "1"}, "endpoints": [
                {"apiKey": "a", "headers": {"x-org": "two"}},
                {"name": "eu", "baseUrl": "https://eu.example/v1", "weight": 3, "caFile": "/eu.pem"},
            ]},
            "gemini": {"endpoints": [{"name": "only"}]},
        },
        "models": ["openai:m", "gemini:n"],
    }))
    .unwrap();
    // Headers and CA files are not for the filter, so JSON does not show them.
    insta::assert_debug_snapshot!(gateway.providers);
    let targets: Vec<_> = gateway.models.iter().map(|model| model.targets.as_slice()).collect();
    assert_eq!(targets, [&["openai:m@1", "openai:m@eu"][..], &["gemini:n"]]);
}

#[test]
fn reports_every_problem_of_endpoints() {
    let many = vec![json!({}); 65];
    let problems = problems(json!({
        "providers": {
            "openai": {"baseUrl": "https://x", "apiKey": "k", "caFile": "/ca", "endpoints": []},
            "deepseek": {"endpoints": [
                {"name": "a/b", "weight": 0}, {"name": "3"}, {"baseUrl": "x"}, {"headers": {"host": "h"}, "weight": 1001},
            ]},
            "gemini": {"endpoints": many},
            "own": {"dialect": "openai", "endpoints": [{"apiKey": "k"}]},
        },
        "models": ["openai:a", "deepseek:b", "gemini:c", "own:d"],
        "routes": [{"name": "r", "models": ["openai:a"]}],
    }));
    insta::assert_snapshot!(problems);
}

#[test]
fn a_model_has_its_own_limits_and_rests_or_those_of_all() {
    let gateway = compiled(json!({
        "providers": {"openai": {}},
        "models": ["openai:a", {"provider": "openai", "model": "b", "limits": {
            "rate": {"max": 0, "timeWindow": "100ms"}, "tokens": {"max": 5_000_000_000_u64, "timeWindow": "31d"},
        }, "restore": {"credential": "2m"}}],
        "limits": {
            "tokens": {"max": 1000, "timeWindow": "1m"}, "maxAttempts": 100, "totalTimeout": "1d", "onUnavailable": "deny",
            "retry": {"interval": "1m"},
        },
        "breaker": {"failures": 1000, "window": "10s", "maxRestore": "1h"},
        "restore": {"credential": "1h", "timeout": 0},
        "clientLimits": {"header": "X-Consumer", "tokens": {"max": 0, "timeWindow": "1h"}},
    }))
    .unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&gateway).unwrap());
}

#[test]
fn reports_every_limit_out_of_bounds() {
    let limits = |window: &str| json!({"rate": {"max": 1, "timeWindow": window}, "tokens": {"max": u64::MAX, "timeWindow": window}});
    let mut general = limits("99ms");
    general.as_object_mut().unwrap().extend([
        ("maxAttempts".to_owned(), json!(0)),
        ("totalTimeout".to_owned(), json!("2d")),
        ("retry".to_owned(), json!({"interval": "6m", "maxInterval": "1m"})),
    ]);
    let mut client = limits("31d");
    client["header"] = json!("no header");
    let problems = problems(json!({
        "providers": {"openai": {}},
        "models": [{"provider": "openai", "model": "a", "limits": limits("32d"), "restore": {"retry": "32d"}}],
        "limits": general,
        "breaker": {"failures": 1001, "window": 0, "maxRestore": "32d"},
        "restore": {"credential": "32d"},
        "clientLimits": client,
    }));
    insta::assert_snapshot!(problems);
    let nothing = compiled(json!({
        "providers": {"openai": {}}, "models": ["openai:a"], "clientLimits": {"header": "x"},
    }));
    assert_eq!(nothing.unwrap_err(), ["clientLimits: limits nothing; set rate, tokens, or both"]);
}

#[test]
fn a_retry_waits_no_longer_than_its_bound_but_for_as_long_as_it_is_told() {
    for (retry, longest_ms) in [
        (json!({}), 30_000),
        (json!({"interval": "1m"}), 60_000),
        (json!({"interval": "1s", "maxInterval": "1s"}), 1_000),
    ] {
        let config = json!({"providers": {"openai": {}}, "models": ["openai:a"], "limits": {"retry": retry}});
        assert_eq!(compiled(config).unwrap().retry.max_interval_ms, longest_ms, "{retry}");
    }
}

/// The routes that `routes` become, with models `openai:a` and `openai:b`.
fn routed(routes: serde_json::Value) -> Result<Vec<Route>, Vec<String>> {
    let models = ["openai:a", "openai:b"];
    let config = json!({"providers": {"openai": {}}, "models": models, "routes": routes});
    compiled(config).map(|gateway| gateway.routes)
}

#[test]
fn the_default_route_comes_first_whatever_is_written() {
    let routes = routed(json!([
        {"name": "cheap", "models": [{"model": "openai:b", "weight": 1000}, "openai:a"], "strategy": "weighted"},
        {"name": "default", "strategy": "leastBusy", "gracefulDegradation": true},
        {"name": "last", "models": [{"model": "openai:a"}]},
    ]))
    .unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&routes).unwrap());
    let narrowed = routed(json!([{"name": "default", "models": ["openai:b"]}])).unwrap();
    assert_eq!(narrowed.len(), 1);
    assert_eq!(narrowed[0].models, [RouteModel { model: 1, weight: 1 }]);
}

#[test]
fn reports_every_problem_of_routes() {
    let problems = routed(json!([
        {"name": "a"},
        {"name": "b", "models": []},
        {"name": "a", "models": ["openai:a", "openai:a", "openai:zzz", {"model": "openai:b", "weight": 0}]},
        {"name": "de fault", "models": ["openai:a"]},
    ]));
    insta::assert_snapshot!(problems.unwrap_err().join("\n"));
    let many: Vec<_> = (0..1_001).map(|n| json!({"name": n.to_string(), "models": ["openai:a"]})).collect();
    assert_eq!(routed(many[..1_000].into()).unwrap().len(), 1_001);
    assert_eq!(routed(many.into()).unwrap_err(), ["routes: has more than 1000 entries"]);
}

/// Where the endpoint of `provider` is, and what it asks for.
fn placed(provider: serde_json::Value) -> (String, Access) {
    let gateway = compiled(json!({"providers": {"p": provider}, "models": ["p:m"]})).unwrap();
    let endpoint = gateway.providers[0].endpoints[0].clone();
    (endpoint.base_url.to_string(), endpoint.access)
}

#[test]
fn a_route_has_headers_options_and_limits_of_its_own() {
    let routes = routed(json!([{
        "name": "gold",
        "models": ["openai:a"],
        "match": {"headers": {"X-Tier": "gold"}},
        "strict": true,
        "defaults": {"temperature": 0.2, "context": "be brief"},
        "overrides": {"reasoningEffort": "high", "topP": 0.5, "maxTokens": 9},
        "limits": {"maxTokens": 99, "maxAttempts": 2, "totalTimeout": "5s",
                   "rate": {"max": 1, "timeWindow": "1s"}, "tokens": {"max": 7, "timeWindow": "1m"}},
    }]))
    .unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&routes[1]).unwrap());
    let problems = routed(json!([{
        "name": "wrong",
        "models": ["openai:a"],
        "match": {"headers": {"a b": "x", "X-AI-Warp-Route": "x"}},
        "defaults": {"temperature": 3, "maxTokens": 0},
        "overrides": {"topP": 1.5},
        "limits": {"maxTokens": 0, "maxAttempts": 0, "totalTimeout": "2d", "rate": {"max": 1, "timeWindow": "1ms"}},
    }]));
    insta::assert_snapshot!(problems.unwrap_err().join("\n"));
}

#[test]
fn the_address_of_bedrock_is_its_region_and_its_access_what_was_written() {
    let bedrock = |aws: serde_json::Value| placed(json!({"dialect": "bedrock", "aws": aws}));
    let region = || "eu-west-3".to_owned();
    let url = "https://bedrock-runtime.eu-west-3.amazonaws.com".to_owned();
    let keys = json!({"region": "eu-west-3", "accessKeyId": "a", "secretAccessKey": "s"});
    assert_eq!(bedrock(keys), (url.clone(), Access::AwsKeys { region: region() }));
    assert_eq!(
        bedrock(json!({"region": "eu-west-3"})),
        (url.clone(), Access::AwsAmbient { region: region() })
    );
    let keyed = json!({"dialect": "bedrock", "apiKey": "k", "aws": {"region": "eu-west-3"}});
    assert_eq!(placed(keyed), (url, Access::Key));
    let private =
        json!({"dialect": "bedrock", "baseUrl": "https://vpce.example", "aws": {"region": "eu-west-3"}});
    assert_eq!(placed(private), ("https://vpce.example".to_owned(), Access::AwsAmbient { region: region() }));
    let proxy = json!({"dialect": "bedrock", "baseUrl": "https://proxy.example"});
    assert_eq!(placed(proxy), ("https://proxy.example".to_owned(), Access::Key));
}

#[test]
fn the_address_of_vertex_names_project_and_location() {
    let vertex = |more: serde_json::Value| {
        let mut provider = json!({"dialect": "vertex"});
        provider.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        placed(provider)
    };
    assert_eq!(
        vertex(json!({"gcp": {"project": "p-1"}})),
        (
            "https://aiplatform.googleapis.com/v1/projects/p-1/locations/global".to_owned(),
            Access::GoogleMetadata
        )
    );
    assert_eq!(
        vertex(json!({"gcp": {"project": "p-1", "location": "europe-west4", "serviceAccount": "{}"}})),
        (
            "https://europe-west4-aiplatform.googleapis.com/v1/projects/p-1/locations/europe-west4"
                .to_owned(),
            Access::GoogleServiceAccount
        )
    );
    assert_eq!(
        vertex(
            json!({"baseUrl": "http://127.0.0.1:1/vertex/v1/", "apiKey": "t", "gcp": {"project": "example.com:p"}})
        ),
        ("http://127.0.0.1:1/vertex/v1/projects/example.com:p/locations/global".to_owned(), Access::Key)
    );
}

#[test]
fn the_filter_sees_the_version_of_azures_api_and_no_access() {
    let gateway = compiled(json!({
        "providers": {
            "azure": {"endpoints": [
                {"baseUrl": "https://a.openai.azure.com", "apiVersion": "2024-10-21"},
                {"baseUrl": "https://b.openai.azure.com"},
            ]},
            "bedrock": {"aws": {"region": "us-east-1", "accessKeyId": "ID", "secretAccessKey": "SECRET"}},
        },
        "models": ["azure:d", "bedrock:m"],
    }))
    .unwrap();
    let json = serde_json::to_string(&gateway).unwrap();
    let seen: Gateway = serde_json::from_str(&json).unwrap();
    let versions: Vec<_> = seen.providers[0].endpoints.iter().map(|one| one.api_version.as_deref()).collect();
    assert_eq!(versions, [Some("2024-10-21"), None]);
    assert!(!json.contains("SECRET") && !json.contains("Access") && !json.contains("\"access\":{"), "{json}");
}

#[test]
fn reports_every_problem_of_addresses_and_credentials() {
    let problems = problems(json!({
        "providers": {
            "azure": {"apiVersion": "latest version"},
            "bedrock": {},
            "openai": {"apiVersion": "v1", "aws": {}, "gcp": {}},
            "b1": {"dialect": "bedrock", "aws": {}},
            "b2": {"dialect": "bedrock", "apiKey": "k", "aws": {"region": "us/east", "accessKeyId": "a"}},
            "b3": {"dialect": "bedrock", "aws": {"region": "us-east-1", "secretAccessKey": "s"}},
            "b4": {"dialect": "bedrock", "aws": {"region": "us-east-1", "sessionToken": "t"}},
            "b5": {"dialect": "bedrock", "apiKey": "k", "aws": {"region": "us-east-1"}, "endpoints": [{}]},
            "vertex": {},
            "v1": {"dialect": "vertex", "gcp": {"location": "eu/west"}},
            "v2": {"dialect": "vertex", "apiKey": "t", "gcp": {"project": "p?", "serviceAccount": "{}"}},
        },
        "models": ["openai:a"],
    }));
    insta::assert_snapshot!(problems);
}

#[test]
fn every_secret_has_a_path_and_the_name_of_its_endpoint() {
    let config: Config = serde_json::from_value(json!({
        "providers": {
            "openai": {"endpoints": [{"apiKey": "a"}, {"name": "none"}, {"name": "eu", "apiKey": "b"}]},
            "gemini": {"apiKey": "c"},
            "bedrock": {"endpoints": [
                {"name": "alone", "aws": {"accessKeyId": "d", "secretAccessKey": "e", "sessionToken": "f"}},
            ]},
            "vertex": {"gcp": {"serviceAccount": "g"}},
        },
        "models": [],
    }))
    .unwrap();
    let secrets: Vec<_> = config.endpoint_secrets().collect();
    let secrets: Vec<_> =
        secrets.iter().map(|one| (one.endpoint.as_str(), one.path.as_str(), one.role)).collect();
    assert_eq!(
        secrets,
        [
            ("bedrock", "providers.bedrock.endpoints[0].aws.accessKeyId", SecretRole::AwsAccessKeyId),
            ("bedrock", "providers.bedrock.endpoints[0].aws.secretAccessKey", SecretRole::AwsSecretAccessKey),
            ("bedrock", "providers.bedrock.endpoints[0].aws.sessionToken", SecretRole::AwsSessionToken),
            ("gemini", "providers.gemini.apiKey", SecretRole::ApiKey),
            ("openai/1", "providers.openai.endpoints[0].apiKey", SecretRole::ApiKey),
            ("openai/eu", "providers.openai.endpoints[2].apiKey", SecretRole::ApiKey),
            ("vertex", "providers.vertex.gcp.serviceAccount", SecretRole::GcpServiceAccount),
        ]
    );
}

#[test]
fn prices_and_traces_are_compiled_and_only_the_filters_part_reaches_it() {
    let gateway = compiled(json!({
        "providers": {"openai": {}},
        "models": [{"provider": "openai", "model": "m", "price": {"input": 2.5, "output": "10", "cachedInput": 0.0375}}],
        "tracing": {"otlp": {"endpoint": "https://c.example", "protocol": "http", "headers": {"X-Team": "t"}}},
    }))
    .unwrap();
    let price = gateway.models[0].price.unwrap();
    assert_eq!(
        (price.input, price.output, price.cached_input, price.cache_write),
        (2_500_000, 10_000_000, 37_500, 2_500_000)
    );
    let tracing = gateway.tracing.clone().unwrap();
    assert_eq!(tracing.endpoint.to_string(), "https://c.example/v1/traces");
    assert_eq!((tracing.sampling.to_string().as_str(), tracing.service_name.as_str()), ("100", "ai-warp"));
    assert!(tracing.headers.contains_key("x-team"));
    let json = serde_json::to_string(&gateway).unwrap();
    assert!(!json.contains("c.example"), "{json}");
    let seen: Gateway = serde_json::from_str(&json).unwrap();
    assert!(seen.is_traced && seen.models[0].price == Some(price));
}

#[test]
fn reports_every_problem_of_prices_and_traces() {
    let problems = problems(json!({
        "providers": {"openai": {}},
        "models": [{"provider": "openai", "model": "m", "price": {"input": 100_001, "output": 1}}],
        "tracing": {
            "otlp": {"endpoint": "http://c:4317/v1/traces", "headers": {"host": "x%"}},
            "sampling": 100.5,
            "serviceName": "",
        },
    }));
    let paths: Vec<_> = problems.lines().filter_map(|problem| problem.split(": ").next()).collect();
    assert_eq!(
        paths,
        [
            "models[0].price.input",
            "tracing.sampling",
            "tracing.serviceName",
            "tracing.otlp.headers.host",
            "tracing.otlp.headers.host",
            "tracing.otlp.endpoint",
        ]
    );
}
