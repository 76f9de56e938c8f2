//! What the whole fleet shares: which models can be tried, and what is left of quotas.
//!
//! Workers report failures, ask for probes and for shares of quotas, and hear what others found out; the messages are in
//! `ai_warp_core::sync`. The state is kept where sessions are: in this process, where `storage.type` is `memory` or
//! `none`, or in Valkey, where several control planes see the same. Both keep the same promises, and the same tests run
//! against each: a probe is given once, each failure counts once, shares never exceed a limit in a window, and
//! whatever one worker finds out the others are told within a second. Rules and limits are those of the configuration
//! in force at each message, so that a change applies at once.

mod board;
mod ledger;
mod memory;
mod rules;
mod status;
mod targets;
#[cfg(test)]
mod tests;
mod valkey;

use ai_warp_core::config::Gateway;
use ai_warp_core::sync::{FleetNews, FleetReply, FleetSync, QuotaKey};

pub use memory::MemoryShared;
pub use status::{QuotaStatus, SharedStatus};
pub use valkey::ValkeyShared;

use self::board::Board;
use self::ledger::Spent;
use crate::store::{Store, StoreError};

/// The state of models and quotas.
#[derive(Debug)]
pub enum Shared {
    /// In this process, until it ends.
    Memory(MemoryShared),
    /// In Valkey.
    Valkey(Box<ValkeyShared>),
}

impl Shared {
    /// Keeps the state where `store` keeps sessions, over the same connection. Needs a Tokio runtime.
    pub fn open(store: &Store) -> Self {
        match store {
            Store::None | Store::Memory(_) => Self::Memory(MemoryShared::default()),
            Store::Valkey(valkey) => Self::Valkey(Box::new(ValkeyShared::start(&valkey.link()))),
        }
    }

    /// Applies what a worker says, by the rules of `gateway`, and gives it what it may have.
    ///
    /// # Errors
    /// [`StoreError`] where the store is away; then some of it may have been done.
    pub async fn sync(&self, sync: &FleetSync, gateway: &Gateway) -> Result<FleetReply, StoreError> {
        let mut reply = match self {
            Self::Memory(memory) => memory.sync(sync, gateway),
            Self::Valkey(valkey) => valkey.sync(sync, gateway).await?,
        };
        if sync.is_new
            && let Ok(news) = self.news_now()
        {
            reply.targets.extend(news.targets);
        }
        Ok(reply)
    }

    /// What gateways must know, as soon as it differs from `version`, and after
    /// [`NEWS_WAIT_MS`](ai_warp_core::sync::NEWS_WAIT_MS) in any case.
    ///
    /// # Errors
    /// [`StoreError`] where nothing is known, because the store was away ever since the start.
    pub async fn news(&self, version: &str) -> Result<FleetNews, StoreError> {
        self.board().news(version).await
    }

    /// What gateways must know, at once.
    ///
    /// # Errors
    /// As those of [`news`](Self::news).
    pub fn news_now(&self) -> Result<FleetNews, StoreError> {
        self.board().news_now()
    }

    /// The state of the models of `gateway` and their quotas as shown at `/status`, from memory.
    pub fn status(&self, gateway: &Gateway) -> SharedStatus {
        let known = self.board().known();
        SharedStatus::of(gateway, known.as_ref(), |quota, now_ms| self.spent(quota, now_ms))
    }

    fn board(&self) -> &Board {
        match self {
            Self::Memory(memory) => &memory.board,
            Self::Valkey(valkey) => &valkey.board,
        }
    }

    fn spent(&self, quota: &QuotaKey, now_ms: u64) -> Option<Spent> {
        match self {
            Self::Memory(memory) => memory.spent(quota, now_ms),
            Self::Valkey(valkey) => valkey.spent(quota, now_ms),
        }
    }
}
