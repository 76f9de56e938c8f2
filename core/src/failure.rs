//! How one attempt failed, and what follows from it.

mod stated_wait;

use crate::chat::MAX_CALLS;
use crate::error::{ErrorCode, GatewayError};
use crate::health::{Fault, Reason};

pub use stated_wait::{parse_wait, stated_wait_ms};

/// The kinds of failure that lead to different decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The provider refused the prompt itself; any other model would too. The client is told.
    Rejected,
    /// The provider refused the request for a reason that need not hold for another model.
    Unsupported,
    /// The request asks for something that the model does not offer; it was not asked at all.
    NotOffered,
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

impl FailureKind {
    /// The word of metrics and logs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Unsupported => "unsupported",
            Self::NotOffered => "not_offered",
            Self::Credential => "credential",
            Self::ModelMissing => "model_missing",
            Self::RateLimited => "rate_limited",
            Self::QuotaExceeded => "quota_exceeded",
            Self::ServerError => "server_error",
            Self::Unreachable => "unreachable",
            Self::Cut => "cut",
            Self::Timeout => "timeout",
            Self::Stalled => "stalled",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Empty => "empty",
            Self::MaxTokens => "max_tokens",
        }
    }
}

/// One failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What decides.
    pub kind: FailureKind,
    /// What happened, in one clause; for [`FailureKind::Rejected`] the provider's own words.
    pub message: String,
    /// The provider's stated wait, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// The field of the request that is to blame, where that is known.
    pub param: Option<String>,
}

impl Failure {
    /// A failure without a stated wait.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retry_after_ms: None, param: None }
    }

    /// The connection broke, or the stream ended, before all was said.
    pub fn cut() -> Self {
        Self::new(FailureKind::Cut, "broke off its answer")
    }

    /// The model turns no texts into vectors.
    pub fn no_embeddings() -> Self {
        Self::new(FailureKind::NotOffered, "offers no embeddings")
    }

    /// An answer calls more tools than the gateway follows.
    pub fn too_many_calls() -> Self {
        Self::new(FailureKind::TooLarge, format!("called more than {MAX_CALLS} tools at once"))
    }

    /// Nothing was answered.
    pub fn unreachable() -> Self {
        Self::new(FailureKind::Unreachable, "could not be reached")
    }

    /// Nothing was answered in time.
    pub fn timeout(timeout_ms: u64) -> Self {
        Self::new(FailureKind::Timeout, format!("did not answer within {timeout_ms} ms"))
    }

    /// Whether the same model may well succeed a moment later.
    pub const fn retries_same_model(&self) -> bool {
        matches!(self.kind, FailureKind::ServerError | FailureKind::Cut)
    }

    /// Whether the failure is the client's to mend, so that no other model is tried.
    pub const fn is_final(&self) -> bool {
        matches!(self.kind, FailureKind::Rejected)
    }

    /// Whether the other endpoints of the model would fail the same way.
    pub const fn is_of_model(&self) -> bool {
        matches!(
            self.kind,
            FailureKind::Unsupported
                | FailureKind::NotOffered
                | FailureKind::Empty
                | FailureKind::MaxTokens
                | FailureKind::TooLarge
        )
    }

    /// How it counts against the model; `None` where it says more about the prompt than about the model.
    pub fn fault(&self) -> Option<Fault> {
        let reason = match self.kind {
            FailureKind::Rejected
            | FailureKind::Unsupported
            | FailureKind::NotOffered
            | FailureKind::TooLarge
            | FailureKind::Empty
            | FailureKind::MaxTokens => return None,
            FailureKind::Credential => Reason::Credential,
            FailureKind::RateLimited => Reason::RateLimit,
            FailureKind::QuotaExceeded => Reason::ProviderExceededError,
            FailureKind::ServerError => Reason::Retry,
            FailureKind::Timeout | FailureKind::Stalled => Reason::Timeout,
            FailureKind::ModelMissing
            | FailureKind::Unreachable
            | FailureKind::Cut
            | FailureKind::Malformed => Reason::ProviderCommunicationError,
        };
        // No wait at all is no statement: a model must not be tried again and again without a rest.
        Some(Fault { reason, stated_rest_ms: self.retry_after_ms.filter(|wait_ms| *wait_ms > 0) })
    }

    /// What the client is told where nothing else can be tried. `model` is `provider:name`.
    pub fn into_error(self, model: &str) -> GatewayError {
        let code = match self.kind {
            FailureKind::Rejected => {
                return GatewayError {
                    param: self.param,
                    ..GatewayError::new(ErrorCode::ProviderBadRequestError, self.message)
                };
            }
            // The client can mend what it is told by name, and need not come back before.
            FailureKind::Unsupported if self.param.is_some() => ErrorCode::ProviderBadRequestError,
            FailureKind::NotOffered => ErrorCode::OptionError,
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
            param: self.param,
            retry_after_secs: self.retry_after_ms.map(whole_secs),
        }
    }
}

/// A wait as `retry-after` has it: rounded up, and never 0, or a client would come straight back.
pub fn whole_secs(wait_ms: u64) -> u32 {
    u32::try_from(wait_ms.div_ceil(1_000)).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_parameter_that_a_model_refuses_is_the_clients_to_mend_where_no_other_model_takes_it() {
        let param = Some("temperature".to_owned());
        let failure =
            Failure { param, ..Failure::new(FailureKind::Unsupported, "does not take the request") };
        let error = failure.into_error("openai:m");
        assert_eq!(
            (error.code, error.param.as_deref()),
            (ErrorCode::ProviderBadRequestError, Some("temperature"))
        );
        let error =
            Failure::new(FailureKind::Unsupported, "does not take the request").into_error("openai:m");
        assert_eq!(error.code, ErrorCode::ProviderResponseError);
    }
}
