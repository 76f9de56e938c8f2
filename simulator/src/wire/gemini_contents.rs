//! The contents of a Gemini request: which parts they may have, and how calls and responses follow each other.
//!
//! Calls have no ids that could be relied on: responses belong to the calls of the turn before by name and number. The
//! newer models want back the signature they gave with a call.

use serde_json::{Map, Value};

use super::Refusal;
use super::content::SIGNATURE_PREFIX;
use super::gemini::invalid;
use super::gemini_rules::{camel_case, get, misfitting, violation};
use super::shape::{self, Kind};
use crate::answer::{count_words, image_of_data, image_of_url};
use crate::base64;
use crate::provider::Provider;

const CONTENT_FIELDS: &[(&str, Kind)] = &[("role", Kind::Text), ("parts", Kind::List)];
const PART_FIELDS: &[(&str, Kind)] = &[
    ("text", Kind::Text),
    ("thought", Kind::Bool),
    ("thoughtSignature", Kind::Text),
    ("inlineData", Kind::Object),
    ("fileData", Kind::Object),
    ("functionCall", Kind::Object),
    ("functionResponse", Kind::Object),
    ("executableCode", Kind::Object),
    ("codeExecutionResult", Kind::Object),
    ("videoMetadata", Kind::Object),
    ("mediaResolution", Kind::Object),
];
/// Of these a part has exactly one.
const PART_DATA: &[&str] = &[
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
];
const CALL_FIELDS: &[(&str, Kind)] = &[("id", Kind::Text), ("name", Kind::Text), ("args", Kind::Object)];
const RESPONSE_FIELDS: &[(&str, Kind)] = &[
    ("id", Kind::Text),
    ("name", Kind::Text),
    ("response", Kind::Object),
    ("parts", Kind::List),
    ("scheduling", Kind::Text),
    ("willContinue", Kind::Bool),
];
const INLINE_FIELDS: &[(&str, Kind)] =
    &[("mimeType", Kind::Text), ("data", Kind::Text), ("displayName", Kind::Text)];
const FILE_FIELDS: &[(&str, Kind)] =
    &[("mimeType", Kind::Text), ("fileUri", Kind::Text), ("displayName", Kind::Text)];
const IMAGE_TYPES: &[&str] = &["image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"];
/// What stands for a signature that is not there, by itself or in base64.
const SKIPPED_SIGNATURE: &str = "skip_thought_signature_validator";
/// Models that want signatures back.
const MODELS_WITH_SIGNATURES: &str = "gemini-3";
/// Fields in which the result of a function is usually wrapped.
const RESULT_FIELDS: [&str; 2] = ["output", "result"];

/// What the contents say.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    /// Contents before the last one of the user.
    pub(super) history: usize,
    /// Text of the last content of the user.
    pub(super) text: String,
    pub(super) words: usize,
    /// Images of the last content of the user.
    pub(super) images: Vec<String>,
    /// Name and text of the responses the request ends with.
    pub(super) results: Vec<(String, String)>,
}

/// One content.
#[derive(Debug, Default)]
struct Turn {
    is_model: bool,
    text: String,
    words: usize,
    images: Vec<String>,
    /// Names of the functions called.
    calls: Vec<String>,
    /// Name and text of each response.
    responses: Vec<(String, String)>,
}

/// Checks the contents.
pub(super) fn read(contents: &[Value], model: &str, provider: Provider) -> Result<Conversation, Refusal> {
    if contents.is_empty() {
        return Err(violation("contents", "contents is not specified"));
    }
    let mut turns: Vec<Turn> = Vec::with_capacity(contents.len());
    for (index, content) in contents.iter().enumerate() {
        let path = format!("contents[{index}]");
        let (role, parts) = parts_of(content, &path)?;
        // Only a single turn may leave its role out, and none on Vertex AI.
        let is_optional = contents.len() == 1 && provider != Provider::Vertex;
        if !matches!(role, Some("user" | "model")) && (role.is_some() || !is_optional) {
            return Err(invalid("Please use a valid role: user, model."));
        }
        let mut turn = Turn { is_model: role == Some("model"), ..Turn::default() };
        for (position, part) in parts.iter().enumerate() {
            read_part(&mut turn, part, &format!("{path}.parts[{position}]"), model)?;
        }
        turn.words += count_words(&turn.text);
        check_link(turns.last(), &turn)?;
        turns.push(turn);
    }
    check_link(turns.last(), &Turn::default())?;
    let history = turns.iter().rposition(|turn| !turn.is_model).unwrap_or(turns.len());
    let words = turns.iter().map(|turn| turn.words).sum();
    let results = match (turns.last(), turns.len().checked_sub(2).and_then(|before| turns.get(before))) {
        (Some(last), Some(before)) if last.text.is_empty() => in_call_order(&before.calls, &last.responses),
        _ => Vec::new(),
    };
    let user = turns.into_iter().nth(history).unwrap_or_default();
    Ok(Conversation { history, text: user.text, words, images: user.images, results })
}

