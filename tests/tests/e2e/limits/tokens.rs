//! Limits in tokens: reserved by estimate before the answer, settled by what the provider counted.

use ai_warp_simulator::RecordedRequest;
use ai_warp_tests::{PATIENCE, Stack};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{HOUR, expect_over, rate, room_in_the_hour, spend};

/// `limits.tokens.max` of these tests.
const MAX: u64 = 1_000;

/// `maxTokens`: what an answer is expected to take.
const MAX_TOKENS: u64 = 99;

/// What each request reserves: the prompt is short enough for one token.
const ESTIMATE: u64 = 1 + MAX_TOKENS;

/// What each uses: one word in, six words out. To the simulator a word is a token.
const USED: u64 = 7;

fn model(name: &str, tokens: &Value) -> Value {
    json!({"provider": "openai", "model": name, "limits": {"maxTokens": MAX_TOKENS, "tokens": tokens}})
}

async fn stack(name: &str) -> Stack {
    room_in_the_hour().await;
    Stack::builder().models([model(name, &rate(MAX, "1h"))]).start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_reserved_and_not_used_is_there_for_the_next() {
    let stack = stack("m~chunks=6").await;
    let (answers, over) = spend(async || stack.prompt(json!({"prompt": "hi"})).await).await;
    expect_over(&over, HOUR);
    // Each needs its whole estimate to be there, and takes what it used.
    assert_eq!(answers, (MAX - ESTIMATE) / USED + 1);
    assert_eq!(stack.simulator.requests().len() as u64, answers);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_settled_as_well() {
    let stack = stack("m~chunks=6").await;
    let mut streams = 0;
    let over = loop {
        let reply = stack.gateway().stream_as_reply(json!({"prompt": "hi"})).await;
        if reply.status != 200 {
            break reply;
        }
        streams += 1;
    };
    expect_over(&over, HOUR);
    assert_eq!(streams, (MAX - ESTIMATE) / USED + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_under_way_hold_what_they_may_use_until_they_are_over() {
    let stack = stack("m~chunks=6~gate").await;
    let asks = || (0..2 * MAX / ESTIMATE).map(|_| stack.prompt(json!({"prompt": "hi"})));
    let held = |requests: &[RecordedRequest]| requests.len() as u64 == MAX / ESTIMATE;
    let (replies, ()) = tokio::join!(join_all(asks()), async {
        stack.simulator.wait_for(held, PATIENCE).await.unwrap();
        expect_over(&stack.prompt(json!({"prompt": "hi"})).await, HOUR);
        stack.simulator.open_gate("m");
    });
    let (answers, refusals): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 200);
    assert_eq!((answers.len(), refusals.len()), (10, 10));
    refusals.iter().for_each(|reply| expect_over(reply, HOUR));
    // All but what they used is back.
    let (more, _) = spend(async || stack.prompt(json!({"prompt": "hi"})).await).await;
    assert_eq!(more, (MAX - 10 * USED - ESTIMATE) / USED + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_beyond_its_estimate_is_all_that_goes_beyond_the_limit() {
    room_in_the_hour().await;
    let stack = Stack::builder().set("limits.tokens", rate(3_000, "1h")).start().await;
    // Nothing says how long an answer may be: 1000 tokens are expected, and three for the prompt. Two and 1500 are used.
    let (answers, over) = spend(async || stack.prompt(json!({"prompt": "!words 1500"})).await).await;
    assert_eq!(answers, 2, "3004 tokens, where the second was begun with 1498 left");
    expect_over(&over, HOUR);
    expect_over(&stack.prompt(json!({"prompt": "hi", "maxTokens": 1})).await, HOUR);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_attempt_uses_none() {
    room_in_the_hour().await;
    let tokens = rate(MAX, "1h");
    let stack = Stack::builder().models([model("down", &tokens), model("m~chunks=6", &tokens)]).start().await;
    let (answers, _) = spend(async || stack.prompt(json!({"prompt": "hi"})).await).await;
    assert_eq!(answers, (MAX - ESTIMATE) / USED + 1);
    assert_eq!(stack.simulator.requests_for("down").len() as u64, answers + 1);
}
