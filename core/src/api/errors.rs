//! Typed errors in the words of each client format, so that its SDK raises its own exceptions.

use serde::Serialize;

use super::{Format, responses};
use crate::error::{ErrorCode, GatewayError};
use crate::sse;

/// The body of an error response.
pub fn body(format: Format, error: &GatewayError) -> Vec<u8> {
    match format {
        Format::Unified { .. } => error.body(),
        Format::ChatCompletions | Format::Responses | Format::Embeddings => openai_body(error),
        Format::Messages => anthropic_body(error),
    }
}

/// The event that ends a stream, without an id: where nobody is there any more who wrote the events before it, of which
/// there were `before`.
pub fn event(format: Format, error: &GatewayError, before: u32) -> Vec<u8> {
    let mut out = Vec::new();
    match format {
        Format::Unified { .. } => sse::write_named(&mut out, "error", &error.body()),
        Format::ChatCompletions | Format::Embeddings => sse::write_data(&mut out, &openai_body(error)),
        Format::Responses => responses::write_error_event(error, before, &mut out),
        Format::Messages => sse::write_named(&mut out, "error", &anthropic_body(error)),
    }
    out
}

#[derive(Serialize)]
struct OpenAiBody<'a> {
    error: OpenAiError<'a>,
}

#[derive(Serialize)]
struct OpenAiError<'a> {
    message: &'a str,
    r#type: &'static str,
    param: Option<&'a str>,
    code: &'static str,
}

/// `{"error": {"message", "type", "param", "code"}}`.
pub fn openai_body(error: &GatewayError) -> Vec<u8> {
    let (r#type, code) = openai_words(error.code);
    let error = OpenAiError { message: &error.message, r#type, param: error.param.as_deref(), code };
    // Strings and nothing else: there is no way to fail.
    serde_json::to_vec(&OpenAiBody { error }).unwrap_or_default()
}

/// `type` and `code` as OpenAI has them where it has one; the gateway's own where it has not.
pub(super) const fn openai_words(code: ErrorCode) -> (&'static str, &'static str) {
    match code {
        ErrorCode::OptionError => ("invalid_request_error", "invalid_request"),
        ErrorCode::ProviderBadRequestError => ("invalid_request_error", "provider_bad_request"),
        ErrorCode::RequestTooLarge => ("invalid_request_error", "request_too_large"),
        ErrorCode::NotFound => ("invalid_request_error", "not_found"),
        ErrorCode::MethodNotAllowed => ("invalid_request_error", "method_not_supported"),
        ErrorCode::ModelNotFound => ("invalid_request_error", "model_not_found"),
        ErrorCode::Unauthorized => ("invalid_request_error", "invalid_api_key"),
        ErrorCode::Forbidden => ("invalid_request_error", "forbidden"),
        ErrorCode::AuthUnavailable => ("server_error", "auth_unavailable"),
        ErrorCode::ProviderRateLimitError => ("rate_limit_error", "rate_limit_exceeded"),
        ErrorCode::ProviderExceededQuotaError => ("insufficient_quota", "insufficient_quota"),
        ErrorCode::ProviderNoModelsAvailableError => ("server_error", "no_models_available"),
        ErrorCode::ProviderRequestTimeoutError => ("server_error", "provider_timeout"),
        ErrorCode::ProviderRequestStreamTimeoutError => ("server_error", "provider_stream_timeout"),
        ErrorCode::ProviderResponseError => ("server_error", "provider_response_error"),
        ErrorCode::ProviderResponseNoContent => ("server_error", "provider_response_no_content"),
        ErrorCode::ProviderResponseMaxTokensError => ("server_error", "provider_response_max_tokens"),
        ErrorCode::HistoryGetError => ("server_error", "history_get_error"),
        ErrorCode::SharedStateUnavailable => ("server_error", "shared_state_unavailable"),
        ErrorCode::StreamExpired => ("invalid_request_error", "stream_expired"),
        ErrorCode::StreamInterrupted => ("server_error", "stream_interrupted"),
        ErrorCode::StreamDetached => ("server_error", "stream_detached"),
        ErrorCode::TooManyStreams => ("rate_limit_error", "too_many_streams"),
    }
}

#[derive(Serialize)]
struct AnthropicBody<'a> {
    r#type: &'static str,
    error: AnthropicError<'a>,
}

#[derive(Serialize)]
struct AnthropicError<'a> {
    r#type: &'static str,
    message: &'a str,
}

/// `{"type": "error", "error": {"type", "message"}}`.
pub fn anthropic_body(error: &GatewayError) -> Vec<u8> {
    let error = AnthropicError { r#type: anthropic_word(error.code), message: &error.message };
    // Strings and nothing else: there is no way to fail.
    serde_json::to_vec(&AnthropicBody { r#type: "error", error }).unwrap_or_default()
}

/// The type as Anthropic has it: clients choose by it whether to try again.
const fn anthropic_word(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::OptionError | ErrorCode::ProviderBadRequestError | ErrorCode::MethodNotAllowed => {
            "invalid_request_error"
        }
        ErrorCode::RequestTooLarge => "request_too_large",
        ErrorCode::NotFound | ErrorCode::ModelNotFound | ErrorCode::StreamExpired => "not_found_error",
        ErrorCode::Unauthorized => "authentication_error",
        ErrorCode::Forbidden => "permission_error",
        ErrorCode::ProviderRateLimitError | ErrorCode::TooManyStreams => "rate_limit_error",
        ErrorCode::ProviderExceededQuotaError => "billing_error",
        ErrorCode::ProviderNoModelsAvailableError => "overloaded_error",
        ErrorCode::ProviderRequestTimeoutError | ErrorCode::ProviderRequestStreamTimeoutError => {
            "timeout_error"
        }
        ErrorCode::ProviderResponseError
        | ErrorCode::ProviderResponseNoContent
        | ErrorCode::ProviderResponseMaxTokensError
        | ErrorCode::HistoryGetError
        | ErrorCode::AuthUnavailable
        | ErrorCode::StreamInterrupted
        | ErrorCode::StreamDetached
        | ErrorCode::SharedStateUnavailable => "api_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_documented() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/api.md");
        let text = std::fs::read_to_string(path).unwrap();
        for code in [
            ErrorCode::OptionError,
            ErrorCode::ProviderBadRequestError,
            ErrorCode::RequestTooLarge,
            ErrorCode::NotFound,
            ErrorCode::MethodNotAllowed,
            ErrorCode::ModelNotFound,
            ErrorCode::Unauthorized,
            ErrorCode::Forbidden,
            ErrorCode::AuthUnavailable,
            ErrorCode::ProviderRateLimitError,
            ErrorCode::ProviderExceededQuotaError,
            ErrorCode::ProviderNoModelsAvailableError,
            ErrorCode::ProviderRequestTimeoutError,
            ErrorCode::ProviderRequestStreamTimeoutError,
            ErrorCode::ProviderResponseError,
            ErrorCode::ProviderResponseNoContent,
            ErrorCode::ProviderResponseMaxTokensError,
            ErrorCode::HistoryGetError,
            ErrorCode::StreamExpired,
            ErrorCode::StreamInterrupted,
            ErrorCode::StreamDetached,
            ErrorCode::TooManyStreams,
        ] {
            let (_, word) = openai_words(code);
            assert!(text.contains(&format!("`{word}`")), "docs/api.md does not name {word}");
        }
    }
}
