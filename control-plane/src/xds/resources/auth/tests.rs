//! What Envoy is told of those who may call. That it does so is for the end-to-end tests.

use ai_warp_core::config::{Config, Gateway, compile};
use serde_json::{Value, json};

use super::super::tests::{self, holds};
use super::super::{Kind, NodeTraits, Resources};
use super::*;
use crate::config::{SecretString, Secrets};
use crate::tokens::Tokens;

fn gateway(auth: &Value) -> Gateway {
    let mut config = json!({"providers": {"openai": {}}, "models": ["openai:a"]});
    if !auth.is_null() {
        config["auth"] = auth.clone();
    }
    compile(&serde_json::from_value::<Config>(config).unwrap()).unwrap()
}

fn built(auth: &Value, secret: Option<&str>) -> Resources {
    let gateway = gateway(auth);
    let keys = secret.map(|secret| TokenKeys::shared(&SecretString::new(secret)));
    let destinations = Destination::all(&gateway, &Secrets::default(), &Tokens::default());
    tests::built(&gateway, &destinations, keys.as_ref(), &NodeTraits::default())
}

fn named<'a>(resources: &'a Resources, kind: Kind, name: &str) -> &'a Resource {
    let mut all = resources.of(kind).iter();
    all.find(|resource| resource.name.starts_with(name)).unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn the_listener_is_the_same_whoever_may_call() {
    let open = built(&Value::Null, None);
    let closed = built(&json!({"jwt": {"secret": "s"}, "webhook": {"url": "http://hook"}}), Some("s"));
    let version = |resources| named(resources, Kind::Listener, "gateway").version.clone();
    assert_eq!(version(&open), version(&closed));
    for name in [TOKEN_FILTER, WEBHOOK_FILTER] {
        assert_ne!(
            named(&open, Kind::Extension, name).version,
            named(&closed, Kind::Extension, name).version
        );
    }
    // Without anything to ask, routes that ask no model are spared the filter.
    let routes = |resources| named(resources, Kind::Route, "gateway").version.clone();
    assert_ne!(routes(&open), routes(&closed));
}

#[test]
fn a_shared_secret_is_in_no_resource_and_another_one_is_another_filter() {
    let auth = json!({"jwt": {"secret": "s"}});
    let [one, two] = ["very-secret-1", "very-secret-2"].map(|secret| built(&auth, Some(secret)));
    let encoded = "dmVyeS1zZWNyZXQt";
    for kind in Kind::ALL {
        for resource in one.of(kind) {
            assert!(!holds(resource, "very-secret") && !holds(resource, encoded), "{}", resource.name);
        }
    }
    let version = |resources| named(resources, Kind::Extension, TOKEN_FILTER).version.clone();
    assert_ne!(version(&one), version(&two));
    assert_eq!(version(&one), version(&built(&auth, Some("very-secret-1"))));
}

#[test]
fn issuer_and_webhook_have_clusters_that_no_exchange_can_choose() {
    let auth = json!({
        "jwt": {"jwks": {"url": "https://issuer.example/keys?v=1", "caFile": "/ca.pem"}},
        "webhook": {"url": "http://127.0.0.1:9/ask?x=1"},
        "apiKeys": [{"consumer": "c", "hash": format!("sha256:{}", "0".repeat(64))}],
    });
    let resources = built(&auth, None);
    let issuer = named(&resources, Kind::Cluster, "auth/issuer@");
    assert!(holds(issuer, "issuer.example") && holds(issuer, "/ca.pem") && issuer.needs_dns);
    let webhook = named(&resources, Kind::Cluster, "auth/webhook-plain@");
    assert_eq!(webhook.needs.len(), 2);
    for (kind, secret) in &webhook.needs {
        named(&resources, *kind, secret);
    }
    assert!(!holds(named(&resources, Kind::Route, "gateway"), "auth/"));
    let tokens = named(&resources, Kind::Extension, TOKEN_FILTER);
    assert!(holds(tokens, "https://issuer.example/keys?v=1") && holds(tokens, &issuer.name));
    let asking = named(&resources, Kind::Extension, WEBHOOK_FILTER);
    assert!(holds(asking, "/ask?x=1") && holds(asking, &webhook.name) && holds(asking, "bearer aiw_"));
    let elsewhere = built(&json!({"webhook": {"url": "http://127.0.0.1:10/ask"}}), None);
    assert_ne!(named(&elsewhere, Kind::Cluster, "auth/webhook").name, webhook.name);
}
