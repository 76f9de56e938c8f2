//! How the control plane fares, for people (`/status`) and for orchestrators (`/ready`, `/live`).
//!
//! Ready means that the configuration is compiled and the ports are bound, and whoever can ask knows both. A store that
//! is down does not make the control plane unready: gateways serve without it, and taking configuration
//! away from them as well would only make things worse. It is shown, though.

use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::AppState;

pub(super) async fn status(State(state): State<AppState>) -> Json<Value> {
    let parts = &state.0;
    let loaded = parts.config.borrow().clone();
    let config = parts.config_status.borrow().clone();
    let mut shared = parts.shared.status(&loaded.gateway);
    shared.problems.extend(parts.tokens.borrow().problems(&loaded));
    let streams = parts.streams.usage();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "config": {
            "version": loaded.version,
            "error": config.failure.map(|failure| json!({
                "message": failure.message,
                "sinceMs": failure.since_ms,
            })),
            "restartNeeded": config.restart_needed,
            "warnings": loaded.warnings,
        },
        "problems": shared.problems,
        "models": shared.models,
        "quotas": shared.quotas,
        "filter": {"sha256": parts.filter.sha256},
        "storage": parts.store.status(),
        "turns": {
            "stored": parts.turns.stored.load(Ordering::Relaxed),
            "failed": parts.turns.failed.load(Ordering::Relaxed),
        },
        "streams": {
            "underWay": streams.under_way,
            "readers": streams.readers,
            "held": streams.held,
            "bytes": streams.bytes,
        },
        "gateways": parts.fleet.snapshot(),
    }))
}

pub(super) async fn ready(State(state): State<AppState>) -> (StatusCode, Json<Value>) {
    let draining = *state.0.draining.borrow();
    let status = if draining { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let storage = state.0.store.status();
    let pending: Vec<&str> = [
        (draining, "shutting down"),
        // Informs and does not block, see above.
        (storage.get("reachable") == Some(&Value::Bool(false)), "store not reachable"),
    ]
    .into_iter()
    .filter_map(|(is_pending, name)| is_pending.then_some(name))
    .collect();
    (status, Json(json!({"ready": !draining, "pending": pending, "storage": storage})))
}

pub(super) async fn live() -> Json<Value> {
    Json(json!({"live": true}))
}
