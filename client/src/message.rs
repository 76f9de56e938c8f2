//! An event of the gateway's stream, read as what a program is handed.

use ai_warp_sse::Event;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::{ClientError, INVALID_RESPONSE};

/// The gateway lost what relays the stream, which may go on: the connection is broken, the stream is not.
const STREAM_DETACHED: &str = "STREAM_DETACHED";

/// What a program is handed of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A piece of the answer.
    Content {
        /// Its text.
        text: String,
        /// The event's id; none where the stream cannot be come back to.
        id: Option<String>,
    },
    /// The end: the whole answer, as the JSON it came in.
    Done(String),
    /// The gateway tells that there is no end to come.
    Error(ClientError),
}

/// What an event is to the stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Reading {
    /// Something to hand on.
    Message(Message),
    /// The connection is as good as broken, for this reason.
    Detached(ClientError),
    /// Nothing that is known here.
    Nothing,
}

#[derive(Deserialize)]
struct Content {
    #[serde(default)]
    response: String,
}

#[derive(Deserialize)]
struct End<'a> {
    #[serde(borrow)]
    response: &'a RawValue,
}

/// Reads one event. Kinds that are not known are for newer clients.
///
/// # Errors
/// [`INVALID_RESPONSE`] where the data is not what such an event has.
pub fn read(event: Event<'_>) -> Result<Reading, ClientError> {
    let id = std::str::from_utf8(event.id).ok().filter(|id| !id.is_empty()).map(str::to_owned);
    let message = match event.name {
        b"content" => serde_json::from_slice(event.data)
            .ok()
            .map(|Content { response }| Message::Content { text: response, id }),
        b"end" => serde_json::from_slice(event.data)
            .ok()
            .map(|End { response }| Message::Done(response.get().to_owned())),
        b"error" => match ClientError::of_event(event.data) {
            Some(error) if error.code == STREAM_DETACHED => return Ok(Reading::Detached(error)),
            error => error.map(Message::Error),
        },
        _ => return Ok(Reading::Nothing),
    };
    let name = String::from_utf8_lossy(event.name);
    let invalid =
        || ClientError::new(INVALID_RESPONSE, format!("an event `{name}` without what it should have"));
    message.map(Reading::Message).ok_or_else(invalid)
}

impl Message {
    /// Whether nothing follows it.
    pub fn is_last(&self) -> bool {
        !matches!(self, Self::Content { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_as(id: &str, name: &str, data: &str) -> Result<Reading, ClientError> {
        read(Event { id: id.as_bytes(), name: name.as_bytes(), data: data.as_bytes() })
    }

    #[test]
    fn events_are_read_as_messages() {
        let content = |text: &str, id: Option<&str>| {
            Ok(Reading::Message(Message::Content { text: text.to_owned(), id: id.map(str::to_owned) }))
        };
        assert_eq!(read_as("7", "content", r#"{"response":"hé\n🦀"}"#), content("hé\n🦀", Some("7")));
        assert_eq!(read_as("", "content", r#"{"response":""}"#), content("", None));
        let answer = r#"{"text":"x","result":"COMPLETE","new":1.50}"#;
        let end = read_as("8", "end", &format!(r#"{{"response":{answer}}}"#));
        assert_eq!(end, Ok(Reading::Message(Message::Done(answer.to_owned()))), "as it came");
        let Ok(Reading::Message(Message::Error(error))) =
            read_as("", "error", r#"{"code":"X","message":"y"}"#)
        else {
            panic!("no error")
        };
        assert_eq!((&*error.code, &*error.message), ("X", "y"));
        let detached = read_as("", "error", r#"{"code":"STREAM_DETACHED","message":"y"}"#);
        assert!(matches!(detached, Ok(Reading::Detached(_))), "{detached:?}");
        for name in ["", "message", "ping"] {
            assert_eq!(read_as("", name, "anything"), Ok(Reading::Nothing), "{name}");
        }
    }

    #[test]
    fn data_that_makes_no_sense_is_an_error() {
        for (name, data) in [
            ("content", "text"),
            ("content", r#"{"response":7}"#),
            ("end", "{}"),
            ("end", ""),
            ("error", "no"),
        ] {
            assert_eq!(read_as("", name, data).unwrap_err().code, INVALID_RESPONSE, "{name} {data}");
        }
    }
}
