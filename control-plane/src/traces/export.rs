//! How spans reach the collector: by gRPC or HTTP, in plain text or over TLS.

use std::collections::HashMap;
use std::str::FromStr;
use std::time::Duration;

use ai_warp_core::config::{OtlpProtocol, Tracing};
use async_trait::async_trait;
use axum::body::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::tonic_types::metadata::MetadataMap;
use opentelemetry_otlp::{
    ExporterBuildError, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};

/// What the control plane's service is called, after the gateway's.
const SERVICE_SUFFIX: &str = "-control-plane";

/// Longest export.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest answer of a collector that is read.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// Why spans cannot be exported.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExportError {
    /// The exporter cannot be made.
    #[error(transparent)]
    Exporter(#[from] ExporterBuildError),
    /// The certificates of the system cannot be read.
    #[error("TLS: {0}")]
    Tls(#[from] std::io::Error),
}

/// Something that makes spans, and exports them. Needs a Tokio runtime, which does the export's work.
pub(super) fn provider(tracing: &Tracing) -> Result<SdkTracerProvider, ExportError> {
    let exporter = match tracing.protocol {
        OtlpProtocol::Grpc => SpanExporter::builder()
            .with_tonic()
            .with_endpoint(tracing.endpoint.to_string())
            .with_timeout(EXPORT_TIMEOUT)
            .with_metadata(metadata(tracing))
            .build()?,
        OtlpProtocol::Http => SpanExporter::builder()
            .with_http()
            .with_http_client(Connection::new()?)
            .with_endpoint(tracing.endpoint.to_string())
            .with_timeout(EXPORT_TIMEOUT)
            .with_headers(tracing.headers.clone().into_iter().collect::<HashMap<_, _>>())
            .build()?,
    };
    let service = format!("{}{SERVICE_SUFFIX}", tracing.service_name);
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::AlwaysOn)
        .with_resource(Resource::builder_empty().with_service_name(service).build())
        .build())
}

fn metadata(tracing: &Tracing) -> MetadataMap {
    let pairs = tracing.headers.iter().filter_map(|(name, value)| {
        Some((http::HeaderName::from_str(name).ok()?, http::HeaderValue::from_str(value).ok()?))
    });
    MetadataMap::from_headers(pairs.collect())
}

/// HTTP for the exporter. Its thread knows no runtime, so the work is done on the one that was there when it was made.
#[derive(Debug)]
struct Connection {
    runtime: tokio::runtime::Handle,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Connection {
    fn new() -> std::io::Result<Self> {
        let tls = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())?;
        let client = Client::builder(TokioExecutor::new()).build(tls.https_or_http().enable_http1().build());
        Ok(Self { runtime: tokio::runtime::Handle::current(), client })
    }
}

#[async_trait]
impl HttpClient for Connection {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let send = async move {
            let (head, body) = client.request(request.map(Full::new)).await?.into_parts();
            let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await?.to_bytes();
            Ok::<_, HttpError>(Response::from_parts(head, body))
        };
        self.runtime.spawn(async { tokio::time::timeout(EXPORT_TIMEOUT, send).await }).await??
    }
}
