//! Where an exchange can be sent: the unit that is named for its content, built, and kept for a while when it is gone.

use ai_warp_core::config::{DialectName, Endpoint, Gateway};

use super::Credential;
use crate::config::Secrets;
use crate::tokens::Tokens;

/// A place that plans name by its cluster, with all that makes its clusters but the filter's code, which is the same for as
/// long as an Envoy is connected.
#[derive(Debug, Clone)]
pub struct Destination {
    /// What is there.
    pub place: Place,
    /// Bytes Envoy may buffer of one body.
    pub buffer: u32,
}

/// What a [`Destination`] is.
#[derive(Debug, Clone)]
pub enum Place {
    /// An endpoint of a provider.
    Endpoint {
        /// The provider's wire format.
        dialect: DialectName,
        /// The endpoint.
        endpoint: Box<Endpoint>,
        /// What Envoy adds to the requests to it.
        credential: Credential,
    },
    /// The place to wait between two attempts: the name of its cluster.
    Waiting(String),
}

impl Destination {
    /// All destinations of a configuration, with its secrets.
    pub fn all(gateway: &Gateway, secrets: &Secrets, tokens: &Tokens) -> Vec<Self> {
        let buffer = super::buffer_limit(gateway);
        let endpoints = gateway.providers.iter().flat_map(|provider| {
            provider.endpoints.iter().map(|endpoint| Place::Endpoint {
                dialect: provider.dialect,
                endpoint: Box::new(endpoint.clone()),
                credential: Credential::of(endpoint, secrets, tokens),
            })
        });
        let places = endpoints.chain([Place::Waiting(gateway.waiting_cluster.clone())]);
        places.map(|place| Self { place, buffer }).collect()
    }

    /// The name of its first cluster, which no other destination has.
    pub fn name(&self) -> &str {
        match &self.place {
            Place::Endpoint { endpoint, .. } => &endpoint.cluster,
            Place::Waiting(cluster) => cluster,
        }
    }

    /// The clusters that a plan may name.
    pub(super) fn choices(&self) -> impl Iterator<Item = &str> {
        let by_hop = match &self.place {
            Place::Endpoint { endpoint, .. } => Some(endpoint.stream_cluster.as_str()),
            Place::Waiting(_) => None,
        };
        [self.name()].into_iter().chain(by_hop)
    }
}
