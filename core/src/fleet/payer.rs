//! Who pays for a request beside its model: the consumer that makes it, the route it takes.

use uuid::Uuid;

use crate::config::{Gateway, Limit};
use crate::sync::QuotaKey;

/// One who has limits of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payer {
    /// A consumer, by an id made of what it is called.
    Client(Uuid),
    /// A route, by its name.
    Route(String),
}

impl Payer {
    /// What it is, for people.
    pub const fn what(&self) -> &'static str {
        match self {
            Self::Client(_) => "client",
            Self::Route(_) => "route",
        }
    }

    pub(super) fn rate_key(&self) -> QuotaKey {
        match self {
            Self::Client(id) => QuotaKey::ClientRate(*id),
            Self::Route(name) => QuotaKey::RouteRate(name.clone()),
        }
    }

    pub(super) fn tokens_key(&self) -> QuotaKey {
        match self {
            Self::Client(id) => QuotaKey::ClientTokens(*id),
            Self::Route(name) => QuotaKey::RouteTokens(name.clone()),
        }
    }

    /// Its limit of requests.
    pub(super) fn rate(&self, gateway: &Gateway) -> Option<Limit> {
        match self {
            Self::Client(id) => gateway.client_rate(*id),
            Self::Route(name) => gateway.route(name)?.limits.rate,
        }
    }

    /// Its limit of tokens.
    pub fn tokens(&self, gateway: &Gateway) -> Option<Limit> {
        match self {
            Self::Client(id) => gateway.client_tokens(*id),
            Self::Route(name) => gateway.route(name)?.limits.tokens,
        }
    }
}
