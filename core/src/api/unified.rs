//! The unified prompt API: `POST /api/v1/prompt` and `/api/v1/stream`, as Platformatic AI Warp has it.

use std::borrow::Cow;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::fields::invalid;
use super::request::unknown_session;
use super::{About, Asked, Format, Outcome, Reply, Request, Session, Source, Whole};
use crate::chat::{Answer, Chat, Delta, Message, Options, Role, Usage};
use crate::error::GatewayError;
use crate::exchange::TurnIds;
use crate::json;
use crate::sse::{self, Event};
use crate::stream_id::{self, EventId};
use crate::task::{Conversation, Task};

/// Highest temperature any provider knows.
const MAX_TEMPERATURE: f64 = 2.0;

/// The body as it is on the wire. Unknown fields are ignored, as AI Warp does.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    prompt: String,
    #[serde(borrow)]
    context: Option<&'a RawValue>,
    temperature: Option<f64>,
    max_tokens: Option<u32>,
    history: Option<Vec<ToldTurn>>,
    session_id: Option<String>,
    models: Option<Vec<ModelRef>>,
    route: Option<String>,
    stream: Option<bool>,
    resume: Option<bool>,
}

/// An earlier turn. A client tells less of it than the gateway stores.
#[derive(Deserialize)]
struct ToldTurn {
    prompt: String,
    response: String,
}

impl ToldTurn {
    fn into_messages(self) -> [Message; 2] {
        [Message::of_text(Role::User, self.prompt), Message::of_text(Role::Assistant, self.response)]
    }
}

/// `"provider:model"` or `{provider, model}`.
struct ModelRef(String);

/// Reads a request. `stream` is what the path asks for.
pub(super) fn read(body: &[u8], stream: bool) -> Result<Request, GatewayError> {
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
    let session = match &body.session_id {
        Some(text) => {
            let id = Uuid::try_parse(text).map_err(|_| unknown_session())?;
            Session::Continue { id, after: None }
        }
        None => Session::New,
    };
    let models = body.models.map(|models| models.into_iter().map(|model| model.0).collect::<Vec<_>>());
    let asked = Asked { model: None, models, route: body.route };
    asked.check()?;
    let system = body.context.map(|context| Message::of_text(Role::System, context_text(context)));
    let mut messages: Vec<Message> = system.into_iter().collect();
    let earlier: Vec<Message> =
        body.history.unwrap_or_default().into_iter().flat_map(ToldTurn::into_messages).collect();
    let remembered = earlier.len();
    messages.extend(earlier);
    messages.push(Message::of_text(Role::User, body.prompt));
    let options =
        Options { temperature: body.temperature, max_tokens: body.max_tokens, ..Options::default() };
    Ok(Request {
        format: Format::Unified { stream },
        task: Task::Chat(Box::new(Conversation {
            chat: Chat { messages, options, remembered, ..Chat::default() },
            stream: stream || body.stream.unwrap_or(false),
            reply: Box::<PromptReply>::default(),
        })),
        asked,
        session,
        resume: Some(body.resume.unwrap_or(true)),
    })
}

