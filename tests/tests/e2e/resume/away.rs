//! What else goes away in the middle of a stream: the store, or a control plane that hangs.

use ai_warp_tests::{Event, Gateway, PATIENCE, Stack, eventually};
use futures_util::future::join;
use serde_json::json;
use tokio::sync::watch;

use super::{begin, body, expect_whole, gateways};

/// The content and the end of a stream of 200 events, over about four seconds.
const LONG: &str = "openai:long~chunks=199~chunk-delay=20";

/// What becomes of the store.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Killed,
    Paused,
    /// Killed, and all it had is lost.
    Lost,
}

/// A stream of which one client reads all without a break, and says how far it is; and another from each of two gateways in turn,
/// with a break every few events where `is_cut`.
async fn two_clients(stack: &Stack, is_cut: bool, far: &watch::Sender<usize>) -> (Vec<Event>, Vec<Event>) {
    let gateways = gateways(stack);
    let mut stream = gateways[0].stream(body(LONG, None)).await;
    let session = stream.header("x-session-id").to_owned();
    let before = stream.header("x-ai-warp-stream").to_owned();
    let stays = async {
        let mut events = Vec::new();
        while let Some(event) = stream.next().await {
            events.push(event);
            far.send_replace(events.len());
        }
        events
    };
    join(stays, comes_back(&gateways, &session, before, is_cut)).await
}

/// All events of a client that comes back whenever it is told to, or by itself.
async fn comes_back(gateways: &[Gateway], session: &str, before: String, is_cut: bool) -> Vec<Event> {
    let (mut events, mut last): (Vec<Event>, String) = (Vec::new(), before);
    for gateway in gateways.iter().cycle() {
        let mut stream = gateway.resume_at_last(&body(LONG, Some(session)), &last).await;
        let so_many = if is_cut { fastrand::usize(1..20) } else { usize::MAX };
        for _ in 0..so_many {
            let Some(event) = stream.next().await else { return events };
            if event.data["code"] == "STREAM_DETACHED" {
                break;
            }
            last.clone_from(&event.id);
            events.push(event);
        }
        if events.last().is_some_and(|event| event.name != "content") {
            return events;
        }
    }
    events
}

async fn until(far: &watch::Sender<usize>, events: usize) {
    far.subscribe().wait_for(|far| *far >= events).await.unwrap();
}

