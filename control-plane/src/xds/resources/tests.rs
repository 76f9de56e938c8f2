//! What Envoy is told. That Envoy takes it is for the end-to-end tests.

use ai_warp_core::config::{Config, EndpointSecret, Secret, SecretRole, compile};
use ai_warp_core::plugin::{RETRY_HEADER, WAITING_PATH};
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::route::v3::{RouteConfiguration, route};
use prost::Message as _;

use super::*;
use crate::config::{AwsKeys, SecretString, Secrets};
use crate::tokens::{TokenSource, TokenState, Tokens};

/// What an Envoy is told that has nothing of before, behind a listener as it is by default.
pub(super) fn built(
    gateway: &Gateway,
    destinations: &[Destination],
    token_keys: Option<&TokenKeys>,
    node: &NodeTraits,
) -> Resources {
    let (server, filter) = (ServerConfig::default(), filter());
    let inputs = Inputs {
        gateway,
        server: &server,
        stream_address: "127.0.0.1",
        tls: None,
        destinations,
        inherited: &[],
        filter: &filter,
        token_keys,
    };
    build(inputs, node)
}

/// The resources for `providers` (JSON) and `models`.
pub(in crate::xds) fn resources(providers: &str, models: &[&str]) -> Resources {
    let json =
        format!(r#"{{"providers": {providers}, "models": {}}}"#, serde_json::to_string(models).unwrap());
    let config: Config = serde_json::from_str(&json).unwrap();
    let gateway = compile(&config).unwrap();
    let destinations = Destination::all(&gateway, &literal_secrets(&config), &Tokens::default());
    let node = NodeTraits { filter_path: Some("/filter.wasm".into()), ..NodeTraits::default() };
    built(&gateway, &destinations, None, &node)
}

/// The keys that stand in `config` as they are.
fn literal_secrets(config: &Config) -> Secrets {
    let mut secrets = Secrets::default();
    for EndpointSecret { endpoint, role, secret, .. } in config.endpoint_secrets() {
        let Secret::Literal(value) = secret else { continue };
        match role {
            SecretRole::ApiKey => _ = secrets.endpoint_keys.insert(endpoint, SecretString::new(value)),
            SecretRole::AwsSecretAccessKey => secrets.aws_keys.extend(aws_keys(&endpoint, &value).aws_keys),
            _ => {}
        }
    }
    secrets
}

fn aws_keys(endpoint: &str, secret: &str) -> Secrets {
    let keys = AwsKeys {
        access_key_id: SecretString::new("AKID"),
        secret_access_key: SecretString::new(secret),
        session_token: None,
    };
    Secrets { aws_keys: [(endpoint.to_owned(), keys)].into(), ..Secrets::default() }
}

pub(super) fn filter() -> FilterCode {
    FilterCode { path: "/filter.wasm".into(), sha256: "ab".repeat(32), bytes: Vec::new().into() }
}

/// The same with one provider that has a key, and one that has none.
pub(in crate::xds) fn with_keys(models: &[&str]) -> Resources {
    let openai = r#""openai": {"baseUrl": "http://127.0.0.1:1", "apiKey": "very-secret"}"#;
    let local = r#""local": {"dialect": "openai", "baseUrl": "http://127.0.0.1:2"}"#;
    if models.iter().any(|model| model.starts_with("local:")) {
        resources(&format!("{{{openai}, {local}}}"), models)
    } else {
        resources(&format!("{{{openai}}}"), models)
    }
}

fn versions(resources: &Resources) -> Vec<(Kind, Vec<(&str, &str)>)> {
    let of = |kind| resources.of(kind).iter().map(|r| (r.name.as_str(), r.version.as_str())).collect();
    Kind::ALL.into_iter().map(|kind| (kind, of(kind))).collect()
}

pub(super) fn holds(resource: &Resource, text: &str) -> bool {
    resource.body.value.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn a_provider_has_a_cluster_for_each_road_and_models_share_it() {
    let resources = with_keys(&["openai:a", "openai:b"]);
    let clusters: Vec<_> = resources.of(Kind::Cluster).iter().map(|cluster| cluster.name.as_str()).collect();
    assert_eq!(
        clusters,
        [
            "ai-warp/none",
            "ai-warp/streams",
            "ai-warp/waiting",
            "provider/openai",
            "provider/openai/hop",
            "provider/openai/stream"
        ]
    );
}

#[test]
fn the_same_configuration_has_the_same_versions() {
    let models = ["openai:a", "local:b"];
    assert_eq!(versions(&with_keys(&models)), versions(&with_keys(&models)));
}

#[test]
fn a_key_stands_in_its_secret_and_nowhere_else() {
    let resources = with_keys(&["openai:a"]);
    for kind in Kind::ALL {
        for resource in resources.of(kind) {
            assert_eq!(holds(resource, "very-secret"), kind == Kind::Secret, "{}", resource.name);
        }
    }
    assert!(holds(&resources.of(Kind::Secret)[0], "Bearer very-secret"));
}

#[test]
fn what_reaches_a_name_has_an_endpoint_of_last_resort() {
    let resources = resources(
        r#"{"named": {"dialect": "gemini", "baseUrl": "https://g.example"}, "numbered": {"dialect": "openai", "baseUrl": "http://127.0.0.1:2"}}"#,
        &["named:a", "numbered:a"],
    );
    for cluster in resources.of(Kind::Cluster) {
        let by_name = ["provider/named", "provider/named/hop"].contains(&cluster.name.as_str());
        assert_eq!(cluster.needs_dns, by_name, "{}", cluster.name);
        let decoded = Cluster::decode(cluster.body.value.as_slice()).unwrap();
        let assignment = decoded.load_assignment.unwrap_or_default();
        let has_last = assignment.endpoints.iter().any(|locality| locality.priority == 1);
        assert_eq!(has_last, by_name, "{}", cluster.name);
        let outliers = decoded.outlier_detection;
        assert_eq!(outliers.is_some(), by_name, "{}", cluster.name);
        // One address and the endpoint of last resort are two hosts: half of them would be the address.
        let share = outliers.and_then(|outliers| outliers.max_ejection_percent);
        assert!(share.is_none_or(|share| share.value < 50), "{}", cluster.name);
    }
}

#[test]
fn endpoints_have_clusters_and_keys_of_their_own() {
    let resources = resources(
        r#"{"openai": {"endpoints": [
            {"baseUrl": "http://127.0.0.1:1", "apiKey": "key-of-one"},
            {"name": "eu", "baseUrl": "http://127.0.0.1:2", "apiKey": "key-of-eu", "headers": {"x-region": "eu"}},
            {"baseUrl": "http://127.0.0.1:3"}
        ]}}"#,
        &["openai:a"],
    );
    let names = |kind| resources.of(kind).iter().map(|resource| resource.name.as_str()).collect::<Vec<_>>();
    let clusters: Vec<_> = ["1", "3", "eu"]
        .iter()
        .flat_map(|name| ["", "/hop", "/stream"].map(|road| format!("provider/openai/{name}{road}")))
        .collect();
    assert_eq!(names(Kind::Cluster)[3..], clusters);
    assert_eq!(names(Kind::Secret), ["provider/openai/1/key", "provider/openai/eu/key"]);
    assert!(holds(&resources.of(Kind::Secret)[1], "Bearer key-of-eu"));
    for cluster in resources.of(Kind::Cluster) {
        let is_eu = ["provider/openai/eu", "provider/openai/eu/hop"].contains(&cluster.name.as_str());
        assert_eq!(holds(cluster, "x-region"), is_eu, "{}", cluster.name);
        assert_eq!(holds(cluster, "provider/openai/eu/key"), is_eu, "{}", cluster.name);
    }
}

