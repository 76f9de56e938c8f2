//! Embeddings of the Gemini API: `batchEmbedContents`, which takes many texts and tells no tokens.

use serde::{Deserialize, Serialize};

use crate::dialect::{EmbedCall, Embedder, malformed, path};
use crate::embedding::{Embedded, Input};
use crate::failure::{Failure, FailureKind};
use crate::json::{self, Json};

/// The embeddings of `generativelanguage.googleapis.com`.
#[derive(Debug)]
pub(super) struct GeminiEmbedder;

#[derive(Serialize)]
struct Batch<'a> {
    requests: Vec<One<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct One<'a> {
    model: &'a str,
    content: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimensionality: Option<u32>,
}

#[derive(Serialize)]
struct Content<'a> {
    parts: [Text<'a>; 1],
}

#[derive(Serialize)]
struct Text<'a> {
    text: &'a str,
}

#[derive(Deserialize)]
struct Vectors {
    #[serde(default)]
    embeddings: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    values: Json,
}

impl Embedder for GeminiEmbedder {
    fn path(&self, base_path: &str, call: &EmbedCall<'_>) -> String {
        let mut path = format!("{base_path}/models/");
        path::push_segment(&mut path, call.model);
        path.push_str(":batchEmbedContents");
        path
    }

    fn request_body(&self, call: &EmbedCall<'_>) -> Vec<u8> {
        let model = format!("models/{}", call.model);
        let texts = match &call.embedding.input {
            Input::Texts(texts) => texts.as_slice(),
            // Refused before: only the provider's own tokenizer could read them.
            Input::Tokens(_) => &[],
        };
        let requests = texts.iter().map(|text| One {
            model: &model,
            content: Content { parts: [Text { text }] },
            output_dimensionality: call.options.dimensions,
        });
        let mut out = Vec::with_capacity(128 + 2 * call.embedding.text_len());
        json::write(&mut out, &Batch { requests: requests.collect() });
        out
    }

    fn read(&self, body: &[u8]) -> Result<Embedded, Failure> {
        let vectors: Vectors = serde_json::from_slice(body).map_err(|error| malformed(&error))?;
        if vectors.embeddings.is_empty() {
            return Err(Failure::new(FailureKind::Malformed, "sent no embeddings"));
        }
        let vectors = vectors.embeddings.into_iter().map(|vector| vector.values).collect();
        Ok(Embedded { vectors, usage: None })
    }
}
