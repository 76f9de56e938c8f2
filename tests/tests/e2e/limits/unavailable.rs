//! What limits do while the control plane is away, and once it is back.

use std::time::Duration;

use ai_warp_tests::{PATIENCE, Stack, eventually};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{rate, rest_of_window, room_in_the_hour, spend};

/// A rate of which a worker that asks for one request gets more.
const MAX: u64 = 640;

/// What was granted of the window under way, as the control plane tells.
async fn granted(stack: &Stack) -> u64 {
    let status = stack.control_plane.status().await;
    let quotas = status["quotas"].as_array().cloned().unwrap_or_default();
    let quota = quotas.iter().find(|quota| quota["quota"] == "modelRate:openai:ok");
    quota.and_then(|quota| quota["granted"].as_u64()).unwrap_or_else(|| panic!("no such quota: {status}"))
}

/// Asks once, and waits until the worker asks for no more. Returns what it was granted.
async fn share(stack: &Stack) -> u64 {
    const SETTLED: Duration = Duration::from_millis(100);
    stack.ask("openai:ok").await.answer();
    sleep(SETTLED).await;
    let share = granted(stack).await;
    assert!((2..MAX / 2).contains(&share), "{share}");
    share
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_limits_let_through_what_was_granted_and_no_more() {
    room_in_the_hour().await;
    let mut stack = Stack::builder()
        .storage("valkey")
        .set("limits.rate", rate(MAX, "1h"))
        .set("limits.onUnavailable", "deny")
        .set("storage.commitTimeout", "20ms")
        .start()
        .await;
    let share = share(&stack).await;
    stack.control_plane.kill();
    let (answers, over) = spend(async || stack.ask("openai:ok").await).await;
    assert_eq!(answers, share - 1);
    assert_eq!(over.error(), (429, "PROVIDER_RATE_LIMIT_ERROR".to_owned()));
    assert_eq!(over.header("retry-after"), "1");
    // Nobody waits for a control plane that is known to be away.
    let begin = Instant::now();
    let stream = stack.gateway().stream_as_reply(json!({"prompt": "hi"})).await;
    assert_eq!(stream.error(), (429, "PROVIDER_RATE_LIMIT_ERROR".to_owned()));
    assert!(begin.elapsed() < Duration::from_millis(400), "{:?}", begin.elapsed());
    assert_eq!(stack.simulator.requests().len() as u64, share);

    stack.control_plane.restart(&mut stack.config).await;
    eventually("requests are let through again", PATIENCE, async || {
        let reply = stack.ask("openai:ok").await;
        if reply.status == 200 { Ok(()) } else { Err(reply.text()) }
    })
    .await;
    // Valkey has kept the count.
    let mut answers = share + 1;
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE && answers < MAX {
        answers += spend(async || stack.ask("openai:ok").await).await.0;
    }
    sleep(Duration::from_millis(300)).await;
    answers += spend(async || stack.ask("openai:ok").await).await.0;
    assert_eq!(answers, MAX);
}

#[tokio::test(flavor = "multi_thread")]
async fn open_limits_let_through_what_was_granted_for_the_last_window() {
    const WINDOW: Duration = Duration::from_secs(2);
    let mut stack = Stack::builder()
        .storage("valkey")
        .set("limits.rate", rate(MAX, "2s"))
        .set("storage.commitTimeout", "20ms")
        .start()
        .await;
    sleep(rest_of_window(WINDOW) + WINDOW / 10).await;
    let share = share(&stack).await;
    stack.control_plane.kill();
    // What is left of this window's share, and then the same for each window after it.
    for (window, expected) in [(0, share - 1), (1, share), (2, share)] {
        let rest = rest_of_window(WINDOW);
        let mut answers = 0;
        let begin = Instant::now();
        while begin.elapsed() + WINDOW / 10 < rest {
            answers += spend(async || stack.ask("openai:ok").await).await.0;
            sleep(WINDOW / 100).await;
        }
        assert_eq!(answers, expected, "window {window}");
        sleep(rest_of_window(WINDOW) + WINDOW / 20).await;
    }
}
