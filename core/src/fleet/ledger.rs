//! Quotas of an Envoy that has no control plane: counted where all its workers see them.
//!
//! With a control plane a worker spends shares, because asking is a round trip. Inside of one Envoy it is a look into memory
//! that the workers have in common, so there are no shares: what is spent is written down at once, as one step, and the
//! count is exact over all workers. Windows are those of the fleet: of one length since 1970.
//!
//! Shared memory cannot be freed, only overwritten. So consumers, who can be invented, have a fixed number of pages in
//! common, and of each page a fixed number of lines.

use std::fmt;

use uuid::Uuid;

use crate::config::Limit;
use crate::sync::QuotaKey;

/// Pages that the consumers have in common, for each kind of limit.
const CONSUMER_PAGES: u128 = 1_024;

/// Most quotas counted on one page; consumers beyond are refused until a window is over.
const MAX_LINES: usize = 64;

/// Bytes of a line: who, the limit, the length of the window, its number, what is spent of it.
const LINE_BYTES: usize = 48;

/// Wait of one for whom nothing could be written down, in milliseconds.
const RETRY_MS: u64 = 1_000;

/// Memory that the workers of one Envoy have in common.
pub trait Ledger: fmt::Debug {
    /// Milliseconds since 1970, on a clock that all workers read.
    fn unix_ms(&self) -> u64;

    /// Puts what `change` makes of the page `name` (empty at first) in its place, as one step: where another worker was
    /// faster, `change` is asked again. Where it makes nothing, the page stays. Returns whether the page is as `change`
    /// wants it.
    fn update(&mut self, name: &str, change: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>) -> bool;
}

/// The budget of a window does not suffice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Over {
    /// Until there is a new one, in milliseconds.
    pub(super) wait_ms: u64,
}

/// Spends `amount` of what is limited to `limit`; returns the number of the window it was spent of.
///
/// # Errors
/// [`Over`] where that is more than is left.
pub(super) fn spend(ledger: &mut dyn Ledger, key: &QuotaKey, amount: u64, limit: Limit) -> Result<u64, Over> {
    let (page, who) = place(key);
    let unix_ms = ledger.unix_ms();
    let mut spent = Err(Over { wait_ms: RETRY_MS });
    let is_done = ledger.update(&page, &mut |bytes| {
        let mut lines = Lines::read(bytes);
        spent = lines.spend(who, amount, limit, unix_ms);
        spent.is_ok().then(|| lines.write())
    });
    if is_done { spent } else { Err(Over { wait_ms: RETRY_MS }) }
}

/// Corrects what was spent of `window`: `reserved` was written down, and it took `used`. What it took beyond counts for the
/// window under way, and what that cannot bear for the next one.
pub(super) fn settle(ledger: &mut dyn Ledger, key: &QuotaKey, window: u64, reserved: u64, used: u64) {
    if reserved == used {
        return;
    }
    let (page, who) = place(key);
    let unix_ms = ledger.unix_ms();
    ledger.update(&page, &mut |bytes| {
        let mut lines = Lines::read(bytes);
        lines.settle(who, window, reserved, used, unix_ms).then(|| lines.write())
    });
}

/// The page of a quota, and whose line it is there.
fn place(key: &QuotaKey) -> (String, Uuid) {
    let shared = |kind: &str, id: Uuid| (format!("quota/{kind}/{}", id.as_u128() % CONSUMER_PAGES), id);
    let own = |kind: &str, name: &str| (format!("quota/{kind}/{name}"), Uuid::nil());
    match key {
        QuotaKey::ModelRate(id) => own("modelRate", id),
        QuotaKey::ModelTokens(id) => own("modelTokens", id),
        QuotaKey::RouteRate(name) => own("routeRate", name),
        QuotaKey::RouteTokens(name) => own("routeTokens", name),
        QuotaKey::ClientRate(id) => shared("clientRate", *id),
        QuotaKey::ClientTokens(id) => shared("clientTokens", *id),
    }
}

/// The newest known window of one quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Line {
    who: Uuid,
    limit: Limit,
    window: u64,
    used: u64,
}

impl Line {
    /// When the window is over, in milliseconds since 1970.
    fn end_ms(&self) -> u64 {
        self.window.saturating_add(1).saturating_mul(self.limit.window_ms)
    }

    /// Turns to the window under way at `unix_ms`. What the one before could not bear counts in it.
    fn turn(&mut self, unix_ms: u64) {
        let now = unix_ms / self.limit.window_ms.max(1);
        // A clock that was set back a little must not open a window twice; one that was set back far must not close it
        // for long.
        if now == self.window || now.saturating_add(1) == self.window {
            return;
        }
        let is_next = now == self.window.saturating_add(1);
        self.used = if is_next { self.used.saturating_sub(self.limit.max) } else { 0 };
        self.window = now;
    }
}

/// A page.
struct Lines(Vec<Line>);

impl Lines {
    fn read(bytes: &[u8]) -> Self {
        let number = |bytes: Option<&[u8]>| Some(u64::from_le_bytes(bytes?.try_into().ok()?));
        let line = |bytes: &[u8]| {
            Some(Line {
                who: Uuid::from_slice(bytes.get(..16)?).ok()?,
                limit: Limit { max: number(bytes.get(16..24))?, window_ms: number(bytes.get(24..32))? },
                window: number(bytes.get(32..40))?,
                used: number(bytes.get(40..48))?,
            })
        };
        Self(bytes.chunks_exact(LINE_BYTES).filter_map(line).collect())
    }

    fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len() * LINE_BYTES);
        for Line { who, limit, window, used } in &self.0 {
            bytes.extend_from_slice(who.as_bytes());
            for number in [&limit.max, &limit.window_ms, window, used] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
        }
        bytes
    }

    fn of(&mut self, who: Uuid) -> Option<&mut Line> {
        self.0.iter_mut().find(|line| line.who == who)
    }

    fn spend(&mut self, who: Uuid, amount: u64, limit: Limit, unix_ms: u64) -> Result<u64, Over> {
        let limit = Limit { window_ms: limit.window_ms.max(1), ..limit };
        let fresh = Line { who, limit, window: unix_ms / limit.window_ms, used: 0 };
        if self.of(who).is_none() {
            if self.0.len() >= MAX_LINES {
                self.0.retain(|line| line.end_ms() > unix_ms);
            }
            if self.0.len() >= MAX_LINES {
                return Err(Over { wait_ms: RETRY_MS });
            }
            self.0.push(fresh);
        }
        let Some(line) = self.of(who) else { return Err(Over { wait_ms: RETRY_MS }) };
        // After a change of the limit's window a new count begins.
        if line.limit.window_ms != limit.window_ms {
            *line = fresh;
        }
        line.turn(unix_ms);
        line.limit = limit;
        let used = line.used.saturating_add(amount);
        if used > limit.max {
            return Err(Over { wait_ms: line.end_ms().saturating_sub(unix_ms).max(1) });
        }
        line.used = used;
        Ok(line.window)
    }

    /// Whether anything changed.
    fn settle(&mut self, who: Uuid, window: u64, reserved: u64, used: u64, unix_ms: u64) -> bool {
        let Some(line) = self.of(who) else { return false };
        if used < reserved {
            let is_under_way = line.window == window;
            line.used = if is_under_way { line.used.saturating_sub(reserved - used) } else { line.used };
            return is_under_way;
        }
        line.turn(unix_ms);
        line.used = line.used.saturating_add(used - reserved);
        true
    }
}

#[cfg(test)]
mod tests;
