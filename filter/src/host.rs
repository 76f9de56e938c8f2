//! Envoy's hostcalls in the shape the contexts need.
//!
//! Every call costs about as much as parsing a small body, so there is one call where one is enough: header maps are
//! written whole, bodies are read and written once per callback. The free functions of the SDK are used rather than
//! its trait methods, which unwrap; a call that fails counts as "nothing there". The SDK still panics where Envoy answers
//! that a map or a buffer does not exist at all, so each function says when it may be called.

use std::time::{Duration, Instant};

use ai_warp_core::error::GatewayError;
use ai_warp_core::plugin::SYNC_CLUSTER;
use proxy_wasm::hostcalls;
use proxy_wasm::types::{BufferType, MapType};

/// Which of the two bodies of a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Body {
    /// Towards the provider.
    Request,
    /// Towards the client.
    Response,
}

impl Body {
    const fn buffer(self) -> BufferType {
        match self {
            Self::Request => BufferType::HttpRequestBody,
            Self::Response => BufferType::HttpResponseBody,
        }
    }

    /// The first `size` bytes of the body that Envoy holds; all of it for a `size` beyond its length.
    pub(crate) fn read(self, size: usize) -> Vec<u8> {
        if size == 0 {
            return Vec::new();
        }
        hostcalls::get_buffer(self.buffer(), 0, size).ok().flatten().unwrap_or_default()
    }

    /// The last bytes, `length` at most, of the `size` that Envoy holds.
    pub(crate) fn tail(self, size: usize, length: usize) -> Vec<u8> {
        let start = size.saturating_sub(length);
        if size == 0 {
            return Vec::new();
        }
        hostcalls::get_buffer(self.buffer(), start, size - start).ok().flatten().unwrap_or_default()
    }

    /// Replaces the `size` bytes that Envoy holds. Only from within a body callback, or while a body that is not empty is
    /// held.
    pub(crate) fn replace(self, size: usize, body: &[u8]) {
        let _ = hostcalls::set_buffer(self.buffer(), 0, size, body);
    }
}

/// A request header of the stream in effect.
pub(crate) fn request_header(name: &str) -> Option<Vec<u8>> {
    hostcalls::get_map_value_bytes(MapType::HttpRequestHeaders, name).ok().flatten()
}

/// All request headers of the stream in effect.
pub(crate) fn request_headers() -> Vec<(String, Vec<u8>)> {
    hostcalls::get_map_bytes(MapType::HttpRequestHeaders).unwrap_or_default()
}

/// Sets one request header.
pub(crate) fn set_request_header(name: &str, value: &str) {
    let _ = hostcalls::set_map_value(MapType::HttpRequestHeaders, name, Some(value));
}

/// A response header of the stream in effect.
pub(crate) fn response_header(name: &str) -> Option<Vec<u8>> {
    hostcalls::get_map_value_bytes(MapType::HttpResponseHeaders, name).ok().flatten()
}

/// Writes all request headers; those not named are gone.
pub(crate) fn write_request_headers(headers: Vec<(&str, &str)>) {
    let _ = hostcalls::set_map(MapType::HttpRequestHeaders, headers);
}

/// Writes all response headers; those not named are gone.
pub(crate) fn write_response_headers(headers: Vec<(&str, &str)>) {
    let _ = hostcalls::set_map(MapType::HttpResponseHeaders, headers);
}

/// Sets one response header.
pub(crate) fn set_response_header(name: &str, value: &str) {
    let _ = hostcalls::set_map_value(MapType::HttpResponseHeaders, name, Some(value));
}

/// Answers in place of the upstream.
pub(crate) fn respond(status: u16, headers: Vec<(&str, &str)>, body: &[u8]) {
    let _ = hostcalls::send_http_response(u32::from(status), headers, Some(body));
}

/// Ends the exchange of the stream in effect with `error`, from wherever it was noticed: the gateway context sees the
/// response on its way out, and writes it as the client gets it.
pub(crate) fn respond_with(error: &GatewayError) {
    respond(error.code.status(), vec![("content-type", "application/json")], &error.body());
}

/// A property of the stream in effect, or filter state by the name it was set with.
pub(crate) fn property(path: &[&str]) -> Option<Vec<u8>> {
    hostcalls::get_property(path.to_vec()).ok().flatten()
}

/// Sets filter state that lives as long as the request, over all its attempts.
pub(crate) fn set_filter_state(name: &str, value: &str) {
    let _ = hostcalls::set_property(vec![name], Some(value.as_bytes()));
}

/// Lets the router choose the cluster anew.
pub(crate) fn clear_route_cache() {
    let _ = hostcalls::call_foreign_function("clear_route_cache", None);
}

/// Lets a held request go on.
pub(crate) fn resume_request() {
    let _ = hostcalls::resume_http_request();
}

/// Lets a held response go on.
pub(crate) fn resume_response() {
    let _ = hostcalls::resume_http_response();
}

/// Starts an HTTP call to `cluster` for the context in effect; `None` where the cluster does not exist.
fn http_call(
    cluster: &str,
    headers: Vec<(&str, &str)>,
    body: Option<&[u8]>,
    timeout: Duration,
) -> Option<u32> {
    hostcalls::dispatch_http_call(cluster, headers, body, Vec::new(), timeout).ok()
}

/// Asks the control plane for what is at `path`, as a part of the trace of `span`, a `traceparent`; the token of the call.
pub(crate) fn get_from_control_plane(path: &str, span: Option<&[u8]>, timeout: Duration) -> Option<u32> {
    let mut headers = vec![(":method", "GET"), (":path", path), (":authority", SYNC_CLUSTER)];
    let span = span.and_then(|span| std::str::from_utf8(span).ok());
    headers.extend(span.map(|span| ("traceparent", span)));
    http_call(SYNC_CLUSTER, headers, None, timeout)
}

/// Sends JSON to the control plane at `path`; the token of the call.
pub(crate) fn post_to_control_plane(path: &str, json: &[u8], timeout: Duration) -> Option<u32> {
    let headers = vec![
        (":method", "POST"),
        (":path", path),
        (":authority", SYNC_CLUSTER),
        ("content-type", "application/json"),
    ];
    http_call(SYNC_CLUSTER, headers, Some(json), timeout)
}

/// Status and body of the reply in a call's callback; `None` where the call failed, in which case there are no
/// `headers`, nor a map of them to look into.
pub(crate) fn http_call_reply(headers: usize, body_size: usize) -> Option<(u16, Vec<u8>)> {
    if headers == 0 {
        return None;
    }
    let status =
        hostcalls::get_map_value_bytes(MapType::HttpCallResponseHeaders, ":status").ok().flatten()?;
    let status = std::str::from_utf8(&status).ok()?.parse().ok()?;
    let body = match body_size {
        0 => Vec::new(),
        size => hostcalls::get_buffer(BufferType::HttpCallResponseBody, 0, size).ok().flatten()?,
    };
    Some((status, body))
}

/// Milliseconds on a clock that does not go back; from an arbitrary start in this VM.
pub(crate) fn now_ms() -> u64 {
    thread_local! {
        static START: Instant = Instant::now();
    }
    START.with(|start| u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX))
}

/// Milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
