//! The simulator over real sockets: what a gateway would see.

mod client;
mod control;
mod faults;
mod providers;
mod strictness;

use std::time::Duration;

use serde_json::{Value, json};

use self::client::{Reply, send};
use crate::{DEFAULT_API_KEY, Options, Provider, Simulator};

/// Long enough for a loaded machine; reached only when a test fails.
const DEADLINE: Duration = Duration::from_secs(20);

async fn start() -> Simulator {
    Simulator::start(Options::default()).await.unwrap()
}

/// Path and body of a minimal request that asks `model` about `text`.
fn question(provider: Provider, model: &str, text: &str, stream: bool) -> (String, Value) {
    match provider {
        Provider::OpenAi | Provider::DeepSeek => {
            let mut body = json!({ "model": model, "messages": [{ "role": "user", "content": text }] });
            if stream {
                body["stream"] = true.into();
            }
            (format!("{}/chat/completions", provider.base_path()), body)
        }
        Provider::Gemini => {
            let call = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
            let body = json!({ "contents": [{ "role": "user", "parts": [{ "text": text }] }] });
            (format!("{}/models/{}:{call}", provider.base_path(), model.replace('%', "%25")), body)
        }
    }
}

/// The headers of a well-behaved request.
fn headers(provider: Provider) -> Vec<(&'static str, String)> {
    let credential = match provider {
        Provider::OpenAi | Provider::DeepSeek => format!("Bearer {DEFAULT_API_KEY}"),
        Provider::Gemini => DEFAULT_API_KEY.to_owned(),
    };
    vec![(provider.credential_header(), credential), ("content-type", "application/json".to_owned())]
}

async fn post(simulator: &Simulator, provider: Provider, path: &str, body: &Value) -> Reply {
    send(simulator, "POST", path, &headers(provider), &body.to_string()).await.unwrap()
}

async fn ask(simulator: &Simulator, provider: Provider, model: &str, text: &str, stream: bool) -> Reply {
    let (path, body) = question(provider, model, text, stream);
    post(simulator, provider, &path, &body).await
}

/// The text of an answer, streamed or not.
fn text(provider: Provider, json: &Value) -> String {
    let text = match provider {
        Provider::OpenAi | Provider::DeepSeek => json
            .pointer("/choices/0/message/content")
            .or_else(|| json.pointer("/choices/0/delta/content"))
            .and_then(Value::as_str),
        Provider::Gemini => json
            .pointer("/candidates/0/content/parts/0")
            .filter(|part| part["thought"] != true)
            .and_then(|part| part["text"].as_str()),
    };
    text.unwrap_or_default().to_owned()
}
