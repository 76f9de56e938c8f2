//! Gemini embeddings: `:embedContent` for one text, `:batchEmbedContents` for a list.

use serde_json::{Map, Value, json};

use super::gemini::invalid;
use super::gemini_contents::text_only;
use super::gemini_rules::{camel_case, get, misfitting};
use super::shape::{self, Kind};
use super::{Refusal, Request, text};
use crate::embedding::{DIMENSIONS_DEFAULT, DIMENSIONS_MAX, EmbeddingRequest};

const FIELDS: &[(&str, Kind)] = &[
    ("content", Kind::Object),
    ("model", Kind::Text),
    ("outputDimensionality", Kind::Integer),
    ("taskType", Kind::Text),
    ("title", Kind::Text),
];
const BATCH_FIELDS: &[(&str, Kind)] = &[("requests", Kind::List)];
/// Path of a field in the complaints of a batch.
const REQUESTS: &str = "requests";

/// Checks a request; a body with `requests` is a batch.
pub(super) fn read(request: &Request<'_>) -> Result<EmbeddingRequest, Refusal> {
    let model = request.path_model.unwrap_or_default();
    let Value::Object(body) = request.body else {
        return Err(invalid("Invalid JSON payload received. Root element must be a message."));
    };
    let batch = request.path_batch;
    let single = std::slice::from_ref(request.body);
    let items = if batch {
        shape::check(body, BATCH_FIELDS, camel_case).map_err(|misfit| misfitting(misfit, ""))?;
        let requests = get(body, REQUESTS).and_then(Value::as_array).filter(|requests| !requests.is_empty());
        requests
            .ok_or_else(|| invalid("* BatchEmbedContentsRequest.requests: requests is not specified\n"))?
    } else {
        single
    };
    let mut read = EmbeddingRequest {
        model: model.to_owned(),
        dimensions: DIMENSIONS_DEFAULT,
        batch,
        ..EmbeddingRequest::default()
    };
    for (index, item) in items.iter().enumerate() {
        let path = if batch { format!("{REQUESTS}[{index}]") } else { String::new() };
        let Value::Object(item) = item else {
            return Err(invalid(&format!("Invalid value at '{path}' (expected an object), {item}")));
        };
        if batch && get(item, "model").and_then(Value::as_str) != Some(&format!("models/{model}")) {
            let place = format!("* BatchEmbedContentsRequest.{path}.model");
            return Err(invalid(&format!("{place}: the model must be models/{model}.\n")));
        }
        read.inputs.push(input(item, &path)?);
        if let Some(dimensions) = get(item, "outputDimensionality").filter(|value| !value.is_null()) {
            let dimensions = dimensions.as_u64().and_then(|count| usize::try_from(count).ok());
            let dimensions = dimensions.filter(|count| (1..=DIMENSIONS_MAX).contains(count));
            read.dimensions = dimensions.ok_or_else(|| invalid("outputDimensionality is out of range."))?;
        }
    }
    Ok(read)
}

fn input(item: &Map<String, Value>, path: &str) -> Result<String, Refusal> {
    shape::check(item, FIELDS, camel_case).map_err(|misfit| misfitting(misfit, path))?;
    let Some(content) = get(item, "content").filter(|content| !content.is_null()) else {
        return Err(invalid("* EmbedContentRequest.content: contents is not specified\n"));
    };
    text_only(content, "content")
}

/// The vectors; this API tells no usage.
pub(super) fn whole(request: &EmbeddingRequest) -> String {
    let mut vectors = request.vectors().map(|values| json!({ "values": values }));
    if request.batch {
        return text(&json!({ "embeddings": vectors.collect::<Vec<_>>() }));
    }
    text(&json!({ "embedding": vectors.next() }))
}
