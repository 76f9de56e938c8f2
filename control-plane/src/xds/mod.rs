//! xDS: what the gateways are told, and what they said to it.
//!
//! One aggregated stream (ADS) per Envoy. [`resources`] says what an Envoy is told, [`push`] in which order,
//! [`ads`] speaks the protocol, [`ecds`] to those that have all but the filter's configuration from elsewhere, [`fleet`]
//! remembers what each Envoy accepted.

mod ads;
mod ecds;
mod fleet;
mod protocol;
mod push;
pub mod resources;
mod retired;

use std::sync::Arc;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::AggregatedDiscoveryServiceServer;
use envoy_types::pb::envoy::service::extension::v3::extension_config_discovery_service_server::ExtensionConfigDiscoveryServiceServer;
use tokio::sync::watch;
use tonic::service::Routes;

use crate::config::Loaded;
use crate::filter_code::FilterCode;
use crate::tokens::Tokens;

pub use fleet::Fleet;

/// What the xDS server serves from.
#[derive(Debug, Clone)]
pub struct XdsState {
    /// The configuration in force; a change is pushed to every gateway.
    pub config: watch::Receiver<Arc<Loaded>>,
    /// The access tokens in force, likewise.
    pub tokens: watch::Receiver<Arc<Tokens>>,
    /// The filter.
    pub filter: Arc<FilterCode>,
    /// Where the gateways' answers are noted.
    pub fleet: Arc<Fleet>,
}

/// The xDS services, and the filter's code for gateways that do not share a disk with the control plane.
pub fn router(state: XdsState) -> Router {
    let bytes = state.filter.bytes.clone();
    let code = move || async move { ([(CONTENT_TYPE, "application/wasm")], bytes) };
    let code_path = resources::code_path(&state.filter);
    let filters = ExtensionConfigDiscoveryServiceServer::new(ecds::Ecds::new(state.clone()));
    let service = AggregatedDiscoveryServiceServer::new(ads::Ads::new(state));
    Routes::new(service).add_service(filters).into_axum_router().route(&code_path, get(code))
}
