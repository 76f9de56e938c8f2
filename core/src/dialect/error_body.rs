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
    /// The field of the request that is to blame.
    param: Option<String>,
}

/// Longest message passed on, in bytes.
const MAX_MESSAGE: usize = 2_000;

/// Codes of a 400 that another model need not give.
const MODEL_SPECIFIC: [&str; 5] = [
    "unsupported_parameter",
    "unsupported_value",
    "unsupported_country_region_territory",
    "failed_precondition",
    "extra_forbidden",
];

/// The same in words, by those who have no code for it.
const MODEL_SPECIFIC_WORDS: [&str; 12] = [
    "does not support parameter",
    "model doesn't support",
    "model does not support",
    "unrecognized request argument",
    "is deprecated for this model",
    "not supported with this model",
    "not supported for this model",
    "not supported by this model",
    "is unsupported",
    "extra inputs are not permitted",
    "unknown field",
    "must have stream=true",
];

/// Codes of a prompt that no model is to see, whatever the status.
const BLOCKED: [&str; 3] = ["content_filter", "content_policy_violation", "responsibleaipolicyviolation"];

/// Codes of a call or an object that the model wrote wrongly. It may well write the next one right.
const MISWRITTEN: [&str; 2] = ["tool_use_failed", "json_validate_failed"];

/// Words of an account without money, by those who have no code for it.
const NO_MONEY_WORDS: [&str; 3] =
    ["doesn't have any credits", "used all available credits", "spending limit"];

const NO_MONEY_WORDS_OF_400: [&str; 2] = ["credit balance is too low", "specified api usage limits"];

/// Words of a prompt that is too long, by those who answer it with a status that means something else.
const TOO_LONG_WORDS: [&str; 3] = ["context length", "max_new_tokens", "context_length_exceeded"];

/// Words of a 400 that the model is not there.
const MISSING_MODEL_WORDS: [&str; 5] = [
    "model not exist",
    "invalid model",
    "model identifier is invalid",
    "on-demand throughput isn",
    "no endpoints found",
];