/// The text of a content that is not part of a conversation.
pub(super) fn text_only(content: &Value, path: &str) -> Result<String, Refusal> {
    let (_, parts) = parts_of(content, path)?;
    let mut turn = Turn::default();
    for (position, part) in parts.iter().enumerate() {
        read_part(&mut turn, part, &format!("{path}.parts[{position}]"), "")?;
    }
    Ok(turn.text)
}

/// Role and parts of a content.
fn parts_of<'a>(content: &'a Value, path: &str) -> Result<(Option<&'a str>, &'a [Value]), Refusal> {
    let Value::Object(fields) = content else {
        return Err(invalid(&format!("Invalid value at '{path}' (expected an object), {content}")));
    };
    shape::check(fields, CONTENT_FIELDS, camel_case).map_err(|misfit| misfitting(misfit, path))?;
    let parts = get(fields, "parts").and_then(Value::as_array).filter(|parts| !parts.is_empty());
    let parts =
        parts.ok_or_else(|| violation(&format!("{path}.parts"), "contents.parts must not be empty."))?;
    Ok((get(fields, "role").and_then(Value::as_str), parts))
}

/// The calls of `before` and the responses of `turn`, which follows it, must be the same.
fn check_link(before: Option<&Turn>, turn: &Turn) -> Result<(), Refusal> {
    let calls = before.map(|before| before.calls.as_slice()).unwrap_or_default();
    if !turn.responses.is_empty() && calls.is_empty() {
        return Err(invalid(
            "Please ensure that function response turn comes immediately after a function call turn.",
        ));
    }
    if turn.responses.len() != calls.len() {
        return Err(invalid(
            "Please ensure that the number of function response parts is equal to the number of function call parts \
             of the function call turn.",
        ));
    }
    let count = |name: &str| calls.iter().filter(|call| *call == name).count();
    let answered = |name: &str| turn.responses.iter().filter(|(answered, _)| answered == name).count();
    if let Some((name, _)) = turn.responses.iter().find(|(name, _)| count(name) != answered(name)) {
        return Err(invalid(&format!(
            "The function response {name} does not belong to a function call of the function call turn."
        )));
    }
    if !turn.calls.is_empty() && before.is_none_or(|before| before.is_model) {
        return Err(invalid(
            "Please ensure that function call turn comes immediately after a user turn or after a function response \
             turn.",
        ));
    }
    Ok(())
}

/// Name and text of each response, in the order of the calls.
fn in_call_order(calls: &[String], responses: &[(String, String)]) -> Vec<(String, String)> {
    let mut left = responses.to_vec();
    let mut next = |name: &String| {
        let position = left.iter().position(|(answered, _)| answered == name)?;
        Some(left.remove(position))
    };
    calls.iter().filter_map(&mut next).collect()
}

/// Checks one part and adds what it says to the turn.
fn read_part(turn: &mut Turn, part: &Value, path: &str, model: &str) -> Result<(), Refusal> {
    let Value::Object(fields) = part else {
        return Err(invalid(&format!("Invalid value at '{path}' (expected an object), {part}")));
    };
    shape::check(fields, PART_FIELDS, camel_case).map_err(|misfit| misfitting(misfit, path))?;
    let given = |name: &&&str| get(fields, name).is_some_and(|value| !value.is_null());
    let mut data = PART_DATA.iter().filter(given);
    let text = get(fields, "text").and_then(Value::as_str).unwrap_or_default();
    let signature = get(fields, "thoughtSignature").and_then(Value::as_str);
    let kind = match (data.next(), data.next()) {
        // An empty text is a part when it carries a signature.
        (Some(&"text"), None) if text.is_empty() && signature.is_none() => None,
        (Some(kind), None) => Some(*kind),
        _ => None,
    };
    let Some(kind) = kind else {
        let problem = "required oneof field 'data' must have one initialized field";
        return Err(violation(&format!("{path}.data"), problem));
    };
    if let Some(signature) = signature {
        check_signature(signature, path)?;
    }
    let no_fields = Map::new();
    let inner = get(fields, kind).and_then(Value::as_object).unwrap_or(&no_fields);
    match kind {
        "text" if get(fields, "thought") == Some(&Value::Bool(true)) => {}
        "text" => turn.text.push_str(text),
        "inlineData" => turn.images.push(inline_data(inner, path)?),
        "fileData" => turn.images.push(file_data(inner, path)?),
        "functionCall" => {
            let name = function_name(inner, CALL_FIELDS, &format!("{path}.function_call"))?;
            if !turn.is_model {
                return Err(invalid("Function calls are only allowed in turns of the model."));
            }
            let is_first = turn.calls.is_empty();
            if is_first && signature.is_none() && model.starts_with(MODELS_WITH_SIGNATURES) {
                return Err(invalid(&format!(
                    "Function call is missing a thought_signature in functionCall parts. This is required for tools \
                     to work correctly. Additional data, function call `{name}` at {path}."
                )));
            }
            turn.calls.push(name);
        }
        "functionResponse" => {
            let path = format!("{path}.function_response");
            let name = function_name(inner, RESPONSE_FIELDS, &path)?;
            if turn.is_model {
                return Err(invalid("Function responses are only allowed in turns of the user."));
            }
            let response = get(inner, "response").and_then(Value::as_object);
            let Some(response) = response else {
                return Err(violation(&format!("{path}.response"), "Struct must be set."));
            };
            let text = result_text(response);
            turn.words += count_words(&text);
            turn.responses.push((name, text));
        }
        _ => {}
    }
    Ok(())
}

