//! Spans of time as people write them: `"30s"`, `"5m"`, `"1h"`, `"2d"`, `"250ms"`, or a number of milliseconds.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A span of time with millisecond precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeWindow(Duration);

impl TimeWindow {
    /// A span of `millis` milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// A span of `secs` seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// The span as a [`Duration`].
    pub const fn duration(self) -> Duration {
        self.0
    }

    /// The span in whole milliseconds; saturates after half a billion years.
    pub fn millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }

    fn parse(text: &str) -> Option<Self> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (count, unit) = text.split_at(digits);
        let unit_millis = match unit {
            "" | "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        count.parse::<u64>().ok()?.checked_mul(unit_millis).map(Self::from_millis)
    }
}

impl fmt::Display for TimeWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.millis();
        for (unit_millis, unit) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")] {
            if millis > 0 && millis.is_multiple_of(unit_millis) {
                return write!(f, "{}{unit}", millis / unit_millis);
            }
        }
        write!(f, "{millis}ms")
    }
}

impl Serialize for TimeWindow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeWindow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TimeWindowVisitor;

        impl Visitor<'_> for TimeWindowVisitor {
            type Value = TimeWindow;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a time such as \"250ms\", \"30s\", \"5m\", \"1h\", \"2d\" or a number of milliseconds",
                )
            }

            fn visit_u64<E: de::Error>(self, millis: u64) -> Result<TimeWindow, E> {
                Ok(TimeWindow::from_millis(millis))
            }

            fn visit_i64<E: de::Error>(self, millis: i64) -> Result<TimeWindow, E> {
                u64::try_from(millis)
                    .map(TimeWindow::from_millis)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(millis), &self))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<TimeWindow, E> {
                TimeWindow::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_any(TimeWindowVisitor)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for TimeWindow {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TimeWindow".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A span of time: \"250ms\", \"30s\", \"5m\", \"1h\", \"2d\", or a number of milliseconds.",
            "oneOf": [
                {"type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)?$"},
                {"type": "integer", "minimum": 0}
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_unit_and_writes_the_largest_exact_one() {
        for (text, millis, shown) in [
            ("\"250ms\"", 250, "250ms"),
            ("\"30s\"", 30_000, "30s"),
            ("\"5m\"", 300_000, "5m"),
            ("\"1h\"", 3_600_000, "1h"),
            ("\"2d\"", 172_800_000, "2d"),
            ("1500", 1_500, "1500ms"),
            ("\"90s\"", 90_000, "90s"),
            ("0", 0, "0ms"),
        ] {
            let window: TimeWindow = serde_json::from_str(text).unwrap();
            assert_eq!(window.millis(), millis, "{text}");
            assert_eq!(window.to_string(), shown, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_not_a_time() {
        for text in
            ["\"\"", "\"s\"", "\"1.5s\"", "\"5 m\"", "\"-1s\"", "-5", "\"99999999999999999999d\"", "true"]
        {
            let error = serde_json::from_str::<TimeWindow>(text).unwrap_err().to_string();
            assert!(error.contains("a time such as"), "{text}: {error}");
        }
    }
}
