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

    /// Whether it asks for the resource of this name.
    fn asks_for(&self, name: &str) -> bool;

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

    fn asks_for(&self, name: &str) -> bool {
        self.resource_names.iter().any(|asked| asked == name)
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

    fn asks_for(&self, name: &str) -> bool {
        self.resource_names_subscribe.iter().any(|asked| asked == name)
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::resources::Kind;
    use super::super::resources::tests::with_keys;
    use super::*;

    #[test]
    fn state_of_the_world_is_sent_whole_and_increments_are_named() {
        let resources = with_keys(&["openai:a"]);
        let all: Vec<_> = resources.of(Kind::Cluster).iter().collect();
        let update = Update {
            kind: Kind::Cluster,
            version: "v".to_owned(),
            nonce: "1".to_owned(),
            changed: all.iter().take(1).copied().collect(),
            removed: vec!["gone".to_owned()],
            all: all.clone(),
        };
        let whole = DiscoveryRequest::response(&update);
        assert_eq!((whole.resources.len(), whole.version_info.as_str()), (all.len(), "v"));
        let increment = DeltaDiscoveryRequest::response(&update);
        assert_eq!(increment.resources.len(), 1);
        assert_eq!(increment.resources.first().map(|r| &r.name), all.first().map(|r| &r.name));
        assert_eq!((increment.removed_resources, increment.nonce.as_str()), (vec!["gone".to_owned()], "1"));
    }

    #[test]
    fn both_say_what_envoy_wants_and_thinks() {
        let names = |name: &str| BTreeSet::from([name.to_owned()]);
        let status = Some(Status { message: "no".to_owned(), ..Default::default() });
        let whole = DiscoveryRequest {
            resource_names: vec!["a".to_owned()],
            response_nonce: "1".to_owned(),
            error_detail: status.clone(),
            ..Default::default()
        };
        let said = Said {
            nonce: "1".to_owned(),
            error: Some("no".to_owned()),
            wants: Wants::All(names("a")),
            ..Said::default()
        };
        assert_eq!(whole.said(), said);
        let increment = DeltaDiscoveryRequest {
            resource_names_subscribe: vec!["a".to_owned()],
            resource_names_unsubscribe: vec!["b".to_owned()],
            initial_resource_versions: [("c".to_owned(), "v".to_owned())].into(),
            response_nonce: "1".to_owned(),
            error_detail: status,
            ..Default::default()
        };
        let wants = Wants::Change { more: names("a"), less: names("b") };
        let has = BTreeMap::from([("c".to_owned(), "v".to_owned())]);
        assert_eq!(increment.said(), Said { wants, has, ..said });
    }
}
