//! Who is let in, by which method, and what the others are told.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;
use crate::config::{Config, compile};
use crate::plugin::CONSUMER_HEADER;

const NOW_MS: u64 = 1_700_000_000_000;

fn gateway(auth: Value) -> Gateway {
    let config: Config = serde_json::from_value(json!({
        "providers": {"openai": {}},
        "models": ["openai:a", "openai:b", "openai:c"],
        "routes": [{"name": "fast", "models": ["openai:b", "openai:c"]}],
        "auth": auth,
    }))
    .unwrap();
    compile(&config).unwrap()
}

#[derive(Default)]
struct Known {
    token: Option<&'static str>,
    webhook: Option<WebhookAnswer>,
    named: Option<&'static str>,
}

impl Evidence for Known {
    fn unix_ms(&self) -> u64 {
        NOW_MS
    }

    fn token_refusal(&self) -> Option<String> {
        self.token.map(str::to_owned)
    }

    fn webhook(&self) -> Option<WebhookAnswer> {
        self.webhook
    }

    fn named_by_webhook(&self) -> Option<Vec<u8>> {
        self.named.map(|name| name.as_bytes().to_vec())
    }
}

fn headers(headers: &[(&str, &str)]) -> Headers {
    let owned = headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
    Headers::new(owned.collect())
}

fn claims(claims: &Value) -> Headers {
    headers(&[(TOKEN_HEADER, &URL_SAFE_NO_PAD.encode(claims.to_string()))])
}

/// The consumer, or code and message.
fn checked(auth: Value, headers: &Headers, known: &Known) -> Result<Option<String>, String> {
    let caller = gateway(auth).auth.unwrap().check(headers, known);
    caller.map(|caller| caller.consumer).map_err(|error| format!("{:?}: {}", error.code, error.message))
}

#[test]
fn a_token_is_judged_by_what_it_says() {
    let rules = json!({"secret": "s", "allowedIss": ["x", "y"], "requiredClaims": ["team"], "maxAge": "1m"});
    let iat = NOW_MS / 1_000;
    let good = json!({"iss": "y", "team": null, "iat": iat - 60, "sub": "ann"});
    let changed = |key: &str, value: Option<Value>| {
        let mut claims = good.clone();
        match value {
            Some(value) => claims[key] = value,
            None => _ = claims.as_object_mut().unwrap().remove(key),
        }
        checked(json!({"jwt": rules}), &super::tests::claims(&claims), &Known::default())
    };
    let refused = |text: &str| Err(format!("Unauthorized: {text}"));
    assert_eq!(changed("other", Some(json!(1))), Ok(Some("ann".to_owned())));
    assert_eq!(changed("sub", Some(json!(7))), Ok(Some("7".to_owned())));
    for nobody in [None, Some(json!("")), Some(json!({"a": 1}))] {
        assert_eq!(changed("sub", nobody), Ok(None), "sub names the consumer unless it is not there");
    }
    assert_eq!(changed("sub", Some(json!("a\nb"))), refused(NOT_ACCEPTED));
    assert_eq!(changed("sub", Some(json!("a".repeat(257)))), refused(NOT_ACCEPTED));
    for issuer in [None, Some(json!("z")), Some(json!(["x"]))] {
        assert_eq!(changed("iss", issuer), refused("the token is of an issuer that is not accepted"));
    }
    assert_eq!(changed("team", None), refused("the token lacks the claim \"team\""));
    for old in [None, Some(json!(iat - 61)), Some(json!("now"))] {
        assert_eq!(changed("iat", old), refused("the token is too old"));
    }
    let named = json!({"jwt": {"secret": "s", "consumerClaim": "team"}});
    assert_eq!(
        checked(named.clone(), &claims(&good), &Known::default()),
        refused("the token names no consumer in its claim \"team\"")
    );
    assert_eq!(checked(named, &claims(&json!({"team": "a"})), &Known::default()), Ok(Some("a".to_owned())));
    let broken = headers(&[(TOKEN_HEADER, "{}")]);
    assert_eq!(checked(json!({"jwt": {"secret": "s"}}), &broken, &Known::default()), refused(NOT_ACCEPTED));
}

