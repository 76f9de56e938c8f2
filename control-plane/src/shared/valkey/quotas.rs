//! Quotas in Valkey: every share is given by a script there, all of one message in one round trip.
//!
//! What the script said last is remembered here, with what is asked for at the moment, and goes with every ask: a server
//! that lost its memory in the middle of a window counts on from there, so that its loss lets nothing through twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ai_warp_core::config::{Gateway, Limit};
use ai_warp_core::sync::{QuotaAsk, QuotaGrant, QuotaKey};
use redis::Cmd;

use super::super::board::{Board, MAX_CONTENDED};
use super::super::ledger::{Ledger, Spent, unlimited};
use super::super::rules::{limit, name};
use super::{CONTENDED_KEY, run, run_one};
use crate::store::StoreError;
use crate::store::valkey_batch::ServerScript;
use crate::store::valkey_link::Link;

/// Most quotas whose last known use is remembered.
const MAX_SEEN: usize = 10_000;

/// Largest number that a script is told: it counts in floating point, and this one is exact.
const MAX_AMOUNT: u64 = 1 << 52;

/// What became of the asks of one message.
pub(super) struct Leases {
    /// One for each, in their order.
    pub(super) grants: Vec<QuotaGrant>,
    /// Whether gateways must hear of it.
    pub(super) is_newly_contended: bool,
}

/// All quotas.
#[derive(Debug)]
pub(super) struct Quotas {
    link: Arc<Link>,
    lease: ServerScript,
    contend: ServerScript,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    /// The most that was seen used.
    used: Ledger,
    /// What is being asked for, by asks that are not answered yet.
    asked: HashMap<QuotaKey, u64>,
}

/// Asks under way. Dropping it ends that, whatever became of them.
struct UnderWay<'a> {
    quotas: &'a Quotas,
    asks: Vec<LimitedAsk<'a>>,
}

/// An ask for something that has a limit.
struct LimitedAsk<'a> {
    /// Its place in the message.
    position: usize,
    ask: &'a QuotaAsk,
    limit: Limit,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut seen = self.quotas.lock();
        for LimitedAsk { ask, .. } in &self.asks {
            if let Some(asked) = seen.asked.get_mut(&ask.quota) {
                *asked = asked.saturating_sub(wanted(ask));
                if *asked == 0 {
                    seen.asked.remove(&ask.quota);
                }
            }
        }
    }
}

impl Quotas {
    pub(super) fn new(link: Arc<Link>) -> Self {
        Self {
            link,
            lease: ServerScript::new(include_str!("lease.lua")),
            contend: ServerScript::new(include_str!("contend.lua")),
            seen: Mutex::new(Seen { used: Ledger::new(MAX_SEEN), asked: HashMap::new() }),
        }
    }

    /// What was seen used of the window of `quota` under way.
    pub(super) fn spent(&self, quota: &QuotaKey, now_ms: u64) -> Option<Spent> {
        self.lock().used.get(quota, now_ms)
    }

    /// Gives shares. Where one cannot be given none is, and those that were are lost until their windows end.
    pub(super) async fn lease(
        &self,
        asks: &[QuotaAsk],
        gateway: &Gateway,
        board: &Board,
    ) -> Result<Leases, StoreError> {
        let limited = asks.iter().enumerate().filter_map(|(position, ask)| {
            Some(LimitedAsk { position, ask, limit: limit(gateway, &ask.quota)? })
        });
        let mut under_way = UnderWay { quotas: self, asks: Vec::new() };
        let commands = self.commands(limited.collect(), &mut under_way);
        let replies: Vec<(u64, u64, u64, u64)> =
            if commands.is_empty() { Vec::new() } else { run(&self.link, commands).await? };

        let mut grants: Vec<QuotaGrant> = asks.iter().map(unlimited).collect();
        let mut contended = Vec::new();
        for (LimitedAsk { position, ask, limit }, reply) in under_way.asks.iter().zip(replies) {
            let (granted, window, remaining_ms, used) = reply;
            let spent = Spent { window_ms: window_ms(*limit), window, used };
            self.remember(&ask.quota, spent, remaining_ms);
            if granted < ask.need.min(MAX_AMOUNT) && !board.has_contention(&ask.quota, spent.end_ms()) {
                contended.push((&ask.quota, spent.end_ms()));
            }
            if let Some(grant) = grants.get_mut(*position) {
                *grant = QuotaGrant { granted, window, remaining_ms };
            }
        }
        let is_newly_contended = !contended.is_empty();
        if let Err(error) = self.mark(&contended).await {
            // The next who gets too little marks it again; the shares count.
            tracing::debug!("a contended quota could not be marked: {error}");
        }
        Ok(Leases { grants, is_newly_contended })
    }

    /// One command for each ask; from now on they are under way.
    fn commands<'a>(&self, asks: Vec<LimitedAsk<'a>>, under_way: &mut UnderWay<'a>) -> Vec<Cmd> {
        let mut seen = self.lock();
        let Seen { used, asked } = &mut *seen;
        let command = |(index, LimitedAsk { ask, limit, .. }): (usize, &LimitedAsk<'_>)| {
            let window_ms = window_ms(*limit);
            let last = used.newest(&ask.quota).filter(|spent| spent.window_ms == window_ms);
            let asked = asked.entry(ask.quota.clone()).or_default();
            let (window, used) =
                last.map_or((0, 0), |spent| (spent.window, spent.used.saturating_add(*asked)));
            *asked = asked.saturating_add(wanted(ask));
            let mut command = self.lease.command(index == 0 || self.link.is_cluster());
            // A changed length of window begins a new count, under a name of its own.
            command.arg(1).arg(format!("ai-warp:quota:{{{}}}:{window_ms}", name(&ask.quota)));
            let want = ask.want.max(ask.need);
            let amounts = [limit.max, window_ms, ask.need, want, ask.returned, ask.window, window, used];
            command.arg(&amounts.map(|amount| amount.min(MAX_AMOUNT)));
            command
        };
        let commands = asks.iter().enumerate().map(command).collect();
        drop(seen);
        under_way.asks = asks;
        commands
    }

    fn remember(&self, quota: &QuotaKey, spent: Spent, remaining_ms: u64) {
        let mut seen = self.lock();
        let mut spent = spent;
        if let Some(known) = seen.used.newest(quota).filter(|known| known.window_ms == spent.window_ms) {
            if known.window > spent.window {
                return;
            }
            if known.window == spent.window {
                spent.used = spent.used.max(known.used);
            }
        }
        let now_ms = spent.end_ms().saturating_sub(remaining_ms);
        seen.used.set(quota, spent, now_ms);
    }

    async fn mark(&self, contended: &[(&QuotaKey, u64)]) -> Result<(), StoreError> {
        if contended.is_empty() {
            return Ok(());
        }
        let mut command = self.contend.command(true);
        command.arg(1).arg(CONTENDED_KEY).arg(MAX_CONTENDED);
        for (quota, end_ms) in contended {
            command.arg(name(quota)).arg(end_ms.min(&MAX_AMOUNT));
        }
        run_one::<u64>(&self.link, command).await.map(drop)
    }

    /// Nothing that holds it can panic halfway through a change that matters, so a poisoned lock is still good.
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an ask may be given at most.
fn wanted(ask: &QuotaAsk) -> u64 {
    ask.want.max(ask.need).min(MAX_AMOUNT)
}

fn window_ms(limit: Limit) -> u64 {
    limit.window_ms.clamp(1, MAX_AMOUNT)
}
