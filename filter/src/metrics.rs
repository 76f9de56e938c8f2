//! What a worker tells Envoy's stats (`wasmcustom.ai_warp.*`).
//!
//! Metrics are shared by all workers of an Envoy, so every worker adds its own changes. They are published once a tick
//! rather than per request: a hostcall each would cost more than the numbers are worth.

use std::cell::RefCell;

use proxy_wasm::hostcalls;
use proxy_wasm::types::MetricType;

use crate::{exchanges, fleet, turns};

thread_local! {
    static PUBLISHED: RefCell<Option<Published>> = const { RefCell::new(None) };
}

/// The metrics and what this worker has published of each.
struct Published {
    exchanges_live: Series,
    turns_waiting: Series,
    turns_stored: Series,
    turns_late: Series,
    turns_dropped: Series,
    limits_reached: Series,
    models_opened: Series,
    reports_dropped: Series,
}

struct Series {
    metric: Option<u32>,
    value: u64,
}

impl Series {
    fn new(kind: MetricType, name: &str) -> Self {
        Self { metric: hostcalls::define_metric(kind, name).ok(), value: 0 }
    }

    fn publish(&mut self, value: u64) {
        let Some(metric) = self.metric else { return };
        let change = value.wrapping_sub(self.value).cast_signed();
        if change != 0 {
            let _ = hostcalls::increment_metric(metric, change);
            self.value = value;
        }
    }
}

/// Defines the metrics, once per worker.
pub(crate) fn define() {
    PUBLISHED.with_borrow_mut(|published| {
        published.get_or_insert_with(|| Published {
            exchanges_live: Series::new(MetricType::Gauge, "ai_warp.exchanges_live"),
            turns_waiting: Series::new(MetricType::Gauge, "ai_warp.turns_waiting"),
            turns_stored: Series::new(MetricType::Counter, "ai_warp.turns_stored"),
            turns_late: Series::new(MetricType::Counter, "ai_warp.turns_late"),
            turns_dropped: Series::new(MetricType::Counter, "ai_warp.turns_dropped"),
            limits_reached: Series::new(MetricType::Counter, "ai_warp.limits_reached"),
            models_opened: Series::new(MetricType::Counter, "ai_warp.models_opened"),
            reports_dropped: Series::new(MetricType::Counter, "ai_warp.reports_dropped"),
        });
    });
}

/// Publishes what has changed on this worker.
pub(crate) fn publish() {
    let (turns, fleet) = (turns::counts(), fleet::counts());
    PUBLISHED.with_borrow_mut(|published| {
        if let Some(published) = published {
            published.exchanges_live.publish(exchanges::count() as u64);
            published.turns_waiting.publish(turns.waiting);
            published.turns_stored.publish(turns.stored);
            published.turns_late.publish(turns.late);
            published.turns_dropped.publish(turns.dropped);
            published.limits_reached.publish(fleet.limits_reached);
            published.models_opened.publish(fleet.models_opened);
            published.reports_dropped.publish(fleet.reports_dropped);
        }
    });
}
