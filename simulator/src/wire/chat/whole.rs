//! A whole chat completion, by the habits of its provider.

use serde_json::{Map, Value, json};

use super::dialect::{Habits, Reasoning};
use super::parts::{filter_results, logprobs, native_finish, prompt_filter_results};
use crate::answer::{Answer, Prompt, ToolCall};
use crate::wire::{Stamp, text};

/// The answer as one JSON text.
pub(super) fn whole(habits: &Habits, prompt: &Prompt, answer: &Answer, stamp: &Stamp) -> String {
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
    put("id", (habits.id)(stamp.serial).into());
    if let Some(name) = habits.served_by {
        put("provider", name.into());
    }
    put("object", "chat.completion".into());
    put("created", stamp.created.into());
    put("model", prompt.model.as_str().into());
    if habits.filters {
        put("prompt_filter_results", prompt_filter_results());
    }
    put("choices", (0..answer.choices).map(|index| choice(habits, prompt, answer, index)).collect());
    put("usage", (habits.usage)(&answer.usage));
    if let Some(tier) = habits.service_tier {
        put("service_tier", tier.into());
    }
    if let Some(fingerprint) = habits.fingerprint {
        put("system_fingerprint", fingerprint.into());
    }
    if habits.x_groq {
        put("x_groq", json!({ "id": (habits.id)(stamp.serial) }));
    }
    for (name, value) in habits.further {
        put(name, serde_json::from_str(value).unwrap_or_default());
    }
    text(&body)
}

fn choice(habits: &Habits, prompt: &Prompt, answer: &Answer, index: usize) -> Value {
    let mut choice = Map::new();
    let mut put = |name: &str, value: Value| choice.insert(name.to_owned(), value);
    let finish = (habits.finish)(&answer.finish);
    put("index", index.into());
    put("message", message(habits, answer, index));
    let tokens = |count| logprobs(&answer.choice_chunks(index), count);
    put("logprobs", prompt.logprobs.map_or(Value::Null, tokens));
    put("finish_reason", finish.into());
    if habits.native_finish {
        put("native_finish_reason", native_finish(finish).into());
    }
    if habits.stop_reason {
        put("stop_reason", Value::Null);
    }
    if habits.filters {
        put("content_filter_results", filter_results());
    }
    choice.into()
}

fn message(habits: &Habits, answer: &Answer, index: usize) -> Value {
    let mut message = Map::new();
    let mut put = |name: &str, value: Value| message.insert(name.to_owned(), value);
    put("role", "assistant".into());
    let said = answer.choice_text(index);
    let thought = answer.thoughts.concat();
    let content = match habits.reasoning {
        Reasoning::Parts if !thought.is_empty() => json!([
            { "type": "thinking", "thinking": [{ "type": "text", "text": thought }] },
            { "type": "text", "text": said },
        ]),
        _ if said.is_empty() && !answer.tool_calls.is_empty() && !habits.empty_content => Value::Null,
        _ => said.into(),
    };
    put("content", content);
    if let (Reasoning::Field(name), false) = (habits.reasoning, thought.is_empty()) {
        put(name, thought.into());
    }
    if habits.refusals {
        put("refusal", Value::Null);
        put("annotations", json!([]));
    }
    if !answer.tool_calls.is_empty() {
        put("tool_calls", answer.tool_calls.iter().map(tool_call).collect());
    }
    message.into()
}

fn tool_call(call: &ToolCall) -> Value {
    let function = json!({ "name": call.name, "arguments": call.json() });
    json!({ "id": call.id, "type": "function", "function": function })
}
