//! Which road a stream takes, in every format, and who may take it.

use ai_warp_tests::{ClientFormat, EventStream, Question, Reply, Stack, server_events};
use reqwest::Method;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::body;

#[tokio::test(flavor = "multi_thread")]
async fn without_a_control_plane_streams_take_the_direct_road() {
    let mut stack = Stack::builder().resumable().models(["openai:down", "openai:ok"]).start().await;
    let with = stack.stream(json!({"prompt": "hi"})).await.rest().await;
    assert_ne!(with.header("x-ai-warp-stream"), "");
    stack.control_plane.kill();
    let without = stack.stream(json!({"prompt": "hi"})).await.rest().await;
    assert_eq!(without.header("x-ai-warp-stream"), "");
    assert_eq!(without.text(), with.text());
    // A stream may still be there, and a session is known to nobody else: neither goes on.
    let unread = with.header("x-ai-warp-stream");
    let gone = stack.gateway().resume_as_reply(&json!({"prompt": "hi"}), unread).await;
    assert_eq!(gone.error(), (503, "HISTORY_GET_ERROR".to_owned()));
    let body = json!({"prompt": "hi", "sessionId": with.end()["sessionId"]});
    assert_eq!(stack.gateway().stream_as_reply(body).await.error(), (503, "HISTORY_GET_ERROR".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_before_its_first_content_is_an_ordinary_error() {
    let models = ["openai:down", "openai:bad", "openai:limited"];
    let stack = Stack::builder().resumable().models(models).start().await;
    for (model, expected) in [
        ("openai:down", (502, "PROVIDER_RESPONSE_ERROR")),
        ("openai:bad", (400, "PROVIDER_BAD_REQUEST_ERROR")),
        ("openai:limited", (429, "PROVIDER_RATE_LIMIT_ERROR")),
        ("openai:unknown", (400, "OPTION_ERROR")),
    ] {
        let reply = stack.gateway().stream_as_reply(body(model, None)).await;
        assert_eq!(reply.error(), (expected.0, expected.1.to_owned()), "{model}");
    }
    let limited = stack.gateway().stream_as_reply(body("openai:limited", None)).await;
    assert_ne!(limited.header("retry-after"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_counts_a_stream_once() {
    let stack = Stack::builder()
        .resumable()
        .models([
            json!({"provider": "openai", "model": "ok", "limits": {"rate": {"max": 2, "timeWindow": "1h"}}}),
        ])
        .start()
        .await;
    for _ in 0..2 {
        stack.stream(json!({"prompt": "hi"})).await.rest().await.end();
    }
    let third = stack.gateway().stream_as_reply(json!({"prompt": "hi"})).await;
    assert_eq!(third.error(), (429, "PROVIDER_RATE_LIMIT_ERROR".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_can_be_resumed_by_the_id_of_an_event() {
    let model = "openai:m~chunks=4";
    let stack = Stack::builder().resumable().models([model]).envoys(2).start().await;
    for format in [ClientFormat::Chat, ClientFormat::Responses, ClientFormat::Messages] {
        let ask = async |gateway: usize, last: Option<&str>, resume: bool| {
            let body = format.body(&Question::new(model, "hi"), true);
            let mut request =
                stack.envoys[gateway].gateway().request(Method::POST, format.path()).json(&body);
            if resume {
                request = request.header("x-ai-warp-resume", "true");
            }
            if let Some(last) = last {
                request = request.header("last-event-id", last);
            }
            Reply::of(request).await
        };
        let direct = ask(0, None, false).await;
        assert!(!direct.text().contains("id: "), "{format:?}: ids are for those who ask for them");
        let whole = ask(0, None, true).await;
        assert_eq!(whole.status, 200, "{format:?} {}", whole.text());
        let before = whole.header("x-ai-warp-stream").to_owned();
        let ids: Vec<String> =
            whole.text().lines().filter_map(|line| Some(line.strip_prefix("id: ")?.to_owned())).collect();
        assert_eq!(ids.len(), server_events(&whole.text()).len(), "{format:?}: every event has one");
        let again = ask(1, Some(&before), true).await;
        assert_eq!(again.text(), whole.text(), "{format:?}");
        for (position, id) in ids.iter().enumerate().take(ids.len() - 1) {
            let rest = ask(1, Some(id), true).await;
            assert!(whole.text().ends_with(&rest.text()), "{format:?}");
            assert_eq!(server_events(&rest.text()).len(), ids.len() - position - 1, "{format:?}");
        }
    }
    assert_eq!(stack.simulator.requests().len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_the_control_plane_opens_streams() {
    let stack = Stack::builder().resumable().models(["openai:ok"]).start().await;
    let ask = json!({"stream": "6e0a7d43-2e0c-8b3a-8d4b-6f0c00000000", "consumer": "boss", "path": "/api/v1/stream",
        "port": 1, "untilMs": 9_999_999_999_999_u64});
    let own_port = stack.envoy().stream_gateway();
    for gateway in [stack.gateway(), &own_port] {
        for seal in [None, Some(""), Some("00"), Some(&"a".repeat(64)[..])] {
            for path in
                ["/ai-warp-streams/api/v1/stream", "/ai-warp-streams/api/v1/prompt", "/ai-warp-streams/x"]
            {
                let mut request = gateway.request(Method::POST, path).json(&json!({"prompt": "hi"}));
                request = request.header("x-ai-warp-ask", ask.to_string());
                if let Some(seal) = seal {
                    request = request.header("x-ai-warp-seal", seal);
                }
                let reply = Reply::of(request).await;
                assert!(
                    [401, 404].contains(&reply.status),
                    "{path} {seal:?} {} {}",
                    reply.status,
                    reply.text()
                );
            }
        }
    }
    let direct = own_port.prompt(json!({"prompt": "hi"})).await;
    assert_eq!(direct.status, 404, "there is no other way in");
    assert_eq!(stack.simulator.requests().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_belongs_to_who_began_it() {
    let model = "openai:held~gate~chunks=3";
    let stack = Stack::builder()
        .resumable()
        .models([model])
        .configure(|config| {
            let keys = [("ann", "key-of-ann"), ("bob", "key-of-bob")];
            let entries = keys.map(|(consumer, key)| {
                let hash: String = Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect();
                json!({"consumer": consumer, "hash": format!("sha256:{hash}")})
            });
            config.set("auth.apiKeys", json!(entries));
        })
        .start()
        .await;
    let ask = |key: &str, last: Option<&str>| {
        let request = stack.gateway().request(Method::POST, "/api/v1/stream").json(&body(model, None));
        let request = request.header("x-api-key", key);
        match last {
            Some(last) => request.header("last-event-id", last),
            None => request,
        }
    };
    let mut stream = EventStream::of(ask("key-of-ann", None)).await;
    let event = stream.next().await.unwrap();
    let foreign = Reply::of(ask("key-of-bob", Some(&event.id))).await;
    assert_eq!(foreign.error(), (410, "STREAM_EXPIRED".to_owned()));
    drop(stream);
    stack.simulator.open_gate("held");
    let own = EventStream::of(ask("key-of-ann", Some(&event.id))).await.rest().await;
    assert_eq!(own.text(), "c2 c3 ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_the_same_on_both_roads() {
    let broken = ["cut=3", "error-event=3", "early-end=3", "stall=3"];
    let broken = broken.map(|fault| format!("openai:m~chunks=6~chunk-delay=30~{fault}"));
    let whole = ["openai:ok", "gemini:ok~split=1", "deepseek:ok~split-random=7", "deepseek:m~chunks=300"];
    let models = broken.iter().cloned().chain(whole.map(str::to_owned)).chain(["openai:down".to_owned()]);
    let stack = Stack::builder().resumable().set("limits.requestTimeout", "3s").models(models).start().await;
    let orders = broken.iter().map(|model| vec![model.as_str()]);
    for order in orders.chain(whole.map(|model| vec!["openai:down", model])) {
        let read = async |resume: bool| {
            let body = json!({"prompt": "Grüße, 世界! 🦀 \"q\"\n", "models": order, "resume": resume});
            let transcript = stack.stream(body).await.rest().await;
            assert_eq!(!transcript.header("x-ai-warp-stream").is_empty(), resume, "{order:?}");
            let head = ["x-ai-warp-model", "x-ai-warp-attempts", "cache-control"]
                .map(|name| transcript.header(name).to_owned());
            let events = transcript.events.iter().map(|event| {
                let mut data = event.data.clone();
                if let Some(end) = data.pointer_mut("/response").and_then(|end| end.as_object_mut()) {
                    assert_eq!(end.remove("sessionId"), Some(transcript.header("x-session-id").into()));
                }
                let position = u32::from_str_radix(&event.id[event.id.len() - 8..], 16).unwrap();
                (position, event.name.clone(), data)
            });
            (head, events.collect::<Vec<_>>(), transcript.ending)
        };
        assert_eq!(read(true).await, read(false).await, "{order:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_keeps_a_stream_may_try_models_for_longer_than_one_may_take() {
    let models = ["openai:slow", "deepseek:slow", "gemini:ok"];
    let stack =
        Stack::builder().resumable().set("limits.requestTimeout", "400ms").models(models).start().await;
    let stream = stack.stream(json!({"prompt": "hi"})).await.rest().await;
    assert_eq!((stream.header("x-ai-warp-model"), stream.header("x-ai-warp-attempts")), ("gemini:ok", "3"));
    assert_ne!(stream.header("x-ai-warp-stream"), "");
    assert_eq!(stack.asked(), models);
    // Where none of them answers, the error is that of the last.
    let slow = json!({"prompt": "hi", "models": ["openai:slow", "deepseek:slow"]});
    let error = (504, "PROVIDER_REQUEST_TIMEOUT_ERROR".to_owned());
    assert_eq!(stack.gateway().stream_as_reply(slow).await.error(), error);
    assert_eq!(stack.asked().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_streams_cannot_be_opened_they_take_the_direct_road_with_all_that_was_said() {
    let slow = "openai:slow";
    // Nobody listens where the control plane asks.
    let stack = Stack::builder()
        .resumable()
        .set("streams.hostname", "127.0.0.2")
        .set("limits.requestTimeout", "500ms")
        .models(["openai:ok", slow])
        .start()
        .await;
    let first = stack.stream(json!({"prompt": "one", "models": ["openai:ok"]})).await.rest().await;
    assert_eq!(first.header("x-ai-warp-stream"), "");
    let again = json!({"prompt": "two", "models": ["openai:ok"], "sessionId": first.end()["sessionId"]});
    stack.stream(again.clone()).await.rest().await.end();
    let messages = stack.simulator.requests()[1].body["messages"].as_array().map(Vec::len);
    assert_eq!(messages, Some(3), "the first turn, and the prompt");
    // What fails there fails as it does on the direct road.
    let late = stack.gateway().stream_as_reply(body(slow, None)).await;
    assert_eq!(late.error(), (504, "PROVIDER_REQUEST_TIMEOUT_ERROR".to_owned()));
    // Whoever comes back for a stream does not want another.
    let asked = stack.asked().len();
    let last = "ab277945-dc54-8dce-b7dd-2d0a00000003";
    for body in [again, json!({"prompt": "one"})] {
        let reply = stack.gateway().resume_as_reply(&body, last).await;
        assert_eq!(reply.error(), (410, "STREAM_EXPIRED".to_owned()));
    }
    assert_eq!(stack.asked().len(), asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_takes_the_route_of_its_clients_headers_though_not_all_of_them_go_along() {
    let routes = json!([
        {"name": "cookie", "match": {"headers": {"cookie": "tier=paid"}}, "models": ["gemini:ok"]},
        {"name": "header", "match": {"headers": {"x-tier": "paid"}}, "models": ["deepseek:ok"]},
    ]);
    let models = ["openai:ok", "gemini:ok", "deepseek:ok"];
    let stack = Stack::builder().resumable().models(models).set("routes", routes).start().await;
    for (header, model) in [
        (("cookie", "tier=paid"), "gemini:ok"),
        (("x-tier", "paid"), "deepseek:ok"),
        (("x-tier", "free"), "openai:ok"),
    ] {
        let request = stack.gateway().request(Method::POST, "/api/v1/stream").json(&json!({"prompt": "hi"}));
        let stream = EventStream::of(request.header(header.0, header.1)).await.rest().await;
        assert_ne!(stream.header("x-ai-warp-stream"), "", "{header:?}");
        assert_eq!(stream.header("x-ai-warp-model"), model, "{header:?}");
    }
}
