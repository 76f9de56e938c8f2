//! Exchanges that wait between two attempts.
//!
//! An upstream filter cannot send the router elsewhere once it is in a cluster, and Envoy waits for whole seconds only. So
//! what must wait goes to a cluster of its own: the attempt context holds the request there until the exchange has chosen
//! what comes next, then lets it go; it is answered with "try again", and the router comes to the cluster that was chosen.

use std::cell::{Cell, RefCell};

use ai_warp_core::exchange::Step;
use ai_warp_core::plugin::CLUSTER_PROPERTY;
use proxy_wasm::hostcalls;

use crate::exchanges::SharedExchange;
use crate::{bell, fleet, host};

thread_local! {
    static WAITING: RefCell<Vec<Waiting>> = const { RefCell::new(Vec::new()) };
    /// How often models had been opened when those who wait to retry were woken for it.
    static OPENINGS: Cell<u64> = const { Cell::new(0) };
}

struct Waiting {
    /// The attempt context that holds the request.
    context_id: u32,
    exchange: SharedExchange,
    /// `None`: until the control plane has answered.
    until_ms: Option<u64>,
}

/// Holds the request of `context_id` until the exchange has chosen.
pub(crate) fn hold(context_id: u32, exchange: SharedExchange, until_ms: Option<u64>) {
    WAITING.with_borrow_mut(|waiting| waiting.push(Waiting { context_id, exchange, until_ms }));
    bell::ring();
}

/// The request of `context_id` is gone.
pub(crate) fn forget(context_id: u32) {
    WAITING.with_borrow_mut(|waiting| waiting.retain(|waiting| waiting.context_id != context_id));
}

/// When the first wait for a time is over.
pub(crate) fn next_due_ms() -> Option<u64> {
    WAITING.with_borrow(|waiting| waiting.iter().filter_map(|waiting| waiting.until_ms).min())
}

/// Lets those choose anew whose time has come. Changes the context in effect.
pub(crate) fn wake_due() {
    let now_ms = host::now_ms();
    wake(|waiting| waiting.until_ms.is_some_and(|until_ms| until_ms <= now_ms));
}

/// Lets those choose anew who wait for the control plane. Changes the context in effect.
pub(crate) fn wake_answered() {
    wake(|waiting| waiting.until_ms.is_none());
}

/// Where a model was given up: lets those choose anew who wait to try it again. Changes the context in effect.
pub(crate) fn wake_retrying() {
    let openings = fleet::counts().models_opened;
    if OPENINGS.replace(openings) != openings {
        wake(|waiting| waiting.until_ms.is_some());
    }
}

fn wake(applies: impl Fn(&Waiting) -> bool) {
    let woken =
        WAITING.with_borrow_mut(|waiting| waiting.extract_if(.., |it| applies(it)).collect::<Vec<_>>());
    for mut waiting in woken {
        if hostcalls::set_effective_context(waiting.context_id).is_err() {
            continue;
        }
        let now_ms = host::now_ms();
        match fleet::with(|fleet| waiting.exchange.borrow_mut().choose(fleet, now_ms)) {
            Step::Go => {
                host::set_filter_state(CLUSTER_PROPERTY, waiting.exchange.borrow().cluster());
                host::resume_request();
            }
            Step::Wait { until_ms } => {
                waiting.until_ms = until_ms;
                WAITING.with_borrow_mut(|list| list.push(waiting));
            }
            Step::GiveUp(error) => host::respond_with(&error),
        }
    }
}
