//! What Envoy is told. That Envoy takes it is for the end-to-end tests.

use ai_warp_core::config::{Config, Secret, compile};
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use prost::Message as _;

use super::*;

/// The resources for `providers` (JSON) and `models`.
pub(in crate::xds) fn resources(providers: &str, models: &[&str]) -> Resources {
    let json =
        format!(r#"{{"providers": {providers}, "models": {}}}"#, serde_json::to_string(models).unwrap());
    let config: Config = serde_json::from_str(&json).unwrap();
    let gateway = compile(&config).unwrap();
    let keys = config.providers.iter().filter_map(|(name, provider)| match &provider.api_key {
        Some(Secret::Literal(key)) => Some((name.clone(), SecretString::new(key.clone()))),
        _ => None,
    });
    let filter =
        FilterCode { path: "/filter.wasm".into(), sha256: "ab".repeat(32), bytes: Vec::new().into() };
    let inputs = Inputs {
        gateway: &gateway,
        hostname: "127.0.0.1",
        port: 3042,
        keys: &keys.collect(),
        retired: &[],
        filter: &filter,
    };
    build(inputs, &NodeTraits { port: None, filter_path: Some("/filter.wasm".into()) })
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

fn holds(resource: &Resource, text: &str) -> bool {
    resource.body.value.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn a_provider_has_a_cluster_for_each_road_and_models_share_it() {
    let resources = with_keys(&["openai:a", "openai:b"]);
    let clusters: Vec<_> = resources.of(Kind::Cluster).iter().map(|cluster| cluster.name.as_str()).collect();
    assert_eq!(
        clusters,
        ["ai-warp/none", "provider/openai", "provider/openai/hop", "provider/openai/stream"]
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
        let endpoints = decoded.load_assignment.unwrap_or_default().endpoints;
        assert_eq!(endpoints.iter().any(|locality| locality.priority == 1), by_name, "{}", cluster.name);
    }
}

#[test]
fn an_envoy_has_its_own_port_and_its_own_way_to_the_code() {
    let config: Config =
        serde_json::from_str(r#"{"providers": {"openai": {}}, "models": ["openai:a"]}"#).unwrap();
    let gateway = compile(&config).unwrap();
    let filter =
        FilterCode { path: "/filter.wasm".into(), sha256: "ab".repeat(32), bytes: Vec::new().into() };
    let keys = BTreeMap::new();
    let inputs =
        Inputs { gateway: &gateway, hostname: "::", port: 3042, keys: &keys, retired: &[], filter: &filter };
    let near = build(inputs, &NodeTraits { port: Some(7), filter_path: Some("/mine.wasm".into()) });
    let far = build(inputs, &NodeTraits::default());
    assert!(holds(&near.of(Kind::Extension)[0], "/mine.wasm"));
    assert!(holds(&far.of(Kind::Extension)[0], &format!("/filter/{}.wasm", filter.sha256)));
    assert_ne!(near.of(Kind::Listener)[1].version, far.of(Kind::Listener)[1].version);
}
