//! What a worker tells of its requests: numbers for Envoy's stats, and a line for the access log.
//!
//! Numbers are counted here, in memory, and handed over to a [`Sink`] once in a while, since each hand-over costs as much as
//! parsing a small body. Every number is a series: a [`Family`] and the values of its labels. Routes and models are those
//! of configurations and all other labels are fixed words, so there are only so many series; beyond [`MAX_NAMES`] names
//! all further ones are called `other`. Consumers and sessions are never labels.

mod family;
mod line;
mod names;
mod series;
#[cfg(test)]
mod tests;

pub use family::{FAMILIES, Family, Kind, LABELS};
pub use line::{Line, MAX_CONTENT_BYTES};
pub use names::MAX_NAMES;
pub use series::{Sink, Telemetry};

use crate::exchange::Exchange;
use crate::fleet::{LIMIT_DECISIONS, LIMIT_KINDS, LimitCounts};
use names::Label;

/// The label value of a route or model that is not there: the request never got so far.
const NONE: &str = "none";

impl Telemetry {
    /// Counts a request that was refused before there was an exchange, with this word.
    pub fn count_refused(&mut self, outcome: &'static str) {
        let none = Label::Word(NONE);
        self.add(Family::Requests, [none, none, Label::Word(outcome)], 1);
    }

    /// Counts an exchange that is [closed](Exchange::close).
    pub fn count(&mut self, exchange: &Exchange) {
        let route = self.name(exchange.route_name());
        let model = exchange.last_model().map_or(Label::Word(NONE), |model| self.name(model));
        self.add(Family::Requests, [route, model, Label::Word(exchange.ending().word())], 1);
        let models = &exchange.gateway().models;
        let journal = exchange.journal();
        for attempt in journal.tries() {
            let (Some(model), Some(end)) = (models.get(attempt.model), attempt.end) else { continue };
            let model = self.name(&model.id);
            self.add(Family::Attempts, [route, model, Label::Word(end.word())], 1);
        }
        for (model, reason) in journal.fallbacks() {
            let Some(model) = models.get(*model) else { continue };
            let model = self.name(&model.id);
            self.add(Family::Fallbacks, [model, Label::Word(reason.word()), Label::None], 1);
        }
        if let Some(usage) = exchange.usage() {
            let kinds = [
                ("input", usage.input),
                ("output", usage.output),
                ("cached", usage.cached),
                ("reasoning", usage.reasoning),
            ];
            for (kind, tokens) in kinds {
                self.add(Family::Tokens, [route, model, Label::Word(kind)], tokens);
            }
        }
        if let Some(cost) = exchange.cost() {
            self.add(Family::Cost, [route, model, Label::None], cost);
        }
        let times = [
            (Family::TimeToFirstToken, journal.first_content_after_ms()),
            (Family::TimePerOutputToken, exchange.time_per_output_token_us()),
        ];
        for (family, time) in times {
            if let Some(time) = time {
                self.sample(family, [route, model, Label::None], time);
            }
        }
    }

    /// Takes how often limits have let requests through, or not, since the worker started.
    pub fn limits(&mut self, counts: &LimitCounts) {
        for (limit, counts) in LIMIT_KINDS.into_iter().zip(counts) {
            for (decision, count) in LIMIT_DECISIONS.into_iter().zip(counts) {
                self.total(
                    Family::LimitDecisions,
                    [Label::Word(limit), Label::Word(decision), Label::None],
                    *count,
                );
            }
        }
    }

    /// Counts a call to the control plane.
    pub fn call(&mut self, call: &'static str, is_answered: bool) {
        let result = if is_answered { "ok" } else { "failed" };
        self.add(Family::SyncCalls, [Label::Word(call), Label::Word(result), Label::None], 1);
    }

    /// Takes a number without labels: of a counter how often since the worker started, of a gauge how many now.
    pub fn plain(&mut self, family: Family, number: u64) {
        self.total(family, [Label::None; 3], number);
    }

    /// Takes whether `target` is left alone.
    pub fn open(&mut self, target: &str, is_open: bool) {
        let target = self.name(target);
        self.total(Family::ModelOpen, [target, Label::None, Label::None], u64::from(is_open));
    }
}
