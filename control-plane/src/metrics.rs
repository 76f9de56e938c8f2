//! The control plane's own metrics, for Prometheus.
//!
//! What happens is counted as it happens; what is the case is looked at when somebody asks. All names begin with
//! `ai_warp_control_plane_`, so that they cannot be taken for those of the gateways. No session, consumer or node is a label.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{
    Encoder as _, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry,
    TextEncoder,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::{ConfigStatus, Loaded};
use crate::tokens::Tokens;

/// What all names begin with.
const NAMESPACE: &str = "ai_warp_control_plane";

/// Bounds of the duration of requests, in seconds. Long polls take up to 20.
const DURATION_BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// What is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    pushes: IntCounterVec,
    reloads: IntCounterVec,
    token_updates: IntCounter,
    turns: IntCounterVec,
    streams: IntCounterVec,
}

/// What happens to a stream that survives its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamEvent {
    /// A client came back for it.
    Resumed,
    /// Its end was told by its gateway.
    Ended,
    /// It ended otherwise: cancelled, abandoned, broken off.
    Interrupted,
    /// It is not kept here: the gateway asks the model itself.
    Declined,
}

impl StreamEvent {
    const fn word(self) -> &'static str {
        match self {
            Self::Resumed => "resumed",
            Self::Ended => "ended",
            Self::Interrupted => "interrupted",
            Self::Declined => "declined",
        }
    }
}

/// Something that is the case: name, help, labels, and the values with their labels'.
pub struct Gauge<'a> {
    /// Without what all names begin with.
    pub name: &'static str,
    /// For people.
    pub help: &'static str,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// Its series.
    pub values: Vec<(Vec<&'a str>, i64)>,
}

impl Metrics {
    /// Nothing counted yet.
    ///
    /// # Errors
    /// [`prometheus::Error`] where two metrics have one name, which is a mistake in here.
    pub fn new() -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| Opts::new(name, help).namespace(NAMESPACE);
        let requests = counter("http_requests_total", "Requests by path template, method and status.");
        let durations =
            HistogramOpts::new("http_request_duration_seconds", "Time to the head of a response.");
        let durations = durations.namespace(NAMESPACE).buckets(DURATION_BUCKETS.to_vec());
        let pushes =
            counter("pushes_total", "Configuration sent to gateways by kind, and what they said of it.");
        let reloads =
            counter("config_reloads_total", "Changed configuration files, by whether they are in force.");
        let turns = counter("turns_total", "Turns that gateways sent, by what became of them.");
        let streams = counter("streams_total", "Streams that gateways handed over, by what became of them.");
        let metrics = Self {
            registry: Registry::new(),
            requests: IntCounterVec::new(requests, &["path", "method", "status"])?,
            durations: HistogramVec::new(durations, &["path"])?,
            pushes: IntCounterVec::new(pushes, &["kind", "result"])?,
            reloads: IntCounterVec::new(reloads, &["result"])?,
            token_updates: IntCounter::with_opts(counter(
                "token_updates_total",
                "Changes of access tokens, failures to renew them included.",
            ))?,
            turns: IntCounterVec::new(turns, &["result"])?,
            streams: IntCounterVec::new(streams, &["event"])?,
        };
        for result in ["applied", "refused"] {
            metrics.reloads.with_label_values(&[result]);
        }
        metrics.registry.register(Box::new(metrics.requests.clone()))?;
        metrics.registry.register(Box::new(metrics.durations.clone()))?;
        metrics.registry.register(Box::new(metrics.pushes.clone()))?;
        metrics.registry.register(Box::new(metrics.reloads.clone()))?;
        metrics.registry.register(Box::new(metrics.token_updates.clone()))?;
        metrics.registry.register(Box::new(metrics.turns.clone()))?;
        metrics.registry.register(Box::new(metrics.streams.clone()))?;
        Ok(metrics)
    }

    /// Counts a request to a path template.
    pub fn request(&self, path: &str, method: &str, status: u16, took: Duration) {
        self.requests.with_label_values(&[path, method, &status.to_string()]).inc();
        self.durations.with_label_values(&[path]).observe(took.as_secs_f64());
    }

    /// Counts what became of a kind of resource: `sent`, `accepted`, `refused`.
    pub fn push(&self, kind: &str, result: &str) {
        self.pushes.with_label_values(&[kind, result]).inc();
    }

    /// Counts turns by whether they were stored.
    pub fn turns(&self, stored: u64, failed: u64) {
        self.turns.with_label_values(&["stored"]).inc_by(stored);
        self.turns.with_label_values(&["failed"]).inc_by(failed);
    }

    /// Counts what happened to a stream.
    pub fn stream(&self, event: StreamEvent) {
        self.streams.with_label_values(&[event.word()]).inc();
    }

    /// All of it as Prometheus' text format, with what is the case now.
    ///
    /// # Errors
    /// [`prometheus::Error`] for a gauge of a wrong shape, which is a mistake in whoever made it.
    pub fn render(&self, gauges: Vec<Gauge<'_>>) -> Result<String, prometheus::Error> {
        let now = Registry::new();
        for Gauge { name, help, labels, values } in gauges {
            let gauge = IntGaugeVec::new(Opts::new(name, help).namespace(NAMESPACE), labels)?;
            for (labels, value) in values {
                gauge.get_metric_with_label_values(&labels)?.set(value);
            }
            now.register(Box::new(gauge))?;
        }
        let mut families = self.registry.gather();
        families.extend(now.gather());
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// Counts what happens to the configuration and to access tokens, until dropped.
#[derive(Debug)]
pub struct Following(JoinHandle<()>);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Starts to count. Needs a Tokio runtime.
pub fn follow(
    metrics: Arc<Metrics>,
    mut config: watch::Receiver<Arc<Loaded>>,
    mut status: watch::Receiver<ConfigStatus>,
    mut tokens: watch::Receiver<Arc<Tokens>>,
) -> Following {
    Following(tokio::spawn(async move {
        let mut failing_since = None;
        loop {
            tokio::select! {
                changed = config.changed() => match changed {
                    Ok(()) => metrics.reloads.with_label_values(&["applied"]).inc(),
                    Err(_) => return,
                },
                changed = status.changed() => match changed {
                    Ok(()) => {
                        let failure = status.borrow_and_update().failure.clone();
                        if failure.is_some() && failure != failing_since {
                            metrics.reloads.with_label_values(&["refused"]).inc();
                        }
                        failing_since = failure;
                    }
                    Err(_) => return,
                },
                changed = tokens.changed() => match changed {
                    Ok(()) => metrics.token_updates.inc(),
                    Err(_) => return,
                },
            }
        }
    }))
}
