//! `/console`: a page for people. It shows what `/status` and the sessions API tell, and sends prompts to a gateway.
//!
//! The page itself ([`files`]) holds nothing of this installation, so it is served to whoever asks, once `console.enabled` says so.
//! What it shows, it asks for with a token of `controlPlane.apiTokens` like everybody else. It is bound to its own origin by a
//! content security policy; therefore its prompts go by way of the control plane ([`forward`]).

mod client_files;
mod files;
mod forward;
mod settings;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue, Method, Uri};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

pub use self::client_files::{ClientFiles, ClientFilesError};
use self::forward::Forward;
use super::error::{method_not_allowed, not_found};
use super::{AppState, guard};

/// What the page may do: run and show what comes from here, and nothing else from anywhere.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What the console needs beside what everybody shares.
#[derive(Debug, Default)]
pub struct Console {
    client: ClientFiles,
    forward: Forward,
}

impl Console {
    /// With the client package, by which the page sends prompts; it may be empty.
    pub fn new(client: ClientFiles) -> Self {
        Self { client, forward: Forward::default() }
    }
}

pub(super) fn routes(state: &AppState) -> Router<AppState> {
    let guarded = Router::new()
        .route("/console/api/settings", get(settings::settings))
        .route("/console/gateway/{*path}", post(forward::forward))
        .route_layer(from_fn_with_state(state.clone(), guard::operators))
        .route_layer(from_fn(never_stored));
    let open = Router::new()
        .route("/console", get(files::to_the_page))
        .route("/console/", get(files::page))
        .route("/console/{file}", get(files::file))
        .route("/console/client/{*file}", get(client_files::file));
    open.merge(guarded).layer(from_fn(secured)).layer(from_fn_with_state(state.clone(), switched_on))
}

/// Whether `console.enabled` is set, asked for each request, so that a change is in force at once. Where it is not, there is
/// nothing here.
async fn switched_on(
    State(state): State<AppState>,
    method: Method,
    uri: Uri,
    request: Request,
    next: Next,
) -> Response {
    let enabled = state.0.config.borrow().config.console.enabled;
    match enabled {
        true => next.run(request).await,
        false if [Method::GET, Method::HEAD, Method::POST].contains(&method) => {
            not_found(uri).await.into_response()
        }
        false => method_not_allowed(method, uri).await.into_response(),
    }
}

/// Says what browsers may do with what comes from here.
async fn secured(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// No cache keeps what an operator was told.
async fn never_stored(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
