//! Looking at what all control planes made of the state, and telling gateways.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;
use uuid::Uuid;

use super::super::board::{Board, Clock, Known};
use super::super::rules::named;
use super::health::{Change, HealthScripts, Reading, parse, time_ms};
use super::{CONTENDED_KEY, HEALTH_KEY, MEMORY_FIELD, run};
use crate::store::StoreError;
use crate::store::valkey_link::Link;

/// Time between two looks: well within the second in which a model's failure is to be known everywhere.
const POLL: Duration = Duration::from_millis(200);

/// Publishes the state on `board`, for ever, and at once when this process `changed` it.
pub(super) async fn follow(link: Arc<Link>, board: Arc<Board>, changed: Arc<Notify>) {
    let scripts = HealthScripts::new();
    let mut is_failing = false;
    loop {
        match look(&link, &scripts).await {
            Ok(known) => {
                is_failing = false;
                board.publish(known);
            }
            // That there is no connection, the link says.
            Err(error @ StoreError::Refused(_)) if !is_failing => {
                is_failing = true;
                tracing::warn!("the state of models and quotas cannot be read: {error}");
            }
            Err(_) => {}
        }
        let _ = timeout(POLL, changed.notified()).await;
    }
}

async fn look(link: &Link, scripts: &HealthScripts) -> Result<Known, StoreError> {
    if let Some(known) = read(link, scripts).await? {
        return Ok(known);
    }
    // A new memory. Of those who find it so, one gives it a name.
    let name = Change { field: MEMORY_FIELD, read: "", new: Uuid::new_v4().to_string() };
    scripts.change(link, &[name]).await?;
    let known = read(link, scripts).await?;
    known.ok_or_else(|| StoreError::Refused("what was written is not there".to_owned()))
}

/// Everything; `None` where the memory has no name yet.
async fn read(link: &Link, scripts: &HealthScripts) -> Result<Option<Known>, StoreError> {
    let commands =
        vec![scripts.read(true, HEALTH_KEY, &[]), scripts.read(link.is_cluster(), CONTENDED_KEY, &[])];
    let replies: Vec<Reading> = run(link, commands).await?;
    let [health, contended] = replies.as_slice() else { return Ok(None) };
    let (mut memory, mut targets) = (None, BTreeMap::new());
    for (field, value) in pairs(health) {
        if field == MEMORY_FIELD {
            memory = Some(value.to_owned());
        } else if !field.starts_with('#') {
            let health = parse(field, value);
            if health.error().is_some() {
                targets.insert(field.to_owned(), health);
            }
        }
    }
    let now_ms = time_ms(health);
    let contended = pairs(contended).filter_map(|(name, end_ms)| {
        let end_ms = end_ms.parse().ok().filter(|end_ms| *end_ms > now_ms)?;
        Some((named(name)?, end_ms))
    });
    let contended = contended.collect();
    Ok(memory.map(|memory| Known { clock: Clock::showing(now_ms), memory, targets, contended }))
}

/// Fields and values of a whole hash.
fn pairs(reading: &Reading) -> impl Iterator<Item = (&str, &str)> {
    reading.2.chunks_exact(2).filter_map(|pair| match pair {
        [Some(field), Some(value)] => Some((field.as_str(), value.as_str())),
        _ => None,
    })
}
