//! How a stream wakes its worker's root context.
//!
//! Streams come and go, and the SDK drops the reply to a call whose context is gone. So no stream makes a call: it leaves
//! what it has to say in the worker's memory and rings a bell, a shared queue of this worker alone. The root context of the
//! attempt plugin, which outlives every stream, hears it and makes the calls ([`crate::worker`]).

use std::cell::RefCell;

use proxy_wasm::hostcalls;
use uuid::Uuid;

thread_local! {
    static BELL: RefCell<Option<Bell>> = const { RefCell::new(None) };
}

/// The shared queue that wakes a root context of this worker.
struct Bell {
    queue_id: u32,
    root_id: u32,
    /// Whether it was rung and not heard yet.
    is_ringing: bool,
}

/// What came of [`attach`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attached {
    /// The root context hears the bell from now on.
    Now,
    /// It did already.
    Already,
    /// Envoy gave no queue.
    Failed,
}

/// Makes `root_id`, the root context in effect, the one that hears the bell.
pub(crate) fn attach(root_id: u32) -> Attached {
    BELL.with_borrow_mut(|bell| {
        // Envoy configures a root context again whenever a cluster with its filter is added.
        if bell.as_ref().is_some_and(|bell| bell.root_id == root_id) {
            return Attached::Already;
        }
        // The name is this worker's alone: a queue shared by workers would wake only one of them.
        let queue = hostcalls::register_shared_queue(&format!("ai-warp.sync.{}", Uuid::new_v4()));
        *bell = queue.ok().map(|queue_id| Bell { queue_id, root_id, is_ringing: false });
        if bell.is_some() { Attached::Now } else { Attached::Failed }
    })
}

/// Rings, unless it rings already. While nobody hears it, whatever was to be said waits for the next tick.
pub(crate) fn ring() {
    BELL.with_borrow_mut(|bell| {
        if let Some(bell) = bell
            && !bell.is_ringing
        {
            bell.is_ringing = hostcalls::enqueue_shared_queue(bell.queue_id, Some(b"!")).is_ok();
        }
    });
}

/// The bell was heard.
pub(crate) fn heard(queue_id: u32) {
    let _ = hostcalls::dequeue_shared_queue(queue_id);
    BELL.with_borrow_mut(|bell| {
        if let Some(bell) = bell {
            bell.is_ringing = false;
        }
    });
}
