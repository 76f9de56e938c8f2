//! Where an exchange can be sent: the unit that is named for its content, built, and kept for a while when it is gone.

use std::borrow::Cow;

use ai_warp_core::config::{DialectName, Endpoint, Gateway, Service, Tracing};

use super::{Credential, auth};
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
    /// Who keeps the streams that survive their clients: the name of the cluster.
    Streams(String),
    /// Who issues the tokens of clients, and publishes the keys for them.
    Issuer(Service),
    /// Who is asked whether a client may call.
    Webhook(Service),
    /// Who collects traces.
    Collector(Tracing),
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
        let streams = gateway.streams.iter().map(|streams| Place::Streams(streams.cluster.clone()));
        let places = endpoints.chain([Place::Waiting(gateway.waiting_cluster.clone())]).chain(streams);
        let of_exchanges = places.map(|place| Self { place, buffer });
        let collector =
            gateway.tracing.clone().map(|tracing| Self { place: Place::Collector(tracing), buffer });
        of_exchanges.chain(gateway.auth.iter().flat_map(auth::destinations)).chain(collector).collect()
    }

    /// The name of its first cluster, which no other destination has.
    pub fn name(&self) -> Cow<'_, str> {
        match &self.place {
            Place::Endpoint { endpoint, .. } => Cow::Borrowed(&endpoint.cluster),
            Place::Waiting(cluster) | Place::Streams(cluster) => Cow::Borrowed(cluster),
            Place::Issuer(service) => Cow::Owned(auth::cluster_name(auth::ISSUER, service)),
            Place::Webhook(service) => Cow::Owned(auth::cluster_name(auth::WEBHOOK, service)),
            Place::Collector(tracing) => Cow::Borrowed(&tracing.cluster),
        }
    }

    /// The clusters that a plan may name.
    pub(super) fn choices(&self) -> impl Iterator<Item = &str> {
        let (first, by_hop) = match &self.place {
            Place::Endpoint { endpoint, .. } => (Some(&endpoint.cluster), Some(&endpoint.stream_cluster)),
            Place::Waiting(cluster) | Place::Streams(cluster) => (Some(cluster), None),
            Place::Issuer(_) | Place::Webhook(_) | Place::Collector(_) => (None, None),
        };
        first.into_iter().chain(by_hop).map(String::as_str)
    }
}
