//! Prompts of the page, on their way to a gateway.
//!
//! The page may talk to its own origin alone, and a gateway need not let pages of another one in. So the control plane hands its
//! prompts on to the one gateway of `console.gateway`, at the two paths of the unified API, and what comes back as it comes.
//! Only named headers pass, either way; how large a prompt and how long an answer may be, the gateway says. The gateway's credential passes through and is kept nowhere; the control plane's own
//! token, which the page sends beside it, stays here.

use std::sync::Arc;
use std::time::Duration;

use ai_warp_core::config::{BaseUrl, Gateway};
use ai_warp_core::error::ErrorCode;
use ai_warp_core::plugin::OWN_HEADERS;
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt as _;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::super::AppState;
use super::super::error::{ApiError, not_found};
use crate::tokens::unreachable_because;

/// Most prompts under way: people type them.
const MAX_PROMPTS: usize = 64;

/// Longest wait for a connection to the gateway.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What an answer may take beyond the gateway's own longest time before it begins.
const SLACK: Duration = Duration::from_secs(10);

/// Request header with the credential that the gateway asks for, as it goes into its `authorization`.
const CREDENTIAL: HeaderName = HeaderName::from_static("x-gateway-authorization");

/// Request headers that go on to the gateway.
const REQUEST_HEADERS: [HeaderName; 4] = [
    ACCEPT,
    CONTENT_TYPE,
    HeaderName::from_static("last-event-id"),
    HeaderName::from_static("x-ai-warp-resume"),
];

/// Header by which browsers say whose page asks.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The way to the gateway.
#[derive(Debug)]
pub(super) struct Forward {
    under_way: Arc<Semaphore>,
}

impl Default for Forward {
    fn default() -> Self {
        Self { under_way: Arc::new(Semaphore::new(MAX_PROMPTS)) }
    }
}

pub(super) async fn forward(
    State(state): State<AppState>,
    Path(path): Path<String>,
    uri: Uri,
    request: Request,
) -> Response {
    let loaded = state.0.config.borrow().clone();
    let path = format!("/{path}");
    if ![&loaded.gateway.paths.prompt, &loaded.gateway.paths.stream].contains(&&path) {
        return not_found(uri).await.into_response();
    }
    if !is_of_own_page(request.headers()) {
        return ApiError::new(ErrorCode::Forbidden, "Only the console itself sends prompts here")
            .into_response();
    }
    let Ok(Some(gateway)) = loaded.config.console.gateway(&loaded.config.server) else {
        return failed(
            StatusCode::BAD_GATEWAY,
            "GATEWAY_UNKNOWN",
            "console.gateway does not say where the gateway is",
        );
    };
    let Ok(permit) = Arc::clone(&state.0.console.forward.under_way).try_acquire_owned() else {
        let message = format!("{MAX_PROMPTS} prompts of the console are under way");
        return failed(StatusCode::SERVICE_UNAVAILABLE, "TOO_MANY_PROMPTS", &message);
    };
    let response = match timeout(longest_wait(&loaded.gateway), send(&gateway, &path, request)).await {
        Ok(Ok(response)) => response,
        Ok(Err(reason)) => {
            tracing::warn!(gateway = gateway.authority(), "a prompt of the console went nowhere: {reason}");
            let message = format!("The gateway at {} {reason}", gateway.authority());
            return failed(StatusCode::BAD_GATEWAY, "GATEWAY_UNREACHABLE", &message);
        }
        Err(_) => {
            return failed(StatusCode::GATEWAY_TIMEOUT, "GATEWAY_UNREACHABLE", "The gateway does not answer");
        }
    };
    let (mut parts, body) = response.into_parts();
    let kept = response_headers(&parts.headers, &loaded.gateway.session_header);
    parts.headers = kept;
    // The permit is held until the last byte, or until the page is gone.
    let body = body.map_frame(move |frame| {
        let _ = &permit;
        frame
    });
    Response::from_parts(parts, Body::new(body))
}

/// How long an answer may take until it begins, on any route.
pub(super) fn longest_wait(gateway: &Gateway) -> Duration {
    Duration::from_millis(gateway.longest_timeout_ms()) + SLACK
}

/// Whether a browser says that a page of this origin asks, or nobody says anything, as programs do. Where there are no tokens,
/// pages of others could else spend this gateway's tokens, although they would never see an answer.
fn is_of_own_page(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get(FETCH_SITE) {
        return site == "same-origin";
    }
    // Older browsers say only which origin it is.
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let authority =
        origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    authority.is_some_and(|authority| headers.get(HOST).is_some_and(|host| host == authority))
}

/// Sends a request on. The error goes on after "The gateway at …".
async fn send(gateway: &BaseUrl, path: &str, request: Request) -> Result<axum::http::Response<Body>, String> {
    let (parts, body) = request.into_parts();
    let scheme = if gateway.tls { "https" } else { "http" };
    let uri = format!("{scheme}://{}{}{path}", gateway.authority(), gateway.path);
    let mut onward = axum::http::Request::post(uri).body(body).map_err(|error| error.to_string())?;
    for name in REQUEST_HEADERS {
        if let Some(value) = parts.headers.get(&name) {
            onward.headers_mut().insert(name, value.clone());
        }
    }
    if let Some(credential) = parts.headers.get(CREDENTIAL) {
        onward.headers_mut().insert(AUTHORIZATION, credential.clone());
    }
    let mut http = HttpConnector::new();
    http.set_connect_timeout(Some(CONNECT_TIMEOUT));
    http.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new());
    let response = if gateway.tls {
        http.enforce_http(false);
        let tls = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
            .map_err(|error| format!("cannot be asked over TLS: {error}"))?;
        client.build(tls.https_only().enable_http1().wrap_connector(http)).request(onward).await
    } else {
        client.build(http).request(onward).await
    };
    let response = response.map_err(|error| unreachable_because(&error))?;
    Ok(response.map(Body::new))
}

/// What of the gateway's answer the page gets.
fn response_headers(headers: &HeaderMap, session_header: &str) -> HeaderMap {
    let passes = |name: &HeaderName| {
        [CONTENT_TYPE, RETRY_AFTER].contains(name)
            || name.as_str() == session_header
            || name.as_str().starts_with(OWN_HEADERS)
    };
    headers
        .iter()
        .filter(|(name, _)| passes(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn failed(status: StatusCode, code: &str, message: &str) -> Response {
    (status, Json(json!({"code": code, "message": message}))).into_response()
}
