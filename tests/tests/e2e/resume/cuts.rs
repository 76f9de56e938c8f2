//! Cut anywhere, resumed anywhere, complete.

use ai_warp_tests::{Ending, Event, Gateway, PATIENCE, Stack, eventually};

use super::{body, expect_whole, gateways};

/// The content and the end of a stream of 200 events, over about a second.
const LONG: &str = "openai:long~chunks=199~chunk-delay=5";

/// What a client gets that is cut off again and again, and each time comes back to the next of these gateways.
async fn read_with_cuts(gateways: &[Gateway], cuts: usize) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    let mut stream = gateways[0].stream(body(LONG, None)).await;
    let session = stream.header("x-session-id").to_owned();
    let mut last = stream.header("x-ai-warp-stream").to_owned();
    for cut in 0..cuts {
        for _ in 0..fastrand::usize(0..6) {
            let Some(event) = stream.next().await else { panic!("ended after {events:#?}") };
            last.clone_from(&event.id);
            events.push(event);
        }
        drop(stream);
        let next = &gateways[(cut + 1) % gateways.len()];
        stream = next.resume(&body(LONG, Some(&session)), &last).await;
        assert_eq!(stream.header("x-session-id"), session);
    }
    events.extend(stream.rest().await.events);
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_cut_at_fifty_points_is_whole() {
    let stack = Stack::builder().resumable().models([LONG]).envoys(2).start().await;
    expect_whole(&read_with_cuts(&gateways(&stack), 50).await);
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
    expect_whole(&read_with_cuts(&gateways(&stack), 50).await);
    assert_eq!(stack.simulator.requests().len(), 1);
}

/// Kills every control plane but the one that is not told of, and starts it anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_control_plane_is_killed_is_told_as_far_as_it_came_and_then_ends_with_an_error() {
    let model = "openai:held~gate~chunks=9";
    let mut stack = Stack::builder()
        .resumable()
        .storage("valkey")
        .models([model])
        .envoys(2)
        .control_planes(2)
        .start()
        .await;
    let (mut stream, session) = super::begin(&stack, model).await;
    let before = stream.header("x-ai-warp-stream").to_owned();
    eventually("the first event is stored", PATIENCE, async || {
        let other = stack.envoys[1].gateway();
        let mut there = Vec::new();
        for _ in 0..2 {
            let mut again = other.resume(&body(model, Some(&session)), &before).await;
            there.push(again.next_content().await);
        }
        if there == ["c1 ", "c1 "] { Ok(()) } else { Err(there.concat()) }
    })
    .await;

    super::put_writer_first(&mut stack);
    stack.control_plane.kill();

    // Who was attached is told to come back.
    let event = stream.next().await.unwrap();
    assert_eq!((event.name.as_str(), event.data["code"].as_str()), ("error", Some("STREAM_DETACHED")));
    assert_eq!(event.id, "", "it is none of the stream's events");

    let mut again = stack.gateway().resume(&body(model, Some(&session)), &before).await;
    assert_eq!(again.next_content().await, "c1 ");
    let rest = again.rest().await;
    assert_eq!((rest.error(), &rest.ending), ("STREAM_INTERRUPTED", &Ending::Clean));
    assert_eq!(stack.simulator.requests().len(), 1);
    // The session goes on with what was said.
    let history = stack.other_control_planes[0].wait_for_turns(&session, 1).await;
    assert_eq!(
        (&history[0]["response"], &history[0]["result"]),
        (&"c1 ".into(), &"INCOMPLETE_INTERRUPTED".into())
    );
}
