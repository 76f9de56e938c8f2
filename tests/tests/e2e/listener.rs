//! The gateway's own listener: TLS, mutual or not, and pages of other origins.

use std::path::Path;

use ai_warp_tests::{Authority, Identity, PATIENCE, Stack, TlsClient, eventually};
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

fn tls(identity: &Identity, client_ca: Option<&Path>) -> Value {
    let mut tls = json!({
        "certificate": {"file": identity.certificate},
        "privateKey": {"file": identity.key},
    });
    if let Some(ca) = client_ca {
        tls["clientCa"] = json!({"file": ca});
    }
    tls
}

fn prompt() -> Request<Full<Bytes>> {
    Request::post("/api/v1/prompt").header("host", "x").body(Full::from(r#"{"prompt": "hi"}"#)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_serves_tls_and_takes_another_certificate_without_a_new_listener() {
    let folder = TempDir::new().unwrap();
    let (first, second) = (Authority::new(folder.path(), "first"), Authority::new(folder.path(), "second"));
    let identity = first.issue("127.0.0.1");
    let stack = Stack::builder().set("server.tls", tls(&identity, None)).start().await;
    let address = stack.gateway().address();
    let by_first = TlsClient::new(first.file(), None);
    let (status, body) = by_first.send(address, prompt()).await.unwrap();
    assert_eq!(status, 200, "{body}");
    assert!(stack.gateway().try_prompt(&json!({"prompt": "hi"})).await.is_err(), "plain text is no TLS");

    let renewed = second.issue("127.0.0.1");
    std::fs::copy(&renewed.key, &identity.key).unwrap();
    std::fs::copy(&renewed.certificate, &identity.certificate).unwrap();
    let by_second = TlsClient::new(second.file(), None);
    eventually("the new certificate is served", PATIENCE, async || by_second.send(address, prompt()).await)
        .await;
    assert!(by_first.send(address, prompt()).await.is_err(), "the old one is not");

    let dump = stack.envoy().admin().get("/config_dump").await.text();
    let key = std::fs::read_to_string(&renewed.key).unwrap();
    let line = key.lines().nth(1).unwrap();
    assert!(
        dump.contains("gateway/certificate") && !dump.contains(line),
        "the key is in the configuration's dump"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn with_mutual_tls_it_serves_only_clients_of_its_authority() {
    let folder = TempDir::new().unwrap();
    let (server, clients) =
        (Authority::new(folder.path(), "server"), Authority::new(folder.path(), "clients"));
    let identity = server.issue("127.0.0.1");
    let stack = Stack::builder().set("server.tls", tls(&identity, Some(clients.file()))).start().await;
    let ask = async |identity: Option<&Identity>| {
        TlsClient::new(server.file(), identity).send(stack.gateway().address(), prompt()).await
    };
    assert_eq!(ask(Some(&clients.issue("somebody"))).await.unwrap().0, 200);
    assert!(ask(None).await.is_err(), "no certificate");
    assert!(ask(Some(&server.issue("somebody"))).await.is_err(), "a certificate of another authority");
    assert!(stack.asked().len() == 1, "{:?}", stack.asked());
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_named_origins_may_call_it_from_browsers() {
    let stack = Stack::builder()
        .models(["openai:ok", "openai:m~status=400"])
        .set("server.cors", json!({"origins": ["https://app.example"], "maxAge": "5m"}))
        .start()
        .await;
    let preflight = async |path: &str, origin: &str| {
        let request = stack.gateway().request(Method::OPTIONS, path).header("origin", origin);
        let request = request.header("access-control-request-method", "POST");
        ai_warp_tests::Reply::of(
            request.header("access-control-request-headers", "authorization,x-session-id"),
        )
        .await
    };
    for path in ["/api/v1/prompt", "/v1/chat/completions", "/v1/models", "/api/v1/sessions/x"] {
        let reply = preflight(path, "https://app.example").await;
        assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, "https://app.example"));
        assert!(reply.header("access-control-allow-headers").contains("authorization"), "{path}");
        assert!(reply.header("access-control-allow-headers").contains("x-session-id"), "{path}");
        assert_eq!(reply.header("access-control-max-age"), "300");
        let other = preflight(path, "https://evil.example").await;
        assert_eq!(other.header("access-control-allow-origin"), "", "{path}: {}", other.status);
    }
    for (body, status) in [(json!({"prompt": "hi"}), 200), (json!({"prompt": 1}), 400)] {
        let request = stack.gateway().request(Method::POST, "/api/v1/prompt").json(&body);
        let reply = ai_warp_tests::Reply::of(request.header("origin", "https://app.example")).await;
        assert_eq!(
            (reply.status, reply.header("access-control-allow-origin")),
            (status, "https://app.example")
        );
        assert!(reply.header("access-control-expose-headers").contains("x-session-id"));
    }
    // What the gateway answers once a provider has refused is an answer that Envoy sends past its filters.
    for stream in [false, true] {
        for (origin, readable) in
            [("https://app.example", "https://app.example"), ("https://evil.example", "")]
        {
            let body = json!({"prompt": "hi", "models": ["openai:m~status=400"], "stream": stream});
            let request = stack.gateway().request(Method::POST, "/api/v1/prompt").json(&body);
            let reply = ai_warp_tests::Reply::of(request.header("origin", origin)).await;
            let allowed = reply.header("access-control-allow-origin");
            assert_eq!(reply.error(), (400, "PROVIDER_BAD_REQUEST_ERROR".to_owned()), "streamed {stream}");
            assert_eq!(allowed, readable, "streamed {stream}");
            let exposed = reply.header("access-control-expose-headers");
            assert_eq!(exposed.contains("retry-after"), !readable.is_empty(), "streamed {stream}");
        }
    }
    for (path, status) in [("/v1/models", 200), ("/v1/nothing", 404), ("/api/v1/sessions/x", 404)] {
        let request = stack.gateway().request(Method::GET, path).header("origin", "https://app.example");
        let reply = ai_warp_tests::Reply::of(request).await;
        assert_eq!(
            (reply.status, reply.header("access-control-allow-origin")),
            (status, "https://app.example")
        );
    }
    let reply = stack.prompt(json!({"prompt": "hi"})).await;
    assert_eq!(reply.header("access-control-allow-origin"), "", "it comes from no page");
}
