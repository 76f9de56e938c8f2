//! The exchanges alive on this worker: how an attempt finds the exchange of its request.
//!
//! Gateway and attempt contexts of a request run on the same thread in the same VM, so a map in thread-local memory
//! is all it takes; only a short key travels, as filter state. The key carries the VM's own random epoch: when Envoy
//! replaces the code between two attempts, the old key must find nothing rather than a stranger's exchange.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use ai_warp_core::exchange::Exchange;
use uuid::Uuid;

/// An exchange shared by the contexts of its request.
pub(crate) type SharedExchange = Rc<RefCell<Exchange>>;

thread_local! {
    static EPOCH: String = Uuid::new_v4().simple().to_string();
    static NEXT: Cell<u64> = const { Cell::new(0) };
    static LIVE: RefCell<HashMap<u64, SharedExchange>> = RefCell::new(HashMap::new());
}

/// Keeps an exchange findable for as long as it is held.
pub(crate) struct Registration(u64);

impl Registration {
    /// Makes `exchange` findable.
    pub(crate) fn new(exchange: SharedExchange) -> Self {
        let number = NEXT.with(|next| next.replace(next.get().wrapping_add(1)));
        LIVE.with_borrow_mut(|live| live.insert(number, exchange));
        Self(number)
    }

    /// What [`find`] takes.
    pub(crate) fn key(&self) -> String {
        EPOCH.with(|epoch| format!("{epoch}.{}", self.0))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        LIVE.with_borrow_mut(|live| live.remove(&self.0));
    }
}

/// The exchange of `key`; `None` where it has ended, or belonged to another VM.
pub(crate) fn find(key: &[u8]) -> Option<SharedExchange> {
    let (epoch, number) = std::str::from_utf8(key).ok()?.split_once('.')?;
    if EPOCH.with(|own| own != epoch) {
        return None;
    }
    let number = number.parse().ok()?;
    LIVE.with_borrow(|live| live.get(&number).cloned())
}

/// How many exchanges are alive on this worker.
pub(crate) fn count() -> usize {
    LIVE.with_borrow(HashMap::len)
}
