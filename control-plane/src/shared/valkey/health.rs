//! Health in Valkey: read, decide, write back if it still is what was read, and begin again if it is not.
//!
//! Messages of one process take turns, so that only another control plane can come in between.

use std::sync::Arc;
use std::time::Duration;

use ai_warp_core::health::Health;
use ai_warp_core::sync::TargetNews;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::super::targets::{self, TargetWork};
use super::{HEALTH_KEY, run_one};
use crate::store::StoreError;
use crate::store::valkey_batch::ServerScript;
use crate::store::valkey_link::Link;

/// Rounds before a message is given up. In each, somebody succeeds; it takes dozens of control planes that report the
/// same target at the same moment to lose so many.
const MAX_ROUNDS: usize = 64;

/// Longest time of one message, its wait for its turn included.
const DEADLINE: Duration = Duration::from_secs(2);

/// Life of the hash after its last change: targets that no configuration knows any more must not stay for good.
const LIFE_MS: u64 = 7 * 86_400_000;

/// What one field of the hash becomes.
pub(super) struct Change<'a> {
    pub(super) field: &'a str,
    /// What was read; empty for no field.
    pub(super) read: &'a str,
    /// What it becomes; empty for no field.
    pub(super) new: String,
}

/// The scripts for the hash.
#[derive(Debug)]
pub(super) struct HealthScripts {
    read: ServerScript,
    cas: ServerScript,
}

/// The server's time in seconds and microseconds, and what was read.
pub(super) type Reading = (u64, u64, Vec<Option<String>>);

/// The time of a reading in milliseconds.
pub(super) fn time_ms(reading: &Reading) -> u64 {
    reading.0.saturating_mul(1_000).saturating_add(reading.1 / 1_000)
}

impl HealthScripts {
    pub(super) fn new() -> Self {
        Self {
            read: ServerScript::new(include_str!("read.lua")),
            cas: ServerScript::new(include_str!("cas.lua")),
        }
    }

    /// Reads `fields` of the hash `key`, or everything.
    pub(super) fn read(&self, with_text: bool, key: &str, fields: &[&str]) -> redis::Cmd {
        let mut command = self.read.command(with_text);
        command.arg(1).arg(key).arg(fields);
        command
    }

    /// Makes `changes`; whether each was made.
    pub(super) async fn change(&self, link: &Link, changes: &[Change<'_>]) -> Result<Vec<bool>, StoreError> {
        let mut command = self.cas.command(true);
        command.arg(1).arg(HEALTH_KEY).arg(LIFE_MS);
        for change in changes {
            command.arg(change.field).arg(change.read).arg(&change.new);
        }
        let made: Vec<bool> = run_one(link, command).await?;
        if made.len() == changes.len() {
            Ok(made)
        } else {
            Err(StoreError::Refused("an answer is missing".to_owned()))
        }
    }
}

/// What became of the targets of one message.
#[derive(Default)]
pub(super) struct Applied {
    pub(super) targets: Vec<TargetNews>,
    /// The ids of the probes that were given.
    pub(super) probes: Vec<u64>,
    /// Whether gateways must hear of it.
    pub(super) is_changed: bool,
}

/// The health of all targets.
#[derive(Debug)]
pub(super) struct HealthHash {
    link: Arc<Link>,
    scripts: HealthScripts,
    turn: Mutex<()>,
}

/// One target in one round.
struct Decided<'a> {
    work: &'a TargetWork<'a>,
    read: String,
    before: Health,
    after: Health,
    probes: Vec<u64>,
}

impl HealthHash {
    pub(super) fn new(link: Arc<Link>) -> Self {
        Self { link, scripts: HealthScripts::new(), turn: Mutex::new(()) }
    }

    /// Applies `work`. After an error some of it may have been applied.
    pub(super) async fn apply(&self, work: &[TargetWork<'_>]) -> Result<Applied, StoreError> {
        if work.is_empty() {
            return Ok(Applied::default());
        }
        let applied = timeout(DEADLINE, async {
            let _turn = self.turn.lock().await;
            self.apply_in_turn(work).await
        });
        applied.await.unwrap_or(Err(StoreError::Timeout(DEADLINE)))
    }

    async fn apply_in_turn(&self, work: &[TargetWork<'_>]) -> Result<Applied, StoreError> {
        let mut applied = Applied::default();
        let mut open: Vec<&TargetWork<'_>> = work.iter().collect();
        for _ in 0..MAX_ROUNDS {
            let (now_ms, decided) = self.decide(&open).await?;
            open.clear();
            for (decided, is_done) in self.write(decided).await? {
                if !is_done {
                    open.push(decided.work);
                    continue;
                }
                let Decided { work, before, after, probes, .. } = decided;
                targets::log_change(work.target, &before, &after);
                applied.is_changed |=
                    before != after && (before.error().is_some() || after.error().is_some());
                applied.targets.push(targets::news(work.target, &after, now_ms));
                applied.probes.extend(probes);
            }
            if open.is_empty() {
                return Ok(applied);
            }
        }
        Err(StoreError::Refused(format!("others changed the same models {MAX_ROUNDS} times meanwhile")))
    }

    /// Reads the targets of `open` and decides what becomes of them.
    async fn decide<'a>(&self, open: &[&'a TargetWork<'a>]) -> Result<(u64, Vec<Decided<'a>>), StoreError> {
        let fields: Vec<&str> = open.iter().map(|work| work.target).collect();
        let reading: Reading = run_one(&self.link, self.scripts.read(true, HEALTH_KEY, &fields)).await?;
        let now_ms = time_ms(&reading);
        if reading.2.len() != open.len() {
            return Err(StoreError::Refused("an answer is missing".to_owned()));
        }
        let decided = open.iter().zip(reading.2).map(|(work, read)| {
            let read = read.unwrap_or_default();
            let before = parse(work.target, &read);
            let mut after = before.clone();
            let probes = work.apply(&mut after, now_ms);
            Decided { work, read, before, after, probes }
        });
        Ok((now_ms, decided.collect()))
    }

    /// Writes what was decided; whether each is done.
    async fn write<'a>(&self, decided: Vec<Decided<'a>>) -> Result<Vec<(Decided<'a>, bool)>, StoreError> {
        let mut changes = Vec::new();
        for decided in &decided {
            if decided.before != decided.after {
                let new = text(&decided.after)?;
                changes.push(Change { field: decided.work.target, read: &decided.read, new });
            }
        }
        let made =
            if changes.is_empty() { Vec::new() } else { self.scripts.change(&self.link, &changes).await? };
        let mut made = made.into_iter();
        let with_result = decided.into_iter().map(|decided| {
            let is_done = decided.before == decided.after || made.next().unwrap_or(false);
            (decided, is_done)
        });
        Ok(with_result.collect())
    }
}

/// The health that `text` says. One that cannot be read, perhaps of a later release, is taken for good.
pub(super) fn parse(target: &str, text: &str) -> Health {
    if text.is_empty() {
        return Health::default();
    }
    serde_json::from_str(text).unwrap_or_else(|error| {
        tracing::debug!(model = target, "the stored state of a model makes no sense: {error}");
        Health::default()
    })
}

/// What is stored of `health`: nothing where there is nothing to say.
fn text(health: &Health) -> Result<String, StoreError> {
    if *health == Health::default() {
        return Ok(String::new());
    }
    serde_json::to_string(health).map_err(|error| StoreError::Refused(error.to_string()))
}
