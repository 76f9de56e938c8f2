//! The HTTP interfaces: sessions, status, metrics and the console for people, sync for gateways alone.
//!
//! Each is a router made from one [`AppState`], so that a test can ask it without a socket. Errors are
//! `{"code", "message"}` everywhere, for paths and methods nobody knows as well.

mod console;
mod error;
mod fleet;
mod guard;
mod metrics;
mod sessions;
mod status;
mod streams;
mod sync;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use tokio::sync::watch;
use uuid::Uuid;

pub use self::console::{ClientFiles, ClientFilesError, Console};
use self::sessions::Asking;
pub(crate) use self::streams::Peer;
use crate::config::{ConfigStatus, Loaded};
use crate::filter_code::FilterCode;
use crate::metrics::Metrics;
use crate::shared::Shared;
use crate::store::{Retention, Store};
use crate::streams::Streams;
use crate::tokens::Tokens;
use crate::traces::{Span, Traces};
use crate::xds::Fleet;

/// What the handlers share.
#[derive(Debug, Clone)]
pub struct AppState(Arc<Parts>);

/// The parts of an [`AppState`].
#[derive(Debug)]
pub struct Parts {
    /// The configuration in force.
    pub config: watch::Receiver<Arc<Loaded>>,
    /// How the configuration file fares.
    pub config_status: watch::Receiver<ConfigStatus>,
    /// Where sessions are kept.
    pub store: Store,
    /// What they share of models and quotas.
    pub shared: Shared,
    /// The streams that survive their clients.
    pub streams: Arc<Streams>,
    /// The access tokens in force.
    pub tokens: watch::Receiver<Arc<Tokens>>,
    /// The connected gateways.
    pub fleet: Arc<Fleet>,
    /// The filter.
    pub filter: Arc<FilterCode>,
    /// What became of turns so far.
    pub turns: TurnCounters,
    /// What the page for people needs.
    pub console: Console,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The control plane's part of traces.
    pub traces: Arc<Traces>,
    /// Set once the control plane is about to end.
    pub draining: watch::Sender<bool>,
}

/// Turns by what became of them, since the start.
#[derive(Debug, Default)]
pub struct TurnCounters {
    stored: AtomicU64,
    failed: AtomicU64,
}

impl TurnCounters {
    fn count(&self, stored: u64, failed: u64) {
        self.stored.fetch_add(stored, Ordering::Relaxed);
        self.failed.fetch_add(failed, Ordering::Relaxed);
    }
}

impl AppState {
    /// Shares `parts`.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// From now on `/ready` says no, so that nobody sends new work, and whoever waits for news is answered.
    pub fn drain(&self) {
        self.0.draining.send_replace(true);
    }

    /// A span below `parent`, where there are traces.
    fn span(&self, name: &'static str, parent: Option<&str>, session: Uuid) -> Option<Span> {
        let loaded = self.0.config.borrow().clone();
        self.0.traces.span(loaded.gateway.tracing.as_ref(), name, parent, session)
    }

    fn retention(&self) -> Retention {
        Retention::of(&self.0.config.borrow().config)
    }
}

/// The public API: sessions, status, readiness, the console.
pub fn public_router(state: &AppState) -> Router {
    let guarded = sessions::routes(Asking::Operator)
        .route("/status", get(status::status))
        .route_layer(from_fn_with_state(state.clone(), guard::operators));
    let routes = guarded
        .route("/ready", get(status::ready))
        .route("/live", get(status::live))
        .route("/metrics", get(metrics::metrics))
        .merge(console::routes(state));
    finish(routes.with_state(state.clone()), state)
}

/// What gateways ask for beside xDS: sync, and the sessions they forward. `more` is xDS itself.
pub fn sync_router(state: &AppState, more: Router) -> Router {
    let routes = sync::routes()
        .merge(fleet::routes())
        .merge(streams::routes())
        .merge(sessions::routes(Asking::Gateway));
    // Two fallbacks cannot be merged; ours answers for all.
    finish(routes.with_state(state.clone()).merge(more.reset_fallback()), state)
        .layer(from_fn_with_state(state.clone(), guard::gateways))
}

fn finish(router: Router, state: &AppState) -> Router {
    let router = router.fallback(error::not_found).method_not_allowed_fallback(error::method_not_allowed);
    router.layer(from_fn_with_state(state.clone(), metrics::count))
}
