//! `/metrics`, and the counting of requests.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::AppState;
use crate::metrics::Gauge;

/// What Prometheus' text format calls itself.
const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The path of requests to paths that nobody knows: what clients make up must not become a label.
const UNKNOWN_PATH: &str = "unknown";

/// The method of requests with one that HTTP does not define, likewise.
const METHODS: [&str; 6] = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"];

/// Counts a request.
pub(super) async fn count(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().cloned();
    let method = METHODS.into_iter().find(|method| request.method() == method).unwrap_or("other");
    let started = Instant::now();
    let response = next.run(request).await;
    let path = path.as_ref().map_or(UNKNOWN_PATH, MatchedPath::as_str);
    state.0.metrics.request(path, method, response.status().as_u16(), started.elapsed());
    response
}

pub(super) async fn metrics(State(state): State<AppState>) -> Response {
    let parts = &state.0;
    let loaded = parts.config.borrow().clone();
    let config = parts.config_status.borrow().clone();
    let shared = parts.shared.status(&loaded.gateway);
    let problems = parts.tokens.borrow().problems(&loaded).len();
    let storage = parts.store.status();
    let of_storage = |key: &str| storage.get(key).and_then(Value::as_u64).map(number);
    let streams = parts.streams.usage();
    let gateways = parts.fleet.standing();
    let models = shared.models.iter().flat_map(|model| {
        let (target, now) = model.state();
        STATES.into_iter().map(move |state| (vec![target, state], i64::from(state == now)))
    });
    let quotas = |value: fn(&crate::shared::QuotaStatus) -> u64| {
        shared.quotas.iter().map(move |quota| (vec![quota.name()], number(value(quota)))).collect()
    };
    let mut gauges = vec![
        gauge(
            "build_info",
            "The version of this control plane.",
            &["version"],
            vec![(vec![env!("CARGO_PKG_VERSION")], 1)],
        ),
        gauge("config_info", "The configuration in force.", &["version"], vec![(vec![&loaded.version], 1)]),
        plain(
            "config_valid",
            "Whether the newest configuration file is in force.",
            i64::from(config.failure.is_none()),
        ),
        plain(
            "config_restart_needed",
            "Keys whose new values wait for a restart.",
            number(config.restart_needed.len() as u64),
        ),
        plain("store_reachable", "Whether the store of sessions answers.", i64::from(reaches(&storage))),
        gauge(
            "gateways",
            "Connected gateways: current, behind what was sent last, or refusing it.",
            &["state"],
            gateways.into_iter().map(|(state, count)| (vec![state], number(count))).collect(),
        ),
        gauge("model_state", "1 for the state that a model is in.", &["target", "state"], models.collect()),
        gauge(
            "quota_limit",
            "What a limit allows in one window.",
            &["quota"],
            quotas(crate::shared::QuotaStatus::limit),
        ),
        gauge(
            "quota_granted",
            "What gateways may spend of it in the window under way.",
            &["quota"],
            quotas(crate::shared::QuotaStatus::granted),
        ),
        plain(
            "streams_under_way",
            "Resumable streams that models are answering.",
            number(streams.under_way as u64),
        ),
        plain("stream_readers", "Clients that read one of them here.", number(streams.readers as u64)),
        plain("streams_held", "Resumable streams in memory, under way or over.", number(streams.held as u64)),
        plain("stream_bytes", "Bytes of them.", number(streams.bytes)),
        plain(
            "token_problems",
            "Endpoints whose access token cannot be had, or not renewed.",
            number(problems as u64),
        ),
    ];
    gauges.extend(of_storage("sessions").map(|count| plain("store_sessions", "Sessions in memory.", count)));
    gauges
        .extend(of_storage("bytes").map(|bytes| plain("store_bytes", "Bytes of sessions in memory.", bytes)));
    match parts.metrics.render(gauges) {
        Ok(text) => ([(CONTENT_TYPE, FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!("the metrics cannot be written: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The states of a model, as `/status` calls them.
const STATES: [&str; 4] = ["ready", "error", "probing", "unknown"];

fn gauge<'a>(
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    values: Vec<(Vec<&'a str>, i64)>,
) -> Gauge<'a> {
    Gauge { name, help, labels, values }
}

fn plain(name: &'static str, help: &'static str, value: i64) -> Gauge<'static> {
    gauge(name, help, &[], vec![(Vec::new(), value)])
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn reaches(storage: &Value) -> bool {
    storage.get("reachable") == Some(&Value::Bool(true))
}
