//! Gates, records, the endpoints for other processes, and the protocols on the port.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::client::{open, read_until, send};
use super::{DEADLINE, ask, headers, question, start, text};
use crate::{Options, Outcome, Provider, Simulator};

#[tokio::test]
async fn a_gated_stream_waits_for_its_gate() {
    let simulator = start().await;
    for (model, gate) in [("a~gate", "a"), ("b~gate", "b~gate")] {
        let (path, body) = question(Provider::OpenAi, model, "!words 3", true);
        let mut stream =
            open(&simulator, "POST", &path, &headers(Provider::OpenAi), &body.to_string()).await.unwrap();
        let seen = read_until(&mut stream, "word1").await;
        assert!(!seen.contains("word2"));
        let request = simulator.requests_for(model).remove(0);
        assert_eq!((request.outcome, request.chunks.len()), (Outcome::InProgress, 1));
        simulator.open_gate(gate);
        read_until(&mut stream, "[DONE]").await;
        assert_eq!(simulator.requests_for(model)[0].chunks.len(), 3);
    }
    // An open gate stays open, and holds whole answers as well.
    assert_eq!(ask(&simulator, Provider::Gemini, "a~gate", "hi", false).await.status, 200);
}

#[tokio::test]
async fn a_client_that_leaves_is_recorded() {
    let simulator = start().await;
    let (path, body) = question(Provider::Gemini, "m~gate", "!words 3", true);
    let mut stream =
        open(&simulator, "POST", &path, &headers(Provider::Gemini), &body.to_string()).await.unwrap();
    read_until(&mut stream, "word1").await;
    drop(stream);
    let left = |seen: &[crate::RecordedRequest]| seen.iter().any(|r| r.outcome == Outcome::AbortedByClient);
    simulator.wait_for(left, DEADLINE).await.unwrap();
}

#[tokio::test]
async fn waiting_in_vain_says_what_was_seen() {
    let simulator = start().await;
    ask(&simulator, Provider::OpenAi, "m", "hi", false).await;
    let error = simulator.wait_for(|seen| seen.len() > 1, Duration::from_millis(1)).await.unwrap_err();
    assert_eq!(error.seen, 1);
    assert!(error.to_string().contains("/openai/v1/chat/completions m Some(200) Answered"), "{error}");
}

#[tokio::test]
async fn only_the_last_requests_are_kept_and_none_without_recording() {
    let recorder = crate::record::Recorder::new(true);
    let simulator = start().await;
    ask(&simulator, Provider::OpenAi, "m", "hi", false).await;
    let sample = simulator.requests().remove(0);
    for _ in 0..crate::RECORDED_REQUESTS_MAX + 5 {
        recorder.file(|| sample.clone()).settle(Outcome::Answered);
    }
    let mut ticket = recorder.file(|| crate::RecordedRequest { model: "last".into(), ..sample.clone() });
    ticket.settle(Outcome::Faulted);
    let kept = recorder.requests();
    assert_eq!(kept.len(), crate::RECORDED_REQUESTS_MAX);
    assert_eq!(
        (kept.last().unwrap().model.as_str(), kept.last().unwrap().outcome),
        ("last", Outcome::Faulted)
    );
    let silent = Simulator::start(Options { record: false, ..Options::default() }).await.unwrap();
    assert_eq!(ask(&silent, Provider::OpenAi, "m", "hi", true).await.status, 200);
    assert!(silent.requests().is_empty());
}

#[tokio::test]
async fn other_processes_can_read_clear_and_open() {
    let simulator = start().await;
    let call = async |method, path: &str| send(&simulator, method, path, &[], "").await.unwrap();
    assert_eq!(call("GET", "/_simulator/health").await.json()["status"], "ok");
    let (path, body) = question(Provider::OpenAi, "m~gate", "hi", true);
    let mut stream =
        open(&simulator, "POST", &path, &headers(Provider::OpenAi), &body.to_string()).await.unwrap();
    read_until(&mut stream, "openai/m~gate:").await;
    assert_eq!(call("POST", "/_simulator/gates/m%7Egate").await.status, 204);
    read_until(&mut stream, "[DONE]").await;
    let requests = call("GET", "/_simulator/requests").await.json();
    assert_eq!(requests[0]["provider"], "openai");
    assert_eq!(requests[0]["outcome"], "answered");
    assert_eq!(requests[0]["body"], body);
    assert!(requests[0]["chunks_ms"].as_array().unwrap().len() > 1);
    assert_eq!(call("DELETE", "/_simulator/requests").await.status, 204);
    assert!(simulator.requests().is_empty());
    assert_eq!(call("GET", "/_simulator/nowhere").await.status, 404);
}

