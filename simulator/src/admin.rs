//! The simulator's own endpoints under `/_simulator/`, for tests that run in another process.
//!
//! They do what the methods of [`crate::Simulator`] do, and are not recorded.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::fault::percent_decode;
use crate::route::Shared;

/// Answers `METHOD /_simulator/PATH` with a status and a JSON text.
pub(crate) fn answer(shared: &Shared, method: &Method, path: &str) -> (StatusCode, String) {
    let ok = |body: Value| (StatusCode::OK, body.to_string());
    match (method.as_str(), path, path.strip_prefix("gates/")) {
        ("GET", "health", _) => ok(json!({ "status": "ok", "recording": shared.recorder.is_enabled() })),
        ("GET", "requests", _) => {
            ok(shared.recorder.requests().iter().map(|request| request.to_json()).collect())
        }
        ("DELETE", "requests", _) => {
            shared.clear();
            (StatusCode::NO_CONTENT, String::new())
        }
        ("POST", _, Some(model)) => match percent_decode(model) {
            Some(model) => {
                shared.gates.open(&model);
                (StatusCode::NO_CONTENT, String::new())
            }
            None => (
                StatusCode::BAD_REQUEST,
                json!({ "error": "the model is not percent-encoded UTF-8" }).to_string(),
            ),
        },
        _ => (StatusCode::NOT_FOUND, json!({ "error": "no such endpoint of the simulator" }).to_string()),
    }
}
