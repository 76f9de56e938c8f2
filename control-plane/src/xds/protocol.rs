//! The two protocols of the aggregated discovery service, as far as they differ.
//!
//! Gateways of our bootstrap speak the incremental one: it alone tells, after a connection was lost, what Envoy still has, and
//! names what is to go. State of the world is for Envoys that others have bootstrapped.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse, Resource as Named,
};
use envoy_types::pb::google::rpc::Status;

use super::push::{Said, Update, Wants};

/// A request of one of the protocols.
pub(super) trait Request: Send + 'static {
    /// What answers it.
    type Response: Send + 'static;

    /// Who asks. In the first request of a stream.
    fn node(&self) -> Option<&Node>;

    /// What it says.
    fn said(self) -> Said;

    /// The message for an update.
    fn response(update: &Update<'_>) -> Self::Response;
}

impl Request for DiscoveryRequest {
    type Response = DiscoveryResponse;

    fn node(&self) -> Option<&Node> {
        self.node.as_ref()
    }

    fn said(self) -> Said {
        Said {
            type_url: self.type_url,
            nonce: self.response_nonce,
            error: self.error_detail.map(reason),
            wants: Wants::All(self.resource_names.into_iter().collect()),
            has: BTreeMap::new(),
        }
    }

    fn response(update: &Update<'_>) -> DiscoveryResponse {
        DiscoveryResponse {
            version_info: update.version.clone(),
            type_url: update.kind.type_url().to_owned(),
            nonce: update.nonce.clone(),
            resources: update.all.iter().map(|resource| resource.body.clone()).collect(),
            ..Default::default()
        }
    }
}

impl Request for DeltaDiscoveryRequest {
    type Response = DeltaDiscoveryResponse;

    fn node(&self) -> Option<&Node> {
        self.node.as_ref()
    }

    fn said(self) -> Said {
        Said {
            type_url: self.type_url,
            nonce: self.response_nonce,
            error: self.error_detail.map(reason),
            wants: Wants::Change {
                more: self.resource_names_subscribe.into_iter().collect(),
                less: self.resource_names_unsubscribe.into_iter().collect(),
            },
            has: self.initial_resource_versions.into_iter().collect(),
        }
    }

    fn response(update: &Update<'_>) -> DeltaDiscoveryResponse {
        let changed = update.changed.iter().map(|resource| Named {
            name: resource.name.clone(),
            version: resource.version.clone(),
            resource: Some(resource.body.clone()),
            ..Default::default()
        });
        DeltaDiscoveryResponse {
            system_version_info: update.version.clone(),
            type_url: update.kind.type_url().to_owned(),
            nonce: update.nonce.clone(),
            resources: changed.collect(),
            removed_resources: update.removed.clone(),
            ..Default::default()
        }
    }
}

fn reason(status: Status) -> String {
    status.message
}
