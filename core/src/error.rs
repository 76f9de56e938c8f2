//! The typed errors that clients see.

use serde::{Deserialize, Serialize};

/// The stable code of an error. The names are those of the AI Warp API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorCode {
    /// The request is not valid.
    OptionError,
    /// The request lacks a valid credential.
    Unauthorized,
    /// Whoever asks may not ask this.
    Forbidden,
    /// The credential cannot be checked now.
    AuthUnavailable,
    /// A rate limit, ours or the provider's, is reached.
    ProviderRateLimitError,
    /// The provider says that its quota or credit is used up.
    ProviderExceededQuotaError,
    /// No model can be tried.
    ProviderNoModelsAvailableError,
    /// The provider did not answer in time.
    ProviderRequestTimeoutError,
    /// A stream paused for too long.
    ProviderRequestStreamTimeoutError,
    /// The provider failed, or its answer makes no sense.
    ProviderResponseError,
    /// The provider answered without content.
    ProviderResponseNoContent,
    /// The token limit was used up before the first word.
    ProviderResponseMaxTokensError,
    /// The provider refused the prompt itself.
    ProviderBadRequestError,
    /// The session's history could not be read.
    HistoryGetError,
    /// The state that gateways share cannot be reached. Only gateways are told.
    SharedStateUnavailable,
    /// The stream that a client comes back for is no longer there, or not its own.
    StreamExpired,
    /// A stream ended before its answer was complete, and not because of the model.
    StreamInterrupted,
    /// The connection to a stream is lost, and not the stream: it can be resumed.
    StreamDetached,
    /// The consumer has as many streams under way as it may.
    TooManyStreams,
    /// The request body is larger than `limits.maxRequestBytes`.
    RequestTooLarge,
    /// The request names a model that is not configured, where its format has an error of its own for that.
    ModelNotFound,
    /// There is nothing at this path.
    NotFound,
    /// The path does not know this method.
    MethodNotAllowed,
}

impl ErrorCode {
    /// The word of metrics and logs: the code in lower case.
    pub const fn word(self) -> &'static str {
        match self {
            Self::OptionError => "option_error",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::AuthUnavailable => "auth_unavailable",
            Self::ProviderRateLimitError => "provider_rate_limit_error",
            Self::ProviderExceededQuotaError => "provider_exceeded_quota_error",
            Self::ProviderNoModelsAvailableError => "provider_no_models_available_error",
            Self::ProviderRequestTimeoutError => "provider_request_timeout_error",
            Self::ProviderRequestStreamTimeoutError => "provider_request_stream_timeout_error",
            Self::ProviderResponseError => "provider_response_error",
            Self::ProviderResponseNoContent => "provider_response_no_content",
            Self::ProviderResponseMaxTokensError => "provider_response_max_tokens_error",
            Self::ProviderBadRequestError => "provider_bad_request_error",
            Self::HistoryGetError => "history_get_error",
            Self::SharedStateUnavailable => "shared_state_unavailable",
            Self::StreamExpired => "stream_expired",
            Self::StreamInterrupted => "stream_interrupted",
            Self::StreamDetached => "stream_detached",
            Self::TooManyStreams => "too_many_streams",
            Self::RequestTooLarge => "request_too_large",
            Self::ModelNotFound => "model_not_found",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
        }
    }

    /// The HTTP status that goes with the code.
    pub const fn status(self) -> u16 {
        match self {
            Self::OptionError | Self::ProviderBadRequestError => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::ModelNotFound | Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::StreamExpired => 410,
            Self::RequestTooLarge => 413,
            Self::ProviderRateLimitError | Self::ProviderExceededQuotaError | Self::TooManyStreams => 429,
            Self::ProviderResponseError
            | Self::ProviderResponseNoContent
            | Self::ProviderResponseMaxTokensError
            | Self::StreamInterrupted
            | Self::StreamDetached => 502,
            Self::ProviderNoModelsAvailableError
            | Self::HistoryGetError
            | Self::SharedStateUnavailable
            | Self::AuthUnavailable => 503,
            Self::ProviderRequestTimeoutError | Self::ProviderRequestStreamTimeoutError => 504,
        }
    }
}

/// An error as the client gets it: `{"code", "message"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code:?}: {message}")]
pub struct GatewayError {
    /// The stable code.
    pub code: ErrorCode,
    /// One sentence for people. Holds no secret and nothing internal.
    pub message: String,
    /// The field of the request that is to blame, where that is known. Only some formats tell it.
    #[serde(skip)]
    pub param: Option<String>,
    /// Seconds after which a new try makes sense: the `retry-after` header.
    #[serde(skip)]
    pub retry_after_secs: Option<u32>,
}

impl GatewayError {
    /// An error without `retry-after`.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), param: None, retry_after_secs: None }
    }

    /// The JSON body.
    pub fn body(&self) -> Vec<u8> {
        // Serialising an enum and a string into a vector has no way to fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_of_a_code_is_the_code_in_lower_case() {
        for code in
            [ErrorCode::OptionError, ErrorCode::ProviderRequestStreamTimeoutError, ErrorCode::ModelNotFound]
        {
            let written = serde_json::to_value(code).unwrap();
            assert_eq!(written.as_str().map(str::to_ascii_lowercase).as_deref(), Some(code.word()));
        }
    }

    #[test]
    fn is_code_and_message_on_the_wire() {
        let error = GatewayError {
            retry_after_secs: Some(3),
            ..GatewayError::new(ErrorCode::ProviderNoModelsAvailableError, "no \"model\"")
        };
        assert_eq!(
            String::from_utf8(error.body()).unwrap(),
            r#"{"code":"PROVIDER_NO_MODELS_AVAILABLE_ERROR","message":"no \"model\""}"#
        );
    }
}
