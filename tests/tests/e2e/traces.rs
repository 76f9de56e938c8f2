//! Traces: the request, each of its attempts, and the control plane's part, in one trace that providers know nothing of.

use ai_warp_tests::{Collector, PATIENCE, Reply, Span, Stack, eventually};
use reqwest::Method;
use serde_json::{Value, json};

/// A client's span, and its trace.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CLIENT_SPAN: &str = "b7ad6b7169203331";

async fn traced(collector: &Collector, protocol: &str, models: Vec<Value>) -> Stack {
    Stack::builder()
        .models(models)
        // Streams are resumable where they are asked to be.
        .resumable()
        .set(
            "tracing.otlp",
            json!({"endpoint": collector.url(), "protocol": protocol, "headers": {"x-team": "a-b"}}),
        )
        .start()
        .await
}

/// Asks as a part of the client's trace.
async fn ask_in_trace(stack: &Stack, path: &str, body: Value) -> Reply {
    let traceparent = format!("00-{TRACE}-{CLIENT_SPAN}-01");
    Reply::of(stack.gateway().request(Method::POST, path).header("traceparent", traceparent).json(&body))
        .await
}

/// The spans, once there are so many of each name.
async fn spans(collector: &Collector, expected: &[(&str, usize)]) -> Vec<Span> {
    eventually(&format!("{expected:?}"), PATIENCE, async || {
        let spans = collector.spans();
        let count = |name: &str| spans.iter().filter(|span| span.name == name).count();
        let is_there = expected.iter().all(|(name, expected)| count(name) >= *expected);
        if is_there {
            Ok(spans)
        } else {
            Err(format!("{:?}", spans.iter().map(|span| &span.name).collect::<Vec<_>>()))
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fallback_is_one_trace_with_a_span_for_each_attempt_and_the_stored_turn() {
    for protocol in ["grpc", "http"] {
        let collector = Collector::start().await;
        let stack = traced(&collector, protocol, vec![json!("openai:down"), json!("gemini:ok")]).await;
        let reply = ask_in_trace(&stack, "/api/v1/prompt", json!({"prompt": "hi"})).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let names = ["ai-warp request", "chat down", "chat ok", "store turn"];
        let all = spans(&collector, &names.map(|name| (name, 1))).await;
        assert!(all.iter().all(|span| span.trace == TRACE), "{all:#?}");
        let [request] = all.iter().filter(|span| span.parent == CLIENT_SPAN).collect::<Vec<_>>()[..] else {
            panic!("one span is of the request: {all:#?}")
        };
        assert_eq!((request.service.as_str(), request.name.as_str()), ("ai-warp", "ai-warp request"));
        for (name, value) in [
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.provider.name", "gcp.gemini"),
            ("gen_ai.request.model", "ok"),
            ("ai_warp.route", "default"),
            ("ai_warp.attempts", "2"),
            ("ai_warp.session", &reply.session()),
            ("error.type", ""),
        ] {
            assert_eq!(request.get(name), value, "{name} {request:#?}");
        }
        let tokens = |name: &str| request.get(name).parse::<u64>().unwrap();
        assert!(tokens("gen_ai.usage.input_tokens") > 0 && tokens("gen_ai.usage.output_tokens") > 0);
        let attempt =
            |name: &str| all.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{all:#?}"));
        let (down, ok) = (attempt("chat down"), attempt("chat ok"));
        for (span, provider, error) in [(down, "openai", "server_error"), (ok, "gcp.gemini", "")] {
            assert_eq!((span.parent.as_str(), span.service.as_str()), (request.id.as_str(), "ai-warp"));
            assert_eq!(
                (span.get("gen_ai.provider.name"), span.get("error.type")),
                (provider, error),
                "{span:#?}"
            );
        }
        let stored = attempt("store turn");
        assert_eq!((&stored.parent, stored.service.as_str()), (&request.id, "ai-warp-control-plane"));
        assert_eq!(stored.get("ai_warp.session"), reply.session());
        for headers in collector.headers() {
            assert_eq!(headers["x-team"], "a-b", "{protocol} {headers:?}");
        }
        for seen in stack.simulator.requests() {
            let names = ["traceparent", "tracestate", "x-ai-warp-trace", "x-request-id"];
            assert!(!seen.headers.iter().any(|(name, _)| names.contains(&name.as_str())), "{seen:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_read_a_stream_and_an_error_are_parts_of_their_traces() {
    let collector = Collector::start().await;
    let stack = traced(&collector, "grpc", vec![json!("openai:ok"), json!("openai:bad")]).await;
    // Without a parent the gateway begins a trace of its own.
    let first = stack.prompt(json!({"prompt": "one", "models": ["openai:ok"]})).await;
    let body =
        json!({"prompt": "two", "sessionId": first.session(), "models": ["openai:ok"], "resume": false});
    assert_eq!(ask_in_trace(&stack, "/api/v1/stream", body).await.status, 200);
    let bad = stack.prompt(json!({"prompt": "three", "models": ["openai:bad"]})).await;
    assert_eq!(bad.status, 400);
    let invalid = stack.gateway().prompt(json!({})).await;
    assert_eq!(invalid.status, 400);
    let expected =
        [("ai-warp request", 4), ("chat ok", 2), ("chat bad", 1), ("store turn", 2), ("read session", 1)];
    let all = spans(&collector, &expected).await;
    let own: Vec<_> = all.iter().filter(|span| span.trace != TRACE).collect();
    let parent =
        own.iter().find(|span| span.get("ai_warp.session") == first.session() && span.parent.is_empty());
    let parent = parent.unwrap_or_else(|| panic!("{all:#?}"));
    assert!(own.iter().any(|span| span.name == "store turn" && span.parent == parent.id), "{all:#?}");
    let read = all.iter().find(|span| span.name == "read session").unwrap_or_else(|| panic!("{all:#?}"));
    assert_eq!(
        (read.trace.as_str(), read.parent.as_str(), read.get("ai_warp.turns")),
        (TRACE, CLIENT_SPAN, "1")
    );
    let stream = all.iter().find(|span| span.trace == TRACE && span.name == "chat ok").unwrap();
    assert_eq!(stream.get("gen_ai.request.model"), "ok");
    let errors: Vec<_> =
        own.iter().filter(|span| span.parent.is_empty()).map(|span| span.get("error.type")).collect();
    assert!(errors.contains(&"provider_bad_request_error") && errors.contains(&"option_error"), "{errors:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumable_stream_is_one_trace_of_two_requests() {
    let collector = Collector::start().await;
    let stack = traced(&collector, "grpc", vec![json!("openai:down"), json!("gemini:ok")]).await;
    let reply = ask_in_trace(&stack, "/api/v1/stream", json!({"prompt": "hi"})).await;
    assert_ne!((reply.status, reply.header("x-ai-warp-stream")), (200, ""), "{}", reply.text());
    let names = [("ai-warp request", 2), ("relay", 1), ("chat down", 1), ("chat ok", 1), ("store turn", 1)];
    let all = spans(&collector, &names).await;
    assert!(all.iter().all(|span| span.trace == TRACE), "{all:#?}");
    let (outer, inner): (Vec<_>, Vec<_>) =
        all.iter().filter(|span| span.name == "ai-warp request").partition(|span| span.parent == CLIENT_SPAN);
    let ([outer], [inner]) = (&outer[..], &inner[..]) else { panic!("{all:#?}") };
    assert_eq!((inner.parent.as_str(), inner.get("ai_warp.attempts")), (outer.id.as_str(), "2"));
    for span in all.iter().filter(|span| span.name.starts_with("chat") || span.name == "store turn") {
        assert_eq!(span.parent, inner.id, "{span:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_disturbs_nobody() {
    let refusing = ai_warp_tests::Refusing::new();
    let stack = Stack::builder()
        .models(["openai:ok"])
        .set("tracing.otlp", json!({"endpoint": refusing.base_url().trim_end_matches("/v1")}))
        .start()
        .await;
    for _ in 0..5 {
        let reply = stack.prompt(json!({"prompt": "hi"})).await;
        assert_eq!((reply.status, reply.header("x-ai-warp-stored")), (200, ""));
    }
}
