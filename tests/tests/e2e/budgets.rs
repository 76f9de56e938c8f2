//! What all attempts for one request may take together: retries, attempts, time; and that many clients at once, or
//! clients that leave, take no more.

use std::time::{Duration, Instant};

use ai_warp_simulator::{Options, Outcome, RecordedRequest};
use ai_warp_tests::{Gateway, PATIENCE, Reply, Stack, within};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

/// How much later than it should something may happen on a busy machine.
const SLACK: Duration = Duration::from_millis(400);

/// How much earlier it may seem to happen: the simulator takes its time a moment later than the gateway did.
const CLOCK_SLACK: Duration = Duration::from_millis(5);

/// Clients of [`many_clients_at_once_are_answered_by_the_next_model`].
const CLIENTS: usize = 1_000;

fn prompt() -> Value {
    json!({"prompt": "hi"})
}

/// The times between the requests of each of the prompts `0` to `count - 1`.
fn gaps(stack: &Stack, count: usize) -> Vec<Vec<Duration>> {
    let requests = stack.simulator.requests();
    let of_prompt = |number: usize| {
        let mark = format!("<{number}>");
        let times: Vec<Instant> = requests
            .iter()
            .filter(|request| request.body.to_string().contains(&mark))
            .map(|request| request.received_at)
            .collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).collect()
    };
    (0..count).map(of_prompt).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_of_a_model_wait_longer_each_time_with_jitter_and_up_to_the_cap() {
    /// As many as always may retry at once.
    const PROMPTS: usize = 3;
    for (max_interval, bases_ms) in [("30s", [100, 200, 400]), ("200ms", [100, 200, 200])] {
        for stream in [false, true] {
            let stack = Stack::builder()
                .models(["openai:down"])
                .set("limits.retry", json!({"max": 3, "interval": "100ms", "maxInterval": max_interval}))
                .start()
                .await;
            let ask =
                async |number| stack.prompt(json!({"prompt": format!("<{number}>"), "stream": stream})).await;
            for reply in join_all((0..PROMPTS).map(ask)).await {
                assert_eq!((reply.error().0, reply.attempts()), (502, 4));
            }
            let all = gaps(&stack, PROMPTS);
            for gaps in &all {
                assert_eq!(gaps.len(), 3, "{all:?}");
                for (gap, base_ms) in gaps.iter().zip(bases_ms) {
                    let base = Duration::from_millis(base_ms);
                    let is_in = *gap + CLOCK_SLACK >= base && *gap <= base + base / 2 + SLACK;
                    assert!(is_in, "{gap:?} is not about {base:?}: {all:?}");
                }
            }
            println!("gaps with a cap of {max_interval}: {all:?}");
            // Nine waits of three requests are hardly the same by chance.
            let differs = |gaps: &Vec<Duration>| {
                gaps.iter().zip(&all[0]).any(|(gap, other)| gap.abs_diff(*other).as_millis() > 1)
            };
            assert!(all.iter().any(differs), "no jitter: {all:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_counted_over_all_models_and_retries() {
    let names = ["openai:down", "deepseek:down", "gemini:down", "openai:ok"];
    for (retries, expected) in [
        (0, vec!["openai:down", "deepseek:down", "gemini:down"]),
        (1, vec!["openai:down", "openai:down", "deepseek:down"]),
        (5, vec!["openai:down"; 3]),
    ] {
        let stack = Stack::builder()
            .models(names)
            .set("limits.retry", json!({"max": retries, "interval": "10ms"}))
            .set("limits.maxAttempts", 3)
            .start()
            .await;
        for reply in [stack.prompt(prompt()).await, stack.gateway().stream_as_reply(prompt()).await] {
            assert_eq!(reply.error(), (502, "PROVIDER_RESPONSE_ERROR".to_owned()));
            assert_eq!(reply.attempts(), 3);
            assert!(reply.message().starts_with(expected[2]), "{}", reply.message());
        }
        assert_eq!(stack.asked(), [expected.clone(), expected].concat(), "{retries} retries");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_total_timeout_ends_an_attempt_in_its_middle() {
    const TOTAL: Duration = Duration::from_millis(500);
    // Silence before the headers, after them, and an answer that is never complete.
    let models = ["openai:slow", "openai:m~stall-headers", "gemini:slow", "openai:held~gate"];
    let stack = Stack::builder().models(models).set("limits.totalTimeout", "500ms").start().await;
    for model in models {
        for stream in [false, true] {
            if stream && model.contains("gate") {
                continue;
            }
            // At any time between two ticks of the gateway.
            sleep(TOTAL.mul_f32(0.37)).await;
            let started = Instant::now();
            let body = json!({"prompt": "hi", "models": [model], "stream": stream});
            let reply = within("the answer", PATIENCE, stack.prompt(body)).await;
            let lasted = started.elapsed();
            let case = format!("{model}, streamed {stream}, after {lasted:?}");
            assert_eq!(reply.error(), (504, "PROVIDER_REQUEST_TIMEOUT_ERROR".to_owned()), "{case}");
            assert_eq!(reply.attempts(), 1, "{case}");
            assert!(lasted + CLOCK_SLACK >= TOTAL && lasted <= TOTAL + SLACK, "{case}");
            let is_over = |requests: &[RecordedRequest]| {
                requests.last().is_some_and(|request| request.outcome == Outcome::AbortedByClient)
            };
            within("the provider is left", SLACK, stack.simulator.wait_for(is_over, PATIENCE)).await.unwrap();
        }
    }
    stack.wait_until_no_exchange_lives().await;
    // It is the model that is asked then, and what it answers is an answer.
    assert_eq!(stack.simulator.requests().len(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_total_timeout_ends_retries_with_the_last_failure() {
    const TOTAL: Duration = Duration::from_secs(1);
    let stack = Stack::builder()
        .models(["openai:down"])
        .set("limits.retry", json!({"max": 50, "interval": "200ms", "maxInterval": "200ms"}))
        .set("limits.maxAttempts", 100)
        .set("limits.totalTimeout", "1s")
        .start()
        .await;
    for stream in [false, true] {
        let started = Instant::now();
        let reply = stack.prompt(json!({"prompt": "hi", "stream": stream})).await;
        assert_eq!(reply.error(), (502, "PROVIDER_RESPONSE_ERROR".to_owned()));
        assert!((2..=5).contains(&reply.attempts()), "{}", reply.attempts());
        assert!(started.elapsed() <= TOTAL + SLACK, "{:?}", started.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_committed_stream_may_last_longer_than_the_total_timeout() {
    let stack = Stack::builder()
        .models(["openai:m~chunks=12~chunk-delay=100"])
        .set("limits.totalTimeout", "500ms")
        .start()
        .await;
    let transcript = stack.stream(prompt()).await.rest().await;
    assert_eq!(transcript.end()["text"], transcript.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_time_is_waited_for_a_retry_that_would_come_too_late() {
    let stack = Stack::builder()
        .models(["openai:down", "gemini:ok"])
        .set("limits.retry", json!({"max": 3, "interval": "5s"}))
        .set("limits.totalTimeout", "4s")
        .start()
        .await;
    for stream in [false, true] {
        let started = Instant::now();
        let reply = stack.prompt(json!({"prompt": "hi", "stream": stream})).await;
        assert_eq!(
            (reply.status, reply.model(), reply.attempts()),
            (200, "gemini:ok", 2),
            "{}",
            reply.text()
        );
        assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_prompt_survives_waits_retries_and_fallbacks() {
    let long = "word ".repeat(200_000);
    let stack = Stack::builder()
        .models(["openai:down", "deepseek:reset", "openai:m~status=429", "gemini:ok"])
        .set("limits.retry", json!({"max": 2, "interval": "50ms"}))
        .start()
        .await;
    for stream in [false, true] {
        stack.simulator.clear();
        let body = json!({"prompt": format!("{long}!"), "stream": stream, "context": "short"});
        let reply = stack.prompt(body).await;
        assert_eq!((reply.status, reply.model(), reply.attempts()), (200, "gemini:ok", 6));
        let requests = stack.simulator.requests();
        assert_eq!(requests.len(), 6);
        for request in &requests {
            let body = request.body.to_string();
            assert!(body.contains(&long) && body.contains(" !\""), "{} got {}", request.model, body.len());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_leave_while_they_wait_leave_nothing_behind() {
    const WAITING: usize = 3;
    const ROUNDS: usize = 2;
    let stack = Stack::builder()
        .models(["openai:down"])
        .set("limits.retry", json!({"max": 1, "interval": "2s"}))
        .start()
        .await;
    for round in 1..=ROUNDS {
        for stream in [false, true] {
            let body = json!({"prompt": "hi", "stream": stream});
            let ask = || timeout(Duration::from_millis(300), stack.prompt(body.clone()));
            let left = join_all((0..WAITING).map(|_| ask())).await;
            // All of them wait, in each round: what those before had reserved for their retries was given back.
            assert!(left.iter().all(Result::is_err), "round {round}: {left:?}");
            stack.wait_until_no_exchange_lives().await;
        }
    }
    sleep(Duration::from_secs(3)).await;
    assert_eq!(
        stack.simulator.requests().len(),
        ROUNDS * 2 * WAITING,
        "nobody is asked for a client that has left"
    );
    assert_eq!(stack.envoy().stat("cluster.ai-warp/waiting.upstream_rq_active").await, 0);
}

/// All clients ask at once. Returns how long each of them took, in order.
async fn burst(gateway: &Gateway, body: &Value, clients: usize) -> (Vec<Duration>, Vec<Reply>) {
    let ask = async || {
        let started = Instant::now();
        let reply = gateway.prompt(body.clone()).await;
        (started.elapsed(), reply)
    };
    let (mut times, replies): (Vec<_>, Vec<_>) =
        join_all((0..clients).map(|_| ask())).await.into_iter().unzip();
    times.sort();
    (times, replies)
}

fn print(what: &str, times: &[Duration]) {
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    println!("{what}: p50 {:?}, p90 {:?}, p99 {:?}, most {:?}", at(50), at(90), at(99), at(100));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_at_once_are_answered_by_the_next_model() {
    let stack = Stack::builder()
        .alone()
        .workers(2)
        .simulator(Options { record: false, ..Options::default() })
        .models(["openai:down", "gemini:ok"])
        .set("limits.retry", json!({}))
        .set("breaker", json!({}))
        .control_plane_log("info")
        .start()
        .await;
    let asked = async || stack.envoy().stat("cluster.provider/openai.upstream_rq_total").await;
    let alone = json!({"prompt": "hi", "models": ["gemini:ok"]});
    let both = prompt();
    let expect = |replies: Vec<Reply>| {
        for reply in replies {
            assert_eq!((reply.status, reply.model()), (200, "gemini:ok"), "{}", reply.text());
        }
    };
    for clients in [CLIENTS, 50] {
        // Connections take longer than prompts; all are made before anything is measured.
        burst(stack.gateway(), &alone, clients).await;
        let (times, _) = burst(stack.gateway(), &alone, clients).await;
        print(&format!("{clients} clients, the second model alone"), &times);
        let before = asked().await;
        let (times, replies) = burst(stack.gateway(), &both, clients).await;
        print(
            &format!("{clients} clients, the first model {}", if before == 0 { "fails" } else { "rests" }),
            &times,
        );
        // Its two attempts, and one more where it was tried again at the first model.
        let retries = replies.iter().filter(|reply| reply.attempts() > 2).count();
        expect(replies);
        if before == 0 {
            stack.wait_for_model_state("openai:down", "error", Some("retry")).await;
            let seen = asked().await;
            println!("{CLIENTS} clients: the first model was asked {seen} times, {retries} of them again");
            // One fifth of those under way may retry, and at least three of each worker.
            assert!(retries <= CLIENTS / 5 + 6, "{retries} retries");
            assert!(
                (1..=(CLIENTS + retries) as u64).contains(&seen),
                "the first model was asked {seen} times"
            );
        }
        let before = asked().await;
        let (times, replies) = burst(stack.gateway(), &both, clients).await;
        print(&format!("{clients} clients, the first model rests"), &times);
        expect(replies);
        assert_eq!(asked().await, before, "a model that rests is left alone");
    }
    stack.wait_until_no_exchange_lives().await;
}
