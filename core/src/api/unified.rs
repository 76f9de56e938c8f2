//! The unified prompt API: `POST /api/v1/prompt` and `/api/v1/stream`, as Platformatic AI Warp has it.

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::Outcome;
use crate::chat::{Chat, Message, Role};
use crate::config::{Gateway, RouteModel, Strategy};
use crate::error::{ErrorCode, GatewayError};
use crate::sse;
use crate::sync::HistoryTurn;

/// Highest temperature any provider knows.
const MAX_TEMPERATURE: f64 = 2.0;

/// Most models one request may list.
pub const MAX_MODELS: usize = 32;

/// Longest message about a request that is not valid, in bytes: it may quote what the client sent.
const MAX_MESSAGE: usize = 500;

/// A request that is well formed; whether its models exist is [`select`](Self::select)'s to say.
#[derive(Debug, Clone, PartialEq)]
pub struct PromptRequest {
    /// The prompt.
    pub prompt: String,
    /// The system prompt: a string as it is, any other JSON as its compact text.
    pub context: Option<String>,
    /// Sampling temperature, 0 to 2.
    pub temperature: Option<f64>,
    /// Most tokens to generate.
    pub max_tokens: Option<u32>,
    /// Earlier turns, told by the client.
    pub history: Option<Vec<HistoryTurn>>,
    /// Earlier turns, remembered by the gateway.
    pub session_id: Option<Uuid>,
    /// `provider:model`, in the order in which to try them.
    pub models: Option<Vec<String>>,
    /// The route to take, where it is not the default one.
    pub route: Option<String>,
    /// Whether the answer is wanted as a stream.
    pub stream: bool,
}

/// The body as it is on the wire. Unknown fields are ignored, as AI Warp does.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    prompt: String,
    #[serde(borrow)]
    context: Option<&'a RawValue>,
    temperature: Option<f64>,
    max_tokens: Option<u32>,
    history: Option<Vec<HistoryTurn>>,
    session_id: Option<String>,
    models: Option<Vec<ModelRef>>,
    route: Option<String>,
    stream: Option<bool>,
}

/// The models that a request may use, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Which.
    pub models: Vec<RouteModel>,
    /// In which order.
    pub strategy: Strategy,
    /// Whether the least bad of them is tried where all of them rest.
    pub graceful_degradation: bool,
}

/// `"provider:model"` or `{provider, model}`.
struct ModelRef(String);

impl PromptRequest {
    /// Reads a request body.
    ///
    /// # Errors
    /// `OPTION_ERROR` that names what is wrong.
    pub fn parse(body: &[u8]) -> Result<Self, GatewayError> {
        let body: Body<'_> = serde_json::from_slice(body).map_err(|error| {
            invalid(if error.is_data() {
                format!("the request is not valid: {error}")
            } else {
                format!("the request body is not valid JSON: {error}")
            })
        })?;
        if body.prompt.is_empty() {
            return Err(invalid("prompt is empty"));
        }
        if let Some(temperature) = body.temperature
            && !(0.0..=MAX_TEMPERATURE).contains(&temperature)
        {
            return Err(invalid(format!("temperature is {temperature}; it must be 0 to {MAX_TEMPERATURE}")));
        }
        if body.max_tokens == Some(0) {
            return Err(invalid("maxTokens must be at least 1"));
        }
        if body.history.is_some() && body.session_id.is_some() {
            return Err(invalid("history and sessionId exclude each other"));
        }
        let session_id = match body.session_id {
            Some(text) => Some(Uuid::try_parse(&text).map_err(|_| unknown_session())?),
            None => None,
        };
        let models = body.models.map(|models| models.into_iter().map(|model| model.0).collect::<Vec<_>>());
        if models.as_ref().is_some_and(|models| models.len() > MAX_MODELS) {
            return Err(invalid(format!("models has more than {MAX_MODELS} entries")));
        }
        if models.as_ref().is_some_and(Vec::is_empty) {
            return Err(invalid("models is empty; name at least one or leave it out"));
        }
        if models.is_some() && body.route.is_some() {
            return Err(invalid("models and route exclude each other"));
        }
        Ok(Self {
            prompt: body.prompt,
            context: body.context.map(context_text),
            temperature: body.temperature,
            max_tokens: body.max_tokens,
            history: body.history,
            session_id,
            models,
            route: body.route,
            stream: body.stream.unwrap_or(false),
        })
    }

    /// The models to try: those the request lists, in its order, or those of its route.
    ///
    /// # Errors
    /// `OPTION_ERROR` for a model or route that is not configured.
    pub fn select(&self, gateway: &Gateway) -> Result<Selection, GatewayError> {
        let route = match &self.route {
            Some(name) => gateway.routes.iter().find(|route| route.name == *name),
            None => gateway.routes.first(),
        };
        let Some(route) = route else {
            let name = self.route.as_deref().unwrap_or_default();
            return Err(invalid(format!("route \"{name}\" is not configured")));
        };
        let graceful_degradation = route.graceful_degradation;
        let Some(listed) = &self.models else {
            return Ok(Selection {
                models: route.models.clone(),
                strategy: route.strategy,
                graceful_degradation,
            });
        };
        let resolve = |id: &String| match gateway.model_index(id) {
            Some(model) => Ok(RouteModel { model, weight: 1 }),
            None => Err(invalid(format!("model \"{id}\" is not configured"))),
        };
        let models = listed.iter().map(resolve).collect::<Result<_, _>>()?;
        Ok(Selection { models, strategy: Strategy::Ordered, graceful_degradation })
    }

    /// The conversation to send: `remembered` turns of the session, or the client's own history, then the prompt.
    pub fn into_chat(self, remembered: Vec<HistoryTurn>) -> Chat {
        let earlier = self.history.unwrap_or(remembered);
        let mut messages = Vec::with_capacity(earlier.len() * 2 + 1);
        for turn in earlier {
            messages.push(Message { role: Role::User, text: turn.prompt });
            messages.push(Message { role: Role::Assistant, text: turn.response });
        }
        messages.push(Message { role: Role::User, text: self.prompt });
        Chat { system: self.context, messages, temperature: self.temperature, max_tokens: self.max_tokens }
    }
}

