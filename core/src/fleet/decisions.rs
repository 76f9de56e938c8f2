//! How often limits were asked, and what they said.

use crate::quota::Spend;
use crate::sync::QuotaKey;

/// The kinds of limits, as metrics call them.
pub const LIMIT_KINDS: [&str; 6] =
    ["model_rate", "model_tokens", "client_rate", "client_tokens", "route_rate", "route_tokens"];

/// What a limit can say: go on, wait for the control plane, or no.
pub const LIMIT_DECISIONS: [&str; 3] = ["allowed", "asked", "refused"];

/// Decisions of each kind of limit, in the orders of [`LIMIT_KINDS`] and [`LIMIT_DECISIONS`].
pub type LimitCounts = [[u64; 3]; 6];

/// Counts what the limit of `key` said.
pub(super) fn count(counts: &mut LimitCounts, key: &QuotaKey, said: Spend) {
    let [model_rate, model_tokens, client_rate, client_tokens, route_rate, route_tokens] = counts;
    let [allowed, asked, refused] = match key {
        QuotaKey::ModelRate(_) => model_rate,
        QuotaKey::ModelTokens(_) => model_tokens,
        QuotaKey::ClientRate(_) => client_rate,
        QuotaKey::ClientTokens(_) => client_tokens,
        QuotaKey::RouteRate(_) => route_rate,
        QuotaKey::RouteTokens(_) => route_tokens,
    };
    *match said {
        Spend::Done => allowed,
        Spend::Ask => asked,
        Spend::Over { .. } => refused,
    } += 1;
}
