//! Where sessions are kept: nowhere, in this process, or in Valkey.
//!
//! One enum rather than a trait: the set of stores is closed, and async methods of an enum need no boxing. All of them
//! keep the same promises, and the same tests run against each: a turn is stored once however often it is sent, order
//! is the order of sending, the oldest turns of a long session go first, a session is forgotten
//! `limits.historyExpiration` after its last turn, and to who does not own it, it is not there.

mod memory;
#[cfg(test)]
pub(crate) mod test_server;
#[cfg(test)]
mod tests;
mod valkey;
pub(crate) mod valkey_batch;
pub(crate) mod valkey_link;

use std::time::Duration;

use ai_warp_core::config::{Config, StorageType};
use ai_warp_core::sync::{SessionKey, Turn};
use serde_json::{Value, json};

pub use memory::MemoryStore;
pub use valkey::ValkeyStore;

use crate::config::SecretString;

/// How long and how much is remembered. Read from the configuration in force at every use, so that a change
/// applies without a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Turns kept of one session.
    pub max_turns: usize,
    /// Life of a session after its last turn.
    pub expiration: Duration,
    /// Sessions kept in memory.
    pub max_sessions: usize,
    /// Bytes kept in memory.
    pub max_bytes: u64,
}

impl Retention {
    /// What `config` says.
    pub fn of(config: &Config) -> Self {
        Self {
            max_turns: config.storage.max_turns_per_session as usize,
            expiration: config.limits.history_expiration.duration(),
            max_sessions: config.storage.memory.max_sessions as usize,
            max_bytes: config.storage.memory.max_bytes,
        }
    }
}

/// Why the store could not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The configuration keeps no sessions.
    #[error("sessions are not kept (storage.type is none)")]
    Disabled,
    /// There is no connection.
    #[error("the store cannot be reached: {0}")]
    Unreachable(String),
    /// No answer in time. The turn may or may not be stored; sending it again is safe.
    #[error("the store did not answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The store answered with an error.
    #[error("the store refused: {0}")]
    Refused(String),
    /// What is stored makes no sense.
    #[error("a stored turn cannot be read: {0}")]
    Corrupt(String),
    /// The turn alone is larger than the store.
    #[error("the turn is larger than storage.memory.maxBytes")]
    TooLarge,
}

/// The store of the configuration the control plane started with.
#[derive(Debug)]
pub enum Store {
    /// Sessions are not kept.
    None,
    /// In this process, until it ends.
    Memory(MemoryStore),
    /// In Valkey.
    Valkey(ValkeyStore),
}

impl Store {
    /// The store `config` names. Valkey is reached in the background: this neither waits for it nor fails without it.
    /// Needs a Tokio runtime.
    ///
    /// # Errors
    /// [`StoreError::Refused`] where the parameters cannot make a connection at all.
    pub fn open(config: &Config, valkey_password: Option<&SecretString>) -> Result<Self, StoreError> {
        Ok(match config.storage.kind {
            StorageType::None => Self::None,
            StorageType::Memory => Self::Memory(MemoryStore::default()),
            StorageType::Valkey => Self::Valkey(ValkeyStore::open(&config.storage.valkey, valkey_password)?),
        })
    }

    /// Stores `turns`; one result for each, in their order. A turn that is already stored is a success.
    pub async fn append(&self, turns: &[Turn], retention: &Retention) -> Vec<Result<(), StoreError>> {
        match self {
            Self::None => turns.iter().map(|_| Err(StoreError::Disabled)).collect(),
            Self::Memory(memory) => memory.append(turns, retention),
            Self::Valkey(valkey) => valkey.append(turns, retention).await,
        }
    }

    /// The turns of a session, oldest first; `None` where it is unknown or expired.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot tell.
    pub async fn history(&self, session: SessionKey) -> Result<Option<Vec<Turn>>, StoreError> {
        match self {
            Self::None => Ok(None),
            Self::Memory(memory) => Ok(memory.history(session)),
            Self::Valkey(valkey) => valkey.history(session).await,
        }
    }

    /// Forgets a session; whether there was one.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot tell.
    pub async fn delete(&self, session: SessionKey) -> Result<bool, StoreError> {
        match self {
            Self::None => Ok(false),
            Self::Memory(memory) => Ok(memory.delete(session)),
            Self::Valkey(valkey) => valkey.delete(session).await,
        }
    }

    /// Asks the store for a sign of life.
    ///
    /// # Errors
    /// [`StoreError`] where it gives none.
    pub async fn ping(&self) -> Result<(), StoreError> {
        match self {
            Self::None | Self::Memory(_) => Ok(()),
            Self::Valkey(valkey) => valkey.ping().await,
        }
    }

    /// The state of the store as shown at `/status`, from memory: asking costs the store nothing.
    pub fn status(&self) -> Value {
        match self {
            Self::None => json!({"type": "none", "reachable": true}),
            Self::Memory(memory) => {
                let usage = memory.usage();
                json!({
                    "type": "memory",
                    "reachable": true,
                    "sessions": usage.sessions,
                    "bytes": usage.bytes,
                    "evictedSessions": usage.evicted_sessions,
                })
            }
            Self::Valkey(valkey) => match valkey.reachable() {
                Ok(()) => json!({"type": "valkey", "reachable": true}),
                Err(error) => json!({"type": "valkey", "reachable": false, "error": error.to_string()}),
            },
        }
    }
}