fn context_text(context: &RawValue) -> String {
    match serde_json::from_str::<String>(context.get()) {
        Ok(text) => text,
        Err(_) => json::compact(context.get()),
    }
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

/// Writes answers of the unified API.
#[derive(Debug, Default)]
struct PromptReply {
    /// What the ids of events count in, once there is one.
    stream: Option<Uuid>,
    /// Events so far.
    events: u32,
}

impl PromptReply {
    /// The id of the event that comes next. What ends a stream may be written again, and counts no further.
    fn next_id(&mut self, ids: Option<TurnIds>) -> EventId {
        let new = || ids.map_or_else(stream_id::new_stream, |ids| ids.turn);
        let stream = *self.stream.get_or_insert_with(new);
        EventId::new(stream, self.events.saturating_add(1))
    }
}

impl Reply for PromptReply {
    fn whole(&self, about: &About<'_>, answer: &Answer, _: Source, _: &[u8]) -> Whole {
        let mut body = Vec::new();
        json::write(&mut body, &PromptAnswer::new(about, answer));
        Whole::Written(body)
    }

    fn event(&mut self, about: &About<'_>, _: Event<'_>, deltas: &[Delta<'_>], _: Source, out: &mut Vec<u8>) {
        for delta in deltas {
            if let Delta::Text(text) | Delta::Refusal(text) = delta
                && !text.is_empty()
            {
                write_content(out, self.next_id(about.ids), text);
                self.events = self.events.saturating_add(1);
            }
        }
    }

    fn restart(&mut self) {
        self.events = 0;
    }

    fn end(&mut self, about: &About<'_>, answer: &Answer, out: &mut Vec<u8>) {
        let id = self.next_id(about.ids);
        write_end(out, id, &PromptAnswer::new(about, answer));
    }

    fn error(&mut self, error: &GatewayError, out: &mut Vec<u8>) {
        let id = self.next_id(None);
        write_error(out, id, error);
    }

    fn wants_answer(&self) -> bool {
        true
    }

    fn tells_stored(&self) -> bool {
        true
    }

    fn shows_reasoning(&self) -> bool {
        false
    }
}

/// An answer, whole or as the end of a stream.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct PromptAnswer<'a> {
    /// What the model said.
    text: Cow<'a, str>,
    /// How it ended.
    result: Outcome,
    /// The session this turn belongs to; absent where sessions are off.
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<Uuid>,
    /// `false` where the turn could not be stored in time; absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    stored: Option<bool>,
    /// What it took; absent where the provider does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<PromptUsage>,
}

/// Tokens, in the words of this API.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
struct PromptUsage {
    input_tokens: u64,
    output_tokens: u64,
}

impl<'a> PromptAnswer<'a> {
    fn new(about: &About<'_>, answer: &'a Answer) -> Self {
        Self {
            text: answer.text(),
            result: answer.finish.outcome(),
            session_id: about.ids.map(|ids| ids.session),
            stored: about.stored,
            usage: answer.usage.map(|Usage { input, output, .. }| PromptUsage {
                input_tokens: input,
                output_tokens: output,
            }),
        }
    }
}

#[derive(Serialize)]
struct Envelope<T> {
    response: T,
}

/// Appends a `content` event.
fn write_content(out: &mut Vec<u8>, id: EventId, text: &str) {
    sse::write_event(out, id.uuid(), "content", |out| json::write(out, &Envelope { response: text }));
}

/// Appends the `end` event.
fn write_end(out: &mut Vec<u8>, id: EventId, answer: &PromptAnswer<'_>) {
    sse::write_event(out, id.uuid(), "end", |out| json::write(out, &Envelope { response: answer }));
}

/// Appends the `error` event, after which no `end` comes.
fn write_error(out: &mut Vec<u8>, id: EventId, error: &GatewayError) {
    sse::write_event(out, id.uuid(), "error", |out| json::write(out, error));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::conversation;
    use crate::error::ErrorCode;

    fn parse(body: &str) -> Result<Request, String> {
        read(body.as_bytes(), false).map_err(|error| {
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
            request.asked.models.as_deref(),
            Some(["openai:m".to_owned(), "gemini:g".to_owned()].as_slice())
        );
        let Conversation { chat, stream, .. } = conversation(request);
        assert!(stream);
        assert_eq!(
            (chat.system().as_deref(), chat.options.temperature, chat.options.max_tokens),
            (Some("c"), Some(0.5), Some(9))
        );
        let said: Vec<_> = chat.spoken().map(|m| (m.role, m.plain_text().unwrap())).collect();
        assert_eq!(said, [(Role::User, "a"), (Role::Assistant, "b"), (Role::User, "p")]);
    }

    #[test]
    fn earlier_turns_are_a_prompt_and_a_response_and_nothing_else() {
        let request = parse(
            r#"{"prompt":"p","history":[{"prompt":"a","response":"b","messages":[{"role":"system","parts":[{"text":"s"}]}]}]}"#,
        );
        let chat = conversation(request.unwrap()).chat;
        let said: Vec<_> = chat.messages.iter().map(|m| (m.role, m.plain_text().unwrap())).collect();
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
            assert_eq!(conversation(request).chat.system().as_deref(), Some(expected));
        }
        let request = parse(r#"{"prompt":"p","context":null}"#).unwrap();
        assert_eq!(conversation(request).chat.system(), None);
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
        let id = EventId::new(Uuid::nil(), 0);
        write_content(&mut out, id, "a\n\"b\" 世界");
        write_end(
            &mut out,
            id,
            &PromptAnswer {
                text: "t".into(),
                result: Outcome::Complete,
                session_id: Some(Uuid::nil()),
                stored: None,
                usage: Some(PromptUsage { input_tokens: 2, output_tokens: 1 }),
            },
        );
        write_error(&mut out, id, &GatewayError::new(ErrorCode::ProviderResponseError, "cut"));
        insta::assert_snapshot!(String::from_utf8(out).unwrap());
    }
}
