//! The gateways that are connected, and what each of them accepted or refused.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::resources::Kind;

/// The connected gateways. Cheap to write to; read by `/status`.
#[derive(Debug, Default)]
pub struct Fleet {
    next: AtomicU64,
    members: Mutex<BTreeMap<u64, Member>>,
}

/// One connected gateway.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Member {
    node: String,
    envoy: String,
    connected_at_ms: u64,
    resources: BTreeMap<&'static str, Progress>,
}

/// How far a gateway is with one kind of resource.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Progress {
    sent: String,
    acknowledged: String,
    /// Why the last version sent was refused; it goes on with the one acknowledged.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<Refusal>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Refusal {
    version: String,
    reason: String,
    at_ms: u64,
}

impl Fleet {
    /// The fleet as shown at `/status`.
    pub fn snapshot(&self) -> serde_json::Value {
        let members = self.lock();
        // Plain structs of strings and numbers have no way to fail.
        serde_json::to_value(members.values().collect::<Vec<_>>()).unwrap_or_default()
    }

    /// How many gateways have accepted all they were sent, have yet to answer, or refuse something.
    pub fn standing(&self) -> [(&'static str, u64); 3] {
        let (mut current, mut behind, mut refusing) = (0, 0, 0);
        for member in self.lock().values() {
            let mut all = member.resources.values();
            if all.clone().any(|progress| progress.refused.is_some()) {
                refusing += 1;
            } else if all.all(|progress| progress.sent == progress.acknowledged) {
                current += 1;
            } else {
                behind += 1;
            }
        }
        [("current", current), ("behind", behind), ("refusing", refusing)]
    }

    /// Adds a gateway; returns its key.
    pub(super) fn join(&self, node: &str, envoy: &str) -> u64 {
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        let member = Member {
            node: node.to_owned(),
            envoy: envoy.to_owned(),
            connected_at_ms: now_ms(),
            resources: BTreeMap::new(),
        };
        self.lock().insert(key, member);
        key
    }

    /// Removes a gateway.
    pub(super) fn leave(&self, key: u64) {
        self.lock().remove(&key);
    }

    pub(super) fn sent(&self, key: u64, kind: Kind, version: &str) {
        self.update(key, kind, |progress| version.clone_into(&mut progress.sent));
    }

    pub(super) fn acknowledged(&self, key: u64, kind: Kind, version: &str) {
        self.update(key, kind, |progress| {
            version.clone_into(&mut progress.acknowledged);
            progress.refused = None;
        });
    }

    pub(super) fn refused(&self, key: u64, kind: Kind, version: &str, reason: &str) {
        self.update(key, kind, |progress| {
            let refusal = Refusal { version: version.to_owned(), reason: reason.to_owned(), at_ms: now_ms() };
            progress.refused = Some(refusal);
        });
    }

    fn update(&self, key: u64, kind: Kind, change: impl FnOnce(&mut Progress)) {
        if let Some(member) = self.lock().get_mut(&key) {
            change(member.resources.entry(kind.label()).or_default());
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Member>> {
        // A panic while it was held left at worst one line of the status half written.
        self.members.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
