//! What a client sends is passed on, told to be left out, or refused; never lost without a word.

use ai_warp_tests::{ClientFormat, Question, Reply, Stack, dropped};
use reqwest::Method;
use serde_json::{Value, json};

fn chat(model: &str, more: Value) -> Value {
    let mut body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

async fn ask(stack: &Stack, path: &str, body: &Value) -> Reply {
    stack.gateway().post(path, body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_nobody_here_knows_reach_a_provider_of_the_same_format() {
    let stack = Stack::builder().every_provider().storage("none").start().await;
    let more = json!({
        "metadata": {"b": "1", "a": "2"},
        "service_tier": "flex",
        "prompt_cache_key": "k",
        "messages": [{"role": "user", "name": "Ann", "content": [{"type": "text", "text": "hi", "x_part": [1.0]}]}],
        "min_p": 0.5,
    });
    // A server that takes anything.
    let reply = ask(&stack, "/v1/chat/completions", &chat("vllm:ok", more.clone())).await;
    assert_eq!((reply.status, dropped(&reply.headers)), (200, Vec::new()), "{}", reply.text());
    let seen = &stack.simulator.requests_for("ok")[0].body;
    for field in ["metadata", "service_tier", "prompt_cache_key", "messages", "min_p"] {
        assert_eq!(seen[field], more[field], "{field}");
    }
    let cached = json!([{"role": "user", "content": [
        {"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}},
    ]}]);
    let body = json!({
        "model": "anthropic:cached", "max_tokens": 9, "messages": cached, "service_tier": "auto",
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
    });
    let request = stack.gateway().request(Method::POST, "/v1/messages").header("anthropic-beta", "a,b");
    let reply = Reply::of(request.header("anthropic-version", "2023-06-01").json(&body)).await;
    assert_eq!((reply.status, dropped(&reply.headers)), (200, Vec::new()), "{}", reply.text());
    let seen = &stack.simulator.requests_for("cached")[0];
    for field in ["messages", "system", "service_tier"] {
        assert_eq!(seen.body[field], body[field], "{field}");
    }
    assert_eq!(
        (seen.header("anthropic-beta"), seen.header("anthropic-version")),
        (Some("a,b"), Some("2023-06-01"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_nobody_here_knows_come_back_from_a_provider_of_the_same_format() {
    let stack = Stack::builder().every_provider().storage("none").start().await;
    for (format, providers) in [
        (
            ClientFormat::Chat,
            ["openai", "azure", "deepseek", "mistral", "groq", "ollama", "vllm", "together"].as_slice(),
        ),
        (ClientFormat::Messages, ["anthropic"].as_slice()),
    ] {
        for provider in providers {
            for stream in [false, true] {
                let question = Question::new(&format!("{provider}:ok~extra"), "hi");
                let reply = format.ask(stack.gateway(), &question, stream).await;
                format.read(&reply, stream);
                let kept = reply.text().matches(r#""x_simulator":{"kept":true}"#).count();
                assert!(if stream { kept > 2 } else { kept == 1 }, "{provider} {stream}: {}", reply.text());
                let is_within =
                    format == ClientFormat::Messages || reply.text().contains(r#""x_note":"kept""#);
                assert!(is_within, "{provider} {stream}: {}", reply.text());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_cannot_take_is_left_out_and_told() {
    let stack = Stack::builder().every_provider().storage("none").start().await;
    let body = chat(
        "anthropic:ok",
        json!({"seed": 7, "logit_bias": {"1": 2}, "presence_penalty": 0.5, "metadata": {"a": "b"}}),
    );
    let reply = ask(&stack, "/v1/chat/completions", &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let mut told = dropped(&reply.headers);
    told.sort_unstable();
    assert_eq!(told, ["logit_bias", "metadata", "presence_penalty", "seed"]);
    // A reasoning model does not sample.
    let reply =
        ask(&stack, "/v1/chat/completions", &chat("openai:gpt-5-mini", json!({"temperature": 0.3}))).await;
    assert_eq!(
        (reply.status, dropped(&reply.headers)),
        (200, vec!["temperature".to_owned()]),
        "{}",
        reply.text()
    );
    // What would make another answer of it is refused, by name.
    for (model, more, field) in [
        ("anthropic:ok", json!({"n": 2}), "n"),
        (
            "deepseek:ok",
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}}),
            "response_format",
        ),
        (
            "gemini:ok",
            json!({"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]}),
            "messages.content.type",
        ),
        ("bedrock:ok", json!({"tools": [{"type": "web_search"}]}), "tools.type"),
    ] {
        let reply = ask(&stack, "/v1/chat/completions", &chat(model, more)).await;
        let (status, _, message) = ClientFormat::Chat.error(&reply);
        assert_eq!((status, &reply.json()["error"]["param"]), (400, &json!(field)), "{model}: {message}");
        assert!(stack.simulator.requests().iter().all(|request| request.status == Some(200)), "{model}");
    }
    // Unless another model can.
    let body = chat("anthropic:ok", json!({"n": 2, "models": ["anthropic:ok", "openai:ok"]}));
    let reply = ask(&stack, "/v1/chat/completions", &body).await;
    assert_eq!((reply.model(), reply.attempts()), ("openai:ok", 1));
    assert_eq!(reply.json()["choices"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_out_inside_of_messages_and_tools_is_told() {
    let models = json!(["vllm:ok", "gemini:ok", "openai:ok", "anthropic:claude-opus-4-6"]);
    let stack = Stack::builder().every_provider().models(models.as_array().unwrap().clone()).start().await;
    let cached = json!({"type": "ephemeral"});
    let in_chat = json!({
        "messages": [
            {"role": "user", "x_mood": "good", "content": [
                {"type": "text", "text": "hi", "cache_control": cached},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "low"}},
            ]},
        ],
        "tools": [{"type": "function", "cache_control": cached, "function": {"name": "f", "x_kind": 1}}],
    });
    let in_messages = json!({
        "max_tokens": 9,
        "system": [{"type": "text", "text": "s", "cache_control": cached}],
        "thinking": {"type": "adaptive", "display": "omitted"},
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": cached}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "no", "is_error": true},
            ]},
        ],
        "tools": [{"name": "f", "input_schema": {"type": "object"}, "cache_control": cached}],
    });
    let in_responses = json!({
        "input": [{"role": "user", "phase": "x", "content": [{"type": "input_text", "text": "hi", "x_part": 1}]}],
        "text": {"verbosity": "low"},
    });
    let of_content = "messages.content.cache_control";
    for (path, model, fields, expected) in [
        ("/v1/chat/completions", "vllm:ok", &in_chat, vec![]),
        (
            "/v1/chat/completions",
            "gemini:ok",
            &in_chat,
            vec![
                of_content,
                "messages.content.image_url.detail",
                "messages.x_mood",
                "tools.cache_control",
                "tools.function.x_kind",
            ],
        ),
        ("/v1/messages", "anthropic:claude-opus-4-6", &in_messages, vec![]),
        (
            "/v1/messages",
            "openai:ok",
            &in_messages,
            vec![
                of_content,
                "messages.content.is_error",
                "system.cache_control",
                "thinking.display",
                "tools.cache_control",
            ],
        ),
        (
            "/v1/responses",
            "openai:ok",
            &in_responses,
            vec!["input.content.x_part", "input.phase", "text.verbosity"],
        ),
    ] {
        let mut body = fields.clone();
        body["model"] = json!(model);
        let reply = ask(&stack, path, &body).await;
        assert_eq!(reply.status, 200, "{model}: {}", reply.text());
        let mut told = dropped(&reply.headers);
        told.sort_unstable();
        assert_eq!(told, expected, "{path} {model}");
    }
    // What a session remembers goes in front of the messages, which are then written anew.
    let told_of = async |session: &str| {
        let mut body = in_messages.clone();
        body["model"] = json!("anthropic:claude-opus-4-6");
        body["messages"] = json!([in_messages["messages"][0]]);
        let request = stack.gateway().request(Method::POST, "/v1/messages").header("x-session-id", session);
        let reply = Reply::of(request.json(&body)).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        (reply.headers["x-session-id"].to_str().unwrap().to_owned(), dropped(&reply.headers))
    };
    let (session, told) = told_of("new").await;
    assert_eq!(told, Vec::<String>::new());
    let (_, mut told) = told_of(&session).await;
    told.sort_unstable();
    assert_eq!(told, [of_content, "system.cache_control"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_route_refuses_what_would_be_left_out() {
    let stack = Stack::builder()
        .every_provider()
        .models(json!(["anthropic:ok", "openai:ok", {"provider": "vllm", "model": "small", "unsupported": ["seed"]}]).as_array().unwrap().clone())
        .set("routes", json!([
            {"name": "strict", "models": ["anthropic:ok"], "strict": true},
            {"name": "either", "models": ["anthropic:ok", "openai:ok"], "strict": true},
        ]))
        .storage("none")
        .start()
        .await;
    let reply = ask(&stack, "/v1/chat/completions", &chat("strict", json!({"seed": 7}))).await;
    let (status, _, message) = ClientFormat::Chat.error(&reply);
    assert_eq!((status, &reply.json()["error"]["param"]), (400, &json!("seed")), "{message}");
    assert_eq!(stack.simulator.requests().len(), 0);
    let reply = ask(&stack, "/v1/chat/completions", &chat("either", json!({"seed": 7}))).await;
    assert_eq!((reply.model(), dropped(&reply.headers)), ("openai:ok", Vec::new()));
    let reply = ask(&stack, "/v1/chat/completions", &chat("strict", json!({}))).await;
    assert_eq!(reply.model(), "anthropic:ok");
    // What the configuration says of a model counts as well.
    let reply = ask(&stack, "/v1/chat/completions", &chat("vllm:small", json!({"seed": 7}))).await;
    assert_eq!((reply.status, dropped(&reply.headers)), (200, vec!["seed".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_fields_stay_within_their_header() {
    let stack = Stack::builder().every_provider().storage("none").start().await;
    let body = chat("gemini:ok", json!({"a\r\nset-cookie: b=c": 1, "d,é": 2, "x".repeat(100_000): 3}));
    let reply = ask(&stack, "/v1/chat/completions", &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(reply.headers.get("set-cookie").is_none(), "{:?}", reply.headers);
    let mut told = dropped(&reply.headers);
    told.sort_unstable();
    assert_eq!(told, ["a??set-cookie:?b=c", "d??", &"x".repeat(64)]);
    // Far more fields than any format has are refused before anything is done with them.
    let many = (0..100_000).map(|index| (format!("f{index}"), json!(1))).collect();
    let reply = ask(&stack, "/v1/chat/completions", &chat("gemini:ok", Value::Object(many))).await;
    assert_eq!(ClientFormat::Chat.error(&reply).0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_where_nothing_is_are_told_in_the_words_of_their_clients() {
    let stack = Stack::builder().storage("none").start().await;
    for (path, format, word) in [
        ("/v1/messages/count_tokens", ClientFormat::Messages, "not_found_error"),
        ("/v1/completions", ClientFormat::Chat, "not_found"),
        ("/v1/responses/resp_1", ClientFormat::Responses, "not_found"),
        ("/api/v2", ClientFormat::Unified, "NOT_FOUND"),
    ] {
        let (status, told, message) = format.error(&ask(&stack, path, &json!({})).await);
        assert_eq!((status, told.as_str()), (404, word), "{path}: {message}");
    }
}
