//! Streams that survive their clients.

mod away;
mod cuts;
mod many;
mod roads;
mod rules;

use ai_warp_tests::{Event, EventStream, Gateway, Stack};
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

/// Makes the first control plane that which asks the model, whichever of the two it is.
fn put_writer_first(stack: &mut Stack) {
    let asks = |stack: &Stack| stack.control_plane.log().contains("a stream begins");
    if !asks(stack) {
        std::mem::swap(&mut stack.control_plane, &mut stack.other_control_planes[0]);
    }
    assert!(asks(stack));
}

fn gateways(stack: &Stack) -> Vec<Gateway> {
    stack.envoys.iter().map(|envoy| envoy.gateway().clone()).collect()
}

/// That these are the 199 pieces of a long answer, in order, once each, and its end.
#[track_caller]
fn expect_whole(events: &[Event]) {
    let content = events.iter().filter(|event| event.name == "content");
    let content: Vec<&str> = content.map(|event| event.data["response"].as_str().unwrap()).collect();
    let expected: Vec<String> = (1..=199).map(|n| format!("c{n} ")).collect();
    assert_eq!(content, expected);
    assert_eq!(events.len(), 200);
    assert_eq!(events[199].name, "end");
    assert_eq!(events[199].data["response"]["text"], expected.concat());
}