#[test]
fn a_token_counts_only_where_tokens_are_configured() {
    let keys = json!({"apiKeys": [{"consumer": "team", "hash": KeyHash::of(b"k").to_string()}]});
    let forged =
        headers(&[(TOKEN_HEADER, &URL_SAFE_NO_PAD.encode(r#"{"sub":"ann"}"#)), (CONSUMER_HEADER, "ann")]);
    let refused = Err("Unauthorized: a credential is missing".to_owned());
    assert_eq!(checked(keys, &forged, &Known::default()), refused);
    let webhook = json!({"webhook": {"url": "http://hook"}});
    // A header alone says nothing: the webhook must have been asked.
    assert_eq!(checked(webhook, &forged, &Known::default()), refused);
}

#[test]
fn a_key_lets_in_beside_a_token_that_is_refused() {
    let auth = json!({
        "jwt": {"secret": "s", "requiredClaims": ["team"]},
        "apiKeys": [{"consumer": "one", "hash": KeyHash::of(b"aiw_1").to_string()}],
    });
    let payload = URL_SAFE_NO_PAD.encode(r#"{"sub":"ann"}"#);
    let both = headers(&[(TOKEN_HEADER, &payload), ("x-api-key", "aiw_1")]);
    assert_eq!(checked(auth.clone(), &both, &Known::default()), Ok(Some("one".to_owned())));
    let token = headers(&[(TOKEN_HEADER, &payload), ("x-api-key", "aiw_2")]);
    assert!(checked(auth, &token, &Known::default()).is_err_and(|error| error.contains("team")));
}

#[test]
fn a_key_is_found_wherever_clients_put_it() {
    let auth = json!({"apiKeys": [
        {"consumer": "one", "hash": KeyHash::of(b"aiw_1").to_string()},
        {"consumer": "two", "hash": KeyHash::of(b"plain").to_string(), "name": "old"},
    ]});
    for (name, value, expected) in [
        ("authorization", "Bearer aiw_1", Ok(Some("one"))),
        ("authorization", "bearer  plain ", Ok(Some("two"))),
        ("authorization", "aiw_1", Ok(Some("one"))),
        ("x-api-key", "aiw_1", Ok(Some("one"))),
        ("api-key", "plain", Ok(Some("two"))),
        ("x-api-key", "aiw_2", Err("Unauthorized: the credential is not accepted")),
        ("x-api-key", "", Err("Unauthorized: a credential is missing")),
        ("other", "aiw_1", Err("Unauthorized: a credential is missing")),
    ] {
        let found = checked(auth.clone(), &headers(&[(name, value)]), &Known::default());
        let expected = expected.map(|name| name.map(str::to_owned)).map_err(str::to_owned);
        assert_eq!(found, expected, "{name}: {value}");
    }
    let both = headers(&[("authorization", "Bearer dummy"), ("x-api-key", "aiw_1")]);
    assert_eq!(checked(auth, &both, &Known::default()), Ok(Some("one".to_owned())));
}

#[test]
fn the_webhook_decides_where_nothing_else_accepts() {
    let auth = json!({"webhook": {"url": "http://hook"}, "apiKeys": [
        {"consumer": "one", "hash": KeyHash::of(b"k").to_string()},
    ]});
    let with = |webhook: WebhookAnswer, named: Option<&'static str>, key: &str| {
        let headers = headers(&[("x-api-key", key), (CONSUMER_HEADER, "bob")]);
        checked(auth.clone(), &headers, &Known { token: None, webhook: Some(webhook), named })
    };
    let refused = |text: &str| Err(text.to_owned());
    for status in [200, 204] {
        let answer = WebhookAnswer::Status(status);
        assert_eq!(with(answer, Some("ann"), "x"), Ok(Some("ann".to_owned())));
        assert_eq!(with(answer, None, "x"), Ok(None), "a header of the request names nobody");
        assert_eq!(with(answer, Some(""), "x"), Ok(None));
        // A name nobody can have must not become no name.
        let away = "AuthUnavailable: the credential cannot be checked at the moment";
        assert_eq!(with(answer, Some("\u{1}"), "x"), refused(away));
        assert_eq!(with(WebhookAnswer::None, Some("ann"), "x"), refused(away));
    }
    for status in [401, 302, 199, -1] {
        let found = with(WebhookAnswer::Status(status), Some("ann"), "x");
        assert_eq!(found, refused("Unauthorized: the credential is not accepted"));
    }
    assert_eq!(
        with(WebhookAnswer::Status(403), Some("ann"), "x"),
        refused("Forbidden: this request is not allowed")
    );
    assert_eq!(with(WebhookAnswer::None, None, "k"), Ok(Some("one".to_owned())), "a key needs no webhook");
}

#[test]
fn what_envoy_says_of_a_token_is_told_as_far_as_it_helps() {
    for (words, expected) in [
        ("Jwt is missing", "Unauthorized: a credential is missing"),
        ("Jwt is expired", "Unauthorized: the token has expired"),
        ("Jwt not yet valid", "Unauthorized: the token is not valid yet"),
        ("Audiences in Jwt are not allowed", "Unauthorized: the token is for another audience"),
        ("Jwt verification fails", "Unauthorized: the credential is not accepted"),
        ("Jwks remote fetch is failed", "AuthUnavailable: the credential cannot be checked at the moment"),
    ] {
        let known = Known { token: Some(words), ..Known::default() };
        let found = checked(json!({"jwt": {"secret": "s"}}), &headers(&[]), &known);
        assert_eq!(found, Err(expected.to_owned()), "{words}");
    }
}

#[test]
fn without_required_only_who_shows_nothing_is_anonymous() {
    let auth = json!({"required": false, "jwt": {"secret": "s"}});
    let missing = Known { token: Some("Jwt is missing"), ..Known::default() };
    assert_eq!(checked(auth.clone(), &headers(&[]), &missing), Ok(None));
    let bad_cookie = Known { token: Some("Jwt is expired"), ..Known::default() };
    assert!(checked(auth.clone(), &headers(&[("cookie", "token=x")]), &bad_cookie).is_err());
    assert!(checked(auth, &headers(&[("x-api-key", "k")]), &missing).is_err());
}

#[test]
fn a_consumer_asks_what_it_may() {
    let gateway = gateway(json!({"jwt": {"secret": "s"}, "consumers": {
        "some": {"models": ["openai:b"]}, "route": {"models": ["fast"]}, "rate": {"rate": {"max": 1, "timeWindow": "1m"}},
    }}));
    let asked = |consumer: &str, body: &str| {
        let request = crate::api::read(crate::api::Format::Unified { stream: false }, body.into()).unwrap();
        let mut selection = request.select(&gateway, || None).unwrap();
        let caller = Caller { consumer: Some(consumer.to_owned()) };
        let permitted = caller.permit(&gateway, &mut selection);
        permitted
            .map(|()| selection.models.iter().map(|entry| entry.model).collect::<Vec<_>>())
            .map_err(|e| e.message)
    };
    let (all, fast) = (r#"{"prompt":"p"}"#, r#"{"prompt":"p","route":"fast"}"#);
    let (b, both) =
        (r#"{"prompt":"p","models":["openai:b"]}"#, r#"{"prompt":"p","models":["openai:b","openai:a"]}"#);
    assert_eq!(asked("other", all), Ok(vec![0, 1, 2]));
    assert_eq!(asked("rate", both), Ok(vec![1, 0]));
    assert_eq!(asked("some", all), Ok(vec![1]), "the others are passed over");
    assert_eq!(asked("some", fast), Ok(vec![1]));
    assert_eq!(asked("some", b), Ok(vec![1]));
    assert_eq!(asked("some", both), Err("model \"openai:a\" is not allowed to this consumer".to_owned()));
    assert_eq!(asked("route", fast), Ok(vec![1, 2]));
    assert_eq!(asked("route", b), Err("model \"openai:b\" is not allowed to this consumer".to_owned()));
    assert_eq!(asked("route", all), Err("route \"default\" is not allowed to this consumer".to_owned()));
}

#[test]
fn a_consumer_has_its_own_limits_or_those_of_all() {
    let config: Config = serde_json::from_value(json!({
        "providers": {"openai": {}}, "models": ["openai:a"],
        "auth": {"jwt": {"secret": "s"}, "consumers": {"ann": {"rate": {"max": 7, "timeWindow": "1m"}}}},
        "clientLimits": {"tokens": {"max": 9, "timeWindow": "1m"}},
    }))
    .unwrap();
    let mut gateway = compile(&config).unwrap();
    let limits = |gateway: &Gateway, name: Option<&str>| {
        let caller = Caller { consumer: name.map(str::to_owned) };
        let id = caller.payer(gateway)?;
        Some((gateway.client_rate(id).map(|l| l.max), gateway.client_tokens(id).map(|l| l.max)))
    };
    assert_eq!(limits(&gateway, Some("ann")), Some((Some(7), Some(9))));
    assert_eq!(limits(&gateway, Some("bob")), Some((None, Some(9))));
    assert_eq!(limits(&gateway, None), Some((None, Some(9))));
    gateway.client_limits = None;
    assert_eq!(limits(&gateway, Some("ann")), Some((Some(7), None)));
    assert_eq!(limits(&gateway, Some("bob")), None);
}
