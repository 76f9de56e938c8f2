//! An upstream that keeps what it is sent, byte for byte, for tests that look at credentials.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// Path and query, as they were on the wire.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Seen {
    /// The value of a header; empty where it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// What is answered: a status, a content type and a body.
pub type Answered = (u16, &'static str, String);

/// The same with more headers, in place of the content type.
pub type AnsweredWithHeaders = (u16, Vec<(&'static str, String)>, String);

/// A running upstream; ended when dropped.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Upstream {
    /// Listens on a free port of the loopback interface, and answers as `answer` says.
    pub async fn start(answer: impl Fn(&Seen) -> Answered + Send + Sync + 'static) -> Self {
        Self::start_with_headers(move |seen| {
            let (status, content_type, body) = answer(seen);
            (status, vec![(CONTENT_TYPE.as_str(), content_type.to_owned())], body)
        })
        .await
    }

    /// Listens on a free port of the loopback interface, and answers as `answer` says.
    pub async fn start_with_headers(
        answer: impl Fn(&Seen) -> AnsweredWithHeaders + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("no free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (kept, answer) = (Arc::clone(&seen), Arc::new(answer));
        let task = tokio::spawn(async move {
            // Ended with this task.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                    async move {
                        let seen = read(request).await;
                        let (status, headers, body) = answer(&seen);
                        kept.lock().expect("nobody panics with it").push(seen);
                        let response = headers
                            .into_iter()
                            .fold(Response::builder().status(status), |response, (name, value)| {
                                response.header(name, value)
                            });
                        Ok::<_, Infallible>(response.body(Full::new(Bytes::from(body))).expect("valid"))
                    }
                });
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, seen, task }
    }

    /// Answers everything with "ok", in the format of OpenAI, Gemini or Bedrock by the path; but for Bedrock's streams, which
    /// are binary, so that it just fails there.
    pub async fn provider() -> Self {
        Self::start(|seen| {
            let (whole, event) = if seen.path.contains("enerateContent") {
                let content = r#"{"candidates":[{"content":{"parts":[{"text":"ok"}]},"finishReason":"STOP"}]}"#;
                (content, content)
            } else if seen.path.contains("/converse") {
                (r#"{"output":{"message":{"role":"assistant","content":[{"text":"ok"}]}},"stopReason":"end_turn"}"#, "")
            } else {
                (
                    r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}]}"#,
                    r#"{"choices":[{"index":0,"delta":{"content":"ok"},"finish_reason":"stop"}]}"#,
                )
            };
            match seen.header("accept") {
                "text/event-stream" => (200, "text/event-stream", format!("data: {event}\n\n")),
                "application/json" => (200, "application/json", whole.to_owned()),
                _ => (500, "application/json", "{}".to_owned()),
            }
        })
        .await
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has been sent so far, in order.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("nobody panics with it").clone()
    }

    /// The last request it was sent.
    pub fn last(&self) -> Option<Seen> {
        self.seen.lock().expect("nobody panics with it").last().cloned()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read(request: Request<Incoming>) -> Seen {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let path = head.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    Seen { method: head.method.to_string(), path, headers: head.headers, body }
}
