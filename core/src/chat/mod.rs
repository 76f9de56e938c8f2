//! The canonical chat: what every client API is read into and every dialect is written from.
//!
//! Complete enough that nothing a client says is lost without a word: what has no name here is kept as it was written
//! ([`Part::Foreign`], [`Options::unknown`], [`Chat::unread`]) for a provider of the same format, and reported where there is none.

mod answer;
mod features;
mod message;
mod options;
mod words;

pub use answer::{Answer, Collector, Delta, Finish, MAX_CALLS, Usage};
pub use features::Feature;
pub use message::{Foreign, Image, ImageSource, Message, Part, Reasoning, Role, ToolCall, ToolResult};
pub use options::{Effort, Options, Output, Schema, Tool, ToolChoice};
pub use words::Words;

use crate::config::RouteOptions;
use crate::native::Native;

/// What stands for the result of a tool that never gave one.
const NO_RESULT: &str = "There is no result.";

/// A conversation that asks for its next assistant message.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Chat {
    /// Oldest first. System messages stand where the client put them.
    pub messages: Vec<Message>,
    /// How it is to be answered.
    pub options: Options,
    /// The request as it was written, for providers of the same format.
    pub native: Option<Native>,
    /// How many of `messages`, after the leading system messages, the gateway remembered and the client did not send.
    pub remembered: usize,
    /// Fields inside of messages, tools and the like that there is no word for here, as `messages.content.cache_control`.
    pub unread: Vec<String>,
    /// Whether `messages` differ from what `native` has.
    pub is_edited: bool,
    /// In whose words its client speaks.
    pub words: Words,
}

impl Chat {
    /// All system texts, joined by blank lines; `None` where there are none.
    pub fn system(&self) -> Option<String> {
        let mut joined: Option<String> = None;
        for text in self.messages.iter().filter(|message| message.role == Role::System).map(Message::text) {
            match &mut joined {
                Some(joined) => {
                    joined.push_str("\n\n");
                    joined.push_str(&text);
                }
                None => joined = Some(text.into_owned()),
            }
        }
        joined
    }

    /// The messages but for the system's.
    pub fn spoken(&self) -> impl Iterator<Item = &Message> {
        self.messages.iter().filter(|message| message.role != Role::System)
    }

    /// Puts what the gateway remembers of the conversation in front of what the client sent, behind its system messages.
    pub fn remember(&mut self, earlier: Vec<Message>) {
        self.remembered = earlier.len();
        self.is_edited |= !earlier.is_empty();
        let at = self.messages.iter().take_while(|message| message.role == Role::System).count();
        self.messages.splice(at..at, earlier);
        self.answer_open_calls(at);
    }

    /// Gives every remembered call of a tool a result, from message `first` on: a client may have left before it had one,
    /// and no provider goes on without.
    fn answer_open_calls(&mut self, first: usize) {
        let mut index = first;
        while index < first + self.remembered {
            let Some(message) = self.messages.get(index) else { break };
            index += 1;
            let mut open: Vec<String> = message.tool_calls().map(|call| call.id.clone()).collect();
            if open.is_empty() {
                continue;
            }
            let answers = self.messages.get(index..).unwrap_or_default();
            for message in answers.iter().take_while(|message| message.role == Role::Tool) {
                open.retain(|id| !message.parts.iter().any(|part| part.is_result_of(id)));
            }
            if open.is_empty() {
                continue;
            }
            let results = open.into_iter().map(|call_id| {
                let parts = vec![Part::Text(NO_RESULT.to_owned())];
                Part::ToolResult(ToolResult { call_id, parts, is_error: false })
            });
            let message = Message { role: Role::Tool, parts: results.collect(), name: None };
            self.messages.insert(index, message);
            // What stands in for a result is part of what is remembered.
            self.remembered += 1;
        }
    }

    /// Applies what a route sets: `defaults` where the client said nothing, `overrides` in any case.
    pub fn apply(&mut self, defaults: &RouteOptions, overrides: &RouteOptions) {
        let options = &mut self.options;
        options.temperature = overrides.temperature.or(options.temperature).or(defaults.temperature);
        options.top_p = overrides.top_p.or(options.top_p).or(defaults.top_p);
        options.max_tokens = overrides.max_tokens.or(options.max_tokens).or(defaults.max_tokens);
        // A budget says the same in other words.
        options.thinking_budget = options.thinking_budget.filter(|_| overrides.reasoning_effort.is_none());
        let default = defaults.reasoning_effort.filter(|_| options.thinking_budget.is_none());
        options.effort = overrides.reasoning_effort.or(options.effort).or(default);
        let has_system = self.messages.iter().any(|message| message.role == Role::System);
        let default = defaults.context.as_ref().filter(|_| !has_system);
        if let Some(context) = overrides.context.as_ref().or(default) {
            self.messages.retain(|message| message.role != Role::System);
            self.messages.insert(0, Message::of_text(Role::System, context));
            self.is_edited = true;
        }
    }

    /// What the client added to the conversation: all but its system messages and what was remembered.
    pub fn added(&self) -> impl Iterator<Item = &Message> {
        self.spoken().skip(self.remembered)
    }

    /// Bytes of all text, for an estimate of its tokens.
    pub fn text_len(&self) -> usize {
        let of_tools: usize = self.options.tools.iter().map(Tool::text_len).sum();
        self.messages.iter().map(Message::text_len).sum::<usize>() + of_tools
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remembered_call_that_was_never_answered_gets_a_result() {
        let call =
            |id: &str| Part::ToolCall(ToolCall { id: id.into(), name: "f".into(), ..ToolCall::default() });
        let result = |id: &str| {
            let parts = vec![Part::Text("said".to_owned())];
            Part::ToolResult(ToolResult { call_id: id.into(), parts, is_error: false })
        };
        let say = |role, parts| Message { role, parts, name: None };
        let mut chat = Chat {
            messages: vec![say(Role::Tool, vec![result("c")]), Message::of_text(Role::User, "go on")],
            ..Chat::default()
        };
        chat.remember(vec![
            Message::of_text(Role::User, "one"),
            say(Role::Assistant, vec![call("a"), call("b")]),
            say(Role::Tool, vec![result("a")]),
            Message::of_text(Role::User, "two"),
            say(Role::Assistant, vec![call("c")]),
        ]);
        let results: Vec<(&str, &[Part])> = chat
            .messages
            .iter()
            .flat_map(|message| &message.parts)
            .filter_map(|part| match part {
                Part::ToolResult(result) => Some((result.call_id.as_str(), result.parts.as_slice())),
                _ => None,
            })
            .collect();
        let text = |text: &str| [Part::Text(text.to_owned())];
        let (none, said) = (text(NO_RESULT), text("said"));
        assert_eq!(results, [("b", none.as_slice()), ("a", &said), ("c", &said)]);
        // Only what the client sent now is new.
        assert_eq!(chat.added().count(), 2);
    }
}
