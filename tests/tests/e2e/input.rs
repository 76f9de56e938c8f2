//! Whatever a client sends, the answer is typed and the gateway serves on.

use std::convert::Infallible;

use ai_warp_tests::{Gateway, Reply, Stack};
use futures_util::stream;
use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame};
use hyper::client::conn::http2;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper_util::rt::{TokioExecutor, TokioIo};
use reqwest::{Body, Method};
use serde_json::json;
use tokio::net::TcpStream;

/// `limits.maxRequestBytes` of these tests.
const MOST_BYTES: usize = 20_000;

async fn post_raw(gateway: &Gateway, path: &str, body: impl Into<Body>) -> Reply {
    Reply::of(gateway.request(Method::POST, path).header("content-type", "application/json").body(body)).await
}

/// A body of `size` bytes without `content-length`.
fn chunked(size: usize) -> Body {
    let prompt = format!("{{\"prompt\":\"{}\"}}", "x".repeat(size - 13));
    let pieces: Vec<_> =
        prompt.as_bytes().chunks(4_000).map(|piece| Ok::<_, Infallible>(piece.to_vec())).collect();
    Body::wrap_stream(stream::iter(pieces))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_makes_no_sense_is_told_what_is_wrong() {
    let stack = Stack::builder().start().await;
    let nested = format!("{{\"prompt\":\"p\",\"history\":{}", "[".repeat(9_000));
    let table: &[(&[u8], &str)] = &[
        (b"", "body"),
        (b"{", "not valid JSON"),
        (b"nonsense", "not valid JSON"),
        (b"{\"prompt\":\"\xff\xfe\"}", "not valid"),
        (b"{\"prompt\":\"a\"} trailing", "not valid JSON"),
        (b"null", "not valid"),
        (b"[]", "not valid"),
        (b"\"prompt\"", "not valid"),
        (b"{}", "prompt"),
        (b"{\"prompt\":null}", "expected a string"),
        (b"{\"prompt\":5}", "expected a string"),
        (b"{\"prompt\":[\"a\"]}", "expected a string"),
        (b"{\"prompt\":\"\"}", "prompt is empty"),
        (b"{\"prompt\":\"p\",\"temperature\":\"hot\"}", "expected f64"),
        (b"{\"prompt\":\"p\",\"temperature\":-1}", "temperature"),
        (b"{\"prompt\":\"p\",\"temperature\":2.1}", "temperature"),
        (b"{\"prompt\":\"p\",\"maxTokens\":0}", "maxTokens"),
        (b"{\"prompt\":\"p\",\"maxTokens\":-5}", "u32"),
        (b"{\"prompt\":\"p\",\"maxTokens\":1.5}", "u32"),
        (b"{\"prompt\":\"p\",\"maxTokens\":99999999999}", "u32"),
        (b"{\"prompt\":\"p\",\"stream\":\"yes\"}", "boolean"),
        (b"{\"prompt\":\"p\",\"history\":{}}", "sequence"),
        (b"{\"prompt\":\"p\",\"history\":[{\"prompt\":\"a\"}]}", "response"),
        (b"{\"prompt\":\"p\",\"models\":[]}", "models is empty"),
        (b"{\"prompt\":\"p\",\"models\":\"openai:ok\"}", "sequence"),
        (b"{\"prompt\":\"p\",\"models\":[1]}", "expected a model"),
        (b"{\"prompt\":\"p\",\"models\":[\"openai:other\"]}", "\"openai:other\" is not configured"),
        (
            b"{\"prompt\":\"p\",\"models\":[{\"provider\":\"openai\",\"model\":\"x\"}]}",
            "\"openai:x\" is not configured",
        ),
        (nested.as_bytes(), "not valid"),
    ];
    for path in ["/api/v1/prompt", "/api/v1/stream"] {
        for (body, expected) in table {
            let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
            let reply = post_raw(stack.gateway(), path, body.to_vec()).await;
            assert_eq!(reply.error(), (400, "OPTION_ERROR".to_owned()), "{path} {shown}");
            assert!(reply.message().contains(expected), "{path} {shown}: {}", reply.message());
            assert_eq!(reply.header("x-session-id"), "", "{path} {shown}");
        }
    }
    assert!(stack.simulator.requests().is_empty(), "no provider is asked");
    assert_eq!(stack.ask("openai:ok").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_larger_than_allowed_is_refused_however_it_comes() {
    let stack = Stack::builder().set("limits.maxRequestBytes", MOST_BYTES).start().await;
    for path in ["/api/v1/prompt", "/api/v1/stream"] {
        for size in [MOST_BYTES + 1, 3 * MOST_BYTES, 50 * MOST_BYTES] {
            let body = format!("{{\"prompt\":\"{}\"}}", "x".repeat(size - 13));
            let reply = post_raw(stack.gateway(), path, body).await;
            assert_eq!(reply.error(), (413, "REQUEST_TOO_LARGE".to_owned()), "{path} {size}, announced");
            let reply = post_raw(stack.gateway(), path, chunked(size)).await;
            assert_eq!(reply.error(), (413, "REQUEST_TOO_LARGE".to_owned()), "{path} {size}, chunked");
        }
    }
    assert!(stack.simulator.requests().is_empty(), "no provider is asked");
    for body in
        [Body::from(format!("{{\"prompt\":\"{}\"}}", "x".repeat(MOST_BYTES - 13))), chunked(MOST_BYTES)]
    {
        assert_eq!(post_raw(stack.gateway(), "/api/v1/prompt", body).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_methods_and_paths_are_typed_as_well() {
    let stack = Stack::builder().start().await;
    let session = "/api/v1/sessions/6e0a7d43-2e0c-4b3a-8d4b-6f0c0e9f0001";
    for (method, path, status, code, allow) in [
        ("GET", "/api/v1/prompt", 405, "METHOD_NOT_ALLOWED", "POST"),
        ("PUT", "/api/v1/prompt", 405, "METHOD_NOT_ALLOWED", "POST"),
        ("DELETE", "/api/v1/stream", 405, "METHOD_NOT_ALLOWED", "POST"),
        ("OPTIONS", "/api/v1/stream", 405, "METHOD_NOT_ALLOWED", "POST"),
        ("POST", session, 405, "METHOD_NOT_ALLOWED", "GET, DELETE"),
        ("GET", "/", 404, "NOT_FOUND", ""),
        ("POST", "/api/v1/prompts", 404, "NOT_FOUND", ""),
        ("POST", "/api/v1/prompt/", 404, "NOT_FOUND", ""),
        ("GET", "/sync/v1/sessions/6e0a7d43-2e0c-4b3a-8d4b-6f0c0e9f0001", 404, "NOT_FOUND", ""),
        ("GET", "/api/v1/sessions/../../../status", 404, "NOT_FOUND", ""),
        ("GET", session, 404, "NOT_FOUND", ""),
    ] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let reply = Reply::of(stack.gateway().request(method.clone(), path).body(r#"{"prompt":"p"}"#)).await;
        assert_eq!(reply.error(), (status, code.to_owned()), "{method} {path}");
        assert_eq!(reply.header("allow"), allow, "{method} {path}");
    }
    assert!(stack.simulator.requests().is_empty(), "no provider is asked");
    assert_eq!(stack.ask("openai:ok").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_only_a_proxy_may_set_change_nothing() {
    let stack = Stack::builder()
        .models(["openai:down", "openai:m~delay=150", "openai:bad", "gemini:ok"])
        .set("limits.requestTimeout", "2s")
        .start()
        .await;
    let forged = [
        ("x-envoy-retry-on", "5xx,gateway-error,retriable-4xx,retriable-headers,reset,connect-failure"),
        ("x-envoy-retry-on", "never"),
        ("x-envoy-retry-grpc-on", "internal"),
        ("x-envoy-max-retries", "0"),
        ("x-envoy-max-retries", "50"),
        ("x-envoy-upstream-rq-timeout-ms", "1"),
        ("x-envoy-upstream-rq-per-try-timeout-ms", "1"),
        ("x-envoy-hedge-on-per-try-timeout", "true"),
        ("x-envoy-retriable-status-codes", "200,400"),
        ("x-envoy-retriable-header-names", "content-type"),
        ("x-envoy-original-path", "/"),
        ("x-envoy-upstream-alt-stat-name", "forged"),
        ("x-ai-warp-retry", "1"),
        ("x-ai-warp-retry-wait", "200"),
        ("X-AI-Warp-Model", "forged:model"),
        ("x-ai-warp-attempts", "77"),
        ("x-ai-warp-stored", "false"),
        ("x-ai-warp-hop", "provider/gemini"),
        ("x-session-id", "6e0a7d43-2e0c-4b3a-8d4b-6f0c0e9f0001"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-simulator", "status=500"),
        ("expect", "100-continue"),
    ];
    let mut wrong = Vec::new();
    for (name, value) in forged {
        for path in ["/api/v1/prompt", "/api/v1/stream"] {
            for (models, status, model, attempts) in [
                (json!(["openai:down", "gemini:ok"]), 200, "gemini:ok", 2),
                (json!(["openai:m~delay=150"]), 200, "openai:m~delay=150", 1),
                (json!(["openai:bad", "gemini:ok"]), 400, "", 1),
            ] {
                let before = stack.simulator.requests().len();
                let body = json!({"prompt": "p", "models": models});
                let request = stack.gateway().request(Method::POST, path).header(name, value);
                let reply = Reply::of(request.json(&body)).await;
                let asked = stack.simulator.requests().len() - before;
                let ours = ["x-ai-warp-retry", "x-ai-warp-retry-wait", "x-ai-warp-stored"];
                if (reply.status, reply.model(), reply.attempts(), asked)
                    != (status, model, attempts, attempts)
                    || ours.iter().any(|name| reply.headers.contains_key(*name))
                {
                    let (status, text) = (reply.status, reply.text());
                    wrong.push(format!(
                        "{name}: {value} at {path} for {models}: {status} after {asked}: {text}"
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    stack.expect_no_leaks();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_over_http_2_may_end_with_trailers() {
    let stack = Stack::builder().models(["openai:down", "gemini:ok"]).start().await;
    let connection = TcpStream::connect(stack.gateway().address()).await.unwrap();
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(connection)).await;
    let (mut sender, connection) = handshake.unwrap();
    tokio::spawn(connection);
    let trailers = HeaderMap::from_iter([(HeaderName::from_static("x-t"), HeaderValue::from_static("1"))]);
    let frames = [Frame::data(Bytes::from_static(br#"{"prompt":"hi"}"#)), Frame::trailers(trailers)];
    let body = StreamBody::new(stream::iter(frames.map(Ok::<_, Infallible>)));
    let request = hyper::Request::post("http://gateway/api/v1/prompt").body(body).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-ai-warp-model"], "gemini:ok");
}
