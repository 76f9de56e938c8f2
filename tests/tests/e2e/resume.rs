//! Streams that survive their clients: cut anywhere, resumed anywhere, complete.

use ai_warp_tests::{Event, Gateway, Stack};
use serde_json::{Value, json};

/// The content and the end of a stream of 200 events, over about a second.
const LONG: &str = "openai:long~chunks=199~chunk-delay=5";

/// A prompt, or a return to its stream.
fn body(session: Option<&str>) -> Value {
    match session {
        Some(session) => json!({"prompt": "tell me", "models": [LONG], "sessionId": session}),
        None => json!({"prompt": "tell me", "models": [LONG]}),
    }
}

#[track_caller]
fn expect_whole(events: &[Event]) {
    let content: Vec<&str> = events
        .iter()
        .filter(|event| event.name == "content")
        .map(|e| e.data["response"].as_str().unwrap())
        .collect();
    let expected: Vec<String> = (1..=199).map(|n| format!("c{n} ")).collect();
    assert_eq!(content, expected);
    assert_eq!(events.len(), 200);
    assert_eq!(events[199].name, "end");
    assert_eq!(events[199].data["response"]["text"], expected.concat());
}

/// What a client gets that is cut off again and again, and each time comes back to the next of these gateways.
async fn read_with_cuts(
    gateways: &[Gateway],
    cuts: usize,
    mut between: impl AsyncFnMut(usize),
) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    let mut stream = gateways[0].stream(body(None)).await;
    let session = stream.header("x-session-id").to_owned();
    let mut last = stream.header("x-ai-warp-stream").to_owned();
    for cut in 0..cuts {
        for _ in 0..fastrand::usize(0..6) {
            let Some(event) = stream.next().await else { panic!("ended after {events:#?}") };
            last.clone_from(&event.id);
            events.push(event);
        }
        drop(stream);
        between(cut).await;
        stream = gateways[(cut + 1) % gateways.len()].resume(&body(Some(&session)), &last).await;
        assert_eq!(stream.header("x-session-id"), session);
    }
    events.extend(stream.rest().await.events);
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_cut_at_fifty_points_is_whole() {
    let stack = Stack::builder().resumable().models([LONG]).envoys(2).start().await;
    let gateways: Vec<Gateway> = stack.envoys.iter().map(|envoy| envoy.gateway().clone()).collect();
    expect_whole(&read_with_cuts(&gateways, 50, async |_| {}).await);
    assert_eq!(stack.simulator.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_cut_at_fifty_points_is_whole_whichever_control_plane_reads_it() {
    let stack = Stack::builder()
        .resumable()
        .storage("valkey")
        .models([LONG])
        .envoys(2)
        .control_planes(2)
        .start()
        .await;
    let gateways: Vec<Gateway> = stack.envoys.iter().map(|envoy| envoy.gateway().clone()).collect();
    expect_whole(&read_with_cuts(&gateways, 50, async |_| {}).await);
    assert_eq!(stack.simulator.requests().len(), 1);
}
