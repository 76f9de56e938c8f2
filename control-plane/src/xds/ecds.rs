//! The discovery service of the filters alone, the gateway's and those that find out who calls, for Envoys that are somebody else's: `ai-warp render` wrote their
//! clusters and routes, and what the filter does with them still comes from here.
//!
//! A cluster has its plain name there, because nothing here could rename it. So models, routes and limits change at once; who
//! changes a provider's address renders anew.

use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use envoy_types::pb::envoy::service::extension::v3::extension_config_discovery_service_server::ExtensionConfigDiscoveryService;
use tonic::{Request, Response, Status, Streaming};

use super::XdsState;
use super::ads::{Ads, Responses, Scope};

/// The service.
#[derive(Debug)]
pub(super) struct Ecds(Ads);

impl Ecds {
    pub(super) fn new(state: XdsState) -> Self {
        Self(Ads::new(state))
    }
}

#[tonic::async_trait]
impl ExtensionConfigDiscoveryService for Ecds {
    type StreamExtensionConfigsStream = Responses<DiscoveryResponse>;
    type DeltaExtensionConfigsStream = Responses<DeltaDiscoveryResponse>;

    async fn stream_extension_configs(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamExtensionConfigsStream>, Status> {
        self.0.serve(request.into_inner(), Scope::Filter).await
    }

    async fn delta_extension_configs(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaExtensionConfigsStream>, Status> {
        self.0.serve(request.into_inner(), Scope::Filter).await
    }

    async fn fetch_extension_configs(
        &self,
        _: Request<DiscoveryRequest>,
    ) -> Result<Response<DiscoveryResponse>, Status> {
        Err(Status::unimplemented("this control plane speaks streams"))
    }
}
