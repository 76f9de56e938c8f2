//! A conversation as providers want it that know two speakers alone, who take turns: what a tool returned is said by
//! the user, the system's words stand apart, and nothing is blank.

use std::collections::HashSet;

use crate::chat::{Message, Output, Part, Role};
use crate::dialect::Call;

/// What one speaker says before the other does.
#[derive(Debug, PartialEq)]
pub(super) struct Turn<'a> {
    /// [`USER`] or `assistant`.
    pub(super) role: &'static str,
    /// Never empty. Results of tools come first.
    pub(super) parts: Vec<&'a Part>,
}

/// Who says all that the model does not.
pub(super) const USER: &str = "user";

const ASSISTANT: &str = "assistant";

/// What is said in place of a JSON mode.
const JSON_ONLY: &str = "Answer with one JSON object, and with nothing before or after it.";

/// The turns of `messages`, of the parts that the provider takes.
pub(super) fn turns<'a>(
    messages: impl Iterator<Item = &'a Message>,
    takes: impl Fn(&Part) -> bool,
) -> Vec<Turn<'a>> {
    let mut turns: Vec<Turn<'a>> = Vec::new();
    for message in messages {
        let role = if message.role == Role::Assistant { ASSISTANT } else { USER };
        let mut parts = message.parts.iter().filter(|part| belongs(part, role) && takes(part)).peekable();
        if parts.peek().is_none() {
            continue;
        }
        match turns.last_mut() {
            Some(last) if last.role == role => last.parts.extend(parts),
            _ => turns.push(Turn { role, parts: parts.collect() }),
        }
    }
    for turn in &mut turns {
        turn.parts.sort_by_key(|part| !matches!(part, Part::ToolResult(_)));
    }
    turns
}

/// Whether it is something that this speaker can say.
fn belongs(part: &Part, role: &str) -> bool {
    match part {
        Part::Text(text) | Part::Refusal(text) => !text.trim().is_empty(),
        Part::Reasoning(_) | Part::ToolCall(_) => role == ASSISTANT,
        Part::ToolResult(_) | Part::Image(_) => role != ASSISTANT,
        Part::Foreign(_) => true,
    }
}

impl Turn<'_> {
    /// Whether the model is to go on with it.
    pub(super) fn is_prefill(&self) -> bool {
        self.role == ASSISTANT
    }
}

/// The system's words, and that the answer is to be JSON where there is no other way to say it; `None` where there are
/// none.
pub(super) fn system(call: &Call<'_>) -> Option<String> {
    let said = call.chat.system().filter(|text| !text.trim().is_empty());
    match (said, &call.options.output) {
        (Some(said), Output::Json) => Some(format!("{said}\n\n{JSON_ONLY}")),
        (None, Output::Json) => Some(JSON_ONLY.to_owned()),
        (said, _) => said,
    }
}

/// The names of the tools that were called, each once. Providers want tools that the conversation calls to be declared.
pub(super) fn called<'a>(messages: impl Iterator<Item = &'a Message>) -> Vec<&'a str> {
    let mut known = HashSet::new();
    let names = messages.flat_map(Message::tool_calls).map(|call| call.name.as_str());
    names.filter(|name| known.insert(*name)).collect()
}
