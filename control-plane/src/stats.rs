//! How Envoy takes the filter's stats apart: labels from their names, and the bounds of distributions.
//!
//! A Wasm filter can give a metric a name and nothing else, so the labels are in it (`NAME;label=value;;label=value;`), and
//! every bootstrap tells Envoy where they are. Without this the metrics are there all the same, under their long names.

use ai_warp_core::telemetry::{Family, LABELS};
use serde_json::{Value, json};

/// How the names of the filter's stats begin: Envoy puts its own word before what a Wasm filter defines.
const PREFIX: &str = "wasmcustom.";

/// Bounds of the time to the first token, in milliseconds.
const FIRST_TOKEN_BUCKETS: [u64; 14] =
    [10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 20_000, 40_000, 80_000, 160_000];

/// Bounds of the time per output token, in microseconds.
const PER_TOKEN_BUCKETS: [u64; 14] = [
    500, 1_000, 2_500, 5_000, 10_000, 15_000, 20_000, 30_000, 50_000, 75_000, 100_000, 250_000, 500_000,
    1_000_000,
];

/// `stats_config` of a bootstrap.
pub fn stats_config() -> Value {
    let tag = |label: &&str| {
        // Anchored at the first token, so that Envoy tries it on no other stat.
        json!({"tag_name": label, "regex": format!(r"^wasmcustom\.ai_warp_.*?(;{label}=([^;]*);)")})
    };
    let buckets = |family: Family, bounds: &[u64]| json!({"match": {"prefix": format!("{PREFIX}{}", family.name())}, "buckets": bounds});
    json!({
        "stats_tags": LABELS.iter().map(tag).collect::<Vec<_>>(),
        "histogram_bucket_settings": [
            buckets(Family::TimeToFirstToken, &FIRST_TOKEN_BUCKETS),
            buckets(Family::TimePerOutputToken, &PER_TOKEN_BUCKETS),
        ],
    })
}
