//! `streams`: bounds checked.

use super::Problems;
use crate::config::{Config, StorageType, Streams};

/// Name of the cluster that leads to whoever keeps streams.
const STREAMS_CLUSTER: &str = "ai-warp/streams";

/// Longest time a stream goes on without a client, or is kept, in milliseconds: a day.
const LONGEST_MS: u64 = 86_400_000;

/// Most events of one stream: its id has 32 bits for them, and memory is to be bounded by far less.
const MOST_EVENTS: u64 = 10_000_000;

/// Fewest bytes that are worth keeping, of one stream and of all.
const FEWEST_BYTES: u64 = 64 << 10;

/// Most bytes that can be asked for.
const MOST_BYTES: u64 = 64 << 30;

/// Checks the section.
pub(super) fn check(config: &Config, problems: &mut Problems) {
    let streams = &config.streams;
    problems.check_time("streams.abandonAfter", streams.abandon_after, 1..=LONGEST_MS);
    problems.check_time("streams.keep", streams.keep, 1_000..=LONGEST_MS);
    problems.check_number("streams.maxEvents", streams.max_events.into(), 100..=MOST_EVENTS);
    problems.check_number("streams.maxBytes", streams.max_bytes, FEWEST_BYTES..=MOST_BYTES);
    problems.check_number("streams.maxTotalBytes", streams.max_total_bytes, FEWEST_BYTES..=MOST_BYTES);
    problems.check_number("streams.maxPerConsumer", streams.max_per_consumer.into(), 1..=u32::MAX.into());
    if streams.port == 0 {
        problems.add("streams.port", "must be 1 to 65535: gateways tell it to the control plane");
    } else if streams.port == config.server.port {
        problems.add("streams.port", "is the same as server.port");
    }
}

/// What the filter must know; nothing where streams end with their clients.
pub(super) fn compile(config: &Config) -> Option<Streams> {
    let are_kept = config.streams.resumable && config.storage.kind != StorageType::None;
    are_kept.then(|| Streams { cluster: STREAMS_CLUSTER.to_owned(), port: config.streams.port })
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Streams, compile};

    fn compiled(sections: &str) -> Result<Option<Streams>, Vec<String>> {
        let config: Config = serde_json::from_str(&format!(
            r#"{{"providers": {{"openai": {{}}}}, "models": ["openai:m"], {sections}}}"#
        ))
        .unwrap();
        let compiled = compile(&config).map(|gateway| gateway.streams);
        compiled.map_err(|problems| problems.into_iter().map(|problem| problem.path).collect())
    }

    #[test]
    fn streams_are_kept_where_sessions_are_and_nobody_says_otherwise() {
        let port = |sections| compiled(sections).unwrap().map(|streams| streams.port);
        assert_eq!(port(r#""streams": {}"#), Some(3_142));
        assert_eq!(port(r#""streams": {"port": 7}"#), Some(7));
        assert_eq!(port(r#""streams": {"resumable": false}"#), None);
        assert_eq!(port(r#""storage": {"type": "none"}"#), None);
    }

    #[test]
    fn every_bound_has_bounds() {
        let wrong = r#""streams": {"abandonAfter": 0, "keep": 1, "maxEvents": 1, "maxBytes": 1, "maxTotalBytes": 1,
            "maxPerConsumer": 0, "port": 3042}"#;
        let paths =
            ["abandonAfter", "keep", "maxEvents", "maxBytes", "maxTotalBytes", "maxPerConsumer", "port"];
        assert_eq!(compiled(wrong).unwrap_err(), paths.map(|path| format!("streams.{path}")));
    }
}
