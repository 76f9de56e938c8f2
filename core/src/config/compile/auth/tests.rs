//! What `auth` means, and what is said about a wrong one.

use serde_json::json;

use super::super::tests::{compiled, problems};
use crate::config::Gateway;

fn with_auth(auth: &serde_json::Value) -> serde_json::Value {
    json!({
        "providers": {"openai": {}}, "models": ["openai:m", "nocolon"],
        "auth": auth,
    })
}

#[test]
fn reports_every_problem_of_auth() {
    let hash = format!("sha256:{}", "0".repeat(64));
    let problems = problems(with_auth(&json!({
        "jwt": {
            "secret": "s", "jwks": {"url": "ftp://x", "cacheFor": 5}, "allowedAud": ["a", ""], "maxAge": 1,
            "cookie": {"cookieName": "a b"}, "consumerClaim": "",
        },
        "apiKeys": [
            {"consumer": "", "hash": hash}, {"consumer": "a", "hash": hash}, {"consumer": "b", "hash": "secret-in-the-clear"},
        ],
        "webhook": {"url": "hook", "timeout": "1h", "headers": ["x y"]},
        "consumers": {"c": {"rate": {"max": 1, "timeWindow": 1}, "models": ["openai:m", "nocolon", "other"]}, "d\n": {}},
    })));
    assert!(!problems.contains("in-the-clear"), "a key that stands where its hash belongs is not repeated");
    insta::assert_snapshot!(problems);
}

#[test]
fn auth_means_nothing_or_lets_somebody_in() {
    let compiled = |auth: serde_json::Value| {
        let mut config = with_auth(&auth);
        config["models"] = json!(["openai:m"]);
        compiled(config).map(|gateway| gateway.auth)
    };
    let nobody = Err(vec!["auth: lets nobody in; set jwt, apiKeys or webhook".to_owned()]);
    for auth in [json!({}), json!({"required": true}), json!({"required": false, "consumers": {"a": {}}})] {
        assert_eq!(compiled(auth.clone()), nobody, "{auth}");
    }
    assert_eq!(compiled(json!({"required": false})), Ok(None));
    // The shapes of AI Warp.
    let auth = compiled(json!({"required": true, "jwt": {"secret": "s"}, "webhook": {"url": "http://h/a"}}))
        .unwrap();
    let auth = auth.unwrap();
    assert!(auth.required);
    assert_eq!(auth.webhook.unwrap().headers, ["authorization", "cookie", "x-api-key"]);
    let auth =
        compiled(json!({"jwt": {"jwks": "https://i/k", "allowedIss": "i", "cookie": {"cookieName": "t"}}}));
    let jwt = auth.unwrap().unwrap().jwt.unwrap();
    assert_eq!((jwt.issuers.as_slice(), jwt.cookie.as_deref()), (&["i".to_owned()][..], Some("t")));
    assert!(matches!(jwt.keys, crate::config::JwksSource::Issuer { cache_ms: 60_000, .. }));
}

#[test]
fn the_filter_knows_of_auth_what_it_decides_by_and_no_more() {
    let mut config = with_auth(&json!({
        "jwt": {"jwks": "https://issuer.example/keys", "allowedAud": "x"},
        "webhook": {"url": "http://hook.example"},
        "apiKeys": [{"consumer": "a", "hash": format!("sha256:{}", "0".repeat(64)), "name": "for the tests"}],
    }));
    config["models"] = json!(["openai:m"]);
    let gateway = compiled(config).unwrap();
    let json = serde_json::to_string(&gateway).unwrap();
    assert!(!json.contains("example") && !json.contains("for the tests"), "{json}");
    let read: Gateway = serde_json::from_str(&json).unwrap();
    let (read, auth) = (read.auth.unwrap(), gateway.auth.unwrap());
    assert_eq!((read.keys, read.consumers, read.webhook.is_some()), (auth.keys, auth.consumers, true));
}

#[test]
fn consumers_are_told_apart_by_a_header_only_where_auth_does_not() {
    let config = |auth: serde_json::Value, limits: serde_json::Value| json!({"providers": {"openai": {}}, "models": ["openai:m"], "auth": auth, "clientLimits": limits});
    let rate = json!({"rate": {"max": 1, "timeWindow": "1m"}});
    let text = "clientLimits.header: is missing; it tells consumers apart where there is no auth";
    assert_eq!(problems(config(json!(null), rate.clone())), text);
    assert_eq!(problems(config(json!({"required": false}), rate.clone())), text);
    assert!(compiled(config(json!({"webhook": {"url": "http://h"}}), rate)).is_ok());
}
