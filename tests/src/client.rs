//! The client's side: prompts, streams, and requests that are not as they should be.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::events::EventStream;
use crate::wait::{PATIENCE, eventually};

/// Longest request of a test, stream included.
const LONGEST_REQUEST: Duration = Duration::from_secs(60);

/// Path of the prompt endpoint.
const PROMPT: &str = "/api/v1/prompt";

/// Path of the streaming endpoint.
const STREAM: &str = "/api/v1/stream";

/// An HTTP server to ask. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Gateway {
    address: String,
    client: reqwest::Client,
}

impl Gateway {
    /// The server at `HOST:PORT`.
    pub fn new(address: &str) -> Self {
        let client = reqwest::Client::builder().no_proxy().timeout(LONGEST_REQUEST).build();
        Self { address: address.to_owned(), client: client.expect("a client without TLS can be built") }
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Starts a request that is none of the usual ones.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Reply {
        Reply::of(self.request(Method::GET, path)).await
    }

    /// `POST` of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        Reply::of(self.request(Method::POST, path).json(body)).await
    }

    /// Asks the prompt endpoint.
    pub async fn prompt(&self, body: Value) -> Reply {
        self.post(PROMPT, &body).await
    }

    /// Asks the streaming endpoint, and reads whatever comes as one piece: for failures before the first event.
    pub async fn stream_as_reply(&self, body: Value) -> Reply {
        self.post(STREAM, &body).await
    }

    /// Asks the streaming endpoint.
    pub async fn stream(&self, body: Value) -> EventStream {
        EventStream::of(self.request(Method::POST, STREAM).json(&body)).await
    }

    /// Comes back to a stream, having had everything up to `last`.
    pub async fn resume(&self, body: &Value, last: &str) -> EventStream {
        EventStream::of(self.request(Method::POST, STREAM).json(body).header("last-event-id", last)).await
    }

    /// The same, as clients do it: once more and again while the gateway cannot say where the stream is.
    pub async fn resume_at_last(&self, body: &Value, last: &str) -> EventStream {
        let request = || self.request(Method::POST, STREAM).json(body).header("last-event-id", last);
        eventually("the stream is reached", PATIENCE, async || match EventStream::try_of(request()).await {
            Ok(stream) => Ok(stream),
            Err((503, why)) => Err(why),
            Err((_, why)) => panic!("no stream: {why}"),
        })
        .await
    }

    /// The same where there may be none.
    pub async fn resume_as_reply(&self, body: &Value, last: &str) -> Reply {
        Reply::of(self.request(Method::POST, STREAM).json(body).header("last-event-id", last)).await
    }

    /// Asks the prompt endpoint; an error where there is no complete response at all.
    pub async fn try_prompt(&self, body: &Value) -> reqwest::Result<Reply> {
        Reply::try_of(self.request(Method::POST, PROMPT).json(body)).await
    }
}

/// A whole response.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    body: Vec<u8>,
}

impl Reply {
    /// Sends `request` and reads the response.
    ///
    /// # Panics
    /// Where there is no complete response.
    pub async fn of(request: RequestBuilder) -> Self {
        Self::try_of(request).await.unwrap_or_else(|error| panic!("no response: {error:?}"))
    }

    /// Sends `request` and reads the response.
    ///
    /// # Errors
    /// Where there is no complete response.
    pub async fn try_of(request: RequestBuilder) -> reqwest::Result<Self> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Self { status, headers, body: response.bytes().await?.to_vec() })
    }

    /// The body.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The value of a header; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// `text` of an answer.
    ///
    /// # Panics
    /// Where this is no answer.
    #[track_caller]
    pub fn answer(&self) -> String {
        let json = self.json();
        match (self.status, json["text"].as_str()) {
            (200, Some(text)) => text.to_owned(),
            _ => panic!("no answer: {} {}", self.status, self.text()),
        }
    }

    /// `sessionId` of an answer.
    #[track_caller]
    pub fn session(&self) -> String {
        let json = self.json();
        json["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {}", self.text())).to_owned()
    }

    /// Status and `code` of an error, to compare with what is expected.
    ///
    /// # Panics
    /// Where the error is not as errors are: `{"code", "message"}`, JSON by its content type.
    #[track_caller]
    pub fn error(&self) -> (u16, String) {
        let json = self.json();
        let (code, message) = (json["code"].as_str(), json["message"].as_str());
        let (Some(code), Some(_)) = (code, message) else {
            panic!("no typed error: {} {:?} {}", self.status, self.headers, self.text());
        };
        assert_eq!(json.as_object().map(|object| object.len()), Some(2), "{json}");
        assert_eq!(self.header("content-type"), "application/json", "{json}");
        (self.status, code.to_owned())
    }

    /// `message` of an error; empty where there is none.
    pub fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_default().to_owned()
    }

    /// `x-ai-warp-model`.
    pub fn model(&self) -> &str {
        self.header("x-ai-warp-model")
    }

    /// `x-ai-warp-attempts`.
    pub fn attempts(&self) -> usize {
        self.header("x-ai-warp-attempts").parse().unwrap_or(usize::MAX)
    }
}
