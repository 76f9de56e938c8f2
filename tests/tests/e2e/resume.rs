//! Streams that survive their clients.

mod cuts;
mod many;
mod roads;
mod rules;

use ai_warp_tests::{EventStream, Stack};
use serde_json::{Value, json};

/// A prompt to this model, or a return to its stream.
fn body(model: &str, session: Option<&str>) -> Value {
    match session {
        Some(session) => json!({"prompt": "tell me", "models": [model], "sessionId": session}),
        None => json!({"prompt": "tell me", "models": [model]}),
    }
}

/// The first content of a new stream of a model that then waits for its gate; its session.
async fn begin(stack: &Stack, model: &str) -> (EventStream, String) {
    let mut stream = stack.stream(body(model, None)).await;
    let session = stream.header("x-session-id").to_owned();
    assert_eq!(stream.next_content().await, "c1 ");
    (stream, session)
}
