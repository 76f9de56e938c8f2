//! What the simulator saw: one record per request, kept for tests to assert on.
//!
//! A request is recorded when its body has been read, and its record grows while the answer is written. The
//! [`Ticket`] travels with the answer; when it is dropped unsettled, the peer went away first.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::provider::Provider;

/// How many requests are kept; older ones are forgotten, so that long benchmarks run in constant memory.
pub const RECORDED_REQUESTS_MAX: usize = 1_000;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The answer is still being written, or held back by a stall or a gate.
    InProgress,
    /// A normal answer was written to its end.
    Answered,
    /// The request broke the provider's rules and got an error response.
    Rejected,
    /// The answer went wrong on purpose.
    Faulted,
    /// The peer closed or reset its request before the answer was complete.
    AbortedByClient,
}

/// One request as it arrived, and what became of it.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    /// The provider addressed; `None` when the path belongs to no provider.
    pub provider: Option<Provider>,
    /// The model as named by the request, flags included; empty when there was none.
    pub model: String,
    /// The request method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Header names (lower case) and values, in the order they arrived.
    pub headers: Vec<(String, String)>,
    /// The request body; `Value::Null` when it was no JSON.
    pub body: Value,
    /// The credential presented where this provider reads it, without a `Bearer ` prefix.
    pub credential: Option<String>,
    /// Names of headers (or `query: key`) that must not reach a provider: credentials meant for somebody else,
    /// cookies, and gateway internals. Empty for a well-behaved gateway.
    pub leaks: Vec<String>,
    /// HTTP version of the request, for example `HTTP/1.1`.
    pub version: String,
    /// Wall-clock time at which the request was complete.
    pub received: SystemTime,
    /// Monotonic time at which the request was complete.
    pub received_at: Instant,
    /// Status sent, once there was one.
    pub status: Option<u16>,
    /// The moment each content chunk was handed to the connection, in order.
    pub chunks: Vec<Instant>,
    /// How the request ended.
    pub outcome: Outcome,
}

impl RecordedRequest {
    /// The first value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The record as JSON; times are in milliseconds, those of chunks counted from the request.
    pub fn to_json(&self) -> Value {
        let millis = |duration: Duration| duration.as_secs_f64() * 1000.0;
        json!({
            "provider": self.provider,
            "model": self.model,
            "method": self.method,
            "path": self.path,
            "headers": self.headers,
            "body": self.body,
            "credential": self.credential,
            "leaks": self.leaks,
            "version": self.version,
            "received_unix_ms": self.received.duration_since(UNIX_EPOCH).map_or(0.0, millis),
            "status": self.status,
            "chunks_ms": self.chunks.iter().map(|at| millis(*at - self.received_at)).collect::<Vec<_>>(),
            "outcome": self.outcome,
        })
    }
}

/// A condition that did not come true in time.
#[derive(Debug, thiserror::Error)]
#[error(
    "the condition did not hold within {deadline:?}; the simulator has seen {seen} request(s): {summary}"
)]
pub struct WaitError {
    /// How long was waited.
    pub deadline: Duration,
    /// Requests recorded by then.
    pub seen: usize,
    /// Provider, model and outcome of each of them.
    pub summary: String,
}

/// The records of one simulator. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    log: Option<Arc<Mutex<Log>>>,
    changed: Arc<watch::Sender<()>>,
}

#[derive(Debug, Default)]
struct Log {
    /// Identifier of the oldest kept record; identifiers count up without gaps.
    first: u64,
    requests: VecDeque<RecordedRequest>,
}

impl Recorder {
    /// With `enabled` false nothing is kept, which makes the plain path cheaper.
    pub(crate) fn new(enabled: bool) -> Recorder {
        Recorder { log: enabled.then(Arc::default), changed: Arc::new(watch::Sender::new(())) }
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.log.is_some()
    }

    /// Files a request; without recording, `request` is never built.
    pub(crate) fn file(&self, request: impl FnOnce() -> RecordedRequest) -> Ticket {
        let Some(mut log) = self.lock() else { return Ticket { recorder: None, id: 0 } };
        if log.requests.len() == RECORDED_REQUESTS_MAX {
            log.requests.pop_front();
            log.first += 1;
        }
        let id = log.first + log.requests.len() as u64;
        log.requests.push_back(request());
        drop(log);
        self.changed.send_replace(());
        Ticket { recorder: Some(self.clone()), id }
    }

    pub(crate) fn requests(&self) -> Vec<RecordedRequest> {
        self.lock().map(|log| log.requests.iter().cloned().collect()).unwrap_or_default()
    }

    pub(crate) fn clear(&self) {
        if let Some(mut log) = self.lock() {
            log.first += log.requests.len() as u64;
            log.requests.clear();
        }
    }

    /// Waits until `condition` holds for the records, and returns them.
    pub(crate) async fn wait_for(
        &self,
        condition: impl Fn(&[RecordedRequest]) -> bool,
        deadline: Duration,
    ) -> Result<Vec<RecordedRequest>, WaitError> {
        let mut changed = self.changed.subscribe();
        let held = async {
            loop {
                let requests = self.requests();
                if condition(&requests) {
                    return requests;
                }
                // Cannot fail: the sender lives in `self`.
                let _ = changed.changed().await;
            }
        };
        tokio::time::timeout(deadline, held).await.map_err(|_| {
            let requests = self.requests();
            let line = |request: &RecordedRequest| {
                format!("{} {} {:?} {:?}", request.path, request.model, request.status, request.outcome)
            };
            WaitError {
                deadline,
                seen: requests.len(),
                summary: requests.iter().map(line).collect::<Vec<_>>().join("; "),
            }
        })
    }

    fn update(&self, id: u64, change: impl FnOnce(&mut RecordedRequest)) {
        if let Some(mut log) = self.lock() {
            let index = id.checked_sub(log.first).and_then(|index| usize::try_from(index).ok());
            if let Some(request) = index.and_then(|index| log.requests.get_mut(index)) {
                change(request);
            }
        }
        self.changed.send_replace(());
    }

    fn lock(&self) -> Option<MutexGuard<'_, Log>> {
        self.log.as_ref().map(|log| log.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The right to complete one record. Dropped before it is settled, it notes that the peer went away.
#[derive(Debug)]
pub(crate) struct Ticket {
    recorder: Option<Recorder>,
    id: u64,
}

impl Ticket {
    /// Notes the status sent.
    pub(crate) fn status(&self, status: u16) {
        self.update(|request| request.status = Some(status));
    }

    /// Notes that a content chunk is leaving now.
    pub(crate) fn chunk(&self) {
        self.update(|request| request.chunks.push(Instant::now()));
    }

    /// Notes how the request ended; what happens later is not recorded.
    pub(crate) fn settle(&mut self, outcome: Outcome) {
        self.update(|request| request.outcome = outcome);
        self.recorder = None;
    }

    fn update(&self, change: impl FnOnce(&mut RecordedRequest)) {
        if let Some(recorder) = &self.recorder {
            recorder.update(self.id, change);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.recorder.is_some() {
            self.settle(Outcome::AbortedByClient);
        }
    }
}