/// The name of a called function whose fields are all known.
fn function_name(fields: &Map<String, Value>, known: &[(&str, Kind)], path: &str) -> Result<String, Refusal> {
    shape::check(fields, known, camel_case).map_err(|misfit| misfitting(misfit, path))?;
    let name = get(fields, "name").and_then(Value::as_str).unwrap_or_default();
    if name.is_empty() {
        return Err(violation(&format!("{path}.name"), "Name cannot be empty."));
    }
    Ok(name.to_owned())
}

/// What a function answered: its output, or all of it.
fn result_text(response: &Map<String, Value>) -> String {
    let output = RESULT_FIELDS.iter().find_map(|name| response.get(*name)).filter(|_| response.len() == 1);
    match output {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => Value::Object(response.clone()).to_string(),
    }
}

/// A signature is one of ours, or the one that stands for none.
fn check_signature(signature: &str, path: &str) -> Result<(), Refusal> {
    let decoded = bytes(signature);
    let is_ours = |bytes: &[u8]| {
        bytes.starts_with(SIGNATURE_PREFIX.as_bytes()) || bytes == SKIPPED_SIGNATURE.as_bytes()
    };
    match decoded {
        None => Err(not_base64(&format!("{path}.thought_signature"), signature)),
        Some(bytes) if signature == SKIPPED_SIGNATURE || is_ours(&bytes) => Ok(()),
        Some(_) => Err(invalid("Corrupted thought signature.")),
    }
}

fn inline_data(fields: &Map<String, Value>, path: &str) -> Result<String, Refusal> {
    let path = format!("{path}.inline_data");
    shape::check(fields, INLINE_FIELDS, camel_case).map_err(|misfit| misfitting(misfit, &path))?;
    let text = |name: &str| get(fields, name).and_then(Value::as_str).unwrap_or_default();
    let mime_type = text("mimeType");
    let is_known = !mime_type.starts_with("image/") || IMAGE_TYPES.contains(&mime_type);
    if !is_known || !mime_type.contains('/') {
        return Err(invalid(&format!("Unsupported MIME type: {mime_type}")));
    }
    let data = text("data");
    bytes(data)
        .and_then(|bytes| image_of_data(mime_type, &base64::encode(&bytes)))
        .ok_or_else(|| not_base64(&format!("{path}.data"), data))
}

/// A file is named by its address; plain HTTP is none that could be fetched.
fn file_data(fields: &Map<String, Value>, path: &str) -> Result<String, Refusal> {
    let path = format!("{path}.file_data");
    shape::check(fields, FILE_FIELDS, camel_case).map_err(|misfit| misfitting(misfit, &path))?;
    let uri = get(fields, "fileUri").and_then(Value::as_str).unwrap_or_default();
    let is_supported = uri.starts_with("gs://") || uri.starts_with("https://");
    image_of_url(uri)
        .filter(|_| is_supported)
        .ok_or_else(|| invalid(&format!("Invalid or unsupported file uri: {uri}")))
}

/// Bytes of either alphabet of base64, with or without padding.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=').replace('-', "+").replace('_', "/");
    let padding = "=".repeat(text.len().next_multiple_of(4) - text.len());
    base64::decode(&format!("{text}{padding}"))
}

fn not_base64(path: &str, value: &str) -> Refusal {
    let start: String = value.chars().take(32).collect();
    invalid(&format!("Invalid value at '{path}' (TYPE_BYTES), Base64 decoding failed for \"{start}\""))
}
