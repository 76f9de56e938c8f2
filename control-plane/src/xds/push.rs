//! What to send to one Envoy next.
//!
//! A state machine without I/O: requests and new resources go in, responses come out. A change is pushed in the order
//! of [`Kind::ALL`], each kind only when Envoy has acknowledged those before it, but for secrets and signers, which
//! clusters need to become usable. The filter's configuration, which makes the gateway use all the rest, comes last. If Envoy refuses
//! something, what builds on it is not sent: the last good configuration keeps serving.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use envoy_types::pb::envoy::service::discovery::v3::{DiscoveryRequest, DiscoveryResponse};

use super::resources::{Kind, Resource, Resources};

/// New clusters with a DNS name get this long for their first look-up before a filter configuration may use them.
/// Envoy tells nobody when a cluster is warm.
const DNS_WARMING: Duration = Duration::from_millis(300);

/// First wait before something is offered again that was refused because the filter's code had not arrived; doubles
/// up to [`LONGEST_CODE_WAIT`]. Envoy forgets a failed fetch after 10 s.
const FIRST_CODE_WAIT: Duration = Duration::from_millis(100);
const LONGEST_CODE_WAIT: Duration = Duration::from_secs(10);

/// What Envoy says when it refuses a filter, for lack of the code among other reasons.
const NO_FILTER: &str = "Unable to create Wasm plugin";

/// One Envoy's progress.
#[derive(Debug)]
pub(super) struct Push {
    resources: Resources,
    kinds: BTreeMap<Kind, Progress>,
    /// Names of clusters sent so far.
    known_clusters: BTreeSet<String>,
    /// Nothing after clusters is sent before.
    hold_until: Option<Instant>,
    /// The wait before the next such offer; `None` for an Envoy that has the code as a file, where a refusal is final.
    code_wait: Option<Duration>,
    /// When to offer again what was refused for lack of the code.
    retry_at: Option<Instant>,
    next_nonce: u64,
}

#[derive(Debug, Default)]
struct Progress {
    subscribed: bool,
    names: BTreeSet<String>,
    sent: Option<Sent>,
}

#[derive(Debug)]
struct Sent {
    version: String,
    nonce: String,
    names: BTreeSet<String>,
    outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Pending,
    Accepted,
    Refused,
}

/// What a request turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// A subscription, or an answer to something older.
    Nothing,
    /// Envoy accepted this version.
    Accepted { kind: Kind, version: String },
    /// Envoy refused this version.
    Refused { kind: Kind, version: String, reason: String },
    /// A type this server does not have.
    Unknown,
}

impl Push {
    /// The start. `fetches_code` says whether this Envoy gets the filter's code from the control plane: then it refuses
    /// what refers to the code until the code is there, and says the same about code that does not work.
    pub(super) fn new(resources: Resources, fetches_code: bool) -> Self {
        Self {
            resources,
            kinds: BTreeMap::new(),
            known_clusters: BTreeSet::new(),
            hold_until: None,
            code_wait: fetches_code.then_some(FIRST_CODE_WAIT),
            retry_at: None,
            next_nonce: 0,
        }
    }

    /// New resources to push. What was refused before is offered again only if it has changed.
    pub(super) fn update(&mut self, resources: Resources) {
        self.resources = resources;
    }

    /// Takes a request of Envoy.
    pub(super) fn hear(&mut self, request: &DiscoveryRequest, now: Instant) -> Heard {
        let mut answered = None;
        let mut is_known = false;
        for kind in Kind::of(&request.type_url) {
            is_known = true;
            let progress = self.kinds.entry(kind).or_default();
            progress.subscribed = true;
            if progress.sent.as_ref().is_some_and(|sent| sent.nonce == request.response_nonce) {
                answered = Some(kind);
            }
        }
        if !is_known {
            return Heard::Unknown;
        }
        let is_stale = answered.is_none() && !request.response_nonce.is_empty();
        if is_stale {
            return Heard::Nothing;
        }
        for kind in Kind::of(&request.type_url) {
            let names = request.resource_names.iter().cloned().collect();
            self.kinds.entry(kind).or_default().names = names;
        }
        let answered = answered.and_then(|kind| Some((kind, self.kinds.get_mut(&kind)?.sent.as_mut()?)));
        let Some((kind, sent)) = answered else { return Heard::Nothing };
        if sent.outcome != Outcome::Pending {
            return Heard::Nothing;
        }
        let version = sent.version.clone();
        let Some(error) = &request.error_detail else {
            sent.outcome = Outcome::Accepted;
            return Heard::Accepted { kind, version };
        };
        sent.outcome = Outcome::Refused;
        if let Some(wait) = self.code_wait.filter(|_| error.message.contains(NO_FILTER)) {
            self.retry_at = Some(now + wait);
            self.code_wait = Some((wait * 2).min(LONGEST_CODE_WAIT));
        }
        Heard::Refused { kind, version, reason: error.message.clone() }
    }

