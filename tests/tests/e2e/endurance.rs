//! Many requests, and many clients that leave, cost nothing that stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ai_warp_simulator::{Options, Outcome};
use ai_warp_tests::{Gateway, PATIENCE, Stack, eventually};
use serde_json::json;
use tokio::task::JoinSet;

const CONCURRENCY: usize = 32;
const WARM_UP: usize = 3_000;
const PROMPTS: usize = 10_000;
const ABORTS: usize = 2_000;

/// What Envoy may have more after [`PROMPTS`] requests: its own pools and the allocator's slack, and no request.
const MORE_BYTES: u64 = 10 << 20;

/// Does `work` for each number up to `count`, [`CONCURRENCY`] at a time.
async fn many<F: Future<Output = ()> + Send>(
    count: usize,
    work: impl Fn(usize) -> F + Clone + Send + 'static,
) {
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..CONCURRENCY {
        let (next, work) = (Arc::clone(&next), work.clone());
        workers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return;
                }
                work(number).await;
            }
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker.unwrap();
    }
}

/// One prompt in four kinds: whole or streamed, from the first model or after a fallback.
async fn prompt(gateway: &Gateway, number: usize) {
    let models = if number % 4 < 2 { json!(["openai:ok"]) } else { json!(["openai:down", "gemini:ok"]) };
    let stream = number % 2 == 1;
    let reply = gateway.prompt(json!({"prompt": "hi", "stream": stream, "models": models})).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(!stream || reply.text().contains("event: end"), "{}", reply.text());
}

/// One client that leaves: in the middle of a stream, or before there is any answer.
async fn abort(gateway: &Gateway, number: usize) {
    if number.is_multiple_of(2) {
        let body = json!({"prompt": "hi", "models": ["openai:held~gate"]});
        gateway.stream(body).await.next_content().await;
    } else {
        let body = json!({"prompt": "hi", "models": ["openai:slow"]});
        let left = tokio::time::timeout(Duration::from_millis(5), gateway.prompt(body)).await;
        assert!(left.is_err(), "a silent provider answers nothing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_answered_nor_abandoned_requests_leave_anything_behind() {
    let stack = Stack::builder()
        .alone()
        .workers(2)
        .simulator(Options { record: false, ..Options::default() })
        .models(["openai:ok", "openai:down", "gemini:ok"])
        .start()
        .await;
    let gateway = stack.gateway().clone();
    let work = move |number| {
        let gateway = gateway.clone();
        async move { prompt(&gateway, number).await }
    };
    many(WARM_UP, work.clone()).await;
    let before = stack.envoy().resident_bytes();
    many(PROMPTS, work).await;
    let after = stack.envoy().resident_bytes();
    assert!(
        after < before + before / 10 + MORE_BYTES,
        "Envoy grew from {before} to {after} bytes in {PROMPTS} requests"
    );
    stack.wait_until_no_exchange_lives().await;
    eventually("every turn is stored", PATIENCE, async || {
        let stored = stack.envoy().stat("wasmcustom.ai_warp_turns_stored_total").await;
        if stored == (WARM_UP + PROMPTS) as u64 { Ok(()) } else { Err(stored) }
    })
    .await;
    assert_eq!(stack.envoy().stat("wasmcustom.ai_warp_turns_waiting").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_leave_take_their_requests_with_them() {
    let stack = Stack::builder()
        .alone()
        .workers(2)
        .models(["openai:held~gate", "openai:slow", "openai:ok"])
        .start()
        .await;
    let gateway = stack.gateway().clone();
    many(ABORTS, move |number| {
        let gateway = gateway.clone();
        async move { abort(&gateway, number).await }
    })
    .await;
    stack.wait_until_no_exchange_lives().await;
    // The simulator remembers the last thousand.
    let aborted = |seen: &[ai_warp_simulator::RecordedRequest]| {
        seen.iter().all(|request| request.outcome == Outcome::AbortedByClient)
    };
    let seen = stack.simulator.wait_for(aborted, PATIENCE).await.unwrap();
    assert!(seen.len() > ABORTS / 3, "only {} requests reached the provider", seen.len());
    assert_eq!(stack.ask("openai:ok").await.status, 200);
}
