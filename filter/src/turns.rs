//! The worker's turns on their way to the store, and the responses that wait for them.

use std::cell::RefCell;
use std::time::Duration;

use ai_warp_core::commit::{BATCH_TIMEOUT_MS, CommitQueue, Counts, Released, Reply};
use ai_warp_core::sync::{TURNS_PATH, Turn};

use crate::gateway::{self, HeldResponse};
use crate::{bell, host};

thread_local! {
    static QUEUE: RefCell<CommitQueue<HeldResponse>> = RefCell::new(CommitQueue::default());
}

/// Hands over a finished turn whose response waits up to `timeout_ms`. Gives the response back where there is
/// nothing to wait for.
pub(crate) fn commit(turn: &Turn, response: HeldResponse, timeout_ms: u64) -> Result<(), HeldResponse> {
    let deadline_ms = host::now_ms().saturating_add(timeout_ms);
    QUEUE.with_borrow_mut(|queue| queue.push(turn, response, deadline_ms))?;
    ask_for_batch();
    Ok(())
}

/// Hands over a turn for which nobody waits. It is sent as soon as others are: who stops an answer may well go on with the
/// session at once.
pub(crate) fn keep(turn: &Turn) {
    QUEUE.with_borrow_mut(|queue| queue.keep(turn));
    ask_for_batch();
}

fn ask_for_batch() {
    // The reply to a batch under way sends the next one by itself.
    if !QUEUE.with_borrow(CommitQueue::is_batch_under_way) {
        bell::ring();
    }
}

/// What became of this worker's turns.
pub(crate) fn counts() -> Counts {
    QUEUE.with_borrow(CommitQueue::counts)
}

/// Whether a response waits, so that [`expire`] must be called soon.
pub(crate) fn has_waiters() -> bool {
    QUEUE.with_borrow(CommitQueue::has_waiters)
}

/// Lets go who has waited long enough. Changes the context in effect.
pub(crate) fn expire() {
    let_go(QUEUE.with_borrow_mut(|queue| queue.expire(host::now_ms())));
}

/// Takes the reply to the batch under way; `None` where the call failed. Changes the context in effect.
pub(crate) fn on_reply(reply: Option<(u16, Vec<u8>)>) {
    settle(match reply {
        Some((200, body)) => serde_json::from_slice(&body).map_or(Reply::Lost, Reply::Answered),
        Some((400..=499, _)) => Reply::Rejected,
        _ => Reply::Lost,
    });
}

fn settle(reply: Reply) {
    let_go(QUEUE.with_borrow_mut(|queue| queue.on_reply(reply, host::now_ms())));
}

fn let_go(released: Vec<Released<HeldResponse>>) {
    for Released { who, stored } in released {
        gateway::release(who, stored);
    }
}

/// Sends the next batch, where there is one to send now. The root context must be in effect. Returns the call's token.
pub(crate) fn send_next() -> Option<u32> {
    let batch = QUEUE.with_borrow_mut(|queue| queue.next_batch(host::now_ms()))?;
    let timeout = Duration::from_millis(BATCH_TIMEOUT_MS);
    let token = host::post_to_control_plane(TURNS_PATH, &batch, timeout);
    if token.is_none() {
        settle(Reply::Lost);
    }
    token
}
