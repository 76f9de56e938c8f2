//! Limits hold for the whole fleet: of a model, of a consumer, in requests and in tokens.

mod consumers;
mod saturation;
mod tokens;
mod unavailable;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ai_warp_tests::{Reply, Stack};
use serde_json::{Value, json};
use tokio::time::sleep;

/// A window that a test fits into, see [`room_in_the_hour`].
const HOUR: Duration = Duration::from_secs(3_600);

/// The most a test may take that wants to stay in one window.
const LONGEST_TEST: Duration = Duration::from_secs(40);

/// Since 1970, where windows begin.
fn since_epoch(at: SystemTime) -> Duration {
    at.duration_since(UNIX_EPOCH).unwrap()
}

/// The number of the window of this length that `at` is in.
fn window_of(at: SystemTime, length: Duration) -> u128 {
    since_epoch(at).as_millis() / length.as_millis()
}

/// What is left of the window under way.
fn rest_of_window(length: Duration) -> Duration {
    let passed = since_epoch(SystemTime::now()).as_micros() % length.as_micros();
    length - Duration::from_micros(u64::try_from(passed).unwrap())
}

/// Waits where this window of an hour would end within the test.
async fn room_in_the_hour() {
    let rest = rest_of_window(HOUR);
    if rest < LONGEST_TEST {
        sleep(rest).await;
    }
}

fn rate(max: u64, window: &str) -> Value {
    json!({"max": max, "timeWindow": window})
}

/// Asks until there is another status than 200; returns how many answers there were before, and what came instead.
async fn spend(mut ask: impl AsyncFnMut() -> Reply) -> (u64, Reply) {
    let mut answers = 0;
    loop {
        let reply = ask().await;
        if reply.status != 200 {
            return (answers, reply);
        }
        answers += 1;
    }
}

/// A refusal whose `retry-after` is the rest of the window, rounded up.
#[track_caller]
fn expect_over(reply: &Reply, window: Duration) {
    assert_eq!(reply.error(), (429, "PROVIDER_RATE_LIMIT_ERROR".to_owned()));
    let retry_after: f64 = reply.header("retry-after").parse().expect("a number of seconds");
    // Workers place the end a moment early, and this looks a moment after the answer.
    let rest = rest_of_window(window).as_secs_f64();
    let expected = (rest - 0.1).ceil()..=(rest + 0.5).ceil();
    assert!(expected.contains(&retry_after), "retry-after {retry_after}, {rest} s are left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_over_its_rate_is_skipped_and_when_none_is_left_there_is_an_error() {
    room_in_the_hour().await;
    let stack = Stack::builder()
        .models([
            json!({"provider": "openai", "model": "first", "limits": {"rate": rate(3, "1h")}}),
            json!({"provider": "gemini", "model": "second", "limits": {"rate": rate(2, "1h")}}),
        ])
        .start()
        .await;
    for turn in 0..5 {
        let model = if turn < 3 { "openai:first" } else { "gemini:second" };
        let (answered_by, attempts) = if turn % 2 == 0 {
            let reply = stack.prompt(json!({"prompt": "hi"})).await;
            reply.answer();
            (reply.model().to_owned(), reply.attempts())
        } else {
            let transcript = stack.stream(json!({"prompt": "hi"})).await.rest().await;
            transcript.end();
            let attempts = transcript.header("x-ai-warp-attempts").parse().unwrap();
            (transcript.header("x-ai-warp-model").to_owned(), attempts)
        };
        assert_eq!((answered_by.as_str(), attempts), (model, 1), "request {turn}");
    }
    let whole = stack.prompt(json!({"prompt": "hi"})).await;
    let stream = stack.gateway().stream_as_reply(json!({"prompt": "hi"})).await;
    let one_alone = stack.ask("gemini:second").await;
    for reply in [whole, stream, one_alone] {
        expect_over(&reply, HOUR);
        assert_eq!(reply.message(), "every model has reached its limit");
    }
    assert_eq!(stack.simulator.requests().len(), 5, "{:?}", stack.asked());
    // The models themselves are well.
    assert_eq!(stack.model_state("openai:first").await, ("ready".to_owned(), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_zero_lets_none_through() {
    let stack = Stack::builder().set("limits.rate", rate(0, "1h")).start().await;
    let reply = stack.prompt(json!({"prompt": "hi"})).await;
    assert_eq!(reply.error(), (429, "PROVIDER_RATE_LIMIT_ERROR".to_owned()));
    assert_eq!(stack.simulator.requests().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_limit_applies_within_a_second() {
    const SOON: Duration = Duration::from_secs(1);
    room_in_the_hour().await;
    let mut stack = Stack::builder().storage("valkey").set("limits.rate", rate(4, "1h")).start().await;
    let mut answers = spend(async || stack.ask("openai:ok").await).await.0;
    assert_eq!(answers, 4);
    // Another window is another count.
    for (max, window, expected) in
        [(10, "1h", 10), (6, "1h", 10), (11, "1h", 11), (1, "1h", 11), (3, "2h", 14)]
    {
        stack.reconfigure(|config| _ = config.set("limits.rate", rate(max, window))).await;
        // What is used up is asked for again a moment later, so there must be time for what must not come as well.
        let changed = Instant::now();
        while changed.elapsed() < SOON {
            answers += spend(async || stack.ask("openai:ok").await).await.0;
        }
        assert_eq!(answers, expected, "of {max} in {window}");
    }
}
