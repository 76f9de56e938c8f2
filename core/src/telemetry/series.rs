//! The series of one worker, and what of them was told.

use std::collections::HashMap;

use super::family::{Family, Kind};
use super::names::{Label, Names};

/// Most single values kept between two hand-overs; with so many, the next is due.
const MAX_SAMPLES: usize = 4_096;

/// Most single values of one exchange.
const SAMPLES_PER_EXCHANGE: usize = 2;

/// Where the numbers go.
pub trait Sink {
    /// Makes a metric known by the name of its series; `None` where that fails.
    fn define(&mut self, kind: Kind, name: &str) -> Option<u32>;
    /// Adds to a counter or gauge.
    fn add(&mut self, metric: u32, change: i64);
    /// Sets a gauge, or adds a value to a histogram.
    fn record(&mut self, metric: u32, value: u64);
}

type Key = (Family, [Label; 3]);

/// What one worker has counted.
#[derive(Debug, Default)]
pub struct Telemetry {
    names: Names,
    series: HashMap<Key, Series>,
    /// Those that have changed.
    changed: Vec<Key>,
    samples: Vec<(Key, u64)>,
}

#[derive(Debug, Default)]
struct Series {
    metric: Metric,
    now: u64,
    told: Option<u64>,
    is_listed: bool,
}

#[derive(Debug, Default, Clone, Copy)]
enum Metric {
    #[default]
    New,
    Known(u32),
    /// Envoy would not have it.
    Refused,
}

impl Telemetry {
    pub(super) fn name(&mut self, name: &str) -> Label {
        self.names.label(name)
    }

    pub(super) fn add(&mut self, family: Family, labels: [Label; 3], amount: u64) {
        self.change((family, labels), |now| now.saturating_add(amount));
    }

    pub(super) fn total(&mut self, family: Family, labels: [Label; 3], total: u64) {
        self.change((family, labels), |_| total);
    }

    pub(super) fn sample(&mut self, family: Family, labels: [Label; 3], value: u64) {
        if self.samples.len() < MAX_SAMPLES {
            self.samples.push(((family, labels), value));
        }
    }

    fn change(&mut self, key: Key, change: impl FnOnce(u64) -> u64) {
        let series = self.series.entry(key).or_default();
        let now = change(series.now);
        if !series.is_listed && (series.told.is_none() || now != series.now) {
            series.is_listed = true;
            self.changed.push(key);
        }
        series.now = now;
    }

    /// Whether single values of another exchange could be lost if it came before the next hand-over.
    pub fn is_full(&self) -> bool {
        self.samples.len() + SAMPLES_PER_EXCHANGE > MAX_SAMPLES
    }

    /// Tells what has changed since the last time.
    pub fn publish(&mut self, sink: &mut impl Sink) {
        for key in std::mem::take(&mut self.changed) {
            let Some(metric) = self.metric(key, sink) else { continue };
            let Some(series) = self.series.get_mut(&key) else { continue };
            series.is_listed = false;
            let (family, _) = key;
            let now = series.now / family.scale();
            let told = series.told.replace(now);
            match family.kind() {
                Kind::Shared => sink.record(metric, now),
                Kind::Counter | Kind::Sum | Kind::Histogram => {
                    let change = now.wrapping_sub(told.unwrap_or(0)).cast_signed();
                    if change != 0 {
                        sink.add(metric, change);
                    }
                }
            }
        }
        for (key, value) in std::mem::take(&mut self.samples) {
            if let Some(metric) = self.metric(key, sink) {
                sink.record(metric, value);
            }
        }
    }

    fn metric(&mut self, key: Key, sink: &mut impl Sink) -> Option<u32> {
        let series = self.series.entry(key).or_default();
        if let Metric::New = series.metric {
            let (family, labels) = &key;
            let name = family.stat_name(labels, |label| self.names.text(label));
            series.metric = sink.define(family.kind(), &name).map_or(Metric::Refused, Metric::Known);
        }
        match series.metric {
            Metric::Known(metric) => Some(metric),
            Metric::New | Metric::Refused => None,
        }
    }
}
