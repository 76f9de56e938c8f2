//! What to send to one Envoy next.
//!
//! A state machine without I/O: what Envoy says and new resources go in, updates come out; how either is put into messages is
//! for [`protocol`](super::protocol). A change is pushed in the order
//! of [`Kind::ALL`], each kind only when Envoy has acknowledged those before it, but for secrets and signers, which
//! clusters need to become usable. The filter's configuration, which makes the gateway use all the rest, comes last. If Envoy refuses
//! something, what builds on it is not sent: the last good configuration keeps serving.
//!
//! An Envoy that was served by another control plane, or by this one before it was started anew, still has clusters that its
//! filter uses until it has the new configuration, and some requests a while longer. They stay until then.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

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

/// What Envoy says: that it wants something, or what it makes of an update.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// What it is about.
    pub(super) type_url: String,
    /// The update that is answered; empty where none is.
    pub(super) nonce: String,
    /// Why that update is refused.
    pub(super) error: Option<String>,
    /// What it wants.
    pub(super) wants: Wants,
    /// What it has from before this connection: versions by name. Only where the protocol tells.
    pub(super) has: BTreeMap<String, String>,
}

/// The names of resources that Envoy wants, of kinds that go by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wants {
    /// These and no others.
    All(BTreeSet<String>),
    /// Some more, and some no longer.
    Change {
        /// To be sent, even where they were sent before.
        more: BTreeSet<String>,
        /// Of no interest any more.
        less: BTreeSet<String>,
    },
}

impl Default for Wants {
    fn default() -> Self {
        Self::All(BTreeSet::new())
    }
}

/// What to send.
#[derive(Debug)]
pub(super) struct Update<'a> {
    /// What it is about.
    pub(super) kind: Kind,
    /// The version of all resources of the kind together.
    pub(super) version: String,
    /// By which Envoy answers.
    pub(super) nonce: String,
    /// All resources.
    pub(super) all: Vec<&'a Resource>,
    /// Those among them that Envoy does not have yet.
    pub(super) changed: Vec<&'a Resource>,
    /// Those that Envoy has and that are no more.
    pub(super) removed: Vec<String>,
}

/// The version of what Envoy may have or not. No resource has it.
const UNSURE: &str = "";

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
    /// How long requests may go on that were planned with what Envoy had before this connection.
    grace: Duration,
    /// What becomes of that.
    inherited: Inherited,
    next_nonce: u64,
}

#[derive(Debug, Default)]
struct Progress {
    subscribed: bool,
    names: BTreeSet<String>,
    /// What Envoy has, as far as it has said so: versions by name.
    has: BTreeMap<String, String>,
    sent: Option<Sent>,
}

/// What Envoy has from before this connection and nothing here names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inherited {
    /// There is none, or no longer.
    Nothing,
    /// It stays: Envoy does not have the filter's configuration yet, with which it stops to use it for new requests.
    Kept,
    /// It stays until then.
    Leaving { at: Instant },
}

#[derive(Debug)]
struct Sent {
    version: String,
    nonce: String,
    /// All of them, with their versions.
    resources: BTreeMap<String, String>,
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
    /// what refers to the code until the code is there, and says the same about code that does not work. `grace` is how long
    /// requests may go on that were planned with what Envoy had before.
    pub(super) fn new(resources: Resources, fetches_code: bool, grace: Duration) -> Self {
        Self {
            resources,
            kinds: BTreeMap::new(),
            known_clusters: BTreeSet::new(),
            hold_until: None,
            code_wait: fetches_code.then_some(FIRST_CODE_WAIT),
            retry_at: None,
            grace,
            inherited: Inherited::Nothing,
            next_nonce: 0,
        }
    }

    /// New resources to push. What was refused before is offered again only if it has changed.
    pub(super) fn update(&mut self, resources: Resources) {
        self.resources = resources;
    }

    /// Takes what Envoy says.
    pub(super) fn hear(&mut self, said: Said, now: Instant) -> Heard {
        let Said { type_url, nonce, error, wants, has } = said;
        let mut answered = None;
        let mut is_known = false;
        for kind in Kind::of(&type_url) {
            is_known = true;
            let progress = self.kinds.entry(kind).or_default();
            progress.subscribed = true;
            if kind == Kind::Cluster && !has.is_empty() {
                self.inherited = Inherited::Kept;
            }
            progress.has.extend(has.clone());
            if progress.sent.as_ref().is_some_and(|sent| sent.nonce == nonce) {
                answered = Some(kind);
            }
        }
        if !is_known {
            return Heard::Unknown;
        }
        let is_stale = answered.is_none() && !nonce.is_empty();
        // An answer that is stale says nothing of what is wanted now; a change of what is wanted holds all the same.
        if is_stale && matches!(wants, Wants::All(_)) {
            return Heard::Nothing;
        }
        for kind in Kind::of(&type_url) {
            self.kinds.entry(kind).or_default().want(&wants);
        }
        let answered = answered.and_then(|kind| Some((kind, self.kinds.get_mut(&kind)?)));
        let Some((kind, progress)) = answered else { return Heard::Nothing };
        let Some(sent) = progress.sent.as_mut().filter(|sent| sent.outcome == Outcome::Pending) else {
            return Heard::Nothing;
        };
        let version = sent.version.clone();
        let Some(reason) = error else {
            sent.outcome = Outcome::Accepted;
            progress.has.extend(sent.resources.clone());
            if (kind, self.inherited) == (Kind::Extension, Inherited::Kept) {
                self.inherited = Inherited::Leaving { at: now + self.grace };
            }
            return Heard::Accepted { kind, version };
        };
        sent.outcome = Outcome::Refused;
        progress.doubt();
        if let Some(wait) = self.code_wait.filter(|_| reason.contains(NO_FILTER)) {
            self.retry_at = Some(now + wait);
            self.code_wait = Some((wait * 2).min(LONGEST_CODE_WAIT));
        }
        Heard::Refused { kind, version, reason }
    }

