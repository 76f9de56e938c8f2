//! Azure OpenAI: deployments in the path, versions in the query, content filters in every answer.

use serde_json::{Value, json};

use super::complaint::{Complaint, Problem};
use super::dialect::{Dialect, Fields, Habits, Rules};
use super::failure::Failure;
use super::fields::{COMMON, LOGPROBS, NEWER};
use super::{Chat, openai};
use crate::wire::shape::Kind;
use crate::wire::{Misuse, Refusal, Request};

pub(super) const DIALECT: Dialect = Dialect {
    rules: Rules {
        fields: &[COMMON, NEWER, LOGPROBS, FIELDS],
        stream_fields: &[("include_usage", Kind::Bool)],
        further,
        ..openai::RULES
    },
    habits: Habits { pads: false, filters: true, service_tier: None, ..openai::HABITS },
    fail,
};

const FIELDS: Fields = &[
    ("audio", Kind::Object),
    ("data_sources", Kind::List),
    ("function_call", Kind::TextOrObject),
    ("functions", Kind::List),
    ("metadata", Kind::Object),
    ("modalities", Kind::List),
    ("prediction", Kind::Object),
    ("store", Kind::Bool),
];
/// Younger fields, and the version from which on they are known.
const SINCE: &[(&str, &str)] = &[("stream_options", "2024-09-01"), ("max_completion_tokens", "2024-09-01")];

/// The version of a request for a deployment; `None` where there is none to give.
fn version<'a>(request: &Request<'a>) -> Option<&'a str> {
    let pairs = request.query.unwrap_or_default().split('&');
    pairs.filter_map(|pair| pair.strip_prefix("api-version=")).find(|version| !version.is_empty())
}

/// Addresses of deployments exist in versions only.
pub(super) fn check_version(request: &Request<'_>) -> Result<(), Complaint> {
    if request.path_model.is_some() && version(request).is_none() {
        return Err(Complaint::new("", Problem::NoVersion));
    }
    Ok(())
}

fn further(chat: &Chat<'_>) -> Result<(), Complaint> {
    check_version(chat.request)?;
    for (name, since) in SINCE {
        let is_too_old = version(chat.request).is_some_and(|version| version < *since);
        if is_too_old && chat.request.path_model.is_some() && chat.given(name).is_some() {
            return Err(Complaint::new(*name, Problem::Unknown));
        }
    }
    openai::check_reasoning_model(chat)
}

fn fail(failure: &Failure<'_>) -> Refusal {
    let (status, code, message) = match failure {
        Failure::Misuse(Misuse::Credential(_)) | Failure::Status { status: 401, .. } => (
            401,
            "401",
            "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a \
             valid key for an active subscription and use a correct regional API endpoint for your resource.",
        ),
        Failure::Misuse(Misuse::Path { .. }) => (404, "404", "Resource not found"),
        Failure::Complaint(complaint) if complaint.problem == Problem::NoVersion => {
            (404, "404", "Resource not found")
        }
        Failure::UnknownModel(_) | Failure::Status { status: 404, .. } => (
            404,
            "DeploymentNotFound",
            "The API deployment for this resource does not exist. If you created the deployment within the \
             last 5 minutes, please wait a moment and try again.",
        ),
        Failure::Status { status: 429, .. } => (
            429,
            "429",
            "Requests to the ChatCompletions_Create Operation have exceeded the call rate limit of your \
             current pricing tier. Please retry after 7 seconds.",
        ),
        _ => return failure.told().refusal(),
    };
    let error: Value = json!({ "code": code, "message": message });
    Refusal::new(status, json!({ "error": error }))
}
