//! What went wrong, as programs are told: a code to decide by, and a sentence.

use std::borrow::Cow;

use serde::Deserialize;

/// The response or the next piece of it did not come in time.
pub const TIMEOUT: &str = "TIMEOUT";
/// The program's own `AbortSignal`.
pub const ABORTED: &str = "ABORTED";
/// The gateway could not be reached, or the connection broke and could not be come back to.
pub const CONNECTION_LOST: &str = "CONNECTION_LOST";
/// What came is not what the gateway answers.
pub const INVALID_RESPONSE: &str = "INVALID_RESPONSE";
/// The client was built or asked with something it cannot use.
pub const INVALID_OPTIONS: &str = "INVALID_OPTIONS";
/// An error response that names no code, as of a proxy in between.
pub const HTTP_ERROR: &str = "HTTP_ERROR";

/// An error as a program sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientError {
    /// The gateway's code, or one of this module.
    pub code: Cow<'static, str>,
    /// A sentence; for a refused request `HTTP STATUS: BODY`.
    pub message: String,
    /// Status of the response, where one is to blame.
    pub status: Option<u16>,
    /// Seconds after which the gateway would have it tried again.
    pub retry_after: Option<u32>,
    /// Id of the last event that came of a stream that can be come back to.
    pub last_event_id: Option<String>,
    /// The session of that stream.
    pub session_id: Option<String>,
}

/// What the gateway says of an error, in a body or an event. Older servers say `error` for `message`.
#[derive(Deserialize)]
struct Told {
    code: Option<String>,
    message: Option<String>,
    error: Option<String>,
}

impl ClientError {
    /// An error of the client's own.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            status: None,
            retry_after: None,
            last_event_id: None,
            session_id: None,
        }
    }

    /// A response that is an error. `retry_after` is the header's value; a date is not understood.
    pub fn of_response(status: u16, retry_after: Option<&str>, body: &str) -> Self {
        let code = serde_json::from_str::<Told>(body).ok().and_then(|told| told.code);
        Self {
            code: code.map_or(HTTP_ERROR.into(), Cow::Owned),
            status: Some(status),
            retry_after: retry_after.and_then(|seconds| seconds.trim().parse().ok()),
            ..Self::new(HTTP_ERROR, format!("HTTP {status}: {body}"))
        }
    }

    /// An error event of a stream; `None` if its data is no error.
    pub fn of_event(data: &[u8]) -> Option<Self> {
        let told: Told = serde_json::from_slice(data).ok()?;
        let message = told.message.or(told.error).unwrap_or_else(|| "Unknown error".to_owned());
        Some(Self { code: told.code.map_or(HTTP_ERROR.into(), Cow::Owned), ..Self::new(HTTP_ERROR, message) })
    }

    /// The `name` of the JavaScript error: what the platform calls it, where it has a word.
    pub fn name(&self) -> &'static str {
        match &*self.code {
            ABORTED => "AbortError",
            TIMEOUT => "TimeoutError",
            _ => "AiWarpError",
        }
    }

    /// Whether the same request may do better in a moment. Told by status: the codes behind these are many.
    pub fn is_passing(&self) -> bool {
        matches!(self.status, Some(429 | 502 | 503 | 504))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_tells_the_gateways_code_and_all_of_its_body() {
        let body = r#"{"code":"PROVIDER_RATE_LIMIT_ERROR","message":"all rest"}"#;
        let error = ClientError::of_response(429, Some(" 7 "), body);
        assert_eq!((&*error.code, error.status), ("PROVIDER_RATE_LIMIT_ERROR", Some(429)));
        assert_eq!((error.retry_after, error.message), (Some(7), format!("HTTP 429: {body}")));
        for body in ["no healthy upstream", "", "[]", "{}", r#"{"code":7}"#, r#"{"error":{"code":"x"}}"#] {
            let error = ClientError::of_response(503, Some("Wed, 21 Oct 2026 07:28:00 GMT"), body);
            assert_eq!((&*error.code, error.retry_after), (HTTP_ERROR, None), "{body}");
            assert_eq!(error.message, format!("HTTP 503: {body}"));
        }
    }

    #[test]
    fn an_event_tells_code_and_message() {
        let error = ClientError::of_event(br#"{"code":"STREAM_INTERRUPTED","message":"gone"}"#).unwrap();
        assert_eq!((&*error.code, &*error.message, error.status), ("STREAM_INTERRUPTED", "gone", None));
        assert_eq!(ClientError::of_event(br#"{"error":"gone"}"#).unwrap().message, "gone");
        assert_eq!(ClientError::of_event(b"{}").unwrap().message, "Unknown error");
        assert_eq!(ClientError::of_event(b"gone"), None);
    }

    #[test]
    fn names_are_the_platforms_where_it_has_one() {
        let name = |code| ClientError::new(code, "").name();
        assert_eq!(
            [name(ABORTED), name(TIMEOUT), name(HTTP_ERROR)],
            ["AbortError", "TimeoutError", "AiWarpError"]
        );
    }
}
