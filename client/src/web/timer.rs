//! Waiting: for time to pass, and for something with a limit.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use js_sys::Function;
use wasm_bindgen::JsValue;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::prelude::wasm_bindgen;

use super::cancel::Cancel;

#[wasm_bindgen]
extern "C" {
    /// Node answers an object, browsers a number.
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(callback: &JsValue, millis: i32) -> JsValue;

    #[wasm_bindgen(js_name = clearTimeout)]
    fn clear_timeout(id: &JsValue);
}

/// Ready when the time is over. Cleared when dropped, as a timer that is left keeps Node running.
struct Timer {
    id: JsValue,
    state: Rc<State>,
    _callback: Closure<dyn FnMut()>,
}

#[derive(Default)]
struct State {
    is_over: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Timer {
    fn new(time: Duration) -> Self {
        let state = Rc::new(State::default());
        let fired = Rc::clone(&state);
        let callback = Closure::new(move || {
            fired.is_over.set(true);
            if let Some(waker) = fired.waker.take() {
                waker.wake();
            }
        });
        let millis = i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
        let function: &Function = wasm_bindgen::JsCast::unchecked_ref(callback.as_ref());
        let id = set_timeout(function, millis);
        Self { id, state, _callback: callback }
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.state.is_over.get() {
            return Poll::Ready(());
        }
        self.state.waker.replace(Some(context.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        clear_timeout(&self.id);
    }
}

/// Why something was not waited for to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interrupted {
    TimedOut,
    Cancelled,
}

/// What `work` comes to, if it does so in time and is not cancelled.
pub(super) async fn within<T>(
    limit: Duration,
    cancel: &Cancel,
    work: impl Future<Output = T>,
) -> Result<T, Interrupted> {
    let mut work = pin!(work);
    let mut timer = pin!(Timer::new(limit));
    poll_fn(|context| {
        if cancel.poll(context) {
            Poll::Ready(Err(Interrupted::Cancelled))
        } else if let Poll::Ready(value) = work.as_mut().poll(context) {
            Poll::Ready(Ok(value))
        } else {
            timer.as_mut().poll(context).map(|()| Err(Interrupted::TimedOut))
        }
    })
    .await
}

/// Lets time pass; `false` if it was cancelled before.
pub(super) async fn sleep(time: Duration, cancel: &Cancel) -> bool {
    within(time, cancel, std::future::pending::<()>()).await != Err(Interrupted::Cancelled)
}
