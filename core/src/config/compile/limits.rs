//! `limits`, `clientLimits`, `breaker` and `restore`: bounds checked, defaults filled in.

use super::Problems;
use crate::config::{
    Breaker, BreakerConfig, ClientLimits, Config, Limit, RateConfig, Restore, RestoreConfig, Retry,
    RetryConfig, RouteLimits, RouteLimitsConfig, TimeWindow, TokensConfig,
};
use crate::health::MAX_FAILURES;

/// Longest time an attempt, or all of them, may be given, in milliseconds: a day.
const LONGEST_TIMEOUT_MS: u64 = 86_400_000;

/// Longest wait before a retry, in milliseconds. The client waits as well.
const LONGEST_RETRY_WAIT_MS: u64 = 300_000;

/// Longest wait before a retry where the configuration says none, in milliseconds.
const DEFAULT_RETRY_WAIT_MS: u64 = 30_000;

/// Most upstream requests for one request of a client.
const MOST_ATTEMPTS: u64 = 100;

/// Shortest window of a limit, in milliseconds: below it, counting for the whole fleet would be noise.
const SHORTEST_WINDOW_MS: u64 = 100;

/// Longest window of a limit and longest rest, in milliseconds: 31 days, the longest month.
const LONGEST_WINDOW_MS: u64 = 31 * 86_400_000;

/// Most tokens in one window: all numbers up to this one are exact wherever JSON or Lua carries them.
const MOST_TOKENS: u64 = 1 << 53;

/// Largest body the gateway can be told to hold, in bytes: Envoy's buffer limits are 32 bit, and a worker holds
/// one such body for each request under way.
const LARGEST_BODY: u32 = 256 << 20;

/// Checks all of them but `clientLimits`.
pub(super) fn check(config: &Config, problems: &mut Problems) {
    let limits = &config.limits;
    if limits.max_tokens == Some(0) {
        problems.add("limits.maxTokens", "must be at least 1");
    }
    check_rate("limits.rate", Some(&limits.rate), problems);
    check_tokens("limits.tokens", limits.tokens.as_ref(), problems);
    problems.check_time("limits.requestTimeout", limits.request_timeout, 1..=LONGEST_TIMEOUT_MS);
    check_retry(&limits.retry, problems);
    problems.check_number("limits.maxAttempts", limits.max_attempts.into(), 1..=MOST_ATTEMPTS);
    problems.check_time("limits.totalTimeout", limits.total_timeout, 1..=LONGEST_TIMEOUT_MS);
    // Stores count it in seconds of 32 bits.
    let longest_history_ms = u64::from(u32::MAX) * 1_000;
    problems.check_time("limits.historyExpiration", limits.history_expiration, 1_000..=longest_history_ms);
    for (name, bytes) in
        [("maxRequestBytes", limits.max_request_bytes), ("maxResponseBytes", limits.max_response_bytes)]
    {
        if !(1_024..=LARGEST_BODY).contains(&bytes) {
            problems.add(format!("limits.{name}"), format!("must be 1024 to {LARGEST_BODY} bytes"));
        }
    }
    let breaker = &config.breaker;
    problems.check_number("breaker.failures", breaker.failures.into(), 1..=MAX_FAILURES.into());
    problems.check_time("breaker.window", breaker.window, 1..=LONGEST_TIMEOUT_MS);
    problems.check_time("breaker.maxRestore", breaker.max_restore, 1..=LONGEST_WINDOW_MS);
    check_restore("restore", &config.restore, problems);
}

fn check_retry(retry: &RetryConfig, problems: &mut Problems) {
    problems.check_time("limits.retry.interval", retry.interval, 0..=LONGEST_RETRY_WAIT_MS);
    if let Some(longest) = retry.max_interval {
        let path = "limits.retry.maxInterval";
        problems.check_time(path, longest, 0..=LONGEST_RETRY_WAIT_MS);
        if longest < retry.interval {
            problems.add(path, format!("must be at least limits.retry.interval, {}", retry.interval));
        }
    }
}

/// Checks a request rate, where there is one.
pub(super) fn check_rate(path: &str, rate: Option<&RateConfig>, problems: &mut Problems) {
    if let Some(rate) = rate {
        check_window(path, rate.time_window, problems);
    }
}

/// Checks a token budget, where there is one.
pub(super) fn check_tokens(path: &str, tokens: Option<&TokensConfig>, problems: &mut Problems) {
    if let Some(tokens) = tokens {
        problems.check_number(format!("{path}.max"), tokens.max, 0..=MOST_TOKENS);
        check_window(path, tokens.time_window, problems);
    }
}

fn check_window(path: &str, window: TimeWindow, problems: &mut Problems) {
    problems.check_time(format!("{path}.timeWindow"), window, SHORTEST_WINDOW_MS..=LONGEST_WINDOW_MS);
}