/// Asks over HTTP/2 and returns the status, or what went wrong before it, with the body read so far.
async fn ask_h2<S>(stream: S, model: &str) -> (Result<StatusCode, hyper::Error>, String, bool)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let (path, body) = question(Provider::OpenAi, model, "a b c d e", true);
    let mut request = Request::post(format!("http://simulator{path}"));
    for (name, value) in headers(Provider::OpenAi) {
        request = request.header(name, value);
    }
    let response =
        match sender.send_request(request.body(Full::new(Bytes::from(body.to_string()))).unwrap()).await {
            Ok(response) => response,
            Err(error) => return (Err(error), String::new(), false),
        };
    let status = response.status();
    let mut body = response.into_body();
    let mut read = String::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return (Ok(status), read, false) };
        read.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
    (Ok(status), read, true)
}

#[tokio::test]
async fn http2_without_tls_is_served_on_the_same_port() {
    let simulator = start().await;
    let connect = || async { TcpStream::connect(simulator.address()).await.unwrap() };
    let (status, body, complete) = ask_h2(connect().await, "m").await;
    assert!(status.unwrap() == 200 && body.ends_with("data: [DONE]\n\n") && complete);
    assert_eq!(simulator.requests()[0].version, "HTTP/2.0");
    let (status, body, complete) = ask_h2(connect().await, "cut").await;
    assert!(status.unwrap() == 200 && body.contains("\" b\"") && !complete, "{body}");
    let (status, ..) = ask_h2(connect().await, "reset").await;
    assert!(status.is_err());
}

#[tokio::test]
async fn dropping_the_simulator_closes_port_and_connections() {
    let simulator = start().await;
    let address = simulator.address();
    let (path, body) = question(Provider::OpenAi, "slow", "hi", true);
    let mut stream =
        open(&simulator, "POST", &path, &headers(Provider::OpenAi), &body.to_string()).await.unwrap();
    simulator.wait_for(|seen| seen.len() == 1, DEADLINE).await.unwrap();
    drop(simulator);
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn tls_offers_both_protocols() {
    use tokio_rustls::TlsConnector;
    use tokio_rustls::rustls::pki_types::ServerName;
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = std::env::temp_dir().join(format!("ai-warp-simulator-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let tls = crate::Tls { certificate: folder.join("certificate.pem"), key: folder.join("key.pem") };
    std::fs::write(&tls.certificate, issued.cert.pem()).unwrap();
    std::fs::write(&tls.key, issued.signing_key.serialize_pem()).unwrap();
    let simulator = Simulator::start(Options { tls: Some(tls), ..Options::default() }).await.unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(simulator.base_url(Provider::DeepSeek).starts_with("https://127.0.0.1:"));

    let mut roots = RootCertStore::empty();
    roots.add(issued.cert.der().clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    for protocol in ["h2", "http/1.1"] {
        config.alpn_protocols = vec![protocol.into()];
        let socket = TcpStream::connect(simulator.address()).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config.clone())).connect(name, socket).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
        if protocol == "h2" {
            let (status, body, complete) = ask_h2(stream, "m").await;
            assert!(status.unwrap() == 200 && complete && body.contains("openai/m:"));
        }
    }
}

#[tokio::test]
async fn concurrent_streams_do_not_mix() {
    let simulator = Arc::new(start().await);
    let mut asks = JoinSet::new();
    for n in 0..20 {
        let simulator = Arc::clone(&simulator);
        asks.spawn(async move {
            let model = format!("m{n}~split-random={n}");
            let reply = ask(&simulator, Provider::DeepSeek, &model, "hi", true).await;
            let streamed: String = reply.events().iter().map(|e| text(Provider::DeepSeek, e)).collect();
            assert!(streamed.starts_with(&format!("deepseek/{model}: hi")), "{streamed}");
        });
    }
    asks.join_all().await;
}
