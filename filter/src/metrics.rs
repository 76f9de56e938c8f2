//! What a worker tells Envoy's stats (`wasmcustom.ai_warp_*`).
//!
//! Counted in memory ([`Telemetry`]) and told at ticks rather than per request: a hostcall each would cost more than the
//! numbers are worth. Metrics are shared by all workers of an Envoy, so every worker adds its own changes.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use ai_warp_core::config::Gateway;
use ai_warp_core::exchange::Exchange;
use ai_warp_core::telemetry::{Family, Kind, Sink, Telemetry};
use proxy_wasm::hostcalls;
use proxy_wasm::types::MetricType;

use crate::{exchanges, fleet, host, turns};

/// Least time between two publications, in milliseconds: ticks may be far closer.
const PUBLISH_GAP_MS: u64 = 500;

thread_local! {
    static TELEMETRY: RefCell<Telemetry> = RefCell::new(Telemetry::default());
    static NEXT_MS: Cell<u64> = const { Cell::new(0) };
    /// Whose models are told of.
    static GATEWAY: RefCell<Option<Rc<Gateway>>> = const { RefCell::new(None) };
}

/// Envoy's stats.
struct Stats;

impl Sink for Stats {
    fn define(&mut self, kind: Kind, name: &str) -> Option<u32> {
        let kind = match kind {
            Kind::Counter => MetricType::Counter,
            Kind::Sum | Kind::Shared => MetricType::Gauge,
            Kind::Histogram => MetricType::Histogram,
        };
        hostcalls::define_metric(kind, name).ok()
    }

    fn add(&mut self, metric: u32, change: i64) {
        let _ = hostcalls::increment_metric(metric, change);
    }

    fn record(&mut self, metric: u32, value: u64) {
        let _ = hostcalls::record_metric(metric, value);
    }
}

/// From now on the models of `gateway` are told of. Those of an earlier one that are gone count as not left alone.
pub(crate) fn configured(gateway: &Rc<Gateway>) {
    if let Some(before) = GATEWAY.replace(Some(Rc::clone(gateway))) {
        TELEMETRY.with_borrow_mut(|telemetry| {
            for target in before.models.iter().flat_map(|model| &model.targets) {
                telemetry.open(target, false);
            }
        });
    }
}

/// Counts an exchange that is over.
pub(crate) fn count(exchange: &Exchange) {
    change(|telemetry| telemetry.count(exchange));
}

/// Counts a request that was refused before there was an exchange.
pub(crate) fn count_refused(outcome: &'static str) {
    change(|telemetry| telemetry.count_refused(outcome));
}

/// Counts a call to the control plane, and whether it was answered.
pub(crate) fn count_call(call: &'static str, is_answered: bool) {
    change(|telemetry| {
        telemetry.call(call, is_answered);
        if is_answered {
            telemetry.plain(Family::SyncLastReply, host::unix_ms() / 1_000);
        }
    });
}

fn change(change: impl FnOnce(&mut Telemetry)) {
    TELEMETRY.with_borrow_mut(|telemetry| {
        change(telemetry);
        if telemetry.is_full() {
            telemetry.publish(&mut Stats);
        }
    });
}

/// Publishes what has changed on this worker, where that is due.
pub(crate) fn publish() {
    let now_ms = host::now_ms();
    if now_ms < NEXT_MS.get() {
        return;
    }
    NEXT_MS.set(now_ms.saturating_add(PUBLISH_GAP_MS));
    let (turns, fleet) = (turns::counts(), fleet::counts());
    TELEMETRY.with_borrow_mut(|telemetry| {
        for (family, number) in [
            (Family::ExchangesLive, exchanges::count() as u64),
            (Family::TurnsWaiting, turns.waiting),
            (Family::TurnsStored, turns.stored),
            (Family::TurnsLate, turns.late),
            (Family::TurnsDropped, turns.dropped),
            (Family::ModelOpenings, fleet.models_opened),
            (Family::ReportsDropped, fleet.reports_dropped),
        ] {
            telemetry.plain(family, number);
        }
        telemetry.limits(&fleet.limits);
        GATEWAY.with_borrow(|gateway| {
            let models = gateway.iter().flat_map(|gateway| &gateway.models);
            for target in models.flat_map(|model| &model.targets) {
                telemetry.open(target, !fleet::is_ready(target));
            }
        });
        telemetry.publish(&mut Stats);
    });
}
