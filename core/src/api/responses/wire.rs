//! The response object: the whole of a whole answer, and in the first and last events of a stream.

use serde::Serialize;

use super::echo::Echo;
use super::items::{OutputItem, Status};
use super::response_id;
use crate::api::About;
use crate::api::errors::openai_words;
use crate::chat::{Finish, Usage};
use crate::error::{ErrorCode, GatewayError};
use crate::json::ObjectWriter;

/// What tells a response from others.
#[derive(Debug)]
pub(super) struct Head {
    id: String,
    /// Of the exchange; items are named by it.
    pub(super) exchange: String,
    created_secs: u64,
    model: String,
    is_stored: bool,
}

impl Head {
    pub(super) fn new(about: &About<'_>) -> Self {
        Self {
            id: response_id::of(about),
            exchange: about.id.simple().to_string(),
            created_secs: about.created_secs,
            model: about.model.to_owned(),
            is_stored: about.ids.is_some(),
        }
    }
}

/// How far a response is.
#[derive(Debug, Clone, Copy)]
pub(super) enum State<'a> {
    /// It goes on.
    InProgress,
    /// The model has finished.
    Finished(Finish, Option<Usage>),
    /// It failed.
    Failed(&'a GatewayError),
}

/// The status of what a model finished so.
pub(super) const fn status_of(finish: Finish) -> Status {
    match finish {
        Finish::Stop | Finish::ToolCalls | Finish::Other => Status::Completed,
        Finish::Length | Finish::ContentFilter => Status::Incomplete,
    }
}

#[derive(Serialize)]
struct IncompleteDetails {
    reason: &'static str,
}

#[derive(Serialize)]
struct ResponseError<'a> {
    code: &'static str,
    message: &'a str,
}

impl<'a> From<&'a GatewayError> for ResponseError<'a> {
    fn from(error: &'a GatewayError) -> Self {
        // Responses that failed have few codes.
        let code = match error.code {
            ErrorCode::ProviderRateLimitError | ErrorCode::ProviderExceededQuotaError => {
                "rate_limit_exceeded"
            }
            ErrorCode::OptionError | ErrorCode::ProviderBadRequestError => "invalid_prompt",
            _ => "server_error",
        };
        Self { code, message: &error.message }
    }
}

#[derive(Serialize)]
struct WireUsage {
    input_tokens: u64,
    input_tokens_details: InputDetails,
    output_tokens: u64,
    output_tokens_details: OutputDetails,
    total_tokens: u64,
}

#[derive(Serialize)]
struct InputDetails {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

#[derive(Serialize)]
struct OutputDetails {
    reasoning_tokens: u64,
}

impl From<Usage> for WireUsage {
    fn from(usage: Usage) -> Self {
        Self {
            input_tokens: usage.input,
            input_tokens_details: InputDetails {
                cached_tokens: usage.cached,
                cache_write_tokens: usage.cache_write,
            },
            output_tokens: usage.output,
            output_tokens_details: OutputDetails { reasoning_tokens: usage.reasoning },
            total_tokens: usage.input.saturating_add(usage.output),
        }
    }
}

/// Appends the response object.
pub(super) fn write_response(
    head: &Head,
    echo: &Echo,
    state: State<'_>,
    output: &[OutputItem],
    out: &mut Vec<u8>,
) {
    let (status, finish, usage, error) = match state {
        State::InProgress => ("in_progress", None, None, None),
        State::Finished(finish, usage) => {
            let is_complete = status_of(finish) == Status::Completed;
            (if is_complete { "completed" } else { "incomplete" }, Some(finish), usage, None)
        }
        State::Failed(error) => ("failed", None, None, Some(error)),
    };
    let reason = match finish {
        Some(Finish::Length) => Some("max_output_tokens"),
        Some(Finish::ContentFilter) => Some("content_filter"),
        _ => None,
    };
    let mut response = ObjectWriter::new(out);
    response.field("id", &head.id);
    response.field("object", &"response");
    response.field("created_at", &head.created_secs);
    response.field("status", &status);
    response.field("error", &error.map(ResponseError::from));
    response.field("incomplete_details", &reason.map(|reason| IncompleteDetails { reason }));
    response.field("model", &head.model);
    let items: Vec<_> = output.iter().map(OutputItem::wire).collect();
    response.field("output", &items);
    echo.write(&mut response);
    response.field("store", &head.is_stored);
    response.field("usage", &usage.map(WireUsage::from));
    response.end();
}

/// Writes the fields of an error event.
pub(super) fn write_error(error: &GatewayError, event: &mut ObjectWriter<'_>) {
    let (_, code) = openai_words(error.code);
    event.field("code", &code);
    event.field("message", &error.message);
    event.field("param", &error.param);
}
