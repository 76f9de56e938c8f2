//! The port that gives away API keys is for gateways alone.

use ai_warp_tests::{Authority, Gateway, Identity, Stack, TlsClient};
use http_body_util::Full;
use hyper::Request;
use reqwest::StatusCode;
use serde_json::json;
use tempfile::TempDir;

const TOKEN: &str = "a-token-of-gateways-1";

/// What the port has beside xDS itself.
const PATHS: [&str; 4] = ["/sync/v1/news/-", "/sync/v1/sessions/x", "/api/v1/sessions/x", "/nothing"];

#[tokio::test(flavor = "multi_thread")]
async fn with_tokens_it_answers_only_gateways_that_have_one() {
    let stack = Stack::builder()
        .set("controlPlane.xdsTokens", json!(["${GATEWAY_TOKEN}", "another-token-in-rotation"]))
        .variable("GATEWAY_TOKEN", TOKEN)
        .bootstrap(["--xds-token-env", "GATEWAY_TOKEN"])
        .remote_code()
        .start()
        .await;
    let session = stack.prompt(json!({"prompt": "hi"})).await.session();
    let reply = stack.prompt(json!({"prompt": "again", "sessionId": session})).await;
    assert_eq!((reply.status, reply.header("x-ai-warp-stored")), (200, ""), "{}", reply.text());

    let port = Gateway::new(stack.control_plane.xds());
    for path in PATHS {
        let reply = port.get(path).await;
        assert_eq!(reply.error(), (401, "UNAUTHORIZED".to_owned()), "{path}");
        assert_eq!(reply.header("www-authenticate"), "Bearer");
    }
    let ads = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
    let client = reqwest::Client::new();
    for (token, expected) in
        [(TOKEN, false), ("another-token-in-rotation", false), ("wrong", true), ("", true)]
    {
        for (path, status) in [(ads, StatusCode::UNAUTHORIZED), ("/nothing", StatusCode::UNAUTHORIZED)] {
            let url = format!("http://{}{path}", stack.control_plane.xds());
            let reply = client.post(url).bearer_auth(token).send().await.unwrap();
            assert_eq!(reply.status() == status, expected, "{path} with {token:?}: {}", reply.status());
        }
    }
    for log in [stack.control_plane.log(), stack.envoy().log()] {
        assert!(!log.contains(TOKEN), "a token is in a log");
    }
    let dump = stack.envoy().admin().get("/config_dump").await.text();
    assert!(
        dump.contains("ai-warp-xds-token") && !dump.contains(TOKEN),
        "a token is in the configuration's dump"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn with_mutual_tls_it_answers_only_gateways_of_its_authority() {
    let folder = TempDir::new().unwrap();
    let (authority, stranger) =
        (Authority::new(folder.path(), "ours"), Authority::new(folder.path(), "strange"));
    let (server, gateway) = (authority.issue("127.0.0.1"), authority.issue("gateway"));
    let file = |path: &std::path::Path| json!({"file": path});
    let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let tls = json!({
        "certificate": file(&server.certificate),
        "privateKey": file(&server.key),
        "clientCa": file(authority.file()),
    });
    let stack = Stack::builder()
        .set("controlPlane.xdsTls", tls)
        .bootstrap(["--xds-ca".to_owned(), path(authority.file())])
        .bootstrap(["--xds-certificate".to_owned(), path(&gateway.certificate)])
        .bootstrap(["--xds-key".to_owned(), path(&gateway.key)])
        .start()
        .await;
    let session = stack.prompt(json!({"prompt": "hi"})).await.session();
    let reply = stack.prompt(json!({"prompt": "again", "sessionId": session})).await;
    assert_eq!((reply.status, reply.header("x-ai-warp-stored")), (200, ""), "{}", reply.text());

    let ask = async |identity: Option<&Identity>| {
        let request = Request::get("/nothing").header("host", "x").body(Full::default()).unwrap();
        TlsClient::new(authority.file(), identity).send(stack.control_plane.xds(), request).await
    };
    assert_eq!(ask(Some(&gateway)).await.unwrap().0, 404, "let in, and told so");
    assert!(ask(None).await.is_err(), "no certificate");
    assert!(ask(Some(&stranger.issue("gateway"))).await.is_err(), "a certificate of somebody else");
    let plain = reqwest::get(format!("http://{}/nothing", stack.control_plane.xds())).await;
    assert!(plain.is_err(), "no TLS");
}
