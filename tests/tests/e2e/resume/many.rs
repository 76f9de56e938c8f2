//! Five hundred at once.

use ai_warp_tests::{PATIENCE, Stack, eventually};
use futures_util::future::join_all;

use super::body;

/// Streams at once.
const STREAMS: usize = 500;

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_streams_at_once_half_of_them_left_and_come_back_to() {
    let model = "openai:m~chunks=20~chunk-delay=50";
    let stack = Stack::builder()
        .alone()
        .resumable()
        .control_plane_log("info")
        .set("streams.keep", "5s")
        .models([model])
        .envoys(2)
        .start()
        .await;
    let gateways: Vec<_> = stack.envoys.iter().map(|envoy| envoy.gateway().clone()).collect();
    let clients = (0..STREAMS).map(|number| {
        let gateways = &gateways;
        async move {
            let mut stream = gateways[number % 2].stream(body(model, None)).await;
            if number % 2 == 0 {
                return stream.rest().await.text();
            }
            let session = stream.header("x-session-id").to_owned();
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
            let rest = back.resume_at_last(&body(model, Some(&session)), &last).await.rest().await;
            rest.end();
            text + &rest.text()
        }
    });
    let expected: String = (1..=20).map(|n| format!("c{n} ")).collect();
    for text in join_all(clients).await {
        assert_eq!(text, expected);
    }
    assert_eq!(stack.simulator.requests().len(), STREAMS);
    eventually("nothing of them is held any more", PATIENCE, async || {
        let streams = stack.control_plane.status().await["streams"].clone();
        let is_flat = streams["held"] == 0 && streams["bytes"] == 0;
        if is_flat { Ok(()) } else { Err(streams) }
    })
    .await;
    for envoy in &stack.envoys {
        envoy.wait_until_exchanges_live(0).await;
    }
}
