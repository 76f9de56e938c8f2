//! Who may end a request before its time: the program's `AbortSignal`, and a loop that is left.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::task::{Context, Waker};

use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::{AbortController, AbortSignal};

use super::js::Failure;

/// Why a request ends.
#[derive(Debug, Clone)]
pub(super) enum Why {
    /// The program's signal, with its reason.
    Aborted(JsValue),
    /// Nobody wants what would come.
    Left,
}

/// Ends a request, and wakes who waits for it.
#[derive(Debug)]
pub(super) struct Cancel {
    why: RefCell<Option<Why>>,
    waker: RefCell<Option<Waker>>,
    /// Of the `fetch` under way.
    controller: RefCell<Option<AbortController>>,
    listening: RefCell<Option<Listening>>,
}

impl Cancel {
    /// By this signal, which may be undefined.
    ///
    /// # Errors
    /// It is aborted already.
    pub(super) fn by(signal: &JsValue) -> Result<Rc<Self>, Failure> {
        let cancel = Rc::new(Self {
            why: RefCell::default(),
            waker: RefCell::default(),
            controller: RefCell::default(),
            listening: RefCell::default(),
        });
        if !signal.is_undefined() && !signal.is_null() {
            let signal: &AbortSignal = signal.unchecked_ref();
            if signal.aborted() {
                return Err(Failure::aborted(signal.reason()));
            }
            cancel.listening.replace(Some(Listening::new(signal.clone(), &cancel)));
        }
        Ok(cancel)
    }

    /// A signal for the next `fetch`.
    pub(super) fn fetch_signal(&self) -> Result<AbortSignal, JsValue> {
        let controller = AbortController::new()?;
        let signal = controller.signal();
        self.controller.replace(Some(controller));
        Ok(signal)
    }

    /// Ends the `fetch` under way, if there is one, and nothing else.
    pub(super) fn abort_fetch(&self) {
        if let Some(controller) = self.controller.take() {
            controller.abort();
        }
    }

    /// Ends the request, unless it has ended.
    pub(super) fn cancel(&self, why: Why) {
        self.why.borrow_mut().get_or_insert(why);
        self.abort_fetch();
        self.listening.replace(None);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// The request has ended: nobody is listened to any more.
    pub(super) fn release(&self) {
        self.controller.replace(None);
        self.listening.replace(None);
    }

    /// Whether it is cancelled; if not, the task is woken when it is.
    pub(super) fn poll(&self, context: &Context<'_>) -> bool {
        if self.why.borrow().is_some() {
            return true;
        }
        self.waker.replace(Some(context.waker().clone()));
        false
    }

    /// Why it was cancelled, if it was.
    pub(super) fn why(&self) -> Option<Why> {
        self.why.borrow().clone()
    }

    /// The error of a request that was cancelled.
    pub(super) fn failure(&self) -> Failure {
        match self.why() {
            Some(Why::Aborted(reason)) => Failure::aborted(reason),
            Some(Why::Left) | None => Failure::aborted(JsValue::UNDEFINED),
        }
    }
}

/// A listener of a signal that may live longer than the request; removed when dropped.
#[derive(Debug)]
struct Listening {
    signal: AbortSignal,
    callback: Closure<dyn FnMut()>,
}

impl Listening {
    fn new(signal: AbortSignal, cancel: &Rc<Cancel>) -> Self {
        let (cancel, of) = (Rc::downgrade(cancel), signal.clone());
        let callback = Closure::new(move || {
            if let Some(cancel) = Weak::upgrade(&cancel) {
                cancel.cancel(Why::Aborted(of.reason()));
            }
        });
        // Refused only by what is no signal.
        let _ = signal.add_event_listener_with_callback("abort", callback.as_ref().unchecked_ref());
        Self { signal, callback }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let callback = self.callback.as_ref().unchecked_ref();
        let _ = self.signal.remove_event_listener_with_callback("abort", callback);
    }
}
