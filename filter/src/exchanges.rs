//! The exchanges alive on this worker: how an attempt finds the exchange of its request.
//!
//! Gateway and attempt contexts of a request run on the same thread in the same VM, so a map in thread-local memory
//! is all it takes; only a short key travels, as filter state. The key carries the VM's own random epoch: when Envoy
//! replaces the code between two attempts, the old key must find nothing rather than a stranger's exchange.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use ai_warp_core::exchange::Exchange;
use proxy_wasm::hostcalls;
use uuid::Uuid;

use crate::{bell, fleet, host, turns, worker};

/// An exchange shared by the contexts of its request.
pub(crate) type SharedExchange = Rc<RefCell<Exchange>>;

thread_local! {
    static EPOCH: String = Uuid::new_v4().simple().to_string();
    static NEXT: Cell<u64> = const { Cell::new(0) };
    static LIVE: RefCell<HashMap<u64, Live>> = RefCell::new(HashMap::new());
    /// No later than the first deadline of an exchange.
    static NEXT_DEADLINE_MS: Cell<u64> = const { Cell::new(u64::MAX) };
}

struct Live {
    exchange: SharedExchange,
    /// The gateway context of its request.
    context_id: u32,
}

/// Keeps an exchange findable for as long as it is held.
pub(crate) struct Registration(u64);

impl Registration {
    /// Makes `exchange`, of the gateway context `context_id`, findable.
    pub(crate) fn new(exchange: SharedExchange, context_id: u32) -> Self {
        let number = NEXT.with(|next| next.replace(next.get().wrapping_add(1)));
        let deadline_ms = exchange.borrow().deadline_ms().unwrap_or(u64::MAX);
        if deadline_ms < NEXT_DEADLINE_MS.get() {
            NEXT_DEADLINE_MS.set(deadline_ms);
            // So soon that no idle tick may come before.
            if deadline_ms <= host::now_ms().saturating_add(worker::IDLE_TICK_MS) {
                bell::ring();
            }
        }
        LIVE.with_borrow_mut(|live| live.insert(number, Live { exchange, context_id }));
        Self(number)
    }

    /// What [`find`] takes.
    pub(crate) fn key(&self) -> String {
        EPOCH.with(|epoch| format!("{epoch}.{}", self.0))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let Some(Live { exchange, .. }) = LIVE.with_borrow_mut(|live| live.remove(&self.0)) else { return };
        let Ok(mut exchange) = exchange.try_borrow_mut() else { return };
        if exchange.is_interrupted()
            && let Some(turn) = exchange.turn(host::unix_ms())
        {
            turns::keep(&turn);
        }
        if exchange.holds_anything() {
            fleet::with(|fleet| exchange.end(fleet, host::now_ms()));
        }
    }
}

/// When the first exchange may have to be ended for lack of time.
pub(crate) fn next_deadline_ms() -> Option<u64> {
    Some(NEXT_DEADLINE_MS.get()).filter(|deadline_ms| *deadline_ms < u64::MAX)
}

/// Ends the exchanges whose time is over. Changes the context in effect.
pub(crate) fn time_out() {
    let now_ms = host::now_ms();
    if now_ms < NEXT_DEADLINE_MS.get() {
        return;
    }
    let mut late = Vec::new();
    let mut next_ms = u64::MAX;
    LIVE.with_borrow(|live| {
        for Live { exchange, context_id } in live.values() {
            match exchange.borrow().deadline_ms() {
                Some(deadline_ms) if deadline_ms <= now_ms => late.push((exchange.clone(), *context_id)),
                Some(deadline_ms) => next_ms = next_ms.min(deadline_ms),
                None => {}
            }
        }
    });
    NEXT_DEADLINE_MS.set(next_ms);
    for (exchange, context_id) in late {
        let error = fleet::with(|fleet| exchange.borrow_mut().time_out(fleet, now_ms));
        if let Some(error) = error
            && hostcalls::set_effective_context(context_id).is_ok()
        {
            host::respond_with(&error);
        }
    }
}

/// The exchange of `key`; `None` where it has ended, or belonged to another VM.
pub(crate) fn find(key: &[u8]) -> Option<SharedExchange> {
    let (epoch, number) = std::str::from_utf8(key).ok()?.split_once('.')?;
    if EPOCH.with(|own| own != epoch) {
        return None;
    }
    let number = number.parse().ok()?;
    LIVE.with_borrow(|live| live.get(&number).map(|live| Rc::clone(&live.exchange)))
}

/// How many exchanges are alive on this worker.
pub(crate) fn count() -> usize {
    LIVE.with_borrow(HashMap::len)
}
