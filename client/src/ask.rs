//! What `ask` was given, and the bodies of its requests.
//!
//! The values are passed on as the JSON they came in: which of them make sense is the gateway's to say.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::{ClientError, INVALID_OPTIONS};

/// One call of `ask`.
#[derive(Debug)]
pub struct Ask {
    /// Whether the answer comes as a stream.
    pub streaming: bool,
    /// Whether a stream that breaks may be come back to.
    pub resume: bool,
    /// The event after which a stream that broke earlier goes on; none where it must not be come back to.
    pub last_event_id: Option<String>,
    given: Given,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Given {
    prompt: Option<Box<RawValue>>,
    session_id: Option<Box<RawValue>>,
    context: Option<Box<RawValue>>,
    temperature: Option<Box<RawValue>>,
    max_tokens: Option<Box<RawValue>>,
    models: Option<Box<RawValue>>,
    route: Option<Box<RawValue>>,
    history: Option<Box<RawValue>>,
    stream: Option<bool>,
    resume: Option<bool>,
    last_event_id: Option<String>,
    /// AI Warp's name for `lastEventId`, which counts where both are given.
    resume_event_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<SessionId<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    models: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<&'a RawValue>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    resume: Option<bool>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum SessionId<'a> {
    Given(&'a RawValue),
    Told(&'a str),
}

impl Ask {
    /// Reads the options from JSON.
    ///
    /// # Errors
    /// [`INVALID_OPTIONS`], where what the client itself needs is of a wrong type.
    pub fn read(json: &str) -> Result<Self, ClientError> {
        let given: Given = serde_json::from_str(json)
            .map_err(|error| ClientError::new(INVALID_OPTIONS, format!("ask: {error}")))?;
        let resume = given.resume != Some(false);
        let named = |id: &Option<String>| id.clone().filter(|id| resume && !id.is_empty());
        let last_event_id = named(&given.last_event_id).or_else(|| named(&given.resume_event_id));
        Ok(Self { streaming: given.stream != Some(false), resume, last_event_id, given })
    }

    /// The session that was given, if it is one by its type.
    pub fn session(&self) -> Option<String> {
        serde_json::from_str(self.given.session_id.as_deref()?.get()).ok()
    }

    /// The body that asks. `session` is that of a stream that broke: to go on with it, the history it began with is left
    /// out, as the gateway has it in the session.
    pub fn body(&self, session: Option<&str>) -> String {
        let given = &self.given;
        let body = Body {
            prompt: given.prompt.as_deref(),
            session_id: session.map(SessionId::Told).or(given.session_id.as_deref().map(SessionId::Given)),
            context: given.context.as_deref(),
            temperature: given.temperature.as_deref(),
            max_tokens: given.max_tokens.as_deref(),
            models: given.models.as_deref(),
            route: given.route.as_deref(),
            history: given.history.as_deref().filter(|_| session.is_none()),
            stream: self.streaming,
            resume: self.streaming.then_some(self.resume),
        };
        // Text that was JSON, strings and booleans can be written.
        serde_json::to_string(&body).unwrap_or_default()
    }

    /// What the log says of it: JSON of the value, `null` where there is none.
    pub fn logged(&self) -> [(&'static str, &str); 3] {
        fn text(value: Option<&RawValue>) -> &str {
            value.map_or("null", RawValue::get)
        }
        let given = &self.given;
        [
            ("prompt", text(given.prompt.as_deref())),
            ("sessionId", text(given.session_id.as_deref())),
            ("models", text(given.models.as_deref())),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_alone_is_streamed_and_may_be_resumed() {
        let ask = Ask::read(r#"{"prompt":"hi"}"#).unwrap();
        assert_eq!((ask.streaming, ask.resume, &ask.last_event_id), (true, true, &None));
        assert_eq!(ask.body(None), r#"{"prompt":"hi","stream":true,"resume":true}"#);
        let direct = Ask::read(r#"{"prompt":"hi","stream":false}"#).unwrap();
        assert_eq!(direct.body(None), r#"{"prompt":"hi","stream":false}"#);
    }

    #[test]
    fn values_pass_as_they_are_and_nothing_else_does() {
        let json = r#"{"prompt":"hi","context":{"b":1.50,"a":[null]},"temperature":1e0,"maxTokens":10,
                       "models":["a:b",{"provider":"c","model":"d"}],"route":"r","sessionId":"s","resume":false,
                       "lastEventId":"7","signal":{},"unknown":1}"#;
        let ask = Ask::read(json).unwrap();
        let body = concat!(
            r#"{"prompt":"hi","sessionId":"s","context":{"b":1.50,"a":[null]},"temperature":1e0,"maxTokens":10,"#,
            r#""models":["a:b",{"provider":"c","model":"d"}],"route":"r","stream":true,"resume":false}"#
        );
        assert_eq!((&*ask.body(None), ask.session().as_deref()), (body, Some("s")));
        assert_eq!(ask.logged()[1], ("sessionId", r#""s""#));
    }

    #[test]
    fn to_go_on_the_session_takes_the_place_of_the_history() {
        let ask = Ask::read(r#"{"prompt":"hi","history":[{"prompt":"a","response":"b"}]}"#).unwrap();
        assert!(ask.body(None).contains("history"));
        assert_eq!(
            ask.body(Some("s\"1")),
            r#"{"prompt":"hi","sessionId":"s\"1","stream":true,"resume":true}"#
        );
    }

    #[test]
    fn what_the_client_needs_itself_must_make_sense() {
        for json in ["", "null", r#"{"stream":"no"}"#, r#"{"resume":1}"#, r#"{"lastEventId":7}"#] {
            assert_eq!(Ask::read(json).unwrap_err().code, INVALID_OPTIONS, "{json}");
        }
    }

    #[test]
    fn the_event_to_go_on_after_has_two_names_and_counts_where_the_stream_may_be_come_back_to() {
        for (json, id) in [
            (r#"{"lastEventId":"7"}"#, Some("7")),
            (r#"{"resumeEventId":"9"}"#, Some("9")),
            (r#"{"resumeEventId":"9","lastEventId":"7"}"#, Some("7")),
            (r#"{"resumeEventId":"9","lastEventId":""}"#, Some("9")),
            (r#"{"resumeEventId":null,"resume":true}"#, None),
            (r#"{"resumeEventId":"9","resume":false}"#, None),
            (r#"{"lastEventId":"7","resume":false}"#, None),
        ] {
            assert_eq!(Ask::read(json).unwrap().last_event_id.as_deref(), id, "{json}");
        }
    }
}
