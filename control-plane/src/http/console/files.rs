//! The files of the page, part of this binary.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use crate::filter_code::sha256_hex;
use crate::http::error::{ApiError, not_found};

/// What a browser must do before it shows a file it has: ask whether there is another. A release changes all of them at once.
const CACHING: &str = "no-cache";

/// Characters of a file's hash that tell it from others.
const ETAG_DIGITS: usize = 16;

/// A file by its name, with its type and text.
type File = (&'static str, &'static str, &'static str);

const JS: &str = "text/javascript; charset=utf-8";

macro_rules! files {
    ($($name:literal: $kind:expr),* $(,)?) => {
        [$(($name, $kind, include_str!(concat!("../../../console/", $name)))),*]
    };
}

/// All of them. The first one is the page.
const FILES: [File; 14] = files! {
    "index.html": "text/html; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "app.js": JS,
    "api.js": JS,
    "dom.js": JS,
    "format.js": JS,
    "gateways.js": JS,
    "limits.js": JS,
    "models.js": JS,
    "overview.js": JS,
    "picker.js": JS,
    "playground.js": JS,
    "sessions.js": JS,
};

static ETAGS: LazyLock<Vec<String>> =
    LazyLock::new(|| FILES.iter().map(|(_, _, text)| etag(text.as_bytes())).collect());

/// The page names its files relative to its own path, which ends with a slash.
pub(super) async fn to_the_page() -> Response {
    (StatusCode::PERMANENT_REDIRECT, [(LOCATION, "console/")]).into_response()
}

pub(super) async fn page(headers: HeaderMap, uri: Uri) -> Result<Response, ApiError> {
    file(Path(FILES[0].0.to_owned()), headers, uri).await
}

pub(super) async fn file(
    Path(name): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let mut all = FILES.iter().zip(ETAGS.iter());
    match all.find(|((known, _, _), _)| *known == name) {
        Some(((_, kind, text), etag)) => Ok(serve(&headers, kind, etag, *text)),
        None => Err(not_found(uri).await),
    }
}

/// A file, or that it has not changed.
pub(super) fn serve(
    headers: &HeaderMap,
    kind: &'static str,
    etag: &str,
    body: impl IntoResponse,
) -> Response {
    let about = [(ETAG, etag.to_owned()), (CACHE_CONTROL, CACHING.to_owned())];
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    // Something on the way may have made it a weak one.
    if known.flat_map(|tags| tags.split(',')).any(|tag| tag.trim().trim_start_matches("W/") == etag) {
        return (StatusCode::NOT_MODIFIED, about).into_response();
    }
    (about, [(CONTENT_TYPE, kind)], body).into_response()
}

/// The name of a text among all that a file may have.
pub(super) fn etag(text: &[u8]) -> String {
    format!("\"{}\"", sha256_hex(text).get(..ETAG_DIGITS).unwrap_or_default())
}