/// The error for a session that is not there, whatever the reason.
pub fn unknown_session() -> GatewayError {
    invalid("sessionId is unknown")
}

fn invalid(message: impl Into<String>) -> GatewayError {
    let mut message = message.into();
    message.truncate(message.floor_char_boundary(MAX_MESSAGE));
    GatewayError::new(ErrorCode::OptionError, message)
}

fn context_text(context: &RawValue) -> String {
    match serde_json::from_str::<String>(context.get()) {
        Ok(text) => text,
        Err(_) => compact(context.get()),
    }
}

/// Valid JSON without the white space between its tokens. Order and spelling stay as the client wrote them.
fn compact(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for c in json.chars() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if c.is_ascii_whitespace() {
            continue;
        } else {
            in_string = c == '"';
        }
        text.push(c);
    }
    text
}

impl<'de> Deserialize<'de> for ModelRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Parts {
            provider: String,
            model: String,
        }

        struct ModelVisitor;

        impl<'de> Visitor<'de> for ModelVisitor {
            type Value = ModelRef;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a model: \"provider:model\" or {\"provider\", \"model\"}")
            }

            fn visit_str<E: de::Error>(self, id: &str) -> Result<ModelRef, E> {
                Ok(ModelRef(id.to_owned()))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<ModelRef, A::Error> {
                let parts = Parts::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(ModelRef(format!("{}:{}", parts.provider, parts.model)))
            }
        }

        deserializer.deserialize_any(ModelVisitor)
    }
}

/// An answer, whole or as the end of a stream.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PromptAnswer<'a> {
    /// What the model said.
    pub text: &'a str,
    /// How it ended.
    pub result: Outcome,
    /// The session this turn belongs to; absent where sessions are off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<Uuid>,
    /// `false` where the turn could not be stored in time; absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored: Option<bool>,
}

impl PromptAnswer<'_> {
    /// The JSON body.
    pub fn body(&self) -> Vec<u8> {
        // A struct of strings and numbers has no way to fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Envelope<T> {
    response: T,
}

fn write_json<T: Serialize>(out: &mut Vec<u8>, value: &T) {
    // As above: nothing here can fail, and what is written stays on one line.
    let _ = serde_json::to_writer(out, value);
}

/// Appends a `content` event.
pub fn write_content(out: &mut Vec<u8>, id: Uuid, text: &str) {
    sse::write_event(out, id, "content", |out| write_json(out, &Envelope { response: text }));
}

/// Appends the `end` event.
pub fn write_end(out: &mut Vec<u8>, id: Uuid, answer: &PromptAnswer<'_>) {
    sse::write_event(out, id, "end", |out| write_json(out, &Envelope { response: answer }));
}

