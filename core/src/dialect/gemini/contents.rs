//! The turns of a Gemini request.
//!
//! No empty part, no two turns of one role in a row, and the results of all calls of a turn together in the next one,
//! by the names of the tools. Calls carry back the signature they came with.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::value::RawValue;

use super::SIGNATURE_MARK;
use crate::chat::{Chat, Image, ImageSource, Message, Part, Reasoning, Role, ToolCall, ToolResult};
use crate::dialect::objects;
use crate::json::Json;

/// Google's word for a call that some other model made.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

/// Kinds of images by the ends of their names.
const IMAGES: [(&str, &str); 6] = [
    (".png", "image/png"),
    (".webp", "image/webp"),
    (".gif", "image/gif"),
    (".heic", "image/heic"),
    (".heif", "image/heif"),
    (".jpg", JPEG),
];

const JPEG: &str = "image/jpeg";

/// What one role says in a row.
#[derive(Serialize)]
pub(super) struct Turn<'a> {
    role: &'static str,
    parts: Vec<WirePart<'a>>,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct WirePart<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    thought: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    inline_data: Option<InlineData<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_data: Option<FileData<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<FunctionCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_response: Option<FunctionResponse<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thought_signature: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InlineData<'a> {
    mime_type: &'a str,
    data: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileData<'a> {
    mime_type: &'static str,
    file_uri: &'a str,
}

#[derive(Serialize)]
struct FunctionCall<'a> {
    id: &'a str,
    name: &'a str,
    args: Box<RawValue>,
}

#[derive(Serialize)]
struct FunctionResponse<'a> {
    id: &'a str,
    name: &'a str,
    response: Option<Json>,
}

impl<'a> WirePart<'a> {
    pub(super) fn text(text: &'a str) -> Self {
        Self { text: Some(text), ..Self::default() }
    }
}

/// The turns of `chat`, but for its system messages. `signs_all` is for models that take no call without a signature.
pub(super) fn turns(chat: &Chat, signs_all: bool) -> Vec<Turn<'_>> {
    let mut writer = Writer { turns: Vec::new(), names: HashMap::new(), signs_all };
    for message in chat.spoken() {
        match message.role {
            Role::Assistant => writer.write_model(message),
            Role::System | Role::User | Role::Tool => writer.write_user(message),
        }
    }
    writer.turns
}

/// A conversation of one text.
pub(super) fn only(text: &str) -> Vec<Turn<'_>> {
    vec![Turn { role: USER, parts: vec![WirePart::text(text)] }]
}

const USER: &str = "user";

struct Writer<'a> {
    turns: Vec<Turn<'a>>,
    /// The tools of the calls so far, by the ids of these.
    names: HashMap<&'a str, &'a str>,
    signs_all: bool,
}

impl<'a> Writer<'a> {
    fn push(&mut self, role: &'static str, item: WirePart<'a>) {
        match self.turns.last_mut() {
            Some(turn) if turn.role == role => turn.parts.push(item),
            _ => self.turns.push(Turn { role, parts: vec![item] }),
        }
    }

    fn write_user(&mut self, message: &'a Message) {
        for part in &message.parts {
            if let Part::ToolResult(result) = part {
                let response = self.response(result);
                self.push(USER, WirePart { function_response: Some(response), ..Default::default() });
            }
        }
        // What a tool shows, and what else is said, comes behind all results.
        for part in &message.parts {
            match part {
                Part::ToolResult(result) => {
                    let images = result.parts.iter().filter(|part| matches!(part, Part::Image(_)));
                    images.filter_map(item).for_each(|image| self.push(USER, image));
                }
                said => item(said).into_iter().for_each(|item| self.push(USER, item)),
            }
        }
    }

    fn response(&self, result: &'a ToolResult) -> FunctionResponse<'a> {
        let text = result.text();
        let response = match Json::parse(text.as_ref()).filter(|json| json.get().starts_with('{')) {
            Some(object) if !result.is_error => Some(object),
            _ => wrapped(if result.is_error { "error" } else { "output" }, &text),
        };
        // A result of no known call is refused by its name.
        let name = self.names.get(result.call_id.as_str()).copied().unwrap_or(&result.call_id);
        FunctionResponse { id: &result.call_id, name, response }
    }

    fn write_model(&mut self, message: &'a Message) {
        const MODEL: &str = "model";
        let mut is_first = true;
        for part in &message.parts {
            match part {
                Part::ToolCall(call) => {
                    self.names.insert(&call.id, &call.name);
                    let signature = call.signature.as_deref();
                    let thought_signature =
                        signature.or((is_first && self.signs_all).then_some(NO_SIGNATURE));
                    is_first = false;
                    let function_call = Some(function_call(call));
                    let part = WirePart { function_call, thought_signature, ..Default::default() };
                    self.push(MODEL, part);
                }
                Part::Reasoning(thought) => {
                    if let Some(signature) = own_signature(thought) {
                        self.write_thought(MODEL, &thought.text, signature);
                    }
                }
                said => item(said).into_iter().for_each(|item| self.push(MODEL, item)),
            }
        }
    }

    /// A signed thought; a signature alone belongs to the text before it.
    fn write_thought(&mut self, role: &'static str, text: &'a str, signature: &'a str) {
        let thought_signature = Some(signature);
        if !text.is_empty() {
            let part = WirePart { thought: true, thought_signature, ..WirePart::text(text) };
            return self.push(role, part);
        }
        let last =
            self.turns.last_mut().filter(|turn| turn.role == role).and_then(|turn| turn.parts.last_mut());
        if let Some(part) = last
            && part.text.is_some()
        {
            part.thought_signature = thought_signature;
        }
    }
}

/// The signature of a thought, where it is Gemini's: the last, where several came in a row.
pub(super) fn own_signature(thought: &Reasoning) -> Option<&str> {
    let signatures = thought.signature.as_deref()?.strip_prefix(SIGNATURE_MARK)?;
    signatures.rsplit(SIGNATURE_MARK).next()
}

/// Text or an image; `None` for what is empty or written elsewhere.
fn item(part: &Part) -> Option<WirePart<'_>> {
    match part {
        Part::Text(text) | Part::Refusal(text) if text.is_empty() => None,
        Part::Text(text) | Part::Refusal(text) => Some(WirePart::text(text)),
        Part::Image(Image { source, .. }) => Some(image(source)),
        Part::Foreign(_) | Part::Reasoning(_) | Part::ToolCall(_) | Part::ToolResult(_) => None,
    }
}

fn image(source: &ImageSource) -> WirePart<'_> {
    match source {
        ImageSource::Data { media_type, base64 } => WirePart {
            inline_data: Some(InlineData { mime_type: media_type, data: base64 }),
            ..WirePart::default()
        },
        ImageSource::Url(url) => {
            let path = url.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
            let known = IMAGES.iter().find(|(end, _)| path.ends_with(end));
            let mime_type = known.map_or(JPEG, |(_, mime_type)| mime_type);
            WirePart { file_data: Some(FileData { mime_type, file_uri: url }), ..WirePart::default() }
        }
    }
}

fn function_call(call: &ToolCall) -> FunctionCall<'_> {
    FunctionCall { id: &call.id, name: &call.name, args: objects::arguments(&call.arguments) }
}

/// An object that holds nothing but `text`.
fn wrapped(field: &str, text: &str) -> Option<Json> {
    Json::of(&HashMap::from([(field, text)]))
}
