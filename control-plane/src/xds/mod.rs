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

use std::future;
use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::AggregatedDiscoveryServiceServer;
use envoy_types::pb::envoy::service::extension::v3::extension_config_discovery_service_server::ExtensionConfigDiscoveryServiceServer;
use tokio::sync::watch;
use tonic::service::Routes;

use crate::config::Loaded;
use crate::filter_code::FilterCode;
use crate::metrics::Metrics;
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
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// The xDS services, the filter's code for gateways that do not share a disk with the control plane, and the keys of tokens.
pub fn router(state: XdsState) -> Router {
    let bytes = state.filter.bytes.clone();
    let code = move || async move { ([(CONTENT_TYPE, "application/wasm")], bytes) };
    let code_path = resources::code_path(&state.filter);
    let config = state.config.clone();
    let keys = move |Path(id): Path<String>| future::ready(token_keys(&config, &id));
    let filters = ExtensionConfigDiscoveryServiceServer::new(ecds::Ecds::new(state.clone()));
    let service = AggregatedDiscoveryServiceServer::new(ads::Ads::new(state));
    let routes = Routes::new(service).add_service(filters).into_axum_router();
    routes.route(&code_path, get(code)).route(&resources::keys_path("{id}"), get(keys))
}

/// The keys that tokens are checked with, at the path that gateways were told.
fn token_keys(config: &watch::Receiver<Arc<Loaded>>, id: &str) -> Response {
    let loaded = config.borrow();
    match &loaded.secrets.token_keys {
        Some(keys) if keys.id() == id => {
            ([(CONTENT_TYPE, "application/json")], keys.json().to_owned()).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::response::Response;
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::config::{Env, load};

    async fn body(response: Response) -> Vec<u8> {
        response.into_body().collect().await.unwrap().to_bytes().to_vec()
    }

    #[tokio::test]
    async fn keys_of_tokens_are_at_their_own_path_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ai-warp.yaml");
        let file = "providers: {openai: {}}\nmodels: [\"openai:m\"]\nauth: {jwt: {secret: \"${S}\"}}\n";
        std::fs::write(&path, file).unwrap();
        let env: Env = Arc::new(|_| Some("secret".to_owned()));
        let loaded = load(&path, &env).unwrap();
        let id = loaded.secrets.token_keys.as_ref().unwrap().id();
        let config = watch::channel(Arc::new(loaded)).1;
        let found = token_keys(&config, &id);
        assert_eq!(found.status(), StatusCode::OK);
        assert!(body(found).await.starts_with(b"{\"keys\":["));
        for other in ["", "0", &id.to_uppercase().replace('0', "1")] {
            let missing = token_keys(&config, other);
            assert_eq!(missing.status(), StatusCode::NOT_FOUND, "{other}");
            assert!(body(missing).await.is_empty());
        }
    }
}