    /// When [`next`](Self::next) may have something to send though nothing was heard.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        let inherited = match self.inherited {
            Inherited::Leaving { at } => Some(at),
            Inherited::Kept | Inherited::Nothing => None,
        };
        [self.hold_until, self.retry_at, inherited].into_iter().flatten().min()
    }

    /// What to send next at `now`; `None` while there is nothing to say or something to wait for.
    pub(super) fn next(&mut self, now: Instant) -> Option<Update<'_>> {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            for progress in self.kinds.values_mut() {
                progress.sent.take_if(|sent| sent.outcome == Outcome::Refused);
            }
        }
        self.hold_until = self.hold_until.filter(|until| *until > now);
        if matches!(self.inherited, Inherited::Leaving { at } if at <= now) {
            self.inherited = Inherited::Nothing;
        }
        for kind in Kind::ALL {
            let waits = self.hold_until.is_some() || !self.clusters_are_there() || !self.needs_are_there();
            if kind > Kind::Signer && waits {
                return None;
            }
            let progress = self.kinds.entry(kind).or_default();
            if !progress.subscribed {
                continue;
            }
            let all = wanted(&self.resources, kind, progress);
            // What Envoy is not told of it keeps; an answer without anything would tell it nothing.
            if all.is_empty() && !kind.is_wildcard() {
                continue;
            }
            let resources: BTreeMap<String, String> =
                all.iter().map(|resource| (resource.name.clone(), resource.version.clone())).collect();
            progress.doubt_superseded(&resources);
            let removed = progress.removed(kind, &resources, self.inherited);
            match &progress.sent {
                Some(sent) if sent.resources == resources && removed.is_empty() => match sent.outcome {
                    Outcome::Accepted => continue,
                    // Envoy may answer only when new clusters are warm, which takes their secrets.
                    Outcome::Pending if kind == Kind::Cluster => continue,
                    // A key that was renewed must not wait for clusters or other keys that Envoy does not take.
                    Outcome::Refused if kind <= Kind::Signer => continue,
                    Outcome::Pending | Outcome::Refused => return None,
                },
                _ => {}
            }
            if kind == Kind::Cluster {
                let is_new = |resource: &&Resource| !self.known_clusters.contains(&resource.name);
                if all.iter().any(|resource| resource.needs_dns && is_new(resource)) {
                    self.hold_until = Some(now + DNS_WARMING);
                }
                self.known_clusters = resources.keys().cloned().collect();
            }
            let has = &progress.has;
            let is_changed = |resource: &&&Resource| has.get(&resource.name) != Some(&resource.version);
            let changed = all.iter().filter(is_changed).copied().collect();
            progress.has.retain(|name, _| !removed.contains(name));
            self.next_nonce += 1;
            let nonce = self.next_nonce.to_string();
            let version = version(&all);
            let outcome = Outcome::Pending;
            progress.sent = Some(Sent { version: version.clone(), nonce: nonce.clone(), resources, outcome });
            return Some(Update { kind, version, nonce, all, changed, removed });
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
            sent.is_some_and(|sent| sent.outcome == Outcome::Accepted && sent.resources.contains_key(name))
        })
    }
}

impl Progress {
    /// Notes that some of what was sent may be in force: to be sent again, or taken back.
    fn doubt(&mut self) {
        let Some(sent) = &self.sent else { return };
        for (name, version) in &sent.resources {
            if self.has.get(name) != Some(version) {
                self.has.insert(name.clone(), UNSURE.to_owned());
            }
        }
    }

    /// The same of an update that `resources` replace before Envoy has answered it: that answer will be to something older.
    fn doubt_superseded(&mut self, resources: &BTreeMap<String, String>) {
        let is_pending = |sent: &Sent| sent.outcome == Outcome::Pending && sent.resources != *resources;
        if self.sent.as_ref().is_some_and(is_pending) {
            self.doubt();
        }
    }

    fn want(&mut self, wants: &Wants) {
        match wants {
            Wants::All(names) => self.names.clone_from(names),
            Wants::Change { more, less } => {
                self.names.retain(|name| !less.contains(name));
                self.names.extend(more.iter().cloned());
                // Envoy forgets what it no longer wants, and waits for what it asks for.
                self.has.retain(|name, _| !less.contains(name) && !more.contains(name));
                if !more.is_empty() {
                    self.sent.take_if(|sent| more.iter().any(|name| sent.resources.contains_key(name)));
                }
            }
        }
    }

    /// What Envoy has of a kind that it wants all of, and that is not among `resources`.
    fn removed(&self, kind: Kind, resources: &BTreeMap<String, String>, inherited: Inherited) -> Vec<String> {
        if !kind.is_wildcard() {
            return Vec::new();
        }
        let sent_here = |name: &str| self.sent.as_ref().is_some_and(|sent| sent.resources.contains_key(name));
        let is_kept = |name: &str| inherited != Inherited::Nothing && !sent_here(name);
        self.has.keys().filter(|name| !resources.contains_key(*name) && !is_kept(name)).cloned().collect()
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
