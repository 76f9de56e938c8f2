//! Five hundred at once.

use ai_warp_tests::{ControlPlane, Gateway, PATIENCE, Stack, eventually};
use futures_util::future::join_all;

use super::{body, gateways};

/// Streams at once.
const STREAMS: usize = 500;

const MODEL: &str = "openai:m~chunks=20~chunk-delay=50";

/// How much more control planes may hold after a second wave of them, in bytes. Allocators keep more for some waves, ever less: it
/// was 6 MB, then 3, and over sixteen waves below 1 for each.
const SLACK: u64 = 12 << 20;

/// All of them at once; half of the clients leave in the middle and return to another gateway.
async fn expect_all_whole(gateways: &[Gateway]) {
    let clients = (0..STREAMS).map(|number| async move {
        let mut stream = gateways[number % 2].stream(body(MODEL, None)).await;
        if number % 2 == 0 {
            return stream.rest().await.text();
        }
        let session = stream.header("x-session-id").to_owned();
        assert_ne!(stream.header("x-ai-warp-stream"), "", "{number}");
        let mut text = String::new();
        let mut last = String::new();
        for _ in 0..fastrand::usize(1..10) {
            let event = stream.next().await.unwrap();
            text.push_str(event.data["response"].as_str().unwrap());
            last = event.id;
        }
        drop(stream);
        tokio::time::sleep(std::time::Duration::from_millis(fastrand::u64(0..300))).await;
        let back = &gateways[(number + 1) % 2];
        let rest = back.resume_at_last(&body(MODEL, Some(&session)), &last).await.rest().await;
        rest.end();
        text + &rest.text()
    });
    let expected: String = (1..=20).map(|n| format!("c{n} ")).collect();
    for text in join_all(clients).await {
        assert_eq!(text, expected);
    }
}

async fn until_nothing_is_held(control_plane: &ControlPlane) {
    eventually("nothing of them is held any more", PATIENCE, async || {
        let streams = control_plane.status().await["streams"].clone();
        let is_flat = streams["held"] == 0 && streams["bytes"] == 0;
        if is_flat { Ok(()) } else { Err(streams) }
    })
    .await;
}

async fn expect_nothing_lost_and_nothing_kept(storage: &str, control_planes: usize) {
    let stack = Stack::builder()
        .alone()
        .resumable()
        .storage(storage)
        .control_planes(control_planes)
        .control_plane_log("info")
        .set("streams.keep", "5s")
        .models([MODEL])
        .envoys(2)
        .start()
        .await;
    let gateways = gateways(&stack);
    let all = || [&stack.control_plane].into_iter().chain(&stack.other_control_planes);
    let mut resident = Vec::new();
    for wave in 1..=2 {
        expect_all_whole(&gateways).await;
        assert_eq!(stack.simulator.requests().len(), wave * STREAMS);
        for control_plane in all() {
            until_nothing_is_held(control_plane).await;
        }
        resident.push(all().map(ControlPlane::resident_bytes).sum::<u64>());
    }
    assert!(resident[1] <= resident[0] + SLACK, "{resident:?}");
    for envoy in &stack.envoys {
        envoy.wait_until_exchanges_live(0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_streams_at_once_half_of_them_left_and_come_back_to() {
    expect_nothing_lost_and_nothing_kept("memory", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_streams_at_once_on_two_control_planes() {
    expect_nothing_lost_and_nothing_kept("valkey", 2).await;
}
