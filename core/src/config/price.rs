//! What a model's tokens cost, in whole numbers of a unit small enough for every price there is.

use serde::{Deserialize, Serialize};

use crate::chat::Usage;

/// So many millionths of the price table's currency make a unit of [`Price`]: a millionth of a millionth.
pub const PICOS_PER_MICRO: u64 = 1_000_000;

/// Price of one token of each kind, in millionths of a millionth of the currency: what a million tokens cost, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Price {
    /// Read.
    pub input: u64,
    /// Generated, reasoning included.
    pub output: u64,
    /// Read from a cache.
    pub cached_input: u64,
    /// Read and put into a cache.
    pub cache_write: u64,
}

impl Price {
    /// What an attempt cost, in the unit of the price.
    pub fn of(&self, usage: Usage) -> u64 {
        let Usage { input, output, cached, cache_write, reasoning: _ } = usage;
        let plain = input.saturating_sub(cached).saturating_sub(cache_write);
        let parts = [
            (plain, self.input),
            (output, self.output),
            (cached, self.cached_input),
            (cache_write, self.cache_write),
        ];
        parts
            .into_iter()
            .fold(0, |sum: u64, (tokens, price)| sum.saturating_add(tokens.saturating_mul(price)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_is_paid_once() {
        let price =
            Price { input: 2_500_000, output: 10_000_000, cached_input: 37_500, cache_write: 3_000_000 };
        let usage = Usage { input: 1_000, output: 10, cached: 100, cache_write: 50, reasoning: 5 };
        let expected = 850 * 2_500_000 + 10 * 10_000_000 + 100 * 37_500 + 50 * 3_000_000;
        assert_eq!(price.of(usage), expected);
        // A provider that counts more from the cache than it read at all.
        let odd = Usage { input: 1, cached: 2, ..Usage::default() };
        assert_eq!(price.of(odd), 75_000);
        assert_eq!(price.of(Usage { output: u64::MAX, ..Usage::default() }), u64::MAX);
    }
}
