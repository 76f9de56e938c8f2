//! Errors of the family: what happened, and OpenAI's words for it, which most of the others borrow.

use serde_json::{Value, json};

use super::complaint::{Complaint, Problem};
use crate::wire::{Misuse, Refusal};

/// Anything that is answered by an error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Failure<'a> {
    Complaint(&'a Complaint),
    Misuse(&'a Misuse<'a>),
    /// A fault asks for this status.
    Status {
        status: u16,
        model: &'a str,
    },
    UnknownModel(&'a str),
    /// The money is gone.
    Quota,
    /// A stream fails on its way.
    Stream,
}

/// An error in OpenAI's words.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Told {
    pub(super) status: u16,
    pub(super) message: String,
    pub(super) kind: &'static str,
    pub(super) param: Option<String>,
    pub(super) code: Option<&'static str>,
}

const INVALID: &str = "invalid_request_error";
/// Of all complaints only this one names no parameter.
const NO_MODEL: &str = "you must provide a model parameter";

impl Told {
    pub(super) fn new(
        status: u16,
        message: impl Into<String>,
        kind: &'static str,
        code: Option<&'static str>,
    ) -> Told {
        Told { status, message: message.into(), kind, param: None, code }
    }

    /// The error as OpenAI sends it.
    pub(super) fn refusal(self) -> Refusal {
        let Told { status, message, kind, param, code } = self;
        Refusal::new(status, error(&message, kind, param.as_deref(), code))
    }
}

/// The error object that most of the family share.
pub(super) fn error(message: &str, kind: &str, param: Option<&str>, code: Option<&str>) -> Value {
    json!({ "error": { "message": message, "type": kind, "param": param, "code": code } })
}

impl Failure<'_> {
    /// The failure in OpenAI's words.
    pub(super) fn told(&self) -> Told {
        match *self {
            Failure::Complaint(complaint) => complained(complaint),
            Failure::Misuse(misuse) => misused(misuse),
            Failure::Status { status, model } => by_status(status, model),
            Failure::UnknownModel(model) => by_status(404, model),
            Failure::Quota => Told::new(
                429,
                "You exceeded your current quota, please check your plan and billing details.",
                "insufficient_quota",
                Some("insufficient_quota"),
            ),
            Failure::Stream => Told::new(
                500,
                "The server had an error while processing your request. Sorry about that!",
                "server_error",
                None,
            ),
        }
    }
}

fn complained(Complaint { path, problem }: &Complaint) -> Told {
    let (message, code) = match problem {
        Problem::Unknown if path.contains('.') => {
            (format!("Unknown parameter: '{path}'."), Some("unknown_parameter"))
        }
        Problem::Unknown => {
            (format!("Unrecognized request argument supplied: {path}"), Some("unknown_parameter"))
        }
        Problem::Type { expected, found } if path.is_empty() => {
            let message = format!(
                "We could not parse the JSON body of your request: expected {expected}, got {found}."
            );
            (message, None)
        }
        Problem::Type { expected, found } => (
            format!("Invalid type for '{path}': expected {expected}, but got {found} instead."),
            Some("invalid_type"),
        ),
        Problem::Missing if path == "model" => (NO_MODEL.to_owned(), None),
        Problem::Missing => {
            (format!("Missing required parameter: '{path}'."), Some("missing_required_parameter"))
        }
        Problem::Empty => {
            let message = format!("Invalid '{path}': empty array. Expected an array with minimum length 1.");
            (message, Some("empty_array"))
        }
        Problem::Variant { found, known } => {
            let known = known.join("', '");
            let message = format!("Invalid value: '{found}'. Supported values are: '{known}'.");
            (message, Some("invalid_value"))
        }
        Problem::Range { value, min, max } => out_of_range(path, value, *min, *max),
        Problem::TooMany(max) => {
            let message =
                format!("Invalid '{path}': array too long. Expected an array with at most {max} items.");
            (message, Some("array_above_max_length"))
        }
        Problem::Value(reason) => (reason.clone(), Some("invalid_value")),
        Problem::Unsupported(reason) => (reason.clone(), Some("unsupported_parameter")),
        Problem::UnsupportedValue(reason) => (reason.clone(), Some("unsupported_value")),
        Problem::Combination(reason) | Problem::Order(reason) | Problem::CallId(reason) => {
            (reason.clone(), None)
        }
        Problem::TooLarge => return misused(&Misuse::TooLarge),
        Problem::NoVersion => ("Resource not found".to_owned(), None),
    };
    let param = Some(path.clone()).filter(|path| !path.is_empty() && message != NO_MODEL);
    Told { param, ..Told::new(400, message, INVALID, code) }
}

fn out_of_range(name: &str, value: &Value, min: f64, max: f64) -> (String, Option<&'static str>) {
    let (is_above, is_decimal) = (value.as_f64().is_some_and(|number| number > max), value.is_f64());
    let code = match (is_decimal, is_above) {
        (true, true) => "decimal_above_max_value",
        (true, false) => "decimal_below_min_value",
        (false, true) => "integer_above_max_value",
        (false, false) => "integer_below_min_value",
    };
    let kind = if is_decimal { "decimal" } else { "integer" };
    let (side, sign, limit) =
        if is_above { ("above maximum", "<=", max) } else { ("below minimum", ">=", min) };
    let message = format!(
        "Invalid '{name}': {kind} {side} value. Expected a value {sign} {limit}, but got {value} instead."
    );
    (message, Some(code))
}

fn misused(misuse: &Misuse<'_>) -> Told {
    let (status, message, code) = match misuse {
        Misuse::Credential(None) => (
            401,
            "You didn't provide an API key. Use an Authorization header with a Bearer key.".to_owned(),
            None,
        ),
        Misuse::Credential(Some(_)) => {
            (401, "Incorrect API key provided.".to_owned(), Some("invalid_api_key"))
        }
        Misuse::Path { method, path } => (404, format!("Invalid URL ({method} {path})"), None),
        Misuse::Method { method, path } => {
            (405, format!("Not allowed to {method} on {path}."), Some("method_not_supported"))
        }
        Misuse::ContentType(sent) => {
            let message = format!("Invalid Content-Type header ({sent}), expected application/json.");
            (400, message, Some("unsupported_content_type"))
        }
        Misuse::Json(problem) => {
            (400, format!("We could not parse the JSON body of your request: {problem}"), None)
        }
        Misuse::TooLarge => (413, "The request is too large.".to_owned(), Some("request_too_large")),
        Misuse::Fault(problem) => (400, (*problem).to_owned(), Some("simulator_flag")),
    };
    Told::new(status, message, INVALID, code)
}

fn by_status(status: u16, model: &str) -> Told {
    let unknown_model = format!("The model `{model}` does not exist or you do not have access to it.");
    let (message, kind, code) = match status {
        401 => ("Incorrect API key provided.", INVALID, Some("invalid_api_key")),
        403 => (
            "Country, region, or territory not supported",
            "request_forbidden",
            Some("unsupported_country_region_territory"),
        ),
        404 => (unknown_model.as_str(), INVALID, Some("model_not_found")),
        429 => ("Rate limit reached for requests.", "requests", Some("rate_limit_exceeded")),
        503 => ("The server is currently overloaded.", "server_error", Some("server_is_overloaded")),
        529 => ("Overloaded", "overloaded_error", None),
        500..=599 => ("The server had an error while processing your request.", "server_error", None),
        _ => ("The request was rejected.", INVALID, None),
    };
    Told::new(status, message, kind, code)
}
