//! Error bodies of providers, read leniently, and what they mean.
//!
//! No two providers agree on a shape: an `error` object, an `error` string, an array around either, `message`
//! alone, `detail` lists, HTML of a CDN. The status alone does not tell a throttle from an empty account. Codes are
//! looked at first, then the status, then well-known words of the message.

use serde_json::Value;

use crate::failure::{Failure, FailureKind, parse_wait};

/// What could be found in an error body.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ErrorBody {
    /// For people; empty where there is none.
    message: String,
    /// `code`, `type`, `status` and `reason` words, in lower case.
    codes: Vec<String>,
    /// An HTTP status given in the body.
    status: Option<u16>,
    /// A stated wait (Gemini's `RetryInfo`).
    retry_after_ms: Option<u64>,
}

/// Longest message passed on, in bytes.
const MAX_MESSAGE: usize = 2_000;

/// Codes of a 400 that another model need not give.
const MODEL_SPECIFIC: [&str; 4] = [
    "unsupported_parameter",
    "unsupported_value",
    "unsupported_country_region_territory",
    "failed_precondition",
];

/// Reads `body`, or `None` where it is no error in any known shape.
pub(super) fn read(body: &[u8]) -> Option<ErrorBody> {
    let value: Value = serde_json::from_slice(body).ok()?;
    from_value(&value)
}

/// Reads an error out of a parsed body; `None` where it reports none.
pub(super) fn from_value(value: &Value) -> Option<ErrorBody> {
    let value = value.as_array().and_then(|list| list.first()).unwrap_or(value);
    let mut found = ErrorBody::default();
    match value.get("error") {
        Some(Value::Object(error)) => {
            found.message = text(error.get("message"));
            for key in ["code", "type", "status"] {
                found.add_code(error.get(key));
            }
            found.read_details(error.get("details"));
        }
        Some(Value::String(message)) => {
            found.message.clone_from(message);
            found.add_code(value.get("code"));
        }
        Some(Value::Null | Value::Bool(false)) | None => {
            found.message = text(value.get("message"));
            found.add_code(value.get("code"));
            found.add_code(value.get("type"));
            if found.message.is_empty() {
                let detail = value.get("detail")?;
                found.message = match detail.as_array().and_then(|list| list.first()) {
                    Some(first) => text(first.get("msg")),
                    None => text(Some(detail)),
                };
            }
        }
        Some(other) => found.message = other.to_string(),
    }
    shorten(&mut found.message);
    Some(found)
}

fn text(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn shorten(message: &mut String) {
    if message.len() > MAX_MESSAGE {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE));
        message.push('…');
    }
}

impl ErrorBody {
    fn add_code(&mut self, value: Option<&Value>) {
        match value {
            Some(Value::String(code)) => self.codes.push(code.to_ascii_lowercase()),
            Some(Value::Number(number)) => {
                let status = number.as_u64().and_then(|n| u16::try_from(n).ok());
                self.status = status.filter(|status| (400..600).contains(status)).or(self.status);
            }
            _ => {}
        }
    }

    /// `google.rpc` details: `ErrorInfo.reason`, `RetryInfo.retryDelay`, `QuotaFailure`.
    fn read_details(&mut self, details: Option<&Value>) {
        for detail in details.and_then(Value::as_array).into_iter().flatten() {
            self.add_code(detail.get("reason"));
            if let Some(delay) = detail.get("retryDelay").and_then(Value::as_str) {
                self.retry_after_ms = parse_wait(delay.as_bytes());
            }
            for violation in detail.get("violations").and_then(Value::as_array).into_iter().flatten() {
                if text(violation.get("quotaId")).contains("PerDay") {
                    self.codes.push("quota_per_day".to_owned());
                }
            }
        }
    }

    fn has(&self, codes: &[&str]) -> bool {
        self.codes.iter().any(|code| codes.contains(&code.as_str()))
    }

    fn says(&self, words: &[&str]) -> bool {
        let message = self.message.to_ascii_lowercase();
        words.iter().any(|word| message.contains(word))
    }

    /// The failure that an answer of `status` with this body stands for.
    pub(super) fn classify(self, status: u16) -> Failure {
        let kind = self.kind(status);
        let message = match kind {
            FailureKind::Rejected if !self.message.is_empty() => self.message,
            FailureKind::Rejected => format!("the provider refused the prompt with status {status}"),
            FailureKind::Credential => format!("refused the gateway's credential (status {status})"),
            FailureKind::QuotaExceeded => format!("has no quota left (status {status})"),
            FailureKind::RateLimited => format!("is rate limited (status {status})"),
            FailureKind::Unsupported => format!("does not take the request (status {status})"),
            FailureKind::ModelMissing => format!("does not exist at the provider (status {status})"),
            _ => format!("answered with status {status}"),
        };
        Failure { kind, message, retry_after_ms: self.retry_after_ms }
    }

    /// The failure of an error event or an error body under status 200.
    pub(super) fn classify_in_stream(self) -> Failure {
        let status = self.status.unwrap_or_else(|| {
            // A second word may say that the request was bad: DeepSeek gives every error that code.
            if self.has(&["rate_limit_exceeded", "rate_limit_error", "resource_exhausted"]) {
                429
            } else if self.has(&[
                "overloaded_error",
                "service_unavailable_error",
                "unavailable",
                "server_is_overloaded",
            ]) {
                503
            } else if self.has(&["server_error", "api_error", "internal_error", "internal"]) {
                500
            } else if self.has(&["invalid_request_error", "invalid_argument"]) {
                400
            } else {
                500
            }
        });
        self.classify(status)
    }

    fn kind(&self, status: u16) -> FailureKind {
        if self.has(&["insufficient_quota", "credit_balance_exhausted", "billing_error", "quota_per_day"]) {
            return FailureKind::QuotaExceeded;
        }
        if self.has(&["invalid_api_key", "api_key_invalid", "authentication_error"])
            || (status == 400 && self.says(&["incorrect api key", "api key not valid"]))
        {
            return FailureKind::Credential;
        }
        if self.has(&["model_not_found", "deploymentnotfound", "model_not_available"])
            || (status == 400 && self.says(&["model not exist", "invalid model"]))
        {
            return FailureKind::ModelMissing;
        }
        match status {
            401 | 403 => FailureKind::Credential,
            402 => FailureKind::QuotaExceeded,
            404 => FailureKind::ModelMissing,
            429 | 498 => FailureKind::RateLimited,
            408 | 424 | 500..=599 => FailureKind::ServerError,
            // About the model or the account rather than the prompt: another model may do.
            400 if self.has(&MODEL_SPECIFIC) => FailureKind::Unsupported,
            400 | 413 | 422 => FailureKind::Rejected,
            400..=499 => FailureKind::Unsupported,
            _ => FailureKind::Malformed,
        }
    }
}
