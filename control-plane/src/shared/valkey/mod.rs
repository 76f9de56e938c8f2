//! The shared state in Valkey, the same for every control plane of a fleet.
//!
//! Every decision is atomic on the server: quotas are counted by a script there, and health, whose rules are Rust, is
//! read, decided on here, and written back only where nobody else did so meanwhile. A task looks at the state several
//! times a second, and at once after this process changed it, and tells gateways what is new; while Valkey is away they
//! are told what was known last.

mod follow;
mod health;
mod quotas;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ai_warp_core::config::Gateway;
use ai_warp_core::sync::{FleetReply, FleetSync, QuotaKey};
use redis::{Cmd, FromRedisValue};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use self::health::HealthHash;
use self::quotas::Quotas;
use super::board::Board;
use super::ledger::Spent;
use super::targets::TargetWork;
use crate::store::StoreError;
use crate::store::valkey_batch::run_all;
use crate::store::valkey_link::Link;

/// Hash of the state of each target that has anything against it, as JSON of `Health`, by target. Fields that begin
/// with `#` are no targets.
const HEALTH_KEY: &str = "ai-warp:health";

/// Field of [`HEALTH_KEY`] that identifies the server's memory: lost with everything else, and never set the same again.
const MEMORY_FIELD: &str = "#memory";

/// Hash of contended quotas: the ends of their windows in milliseconds, by the quota's name.
const CONTENDED_KEY: &str = "ai-warp:contended";

/// The shared state in Valkey.
#[derive(Debug)]
pub struct ValkeyShared {
    health: HealthHash,
    quotas: Quotas,
    pub(super) board: Arc<Board>,
    /// Told when this process changed something that gateways must hear of.
    changed: Arc<Notify>,
    follower: JoinHandle<()>,
    /// Whether the last message failed.
    is_out: AtomicBool,
}

impl ValkeyShared {
    /// Keeps the state on `link`. Needs a Tokio runtime.
    pub(super) fn start(link: &Arc<Link>) -> Self {
        let board = Arc::new(Board::default());
        let changed = Arc::new(Notify::new());
        let follower = follow::follow(Arc::clone(link), Arc::clone(&board), Arc::clone(&changed));
        Self {
            health: HealthHash::new(Arc::clone(link)),
            quotas: Quotas::new(Arc::clone(link)),
            board,
            changed,
            follower: tokio::spawn(follower),
            is_out: AtomicBool::new(false),
        }
    }

    pub(super) async fn sync(&self, sync: &FleetSync, gateway: &Gateway) -> Result<FleetReply, StoreError> {
        let result = self.try_sync(sync, gateway).await;
        match (&result, self.is_out.swap(result.is_err(), Ordering::Relaxed)) {
            (Err(error), false) => {
                tracing::warn!("the state of models and quotas cannot be shared: {error}");
            }
            (Ok(_), true) => tracing::info!("the state of models and quotas is shared again"),
            _ => {}
        }
        result
    }

    async fn try_sync(&self, sync: &FleetSync, gateway: &Gateway) -> Result<FleetReply, StoreError> {
        let health = self.health.apply(&TargetWork::of(sync, gateway)).await?;
        if health.is_changed {
            self.changed.notify_one();
        }
        // Last, so that nothing after it can fail and lose the shares.
        let leases = self.quotas.lease(&sync.quotas, gateway, &self.board).await?;
        if leases.is_newly_contended {
            self.changed.notify_one();
        }
        // As it was known a moment ago; should it be lost since, the news will say so.
        let memory = self.board.memory();
        Ok(FleetReply { targets: health.targets, probes: health.probes, quotas: leases.grants, memory })
    }

    pub(super) fn spent(&self, quota: &QuotaKey, now_ms: u64) -> Option<Spent> {
        self.quotas.spent(quota, now_ms)
    }
}

impl Drop for ValkeyShared {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

/// Runs `commands`, of which each must succeed.
async fn run<T: FromRedisValue>(link: &Link, commands: Vec<Cmd>) -> Result<Vec<T>, StoreError> {
    let count = commands.len();
    let replies = link.run(move |connection| run_all::<T>(connection, commands)).await?;
    if replies.len() != count {
        return Err(StoreError::Refused("an answer is missing".to_owned()));
    }
    let replies = replies.into_iter();
    replies.map(|reply| reply.map_err(|error| StoreError::Refused(error.to_string()))).collect()
}

/// The same for one command.
async fn run_one<T: FromRedisValue>(link: &Link, command: Cmd) -> Result<T, StoreError> {
    let reply = run(link, vec![command]).await?.pop();
    reply.ok_or_else(|| StoreError::Refused("an answer is missing".to_owned()))
}
