//! Embeddings (`POST {base}/embeddings`). Clients of the gateway write the same format, so what they wrote is passed on.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::OpenAi;
use super::answer::{WireUsage, check};
use crate::dialect::{EmbedCall, malformed};
use crate::embedding::Embedded;
use crate::failure::{Failure, FailureKind};
use crate::json::ObjectWriter;

/// Writes the body.
pub(super) fn write(openai: &OpenAi, call: &EmbedCall<'_>) -> Vec<u8> {
    let native = &call.embedding.native;
    let mut out = Vec::with_capacity(128 + call.embedding.text_len());
    let mut body = ObjectWriter::new(&mut out);
    body.field("model", &call.model);
    for name in ["input", "encoding_format"] {
        if let Some(json) = native.get(name) {
            body.raw(name, json);
        }
    }
    body.some(openai.dimensions, call.options.dimensions.as_ref());
    body.some("user", call.options.user.as_ref());
    for name in &call.options.unknown {
        if let Some(json) = native.get(name) {
            body.raw(name, json);
        }
    }
    body.end();
    out
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    data: Vec<IgnoredAny>,
    usage: Option<WireUsage>,
    error: Option<serde_json::Value>,
}

/// Reads what must be known of an answer that is passed on as it is.
pub(super) fn read(body: &[u8]) -> Result<Embedded, Failure> {
    let list: List = serde_json::from_slice(body).map_err(|error| malformed(&error))?;
    check(list.error.as_ref())?;
    if list.data.is_empty() {
        return Err(Failure::new(FailureKind::Malformed, "sent no embeddings"));
    }
    Ok(Embedded { vectors: Vec::new(), usage: list.usage.map(|usage| usage.read(false)) })
}
