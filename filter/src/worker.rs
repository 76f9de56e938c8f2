//! What a worker does beside its streams: it calls the control plane, and wakes what waits for time or for a reply.
//!
//! All of it happens in the root context of the attempt plugin, which outlives every stream.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

use proxy_wasm::hostcalls;

use crate::bell::{self, Attached};
use crate::{exchanges, fleet, host, metrics, turns, waiting};

/// Ticks while nothing is due soon, in milliseconds. Metrics are published at least as often.
pub(crate) const IDLE_TICK_MS: u64 = 1_000;

const IDLE_TICK: Duration = Duration::from_millis(IDLE_TICK_MS);

/// Ticks while something is due within [`IDLE_TICK`], or a response waits for its turn.
const BUSY_TICK: Duration = Duration::from_millis(50);

/// Ticks while something is due within [`BUSY_TICK`]: how exactly waits are kept.
const CLOSE_TICK: Duration = Duration::from_millis(10);

thread_local! {
    static CALLS: RefCell<HashMap<u32, Call>> = RefCell::new(HashMap::new());
    static TICK: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// What a call to the control plane is about.
#[derive(Debug, Clone, Copy)]
enum Call {
    Turns,
    Fleet,
    News,
}

impl Call {
    /// What metrics call it.
    const fn word(self) -> &'static str {
        match self {
            Self::Turns => "turns",
            Self::Fleet => "fleet",
            Self::News => "news",
        }
    }
}

/// Makes `root_id`, the root context in effect, the worker's. Returns whether it could.
pub(crate) fn attach(root_id: u32) -> bool {
    let attached = bell::attach(root_id);
    if attached == Attached::Now {
        // The ticks of another root context, and replies to its calls, will not come any more.
        TICK.set(Duration::ZERO);
        CALLS.with_borrow_mut(HashMap::clear);
        tick_as_needed();
    }
    attached != Attached::Failed
}

/// The bell rang.
pub(crate) fn on_queue_ready(root_id: u32, queue_id: u32) {
    bell::heard(queue_id);
    waiting::wake_retrying();
    let _ = hostcalls::set_effective_context(root_id);
    talk();
}

/// Time passes.
pub(crate) fn on_tick(root_id: u32) {
    metrics::publish();
    turns::expire();
    if fleet::expire() || fleet::is_away() {
        waiting::wake_answered();
    }
    waiting::wake_due();
    waiting::wake_retrying();
    exchanges::time_out();
    let _ = hostcalls::set_effective_context(root_id);
    talk();
}

/// A call of `root_id` has its reply; `None` where it failed.
pub(crate) fn on_reply(root_id: u32, token: u32, reply: Option<(u16, Vec<u8>)>) {
    let call = CALLS.with_borrow_mut(|calls| calls.remove(&token));
    if let Some(call) = call {
        metrics::count_call(call.word(), matches!(reply, Some((200, _))));
    }
    match call {
        Some(Call::Turns) => turns::on_reply(reply),
        Some(Call::Fleet) => {
            fleet::on_reply(reply);
            waiting::wake_answered();
            fleet::give_back_probes();
        }
        Some(Call::News) => fleet::on_news(reply),
        None => {}
    }
    waiting::wake_retrying();
    let _ = hostcalls::set_effective_context(root_id);
    talk();
}

/// Makes the calls there are to make.
fn talk() {
    let calls = [
        (Call::Turns, turns::send_next()),
        (Call::Fleet, fleet::send_next()),
        (Call::News, fleet::ask_news()),
    ];
    CALLS.with_borrow_mut(|open| {
        open.extend(calls.into_iter().filter_map(|(call, token)| Some((token?, call))));
    });
    tick_as_needed();
}

fn tick_as_needed() {
    let due = [fleet::next_due_ms(), waiting::next_due_ms(), exchanges::next_deadline_ms()];
    let next_ms = due.into_iter().flatten().min().unwrap_or(u64::MAX).saturating_sub(host::now_ms());
    let next = Duration::from_millis(next_ms);
    let tick = if next <= BUSY_TICK {
        CLOSE_TICK
    } else if next <= IDLE_TICK || turns::has_waiters() {
        BUSY_TICK
    } else {
        IDLE_TICK
    };
    if TICK.replace(tick) != tick {
        let _ = hostcalls::set_tick_period(tick);
    }
}