    /// When [`next`](Self::next) may have something to send though nothing was heard.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        [self.hold_until, self.retry_at].into_iter().flatten().min()
    }

    /// The next response to send at `now`, and its kind; `None` while there is nothing to say or something to wait for.
    pub(super) fn next(&mut self, now: Instant) -> Option<(Kind, DiscoveryResponse)> {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            for progress in self.kinds.values_mut() {
                progress.sent.take_if(|sent| sent.outcome == Outcome::Refused);
            }
        }
        self.hold_until = self.hold_until.filter(|until| *until > now);
        for kind in Kind::ALL {
            let waits = self.hold_until.is_some() || !self.clusters_are_there() || !self.needs_are_there();
            if kind > Kind::Signer && waits {
                return None;
            }
            let progress = self.kinds.entry(kind).or_default();
            if !progress.subscribed {
                continue;
            }
            let wanted = wanted(&self.resources, kind, progress);
            // What Envoy is not told of it keeps; an answer without anything would tell it nothing.
            if wanted.is_empty() && !kind.is_wildcard() {
                continue;
            }
            let version = version(&wanted);
            let names: BTreeSet<String> = wanted.iter().map(|resource| resource.name.clone()).collect();
            match &progress.sent {
                Some(sent) if sent.version == version && sent.names == names => match sent.outcome {
                    Outcome::Accepted => continue,
                    // Envoy may answer only when new clusters are warm, which takes their secrets.
                    Outcome::Pending if kind == Kind::Cluster => continue,
                    Outcome::Pending | Outcome::Refused => return None,
                },
                _ => {}
            }
            if kind == Kind::Cluster {
                let is_new = |resource: &&Resource| !self.known_clusters.contains(&resource.name);
                if wanted.iter().any(|resource| resource.needs_dns && is_new(resource)) {
                    self.hold_until = Some(now + DNS_WARMING);
                }
                self.known_clusters.clone_from(&names);
            }
            self.next_nonce += 1;
            let nonce = self.next_nonce.to_string();
            let response = DiscoveryResponse {
                version_info: version.clone(),
                type_url: kind.type_url().to_owned(),
                nonce: nonce.clone(),
                resources: wanted.iter().map(|resource| resource.body.clone()).collect(),
                ..Default::default()
            };
            progress.sent = Some(Sent { version, nonce, names, outcome: Outcome::Pending });
            return Some((kind, response));
        }
        None
    }

    /// Whether the clusters sent have been accepted.
    fn clusters_are_there(&self) -> bool {
        let sent = self.kinds.get(&Kind::Cluster).and_then(|progress| progress.sent.as_ref());
        sent.is_none_or(|sent| sent.outcome == Outcome::Accepted)
    }

    /// Whether everything that a cluster waits for has been asked for, sent and accepted.
    fn needs_are_there(&self) -> bool {
        let mut needs = self.resources.of(Kind::Cluster).iter().flat_map(|cluster| &cluster.needs);
        needs.all(|(kind, name)| {
            let sent = self.kinds.get(kind).and_then(|progress| progress.sent.as_ref());
            sent.is_some_and(|sent| sent.outcome == Outcome::Accepted && sent.names.contains(name))
        })
    }
}

/// The resources of `kind` this Envoy wants: all of them, or those it has named.
fn wanted<'a>(resources: &'a Resources, kind: Kind, progress: &Progress) -> Vec<&'a Resource> {
    let all = resources.of(kind).iter();
    all.filter(|resource| kind.is_wildcard() || progress.names.contains(&resource.name)).collect()
}

/// One version for the kind: it changes exactly when one of its resources does.
fn version(resources: &[&Resource]) -> String {
    let versions: Vec<&str> = resources.iter().map(|resource| resource.version.as_str()).collect();
    super::resources::short_hash(versions.join(" ").as_bytes())
}

#[cfg(test)]
mod tests;