/// The status that the code of an error under status 200 stands for. Of several codes the first row counts: DeepSeek
/// calls every error a bad request as well.
const STATUS_OF_CODES: [(u16, &[&str]); 11] = [
    (429, &["rate_limit_exceeded", "rate_limit_error", "resource_exhausted", "throttlingexception"]),
    (
        503,
        &[
            "overloaded_error",
            "service_unavailable_error",
            "unavailable",
            "server_is_overloaded",
            "provider_overloaded",
            "provider_unavailable",
            "serviceunavailableexception",
            "modelnotreadyexception",
        ],
    ),
    (500, &["server_error", "api_error", "internal_error", "internal", "internalserverexception"]),
    (504, &["timeout_error", "modeltimeoutexception"]),
    (424, &["modelstreamerrorexception", "modelerrorexception"]),
    (401, &["authentication_error"]),
    (402, &["billing_error"]),
    (403, &["permission_error", "accessdeniedexception"]),
    (404, &["not_found_error", "resourcenotfoundexception"]),
    (413, &["request_too_large"]),
    (400, &["invalid_request_error", "invalid_argument", "validationexception"]),
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
            found.add_code(error.get("innererror").and_then(|inner| inner.get("code")));
            found.read_metadata(error.get("metadata"));
            found.param = error.get("param").and_then(Value::as_str).map(str::to_owned);
        }
        Some(Value::String(message)) => {
            found.message.clone_from(message);
            found.add_code(value.get("code"));
        }
        Some(Value::Null | Value::Bool(false)) | None => {
            // AWS writes `message` as it likes.
            found.message = text(value.get("message").or_else(|| value.get("Message")));
            for key in ["code", "type", "__type", "originalStatusCode", "raw_status_code", "statusCode"] {
                found.add_code(value.get(key));
            }
            found.param = value.get("param").and_then(Value::as_str).map(str::to_owned);
            if found.message.is_empty() {
                // Mistral has such a list inside of its message.
                let detail = value.get("detail").or_else(|| value.get("message")?.get("detail"))?;
                found.read_detail(detail);
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

/// The wait that a message speaks of, in milliseconds: "Please try again in 2m59.56s.", "retry after 12 seconds".
fn wait_in(message: &str) -> Option<u64> {
    let message = message.to_ascii_lowercase();
    let mut after =
        ["try again in ", "retry in ", "retry after "].iter().filter_map(|words| message.split_once(words));
    let mut words = after.next()?.1.split_ascii_whitespace();
    let span = words.next()?.trim_end_matches(['.', ',', ')']);
    let unit = words.next().unwrap_or_default();
    let factor = if unit.starts_with("minute") { 60 } else { 1 };
    Some(parse_wait(span.as_bytes())?.saturating_mul(factor))
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
            Some(Value::String(code)) => {
                self.add_status(code.parse().ok());
                self.add_name(code);
            }
            Some(Value::Number(number)) => {
                self.add_status(number.as_u64().and_then(|n| u16::try_from(n).ok()))
            }
            _ => {}
        }
    }

    /// A name of AWS may stand behind its namespace and before a URL.
    fn add_name(&mut self, name: &str) {
        let name = name.rsplit_once('#').map_or(name, |(_, name)| name);
        let name = name.split(':').next().unwrap_or_default();
        self.codes.push(name.to_ascii_lowercase());
    }

    fn add_status(&mut self, status: Option<u16>) {
        self.status = status.filter(|status| (400..600).contains(status)).or(self.status);
    }

    /// What FastAPI says of a request: a text, or a list of what is wrong and where.
    fn read_detail(&mut self, detail: &Value) {
        let Some(first) = detail.as_array().and_then(|list| list.first()) else {
            self.message = text(Some(detail));
            return;
        };
        self.message = text(first.get("msg"));
        self.add_code(first.get("type"));
        let place = first.get("loc").and_then(Value::as_array).into_iter().flatten();
        let names = place.map(|step| step.as_str().map_or_else(|| step.to_string(), str::to_owned));
        let path: Vec<String> = names.skip_while(|step| step == "body").collect();
        self.param = Some(path.join(".")).filter(|path| !path.is_empty());
    }

    /// What OpenRouter tells of the provider behind it.
    fn read_metadata(&mut self, metadata: Option<&Value>) {
        let Some(metadata) = metadata else { return };
        self.add_code(metadata.get("error_type"));
        if metadata.get("flagged_input").is_some() {
            self.codes.push("content_policy_violation".to_owned());
        }
        // Only its words: what it says of keys and quotas is not about ours.
        if let Some(raw) = metadata.get("raw").and_then(Value::as_str) {
            let behind = serde_json::from_str(raw).ok().and_then(|value| from_value(&value));
            let message = behind.map_or_else(|| raw.to_owned(), |behind| behind.message);
            if !message.is_empty() {
                self.message = message;
            }
        }
    }

    /// `google.rpc` details: `ErrorInfo.reason`, `RetryInfo.retryDelay`, `QuotaFailure`; Anthropic's `error_code`.
    fn read_details(&mut self, details: Option<&Value>) {
        self.add_code(details.and_then(|details| details.get("error_code")));
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

    /// Beside what the body says, `name` is what a header calls the error.
    pub(super) fn named(mut self, name: Option<&str>) -> Self {
        if let Some(name) = name {
            self.add_name(name);
        }
        self
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
        // What is said of a quota that is used up is of the minute, not of the day.
        let says_wait = matches!(kind, FailureKind::RateLimited | FailureKind::ServerError);
        let said_ms = says_wait.then(|| wait_in(&self.message)).flatten();
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
        Failure { kind, message, retry_after_ms: self.retry_after_ms.or(said_ms), param: self.param }
    }

    /// The failure of an error event or an error body under status 200.
    pub(super) fn classify_in_stream(self) -> Failure {
        let stands_for =
            || STATUS_OF_CODES.iter().find(|(_, codes)| self.has(codes)).map(|(status, _)| *status);
        let status = self.status.or_else(stands_for).unwrap_or(500);
        self.classify(status)
    }

    fn kind(&self, status: u16) -> FailureKind {
        let no_money = [
            "insufficient_quota",
            "credit_balance_exhausted",
            "billing_error",
            "payment_required",
            "quota_per_day",
        ];
        let words: &[&str] = if status == 400 { &NO_MONEY_WORDS_OF_400 } else { &NO_MONEY_WORDS };
        if self.has(&no_money) || self.says(words) {
            return FailureKind::QuotaExceeded;
        }
        if self.has(&["invalid_api_key", "api_key_invalid", "authentication_error"])
            || (status == 400 && self.says(&["incorrect api key", "api key not valid"]))
        {
            return FailureKind::Credential;
        }
        if self.has(&["model_not_found", "deploymentnotfound", "model_not_available", "invalid_model"])
            || (status == 400 && self.says(&MISSING_MODEL_WORDS))
            || (status == 403 && self.says(&["access to the model"]))
        {
            return FailureKind::ModelMissing;
        }
        // Bedrock gives these two with the status of the other.
        if self.has(&["servicequotaexceededexception"]) {
            return FailureKind::RateLimited;
        }
        if self.has(&["modelnotreadyexception"]) {
            return FailureKind::ServerError;
        }
        if self.has(&BLOCKED) {
            return FailureKind::Rejected;
        }
        if status == 400 && self.has(&MISWRITTEN) {
            return FailureKind::ServerError;
        }
        // Larger than the account's tokens a minute: it never fits here, however long one waits.
        if matches!(status, 413 | 429) && self.says(&["request too large for"]) {
            return FailureKind::Unsupported;
        }
        if status == 404 && self.says(&["no endpoints found that support"]) {
            return FailureKind::Unsupported;
        }
        if status == 403 && (self.has(&["context_length_exceeded"]) || self.says(&TOO_LONG_WORDS)) {
            return FailureKind::Rejected;
        }
        match status {
            401 | 403 => FailureKind::Credential,
            402 => FailureKind::QuotaExceeded,
            404 => FailureKind::ModelMissing,
            429 | 498 => FailureKind::RateLimited,
            408 | 424 | 500..=599 => FailureKind::ServerError,
            // About the model or the account rather than the prompt: another model may do.
            400 | 422 if self.has(&MODEL_SPECIFIC) || self.says(&MODEL_SPECIFIC_WORDS) => {
                FailureKind::Unsupported
            }
            400 | 413 | 422 => FailureKind::Rejected,
            400..=499 => FailureKind::Unsupported,
            _ => FailureKind::Malformed,
        }
    }
}
