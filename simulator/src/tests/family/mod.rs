//! The OpenAI family: every provider of it, whole and streamed, in what they share and in what sets them apart.

mod answers;
mod embeddings;
mod errors;
mod rules;
mod streams;
mod tools;

use serde_json::{Value, json};

use super::client::Reply;
use super::{post, question};
use crate::{Provider, Simulator};

/// All that speak chat completions.
const FAMILY: [Provider; 13] = [
    Provider::OpenAi,
    Provider::DeepSeek,
    Provider::Azure,
    Provider::Mistral,
    Provider::Groq,
    Provider::Xai,
    Provider::OpenRouter,
    Provider::Together,
    Provider::Fireworks,
    Provider::Cerebras,
    Provider::Ollama,
    Provider::Vllm,
    Provider::LlamaCpp,
];

/// Asks `model` about `text`, with the fields of `change` (a JSON object) put into the request.
async fn ask_with(
    simulator: &Simulator,
    provider: Provider,
    model: &str,
    text: &str,
    stream: bool,
    change: &Value,
) -> Reply {
    let (path, mut body) = question(provider, model, text, stream);
    for (name, value) in change.as_object().unwrap() {
        body[name] = value.clone();
    }
    post(simulator, provider, &path, &body).await
}

/// Two tools to choose from.
fn tools() -> Value {
    let city = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
    json!([
        { "type": "function", "function": { "name": "get_weather", "parameters": city } },
        { "type": "function", "function": { "name": "ping" } },
    ])
}

/// What a client makes of a stream, by the choice with index 0.
#[derive(Debug, Default, PartialEq)]
struct Collected {
    text: String,
    reasoning: String,
    /// Id, name and arguments, in the order of their first delta.
    calls: Vec<(String, String, String)>,
    finish: Vec<String>,
    usage: Value,
}

fn collect(reply: &Reply) -> Collected {
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert!(reply.complete && reply.data().last().unwrap() == "[DONE]", "{}", reply.body);
    let mut collected = Collected::default();
    for event in reply.events() {
        for usage in [&event["usage"], &event["x_groq"]["usage"]] {
            if !usage.is_null() {
                collected.usage = usage.clone();
            }
        }
        let Some(choice) = event["choices"].as_array().unwrap().iter().find(|choice| choice["index"] == 0)
        else {
            continue;
        };
        let delta = &choice["delta"];
        match &delta["content"] {
            Value::String(content) => collected.text += content,
            Value::Array(parts) => {
                parts
                    .iter()
                    .for_each(|part| collected.reasoning += part["thinking"][0]["text"].as_str().unwrap());
            }
            _ => {}
        }
        for name in ["reasoning", "reasoning_content"] {
            collected.reasoning += delta[name].as_str().unwrap_or_default();
        }
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let arguments = call["function"]["arguments"].as_str().unwrap();
            match call["id"].as_str() {
                Some(id) => {
                    let name = call["function"]["name"].as_str().unwrap().to_owned();
                    collected.calls.push((id.to_owned(), name, arguments.to_owned()));
                }
                None => {
                    let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
                    collected.calls[index].2 += arguments;
                }
            }
        }
        collected.finish.extend(choice["finish_reason"].as_str().map(str::to_owned));
    }
    collected
}
