//! The simulator over real sockets: what a gateway would see.

mod anthropic;
mod bedrock;
mod client;
mod control;
mod family;
mod faults;
mod frames;
mod gemini;
mod providers;
mod signer;
mod strictness;
mod vertex;

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
    let base = provider.base_path();
    let in_path = model.replace('%', "%25").replace('/', "%2F");
    match provider {
        Provider::Gemini | Provider::Vertex => {
            let models = match provider {
                Provider::Gemini => "models",
                _ => "projects/p/locations/l/publishers/google/models",
            };
            let call = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
            let body = json!({ "contents": [{ "role": "user", "parts": [{ "text": text }] }] });
            (format!("{base}/{models}/{in_path}:{call}"), body)
        }
        Provider::Bedrock => {
            let call = if stream { "converse-stream" } else { "converse" };
            let body = json!({ "messages": [{ "role": "user", "content": [{ "text": text }] }] });
            (format!("{base}/model/{in_path}/{call}"), body)
        }
        _ => {
            let mut body = json!({ "model": model, "messages": [{ "role": "user", "content": text }] });
            if stream {
                body["stream"] = true.into();
            }
            let call = match provider {
                Provider::Anthropic => {
                    body["max_tokens"] = 1000.into();
                    "v1/messages".to_owned()
                }
                Provider::Azure => {
                    format!("openai/deployments/{in_path}/chat/completions?api-version=2024-10-21")
                }
                _ => "chat/completions".to_owned(),
            };
            (format!("{base}/{call}"), body)
        }
    }
}

/// The headers of a well-behaved request.
fn headers(provider: Provider) -> Vec<(&'static str, String)> {
    let credential = match provider.credential_header() {
        "authorization" => format!("Bearer {DEFAULT_API_KEY}"),
        _ => DEFAULT_API_KEY.to_owned(),
    };
    let mut headers =
        vec![(provider.credential_header(), credential), ("content-type", "application/json".to_owned())];
    if provider == Provider::Anthropic {
        headers.push(("anthropic-version", "2023-06-01".to_owned()));
    }
    headers
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
        Provider::Gemini | Provider::Vertex => json
            .pointer("/candidates/0/content/parts/0")
            .filter(|part| part["thought"] != true)
            .and_then(|part| part["text"].as_str()),
        Provider::Anthropic => {
            json.pointer("/content/0/text").or_else(|| json.pointer("/delta/text")).and_then(Value::as_str)
        }
        Provider::Bedrock => json
            .pointer("/output/message/content/0/text")
            .or_else(|| json.pointer("/delta/text"))
            .and_then(Value::as_str),
        _ => json
            .pointer("/choices/0/message/content")
            .or_else(|| json.pointer("/choices/0/delta/content"))
            .and_then(Value::as_str),
    };
    text.unwrap_or_default().to_owned()
}
