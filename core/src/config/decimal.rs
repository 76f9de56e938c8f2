//! Decimal numbers as people write them, kept exactly: prices must not go through binary fractions.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Digits after the point.
const DIGITS: usize = 6;

/// One, in millionths.
pub(crate) const ONE: u64 = 1_000_000;

/// A number that is not negative, in millionths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(transparent))]
pub struct Decimal(#[cfg_attr(feature = "schema", schemars(with = "f64", range(min = 0)))] u64);

impl Decimal {
    /// A whole number.
    pub const fn whole(number: u32) -> Self {
        Self(number as u64 * ONE)
    }

    /// So many millionths.
    pub const fn from_millionths(millionths: u64) -> Self {
        Self(millionths)
    }

    /// The number in millionths.
    pub const fn millionths(self) -> u64 {
        self.0
    }

    /// `None` for what is no such number, or has more than six digits after the point.
    fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) || fraction.len() > DIGITS {
            return None;
        }
        let whole = whole.parse::<u64>().ok()?.checked_mul(ONE)?;
        whole.checked_add(format!("{fraction:0<DIGITS$}").parse().ok()?).map(Self)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / ONE, self.0 % ONE);
        match fraction {
            0 => write!(f, "{whole}"),
            _ => f.write_str(format!("{whole}.{fraction:0>DIGITS$}").trim_end_matches('0')),
        }
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DecimalVisitor;

        impl Visitor<'_> for DecimalVisitor {
            type Value = Decimal;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number such as 2.5, not negative, with at most six digits after the point")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Decimal, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Decimal, E> {
                self.visit_str(&number.to_string())
            }

            // The shortest text that stands for a number is, for all that people write, the text they wrote.
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Decimal, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Decimal, E> {
                Decimal::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Other(text), &self))
            }
        }

        deserializer.deserialize_any(DecimalVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_kept_exactly() {
        for (written, millionths, shown) in [
            ("2.50", 2_500_000, "2.5"),
            ("10", 10_000_000, "10"),
            ("0.0375", 37_500, "0.0375"),
            ("\"0.000001\"", 1, "0.000001"),
            ("0.3", 300_000, "0.3"),
            ("100.1", 100_100_000, "100.1"),
        ] {
            let decimal: Decimal = serde_json::from_str(written).unwrap();
            assert_eq!((decimal.millionths(), decimal.to_string().as_str()), (millionths, shown));
            let again = serde_json::to_string(&decimal).unwrap();
            assert_eq!(serde_json::from_str::<Decimal>(&again).unwrap(), decimal);
        }
    }

    #[test]
    fn what_is_no_such_number_is_refused() {
        for written in ["-1", "0.0000001", "\"\"", "\"1.\"", "\".5\"", "\"1e3\"", "1e300", "true", "\"x\""] {
            assert!(serde_json::from_str::<Decimal>(written).is_err(), "{written}");
        }
    }
}
