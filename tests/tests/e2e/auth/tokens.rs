//! Tokens: which are accepted, which are not and why, and keys that change.

use std::sync::{Arc, Mutex};

use ai_warp_tests::{
    ClientFormat, OneConnection, PATIENCE, Reply, Signer, Stack, Upstream, eventually, hour_from_now,
    seconds_now, unsigned,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    LIST, MISSING, NOT_ACCEPTED, SECRET, ask, ask_in, ask_with_token, refused, send, told, until_answered,
    until_status,
};

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_nothing_is_answered_and_with_one_everything() {
    let stack = Stack::builder().set("auth.jwt.secret", SECRET).start().await;
    let token = format!("Bearer {}", Signer::shared(SECRET).token_of("ann"));
    let with: &[(&str, &str)] = &[("authorization", &token)];
    for format in ClientFormat::ALL {
        let word = match format {
            ClientFormat::Unified => "UNAUTHORIZED",
            ClientFormat::Messages => "authentication_error",
            ClientFormat::Chat | ClientFormat::Responses => "invalid_api_key",
        };
        let reply = ask_in(stack.gateway(), format, &[]).await;
        assert_eq!(format.error(&reply), (401, word.to_owned(), MISSING.to_owned()), "{format:?}");
        assert_eq!(reply.header("www-authenticate"), "Bearer");
        format.read(&ask_in(stack.gateway(), format, with).await, false);
    }
    for (method, path, status) in [
        (Method::GET, "/v1/models", 200),
        (Method::GET, "/v1/models/openai:ok", 200),
        (Method::POST, "/v1/models", 405),
        (Method::GET, "/v1/messages", 405),
        (Method::GET, "/api/v1/sessions/6e0a7d43-2e0c-4b3a-8d4b-6f0c0e9f0001", 404),
        (Method::DELETE, "/api/v1/sessions/6e0a7d43-2e0c-4b3a-8d4b-6f0c0e9f0001", 404),
        (Method::POST, "/api/v1/sessions/x", 405),
        (Method::GET, "/", 404),
        (Method::GET, "/v1/nothing", 404),
    ] {
        for (headers, expected) in [(&[][..], 401), (with, status)] {
            let reply = send(stack.gateway(), method.clone(), path, headers, None).await;
            assert_eq!(reply.status, expected, "{method} {path}: {}", reply.text());
            let body = send(stack.gateway(), method.clone(), path, headers, Some(&json!({}))).await;
            assert_eq!(
                (body.status, body.text()),
                (reply.status, reply.text()),
                "{method} {path} with a body"
            );
        }
    }
    let shapes =
        ["/v1/messages/x", "/v1/models", "/api/v1/sessions/x"].map(|path| (path, stack.gateway().get(path)));
    let mut words = Vec::new();
    for (path, reply) in shapes {
        let json = reply.await.json();
        let word = [&json["error"]["code"], &json["error"]["type"], &json["code"]]
            .into_iter()
            .find_map(|word| word.as_str())
            .unwrap_or_else(|| panic!("{path}: {json}"))
            .to_owned();
        words.push(word);
    }
    assert_eq!(words, ["authentication_error", "invalid_api_key", "UNAUTHORIZED"]);
    assert_eq!(stack.simulator.requests().len(), ClientFormat::ALL.len());
    stack.expect_no_leaks();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_good_is_refused_with_its_reason() {
    let stack = Stack::builder()
        .set(
            "auth.jwt",
            json!({
                "secret": SECRET, "allowedIss": ["https://a", "https://b"], "allowedAud": "warp",
                "requiredClaims": ["team"], "maxAge": "10m", "cookie": "session_token",
            }),
        )
        .start()
        .await;
    let (signer, now) = (Signer::shared(SECRET), seconds_now());
    let good = json!({
        "sub": "ann", "iss": "https://b", "aud": ["other", "warp"], "team": "x", "iat": now, "exp": hour_from_now(),
    });
    let but = |key: &str, value: Value| {
        let mut claims = good.clone();
        claims[key] = value;
        claims
    };
    let without = |key: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(key);
        claims
    };
    let token = signer.token(&good);
    until_answered(&stack, &token).await;
    for (claims, reason) in [
        // Clocks may differ by a minute.
        (but("exp", json!(now - 70)), "the token has expired"),
        (but("nbf", json!(now + 120)), "the token is not valid yet"),
        (but("iss", json!("https://c")), "the token is of an issuer that is not accepted"),
        (without("iss"), "the token is of an issuer that is not accepted"),
        (but("aud", json!("other")), "the token is for another audience"),
        (without("aud"), "the token is for another audience"),
        (without("team"), "the token lacks the claim \"team\""),
        (but("iat", json!(now - 700)), "the token is too old"),
        (without("iat"), "the token is too old"),
    ] {
        let reply = ask_with_token(stack.gateway(), &signer.token(&claims)).await;
        assert_eq!(told(&reply), refused(reason), "{claims}");
    }
    for (claims, accepted) in
        [(but("exp", json!(now - 30)), 200), (without("exp"), 200), (without("sub"), 200)]
    {
        assert_eq!(
            ask_with_token(stack.gateway(), &signer.token(&claims)).await.status,
            accepted,
            "{claims}"
        );
    }
    let (head, signature) = token.rsplit_once('.').unwrap();
    let other = signer.token(&but("sub", json!("bob")));
    let tampered = format!("{}.{signature}", other.rsplit_once('.').unwrap().0);
    for wrong in [
        Signer::shared("another secret that is just as long as it").token(&good),
        tampered,
        head.to_owned(),
        format!("{head}."),
        unsigned("none", &good),
        unsigned("None", &good),
        unsigned("HS256", &good),
        Signer::elliptic("k").token(&good),
        "nonsense".to_owned(),
    ] {
        let reply = ask_with_token(stack.gateway(), &wrong).await;
        assert_eq!(told(&reply), refused(NOT_ACCEPTED), "{wrong}");
    }
    assert_eq!(
        ask_with_token(stack.gateway(), &Signer::shared_by_hs512(SECRET).token(&good)).await.status,
        200
    );
    // Without a header, and in a cookie.
    assert_eq!(told(&ask(stack.gateway(), &[]).await), refused(MISSING));
    let cookie = format!("a=b; session_token={token}");
    assert_eq!(ask(stack.gateway(), &[("cookie", &cookie)]).await.status, 200);
    let dummy = [("cookie", cookie.as_str()), ("authorization", "Bearer dummy")];
    assert_eq!(ask(stack.gateway(), &dummy).await.status, 200);
    let expired = format!("session_token={}", signer.token(&but("exp", json!(now - 70))));
    assert_eq!(told(&ask(stack.gateway(), &[("cookie", &expired)]).await), refused("the token has expired"));
    let other = format!("token={token}");
    assert_eq!(told(&ask(stack.gateway(), &[("cookie", &other)]).await), refused(MISSING));
    // Not where tokens get into logs.
    let in_query = format!("/api/v1/prompt?access_token={token}");
    let reply = send(stack.gateway(), Method::POST, &in_query, &[], Some(&json!({"prompt": "hi"}))).await;
    assert_eq!(told(&reply), refused(MISSING));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_key_is_no_shared_secret() {
    for (signer, other) in [(Signer::rsa(), Signer::elliptic("x")), (Signer::elliptic("y"), Signer::rsa())] {
        let stack = Stack::builder()
            .variable("PUBLIC_KEY", signer.public_key())
            .set("auth.jwt.publicKey", "${PUBLIC_KEY}")
            .start()
            .await;
        let claims = json!({"sub": "ann", "exp": hour_from_now()});
        until_answered(&stack, &signer.token(&claims)).await;
        let pem = signer.public_key();
        for forged in [
            Signer::shared(pem).token(&claims),
            Signer::shared(pem.trim()).token(&claims),
            Signer::shared_by_hs512(pem).token(&claims),
            other.token(&claims),
            unsigned("none", &claims),
            unsigned("RS256", &claims),
        ] {
            let reply = ask_with_token(stack.gateway(), &forged).await;
            assert_eq!(told(&reply), refused(NOT_ACCEPTED), "{forged}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_s_keys_change_without_anybody_s_help() {
    let keys: Arc<Mutex<Option<Value>>> = Arc::default();
    let published = Arc::clone(&keys);
    let issuer =
        Upstream::start(move |seen| match (seen.path.as_str(), published.lock().unwrap().as_ref()) {
            ("/keys?v=1", Some(keys)) => (200, "application/json", json!({"keys": [keys]}).to_string()),
            _ => (500, "text/plain", String::new()),
        })
        .await;
    let url = format!("http://{}/keys?v=1", issuer.address());
    let stack = Stack::builder().set("auth.jwt.jwks", json!({"url": url, "cacheFor": "1s"})).start().await;
    let [first, second] = ["first", "second"].map(Signer::elliptic);
    // While there are no keys, nobody can be told that a token is wrong.
    let reply = ask_with_token(stack.gateway(), &first.token_of("ann")).await;
    assert_eq!(reply.error(), (503, "AUTH_UNAVAILABLE".to_owned()), "{}", reply.text());
    assert_eq!(told(&ask(stack.gateway(), &[]).await), refused(MISSING));
    *keys.lock().unwrap() = Some(first.jwk().clone());
    until_answered(&stack, &first.token_of("ann")).await;
    assert_eq!(told(&ask_with_token(stack.gateway(), &second.token_of("ann")).await), refused(NOT_ACCEPTED));
    *keys.lock().unwrap() = Some(second.jwk().clone());
    until_answered(&stack, &second.token_of("ann")).await;
    assert_eq!(told(&ask_with_token(stack.gateway(), &first.token_of("ann")).await), refused(NOT_ACCEPTED));
    // The issuer is away: the keys at hand stay good, however often they cannot be fetched.
    *keys.lock().unwrap() = None;
    let fetched = issuer.seen().len();
    eventually("the keys are asked for in vain", PATIENCE, async || {
        let failures = issuer.seen().len() - fetched;
        if failures > 2 { Ok(()) } else { Err(failures) }
    })
    .await;
    assert_eq!(ask_with_token(stack.gateway(), &second.token_of("ann")).await.status, 200);
    let host = issuer.last().map(|seen| seen.header("host").to_owned());
    assert_eq!(host, Some(issuer.address().to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_secret_is_in_force_within_a_second_on_open_connections() {
    let mut stack = Stack::builder().start().await;
    let [one, two] = ["the first secret of thirty-two bytes", "the other secret of thirty-two bytes"];
    let [token_one, token_two] =
        [one, two].map(|secret| format!("Bearer {}", Signer::shared(secret).token_of("ann")));
    let [of_one, of_two] = [&token_one, &token_two].map(|token| [("authorization", token.as_str())]);
    // A connection from before anybody was asked who they are.
    let mut connection = OneConnection::open(stack.gateway()).await;
    assert_eq!(connection.get(LIST, &[]).await, 200);
    stack.config.set("auth.jwt.secret", one).write();
    until_status(&mut connection, &[], 401).await;
    until_status(&mut connection, &of_one, 200).await;
    assert_eq!(connection.get(LIST, &of_two).await, 401);
    stack.config.set("auth.jwt.secret", two).write();
    until_status(&mut connection, &of_two, 200).await;
    assert_eq!(connection.get(LIST, &of_one).await, 401);
    stack.config.set("auth", Value::Null).write();
    until_status(&mut connection, &[], 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_in_no_dump_and_no_log() {
    let stack = Stack::builder()
        .envoy_log_level("debug")
        .variable("JWT_SECRET", SECRET)
        .set("auth.jwt.secret", "${JWT_SECRET}")
        .start()
        .await;
    until_answered(&stack, &Signer::shared(SECRET).token_of("ann")).await;
    let encoded = Signer::encoded(SECRET);
    for (name, place) in [
        ("the dump", stack.envoy().admin().get("/config_dump?include_eds").await.text()),
        ("Envoy's log", stack.envoy().log()),
        ("the control plane's log", stack.control_plane.log()),
        ("/status", stack.control_plane.status().await.to_string()),
    ] {
        assert!(!place.contains(SECRET) && !place.contains(&encoded), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_and_keys_outlive_the_control_plane() {
    let mut stack = Stack::builder()
        .workers(2)
        .set("auth.jwt.secret", SECRET)
        .set("auth.apiKeys", json!([super::entry("team", "aiw_key")]))
        .start()
        .await;
    let token = Signer::shared(SECRET).token_of("ann");
    until_answered(&stack, &token).await;
    stack.control_plane.kill();
    eventually("the gateway notices", PATIENCE, async || {
        let connected = stack.envoy().stat("control_plane.connected_state").await;
        if connected == 0 { Ok(()) } else { Err(connected) }
    })
    .await;
    for _ in 0..10 {
        let fresh: &Reply = &ask_with_token(stack.gateway(), &Signer::shared(SECRET).token_of("bob")).await;
        assert_eq!((fresh.status, fresh.header("x-ai-warp-stored")), (200, "false"), "{}", fresh.text());
        assert_eq!(ask(stack.gateway(), &[("x-api-key", "aiw_key")]).await.status, 200);
        assert_eq!(told(&ask(stack.gateway(), &[]).await), refused(MISSING));
    }
}
