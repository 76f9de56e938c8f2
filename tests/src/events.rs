//! Reading a stream as a strict client does, with the moment at which each event was there.

use std::pin::Pin;
use std::time::Instant;

use futures_util::{Stream, StreamExt};
use reqwest::RequestBuilder;
use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::wait::{PATIENCE, within};

/// One event.
#[derive(Debug, Clone)]
pub struct Event {
    /// `id`.
    pub id: String,
    /// `event`.
    pub name: String,
    /// `data`, which is always JSON.
    pub data: Value,
    /// When its last byte was read.
    pub at: Instant,
}

/// How the body ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// As HTTP says.
    Clean,
    /// The connection broke.
    Broken(String),
}

type Chunks = Pin<Box<dyn Stream<Item = Result<Vec<u8>, String>> + Send>>;

/// A response of status 200 with `text/event-stream`, as it comes.
pub struct EventStream {
    /// The response headers.
    pub headers: HeaderMap,
    chunks: Chunks,
    unread: Vec<u8>,
    ending: Option<Ending>,
}

impl EventStream {
    /// Sends `request` and reads the head of the response.
    ///
    /// # Panics
    /// Where the response is no stream.
    pub async fn of(request: RequestBuilder) -> Self {
        Self::try_of(request).await.unwrap_or_else(|(_, why)| panic!("no stream: {why}"))
    }

    /// The same; the status and all of the response where it is no stream.
    ///
    /// # Errors
    /// See there.
    pub async fn try_of(request: RequestBuilder) -> Result<Self, (u16, String)> {
        let response = request.send().await.unwrap_or_else(|error| panic!("no response: {error:?}"));
        let (status, headers) = (response.status(), response.headers().clone());
        let content_type = headers.get("content-type").and_then(|value| value.to_str().ok());
        if status != 200 || content_type != Some("text/event-stream") {
            let body = response.text().await.unwrap_or_default();
            return Err((status.as_u16(), format!("{status} {headers:?} {body}")));
        }
        let chunks = response
            .bytes_stream()
            .map(|chunk| chunk.map(|chunk| chunk.to_vec()).map_err(|error| format!("{error:?}")));
        Ok(Self { headers, chunks: Box::pin(chunks), unread: Vec::new(), ending: None })
    }

    /// The value of a header; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The next event; `None` at the end of the body.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.unread.drain(..end + 2).collect();
                match parse(&block) {
                    Some(event) => return Some(event),
                    None => continue,
                }
            }
            match within("the next chunk of a stream", PATIENCE, self.chunks.next()).await {
                Some(Ok(chunk)) => self.unread.extend_from_slice(&chunk),
                Some(Err(error)) => {
                    self.ending = Some(Ending::Broken(error));
                    return None;
                }
                None => {
                    assert!(
                        self.unread.is_empty(),
                        "half an event: {:?}",
                        String::from_utf8_lossy(&self.unread)
                    );
                    self.ending.get_or_insert(Ending::Clean);
                    return None;
                }
            }
        }
    }

    /// The next event, which must be content; returns its text.
    pub async fn next_content(&mut self) -> String {
        let event = self.next().await.unwrap_or_else(|| panic!("the stream ended: {:?}", self.ending));
        assert_eq!(event.name, "content", "{event:?}");
        event.data["response"].as_str().expect("content has a response").to_owned()
    }

    /// Reads to the end.
    pub async fn rest(mut self) -> Transcript {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        let ending = self.ending.unwrap_or(Ending::Clean);
        Transcript { headers: self.headers, events, ending }
    }
}

/// One event of a block of lines; `None` for comments.
fn parse(block: &[u8]) -> Option<Event> {
    let at = Instant::now();
    let text = std::str::from_utf8(block).expect("events are UTF-8");
    let field = |name: &str| {
        let lines = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let values: Vec<&str> = lines.collect();
        assert!(values.len() <= 1, "a field comes once: {text:?}");
        values.first().copied().unwrap_or_default().to_owned()
    };
    let data = field("data");
    if data.is_empty() {
        assert!(text.lines().all(|line| line.is_empty() || line.starts_with(':')), "not an event: {text:?}");
        return None;
    }
    let data = serde_json::from_str(&data).unwrap_or_else(|error| panic!("{error}: {data}"));
    Some(Event { id: field("id"), name: field("event"), data, at })
}

/// A stream that has ended.
#[derive(Debug)]
pub struct Transcript {
    /// The response headers.
    pub headers: HeaderMap,
    /// All events.
    pub events: Vec<Event>,
    /// How the body ended.
    pub ending: Ending,
}

impl Transcript {
    /// The value of a header; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// All content.
    pub fn text(&self) -> String {
        let content = self.events.iter().filter(|event| event.name == "content");
        content.map(|event| event.data["response"].as_str().expect("content has a response")).collect()
    }

    /// `response` of the end event.
    ///
    /// # Panics
    /// Where the stream did not end well: with exactly one end event, which is the last one, and then cleanly.
    #[track_caller]
    pub fn end(&self) -> &Value {
        &self.last("end").data["response"]
    }

    /// `code` of the error event.
    ///
    /// # Panics
    /// Where the stream did not fail as it should: with exactly one error event, which is the last one, no end event,
    /// and then cleanly.
    #[track_caller]
    pub fn error(&self) -> &str {
        let data = &self.last("error").data;
        assert!(data["message"].is_string(), "{data}");
        data["code"].as_str().unwrap_or_else(|| panic!("no code: {data}"))
    }

    #[track_caller]
    fn last(&self, name: &str) -> &Event {
        assert_eq!(self.ending, Ending::Clean, "{:#?}", self.events);
        let others = self.events.iter().filter(|event| event.name != "content").count();
        match self.events.last() {
            Some(last) if last.name == name && others == 1 => last,
            _ => panic!("the stream does not end with {name}: {:#?}", self.events),
        }
    }
}
