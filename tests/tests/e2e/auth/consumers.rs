//! What each consumer may do: its models, its limits.

use ai_warp_tests::{ClientFormat, Question, Reply, Signer, Stack};
use reqwest::Method;
use serde_json::{Value, json};

use super::{SECRET, ask, entry, send, until_answered};

async fn prompt(stack: &Stack, key: &str, body: Value) -> Reply {
    send(stack.gateway(), Method::POST, "/api/v1/prompt", &[("x-api-key", key)], Some(&body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_asks_the_models_it_may_and_no_other() {
    let stack = Stack::builder()
        .models(["openai:ok", "gemini:ok", "deepseek:ok"])
        .set("routes", json!([{"name": "fast", "models": ["gemini:ok", "deepseek:ok"]}]))
        .set(
            "auth",
            json!({
                "apiKeys": [entry("some", "aiw_some"), entry("all", "aiw_all")],
                "consumers": {"some": {"models": ["gemini:ok"]}},
            }),
        )
        .start()
        .await;
    let own = prompt(&stack, "aiw_some", json!({"prompt": "hi"})).await;
    assert_eq!((own.status, own.model()), (200, "gemini:ok"), "others of a route are passed over");
    for (key, status) in [("aiw_some", 403), ("aiw_all", 200)] {
        for format in ClientFormat::ALL {
            for stream in [false, true] {
                let body = format.body(&Question::new("openai:ok", "hi"), stream);
                let headers = [("x-api-key", key)];
                let reply = send(stack.gateway(), Method::POST, format.path(), &headers, Some(&body)).await;
                assert_eq!(reply.status, status, "{format:?}: {}", reply.text());
                if status == 403 {
                    let (_, word, message) = format.error(&reply);
                    assert!(
                        ["FORBIDDEN", "forbidden", "permission_error"].contains(&word.as_str()),
                        "{word}"
                    );
                    assert_eq!(message, "model \"openai:ok\" is not allowed to this consumer");
                }
            }
        }
    }
    let both =
        prompt(&stack, "aiw_some", json!({"prompt": "hi", "models": ["gemini:ok", "deepseek:ok"]})).await;
    assert_eq!(both.error(), (403, "FORBIDDEN".to_owned()));
    assert!(both.message().contains("deepseek:ok"));
    let asked = stack.asked().len();
    assert_eq!(asked, 1 + 2 * ClientFormat::ALL.len(), "{:?}", stack.asked());
}

/// Asks until there is another status than 200; how many answers there were.
async fn spend(stack: &Stack, headers: &[(&str, &str)]) -> (u64, Reply) {
    let mut answers = 0;
    loop {
        let reply = ask(stack.gateway(), headers).await;
        if reply.status != 200 {
            return (answers, reply);
        }
        answers += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn consumers_have_limits_by_whichever_method_they_came() {
    let rate = |max: u64| json!({"max": max, "timeWindow": "31d"});
    let stack = Stack::builder()
        .set("clientLimits", json!({"header": "x-consumer", "rate": rate(3)}))
        .set(
            "auth",
            json!({
                "required": false,
                "jwt": {"secret": SECRET},
                "apiKeys": [entry("ann", "aiw_ann"), entry("ann", "aiw_ann2"), entry("bob", "aiw_bob")],
                "consumers": {"ann": {"rate": rate(5)}},
            }),
        )
        .start()
        .await;
    let signer = Signer::shared(SECRET);
    until_answered(&stack, &signer.token_of("somebody")).await;
    let bearer = format!("Bearer {}", signer.token_of("ann"));
    for _ in 0..2 {
        assert_eq!(ask(stack.gateway(), &[("authorization", &bearer)]).await.status, 200);
    }
    let (answers, over) = spend(&stack, &[("x-api-key", "aiw_ann")]).await;
    assert_eq!((answers, over.error()), (3, (429, "PROVIDER_RATE_LIMIT_ERROR".to_owned())));
    assert_eq!(spend(&stack, &[("x-api-key", "aiw_ann2")]).await.0, 0);
    // Whatever else a client says of itself.
    let other = [("authorization", bearer.as_str()), ("x-consumer", "bob"), ("x-ai-warp-consumer", "bob")];
    assert_eq!(spend(&stack, &other).await.0, 0);
    assert_eq!(spend(&stack, &[("x-api-key", "aiw_bob")]).await.0, 3);
    // Those who have no name are one.
    assert_eq!(spend(&stack, &[("x-consumer", "carol")]).await.0, 3);
    assert_eq!(spend(&stack, &[("x-consumer", "dave")]).await.0, 0);
}
