//! A collector of traces that keeps every span, by gRPC and by HTTP on the same port.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Bytes before a message of gRPC: whether it is compressed, and its length.
const GRPC_PREFIX: usize = 5;

/// A span as it was exported.
#[derive(Debug, Clone)]
pub struct Span {
    /// `service.name`.
    pub service: String,
    /// Its name.
    pub name: String,
    /// Its trace, in hex.
    pub trace: String,
    /// Its own id, in hex.
    pub id: String,
    /// That of the span it is a part of, in hex; empty where there is none.
    pub parent: String,
    attributes: Vec<(String, String)>,
}

impl Span {
    /// The value of an attribute, as text; empty where it is missing.
    pub fn get(&self, name: &str) -> &str {
        self.attributes.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

/// A running collector; ended when dropped.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    spans: Arc<Mutex<Vec<Span>>>,
    headers: Arc<Mutex<Vec<HeaderMap>>>,
    task: JoinHandle<()>,
}

impl Collector {
    /// Listens on a free port of the loopback interface.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("no free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let spans: Arc<Mutex<Vec<Span>>> = Arc::default();
        let headers: Arc<Mutex<Vec<HeaderMap>>> = Arc::default();
        let (kept, met) = (Arc::clone(&spans), Arc::clone(&headers));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (kept, met) = (Arc::clone(&kept), Arc::clone(&met));
                tokio::spawn(async move {
                    let service = service_fn(|request: Request<Incoming>| {
                        met.lock().expect("nobody panics with it").push(request.headers().clone());
                        take(request, Arc::clone(&kept))
                    });
                    let server = auto::Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, spans, headers, task }
    }

    /// `http://HOST:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What has come so far.
    pub fn spans(&self) -> Vec<Span> {
        self.spans.lock().expect("nobody panics with it").clone()
    }

    /// The headers of every export so far.
    pub fn headers(&self) -> Vec<HeaderMap> {
        self.headers.lock().expect("nobody panics with it").clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Answer = Response<http_body_util::combinators::BoxBody<Bytes, Infallible>>;

async fn take(request: Request<Incoming>, kept: Arc<Mutex<Vec<Span>>>) -> Result<Answer, Infallible> {
    let is_grpc = request.headers().get(CONTENT_TYPE).is_some_and(|value| value == "application/grpc");
    let body =
        request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let mut messages: &[u8] = &body;
    if !is_grpc {
        keep(messages, &kept);
        return Ok(Response::new(Full::default().boxed()));
    }
    while let Some((prefix, rest)) = messages.split_at_checked(GRPC_PREFIX) {
        let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
        let (message, rest) = rest.split_at(length);
        keep(message, &kept);
        messages = rest;
    }
    let trailers =
        HeaderMap::from_iter([("grpc-status".parse().expect("a name"), HeaderValue::from_static("0"))]);
    let empty = Full::from(Bytes::from_static(&[0; GRPC_PREFIX]));
    let response = Response::builder().header(CONTENT_TYPE, "application/grpc");
    Ok(response.body(empty.with_trailers(async { Some(Ok(trailers)) }).boxed()).expect("valid"))
}

fn keep(message: &[u8], kept: &Mutex<Vec<Span>>) {
    let export = ExportTraceServiceRequest::decode(message).expect("an export of spans");
    let mut kept = kept.lock().expect("nobody panics with it");
    for resource in export.resource_spans {
        let of_resource = resource.resource.map(|resource| texts(resource.attributes)).unwrap_or_default();
        let service = of_resource.into_iter().find(|(key, _)| key == "service.name").map(|(_, name)| name);
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            kept.push(Span {
                service: service.clone().unwrap_or_default(),
                name: span.name,
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                attributes: texts(span.attributes),
            });
        }
    }
}

fn texts(attributes: Vec<KeyValue>) -> Vec<(String, String)> {
    let text = |value: Option<AnyValue>| match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    attributes.into_iter().map(|attribute| (attribute.key, text(attribute.value))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
