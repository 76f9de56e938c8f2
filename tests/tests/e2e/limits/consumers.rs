//! Limits of consumers, who are told apart by a header.

use ai_warp_tests::{Gateway, PATIENCE, Reply, Stack, eventually};
use reqwest::Method;
use serde_json::json;

use super::{HOUR, expect_over, rate, room_in_the_hour, spend};

/// Requests of each consumer in an hour.
const MAX: u64 = 5;

/// Asks as `consumer`; as nobody where there is none.
async fn ask(gateway: &Gateway, consumer: Option<&str>) -> Reply {
    let mut request = gateway.request(Method::POST, "/api/v1/prompt").json(&json!({"prompt": "hi"}));
    if let Some(consumer) = consumer {
        request = request.header("x-consumer", consumer);
    }
    Reply::of(request).await
}

async fn spend_as(stack: &Stack, envoy: usize, consumer: Option<&str>) -> u64 {
    let gateway = stack.envoys[envoy].gateway();
    let (answers, over) = spend(async || ask(gateway, consumer).await).await;
    expect_over(&over, HOUR);
    assert_eq!(over.message(), "the limit of this client is reached");
    answers
}

/// Spends all that a consumer has: what lies idle at another worker comes in a moment.
async fn spend_all(stack: &Stack, envoy: usize, consumer: Option<&str>, mut answers: u64) {
    eventually("all is spent", PATIENCE, async || {
        answers += spend_as(stack, envoy, consumer).await;
        if answers >= MAX { Ok(()) } else { Err(answers) }
    })
    .await;
    assert_eq!(answers, MAX, "{consumer:?}");
}

async fn stack() -> Stack {
    room_in_the_hour().await;
    let limits = json!({"header": "X-Consumer", "rate": rate(MAX, "1h")});
    Stack::builder().envoys(2).workers(2).storage("valkey").set("clientLimits", limits).start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_consumer_has_a_limit_of_its_own_at_all_gateways() {
    let stack = stack().await;
    for consumer in [Some("key-of-alice"), Some("key-of-bob"), None] {
        spend_all(&stack, 0, consumer, 0).await;
    }
    for consumer in [Some("key-of-alice"), None, Some("key-of-bob")] {
        assert_eq!(spend_as(&stack, 1, consumer).await, 0, "{consumer:?}");
    }
    // One who has only begun goes on elsewhere.
    for envoy in [0, 1, 0] {
        ask(stack.envoys[envoy].gateway(), Some("key-of-carol")).await.answer();
    }
    spend_all(&stack, 1, Some("key-of-carol"), 3).await;
    assert_eq!(stack.simulator.requests().len() as u64, 4 * MAX);

    let written = stack.valkey.as_ref().unwrap().everything_written();
    assert!(written.contains("clientRate:"), "{written}");
    assert!(!written.contains("key-of-"), "{written}");
    stack.expect_no_leaks();
    for request in stack.simulator.requests() {
        assert_eq!(request.header("x-consumer"), None, "a provider is told");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_a_consumer_are_counted_over_all_models() {
    room_in_the_hour().await;
    let limits = json!({"header": "x-consumer", "tokens": rate(100, "1h")});
    let stack = Stack::builder()
        .models(["openai:m~chunks=9", "gemini:m~chunks=9"])
        .set("clientLimits", limits)
        .set("limits.maxTokens", 19)
        .start()
        .await;
    // 20 are reserved and 10 used each time, whichever model answers.
    let mut answers = 0;
    let over = loop {
        let model = if answers % 2 == 0 { "openai:m~chunks=9" } else { "gemini:m~chunks=9" };
        let request = stack.gateway().request(Method::POST, "/api/v1/prompt");
        let body = json!({"prompt": "hi", "models": [model]});
        let reply = Reply::of(request.header("x-consumer", "alice").json(&body)).await;
        if reply.status != 200 {
            break reply;
        }
        answers += 1;
    };
    expect_over(&over, HOUR);
    assert_eq!((answers, over.message()), (9, "the limit of this client is reached".to_owned()));
    ask(stack.gateway(), Some("bob")).await.answer();
}