/// The resources for one provider of this name (JSON), with these secrets and tokens.
fn provided(name: &str, provider: &str, secrets: &Secrets, tokens: &Tokens) -> Resources {
    let json = format!(r#"{{"providers": {{"{name}": {provider}}}, "models": ["{name}:m"]}}"#);
    let gateway = compile(&serde_json::from_str::<Config>(&json).unwrap()).unwrap();
    let filter = filter();
    let gateway = naming::by_content(&gateway, &filter);
    let destinations = Destination::all(&gateway, secrets, tokens);
    built(&gateway, &destinations, None, &NodeTraits::default())
}

/// The cluster straight to the provider.
fn straight(resources: &Resources) -> &Resource {
    let mut clusters = resources.of(Kind::Cluster).iter();
    clusters
        .find(|cluster| cluster.name.starts_with("provider/") && cluster.name.matches('/').count() == 1)
        .unwrap()
}

const SIGNING: &str = "envoy.filters.http.aws_request_signing";

#[test]
fn bedrock_is_signed_for_behind_the_attempt_with_keys_that_are_no_part_of_the_cluster() {
    let keyed = r#"{"aws": {"region": "eu-west-3", "accessKeyId": "${ID}", "secretAccessKey": "${KEY}"}}"#;
    let none = Tokens::default();
    let first = provided("bedrock", keyed, &aws_keys("bedrock", "first-secret"), &none);
    let cluster = straight(&first);
    let name = format!("{}/signing", cluster.name);
    let place =
        |text: &str| cluster.body.value.windows(text.len()).position(|window| window == text.as_bytes());
    assert!(
        place("ai-warp.attempt") < place(&name) && place(&name) < place("envoy.filters.http.upstream_codec")
    );
    assert!(!holds(cluster, "credential_injector") && first.of(Kind::Secret).is_empty());
    for kind in Kind::ALL {
        for resource in first.of(kind) {
            assert_eq!(holds(resource, "first-secret"), kind == Kind::Signer, "{}", resource.name);
        }
    }
    assert_eq!(first.of(Kind::Signer)[0].name, name);

    let second = provided("bedrock", keyed, &aws_keys("bedrock", "second-secret"), &none);
    assert_eq!(straight(&second).version, cluster.version);
    assert_ne!(second.of(Kind::Signer)[0].version, first.of(Kind::Signer)[0].version);

    // Keys that are not there are not replaced by others.
    let without = provided("bedrock", keyed, &Secrets::default(), &none);
    assert!(!holds(straight(&without), "signing"));
    let ambient = provided("bedrock", r#"{"aws": {"region": "eu-west-3"}}"#, &Secrets::default(), &none);
    assert!(holds(straight(&ambient), SIGNING) && holds(straight(&ambient), "eu-west-3"));
}

#[test]
fn a_token_is_a_key_that_is_waited_for_only_until_its_source_has_answered() {
    let vertex = r#"{"gcp": {"project": "p"}}"#;
    let with = |tokens: &Tokens| provided("vertex", vertex, &Secrets::default(), tokens);
    let said = |token: Option<&str>| {
        let failure = token.is_none().then(|| "answered 500".to_owned());
        let state = TokenState { token: token.map(SecretString::new), failure };
        with(&Tokens::with(&TokenSource::Metadata, state))
    };
    let awaited = with(&Tokens::default());
    assert!(awaited.of(Kind::Secret).is_empty());
    assert_eq!(straight(&awaited).needs.len(), 1, "Envoy asks for it");
    let (failed, first, second) = (said(None), said(Some("token-1")), said(Some("token-2")));
    assert!(!holds(&failed.of(Kind::Secret)[0], "Bearer"));
    assert!(holds(&first.of(Kind::Secret)[0], "Bearer token-1"));
    assert!(holds(&second.of(Kind::Secret)[0], "Bearer token-2"));
    let names = [&awaited, &failed, &first, &second].map(|resources| straight(resources).version.clone());
    assert!(names.iter().all(|version| *version == names[0]), "the cluster is the same: {names:?}");
}

#[test]
fn an_exchange_can_wait_and_comes_back() {
    let resources = with_keys(&["openai:a"]);
    let of = |kind, name: &str| resources.of(kind).iter().find(|resource| resource.name == name).unwrap();
    assert!(holds(of(Kind::Route, "gateway"), "ai-warp/waiting"), "the router can choose it");
    let waiting = of(Kind::Cluster, "ai-warp/waiting");
    assert!(holds(waiting, "ai-warp.attempt") && holds(waiting, "ai-warp-hop"));

    let routes = RouteConfiguration::decode(of(Kind::Route, "ai-warp-hop").body.value.as_slice()).unwrap();
    let back = &routes.virtual_hosts[0].routes[0];
    assert!(holds(of(Kind::Route, "ai-warp-hop"), WAITING_PATH));
    assert!(matches!(&back.action, Some(route::Action::DirectResponse(answer)) if answer.status == 503));
    assert_eq!(back.response_headers_to_add[0].header.as_ref().unwrap().key, RETRY_HEADER);
}

#[test]
fn the_router_comes_back_as_often_as_any_exchange_may_need() {
    let resources = with_keys(&["openai:a"]);
    let routes = RouteConfiguration::decode(resources.of(Kind::Route)[1].body.value.as_slice()).unwrap();
    let Some(route::Action::Route(action)) = &routes.virtual_hosts[0].routes[0].action else {
        panic!("no route")
    };
    let policy = action.retry_policy.as_ref().unwrap();
    // Ten attempts, and a wait of two minutes in tries of 30 s.
    assert_eq!(policy.num_retries.unwrap().value, 10 * 4 + 16 + 4);
    assert!(policy.rate_limited_retry_back_off.is_none());
}

#[test]
fn what_makes_a_cluster_makes_its_name() {
    let names = |json: &str, sha256: &str| {
        let gateway = compile(&serde_json::from_str::<Config>(json).unwrap()).unwrap();
        let filter = FilterCode { sha256: sha256.to_owned(), ..filter() };
        let named = naming::by_content(&gateway, &filter);
        let endpoint = &named.providers[0].endpoints[0];
        [endpoint.cluster.clone(), named.waiting_cluster.clone()]
    };
    let config = |endpoint: &str, more: &str| {
        format!(r#"{{"providers": {{"openai": {{{endpoint}}}}}, "models": ["openai:a"]{more}}}"#)
    };
    let plain = names(&config("", ""), "a");
    assert!(plain[0].starts_with("provider/openai@") && plain[1].starts_with("ai-warp/waiting@"));
    let larger = config("", r#", "limits": {"maxResponseBytes": 16000000}"#);
    for (changed, why) in [(names(&config("", ""), "b"), "the code"), (names(&larger, "a"), "the buffer")] {
        assert!(changed[0] != plain[0] && changed[1] != plain[1], "{why}: {changed:?}");
    }
    let elsewhere = names(&config(r#""baseUrl": "http://127.0.0.1:1""#, ""), "a");
    assert!(elsewhere[0] != plain[0] && elsewhere[1] == plain[1], "{elsewhere:?}");
    let weighed = names(&config(r#""endpoints": [{"apiKey": "k", "weight": 7}]"#, ""), "a");
    assert_eq!(weighed, plain, "neither weight nor key are part of a cluster");
}

#[test]
fn an_envoy_has_its_own_port_and_its_own_way_to_the_code() {
    let config: Config =
        serde_json::from_str(r#"{"providers": {"openai": {}}, "models": ["openai:a"]}"#).unwrap();
    let gateway = compile(&config).unwrap();
    let destinations = Destination::all(&gateway, &Secrets::default(), &Tokens::default());
    let for_node = |node| built(&gateway, &destinations, None, &node);
    let near = for_node(NodeTraits {
        port: Some(7),
        filter_path: Some("/mine.wasm".into()),
        ..NodeTraits::default()
    });
    let far = for_node(NodeTraits::default());
    assert!(holds(&near.of(Kind::Extension)[2], "/mine.wasm"));
    assert!(holds(&far.of(Kind::Extension)[2], &format!("/filter/{}.wasm", filter().sha256)));
    let listener = |of: &Resources| {
        of.of(Kind::Listener).iter().find(|listener| listener.name == LISTENER).unwrap().version.clone()
    };
    assert_ne!(listener(&near), listener(&far));
}
