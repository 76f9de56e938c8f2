//! How often a broken stream is come back to, and how long is waited before.

use std::time::Duration;

use serde::Deserialize;

/// Longest wait that a gateway may ask for with `retry-after`: as long as it keeps a stream that nobody listens to, by
/// default.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// The policy. The defaults go on for about forty seconds, which is a change of networks, and less than a gateway keeps
/// a stream that nobody listens to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Reconnect {
    /// Attempts in a row that bring no event (default: 10).
    pub max_attempts: u32,
    /// The wait before the first of them, in milliseconds (default: 200). Each next one is twice as long.
    pub min_delay: u32,
    /// The longest wait, in milliseconds (default: 10 000).
    pub max_delay: u32,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self { max_attempts: 10, min_delay: 200, max_delay: 10_000 }
    }
}

impl Reconnect {
    /// The wait before this attempt, counted from 1. `random` is from 0 to 1 and takes up to half of it away, so that
    /// clients that were cut together do not come back together.
    pub fn delay(&self, attempt: u32, random: f64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        let longest = u64::from(self.max_delay);
        let full = (u64::from(self.min_delay) << doublings).min(longest);
        Duration::from_millis(full).mul_f64(1.0 - random.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_vary_by_half() {
        let policy = Reconnect { max_attempts: 5, min_delay: 100, max_delay: 500 };
        let full: Vec<_> = [1, 2, 3, 4, 400].map(|attempt| policy.delay(attempt, 0.0).as_millis()).to_vec();
        assert_eq!(full, [100, 200, 400, 500, 500]);
        assert_eq!(policy.delay(2, 1.0).as_millis(), 100);
        assert_eq!(policy.delay(2, 0.5).as_millis(), 150);
        assert_eq!(policy.delay(2, f64::INFINITY).as_millis(), 100);
        let huge = Reconnect { max_attempts: 1, min_delay: u32::MAX, max_delay: u32::MAX };
        assert_eq!(huge.delay(u32::MAX, 0.0), Duration::from_millis(u64::from(u32::MAX)));
    }

    #[test]
    fn the_defaults_outlast_a_change_of_networks_and_end_before_the_stream_is_given_up() {
        let policy = Reconnect::default();
        let all =
            |random| (1..=policy.max_attempts).map(|attempt| policy.delay(attempt, random)).sum::<Duration>();
        assert!(
            all(1.0) > Duration::from_secs(25) && all(0.0) < MAX_RETRY_AFTER,
            "{:?} {:?}",
            all(1.0),
            all(0.0)
        );
    }
}
