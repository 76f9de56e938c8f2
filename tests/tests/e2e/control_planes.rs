//! Several control planes: one may go, and nobody notices.

use ai_warp_tests::{Load, PATIENCE, Stack, eventually};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn of_two_control_planes_one_is_killed_and_nothing_is_lost() {
    let mut stack = Stack::builder()
        .alone()
        .workers(2)
        .control_planes(2)
        .envoys(2)
        .storage("valkey")
        .set("storage.commitTimeout", "5s")
        .start()
        .await;
    let session = stack.prompt(json!({"prompt": "turn 0"})).await.session();
    let loads: Vec<Load> = stack.envoys.iter().map(|envoy| Load::start(envoy.gateway(), 25)).collect();

    // Whichever of them an Envoy is with: each is killed once.
    let mut turns = 1;
    for _ in 0..2 {
        stack.control_plane.kill();
        for _ in 0..10 {
            for envoy in &stack.envoys {
                let body = json!({"prompt": format!("turn {turns}"), "sessionId": session});
                let reply = envoy.gateway().prompt(body).await;
                assert_eq!((reply.status, reply.header("x-ai-warp-stored")), (200, ""), "{}", reply.text());
                turns += 1;
            }
        }
        let survivor = &stack.other_control_planes[0];
        eventually("both Envoys are with the one that is left", PATIENCE, async || {
            let status = survivor.status().await;
            let gateways = status["gateways"].as_array().map_or(0, Vec::len);
            if gateways == 2 { Ok(()) } else { Err(status["gateways"].clone()) }
        })
        .await;
        stack.control_plane.restart(&mut stack.config).await;
        eventually("it is back with its store", PATIENCE, async || {
            let ready = stack.control_plane.api().get("/ready").await.json();
            if ready["pending"] == json!([]) { Ok(()) } else { Err(ready) }
        })
        .await;
        std::mem::swap(&mut stack.control_plane, &mut stack.other_control_planes[0]);
    }
    for load in loads {
        load.expect_no_failure().await;
    }
    let history = stack.control_plane.wait_for_turns(&session, turns).await;
    let prompts: Vec<_> = history.iter().map(|turn| turn["prompt"].as_str().unwrap().to_owned()).collect();
    assert_eq!(prompts, (0..turns).map(|turn| format!("turn {turn}")).collect::<Vec<_>>());
}
