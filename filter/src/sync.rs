//! The worker's link to the control plane: turns on their way to the store.
//!
//! The SDK drops the reply to an HTTP call when the context that made it is gone, and a client may leave before its
//! turn is stored. So no stream makes the call: streams put their turn into the worker's queue and ring a bell, a shared
//! queue of this worker alone; the root context of the attempt plugin, which outlives every stream, sends the batch,
//! gets the reply, and lets the waiting responses go.

use std::cell::RefCell;
use std::time::Duration;

use ai_warp_core::commit::{BATCH_TIMEOUT_MS, CommitQueue, Counts, Released, Reply};
use ai_warp_core::plugin::SYNC_CLUSTER;
use ai_warp_core::sync::{TURNS_PATH, Turn};
use proxy_wasm::hostcalls;
use uuid::Uuid;

use crate::gateway::{self, HeldResponse};
use crate::host;

/// How exactly the deadlines of waiting responses are kept.
const BUSY_TICK: Duration = Duration::from_millis(50);

/// How often a worker looks after its turns and publishes its metrics while nobody waits.
const IDLE_TICK: Duration = Duration::from_secs(1);

thread_local! {
    static LINK: RefCell<Link> = RefCell::new(Link::default());
}

#[derive(Default)]
struct Link {
    queue: CommitQueue<HeldResponse>,
    bell: Option<Bell>,
    /// Whether the bell was rung and not heard yet.
    is_ringing: bool,
    /// Whether the root context ticks at [`BUSY_TICK`].
    is_busy: bool,
}

/// The shared queue that wakes a root context of this worker.
struct Bell {
    queue_id: u32,
    root_id: u32,
}

/// Makes `root_id`, the root context in effect, the worker's link. Returns whether it could.
pub(crate) fn attach(root_id: u32) -> bool {
    LINK.with_borrow_mut(|link| {
        // Envoy configures a root context again whenever a cluster with its filter is added.
        if link.bell.as_ref().is_some_and(|bell| bell.root_id == root_id) {
            return true;
        }
        let _ = hostcalls::set_tick_period(IDLE_TICK);
        link.is_busy = false;
        link.is_ringing = false;
        // The name is this worker's alone: a queue shared by workers would wake only one of them.
        let queue = hostcalls::register_shared_queue(&format!("ai-warp.sync.{}", Uuid::new_v4()));
        link.bell = queue.ok().map(|queue_id| Bell { queue_id, root_id });
        link.bell.is_some()
    })
}

/// Hands over a finished turn whose response waits up to `timeout_ms`. Gives the response back where there is
/// nothing to wait for.
pub(crate) fn commit(turn: &Turn, response: HeldResponse, timeout_ms: u64) -> Result<(), HeldResponse> {
    LINK.with_borrow_mut(|link| {
        let Some(bell) = &link.bell else { return Err(response) };
        let bell = bell.queue_id;
        link.queue.push(turn, response, host::now_ms().saturating_add(timeout_ms))?;
        // The reply to a batch under way sends the next one by itself.
        if !link.is_ringing && !link.queue.is_batch_under_way() {
            link.is_ringing = hostcalls::enqueue_shared_queue(bell, Some(b"!")).is_ok();
        }
        Ok(())
    })
}

/// What became of the worker's turns.
pub(crate) fn counts() -> Counts {
    LINK.with_borrow(|link| link.queue.counts())
}

/// The bell rang: send what waits. The root context is in effect.
pub(crate) fn on_queue_ready(queue_id: u32) {
    let _ = hostcalls::dequeue_shared_queue(queue_id);
    LINK.with_borrow_mut(|link| {
        link.is_ringing = false;
        if link.queue.has_waiters() && !link.is_busy {
            link.is_busy = true;
            let _ = hostcalls::set_tick_period(BUSY_TICK);
        }
    });
    send_next();
}

/// Time passes: let go who has waited long enough, and send again what could not be stored. `root_id` is in effect.
pub(crate) fn on_tick(root_id: u32) {
    let released = LINK.with_borrow_mut(|link| {
        if link.is_busy && !link.queue.has_waiters() {
            link.is_busy = false;
            let _ = hostcalls::set_tick_period(IDLE_TICK);
        }
        link.queue.expire(host::now_ms())
    });
    let_go(released);
    let _ = hostcalls::set_effective_context(root_id);
    send_next();
}

/// The reply to the batch under way, for the root context `root_id`; `None` where the call failed.
pub(crate) fn on_reply(root_id: u32, reply: Option<(u16, Vec<u8>)>) {
    settle(match reply {
        Some((200, body)) => serde_json::from_slice(&body).map_or(Reply::Lost, Reply::Answered),
        Some((400..=499, _)) => Reply::Rejected,
        _ => Reply::Lost,
    });
    let _ = hostcalls::set_effective_context(root_id);
    send_next();
}

fn settle(reply: Reply) {
    let_go(LINK.with_borrow_mut(|link| link.queue.on_reply(reply, host::now_ms())));
}

fn let_go(released: Vec<Released<HeldResponse>>) {
    for Released { who, stored } in released {
        gateway::release(who, stored);
    }
}

fn send_next() {
    let Some(batch) = LINK.with_borrow_mut(|link| link.queue.next_batch(host::now_ms())) else { return };
    let headers = vec![
        (":method", "POST"),
        (":path", TURNS_PATH),
        (":authority", SYNC_CLUSTER),
        ("content-type", "application/json"),
    ];
    let timeout = Duration::from_millis(BATCH_TIMEOUT_MS);
    if host::http_call(SYNC_CLUSTER, headers, Some(&batch), timeout).is_none() {
        settle(Reply::Lost);
    }
}
