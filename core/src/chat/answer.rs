//! What a model answers, whole or piece by piece.

use std::borrow::Cow;

use super::message::{text_of, tool_calls_of};
use super::{Foreign, Message, Part, Reasoning, Role, ToolCall};
use crate::api::Outcome;

/// Most calls of tools in one answer: each piece of arguments is looked for among all of them.
pub const MAX_CALLS: usize = 1_024;

/// Why a model stopped, in the words of no provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// It had said all.
    Stop,
    /// It waits for the results of the tools it called.
    ToolCalls,
    /// A token limit.
    Length,
    /// A filter withheld the rest, or all.
    ContentFilter,
    /// Anything else.
    Other,
}

impl Finish {
    /// What clients of the unified API are told.
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::Stop | Self::ToolCalls => Outcome::Complete,
            Self::Length => Outcome::IncompleteMaxTokens,
            Self::ContentFilter | Self::Other => Outcome::IncompleteUnknown,
        }
    }

    /// The same, knowing whether tools were called: not every provider has a word of its own for that.
    pub const fn with_calls(self, calls_tools: bool) -> Self {
        match self {
            Self::Stop if calls_tools => Self::ToolCalls,
            Self::ToolCalls if !calls_tools => Self::Stop,
            _ => self,
        }
    }
}

/// Tokens of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tokens read, those from and to a cache included.
    pub input: u64,
    /// Tokens generated, reasoning included.
    pub output: u64,
    /// Of those read: how many came from a cache.
    pub cached: u64,
    /// Of those read: how many were put into a cache.
    pub cache_write: u64,
    /// Of those generated: how many were reasoning.
    pub reasoning: u64,
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What the model said: text, refusal, reasoning, calls of tools. Without content only where a filter withheld it.
    pub parts: Vec<Part>,
    /// Why it stopped.
    pub finish: Finish,
    /// Tokens, where the provider said.
    pub usage: Option<Usage>,
}

impl Answer {
    /// All its text, the refusal included.
    pub fn text(&self) -> Cow<'_, str> {
        text_of(&self.parts)
    }

    /// Its calls of tools.
    pub fn tool_calls(&self) -> impl Iterator<Item = &ToolCall> {
        tool_calls_of(&self.parts)
    }

    /// Whether it is more than thoughts.
    pub fn has_content(&self) -> bool {
        self.parts.iter().any(|part| match part {
            Part::Text(text) | Part::Refusal(text) => !text.is_empty(),
            Part::Reasoning(_) => false,
            _ => true,
        })
    }

    /// It as the message that a later request has in its history.
    pub fn message(&self) -> Message {
        Message { role: Role::Assistant, parts: self.parts.clone(), name: None }
    }
}

