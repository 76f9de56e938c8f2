//! The metrics there are, by the names they have in Prometheus.

use super::names::Label;

/// What a family counts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; every worker adds its own.
    Counter,
    /// Every worker adds its own, and takes it away again.
    Sum,
    /// A state of which all workers have the same view; whoever saw it last says it.
    Shared,
    /// Single values, of which Envoy keeps the distribution.
    Histogram,
}

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// Requests by how they ended.
    Requests,
    /// Upstream requests by how they ended.
    Attempts,
    /// Models that were left for another, and why.
    Fallbacks,
    /// 1 while a model at an endpoint is left alone.
    ModelOpen,
    /// How often a worker heard that a model is left alone.
    ModelOpenings,
    /// Tokens as providers counted them.
    Tokens,
    /// Cost by the prices of the configuration, in millionths of their currency.
    Cost,
    /// Of streams: milliseconds from the request to the first content.
    TimeToFirstToken,
    /// Of streams: microseconds from one token to the next, on average over one answer.
    TimePerOutputToken,
    /// What limits decided.
    LimitDecisions,
    /// Requests under way.
    ExchangesLive,
    /// Turns not stored yet.
    TurnsWaiting,
    /// Turns stored.
    TurnsStored,
    /// Turns that were not stored when their answer went out.
    TurnsLate,
    /// Turns given up.
    TurnsDropped,
    /// Failures never told to the fleet.
    ReportsDropped,
    /// Calls to the control plane.
    SyncCalls,
    /// When the control plane last answered, in seconds since 1970.
    SyncLastReply,
}

/// All of them.
pub const FAMILIES: [Family; 18] = [
    Family::Requests,
    Family::Attempts,
    Family::Fallbacks,
    Family::ModelOpen,
    Family::ModelOpenings,
    Family::Tokens,
    Family::Cost,
    Family::TimeToFirstToken,
    Family::TimePerOutputToken,
    Family::LimitDecisions,
    Family::ExchangesLive,
    Family::TurnsWaiting,
    Family::TurnsStored,
    Family::TurnsLate,
    Family::TurnsDropped,
    Family::ReportsDropped,
    Family::SyncCalls,
    Family::SyncLastReply,
];

/// All labels of all families. Envoy is told to find them in the names of its stats.
pub const LABELS: [&str; 10] =
    ["route", "model", "outcome", "result", "reason", "target", "kind", "limit", "decision", "call"];

impl Family {
    /// Its name in Prometheus.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requests => "ai_warp_requests_total",
            Self::Attempts => "ai_warp_attempts_total",
            Self::Fallbacks => "ai_warp_fallbacks_total",
            Self::ModelOpen => "ai_warp_model_open",
            Self::ModelOpenings => "ai_warp_model_openings_total",
            Self::Tokens => "ai_warp_tokens_total",
            Self::Cost => "ai_warp_cost_micros_total",
            Self::TimeToFirstToken => "ai_warp_time_to_first_token",
            Self::TimePerOutputToken => "ai_warp_time_per_output_token",
            Self::LimitDecisions => "ai_warp_limit_decisions_total",
            Self::ExchangesLive => "ai_warp_exchanges_live",
            Self::TurnsWaiting => "ai_warp_turns_waiting",
            Self::TurnsStored => "ai_warp_turns_stored_total",
            Self::TurnsLate => "ai_warp_turns_late_total",
            Self::TurnsDropped => "ai_warp_turns_dropped_total",
            Self::ReportsDropped => "ai_warp_reports_dropped_total",
            Self::SyncCalls => "ai_warp_sync_calls_total",
            Self::SyncLastReply => "ai_warp_sync_last_reply_timestamp_seconds",
        }
    }

    /// Its labels, in the order of a series' values.
    pub const fn labels(self) -> &'static [&'static str] {
        match self {
            Self::Requests => &["route", "model", "outcome"],
            Self::Attempts => &["route", "model", "result"],
            Self::Fallbacks => &["model", "reason"],
            Self::ModelOpen => &["target"],
            Self::Tokens => &["route", "model", "kind"],
            Self::Cost | Self::TimeToFirstToken | Self::TimePerOutputToken => &["route", "model"],
            Self::LimitDecisions => &["limit", "decision"],
            Self::SyncCalls => &["call", "result"],
            Self::ModelOpenings
            | Self::ExchangesLive
            | Self::TurnsWaiting
            | Self::TurnsStored
            | Self::TurnsLate
            | Self::TurnsDropped
            | Self::ReportsDropped
            | Self::SyncLastReply => &[],
        }
    }

    /// What it counts with.
    pub const fn kind(self) -> Kind {
        match self {
            Self::ModelOpen | Self::SyncLastReply => Kind::Shared,
            Self::ExchangesLive | Self::TurnsWaiting => Kind::Sum,
            Self::TimeToFirstToken | Self::TimePerOutputToken => Kind::Histogram,
            Self::Requests
            | Self::Attempts
            | Self::Fallbacks
            | Self::ModelOpenings
            | Self::Tokens
            | Self::Cost
            | Self::LimitDecisions
            | Self::TurnsStored
            | Self::TurnsLate
            | Self::TurnsDropped
            | Self::ReportsDropped
            | Self::SyncCalls => Kind::Counter,
        }
    }

    /// Counted in units of which so many make the one that is told: what is left over is told later.
    pub(super) const fn scale(self) -> u64 {
        match self {
            Self::Cost => crate::config::PICOS_PER_MICRO,
            _ => 1,
        }
    }

    /// The name of a series in Envoy: `NAME;label=value;;label=value;`, since no name of Envoy's holds a semicolon. The
    /// bootstrap says how Envoy takes it apart.
    pub(super) fn stat_name(self, values: &[Label; 3], name_of: impl Fn(Label) -> String) -> String {
        let mut stat = self.name().to_owned();
        for (label, value) in self.labels().iter().zip(values) {
            let value = name_of(*value).replace('%', "%25").replace(';', "%3B");
            stat.push_str(&format!(";{label}={value};"));
        }
        stat
    }
}
