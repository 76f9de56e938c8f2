//! Who may ask. The xDS port gives away API keys, the public one what people said, and with the console it asks models: both
//! ask for a token where the configuration has one, and for each request anew, so that a changed token is in force at once.
//! Without one this machine is trusted, and none of the pages that somebody on it looks at.

use std::net::IpAddr;

use ai_warp_core::error::ErrorCode;
use ai_warp_core::plugin::{CONTROL_PLANE_CLUSTER, SYNC_CLUSTER};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN, WWW_AUTHENTICATE};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::AppState;
use super::error::ApiError;
use crate::config::SecretString;

/// Request header by which browsers tell where a page comes from.
const FETCHED_FROM: &str = "sec-fetch-site";

/// Lets gateways through: whoever has one of `controlPlane.xdsTokens`. Without any, anybody on this machine, or whose
/// certificate the port's TLS has checked. A reload may take tokens away, but not the port from the address it is bound to: what
/// would open it to a network closes it.
pub(super) async fn gateways(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let is_open = {
        let loaded = state.0.config.borrow();
        let at = &loaded.config.control_plane;
        match loaded.secrets.listeners.xds_tokens.as_slice() {
            [] if at.xds_tls.as_ref().is_some_and(|tls| tls.client_ca.is_some()) => true,
            [] => at.is_loopback() && is_no_page(request.headers()),
            tokens => bears_one_of(tokens, request.headers()),
        }
    };
    if is_open { next.run(request).await } else { refuse("This port is for gateways that have its token") }
}

/// Lets operators through: whoever has one of `controlPlane.apiTokens`; without any, anybody on this machine. A page that somebody
/// on this machine looks at is not among them, even where the name it comes from leads here: it would read along.
pub(super) async fn operators(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let (is_open, has_tokens) = {
        let loaded = state.0.config.borrow();
        let tokens = &loaded.secrets.listeners.api_tokens;
        let is_open = match tokens.as_slice() {
            [] => loaded.config.control_plane.is_loopback() && names_this_machine(request.headers()),
            tokens => bears_one_of(tokens, request.headers()),
        };
        (is_open, !tokens.is_empty())
    };
    match (is_open, has_tokens) {
        (true, _) => next.run(request).await,
        (false, true) => refuse("This needs a token of controlPlane.apiTokens"),
        (false, false) => {
            refuse("This is for this machine, by its own names, until controlPlane.apiTokens is set")
        }
    }
}

/// Whether no page asks. Envoy asks by the names of its own clusters, which no page can say; what is passed on for one comes so
/// as well. Others on this machine ask by one of its names, and browsers would tell whose page it is.
fn is_no_page(headers: &HeaderMap) -> bool {
    let by_envoy = headers
        .get(HOST)
        .is_some_and(|host| [SYNC_CLUSTER, CONTROL_PLANE_CLUSTER].iter().any(|name| host == *name));
    by_envoy
        || (names_this_machine(headers)
            && !headers.contains_key(ORIGIN)
            && !headers.contains_key(FETCHED_FROM))
}

/// Whether whoever asks does so by an address or name that no other machine has. Browsers always say by which one.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST) else { return true };
    let host: Option<Authority> = host.to_str().ok().and_then(|host| host.parse().ok());
    host.is_some_and(|host| {
        let name = host.host().trim_start_matches('[').trim_end_matches(']');
        let address: Result<IpAddr, _> = name.parse();
        address.map_or_else(|_| name.eq_ignore_ascii_case("localhost"), |address| address.is_loopback())
    })
}

fn refuse(message: &str) -> Response {
    let bearer = HeaderValue::from_static("Bearer");
    let mut response = ApiError::new(ErrorCode::Unauthorized, message).into_response();
    response.headers_mut().insert(WWW_AUTHENTICATE, bearer);
    response
}

/// Compares hashes, so that the time it takes tells nothing of a token.
fn bears_one_of(tokens: &[SecretString], headers: &HeaderMap) -> bool {
    let Some(borne) = headers.get(AUTHORIZATION).and_then(|value| bearer(value.as_bytes())) else {
        return false;
    };
    let borne = Sha256::digest(borne);
    tokens.iter().any(|token| Sha256::digest(token.expose()) == borne)
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}
