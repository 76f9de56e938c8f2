//! What is said to the control plane, and heard from it.

use std::collections::HashMap;

use super::Fleet;
use super::shares;
use crate::health::ProbeResult;
use crate::sync::{FleetNews, FleetReply, FleetSync, NEWS_PATH, Observed, TargetError};

/// For how long after its own report of a target a worker believes no news of it, in milliseconds: they may be older than
/// the report, for they may come from another control plane.
const DISBELIEF_MS: u64 = 500;

/// Asks for all there is to know, at once.
const NO_VERSION: &str = "-";

/// How far this worker has heard the news.
#[derive(Debug)]
pub(super) struct News {
    /// Name of the shared memory that the control plane told last.
    memory: Option<String>,
    version: String,
    /// News before that would not be believed.
    from_ms: u64,
}

impl Default for News {
    fn default() -> Self {
        Self { memory: None, version: NO_VERSION.to_owned(), from_ms: 0 }
    }
}

impl Fleet {
    /// The message to send to the control plane now, a `FleetSync` as JSON; `None` while one is under way, while the control
    /// plane is away, or with nothing to say.
    pub fn next_message(&mut self, now_ms: u64) -> Option<Vec<u8>> {
        // After one without a reply, an empty message asks for a sign of life.
        let has_any = self.outbox.has_any() || self.outbox.is_failing() || self.shares.has_wishes(now_ms);
        if !has_any || !self.outbox.may_send(now_ms) {
            return None;
        }
        let wishes = self.shares.wishes(now_ms);
        let quotas = wishes.iter().map(shares::ask).collect();
        let (reports, probes) = self.outbox.send(wishes, now_ms);
        let message = FleetSync { reports, probes, quotas, is_new: self.news.memory.is_none() };
        // Plain structs of strings and numbers have no way to fail.
        Some(serde_json::to_vec(&message).unwrap_or_default())
    }

    /// Takes what came of the message under way; `None` where there was no good reply.
    pub fn on_reply(&mut self, reply: Option<FleetReply>, now_ms: u64) {
        let is_good = reply.is_some();
        let sent = self.outbox.on_reply(is_good, now_ms);
        let reply = reply.unwrap_or_default();
        if !reply.memory.is_empty() {
            self.note_memory(&reply.memory, now_ms);
        }
        self.shares.on_grants(&sent.wishes, &reply.quotas, now_ms);
        for news in &reply.targets {
            self.learn(&news.target, news.error, now_ms);
        }
        for ask in sent.probes {
            let target = self.targets.entry(&ask.target);
            if !is_good {
                target.lose_probe();
                // It may have been given all the same.
                self.report(&ask.target, ask.id, Observed::Probed(ProbeResult::Abandoned), now_ms);
            } else if reply.probes.contains(&ask.id) {
                target.give_probe(ask.id, now_ms.saturating_add(ask.life_ms));
            } else {
                target.refuse_probe(now_ms);
            }
        }
    }

    /// Whoever waited has had the chance to make the probes that were given. Those nobody made are given back.
    pub fn give_back_probes(&mut self, now_ms: u64) {
        for (target, id) in self.targets.take_unused_probes() {
            self.report(&target, id, Observed::Probed(ProbeResult::Abandoned), now_ms);
        }
    }

    /// The path to ask for news at.
    pub fn news_path(&self) -> String {
        format!("{NEWS_PATH}{}", self.news.version)
    }

    /// When to ask for news again, at the earliest.
    pub fn news_from_ms(&self) -> u64 {
        self.news.from_ms
    }

    /// Takes news.
    pub fn on_news(&mut self, news: FleetNews, now_ms: u64) {
        self.news.version = news.version;
        self.note_memory(&news.memory, now_ms);
        let told: HashMap<String, Option<TargetError>> =
            news.targets.into_iter().map(|news| (news.target, news.error)).collect();
        for name in told.keys() {
            self.targets.entry(name);
        }
        for name in self.targets.names() {
            let reported_at_ms = self.targets.entry(&name).reported_at_ms;
            let believed_from_ms = reported_at_ms.map_or(0, |at_ms| at_ms.saturating_add(DISBELIEF_MS));
            if now_ms < believed_from_ms || self.outbox.has_report_of(&name) {
                NO_VERSION.clone_into(&mut self.news.version);
                self.news.from_ms = believed_from_ms.max(now_ms.saturating_add(DISBELIEF_MS));
            } else {
                self.learn(&name, told.get(&name).copied().flatten(), now_ms);
            }
        }
        self.shares.contended(news.contended);
    }

    /// Takes over what the fleet knows of `target`, unless it is about to hear more of it.
    fn learn(&mut self, target: &str, error: Option<TargetError>, now_ms: u64) {
        if !self.outbox.has_report_of(target) {
            self.targets.learn(target, error, now_ms);
        }
    }

    /// Notes the name of the fleet's memory. Where it is a new one, everybody says again what models are not ready, whoever
    /// saw it first, and believes nothing else of them until that has arrived.
    fn note_memory(&mut self, memory: &str, now_ms: u64) {
        let before = self.news.memory.replace(memory.to_owned());
        if before.is_none_or(|before| before == memory) {
            return;
        }
        for (target, reason, rest_ms) in self.targets.not_ready(now_ms) {
            let id = self.id();
            self.report(&target, id, Observed::Recalled { reason, rest_ms }, now_ms);
        }
    }

    /// Whether there is something to say that no reply and no timer will see to.
    pub fn wants_to_talk(&self) -> bool {
        let is_idle = !self.outbox.is_under_way() && !self.outbox.is_failing();
        is_idle && (self.outbox.has_any() || self.shares.has_wanted())
    }

    /// Something is handed to the control plane that may take long: whether anybody is there is to be known soon.
    pub fn ask_for_sign_of_life(&mut self, now_ms: u64) {
        self.outbox.doubt(now_ms);
    }

    /// Whether the control plane is believed to be away, or there is none, so that nobody need wait for it.
    pub fn is_away(&self) -> bool {
        self.shares.is_by_ledger() || self.outbox.is_away()
    }

    /// Whether the control plane has been silent for so long that nothing should be handed to it. Longer than where it is only
    /// away: one that is busy answers late, and what it is handed can wait.
    pub fn is_silent(&self, now_ms: u64) -> bool {
        self.outbox.is_silent(now_ms)
    }

    /// When something is due that no event will tell: a message to send again, a share to return, a reply that must be
    /// lost.
    pub fn next_due_ms(&self) -> Option<u64> {
        let return_ms = self.shares.next_return_ms().filter(|_| !self.outbox.is_failing());
        return_ms.into_iter().chain(self.outbox.next_due_ms()).min()
    }

    /// Gives up a message whose reply must be lost. Returns whether there was one.
    pub fn expire(&mut self, now_ms: u64) -> bool {
        let is_lost = self.outbox.is_lost(now_ms);
        if is_lost {
            self.on_reply(None, now_ms);
        }
        is_lost
    }
}
