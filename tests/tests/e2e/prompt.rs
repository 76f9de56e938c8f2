//! A prompt and its answer: the unified API towards clients, each provider's own towards providers.

use ai_warp_simulator::Provider;
use ai_warp_tests::Stack;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_text_result_and_session() {
    let stack = Stack::builder().start().await;
    let reply = stack.prompt(json!({"prompt": "Say hello."})).await;
    let session: Uuid = reply.session().parse().unwrap();
    let expected = json!({
        "text": "openai/ok: Say hello. [system=-] [history=0] [temperature=-] [max=-]",
        "result": "COMPLETE",
        "sessionId": session,
        "usage": {"inputTokens": 2, "outputTokens": 7},
    });
    assert_eq!(reply.json(), expected);
    assert_eq!(reply.header("x-session-id"), session.to_string());
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!((reply.model(), reply.attempts()), ("openai:ok", 1));
    assert_eq!(reply.header("x-ai-warp-stored"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_provider_is_asked_in_its_own_words() {
    for (model, path, stream_path) in [
        ("openai:ok", "/openai/v1/chat/completions", "/openai/v1/chat/completions"),
        ("deepseek:ok", "/deepseek/chat/completions", "/deepseek/chat/completions"),
        (
            "gemini:ok",
            "/gemini/v1beta/models/ok:generateContent",
            "/gemini/v1beta/models/ok:streamGenerateContent?alt=sse",
        ),
    ] {
        let stack = Stack::builder().models([model]).start().await;
        let provider = model.replace(':', "/");
        let text = format!("{provider}: hi [system=-] [history=0] [temperature=-] [max=-]");
        let reply = stack
            .gateway()
            .request(Method::POST, "/api/v1/prompt")
            // None of this is a provider's business.
            .header("cookie", "a=b")
            .header("authorization", "Bearer of-the-client")
            .header("x-goog-api-key", "of-the-client")
            .header("x-ai-warp-anything", "1")
            .json(&json!({"prompt": "hi"}));
        assert_eq!(ai_warp_tests::Reply::of(reply).await.answer(), text);
        let streamed = stack.stream(json!({"prompt": "hi"})).await.rest().await;
        assert_eq!((streamed.text(), &streamed.end()["text"]), (text.clone(), &json!(text)));

        let requests = stack.simulator.requests();
        let paths: Vec<&str> = requests.iter().map(|request| request.path.as_str()).collect();
        assert_eq!(paths, [path, stream_path]);
        for request in &requests {
            assert_eq!((request.method.as_str(), request.status), ("POST", Some(200)), "{model}");
            assert_eq!(request.credential.as_deref(), Some("sim-key"), "{model}");
            assert_eq!(request.header("content-type"), Some("application/json"), "{model}");
            assert_eq!(request.header("host"), Some(stack.simulator.address().to_string().as_str()));
        }
        stack.expect_no_leaks();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_options_reach_every_provider() {
    let models = Provider::CORE.map(|provider| format!("{provider}:ok"));
    let stack = Stack::builder().models(models.clone()).start().await;
    for model in models {
        let options = json!({
            "prompt": "and now?",
            "context": {"role": "a pirate", "rules": [1, 2]},
            "temperature": 0.5,
            "maxTokens": 100,
            "history": [{"prompt": "a", "response": "b"}, {"prompt": "c", "response": "d"}],
            "models": [model],
        });
        let provider = model.replace(':', "/");
        let text = format!(
            "{provider}: and now? [system={{\"role\":\"a pirate\",\"rules\":[1,2]}}] [history=4] [temperature=0.5] [max=100]"
        );
        assert_eq!(stack.prompt(options.clone()).await.answer(), text);
        assert_eq!(stack.stream(options).await.rest().await.text(), text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_may_be_named_by_its_parts() {
    let stack = Stack::builder().models(["openai:ok", "gemini:ok"]).start().await;
    let models = json!([{"provider": "gemini", "model": "ok"}]);
    let reply = stack.prompt(json!({"prompt": "hi", "models": models})).await;
    assert_eq!((reply.status, reply.model()), (200, "gemini:ok"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_content_type_of_the_request_does_not_matter() {
    let stack = Stack::builder().start().await;
    for content_type in [None, Some("application/x-www-form-urlencoded"), Some("text/plain; charset=utf-8")] {
        let mut request = stack.gateway().request(Method::POST, "/api/v1/prompt");
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let reply = ai_warp_tests::Reply::of(request.body(r#"{"prompt":"hi"}"#)).await;
        assert_eq!(reply.status, 200, "{content_type:?}: {}", reply.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_smaller_token_limit_wins_and_the_general_one_stands_in() {
    let limited = json!({"provider": "openai", "model": "limited-to-50", "limits": {"maxTokens": 50}});
    let stack =
        Stack::builder().models([limited, json!("openai:free")]).set("limits.maxTokens", 70).start().await;
    for (model, asked, sent) in [
        ("openai:limited-to-50", Value::Null, 50),
        ("openai:limited-to-50", json!(20), 20),
        ("openai:limited-to-50", json!(90), 50),
        ("openai:free", Value::Null, 70),
        ("openai:free", json!(90), 90),
    ] {
        let reply = stack.prompt(json!({"prompt": "hi", "models": [model], "maxTokens": asked})).await;
        let answer = reply.answer();
        assert!(answer.ends_with(&format!("[max={sent}]")), "{model}, asked for {asked}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_cut_by_the_token_limit_says_so() {
    let models = Provider::CORE.map(|provider| format!("{provider}:ok"));
    let stack = Stack::builder().models(models.clone()).start().await;
    for model in models {
        let body = json!({"prompt": "!words 5", "maxTokens": 2, "models": [model]});
        let reply = stack.prompt(body.clone()).await;
        assert_eq!(
            (reply.answer().as_str(), &reply.json()["result"]),
            ("word1 word2", &json!("INCOMPLETE_MAX_TOKENS"))
        );
        let streamed = stack.stream(body).await.rest().await;
        assert_eq!(streamed.text(), "word1 word2");
        assert_eq!(streamed.end()["result"], "INCOMPLETE_MAX_TOKENS", "{model}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_a_filter_withheld_is_incomplete_for_unknown_reasons() {
    let models = ["openai:m~content-filter", "gemini:m~content-filter", "gemini:m~prompt-blocked"];
    let stack = Stack::builder().models(models).start().await;
    for model in models {
        let body = json!({"prompt": "hi", "models": [model, "openai:m~content-filter"]});
        let reply = stack.prompt(body.clone()).await;
        assert_eq!((reply.status, reply.model()), (200, model), "{}", reply.text());
        assert_eq!(reply.json()["result"], "INCOMPLETE_UNKNOWN", "{model}");
        let streamed = stack.stream(body).await.rest().await;
        assert_eq!(streamed.end()["result"], "INCOMPLETE_UNKNOWN", "{model}");
        assert_eq!(streamed.end()["text"], streamed.text(), "{model}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_prompts_and_answers_pass_whole() {
    let stack = Stack::builder().models(["openai:m~bytes=3000000", "gemini:m~bytes=3000000"]).start().await;
    let prompt = "é".repeat(1_000_000);
    for model in ["openai:m~bytes=3000000", "gemini:m~bytes=3000000"] {
        let body = json!({"prompt": prompt, "models": [model]});
        assert_eq!(stack.prompt(body.clone()).await.answer().len(), 3_000_000, "{model}");
        let streamed = stack.stream(body).await.rest().await;
        assert_eq!(streamed.text().len(), 3_000_000, "{model}");
        assert_eq!(streamed.end()["result"], "COMPLETE", "{model}");
    }
    let sent = stack.simulator.requests_for("m~bytes=3000000");
    assert_eq!(sent[0].body["messages"][0]["content"], prompt);
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_and_the_session_header_are_what_the_configuration_says() {
    let stack = Stack::builder()
        .set("promptPath", "/ask")
        .set("streamPath", "/ask/stream")
        .set("headerSessionIdName", "X-Conversation")
        .start()
        .await;
    let reply = stack.gateway().post("/ask?a=b", &json!({"prompt": "hi"})).await;
    assert_eq!(reply.header("x-conversation"), reply.session());
    let reply = stack.gateway().post("/ask/stream", &json!({"prompt": "hi"})).await;
    assert_eq!(reply.header("content-type"), "text/event-stream");
    assert_eq!(stack.prompt(json!({"prompt": "hi"})).await.error(), (404, "NOT_FOUND".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_a_provider_are_sent_as_they_are_written() {
    let value = "100% of %REQ(host)% and %%";
    let stack = Stack::builder().set("providers.openai.headers", json!({"x-note": value})).start().await;
    assert_eq!(stack.prompt(json!({"prompt": "hi"})).await.status, 200);
    assert_eq!(stack.simulator.requests()[0].header("x-note"), Some(value));
}
