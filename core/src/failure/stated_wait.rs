//! The wait that a provider asks for, in the ways providers say it.

use std::time::{Duration, UNIX_EPOCH};

/// The kinds of budget whose reset times OpenAI and its kin tell.
const BUDGETS: [(&str, &str); 2] = [
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
];

/// The wait that the headers of a failed answer ask for, in milliseconds. `header` looks one up; `unix_ms` is the time now.
///
/// `retry-after-ms` and `retry-after` (seconds or a date) go first; for a rate limit (429) also the time at which the
/// budgets that are used up are filled again.
pub fn stated_wait_ms(status: u16, unix_ms: u64, header: impl Fn(&str) -> Option<Vec<u8>>) -> Option<u64> {
    let number = |name| header(name).and_then(|value| parse_number(&value));
    if let Some(wait_ms) = number("retry-after-ms") {
        return Some(round_up(wait_ms));
    }
    if let Some(value) = header("retry-after") {
        return parse_wait(&value).or_else(|| wait_until_date(&value, unix_ms));
    }
    if status != 429 {
        return None;
    }
    let resets = BUDGETS.iter().filter(|(remaining, _)| number(remaining).is_none_or(|left| left <= 0.0));
    resets.filter_map(|(_, reset)| parse_wait(&header(reset)?)).max()
}

/// A span such as `7`, `0.2`, `6m0s`, `1.5s` or `120ms`, in milliseconds; a plain number is seconds. Rounded up.
pub fn parse_wait(value: &[u8]) -> Option<u64> {
    if let Some(secs) = parse_number(value) {
        return Some(round_up(secs * 1_000.0));
    }
    let mut rest = std::str::from_utf8(value).ok()?.trim();
    if rest.is_empty() {
        return None;
    }
    let mut total_ms = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| c != '.' && !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let unit_len = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(unit_len)?;
        let unit_ms = match unit {
            "ms" => 1.0,
            "s" => 1_000.0,
            "m" => 60_000.0,
            "h" => 3_600_000.0,
            "d" => 86_400_000.0,
            _ => return None,
        };
        total_ms += parse_number(number.as_bytes())? * unit_ms;
        rest = tail;
    }
    Some(round_up(total_ms))
}

fn parse_number(value: &[u8]) -> Option<f64> {
    let number: f64 = std::str::from_utf8(value).ok()?.trim().parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number)
}

/// Casting caps what is too large.
fn round_up(wait_ms: f64) -> u64 {
    wait_ms.ceil() as u64
}

fn wait_until_date(value: &[u8], unix_ms: u64) -> Option<u64> {
    let date = httpdate::parse_http_date(std::str::from_utf8(value).ok()?.trim()).ok()?;
    let now = UNIX_EPOCH + Duration::from_millis(unix_ms);
    let wait = date.duration_since(now).unwrap_or_default();
    u64::try_from(wait.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_spans() {
        for (text, expected) in [
            ("7", Some(7_000)),
            (" 0.2 ", Some(200)),
            ("0", Some(0)),
            ("38.922s", Some(38_922)),
            ("6m0s", Some(360_000)),
            ("0s", Some(0)),
            ("120ms", Some(120)),
            ("1h2m3.5s", Some(3_723_500)),
            ("1e300", Some(u64::MAX)),
            ("-1", None),
            ("soon", None),
            ("5x", None),
            ("", None),
            ("NaN", None),
            ("inf", None),
        ] {
            assert_eq!(parse_wait(text.as_bytes()), expected, "{text}");
        }
    }

    /// What `headers` ask for in an answer of `status`, on 21 October 2026 at 07:27 GMT.
    fn wait(status: u16, headers: &[(&str, &str)]) -> Option<u64> {
        stated_wait_ms(status, 1_792_567_620_000, |name| {
            let (_, value) = headers.iter().find(|(known, _)| *known == name)?;
            Some(value.as_bytes().to_vec())
        })
    }

    #[test]
    fn takes_the_most_exact_word_of_the_provider() {
        assert_eq!(wait(429, &[("retry-after", "7"), ("retry-after-ms", "250")]), Some(250));
        assert_eq!(wait(503, &[("retry-after", "7")]), Some(7_000));
        assert_eq!(wait(503, &[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")]), Some(60_000));
        assert_eq!(wait(503, &[("retry-after", "Wed, 21 Oct 2026 07:00:00 GMT")]), Some(0));
        assert_eq!(wait(503, &[("retry-after", "later")]), None);
        assert_eq!(wait(429, &[]), None);
    }

    #[test]
    fn reset_times_count_for_a_rate_limit_and_a_budget_that_is_used_up() {
        let headers = [
            ("x-ratelimit-remaining-requests", "12"),
            ("x-ratelimit-reset-requests", "6m0s"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "1.5s"),
        ];
        assert_eq!(wait(429, &headers), Some(1_500));
        assert_eq!(wait(503, &headers), None);
        assert_eq!(wait(429, &[("x-ratelimit-reset-requests", "2s")]), Some(2_000));
    }
}
