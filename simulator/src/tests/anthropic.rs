//! Anthropic Messages: answers, streams, tools, and what is refused.

use serde_json::{Value, json};

use super::client::{Reply, send};
use super::{ask, headers, post, question, start, text};
use crate::{Outcome, Provider, Simulator};

const PATH: &str = "/anthropic/v1/messages";
const A: Provider = Provider::Anthropic;

fn tools() -> Value {
    let schema = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
    json!([
        { "name": "get_weather", "description": "Weather", "input_schema": schema },
        { "type": "custom", "name": "ping", "input_schema": { "type": "object" } },
    ])
}

/// A minimal request with `change` applied.
fn body(change: &Value) -> Value {
    let mut body = question(A, "m", "hi", false).1;
    for (name, value) in change.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

async fn changed(simulator: &Simulator, change: Value) -> Reply {
    post(simulator, A, PATH, &body(&change)).await
}

fn user(content: Value) -> Value {
    json!({ "role": "user", "content": content })
}

fn assistant(content: Value) -> Value {
    json!({ "role": "assistant", "content": content })
}

fn call(id: &str) -> Value {
    json!({ "type": "tool_use", "id": id, "name": "ping", "input": {} })
}

fn result(id: &str) -> Value {
    json!({ "type": "tool_result", "tool_use_id": id, "content": "pong" })
}

fn text_block(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

/// Names and data of all events.
fn named(reply: &Reply) -> Vec<(String, Value)> {
    let event = |event: &str| {
        let (name, data) = event.split_once('\n')?;
        let data: Value = serde_json::from_str(data.strip_prefix("data: ")?).unwrap();
        Some((name.strip_prefix("event: ")?.to_owned(), data))
    };
    let events: Vec<_> = reply.body.split_terminator("\n\n").map(|text| event(text).unwrap()).collect();
    assert!(events.iter().all(|(name, data)| data["type"] == name.as_str()));
    events
}

fn joined(events: &[(String, Value)], pointer: &str) -> String {
    events.iter().filter_map(|(_, data)| data.pointer(pointer)?.as_str()).collect()
}

#[tokio::test]
async fn a_message_is_answered_with_all_it_says() {
    let simulator = start().await;
    let change = json!({
        "system": [
            text_block("be kind"),
            { "type": "text", "text": "be brief", "cache_control": { "type": "ephemeral" } },
        ],
        "messages": [user("one".into()), assistant("two".into()), user(json!([
            text_block("three"),
            { "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": "AAAA" } },
            { "type": "image", "source": { "type": "url", "url": "https://x.test/a.png" } },
        ]))],
        "temperature": 0.5,
        "tools": tools(),
    });
    let reply = changed(&simulator, change).await;
    let expected = "anthropic/m: three [system=be kind\nbe brief] [history=2] [temperature=0.5] [max=1000] \
                    [tools=get_weather,ping] [images=image/png:3,url:https://x.test/a.png]";
    let json = reply.json();
    assert_eq!((reply.status, text(A, &json).as_str()), (200, expected));
    assert!(reply.header("request-id").unwrap().starts_with("req_"));
    assert_eq!(
        (&json["type"], &json["role"], &json["model"]),
        (&json!("message"), &json!("assistant"), &json!("m"))
    );
    assert_eq!((&json["stop_reason"], &json["stop_sequence"]), (&json!("end_turn"), &Value::Null));
    assert_eq!(json["usage"]["input_tokens"], 7);
    assert_eq!(json["usage"]["output_tokens"], text(A, &json).split_whitespace().count());
    assert_eq!(simulator.requests()[0].outcome, Outcome::Answered);
}

#[tokio::test]
async fn a_stream_has_named_events_in_the_order_of_the_provider() {
    let simulator = start().await;
    let reply = ask(&simulator, A, "m~cached=1", "!words 2", true).await;
    assert_eq!(reply.header("content-type"), Some("text/event-stream; charset=utf-8"));
    let events = named(&reply);
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(names, expected);
    let message = &events[0].1["message"];
    assert_eq!((&message["content"], &message["stop_reason"]), (&json!([]), &Value::Null));
    let start = &message["usage"];
    assert_eq!((&start["input_tokens"], &start["cache_read_input_tokens"]), (&json!(1), &json!(1)));
    // Cumulative, and not what comes on top of the first count.
    assert_eq!((&start["output_tokens"], &events[6].1["usage"]["output_tokens"]), (&json!(1), &json!(2)));
    assert_eq!(events[6].1["delta"], json!({ "stop_reason": "end_turn", "stop_sequence": null }));
    assert_eq!(joined(&events, "/delta/text"), "word1 word2");
}

#[tokio::test]
async fn tool_calls_keep_their_exact_text_in_blocks_counted_with_all_others() {
    let simulator = start().await;
    let exact = r#"{"city":  "Paris", "b": 1.0, "a": [1e3]}"#;
    let said = format!("!say One moment. ;; call get_weather {exact} ;; ping");
    let change = json!({ "model": "m~thoughts", "messages": [user(said.into())], "tools": tools() });
    let whole = changed(&simulator, change.clone()).await;
    assert!(whole.body.contains(&format!("\"input\":{exact}")), "{}", whole.body);
    let json = whole.json();
    assert_eq!(json["stop_reason"], "tool_use");
    let kinds: Vec<_> = json["content"].as_array().unwrap().iter().map(|block| &block["type"]).collect();
    assert_eq!(kinds, ["thinking", "text", "tool_use", "tool_use"]);
    assert_eq!(json["content"][3]["input"], json!({}));
    let mut change = change;
    change["stream"] = true.into();
    let events = named(&changed(&simulator, change).await);
    let starts: Vec<_> =
        events.iter().filter(|(name, _)| name == "content_block_start").map(|(_, data)| data).collect();
    let stops = events.iter().filter(|(name, _)| name == "content_block_stop").count();
    assert_eq!((starts.len(), stops), (4, 4));
    for (index, start) in starts.iter().enumerate() {
        assert_eq!(start["index"], index);
    }
    assert_eq!(
        (&starts[2]["content_block"]["input"], &starts[2]["content_block"]["name"]),
        (&json!({}), &json!("get_weather"))
    );
    let block = |index: usize| -> Vec<(String, Value)> {
        events.iter().filter(|(_, data)| data["index"] == index).cloned().collect()
    };
    assert_eq!(joined(&block(0), "/delta/thinking"), "Let me think about it.");
    assert!(!joined(&block(0), "/delta/signature").is_empty());
    assert_eq!(joined(&block(2), "/delta/partial_json"), exact);
    // A call without arguments sends one empty fragment.
    let fragments: Vec<_> =
        block(3).iter().filter_map(|(_, data)| data.pointer("/delta/partial_json").cloned()).collect();
    assert_eq!(fragments, [json!("")]);
}

#[tokio::test]
async fn results_come_back_by_the_names_of_their_calls() {
    let simulator = start().await;
    let messages = json!([
        user("hi".into()),
        assistant(json!([
            text_block("Wait."),
            call("t1"),
            { "type": "tool_use", "id": "t2", "name": "get_weather", "input": { "a": 1 } },
        ])),
        user(json!([
            {
                "type": "tool_result",
                "tool_use_id": "t2",
                "content": [text_block("sunny"), text_block(" and warm")],
            },
            result("t1"),
        ])),
    ]);
    let reply = changed(&simulator, json!({ "messages": messages, "tools": tools() })).await;
    assert_eq!(text(A, &reply.json()), "results: ping=pong; get_weather=sunny and warm");
}

#[tokio::test]
async fn choices_schemas_and_forced_tools_decide_the_answer() {
    let simulator = start().await;
    let forced = json!({ "tools": tools(), "tool_choice": { "type": "tool", "name": "ping" } });
    let json = changed(&simulator, forced).await.json();
    assert_eq!((&json["content"][0]["name"], &json["stop_reason"]), (&json!("ping"), &json!("tool_use")));
    let single = json!({
        "messages": [user("!call ping ;; get_weather".into())],
        "tools": tools(),
        "tool_choice": { "type": "auto", "disable_parallel_tool_use": true },
    });
    assert_eq!(changed(&simulator, single).await.json()["content"].as_array().unwrap().len(), 1);
    let none = json!({
        "messages": [user("!call ping".into())],
        "tools": tools(),
        "tool_choice": { "type": "none" },
    });
    assert!(text(A, &changed(&simulator, none).await.json()).starts_with("anthropic/m: !call ping"));
    let schema = json!({
        "type": "object",
        "properties": { "z": { "type": "integer" }, "a": { "type": "string" } },
        "additionalProperties": false,
    });
    let format = json!({ "type": "json_schema", "schema": schema });
    let output = json!({ "output_config": { "effort": "low", "format": format } });
    assert_eq!(text(A, &changed(&simulator, output).await.json()), r#"{"z":7,"a":"text"}"#);
}

#[tokio::test]
async fn a_request_that_breaks_the_rules_is_refused() {
    let simulator = start().await;
    let messages = |list: Value| json!({ "messages": list, "tools": tools() });
    let image = |media_type: &str, data: &str| {
        let source = json!({ "type": "base64", "media_type": media_type, "data": data });
        messages(json!([user(json!([{ "type": "image", "source": source }]))]))
    };
    let thinking = |thinking: Value| json!({ "max_tokens": 2000, "thinking": thinking });
    let budget = json!({ "type": "enabled", "budget_tokens": 1024 });
    let cached = || json!({ "type": "text", "text": "x", "cache_control": { "type": "ephemeral" } });
    let table = [
        (json!({ "n": 1 }), "n: Extra inputs are not permitted"),
        (json!({ "stop": ["x"] }), "stop: Extra inputs are not permitted"),
        (json!({ "max_tokens": null }), "max_tokens: Field required"),
        (json!({ "max_tokens": 0 }), "greater than or equal to 1"),
        (json!({ "max_tokens": "5" }), "max_tokens: Input should be a valid integer"),
        (json!({ "model": "" }), "model: "),
        (json!({ "temperature": 1.5 }), "temperature: Input should be less than or equal to 1"),
        (json!({ "stop_sequences": [" "] }), "non-whitespace"),
        (json!({ "metadata": { "user": "x" } }), "metadata.user: Extra inputs are not permitted"),
        (json!({ "service_tier": "flex" }), "service_tier"),
        (json!({ "system": [text_block("")] }), "text content blocks must be non-empty"),
        (json!({ "messages": [] }), "at least one message"),
        (messages(json!([assistant("x".into())])), "first message must use"),
        (messages(json!([{ "role": "system", "content": "x" }])), "Unexpected role \"system\""),
        (messages(json!([{ "role": "tool", "content": "x" }])), "'user' or 'assistant'"),
        (messages(json!([{ "role": "user", "content": "x", "name": "y" }])), "messages.0.name: Extra inputs"),
        (messages(json!([user("".into())])), "non-empty content"),
        (messages(json!([user(json!([]))])), "non-empty content"),
        (messages(json!([user(json!([text_block("")]))])), "text content blocks must be non-empty"),
        (messages(json!([user(json!([text_block("  ")]))])), "non-whitespace text"),
        (messages(json!([user(json!([{ "type": "image_url" }]))])), "Input tag 'image_url'"),
        (messages(json!([user("x".into()), assistant("y ".into())])), "trailing whitespace"),
        (messages(json!([user(json!([call("t1")]))])), "can only be in `assistant` messages"),
        (
            messages(json!([user("x".into()), assistant(json!([result("t1")]))])),
            "can only be in `user` messages",
        ),
        (
            messages(json!([user("x".into()), assistant(json!([call("t1")]))])),
            "messages.1: `tool_use` ids were found",
        ),
        (
            messages(json!([user("x".into()), assistant(json!([call("t1")])), user("y".into())])),
            "without `tool_result` blocks immediately after: t1",
        ),
        (
            messages(json!([
                user("x".into()),
                assistant(json!([call("t1")])),
                user(json!([text_block("y"), result("t1")]))
            ])),
            "without `tool_result` blocks immediately after: t1",
        ),
        (messages(json!([user(json!([result("t1")]))])), "unexpected `tool_use_id` found"),
        (
            messages(json!([
                user("x".into()),
                assistant(json!([call("t.1")])),
                user(json!([result("t.1")]))
            ])),
            "should match pattern",
        ),
        (
            messages(json!([
                user("x".into()),
                assistant(json!([{ "type": "tool_use", "id": "t", "name": "ping", "input": "{}" }]))
            ])),
            "tool_use.input: Input should be an object",
        ),
        (image("image/bmp", "AAAA"), "media_type"),
        (image("image/png", "data:x"), "valid base64"),
        (
            messages(json!([
                user("x".into()),
                assistant(json!([{ "type": "thinking", "thinking": "t", "signature": "s" }])),
                user("y".into())
            ])),
            "Invalid `signature` in `thinking` block",
        ),
        (
            json!({ "tools": [{ "name": "a b", "input_schema": { "type": "object" } }] }),
            "should match pattern",
        ),
        (json!({ "tools": [{ "name": "a" }] }), "input_schema: Field required"),
        (json!({ "tools": [{ "name": "a", "input_schema": {} }] }), "input_schema.type: Field required"),
        (json!({ "tools": [{ "name": "a", "parameters": {} }] }), "parameters: Extra inputs"),
        (json!({ "tool_choice": { "type": "auto" } }), "only be specified while providing tools"),
        (json!({ "tools": tools(), "tool_choice": { "type": "required" } }), "Input tag 'required'"),
        (
            json!({ "tools": tools(), "tool_choice": { "type": "tool", "name": "x" } }),
            "not found in provided tools",
        ),
        (thinking(json!({ "type": "enabled", "budget_tokens": 100 })), "greater than or equal to 1024"),
        (
            thinking(json!({ "type": "enabled", "budget_tokens": 2000 })),
            "must be greater than `thinking.budget_tokens`",
        ),
        (thinking(json!({ "type": "adaptive", "budget_tokens": 1024 })), "Extra inputs are not permitted"),
        (json!({ "max_tokens": 2000, "thinking": budget, "temperature": 0.5 }), "may only be set to 1"),
        (
            json!({ "max_tokens": 2000, "thinking": budget, "tools": tools(), "tool_choice": { "type": "any" } }),
            "Thinking may not be enabled when tool_choice forces",
        ),
        (
            json!({ "max_tokens": 2000, "thinking": budget, "tools": tools(),
                "messages": [user("x".into()), assistant(json!([call("t1")])), user(json!([result("t1")]))] }),
            "must start with a thinking block",
        ),
        (json!({ "output_config": { "effort": "none" } }), "output_config.effort"),
        (
            json!({ "output_config": { "format": { "type": "json_schema", "schema": { "type": "object" } } } }),
            "'additionalProperties' must be explicitly set to false",
        ),
        (json!({ "model": "claude-opus-4-7", "top_p": 1 }), "`top_p` is deprecated for this model"),
        (
            json!({ "model": "claude-opus-4-7", "messages": [user("x".into()), assistant("y".into())] }),
            "prefill",
        ),
        (
            json!({ "messages": [user(json!([cached(), cached(), cached(), cached(), cached()]))] }),
            "maximum of 4 blocks",
        ),
    ];
    for (change, message) in table {
        let reply = changed(&simulator, change.clone()).await;
        let json = reply.json();
        assert_eq!((reply.status, &json["type"]), (400, &json!("error")), "{change} {json}");
        assert_eq!(json["error"]["type"], "invalid_request_error", "{change}");
        assert!(json["error"]["message"].as_str().unwrap().contains(message), "{change} {json}");
        assert!(json["request_id"].is_string() && reply.header("request-id").is_some());
    }
    for change in [
        json!({ "messages": [user("x".into()), user("y".into()), assistant("z".into())] }),
        json!({ "max_tokens": 2000, "thinking": budget, "temperature": 1 }),
        json!({ "tools": [{ "type": "web_search_20250305", "name": "web_search", "max_uses": 1 }] }),
    ] {
        assert_eq!(changed(&simulator, change.clone()).await.status, 200, "{change}");
    }
}

#[tokio::test]
async fn a_thinking_block_may_come_back_as_it_was_given() {
    let simulator = start().await;
    let change = json!({ "model": "m~thoughts", "messages": [user("!call ping".into())], "tools": tools() });
    let answered = changed(&simulator, change).await.json();
    let id = answered["content"][1]["id"].as_str().unwrap();
    let messages =
        json!([user("x".into()), assistant(answered["content"].clone()), user(json!([result(id)]))]);
    let budget = json!({ "type": "enabled", "budget_tokens": 1024 });
    let change = json!({ "messages": messages, "tools": tools(), "max_tokens": 2000, "thinking": budget });
    assert_eq!(text(A, &changed(&simulator, change).await.json()), "results: ping=pong");
}

#[tokio::test]
async fn version_and_credential_are_read_from_their_headers() {
    let simulator = start().await;
    let version = |version: &str| ("anthropic-version", version.to_owned());
    let key = |key: &str| ("x-api-key", key.to_owned());
    let bearer = |key: &str| ("authorization", format!("Bearer {key}"));
    let old = || version("2023-06-01");
    let table = [
        (vec![key("sim-key"), old()], json!({}), 200, ""),
        (vec![bearer("sim-key"), old()], json!({}), 200, ""),
        // Of two credentials the key wins.
        (vec![key("sim-key"), bearer("other"), old()], json!({}), 200, ""),
        (vec![key("other"), bearer("sim-key"), old()], json!({}), 401, "invalid x-api-key"),
        (vec![old()], json!({}), 401, "x-api-key header is required"),
        (vec![key("sim-key")], json!({}), 400, "anthropic-version: header is required"),
        (vec![key("sim-key"), version("2024-01-01")], json!({}), 400, "not a valid version"),
        (vec![bearer("sim-key"), version("2026-10-21")], json!({}), 200, ""),
        (
            vec![key("sim-key"), version("2026-10-21")],
            json!({ "temperature": 1 }),
            400,
            "temperature: Extra inputs",
        ),
        (vec![key("sim-key"), version("2026-10-21")], json!({ "top_k": 5 }), 400, "top_k: Extra inputs"),
    ];
    for (mut headers, change, status, message) in table {
        headers.push(("content-type", "application/json".to_owned()));
        let reply = send(&simulator, "POST", PATH, &headers, &body(&change).to_string()).await.unwrap();
        assert_eq!(reply.status, status, "{headers:?}");
        let error = reply.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
        assert!(error.contains(message), "{error}");
    }
    let models = send(&simulator, "GET", "/anthropic/v1/models", &headers(A), "").await.unwrap();
    assert_eq!(models.json()["data"][0]["type"], "model");
}

#[tokio::test]
async fn errors_have_the_types_of_the_provider_before_and_within_a_stream() {
    let simulator = start().await;
    let table = [
        ("overloaded", 529, "overloaded_error"),
        ("limited", 429, "rate_limit_error"),
        ("m~status=500", 500, "api_error"),
        ("m~status=504", 504, "timeout_error"),
        ("m~status=403", 403, "permission_error"),
        ("quota", 402, "billing_error"),
        ("missing", 404, "not_found_error"),
    ];
    for (model, status, kind) in table {
        let reply = ask(&simulator, A, model, "hi", false).await;
        assert_eq!((reply.status, &reply.json()["error"]["type"]), (status, &json!(kind)), "{model}");
    }
    for (model, deltas) in [("m~error-event=0~event-status=529", 0), ("m~error-event=1~event-status=529", 1)]
    {
        let reply = ask(&simulator, A, model, "!words 3", true).await;
        let events = named(&reply);
        assert_eq!((reply.status, reply.complete), (200, true));
        assert_eq!(events.iter().filter(|(name, _)| name == "content_block_delta").count(), deltas);
        let (name, data) = events.last().unwrap();
        assert_eq!((name.as_str(), &data["error"]["type"]), ("error", &json!("overloaded_error")));
        assert_eq!(events.len() == 1, deltas == 0, "an error may be the first event");
    }
    let limited = ask(&simulator, A, "limited~reset-requests=2026-01-01T00:00:00Z", "hi", false).await;
    assert_eq!(limited.header("anthropic-ratelimit-requests-reset"), Some("2026-01-01t00:00:00z"));
    assert_eq!(
        (limited.header("retry-after"), limited.header("x-ratelimit-reset-requests")),
        (Some("7"), None)
    );
    let cut = ask(&simulator, A, "m~cut=1", "!words 3", true).await;
    assert!(!cut.complete && !cut.body.contains("message_stop"));
    let length = changed(&simulator, json!({ "max_tokens": 1 })).await.json();
    assert_eq!((&length["stop_reason"], text(A, &length).as_str()), (&json!("max_tokens"), "anthropic/m:"));
    let refused = ask(&simulator, A, "m~content-filter", "hi", false).await.json();
    assert_eq!(refused["stop_reason"], "refusal");
}

#[tokio::test]
async fn requests_that_reach_no_model_are_refused_in_the_same_shape() {
    let simulator = start().await;
    let good = headers(A);
    let mut plain = good.clone();
    plain[1].1 = "text/plain".to_owned();
    let body = body(&json!({})).to_string();
    let table = [
        ("POST", "/anthropic/v1/complete", &good, body.as_str(), 404),
        ("POST", "/anthropic/messages", &good, body.as_str(), 404),
        ("GET", PATH, &good, "", 405),
        ("POST", PATH, &plain, body.as_str(), 400),
        ("POST", PATH, &good, "{\"model\": ", 400),
        ("POST", PATH, &good, "[]", 400),
    ];
    for (method, path, headers, body, status) in table {
        let reply = send(&simulator, method, path, headers, body).await.unwrap();
        assert_eq!(
            (reply.status, &reply.json()["type"]),
            (status, &json!("error")),
            "{method} {path} {body}"
        );
    }
    let typo = ask(&simulator, A, "m~statsu=503", "hi", false).await;
    assert_eq!((typo.status, &typo.json()["error"]["type"]), (400, &json!("invalid_request_error")));
    let extra = ask(&simulator, A, "m~extra", "!words 1", true).await;
    assert!(named(&extra).iter().all(|(_, data)| data["x_simulator"]["kept"] == true));
}
