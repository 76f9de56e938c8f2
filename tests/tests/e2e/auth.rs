//! Who may call: every credential that is accepted, and everything that is not.

mod consumers;
mod keys;
mod sessions;
mod tokens;
mod webhook;

use ai_warp_tests::{ClientFormat, Gateway, OneConnection, PATIENCE, Question, Reply, Stack, eventually};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A shared secret of the length that HS256 asks for.
const SECRET: &str = "a secret of the tests, long enough for HS256";

/// How soon a change must be in force.
const IN_FORCE_WITHIN: std::time::Duration = std::time::Duration::from_secs(1);

/// Asks for an answer of `openai:ok` in `format`, with these headers.
async fn ask_in(gateway: &Gateway, format: ClientFormat, headers: &[(&str, &str)]) -> Reply {
    let body = format.body(&Question::new("openai:ok", "hi"), false);
    send(gateway, Method::POST, format.path(), headers, Some(&body)).await
}

/// The same in the unified format.
async fn ask(gateway: &Gateway, headers: &[(&str, &str)]) -> Reply {
    ask_in(gateway, ClientFormat::Unified, headers).await
}

async fn ask_with_token(gateway: &Gateway, token: &str) -> Reply {
    ask(gateway, &[("authorization", &format!("Bearer {token}"))]).await
}

async fn send(
    gateway: &Gateway,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> Reply {
    let mut request = gateway.request(method, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if let Some(body) = body {
        request = request.json(body);
    }
    Reply::of(request).await
}

/// Status, and what the error says.
fn told(reply: &Reply) -> (u16, String) {
    (reply.status, reply.message())
}

fn refused(text: &str) -> (u16, String) {
    (401, text.to_owned())
}

const MISSING: &str = "a credential is missing";
const NOT_ACCEPTED: &str = "the credential is not accepted";

/// An entry of `auth.apiKeys`.
pub(crate) fn entry(consumer: &str, key: &str) -> Value {
    let hash: String = Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect();
    json!({"consumer": consumer, "hash": format!("sha256:{hash}")})
}

/// What is asked on [`OneConnection`]s: without a body, since Envoy closes a connection on which it has answered before it
/// has read all.
const LIST: &str = "/v1/models";

/// Asks again until the status is this one, for as long as a change may take.
async fn until_status(connection: &mut OneConnection, headers: &[(&str, &str)], status: u16) {
    eventually(&format!("{status} for {headers:?}"), IN_FORCE_WITHIN, async || {
        let found = connection.get(LIST, headers).await;
        if found == status { Ok(()) } else { Err(found) }
    })
    .await;
}

/// Asks until the gateway has the keys of tokens, which it fetches when it starts.
async fn until_answered(stack: &Stack, token: &str) {
    eventually("a token is accepted", PATIENCE, async || {
        let reply = ask_with_token(stack.gateway(), token).await;
        if reply.status == 200 { Ok(()) } else { Err(reply.text()) }
    })
    .await;
}
