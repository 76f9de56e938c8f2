//! Which models a request gets: by name, by list, by header; and what its route adds.

use ai_warp_tests::{ClientFormat, Question, Reply, Stack};
use reqwest::Method;
use serde_json::{Value, json};

fn config() -> Vec<(&'static str, Value)> {
    vec![
        ("models", json!(["openai:ok", "gemini:flash", "deepseek:both", "gemini:both"])),
        (
            "routes",
            json!([
                {"name": "fast", "models": ["gemini:flash"]},
                {
                    "name": "gold",
                    "models": ["deepseek:both"],
                    "match": {"headers": {"X-Tier": "gold"}},
                    "defaults": {"temperature": 0.5, "context": "be golden"},
                    "overrides": {"maxTokens": 33},
                },
            ]),
        ),
    ]
}

async fn stack() -> Stack {
    let builder =
        config().into_iter().fold(Stack::builder(), |builder, (path, value)| builder.set(path, value));
    builder.storage("none").start().await
}

async fn ask(stack: &Stack, headers: &[(&str, &str)], body: Value) -> Reply {
    let request = stack.gateway().request(Method::POST, "/v1/chat/completions");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    Reply::of(request.json(&body)).await
}

fn body(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hi"}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_asked_for_by_route_by_id_or_by_its_plain_name() {
    let stack = stack().await;
    for (name, model) in [
        ("default", "openai:ok"),
        ("fast", "gemini:flash"),
        ("gemini:both", "gemini:both"),
        ("flash", "gemini:flash"),
        ("ok", "openai:ok"),
    ] {
        let reply = ask(&stack, &[], body(name)).await;
        assert_eq!((reply.status, reply.model()), (200, model), "{name}: {}", reply.text());
    }
    // Two providers have a model of this name.
    for unknown in ["both", "nobody", "openai:nobody", ""] {
        let reply = ask(&stack, &[], body(unknown)).await;
        let (status, code, message) = ClientFormat::Chat.error(&reply);
        assert_eq!((status, code.as_str()), (404, "model_not_found"), "{unknown}");
        assert!(message.contains(unknown), "{message}");
        assert_eq!(reply.json()["error"]["param"], "model");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_tried_in_its_order() {
    let stack = Stack::builder().models(["openai:down", "gemini:ok", "deepseek:ok"]).start().await;
    let mut question = Question::new("", "hi");
    question.models = ["openai:down", "deepseek:ok"].map(str::to_owned).to_vec();
    let reply = ClientFormat::Chat.ask(stack.gateway(), &question, false).await;
    assert_eq!((reply.model(), reply.attempts()), ("deepseek:ok", 2));
    let mut body = body("openai:down");
    body["models"] = json!([]);
    let reply = ask(&stack, &[], body).await;
    assert_eq!(reply.json()["error"]["param"], "models");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_selects_a_route_and_the_route_sets_options() {
    let stack = stack().await;
    let reply = ask(&stack, &[("x-tier", "gold")], body("whatever-the-sdk-says")).await;
    let text = "deepseek/both: hi [system=be golden] [history=0] [temperature=0.5] [max=33]";
    assert_eq!(ClientFormat::Chat.read(&reply, false).text, text);
    // What the client says is stronger than a default, and weaker than an override.
    let mut told = body("x");
    told["temperature"] = json!(1.5);
    told["max_tokens"] = json!(7);
    told["messages"] = json!([{"role": "system", "content": "mine"}, {"role": "user", "content": "hi"}]);
    let reply = ask(&stack, &[("x-tier", "gold")], told).await;
    let text = "deepseek/both: hi [system=mine] [history=0] [temperature=1.5] [max=33]";
    assert_eq!(ClientFormat::Chat.read(&reply, false).text, text);
    // A route or a model that is named outright is meant.
    let reply = ask(&stack, &[("x-tier", "gold")], body("fast")).await;
    assert_eq!(reply.model(), "gemini:flash");
    let reply = ask(&stack, &[("x-tier", "gold")], body("openai:ok")).await;
    assert_eq!(reply.model(), "openai:ok");
    let reply = ask(&stack, &[("x-tier", "silver")], body("ok")).await;
    assert_eq!(reply.model(), "openai:ok");
    // The unified API has headers as well.
    let request = stack.gateway().request(Method::POST, "/api/v1/prompt").header("x-tier", "gold");
    let reply = Reply::of(request.json(&json!({"prompt": "hi"}))).await;
    assert_eq!(reply.model(), "deepseek:both");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_a_route_hold_whichever_model_answers() {
    let stack = Stack::builder()
        .models(["openai:down", "gemini:down", "deepseek:ok"])
        .set(
            "routes",
            json!([
                {
                    "name": "small",
                    "models": ["deepseek:ok", "gemini:down"],
                    "limits": {"rate": {"max": 2, "timeWindow": "1h"}, "maxTokens": 20},
                },
                {"name": "short", "models": ["openai:down", "gemini:down", "deepseek:ok"], "limits": {"maxAttempts": 2}},
            ]),
        )
        .start()
        .await;
    let reply = ask(&stack, &[], body("small")).await;
    assert!(ClientFormat::Chat.read(&reply, false).text.ends_with("[max=20]"), "{}", reply.text());
    assert_eq!(ask(&stack, &[], body("small")).await.status, 200);
    let reply = ask(&stack, &[], body("small")).await;
    let (status, code, message) = ClientFormat::Chat.error(&reply);
    assert_eq!((status, code.as_str()), (429, "rate_limit_exceeded"));
    assert!(message.contains("route") && !reply.header("retry-after").is_empty(), "{message}");
    // The model itself goes on for others.
    assert_eq!(ask(&stack, &[], body("deepseek:ok")).await.status, 200);
    let reply = ask(&stack, &[], body("short")).await;
    assert_eq!((reply.status, reply.attempts()), (502, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_are_listed_and_change_at_run_time() {
    let mut stack = stack().await;
    let ids = |reply: &Reply| {
        let json = reply.json();
        let data = json["data"].as_array().unwrap();
        data.iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let known = ["default", "fast", "gold", "openai:ok", "gemini:flash", "deepseek:both", "gemini:both"];
    let list = stack.gateway().get("/v1/models").await;
    assert_eq!(
        (list.json()["object"].as_str(), ids(&list)),
        (Some("list"), known.map(str::to_owned).to_vec())
    );
    let request =
        stack.gateway().request(Method::GET, "/v1/models").header("anthropic-version", "2023-06-01");
    let list = Reply::of(request).await;
    assert_eq!(
        (list.json()["last_id"].as_str(), ids(&list)),
        (Some("gemini:both"), known.map(str::to_owned).to_vec())
    );
    for (path, status) in [
        ("/v1/models/fast", 200),
        ("/v1/models/openai:ok", 200),
        ("/v1/models/openai%3Aok", 200),
        ("/v1/models/x", 404),
    ] {
        assert_eq!(stack.gateway().get(path).await.status, status, "{path}");
    }
    let posted = Reply::of(stack.gateway().request(Method::POST, "/v1/models")).await;
    assert_eq!((posted.status, posted.header("allow")), (405, "GET"));

    stack
        .reconfigure(|config| {
            config.set("routes", json!([{"name": "newer", "models": ["openai:ok"]}]));
        })
        .await;
    assert_eq!(ask(&stack, &[], body("newer")).await.model(), "openai:ok");
    assert_eq!(ask(&stack, &[], body("fast")).await.status, 404);
    let list = stack.gateway().get("/v1/models").await;
    assert_eq!(ids(&list)[..2], ["default", "newer"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_with_the_field() {
    let stack = stack().await;
    for (body, param, words) in [
        (json!({"model": "ok"}), "messages", "missing"),
        (json!({"model": "ok", "messages": []}), "messages", "empty"),
        (json!({"model": "ok", "messages": [{"role": "boss", "content": "x"}]}), "messages", "boss"),
        (json!({"model": 7, "messages": []}), "model", "expected a string"),
        (
            json!({"model": "ok", "messages": [{"role": "user", "content": "x"}], "temperature": "hot"}),
            "temperature",
            "hot",
        ),
        (
            json!({"model": "ok", "messages": [{"role": "user", "content": "x"}], "tools": [{"type": "function"}]}),
            "tools",
            "missing",
        ),
    ] {
        let reply = ask(&stack, &[], body.clone()).await;
        let (status, _, message) = ClientFormat::Chat.error(&reply);
        assert_eq!((status, &reply.json()["error"]["param"]), (400, &json!(param)), "{body}: {message}");
        assert!(message.contains(words), "{body}: {message}");
    }
    let reply = Reply::of(stack.gateway().request(Method::POST, "/v1/chat/completions").body("{")).await;
    assert_eq!(ClientFormat::Chat.error(&reply).0, 400);
    let reply = Reply::of(stack.gateway().request(Method::GET, "/v1/chat/completions")).await;
    assert_eq!(ClientFormat::Chat.error(&reply).0, 405);
}
