//! Parts that whole answers and streams have in common.

use serde_json::{Value, json};

/// Log probabilities of the chunks, each taken for a token, with `alternatives` for each.
pub(super) fn logprobs(chunks: &[String], alternatives: usize) -> Value {
    let token = |chunk: &String| {
        let probability = |rank: usize| {
            let logprob = if rank == 0 { -0.25 } else { -2.5 };
            json!({ "token": chunk, "logprob": logprob, "bytes": chunk.as_bytes() })
        };
        let mut token = probability(0);
        if let Some(token) = token.as_object_mut() {
            token.insert("top_logprobs".to_owned(), (0..alternatives).map(probability).collect());
        }
        token
    };
    json!({ "content": chunks.iter().map(token).collect::<Vec<_>>(), "refusal": null })
}

/// What Azure's content filter says of a prompt.
pub(super) fn prompt_filter_results() -> Value {
    json!([{ "prompt_index": 0, "content_filter_results": filter_results() }])
}

/// What Azure's content filter says of an answer: nothing.
pub(super) fn filter_results() -> Value {
    let safe = json!({ "filtered": false, "severity": "safe" });
    json!({ "hate": safe, "self_harm": safe, "sexual": safe, "violence": safe })
}

/// The finish reason in the words of the model behind a router.
pub(super) fn native_finish(finish: Option<&str>) -> Option<&str> {
    match finish {
        Some("stop") => Some("completed"),
        other => other,
    }
}