/// The store is away from the 20th event to the one at `back`, which may be the end.
async fn expect_nothing_lost(fate: Fate, back: usize) {
    let mut stack = Stack::builder()
        .resumable()
        .storage("valkey")
        .models([LONG])
        .envoys(2)
        .control_planes(2)
        .start()
        .await;
    let mut valkey = stack.valkey.take().unwrap();
    let far = watch::Sender::new(0);
    let store = async {
        until(&far, 20).await;
        match fate {
            Fate::Killed | Fate::Lost => valkey.kill(),
            Fate::Paused => valkey.pause().await,
        }
        until(&far, back).await;
        match fate {
            Fate::Killed => valkey.restart().await,
            Fate::Lost => valkey.restart_empty().await,
            Fate::Paused => valkey.resume(),
        }
    };
    // Whoever comes back to a store that has nothing, before the stream is written there anew, is told that it is gone.
    let is_cut = !matches!(fate, Fate::Lost);
    let ((stays, returns), ()) = join(two_clients(&stack, is_cut, &far), store).await;
    expect_whole(&stays);
    expect_whole(&returns);
    assert_eq!(stack.simulator.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_whole_when_its_store_crashes_in_the_middle() {
    expect_nothing_lost(Fate::Killed, 140).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_whole_when_its_store_hangs_in_the_middle() {
    expect_nothing_lost(Fate::Paused, 140).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_whole_when_its_store_loses_it() {
    expect_nothing_lost(Fate::Lost, 60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_whole_when_its_store_is_back_after_its_end() {
    expect_nothing_lost(Fate::Killed, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_control_plane_hangs_streams_take_the_direct_road() {
    let stack = Stack::builder()
        .resumable()
        .set("limits.requestTimeout", "500ms")
        .set("limits.totalTimeout", "1s")
        .models(["openai:ok"])
        .start()
        .await;
    stack.control_plane.pause().await;
    eventually("streams take the direct road", PATIENCE, async || {
        let reply = stack.gateway().stream_as_reply(json!({"prompt": "hi"})).await;
        let is_direct = reply.status == 200 && reply.header("x-ai-warp-stream").is_empty();
        if is_direct { Ok(()) } else { Err(format!("{} {}", reply.status, reply.text())) }
    })
    .await;
    let begin = tokio::time::Instant::now();
    stack.stream(json!({"prompt": "hi"})).await.rest().await.end();
    assert!(begin.elapsed() < std::time::Duration::from_secs(1), "it does not wait any more");
    stack.control_plane.resume();
    eventually("streams can be resumed again", PATIENCE, async || {
        let reply = stack.gateway().stream_as_reply(json!({"prompt": "hi"})).await;
        let is_resumable = reply.status == 200 && !reply.header("x-ai-warp-stream").is_empty();
        if is_resumable { Ok(()) } else { Err(format!("{} {}", reply.status, reply.text())) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_plane_that_is_told_to_end_leaves_its_streams_to_the_others_as_far_as_they_came() {
    let model = "openai:held~gate~chunks=5";
    for (is_over_in_time, expected, ending) in [(true, "c1 c2 c3 c4 c5 ", "end"), (false, "c1 ", "error")] {
        let mut stack = Stack::builder()
            .resumable()
            .storage("valkey")
            .models([model])
            .envoys(2)
            .control_planes(2)
            .start()
            .await;
        let (stream, session) = begin(&stack, model).await;
        let before = stream.header("x-ai-warp-stream").to_owned();
        super::put_writer_first(&mut stack);
        stack.control_plane.terminate();
        if is_over_in_time {
            stack.simulator.open_gate("held");
        }
        assert_eq!(stream.rest().await.events.last().unwrap().name, ending);
        stack.control_plane.ended().await;
        // What its last words were is known elsewhere without having to wait for it to be missed.
        let begin = tokio::time::Instant::now();
        let again = stack.envoys[1].gateway().resume_at_last(&body(model, Some(&session)), &before).await;
        let again = again.rest().await;
        assert_eq!((again.text().as_str(), again.events.last().unwrap().name.as_str()), (expected, ending));
        assert!(begin.elapsed() < std::time::Duration::from_secs(2), "{:?}", begin.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_back_again_and_again_without_saying_where_it_was_gets_each_event_once() {
    let model = "openai:held~gate~chunks=5";
    let stack = Stack::builder()
        .resumable()
        .storage("valkey")
        // Less than it takes: what is under way does not expire.
        .set("streams.keep", "1s")
        .models([model])
        .envoys(2)
        .control_planes(3)
        .start()
        .await;
    let gateways = gateways(&stack);
    let (mut stream, session) = begin(&stack, model).await;
    for number in 0..9 {
        drop(stream);
        // At once, when nobody knows yet that it has left, and after a while.
        tokio::time::sleep(std::time::Duration::from_millis(fastrand::u64(0..400))).await;
        stream = gateways[number % 2].stream(body(model, Some(&session))).await;
    }
    stack.simulator.open_gate("held");
    let rest = stream.rest().await;
    assert_eq!((rest.text().as_str(), &rest.end()["text"]), ("c2 c3 c4 c5 ", &json!("c1 c2 c3 c4 c5 ")));
    assert_eq!(stack.simulator.requests().len(), 1);
    // It has all of it: the next prompt is a new one.
    let next = eventually("the whole answer is known to have been delivered", PATIENCE, async || {
        let next = gateways[0].stream(body(model, Some(&session))).await.rest().await;
        if next.events.len() == 6 { Ok(next) } else { Err(format!("{:?}", next.events)) }
    })
    .await;
    assert_ne!(next.header("x-ai-warp-stream"), rest.header("x-ai-warp-stream"));
    assert_eq!(stack.simulator.requests().len(), 2);
}
