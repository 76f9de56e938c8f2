//! What the model sees of a chat completion request that keeps the rules.

use serde_json::Value;

use super::{Chat, tools};
use crate::answer::{Prompt, count_words, image_of_url};

/// The prompt of a request.
pub(super) fn prompt(chat: &Chat<'_>) -> Prompt {
    let messages = chat.messages;
    let system: Vec<String> =
        messages.iter().filter(|message| is_system(message)).map(content_text).collect();
    let last_user = messages.iter().rposition(|message| role(message) == "user");
    let max = chat.rules.limits.iter().find_map(|name| chat.given(name));
    let number =
        |name: &str| chat.given(name).and_then(Value::as_u64).and_then(|count| usize::try_from(count).ok());
    let options = chat.given("stream_options");
    let option = |name: &str| {
        let is_known = chat.rules.stream_fields.iter().any(|(known, _)| *known == name);
        options.filter(|_| is_known).and_then(|options| options.get(name)?.as_bool())
    };
    Prompt {
        model: chat.model.to_owned(),
        system: (!system.is_empty()).then(|| system.join("\n")),
        history: messages
            .iter()
            .take(last_user.unwrap_or(messages.len()))
            .filter(|message| !is_system(message))
            .count(),
        text: last_user.and_then(|index| messages.get(index)).map(content_text).unwrap_or_default(),
        words: messages.iter().map(|message| count_words(&content_text(message))).sum(),
        temperature: chat.given("temperature").map(Value::to_string),
        max_tokens: max.and_then(Value::as_u64),
        stream: chat.given("stream").and_then(Value::as_bool).unwrap_or(false),
        include_usage: option("include_usage").unwrap_or(false),
        continuous_usage: option("continuous_usage_stats").unwrap_or(false),
        obfuscation: option("include_obfuscation").unwrap_or(true),
        tools: tools::names(chat),
        tool_choice: tools::choice(chat),
        single_call: chat.given("parallel_tool_calls") == Some(&Value::Bool(false)),
        results: results(messages),
        images: messages.iter().flat_map(images).collect(),
        json: tools::json(chat),
        choices: number("n").filter(|_| chat.rules.reads_n).unwrap_or(1),
        logprobs: match chat.given("logprobs") {
            Some(Value::Bool(true)) => Some(number("top_logprobs").unwrap_or(0)),
            Some(Value::Number(_)) => number("logprobs"),
            _ => None,
        },
    }
}

fn role(message: &Value) -> &str {
    message.get("role").and_then(Value::as_str).unwrap_or_default()
}

fn is_system(message: &Value) -> bool {
    matches!(role(message), "system" | "developer")
}

/// The text of a message: its content, or all text parts of it.
pub(super) fn content_text(message: &Value) -> String {
    match message.get("content") {
        Some(Value::String(content)) => content.clone(),
        Some(Value::Array(parts)) => {
            parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str)).collect()
        }
        _ => String::new(),
    }
}

pub(super) fn images(message: &Value) -> Vec<String> {
    let parts = message.get("content").and_then(Value::as_array);
    let url = |part: &Value| {
        let image = part.get("image_url")?;
        image_of_url(image.as_str().or_else(|| image.get("url")?.as_str())?)
    };
    parts.into_iter().flatten().filter_map(url).collect()
}

/// The results that the messages end with, in the order of the calls, by the name of the tool. Results of calls that
/// nobody made come last, by their id.
fn results(messages: &[Value]) -> Vec<(String, String)> {
    let count = messages.iter().rev().take_while(|message| role(message) == "tool").count();
    let (before, ending) = messages.split_at(messages.len() - count);
    let id =
        |message: &Value| message.get("tool_call_id").and_then(Value::as_str).unwrap_or_default().to_owned();
    let calls = before.last().and_then(|message| message.get("tool_calls")?.as_array());
    let called: Vec<(&str, &str)> = calls
        .into_iter()
        .flatten()
        .filter_map(|call| Some((call.get("id")?.as_str()?, call.get("function")?.get("name")?.as_str()?)))
        .collect();
    let mut results: Vec<(usize, String, String)> = ending
        .iter()
        .map(|message| {
            let id = id(message);
            let at = called.iter().position(|(known, _)| *known == id);
            let name = at.and_then(|at| called.get(at)).map_or(id.as_str(), |(_, name)| name);
            (at.unwrap_or(usize::MAX), name.to_owned(), content_text(message))
        })
        .collect();
    results.sort_by_key(|(at, ..)| *at);
    results.into_iter().map(|(_, name, text)| (name, text)).collect()
}
