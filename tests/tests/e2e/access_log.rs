//! One line of JSON a request, whatever the client sends and whatever becomes of it.

use ai_warp_tests::{PATIENCE, Stack, eventually};
use reqwest::Method;
use serde_json::{Value, json};

/// The lines once there are `count` of them.
async fn lines(stack: &Stack, count: usize) -> Vec<Value> {
    eventually(&format!("{count} lines"), PATIENCE, async || {
        let lines = stack.envoy().access_log();
        if lines.len() >= count { Ok(lines) } else { Err(format!("{lines:#?}")) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_says_what_became_of_a_request_attempt_by_attempt() {
    let stack = Stack::builder()
        .models([
            json!("openai:down"),
            json!({"provider": "gemini", "model": "ok", "price": {"input": 1, "output": "2.5"}}),
        ])
        .start()
        .await;
    let reply = stack.prompt(json!({"prompt": "hi"})).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    stack.stream(json!({"prompt": "hi"})).await.rest().await;
    let all = lines(&stack, 2).await;
    let line = &all[0];
    let tokens = &line["tokens"];
    let cost = tokens["input"].as_f64().unwrap() / 1e6 + tokens["output"].as_f64().unwrap() * 2.5 / 1e6;
    assert!((line["cost"].as_f64().unwrap() - cost).abs() < 1e-12, "{line}");
    let expected = json!({
        "method": "POST", "path": "/api/v1/prompt", "status": 200, "outcome": "ok", "route": "default",
        "model": "gemini:ok", "stream": false, "session": reply.session(), "stored": true, "flags": "-",
        "protocol": "HTTP/1.1", "passedOver": [{"model": "openai:down", "reason": "server_error"}],
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&line[name], value, "{name} of {line}");
    }
    let attempts = line["attempts"].as_array().unwrap();
    let told: Vec<_> = attempts.iter().map(|it| (&it["model"], &it["result"], &it["status"])).collect();
    let (down, ok) = (json!("openai:down"), json!("gemini:ok"));
    assert_eq!(told, [(&down, &json!("server_error"), &json!(503)), (&ok, &json!("ok"), &json!(200))]);
    for number in ["durationMs", "bytesReceived", "bytesSent", "commitMs"] {
        assert!(line[number].is_u64(), "{number} of {line}");
    }
    assert!(line["requestId"].as_str().is_some_and(|id| id.len() == 36), "{line}");
    assert!(line["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{line}");
    assert!(all[1]["stream"] == true && all[1]["firstTokenMs"].is_u64(), "{}", all[1]);
    assert!(line["prompt"].is_null() && line["answer"].is_null(), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_is_json_and_every_request_has_one() {
    let stack = Stack::builder().models(["openai:ok\"\\,~status=503"]).start().await;
    let gateway = stack.gateway();
    let hostile = "/api/v1/prompt?x=\"},{\"a\":\"%22\\";
    let asked = [
        gateway
            .request(Method::POST, hostile)
            .header("x-request-id", "a\"b\\c{}")
            .json(&json!({"prompt": "hi"})),
        gateway.request(Method::POST, "/api/v1/prompt").body("no json \" \\"),
        gateway
            .request(Method::POST, "/api/v1/prompt")
            .json(&json!({"prompt": "hi", "models": ["\"x\\:y\""]})),
        gateway.request(Method::GET, "/no/such\"path\\,?q=\"1").header("user-agent", "\"\\"),
        gateway.request(Method::PUT, "/api/v1/prompt"),
        gateway.request(Method::GET, "/v1/models"),
    ];
    let count = asked.len();
    for request in asked {
        ai_warp_tests::Reply::of(request).await;
    }
    // A client that leaves.
    let refusing =
        gateway.request(Method::POST, "/api/v1/prompt").header("content-length", "1000000").body("{");
    let _ = refusing.timeout(std::time::Duration::from_millis(50)).send().await;
    let all = lines(&stack, count + 1).await;
    let left = all.iter().find(|line| line["outcome"] == "cancelled");
    assert!(left.is_some_and(|line| line["path"] == "/api/v1/prompt"), "{all:?}");
    let model = "openai:ok\"\\,~status=503";
    assert_eq!((&all[0]["model"], &all[0]["path"]), (&json!(model), &json!("/api/v1/prompt")));
    assert_eq!(all[0]["outcome"], "provider_response_error");
    assert_eq!((&all[1]["outcome"], &all[1]["status"]), (&json!("option_error"), &json!(400)));
    assert_eq!(all[2]["status"], 400);
    for (line, status, method) in [(&all[3], 404, "GET"), (&all[4], 405, "PUT"), (&all[5], 200, "GET")] {
        assert_eq!((&line["status"], &line["method"]), (&json!(status), &json!(method)), "{line}");
        assert!(line["path"].is_string() && line["durationMs"].is_u64(), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn content_is_logged_only_where_that_was_asked_for_and_nothing_is_where_it_was_switched_off() {
    let mut stack = Stack::builder().models(["openai:ok"]).set("logging.content", true).start().await;
    stack.prompt(json!({"prompt": "a \"marked\" prompt"})).await;
    stack.stream(json!({"prompt": "another"})).await.rest().await;
    let all = lines(&stack, 2).await;
    assert_eq!(all[0]["prompt"], "a \"marked\" prompt");
    assert!(
        all[0]["answer"].as_str().is_some_and(|answer| answer.contains("a \"marked\" prompt")),
        "{}",
        all[0]
    );
    assert!(all[1]["answer"].as_str().is_some_and(|answer| answer.contains("another")), "{}", all[1]);
    stack.reconfigure(|config| _ = config.set("logging.access", false)).await;
    eventually("the listener in force logs nothing", PATIENCE, async || {
        let dump = stack.envoy().admin().get("/config_dump?resource=dynamic_listeners").await.json();
        let listeners = dump["configs"].as_array().cloned().unwrap_or_default();
        let gateway = listeners.iter().find(|listener| listener["name"] == "gateway");
        let active = gateway.map(|gateway| gateway["active_state"].to_string()).unwrap_or_default();
        let is_silent = active.contains("http_connection_manager") && !active.contains("access_loggers");
        if is_silent { Ok(()) } else { Err(active) }
    })
    .await;
    // Over a connection of its own: those of before are the last listener's.
    let gateway = ai_warp_tests::Gateway::new(stack.gateway().address());
    assert_eq!(gateway.prompt(json!({"prompt": "hi"})).await.status, 200);
    stack.wait_until_no_exchange_lives().await;
    assert_eq!(stack.envoy().access_log().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumable_stream_has_a_line_for_each_of_its_requests_and_is_counted_once() {
    let stack = Stack::builder().resumable().models(["openai:ok"]).start().await;
    let stream = stack.stream(json!({"prompt": "hi"})).await.rest().await;
    let session = stream.header("x-session-id");
    let all = lines(&stack, 2).await;
    let line = |outcome: &str| {
        let line = all.iter().find(|line| line["outcome"] == outcome).unwrap_or_else(|| panic!("{all:#?}"));
        assert_eq!((&line["path"], &line["session"]), (&json!("/api/v1/stream"), &json!(session)), "{line}");
        line
    };
    let (relayed, answered) = (line("relayed"), line("ok"));
    assert_eq!(relayed["requestId"], answered["requestId"]);
    assert_eq!(relayed["attempts"], json!([]), "{relayed}");
    assert_eq!(
        (&answered["model"], answered["attempts"].as_array().map(Vec::len)),
        (&json!("openai:ok"), Some(1))
    );
    let counted = eventually("it is counted", PATIENCE, async || {
        let samples = stack.envoy().metrics().await;
        let counted: f64 = samples.of("ai_warp_requests_total").map(|(_, value)| value).sum();
        if counted > 0.0 { Ok(counted) } else { Err(counted) }
    })
    .await;
    assert_eq!(counted, 1.0);
}
