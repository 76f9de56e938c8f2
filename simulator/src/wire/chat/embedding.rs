//! Embeddings of the family: one endpoint, nearly the same everywhere.

use serde_json::{Map, Value, json};

use super::complaint::{Complaint, Problem};
use super::dialect::{Fields, Rules};
use super::rules::{check_object, check_ranges};
use crate::embedding::{DIMENSIONS_DEFAULT, DIMENSIONS_MAX, EmbeddingRequest, base64_floats};
use crate::provider::Provider;
use crate::wire::Request;
use crate::wire::shape::Kind;

const FIELDS: Fields = &[
    ("input", Kind::TextOrList),
    ("model", Kind::Text),
    ("dimensions", Kind::Integer),
    ("encoding_format", Kind::Text),
    ("user", Kind::Text),
];
const MISTRAL_FIELDS: Fields = &[
    ("input", Kind::TextOrList),
    ("model", Kind::Text),
    ("output_dimension", Kind::Integer),
    ("output_dtype", Kind::Text),
    ("encoding_format", Kind::Text),
    ("metadata", Kind::Object),
];
const FORMATS: &[&str] = &["float", "base64"];
const INPUTS_MAX: usize = 2048;

/// Checks a request.
pub(super) fn read(
    provider: Provider,
    rules: &Rules,
    request: &Request<'_>,
) -> Result<EmbeddingRequest, Complaint> {
    let Value::Object(body) = request.body else {
        return Err(Complaint::kind("", "an object", request.body));
    };
    let (fields, length) = match provider {
        Provider::Mistral => (MISTRAL_FIELDS, "output_dimension"),
        _ => (FIELDS, "dimensions"),
    };
    check_object(rules, body, fields, "")?;
    let given = |name: &str| body.get(name).filter(|value| !value.is_null());
    let model = request.path_model.or_else(|| given("model")?.as_str()).filter(|model| !model.is_empty());
    let model = model.ok_or_else(|| Complaint::missing("model"))?;
    let format = given("encoding_format").and_then(Value::as_str).unwrap_or("float");
    if !FORMATS.contains(&format) {
        let problem = Problem::Variant { found: format.to_owned(), known: FORMATS };
        return Err(Complaint::new("encoding_format", problem));
    }
    let longest = u16::try_from(DIMENSIONS_MAX).map_or(f64::MAX, f64::from);
    check_ranges(&[(length, 1.0, longest)], body)?;
    let dimensions = given(length).and_then(Value::as_u64).and_then(|count| usize::try_from(count).ok());
    Ok(EmbeddingRequest {
        model: model.to_owned(),
        inputs: inputs(body)?,
        dimensions: dimensions.unwrap_or(DIMENSIONS_DEFAULT),
        base64: format == "base64",
        ..EmbeddingRequest::default()
    })
}

/// The inputs: a text, a list of texts, a list of tokens, or a list of lists of tokens.
fn inputs(body: &Map<String, Value>) -> Result<Vec<String>, Complaint> {
    let wrong = |reason: &str| Complaint::value("input", format!("'$.input' is invalid: {reason}."));
    match body.get("input") {
        None | Some(Value::Null) => Err(Complaint::missing("input")),
        Some(Value::Array(items)) if items.is_empty() => Err(Complaint::new("input", Problem::Empty)),
        Some(Value::Array(items)) if items.iter().all(Value::is_u64) => Ok(vec![tokens(items)]),
        Some(Value::Array(items)) if items.len() > INPUTS_MAX => {
            Err(Complaint::new("input", Problem::TooMany(INPUTS_MAX)))
        }
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| match item {
                Value::String(text) if !text.is_empty() => Ok(text.clone()),
                Value::Array(list) if !list.is_empty() && list.iter().all(Value::is_u64) => Ok(tokens(list)),
                _ => Err(wrong("expected texts, or lists of tokens, none of them empty")),
            })
            .collect(),
        Some(Value::String(text)) if !text.is_empty() => Ok(vec![text.clone()]),
        Some(_) => Err(wrong("input cannot be an empty string")),
    }
}

/// Tokens as a text, one word for each.
fn tokens(items: &[Value]) -> String {
    items.iter().map(Value::to_string).collect::<Vec<_>>().join(" ")
}

/// The vectors.
pub(super) fn whole(request: &EmbeddingRequest) -> Value {
    let vector = |(index, vector): (usize, Vec<f32>)| {
        let embedding = if request.base64 { base64_floats(&vector).into() } else { json!(vector) };
        json!({ "object": "embedding", "index": index, "embedding": embedding })
    };
    let words = request.words();
    json!({
        "object": "list",
        "data": request.vectors().enumerate().map(vector).collect::<Vec<_>>(),
        "model": request.model,
        "usage": { "prompt_tokens": words, "total_tokens": words },
    })
}
