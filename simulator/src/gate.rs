//! Gates: a test holds a stream back and lets it go on, without sleeping.
//!
//! A stream with the `gate` flag waits after its first content chunk until the gate of its model is opened. An
//! opened gate stays open, so it does not matter which of the two comes first.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// The gates of one simulator, by model name.
#[derive(Clone, Debug)]
pub(crate) struct Gates {
    open: Arc<Mutex<HashSet<String>>>,
    changed: Arc<watch::Sender<()>>,
}

impl Gates {
    pub(crate) fn new() -> Gates {
        Gates { open: Arc::default(), changed: Arc::new(watch::Sender::new(())) }
    }

    /// Opens the gate of `model`: a whole model name, or the part before its first `~`.
    pub(crate) fn open(&self, model: &str) {
        self.names().insert(model.to_owned());
        self.changed.send_replace(());
    }

    /// Closes every gate for streams that have not reached theirs yet.
    pub(crate) fn close_all(&self) {
        self.names().clear();
    }

    /// Completes once the gate of `model` is open.
    pub(crate) async fn wait(self, model: String) {
        let mut changed = self.changed.subscribe();
        loop {
            let base = model.split('~').next().unwrap_or_default();
            let is_open = {
                let names = self.names();
                names.contains(&model) || names.contains(base)
            };
            // The sender lives in `self`, so `changed` cannot fail while we wait.
            if is_open || changed.changed().await.is_err() {
                return;
            }
        }
    }

    fn names(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
