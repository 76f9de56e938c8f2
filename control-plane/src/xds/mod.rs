//! xDS: what the gateways are told, and what they said to it.

use std::sync::Arc;

use tokio::sync::watch;

use crate::config::Loaded;
use crate::filter_code::FilterCode;

/// What the xDS server serves from.
#[derive(Debug, Clone)]
pub struct XdsState {
    /// The configuration in force; a change is pushed to every gateway.
    pub config: watch::Receiver<Arc<Loaded>>,
    /// The filter.
    pub filter: Arc<FilterCode>,
    /// Where the gateways' answers are noted.
    pub fleet: Arc<Fleet>,
}

/// The connected gateways and what each accepted.
#[derive(Debug, Default)]
pub struct Fleet {}

impl Fleet {
    /// The fleet as shown at `/status`.
    pub fn snapshot(&self) -> serde_json::Value {
        serde_json::json!([])
    }
}

/// The xDS services.
pub fn router(_state: XdsState) -> axum::Router {
    axum::Router::new()
}
