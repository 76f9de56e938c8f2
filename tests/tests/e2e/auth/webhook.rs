//! The webhook: asked about what nothing else accepts, and obeyed.

use ai_warp_tests::{ClientFormat, Seen, Signer, Stack, Upstream};
use reqwest::Method;
use serde_json::json;

use super::{
    MISSING, NOT_ACCEPTED, SECRET, ask, ask_in, ask_with_token, entry, refused, send, told, until_answered,
};

/// Answers as the last word of `authorization` says; of `named` with a name.
async fn webhook() -> Upstream {
    Upstream::start_with_headers(|seen: &Seen| {
        let word = seen.header("authorization").rsplit(' ').next().unwrap_or_default();
        let status = match word {
            "named" | "nameless" => 200,
            "created" => 201,
            "forbidden" => 403,
            "broken" => 500,
            "elsewhere" => 302,
            _ => 401,
        };
        let name = matches!(word, "named" | "created").then(|| ("x-ai-warp-consumer", "ann".to_owned()));
        (status, name.into_iter().collect(), "what the webhook says is not for clients".to_owned())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_webhook_lets_in_refuses_and_names_the_consumer() {
    let webhook = webhook().await;
    let stack = Stack::builder()
        .set(
            "auth",
            json!({"required": true, "webhook": {"url": format!("http://{}/ask?x=1", webhook.address())}}),
        )
        .start()
        .await;
    for (word, expected) in [
        ("named", Ok(())),
        ("nameless", Ok(())),
        ("created", Ok(())),
        ("other", Err((401, NOT_ACCEPTED))),
        ("elsewhere", Err((401, NOT_ACCEPTED))),
        ("forbidden", Err((403, "this request is not allowed"))),
        ("broken", Err((503, "the credential cannot be checked at the moment"))),
    ] {
        for format in ClientFormat::ALL {
            let authorization = format!("Bearer {word}");
            let headers = [
                ("authorization", authorization.as_str()),
                ("cookie", "a=b"),
                ("x-secret", "s"),
                ("x-ai-warp-consumer", "bob"),
            ];
            let reply = ask_in(stack.gateway(), format, &headers).await;
            match expected {
                Ok(()) => _ = format.read(&reply, false),
                Err((status, message)) => {
                    let (found, _, text) = format.error(&reply);
                    assert_eq!((found, text.as_str()), (status, message), "{word} in {format:?}");
                    assert!(!reply.text().contains("what the webhook says"));
                }
            }
        }
    }
    let list =
        send(stack.gateway(), Method::GET, "/v1/models", &[("authorization", "Bearer named")], None).await;
    assert_eq!(list.status, 200);
    for seen in webhook.seen() {
        assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/ask?x=1"));
        assert_eq!(seen.header("host"), webhook.address().to_string());
        assert_eq!(
            (seen.header("x-secret"), seen.header("x-ai-warp-consumer"), seen.body.len()),
            ("", "", 0)
        );
    }
    // Whom it has named, sessions belong to.
    let named = ask(stack.gateway(), &[("authorization", "Bearer named")]).await.session();
    let path = format!("/api/v1/sessions/{named}");
    for (word, status) in [("created", 200), ("nameless", 404), ("other", 401)] {
        let authorization = format!("Bearer {word}");
        let reply =
            send(stack.gateway(), Method::GET, &path, &[("authorization", &authorization)], None).await;
        assert_eq!(reply.status, status, "{word}");
    }
    stack.expect_no_leaks();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_webhook_is_asked_only_where_nothing_else_accepts_and_nobody_passes_while_it_is_away() {
    let webhook = webhook().await;
    let url = format!("http://{}", webhook.address());
    let mut stack = Stack::builder()
        .set(
            "auth",
            json!({
                "jwt": {"secret": SECRET}, "webhook": {"url": url},
                "apiKeys": [entry("team", "aiw_key"), entry("old", "a-key-from-before")],
            }),
        )
        .start()
        .await;
    let gateway = stack.gateway().clone();
    let token = Signer::shared(SECRET).token_of("ann");
    until_answered(&stack, &token).await;
    let asked = webhook.seen().len();
    assert_eq!(ask(&gateway, &[("x-api-key", "aiw_key")]).await.status, 200);
    assert_eq!(ask_with_token(&gateway, "aiw_key").await.status, 200);
    assert_eq!(ask_with_token(&gateway, &token).await.status, 200);
    assert_eq!(told(&ask(&gateway, &[("x-api-key", "aiw_other")]).await), refused(NOT_ACCEPTED));
    assert_eq!(webhook.seen().len(), asked, "nobody asked");
    assert_eq!(ask_with_token(&gateway, "named").await.status, 200);
    assert_eq!(ask(&gateway, &[("x-api-key", "a-key-from-before")]).await.status, 200);
    assert_eq!(told(&ask_with_token(&gateway, "no").await), refused(NOT_ACCEPTED));
    assert_eq!(webhook.seen().len(), asked + 3);

    drop(webhook);
    for headers in [&[][..], &[("authorization", "Bearer named")]] {
        let reply = ask(&gateway, headers).await;
        assert_eq!(reply.error(), (503, "AUTH_UNAVAILABLE".to_owned()));
        assert_eq!(reply.header("x-ai-warp-attempts"), "0");
    }
    assert_eq!(ask_with_token(&gateway, &token).await.status, 200);
    assert_eq!(ask(&gateway, &[("x-api-key", "aiw_key")]).await.status, 200);

    // Another webhook, at once.
    let other = self::webhook().await;
    let url = format!("http://{}", other.address());
    stack.reconfigure(|config| _ = config.set("auth.webhook.url", url).set("limits.maxTokens", 70)).await;
    assert_eq!(ask_with_token(&gateway, "named").await.status, 200);
    assert_eq!(other.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_passes_while_an_issuer_and_a_webhook_behind_tls_cannot_be_reached() {
    let stack = Stack::builder()
        .set(
            "auth",
            json!({
                "jwt": {"jwks": "https://localhost:1/keys"},
                "webhook": {"url": "https://localhost:1/ask", "timeout": "5s"},
            }),
        )
        .start()
        .await;
    let token = Signer::elliptic("k").token_of("ann");
    for reply in [ask(stack.gateway(), &[]).await, ask_with_token(stack.gateway(), &token).await] {
        assert_eq!(reply.error(), (503, "AUTH_UNAVAILABLE".to_owned()));
    }
    let mut stack = stack;
    stack.reconfigure(|config| _ = config.set("auth.webhook", serde_json::Value::Null)).await;
    assert_eq!(told(&ask(stack.gateway(), &[]).await), refused(MISSING));
    assert_eq!(ask_with_token(stack.gateway(), &token).await.error(), (503, "AUTH_UNAVAILABLE".to_owned()));
}