/// Checks the rests, of one model or of all.
pub(super) fn check_restore(path: &str, restore: &RestoreConfig, problems: &mut Problems) {
    for (name, rest) in [
        ("rateLimit", restore.rate_limit),
        ("retry", restore.retry),
        ("timeout", restore.timeout),
        ("providerCommunicationError", restore.provider_communication_error),
        ("providerExceededError", restore.provider_exceeded_error),
        ("credential", restore.credential),
    ] {
        if let Some(rest) = rest {
            problems.check_time(format!("{path}.{name}"), rest, 0..=LONGEST_WINDOW_MS);
        }
    }
}

/// `clientLimits`, checked and compiled; `None` where there are none.
pub(super) fn client_limits(
    config: &Config,
    has_auth: bool,
    problems: &mut Problems,
) -> Option<ClientLimits> {
    let limits = config.client_limits.as_ref()?;
    match &limits.header {
        Some(header) => problems.check_token("clientLimits.header", header),
        None if has_auth => {}
        None => {
            problems.add("clientLimits.header", "is missing; it tells consumers apart where there is no auth")
        }
    }
    check_rate("clientLimits.rate", limits.rate.as_ref(), problems);
    check_tokens("clientLimits.tokens", limits.tokens.as_ref(), problems);
    if limits.rate.is_none() && limits.tokens.is_none() {
        problems.add("clientLimits", "limits nothing; set rate, tokens, or both");
    }
    Some(ClientLimits {
        header: limits.header.as_deref().map(str::to_ascii_lowercase),
        rate: limits.rate.as_ref().map(rate),
        tokens: limits.tokens.as_ref().map(tokens),
    })
}

/// `routes[].limits`, checked and compiled.
pub(super) fn route(path: &str, limits: &RouteLimitsConfig, problems: &mut Problems) -> RouteLimits {
    if limits.max_tokens == Some(0) {
        problems.add(format!("{path}.maxTokens"), "must be at least 1");
    }
    if let Some(attempts) = limits.max_attempts {
        problems.check_number(format!("{path}.maxAttempts"), attempts.into(), 1..=MOST_ATTEMPTS);
    }
    if let Some(timeout) = limits.total_timeout {
        problems.check_time(format!("{path}.totalTimeout"), timeout, 1..=LONGEST_TIMEOUT_MS);
    }
    check_rate(&format!("{path}.rate"), limits.rate.as_ref(), problems);
    check_tokens(&format!("{path}.tokens"), limits.tokens.as_ref(), problems);
    RouteLimits {
        max_tokens: limits.max_tokens,
        max_attempts: limits.max_attempts,
        total_timeout_ms: limits.total_timeout.map(TimeWindow::millis),
        rate: limits.rate.as_ref().map(rate),
        tokens: limits.tokens.as_ref().map(tokens),
    }
}

/// `limits.retry`.
pub(super) fn retry(config: &RetryConfig) -> Retry {
    let interval_ms = config.interval.millis();
    let longest = config.max_interval.map(TimeWindow::millis);
    Retry {
        max: config.max,
        interval_ms,
        max_interval_ms: longest.unwrap_or(DEFAULT_RETRY_WAIT_MS.max(interval_ms)),
    }
}

/// `breaker`.
pub(super) fn breaker(config: &BreakerConfig) -> Breaker {
    Breaker {
        failures: config.failures,
        window_ms: config.window.millis(),
        max_restore_ms: config.max_restore.millis(),
    }
}

/// A request rate.
pub(super) fn rate(config: &RateConfig) -> Limit {
    Limit { max: config.max.into(), window_ms: config.time_window.millis() }
}

/// A token budget.
pub(super) fn tokens(config: &TokensConfig) -> Limit {
    Limit { max: config.max, window_ms: config.time_window.millis() }
}

/// The rests of a model: its own, else those of all models, else the defaults.
pub(super) fn restore(own: &RestoreConfig, general: &RestoreConfig) -> Restore {
    let rest = |own: Option<TimeWindow>, general: Option<TimeWindow>, default_secs| {
        own.or(general).unwrap_or(TimeWindow::from_secs(default_secs)).millis()
    };
    Restore {
        rate_limit_ms: rest(own.rate_limit, general.rate_limit, 60),
        retry_ms: rest(own.retry, general.retry, 60),
        timeout_ms: rest(own.timeout, general.timeout, 60),
        communication_ms: rest(own.provider_communication_error, general.provider_communication_error, 60),
        exceeded_ms: rest(own.provider_exceeded_error, general.provider_exceeded_error, 600),
        credential_ms: rest(own.credential, general.credential, 60),
    }
}
