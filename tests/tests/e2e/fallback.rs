//! A model that fails is followed by the next one, as long as nothing has reached the client.

use ai_warp_tests::{Refusing, Stack};
use serde_json::{Value, json};

/// A provider of this dialect at which nobody answers.
fn provider_at(dialect: &str, base_url: String) -> Value {
    json!({"dialect": dialect, "baseUrl": base_url, "apiKey": "k"})
}

/// Faults of the first model that lead to the next one, before anything is answered.
const FAULTS: &[&str] = &[
    "openai:down",
    "openai:m~status=500",
    "openai:limited",
    "openai:quota",
    "openai:unauthorized",
    "openai:missing",
    "openai:html",
    "openai:reset",
    "openai:slow",
    "openai:garbage",
    "openai:empty",
    "openai:error-event",
    "openai:m~cut-headers",
    "openai:m~stall-headers",
    "deepseek:down",
    "deepseek:error-event",
    "deepseek:garbage",
    "gemini:down",
    "gemini:error-event",
    "gemini:unauthorized",
    "gemini:m~array-error~status=503",
];

/// Faults that come before the first content only where the answer is whole.
const FAULTS_OF_WHOLE_ANSWERS: &[&str] =
    &["openai:cut", "openai:early-end", "gemini:cut", "gemini:late-error"];

