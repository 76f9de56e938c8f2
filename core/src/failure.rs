//! How one attempt failed, and what follows from it.

use crate::error::{ErrorCode, GatewayError};

/// The kinds of failure that lead to different decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The provider refused the prompt itself; any other model would too. The client is told.
    Rejected,
    /// The provider refused the request for a reason that need not hold for another model.
    Unsupported,
    /// The key is missing, wrong, or not allowed to do this.
    Credential,
    /// The provider does not have this model.
    ModelMissing,
    /// Too many requests just now.
    RateLimited,
    /// The quota or credit is used up.
    QuotaExceeded,
    /// The provider failed and said so: 5xx, or an error event that stands for one.
    ServerError,
    /// No connection, or it broke before anything was answered.
    Unreachable,
    /// The connection broke, or the stream ended, in the middle of an answer.
    Cut,
    /// No answer, or no first content, within the request timeout.
    Timeout,
    /// A stream paused for longer than the request timeout.
    Stalled,
    /// An answer that cannot be read.
    Malformed,
    /// An answer larger than the gateway holds.
    TooLarge,
    /// A success without content.
    Empty,
    /// The token limit was used up before the first word.
    MaxTokens,
}

/// One failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What decides.
    pub kind: FailureKind,
    /// What happened, in one clause; for [`FailureKind::Rejected`] the provider's own words.
    pub message: String,
    /// The provider's stated wait, in seconds.
    pub retry_after_secs: Option<u32>,
}

impl Failure {
    /// A failure without a stated wait.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retry_after_secs: None }
    }

    /// Whether the same model may well succeed a moment later.
    pub const fn retries_same_model(&self) -> bool {
        matches!(self.kind, FailureKind::ServerError | FailureKind::Cut)
    }

    /// Whether the failure is the client's to mend, so that no other model is tried.
    pub const fn is_final(&self) -> bool {
        matches!(self.kind, FailureKind::Rejected)
    }

    /// What the client is told where nothing else can be tried. `model` is `provider:name`.
    pub fn into_error(self, model: &str) -> GatewayError {
        let code = match self.kind {
            FailureKind::Rejected => {
                return GatewayError::new(ErrorCode::ProviderBadRequestError, self.message);
            }
            FailureKind::RateLimited => ErrorCode::ProviderRateLimitError,
            FailureKind::QuotaExceeded => ErrorCode::ProviderExceededQuotaError,
            FailureKind::Timeout => ErrorCode::ProviderRequestTimeoutError,
            FailureKind::Stalled => ErrorCode::ProviderRequestStreamTimeoutError,
            FailureKind::Empty => ErrorCode::ProviderResponseNoContent,
            FailureKind::MaxTokens => ErrorCode::ProviderResponseMaxTokensError,
            FailureKind::Unsupported
            | FailureKind::Credential
            | FailureKind::ModelMissing
            | FailureKind::ServerError
            | FailureKind::Unreachable
            | FailureKind::Cut
            | FailureKind::Malformed
            | FailureKind::TooLarge => ErrorCode::ProviderResponseError,
        };
        GatewayError {
            code,
            message: format!("{model} {}", self.message),
            retry_after_secs: self.retry_after_secs,
        }
    }
}

/// The seconds a `retry-after` header asks for; dates and nonsense count as none.
pub fn parse_retry_after(value: &[u8]) -> Option<u32> {
    let seconds: f64 = std::str::from_utf8(value).ok()?.trim().parse().ok()?;
    // Rounded up, and never 0: a client told to wait 0 s comes straight back.
    (seconds.is_finite() && (0.0..=f64::from(u32::MAX)).contains(&seconds))
        .then(|| (seconds.ceil() as u32).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_retry_after() {
        for (value, expected) in [
            ("7", Some(7)),
            (" 0.2 ", Some(1)),
            ("0", Some(1)),
            ("38.922", Some(39)),
            ("-1", None),
            ("soon", None),
            ("NaN", None),
            ("inf", None),
            ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ] {
            assert_eq!(parse_retry_after(value.as_bytes()), expected, "{value}");
        }
    }

    #[test]
    fn only_a_rejection_passes_on_the_providers_words_alone() {
        let rejected = Failure::new(FailureKind::Rejected, "too long").into_error("openai:m");
        assert_eq!(
            (rejected.code, rejected.message.as_str()),
            (ErrorCode::ProviderBadRequestError, "too long")
        );
        let down = Failure::new(FailureKind::ServerError, "answered 503").into_error("openai:m");
        assert_eq!(
            (down.code, down.message.as_str()),
            (ErrorCode::ProviderResponseError, "openai:m answered 503")
        );
    }
}