/// Appends the `error` event, after which no `end` comes.
pub fn write_error(out: &mut Vec<u8>, id: Uuid, error: &GatewayError) {
    sse::write_event(out, id, "error", |out| write_json(out, error));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<PromptRequest, String> {
        PromptRequest::parse(body.as_bytes()).map_err(|error| {
            assert_eq!(error.code, ErrorCode::OptionError, "{body}");
            error.message
        })
    }

    #[test]
    fn reads_every_field() {
        let request = parse(
            r#"{"prompt":"p","context":"c","temperature":0.5,"maxTokens":9,"stream":true,"resume":false,
                "history":[{"prompt":"a","response":"b"}],"models":["openai:m",{"provider":"gemini","model":"g"}]}"#,
        )
        .unwrap();
        assert_eq!(
            request.models.as_deref(),
            Some(["openai:m".to_owned(), "gemini:g".to_owned()].as_slice())
        );
        assert!(request.stream);
        let chat = request.into_chat(Vec::new());
        assert_eq!(
            (chat.system.as_deref(), chat.temperature, chat.max_tokens),
            (Some("c"), Some(0.5), Some(9))
        );
        let said: Vec<_> = chat.messages.iter().map(|m| (m.role, m.text.as_str())).collect();
        assert_eq!(said, [(Role::User, "a"), (Role::Assistant, "b"), (Role::User, "p")]);
    }

    #[test]
    fn a_context_of_json_is_sent_as_its_compact_text() {
        for (context, expected) in [
            (r#""plain \"text\"""#, r#"plain "text""#),
            (
                r#"{ "b" : [ 1, 2.50 ],  "a b" : "x \" y" , "c":"\\" }"#,
                r#"{"b":[1,2.50],"a b":"x \" y","c":"\\"}"#,
            ),
            ("[ true ]", "[true]"),
            ("7", "7"),
        ] {
            let request = parse(&format!(r#"{{"prompt":"p","context":{context}}}"#)).unwrap();
            assert_eq!(request.context.as_deref(), Some(expected));
        }
        assert_eq!(parse(r#"{"prompt":"p","context":null}"#).unwrap().context, None);
    }

    #[test]
    fn says_what_is_wrong() {
        for (body, expected) in [
            ("", "not valid JSON"),
            ("{", "not valid JSON"),
            ("[]", "the request is not valid"),
            ("{}", "missing field `prompt`"),
            (r#"{"prompt":5}"#, "invalid type: integer `5`, expected a string"),
            (r#"{"prompt":""}"#, "prompt is empty"),
            (r#"{"prompt":"p","temperature":"hot"}"#, "expected f64"),
            (r#"{"prompt":"p","temperature":3}"#, "temperature is 3"),
            (r#"{"prompt":"p","maxTokens":0}"#, "maxTokens"),
            (r#"{"prompt":"p","maxTokens":-1}"#, "expected u32"),
            (r#"{"prompt":"p","history":[{"prompt":"a"}]}"#, "missing field `response`"),
            (r#"{"prompt":"p","models":[]}"#, "models is empty"),
            (r#"{"prompt":"p","models":[7]}"#, "expected a model"),
            (r#"{"prompt":"p","models":[{"provider":"x"}]}"#, "missing field `model`"),
            (r#"{"prompt":"p","sessionId":"nope"}"#, "sessionId is unknown"),
            (
                r#"{"prompt":"p","history":[],"sessionId":"6e0a7d43-2e0c-4b3a-8d4b-6f0c0e9f0001"}"#,
                "history and sessionId exclude each other",
            ),
        ] {
            let message = parse(body).unwrap_err();
            assert!(message.contains(expected), "{body}: {message}");
        }
    }

    #[test]
    fn events_are_one_line_of_json() {
        let mut out = Vec::new();
        write_content(&mut out, Uuid::nil(), "a\n\"b\" 世界");
        write_end(
            &mut out,
            Uuid::nil(),
            &PromptAnswer {
                text: "t",
                result: Outcome::Complete,
                session_id: Some(Uuid::nil()),
                stored: None,
            },
        );
        write_error(&mut out, Uuid::nil(), &GatewayError::new(ErrorCode::ProviderResponseError, "cut"));
        insta::assert_snapshot!(String::from_utf8(out).unwrap());
    }
}