#[tokio::test(flavor = "multi_thread")]
async fn the_next_model_answers_for_one_that_is_down_and_one_that_cannot_be_reached() {
    let refusing = Refusing::new();
    for retries in [0, 1] {
        let stack = Stack::builder()
            .models(["openai:down", "deepseek:refused", "gemini:ok"])
            .set("providers.deepseek.baseUrl", refusing.base_url())
            .set("limits.retry.max", retries)
            .start()
            .await;
        let reply = stack.prompt(json!({"prompt": "hi"})).await;
        assert!(reply.answer().starts_with("gemini/ok: hi"));
        // A server error is worth another try of the same model; a refused connection is not.
        assert_eq!((reply.model(), reply.attempts()), ("gemini:ok", 3 + retries));
        let streamed = stack.stream(json!({"prompt": "hi"})).await.rest().await;
        assert_eq!(streamed.end()["text"], streamed.text());
        assert_eq!(streamed.header("x-ai-warp-model"), "gemini:ok");
        assert_eq!(streamed.header("x-ai-warp-attempts"), (3 + retries).to_string());
        let asked: Vec<_> = std::iter::repeat_n("openai:down", 1 + retries).chain(["gemini:ok"]).collect();
        assert_eq!(stack.asked(), [asked.clone(), asked].concat());
        stack.expect_no_leaks();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_whose_name_does_not_resolve_is_skipped() {
    let stack = Stack::builder()
        .configure(|config| {
            config.provider("lost", provider_at("openai", "http://does-not-exist.invalid/v1".to_owned()));
        })
        .models(["lost:m", "gemini:ok"])
        .start()
        .await;
    let reply = stack.prompt(json!({"prompt": "hi"})).await;
    assert_eq!((reply.status, reply.model(), reply.attempts()), (200, "gemini:ok", 2), "{}", reply.text());
    let streamed = stack.stream(json!({"prompt": "hi"})).await.rest().await;
    assert_eq!(streamed.header("x-ai-warp-model"), "gemini:ok");
    assert_eq!(stack.ask("lost:m").await.error(), (502, "PROVIDER_RESPONSE_ERROR".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_before_the_first_content_is_followed_by_the_next_model() {
    let all = FAULTS.iter().chain(FAULTS_OF_WHOLE_ANSWERS).copied();
    let stack = Stack::builder()
        .models(all.clone().chain(["gemini:ok"]))
        .set("limits.requestTimeout", "300ms")
        .start()
        .await;
    let mut wrong = Vec::new();
    for fault in all {
        let body = json!({"prompt": "hi", "models": [fault, "gemini:ok"]});
        let reply = stack.prompt(body.clone()).await;
        if (reply.status, reply.model(), reply.attempts()) != (200, "gemini:ok", 2) {
            wrong.push(format!("{fault}: {} {} {}", reply.status, reply.attempts(), reply.text()));
        }
        if FAULTS_OF_WHOLE_ANSWERS.contains(&fault) {
            continue;
        }
        let reply = stack.gateway().stream_as_reply(body).await;
        let well = reply.text().contains("event: end") && !reply.text().contains("event: error");
        if (reply.status, reply.model(), reply.attempts(), well) != (200, "gemini:ok", 2, true) {
            wrong.push(format!("{fault}, streamed: {} {} {}", reply.status, reply.attempts(), reply.text()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    stack.expect_no_leaks();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_the_provider_refuses_is_no_reason_to_ask_another() {
    for fault in ["openai:bad", "openai:unprocessable", "gemini:bad"] {
        let stack = Stack::builder().models([fault, "deepseek:ok"]).set("limits.retry.max", 1).start().await;
        for reply in [
            stack.prompt(json!({"prompt": "hi"})).await,
            stack.gateway().stream_as_reply(json!({"prompt": "hi"})).await,
        ] {
            assert_eq!(reply.error(), (400, "PROVIDER_BAD_REQUEST_ERROR".to_owned()), "{fault}");
            assert_eq!(reply.attempts(), 1, "{fault}");
            // The provider's own words, without our model in front.
            let message = reply.message();
            assert!(!message.is_empty() && !message.contains(fault), "{fault}: {message}");
        }
        assert_eq!(stack.asked(), [fault, fault]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_model_is_left_the_last_failure_is_the_answer() {
    let table = [
        ("openai:down", 502, "PROVIDER_RESPONSE_ERROR"),
        ("openai:m~status=500", 502, "PROVIDER_RESPONSE_ERROR"),
        ("openai:unauthorized", 502, "PROVIDER_RESPONSE_ERROR"),
        ("openai:missing", 502, "PROVIDER_RESPONSE_ERROR"),
        ("openai:html", 502, "PROVIDER_RESPONSE_ERROR"),
        ("openai:reset", 502, "PROVIDER_RESPONSE_ERROR"),
        ("openai:garbage", 502, "PROVIDER_RESPONSE_ERROR"),
        ("openai:error-event", 502, "PROVIDER_RESPONSE_ERROR"),
        ("openai:m~cut-headers", 502, "PROVIDER_RESPONSE_ERROR"),
        ("openai:limited", 429, "PROVIDER_RATE_LIMIT_ERROR"),
        ("openai:quota", 429, "PROVIDER_EXCEEDED_QUOTA_ERROR"),
        ("openai:empty", 502, "PROVIDER_RESPONSE_NO_CONTENT"),
        ("openai:slow", 504, "PROVIDER_REQUEST_TIMEOUT_ERROR"),
        ("openai:m~stall-headers", 504, "PROVIDER_REQUEST_TIMEOUT_ERROR"),
        ("deepseek:down", 502, "PROVIDER_RESPONSE_ERROR"),
        ("deepseek:limited", 429, "PROVIDER_RATE_LIMIT_ERROR"),
        ("deepseek:quota", 429, "PROVIDER_EXCEEDED_QUOTA_ERROR"),
        ("gemini:down", 502, "PROVIDER_RESPONSE_ERROR"),
        ("gemini:limited", 429, "PROVIDER_RATE_LIMIT_ERROR"),
        ("gemini:empty", 502, "PROVIDER_RESPONSE_NO_CONTENT"),
        ("refused:m", 502, "PROVIDER_RESPONSE_ERROR"),
    ];
    let refusing = Refusing::new();
    let refused = provider_at("openai", refusing.base_url());
    let stack = Stack::builder()
        .configure(|config| {
            config.provider("refused", refused);
        })
        .models(table.map(|(model, ..)| model))
        .set("limits.requestTimeout", "300ms")
        .start()
        .await;
    for (model, status, code) in table {
        // Alone, and as the last of two.
        for models in [json!([model]), json!(["openai:down", model])] {
            let attempts = models.as_array().unwrap().len();
            let body = json!({"prompt": "hi", "models": models});
            for reply in [stack.prompt(body.clone()).await, stack.gateway().stream_as_reply(body).await] {
                assert_eq!(reply.error(), (status, code.to_owned()), "{models}: {}", reply.text());
                assert_eq!(reply.attempts(), attempts, "{models}");
                assert!(reply.message().starts_with(model), "{models}: {}", reply.message());
                assert_eq!(reply.header("x-session-id"), "", "{models}");
                if code == "PROVIDER_RATE_LIMIT_ERROR" {
                    assert_eq!(reply.header("retry-after"), "7", "{models}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_limit_used_up_before_the_first_word_is_an_error_of_its_own() {
    let stack = Stack::builder().models(["openai:m~empty~finish=length"]).start().await;
    let reply = stack.prompt(json!({"prompt": "hi"})).await;
    assert_eq!(reply.error(), (502, "PROVIDER_RESPONSE_MAX_TOKENS_ERROR".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_recovers_is_retried_after_the_configured_wait() {
    let stack = Stack::builder()
        .models(["openai:m~fail-first=1", "gemini:ok"])
        .set("limits.retry", json!({"max": 1, "interval": "1s"}))
        .start()
        .await;
    let reply = stack.prompt(json!({"prompt": "hi"})).await;
    assert_eq!((reply.model(), reply.attempts()), ("openai:m~fail-first=1", 2), "{}", reply.text());
    let seen = stack.simulator.requests();
    let wait = seen[1].received_at - seen[0].received_at;
    assert!((0.9..2.0).contains(&wait.as_secs_f64()), "retried after {wait:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_may_name_one_model_twice() {
    let stack = Stack::builder().models(["openai:flaky", "gemini:ok"]).start().await;
    let reply = stack.prompt(json!({"prompt": "hi", "models": ["openai:flaky", "openai:flaky"]})).await;
    assert_eq!((reply.status, reply.attempts()), (200, 2), "{}", reply.text());
}
