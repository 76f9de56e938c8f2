//! Gemini `generateContent` and `streamGenerateContent?alt=sse`.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Call, Credential, Delta, Dialect, error_body, malformed};
use crate::chat::{Answer, Finish, Message, Role, Usage};
use crate::failure::{Failure, FailureKind};

/// The dialect of `generativelanguage.googleapis.com`.
pub(super) struct Gemini;

impl Dialect for Gemini {
    fn credential(&self) -> Credential {
        // Never `?key=`: paths are logged.
        Credential { header: "x-goog-api-key", prefix: "" }
    }

    fn path(&self, base_path: &str, call: &Call<'_>) -> String {
        let mut path = format!("{base_path}/models/");
        push_encoded(&mut path, call.model);
        path.push_str(if call.stream { ":streamGenerateContent?alt=sse" } else { ":generateContent" });
        path
    }

    fn request_body(&self, call: &Call<'_>) -> Vec<u8> {
        let config =
            GenerationConfig { temperature: call.chat.temperature, max_output_tokens: call.max_tokens };
        let request = Request {
            contents: contents(&call.chat.messages),
            system_instruction: call
                .chat
                .system
                .as_deref()
                .filter(|text| !text.is_empty())
                .map(|text| SystemInstruction { parts: [WirePart { text }] }),
            generation_config: (config != GenerationConfig::default()).then_some(config),
        };
        // Plain structs of strings and numbers have no way to fail.
        serde_json::to_vec(&request).unwrap_or_default()
    }

    fn read_answer(&self, body: &[u8]) -> Result<Answer, Failure> {
        let delta = self.read_event(body)?;
        let Some(finish) = delta.finish else {
            return Err(Failure::new(FailureKind::Malformed, "sent an answer without a finish reason"));
        };
        Ok(Answer { text: delta.text.into_owned(), finish, usage: delta.usage })
    }

    fn read_event<'a>(&self, data: &'a [u8]) -> Result<Delta<'a>, Failure> {
        let response: Response<'a> = serde_json::from_slice(data).map_err(|error| malformed(&error))?;
        if let Some(error) = response.error.filter(|error| !error.is_null()) {
            let wrapped = serde_json::json!({ "error": error });
            return Err(error_body::from_value(&wrapped).unwrap_or_default().classify_in_stream());
        }
        let usage = response.usage_metadata.map(Usage::from);
        let blocked = response.prompt_feedback.and_then(|feedback| feedback.block_reason).is_some();
        let candidate = response.candidates.into_iter().find(|candidate| candidate.index == 0);
        let (text, reason) = candidate.map_or_else(Default::default, |candidate| {
            (candidate.content.unwrap_or_default().into_text(), candidate.finish_reason)
        });
        let finish = if blocked { Some(Finish::ContentFilter) } else { reason.as_deref().and_then(finish) };
        Ok(Delta { text, finish, usage })
    }
}

/// Appends `text` percent-encoded as one path segment (RFC 3986 `unreserved` stays).
fn push_encoded(path: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            // Writing into a string does not fail.
            let _ = write!(path, "%{byte:02X}");
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    contents: Vec<WireContent<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<SystemInstruction<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation_config: Option<GenerationConfig>,
}

#[derive(Serialize)]
struct WireContent<'a> {
    role: &'static str,
    parts: Vec<WirePart<'a>>,
}

#[derive(Serialize)]
struct SystemInstruction<'a> {
    parts: [WirePart<'a>; 1],
}

#[derive(Serialize)]
struct WirePart<'a> {
    text: &'a str,
}

#[derive(Serialize, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
struct GenerationConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u32>,
}

/// The turns as Gemini takes them: no empty part, and no two turns of one role in a row.
fn contents(messages: &[Message]) -> Vec<WireContent<'_>> {
    let mut contents: Vec<WireContent<'_>> = Vec::with_capacity(messages.len());
    for message in messages.iter().filter(|message| !message.text.is_empty()) {
        let role = match message.role {
            Role::User => "user",
            Role::Assistant => "model",
        };
        let part = WirePart { text: &message.text };
        match contents.last_mut() {
            Some(last) if last.role == role => last.parts.push(part),
            _ => contents.push(WireContent { role, parts: vec![part] }),
        }
    }
    contents
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    #[serde(borrow, default)]
    candidates: Vec<Candidate<'a>>,
    prompt_feedback: Option<PromptFeedback>,
    usage_metadata: Option<UsageMetadata>,
    error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    #[serde(default)]
    index: u32,
    #[serde(borrow)]
    content: Option<Content<'a>>,
    #[serde(borrow)]
    finish_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize, Default)]
struct Content<'a> {
    #[serde(borrow, default)]
    parts: Vec<Part<'a>>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, default)]
    text: Cow<'a, str>,
    /// Reasoning, not answer.
    #[serde(default)]
    thought: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PromptFeedback {
    block_reason: Option<String>,
}

/// Counts are left out where they are 0.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct UsageMetadata {
    prompt_token_count: u64,
    tool_use_prompt_token_count: u64,
    candidates_token_count: u64,
    thoughts_token_count: u64,
}

impl From<UsageMetadata> for Usage {
    fn from(usage: UsageMetadata) -> Self {
        Self {
            input: usage.prompt_token_count.saturating_add(usage.tool_use_prompt_token_count),
            output: usage.candidates_token_count.saturating_add(usage.thoughts_token_count),
        }
    }
}

impl<'a> Content<'a> {
    fn into_text(self) -> Cow<'a, str> {
        let mut spoken = self.parts.into_iter().filter(|part| !part.thought).map(|part| part.text);
        let Some(mut text) = spoken.next() else { return Cow::default() };
        for more in spoken {
            text.to_mut().push_str(&more);
        }
        text
    }
}

fn finish(reason: &str) -> Option<Finish> {
    match reason {
        "" => None,
        "STOP" => Some(Finish::Stop),
        "MAX_TOKENS" | "CONTINUATION" => Some(Finish::Length),
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "LANGUAGE"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "MODEL_ARMOR"
        | "ESCALATION"
        | "PUP_LIMITED_DISABLED" => Some(Finish::ContentFilter),
        _ => Some(Finish::Other),
    }
}