/// What one event of a stream adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delta<'a> {
    /// More text.
    Text(Cow<'a, str>),
    /// More of a refusal.
    Refusal(Cow<'a, str>),
    /// More reasoning.
    Reasoning(Cow<'a, str>),
    /// The signature of the reasoning so far, or more of it.
    Signature(Cow<'a, str>),
    /// A thought that the provider encrypted.
    Redacted(Cow<'a, str>),
    /// A tool is called.
    ToolCall {
        /// Its position among the calls of the answer, from 0, without gaps.
        index: u32,
        /// Never empty.
        id: Cow<'a, str>,
        /// Which tool.
        name: Cow<'a, str>,
        /// See [`ToolCall::signature`].
        signature: Option<Cow<'a, str>>,
    },
    /// More of a call's arguments.
    Arguments {
        /// As of the call.
        index: u32,
        /// A piece of JSON text.
        json: Cow<'a, str>,
    },
    /// Content that only the provider's own format knows.
    Foreign(Foreign),
    /// Why the model stopped.
    Finish(Finish),
    /// Tokens so far: the last value counts, values are not added up.
    Usage(Usage),
}

impl Delta<'_> {
    /// Bytes of what is said.
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text)
            | Self::Refusal(text)
            | Self::Reasoning(text)
            | Self::Signature(text)
            | Self::Redacted(text)
            | Self::Arguments { json: text, .. } => text.len(),
            Self::ToolCall { id, name, .. } => id.len() + name.len(),
            Self::Foreign(foreign) => foreign.json.get().len(),
            Self::Finish(_) | Self::Usage(_) => 0,
        }
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it is part of the answer rather than of what surrounds it.
    pub fn is_content(&self) -> bool {
        match self {
            Self::Text(text) | Self::Refusal(text) => !text.is_empty(),
            Self::ToolCall { .. } | Self::Arguments { .. } | Self::Foreign(_) => true,
            _ => false,
        }
    }
}

/// Puts the answer of a stream together.
#[derive(Debug, Default)]
pub struct Collector {
    parts: Vec<Part>,
    /// Which of them are calls of tools.
    calls: Vec<usize>,
}

impl Collector {
    /// The parts of a whole answer that was read as `deltas`.
    pub fn parts_of(deltas: &[Delta<'_>]) -> Vec<Part> {
        let mut collector = Self::default();
        deltas.iter().for_each(|delta| collector.add(delta));
        collector.into_parts()
    }

    /// Takes the next delta.
    pub fn add(&mut self, delta: &Delta<'_>) {
        match delta {
            Delta::Text(text) => match self.parts.last_mut() {
                Some(Part::Text(so_far)) => so_far.push_str(text),
                _ if text.is_empty() => {}
                _ => self.parts.push(Part::Text(text.as_ref().to_owned())),
            },
            Delta::Refusal(text) => match self.parts.last_mut() {
                Some(Part::Refusal(so_far)) => so_far.push_str(text),
                _ if text.is_empty() => {}
                _ => self.parts.push(Part::Refusal(text.as_ref().to_owned())),
            },
            Delta::Reasoning(text) => {
                self.think(|so_far| so_far.is_none(), |thought| thought.text.push_str(text))
            }
            Delta::Signature(signature) => {
                let sign = |thought: &mut Reasoning| {
                    thought.signature.get_or_insert_default().push_str(signature);
                };
                self.think(|_| true, sign);
            }
            Delta::Redacted(data) => self.parts.push(Part::Reasoning(Reasoning {
                redacted: Some(data.as_ref().to_owned()),
                ..Default::default()
            })),
            Delta::ToolCall { id, name, signature, .. } => {
                self.calls.push(self.parts.len());
                self.parts.push(Part::ToolCall(ToolCall {
                    id: id.as_ref().to_owned(),
                    name: name.as_ref().to_owned(),
                    arguments: String::new(),
                    signature: signature.as_deref().map(str::to_owned),
                }));
            }
            Delta::Arguments { index, json } => {
                let part = self.calls.get(*index as usize).and_then(|at| self.parts.get_mut(*at));
                if let Some(Part::ToolCall(call)) = part {
                    call.arguments.push_str(json);
                }
            }
            Delta::Foreign(foreign) => self.parts.push(Part::Foreign(foreign.clone())),
            Delta::Finish(_) | Delta::Usage(_) => {}
        }
    }

    /// Changes the thought under way, if its signature lets it go on, or begins one.
    fn think(&mut self, goes_on: impl FnOnce(&Option<String>) -> bool, change: impl FnOnce(&mut Reasoning)) {
        if let Some(Part::Reasoning(thought)) = self.parts.last_mut()
            && thought.redacted.is_none()
            && goes_on(&thought.signature)
        {
            return change(thought);
        }
        let mut thought = Reasoning::default();
        change(&mut thought);
        self.parts.push(Part::Reasoning(thought));
    }

    /// What was said so far, as a message. A call that is not complete is left out: nobody could answer it.
    pub fn message(&self) -> Message {
        let parts = self.parts.iter().filter(|part| !matches!(part, Part::ToolCall(_))).cloned().collect();
        Message { role: Role::Assistant, parts, name: None }
    }

    /// What was said. A call without arguments gets the empty object.
    pub fn into_parts(mut self) -> Vec<Part> {
        for part in &mut self.parts {
            if let Part::ToolCall(call) = part
                && call.arguments.is_empty()
            {
                call.arguments.push_str("{}");
            }
        }
        self.parts
    }
}
