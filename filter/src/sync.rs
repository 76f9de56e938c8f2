//! The worker's link to the control plane: turns on their way to the store.
//!
//! The SDK drops the reply to an HTTP call when the context that made it is gone, and a client may leave before its
//! turn is stored. So no stream makes the call: streams put their turn into the worker's queue and ring a bell, a shared
//! queue of this worker alone; the root context of the attempt plugin, which outlives every stream, sends the batch,
//! gets the reply, and lets the waiting responses go.

use std::cell::RefCell;
use std::time::Duration;

use ai_warp_core::commit::{CommitQueue, Counts, Released};
use ai_warp_core::plugin::CONTROL_PLANE_CLUSTER;
use ai_warp_core::sync::{TURNS_PATH, Turn, TurnBatchReply};
use proxy_wasm::hostcalls;
use uuid::Uuid;

use crate::gateway::{self, HeldResponse};
use crate::host;

thread_local! {
    static LINK: RefCell<Link> = RefCell::new(Link::default());
}

#[derive(Default)]
struct Link {
    queue: CommitQueue<HeldResponse>,
    bell: Option<Bell>,
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
        link.queue.push(turn, response, host::now_ms().saturating_add(timeout_ms))?;
        if let Some(bell) = &link.bell {
            let _ = hostcalls::enqueue_shared_queue(bell.queue_id, Some(b"!"));
        }
        Ok(())
    })
}

/// What became of the worker's turns.
pub(crate) fn counts() -> Counts {
    LINK.with_borrow(|link| link.queue.counts())
}

/// The bell rang: send what waits.
pub(crate) fn on_queue_ready(queue_id: u32) {
    while let Ok(Some(_)) = hostcalls::dequeue_shared_queue(queue_id) {}
    send_next();
}

/// Time passes: send again what could not be stored.
pub(crate) fn on_tick() {
    send_next();
}

/// The reply to the batch under way, for the root context `root_id`; `None` where the call failed.
pub(crate) fn on_reply(root_id: u32, reply: Option<(u16, Vec<u8>)>) {
    let reply = reply.filter(|(status, _)| *status == 200);
    settle(reply.and_then(|(_, body)| serde_json::from_slice(&body).ok()));
    let _ = hostcalls::set_effective_context(root_id);
    send_next();
}

fn settle(reply: Option<TurnBatchReply>) {
    let released = LINK.with_borrow_mut(|link| link.queue.on_reply(reply, host::now_ms()));
    for Released { who, stored } in released {
        gateway::release(who, stored);
    }
}

fn send_next() {
    let Some(batch) = LINK.with_borrow_mut(|link| link.queue.next_batch(host::now_ms())) else { return };
    let headers = vec![
        (":method", "POST"),
        (":path", TURNS_PATH),
        (":authority", CONTROL_PLANE_CLUSTER),
        ("content-type", "application/json"),
    ];
    let timeout = Duration::from_millis(batch.timeout_ms);
    if host::http_call(CONTROL_PLANE_CLUSTER, headers, Some(&batch.body), timeout).is_none() {
        settle(None);
    }
}
