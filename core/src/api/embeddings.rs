//! OpenAI embeddings: `POST /v1/embeddings`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::fields::{Fields, invalid, invalid_field, read_as};
use super::{Asked, Format, Request, Session};
use crate::chat::Options;
use crate::dialect::Wire;
use crate::embedding::{Embedded, Embedding, Encoding, Input};
use crate::error::GatewayError;
use crate::failure::{Failure, FailureKind};
use crate::json::{self, Json};
use crate::native::Native;
use crate::task::Task;

/// Most texts in one request, as OpenAI has it.
const MAX_INPUTS: usize = 2_048;

/// Reads a request body.
///
/// # Errors
/// `OPTION_ERROR` that names the field.
pub(super) fn read(body: Vec<u8>) -> Result<Request, GatewayError> {
    let body = String::from_utf8(body).map_err(|_| invalid("the request body is not UTF-8"))?;
    let mut fields = Fields::parse(&body)?;
    let places = fields.places(&body);
    let asked = Asked { model: fields.take("model")?, models: fields.take("models")?, route: None };
    asked.check()?;
    let input = read_input(fields.require("input")?)?;
    let encoding = match fields.take::<String>("encoding_format")?.as_deref() {
        None | Some("float") => Encoding::Float,
        Some("base64") => Encoding::Base64,
        Some(other) => {
            let message = format!("encoding_format is \"{other}\"; it must be float or base64");
            return Err(invalid_field("encoding_format", message));
        }
    };
    let options = Options {
        dimensions: fields.take("dimensions")?,
        user: fields.take("user")?,
        unknown: fields.rest(),
        ..Options::default()
    };
    let native = Native::new(Wire::Openai, body, places);
    Ok(Request {
        format: Format::Embeddings,
        task: Task::Embed(Box::new(Embedding { input, options, encoding, native })),
        asked,
        session: Session::None,
        resume: None,
    })
}

/// A text, a list of texts, or tokens in either way.
fn read_input(input: &RawValue) -> Result<Input, GatewayError> {
    let missing = || invalid_field("input", "input is empty");
    if input.get().starts_with('"') {
        let text: String = read_as("input", input.get())?.ok_or_else(missing)?;
        return Ok(Input::Texts(vec![text]));
    }
    let items: Vec<&RawValue> = read_as("input", input.get())?.ok_or_else(missing)?;
    if items.len() > MAX_INPUTS && items.first().is_some_and(|item| !is_number(item)) {
        return Err(invalid_field("input", format!("input has more than {MAX_INPUTS} entries")));
    }
    match items.first() {
        None => Err(missing()),
        Some(item) if is_number(item) => Ok(Input::Tokens(items.len())),
        Some(item) if item.get().starts_with('[') => {
            let lists: Vec<Vec<u64>> = read_as("input", input.get())?.ok_or_else(missing)?;
            Ok(Input::Tokens(lists.iter().map(Vec::len).sum()))
        }
        Some(_) => Ok(Input::Texts(read_as("input", input.get())?.ok_or_else(missing)?)),
    }
}

fn is_number(item: &RawValue) -> bool {
    item.get().starts_with(|c: char| c.is_ascii_digit())
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Item<'a>>,
    model: &'a str,
    usage: WireUsage,
}

#[derive(Serialize)]
struct Item<'a> {
    object: &'static str,
    index: usize,
    embedding: Numbers<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Numbers<'a> {
    Float(&'a Json),
    Base64(String),
}

#[derive(Serialize)]
struct WireUsage {
    prompt_tokens: u64,
    total_tokens: u64,
}

/// The body for a client, of vectors that a provider of another format gave.
///
/// # Errors
/// [`FailureKind::Malformed`] for a vector that is no list of numbers.
pub fn write(model: &str, embedded: &Embedded, encoding: Encoding) -> Result<Vec<u8>, Failure> {
    let items = embedded.vectors.iter().enumerate().map(|(index, vector)| {
        let embedding = match encoding {
            Encoding::Float => Numbers::Float(vector),
            Encoding::Base64 => Numbers::Base64(encode(vector)?),
        };
        Ok(Item { object: "embedding", index, embedding })
    });
    let data = items.collect::<Result<_, Failure>>()?;
    let read = embedded.usage.unwrap_or_default().input;
    let usage = WireUsage { prompt_tokens: read, total_tokens: read };
    let mut body = Vec::new();
    json::write(&mut body, &List { object: "list", data, model, usage });
    Ok(body)
}

fn encode(vector: &Json) -> Result<String, Failure> {
    #[derive(Deserialize)]
    struct Floats(Vec<f32>);
    let Floats(floats) = serde_json::from_str(vector.get())
        .map_err(|_| Failure::new(FailureKind::Malformed, "sent a vector that is no list of numbers"))?;
    let bytes: Vec<u8> = floats.into_iter().flat_map(f32::to_le_bytes).collect();
    Ok(STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Usage;

    fn input(body: &str) -> Result<Input, String> {
        match read(body.into()).map_err(|error| error.message)?.task {
            Task::Embed(embedding) => Ok(embedding.input),
            Task::Chat(_) => panic!("a chat"),
        }
    }

    #[test]
    fn input_is_texts_or_tokens() {
        let texts = |texts: &[&str]| Ok(Input::Texts(texts.iter().map(|text| (*text).to_owned()).collect()));
        assert_eq!(input(r#"{"model":"m","input":"a"}"#), texts(&["a"]));
        assert_eq!(input(r#"{"model":"m","input":["a","b"]}"#), texts(&["a", "b"]));
        assert_eq!(input(r#"{"model":"m","input":[1,2,3]}"#), Ok(Input::Tokens(3)));
        assert_eq!(input(r#"{"model":"m","input":[[1],[2,3]]}"#), Ok(Input::Tokens(3)));
        for (body, words) in [
            (r#"{"model":"m"}"#, "input is missing"),
            (r#"{"model":"m","input":[]}"#, "input is empty"),
            (r#"{"model":"m","input":["a",1]}"#, "expected a string"),
            (r#"{"model":"m","input":7}"#, "expected a sequence"),
            (r#"{"model":"m","input":"a","encoding_format":"int8"}"#, "int8"),
        ] {
            let message = input(body).unwrap_err();
            assert!(message.contains(words), "{body}: {message}");
        }
    }

    #[test]
    fn vectors_are_written_as_the_client_wants_them() {
        let vectors = vec![Json::parse("[1.0,-0.5]").unwrap()];
        let embedded = Embedded { vectors, usage: Some(Usage { input: 3, ..Usage::default() }) };
        let body = |encoding| String::from_utf8(write("m", &embedded, encoding).unwrap()).unwrap();
        assert_eq!(
            body(Encoding::Float),
            r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[1.0,-0.5]}],"model":"m","usage":{"prompt_tokens":3,"total_tokens":3}}"#
        );
        assert!(
            body(Encoding::Base64).contains(r#""embedding":"AACAPwAAAL8=""#),
            "{}",
            body(Encoding::Base64)
        );
        let wrong = Embedded { vectors: vec![Json::parse("{}").unwrap()], usage: None };
        assert_eq!(write("m", &wrong, Encoding::Base64).unwrap_err().kind, FailureKind::Malformed);
    }
}
