//! The output of a response: items, each a thought, a message, or a call of a tool.

use serde::Serialize;

use crate::api::arguments::Scan;
use crate::api::extra_content::ExtraContent;
use crate::chat::{Part, ToolCall};

/// What `encrypted_content` carries: what a provider wants back of a thought.
pub(super) enum Sealed<'a> {
    /// Proves that the text is the provider's.
    Signature(&'a str),
    /// Stands in place of the text.
    Redacted(&'a str),
}

impl<'a> Sealed<'a> {
    /// Reads what [`write`](Self::write) wrote; `None` for what came from elsewhere.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        match text.split_once(':')? {
            ("signature", signature) => Some(Self::Signature(signature)),
            ("redacted", data) => Some(Self::Redacted(data)),
            _ => None,
        }
    }

    fn write(&self) -> String {
        match self {
            Self::Signature(signature) => format!("signature:{signature}"),
            Self::Redacted(data) => format!("redacted:{data}"),
        }
    }
}

/// How far an item, or a response, is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    InProgress,
    Completed,
    Incomplete,
}

/// An item of the output.
#[derive(Debug)]
pub(super) struct OutputItem {
    pub(super) id: String,
    pub(super) status: Status,
    pub(super) body: Body,
}

/// What an item holds.
#[derive(Debug)]
pub(super) enum Body {
    Thought { text: String, signature: String, redacted: Option<String> },
    Message { parts: Vec<Said> },
    Call { call: ToolCall, position: u32, scan: Scan },
}

/// A part of a message.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) is_refusal: bool,
    pub(super) text: String,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum WireItem<'a> {
    Reasoning {
        id: &'a str,
        summary: Vec<WirePart<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        encrypted_content: Option<String>,
        status: Status,
    },
    Message {
        id: &'a str,
        status: Status,
        role: &'static str,
        content: Vec<WirePart<'a>>,
    },
    FunctionCall {
        id: &'a str,
        call_id: &'a str,
        name: &'a str,
        arguments: &'a str,
        status: Status,
        #[serde(skip_serializing_if = "Option::is_none")]
        extra_content: Option<ExtraContent<'a>>,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum WirePart<'a> {
    OutputText { text: &'a str, annotations: [(); 0], logprobs: [(); 0] },
    Refusal { refusal: &'a str },
    SummaryText { text: &'a str },
}

impl Said {
    pub(super) fn wire(&self) -> WirePart<'_> {
        let text = &self.text;
        if self.is_refusal {
            WirePart::Refusal { refusal: text }
        } else {
            WirePart::OutputText { text, annotations: [], logprobs: [] }
        }
    }
}

impl OutputItem {
    /// An item to which more will be added. `response` is the id of its exchange, and `index` its place in the output.
    pub(super) fn new(response: &str, index: usize, body: Body) -> Self {
        let kind = match body {
            Body::Thought { .. } => "rs",
            Body::Message { .. } => "msg",
            Body::Call { .. } => "fc",
        };
        Self { id: format!("{kind}_{response}_{index}"), status: Status::InProgress, body }
    }

    /// The items of a whole answer. `status` is that of the last, at which the model stopped.
    pub(super) fn of_parts(response: &str, parts: &[Part], status: Status) -> Vec<Self> {
        let mut items: Vec<Self> = Vec::new();
        for part in parts {
            let body = match part {
                Part::Text(text) | Part::Refusal(text) => {
                    if text.is_empty() {
                        continue;
                    }
                    let said = Said { is_refusal: matches!(part, Part::Refusal(_)), text: text.clone() };
                    if let Some(Self { body: Body::Message { parts }, .. }) = items.last_mut() {
                        parts.push(said);
                        continue;
                    }
                    Body::Message { parts: vec![said] }
                }
                Part::Reasoning(thought) => Body::Thought {
                    text: thought.text.clone(),
                    signature: thought.signature.clone().unwrap_or_default(),
                    redacted: thought.redacted.clone(),
                },
                Part::ToolCall(call) => Body::Call { call: call.clone(), position: 0, scan: Scan::default() },
                Part::Image(_) | Part::ToolResult(_) | Part::Foreign(_) => continue,
            };
            items.push(Self { status: Status::Completed, ..Self::new(response, items.len(), body) });
        }
        if let Some(last) = items.last_mut() {
            last.status = status;
        }
        items
    }

    /// Whether more may be added.
    pub(super) fn is_open(&self) -> bool {
        self.status == Status::InProgress
    }

    /// As it is on the wire.
    pub(super) fn wire(&self) -> WireItem<'_> {
        let (id, status) = (self.id.as_str(), self.status);
        match &self.body {
            Body::Thought { text, signature, redacted } => {
                let sealed = match redacted {
                    Some(data) => Some(Sealed::Redacted(data)),
                    None => (!signature.is_empty()).then_some(Sealed::Signature(signature)),
                };
                let summary = (!text.is_empty()).then_some(WirePart::SummaryText { text });
                WireItem::Reasoning {
                    id,
                    summary: summary.into_iter().collect(),
                    encrypted_content: sealed.map(|sealed| sealed.write()),
                    status,
                }
            }
            Body::Message { parts } => WireItem::Message {
                id,
                status,
                role: "assistant",
                content: parts.iter().map(Said::wire).collect(),
            },
            Body::Call { call, .. } => WireItem::FunctionCall {
                id,
                call_id: &call.id,
                name: &call.name,
                arguments: &call.arguments,
                status,
                extra_content: call.signature.as_deref().map(ExtraContent::of),
            },
        }
    }
}
