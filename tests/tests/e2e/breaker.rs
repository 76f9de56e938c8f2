//! A model that fails is left alone by the whole fleet, tried again by one request at a time, and used again once it
//! answers.

use std::time::{Duration, Instant};

use ai_warp_tests::{Builder, Gateway, ModelState, PATIENCE, Refusing, Reply, Stack, eventually};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

/// How soon all gateways know what one of them saw.
const KNOWN_WITHIN: Duration = Duration::from_secs(1);

/// How much a gap may seem shorter than it was: clocks count whole milliseconds, and the simulator takes the time a
/// moment after the gateway did.
const CLOCK_SLACK: Duration = Duration::from_millis(20);

/// How much later than it could a probe may come: for the next client, for the worker that asks first to ask again, and
/// for a busy machine.
const PROBE_SLACK: Duration = Duration::from_secs(2);

/// What a client waits between two prompts.
const PACE: Duration = Duration::from_millis(80);

/// Two gateways with two workers each, and models of which one failure is enough.
fn fleet(models: [&str; 2]) -> Builder {
    Stack::builder().envoys(2).workers(2).models(models).set("breaker.failures", 1)
}

fn prompt() -> Value {
    json!({"prompt": "hi"})
}

/// Asks every gateway `count` times at once, so that every worker is asked.
async fn ask_all(stack: &Stack, count: usize) -> Vec<Reply> {
    let gateways = stack.envoys.iter().flat_map(|envoy| std::iter::repeat_n(envoy.gateway(), count));
    join_all(gateways.map(|gateway| gateway.prompt(prompt()))).await
}

/// Asks every gateway with two clients for `span`. All get an answer. Returns when, and of which model.
async fn keep_asking(gateways: &[Gateway], span: Duration) -> Vec<(Instant, String)> {
    let end = Instant::now() + span;
    let client = async |gateway: &Gateway| {
        let mut answers = Vec::new();
        while Instant::now() < end {
            let reply = gateway.prompt(prompt()).await;
            reply.answer();
            answers.push((Instant::now(), reply.model().to_owned()));
            sleep(PACE).await;
        }
        answers
    };
    join_all(gateways.iter().chain(gateways).map(client)).await.concat()
}

fn gateways(stack: &Stack) -> Vec<Gateway> {
    stack.envoys.iter().map(|envoy| envoy.gateway().clone()).collect()
}

/// How often the simulator was asked for `model`.
fn asked(stack: &Stack, model: &str) -> usize {
    stack.simulator.requests_for(model).len()
}

/// The times between the requests that the simulator got for `model`.
fn gaps(stack: &Stack, model: &str) -> Vec<Duration> {
    let times: Vec<Instant> =
        stack.simulator.requests_for(model).iter().map(|request| request.received_at).collect();
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_gateway_saw_all_know_within_a_second() {
    for storage in ["memory", "valkey"] {
        let stack = fleet(["openai:down", "gemini:ok"]).storage(storage).start().await;
        let reply = stack.prompt(prompt()).await;
        assert_eq!((reply.model(), reply.attempts()), ("gemini:ok", 2), "{storage}");
        sleep(KNOWN_WITHIN).await;
        for reply in ask_all(&stack, 16).await {
            assert_eq!((reply.model(), reply.attempts()), ("gemini:ok", 1), "{storage}");
        }
        assert_eq!(asked(&stack, "down"), 1, "{storage}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_fleet_asks_a_model_that_fails_once_per_restore_time() {
    const REST: Duration = Duration::from_secs(1);
    for storage in ["memory", "valkey"] {
        let stack = fleet(["openai:down", "gemini:ok"])
            .storage(storage)
            .set("restore.retry", "1s")
            .set("breaker.maxRestore", "1s")
            .start()
            .await;
        stack.prompt(prompt()).await.answer();
        stack.wait_for_model_state("openai:down", "error", Some("retry")).await;
        sleep(REST / 2).await;
        keep_asking(&gateways(&stack), Duration::from_secs(6)).await;
        let gaps = gaps(&stack, "down");
        assert!(gaps.iter().all(|gap| *gap + CLOCK_SLACK >= REST), "{storage}: {gaps:?}");
        assert!(gaps.len() >= 2, "{storage}: it is tried again and again: {gaps:?}");
        println!("{storage}: gaps between probes {gaps:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failed_probe_doubles_the_rest() {
    let stack = fleet(["openai:down", "gemini:ok"])
        .set("restore.retry", "500ms")
        .set("breaker.maxRestore", "2s")
        .start()
        .await;
    stack.prompt(prompt()).await.answer();
    stack.wait_for_model_state("openai:down", "error", Some("retry")).await;
    sleep(Duration::from_millis(250)).await;
    keep_asking(&gateways(&stack), Duration::from_secs(9)).await;
    let gaps = gaps(&stack, "down");
    assert!(gaps.len() >= 3, "{gaps:?}");
    for (gap, rest_ms) in gaps.iter().zip([500, 1_000, 2_000, 2_000, 2_000]) {
        let rest = Duration::from_millis(rest_ms);
        assert!(*gap + CLOCK_SLACK >= rest && *gap <= rest + PROBE_SLACK, "{gap:?} for {rest:?}: {gaps:?}");
    }
    println!("gaps between probes {gaps:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_answers_its_probe_is_used_by_all_within_a_second() {
    for storage in ["memory", "valkey"] {
        let stack = fleet(["openai:m~fail-first=2", "gemini:ok"])
            .storage(storage)
            .set("restore.retry", "1s")
            .set("breaker.maxRestore", "1s")
            .start()
            .await;
        stack.prompt(prompt()).await.answer();
        sleep(Duration::from_millis(500)).await;
        let answers = keep_asking(&gateways(&stack), Duration::from_secs(6)).await;
        let answered = answers.iter().filter(|(_, model)| model == "openai:m~fail-first=2");
        let first = answered.map(|(at, _)| *at).min().expect("the model recovers");
        let late = answers
            .iter()
            .filter(|(at, model)| model == "gemini:ok" && *at > first + KNOWN_WITHIN + PACE)
            .count();
        assert_eq!(late, 0, "{storage}: of {} answers", answers.len());
        for reply in ask_all(&stack, 8).await {
            assert_eq!((reply.model(), reply.attempts()), ("openai:m~fail-first=2", 1), "{storage}");
        }
        stack.wait_for_model_state("openai:m~fail-first=2", "ready", None).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_all_models_rest_no_provider_is_asked_and_the_client_learns_when_to_come_back() {
    let stack = Stack::builder()
        .models(["openai:limited~retry-after=40", "deepseek:limited~retry-after=20"])
        .set("breaker.failures", 1)
        .start()
        .await;
    assert_eq!(stack.prompt(prompt()).await.error(), (429, "PROVIDER_RATE_LIMIT_ERROR".to_owned()));
    for reply in [stack.prompt(prompt()).await, stack.gateway().stream_as_reply(prompt()).await] {
        assert_eq!(reply.error(), (503, "PROVIDER_NO_MODELS_AVAILABLE_ERROR".to_owned()));
        let secs: u64 = reply.header("retry-after").parse().expect("retry-after is a number");
        // A busy machine may take some of the twenty.
        assert!((15..=20).contains(&secs), "{secs}");
        assert_eq!(reply.attempts(), 0);
    }
    assert_eq!(stack.simulator.requests().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_may_try_the_least_bad_model_where_all_rest() {
    let least_bad = "deepseek:limited~retry-after=20";
    let stack = Stack::builder()
        .models(["openai:limited~retry-after=40", least_bad, "gemini:limited~retry-after=30"])
        .set("routes", json!([{"name": "default", "gracefulDegradation": true}]))
        .set("breaker.failures", 1)
        .start()
        .await;
    stack.prompt(prompt()).await.error();
    assert_eq!(stack.simulator.requests().len(), 3);
    for reply in [stack.prompt(prompt()).await, stack.gateway().stream_as_reply(prompt()).await] {
        assert_eq!((reply.error().0, reply.attempts()), (429, 1));
        assert!(reply.message().starts_with(least_bad), "{}", reply.message());
    }
    assert_eq!(stack.asked()[3..], [least_bad, least_bad]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wait_a_provider_asks_for_is_the_rest() {
    let models = [
        "openai:a~status=429~retry-after=100",
        "openai:b~status=429~retry-after-ms=100000",
        "openai:c~status=429~retry-after=none~reset-requests=1m40s",
        "gemini:d~status=429~retry-after=none~retry-info=100s",
        "deepseek:e~status=503~retry-after=100",
    ];
    let stack = Stack::builder().models(models).set("breaker.failures", 1).start().await;
    stack.prompt(prompt()).await.error();
    let is_right = |model: &ModelState| {
        let rest = model.retry_in.unwrap_or_default();
        model.state == "error" && rest <= Duration::from_secs(100) && rest > Duration::from_secs(80)
    };
    eventually("all rest for as long as they said", PATIENCE, async || {
        let states = stack.control_plane.models().await;
        if states.len() == models.len() && states.values().all(is_right) {
            Ok(())
        } else {
            Err(format!("{states:?}"))
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_prompt_is_not_held_against_the_model() {
    let refusing = ["openai:bad", "openai:m~status=413", "openai:unprocessable", "gemini:bad"];
    let last = "openai:unauthorized";
    let stack =
        Stack::builder().models(refusing.into_iter().chain([last])).set("breaker.failures", 1).start().await;
    for model in refusing {
        for _ in 0..3 {
            assert_eq!(stack.ask(model).await.error(), (400, "PROVIDER_BAD_REQUEST_ERROR".to_owned()));
        }
    }
    assert_eq!(stack.simulator.requests().len(), 3 * refusing.len());
    // Reports arrive in order.
    stack.ask(last).await.error();
    stack.wait_for_model_state(last, "error", Some("credential")).await;
    for model in refusing {
        assert_eq!(stack.model_state(model).await, ("ready".to_owned(), None), "{model}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_failures_as_configured_within_the_window_and_anywhere_in_the_fleet_are_needed() {
    const WINDOW: Duration = Duration::from_secs(1);
    let stack = fleet(["openai:down", "gemini:ok"])
        .set("breaker", json!({"failures": 3, "window": "1s"}))
        .start()
        .await;
    let (one, other) = (stack.envoys[0].gateway(), stack.envoys[1].gateway());
    for gateway in [one, other] {
        assert_eq!(gateway.prompt(prompt()).await.attempts(), 2);
    }
    sleep(WINDOW + Duration::from_millis(100)).await;
    for gateway in [one, other] {
        assert_eq!(gateway.prompt(prompt()).await.attempts(), 2, "the first two are forgotten");
    }
    assert_eq!(stack.model_state("openai:down").await.0, "ready");
    assert_eq!(one.prompt(prompt()).await.attempts(), 2);
    stack.wait_for_model_state("openai:down", "error", Some("retry")).await;
    sleep(KNOWN_WITHIN).await;
    for reply in ask_all(&stack, 8).await {
        assert_eq!(reply.attempts(), 1);
    }
    assert_eq!(asked(&stack, "down"), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_is_loud() {
    let models = ["openai:m~status=401", "gemini:m~status=403"];
    let stack = Stack::builder().models(models).set("breaker.failures", 1).start().await;
    stack.prompt(prompt()).await.error();
    for model in models {
        stack.wait_for_model_state(model, "error", Some("credential")).await;
    }
    let problems = stack.control_plane.status().await["problems"].to_string();
    let log = stack.control_plane.log();
    for model in models {
        assert!(problems.contains(model), "{model}: {problems}");
        let is_told = log.lines().any(|line| line.contains("ERROR") && line.contains(model));
        assert!(is_told, "{model} is not in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_whose_client_leaves_is_given_to_the_next_request() {
    let held = "openai:held~fail-first=1~gate";
    for storage in ["memory", "valkey"] {
        for stream in [false, true] {
            let stack =
                fleet([held, "gemini:ok"]).storage(storage).set("restore.retry", "500ms").start().await;
            stack.prompt(prompt()).await.answer();
            stack.wait_for_model_state(held, "error", Some("retry")).await;
            sleep(Duration::from_millis(700)).await;
            // The gate holds a whole answer before its headers; a stream of it would be committed.
            let left = timeout(Duration::from_millis(500), stack.prompt(prompt())).await;
            assert!(left.is_err(), "the probe is held: {left:?}");
            stack.simulator.open_gate("held");
            let body = json!({"prompt": "hi", "stream": stream});
            eventually("the next request is the probe", Duration::from_secs(3), async || {
                let reply = stack.envoys[1].gateway().prompt(body.clone()).await;
                if reply.model() == held { Ok(()) } else { Err(reply.text()) }
            })
            .await;
            assert_eq!(asked(&stack, "held~fail-first=1~gate"), 3, "{storage}");
            stack.wait_for_model_state(held, "ready", None).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_plane_that_lost_its_memory_is_told_again() {
    for failures in [1, 2] {
        let mut stack = fleet(["openai:down", "gemini:ok"]).set("breaker.failures", failures).start().await;
        for _ in 0..failures {
            stack.prompt(prompt()).await.answer();
        }
        stack.wait_for_model_state("openai:down", "error", Some("retry")).await;
        sleep(KNOWN_WITHIN).await;
        let gateways = gateways(&stack);
        let asking = tokio::spawn(async move { keep_asking(&gateways, Duration::from_secs(5)).await });
        let asked_before = asked(&stack, "down");
        stack.control_plane.restart(&mut stack.config).await;
        stack.wait_for_model_state("openai:down", "error", Some("retry")).await;
        asking.await.unwrap();
        assert_eq!(asked(&stack, "down"), asked_before, "nobody forgot");
        assert_eq!(stack.model_state("openai:down").await.0, "error");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_control_plane_each_worker_goes_by_what_it_saw_and_tells_it_later() {
    /// Workers of all gateways.
    const WORKERS: usize = 4;
    const REST: Duration = Duration::from_secs(1);
    const ABSENCE: Duration = Duration::from_secs(5);
    let mut stack = fleet(["openai:down", "gemini:ok"])
        .set("restore.retry", "1s")
        .set("breaker.maxRestore", "1s")
        .start()
        .await;
    stack.control_plane.kill();
    keep_asking(&gateways(&stack), ABSENCE).await;
    let times: Vec<Instant> =
        stack.simulator.requests_for("down").iter().map(|request| request.received_at).collect();
    let too_soon = times.windows(WORKERS + 1).filter(|span| span[WORKERS] - span[0] + CLOCK_SLACK < REST);
    assert_eq!(too_soon.count(), 0, "each worker asks once per restore time: {times:?}");
    assert!(times.len() > WORKERS, "they try again");
    println!("{} requests of {WORKERS} workers within {ABSENCE:?}", times.len());

    // Back, it hears of the model's state, and from there on there is one probe per restore time again.
    stack.control_plane.restart(&mut stack.config).await;
    stack.wait_for_model_state("openai:down", "error", Some("retry")).await;
    let gateways = gateways(&stack);
    keep_asking(&gateways, KNOWN_WITHIN * 2).await;
    // It remembers a thousand requests.
    stack.simulator.clear();
    keep_asking(&gateways, REST * 4).await;
    let since = gaps(&stack, "down");
    assert!(since.len() >= 2, "{since:?}");
    assert!(since.iter().all(|gap| *gap + CLOCK_SLACK >= REST), "{since:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_joins_knows_what_rests() {
    for storage in ["memory", "valkey"] {
        let mut stack = fleet(["openai:down", "gemini:ok"]).storage(storage).start().await;
        stack.prompt(prompt()).await.answer();
        stack.wait_for_model_state("openai:down", "error", Some("retry")).await;
        let port = Refusing::new().into_port();
        stack.launch_envoy(port, false);
        let fresh = Gateway::new(&format!("127.0.0.1:{port}"));
        eventually("the new gateway answers", PATIENCE, async || match fresh.try_prompt(&prompt()).await {
            Ok(reply) if reply.status == 200 => Ok(()),
            Ok(reply) => Err(reply.text()),
            Err(error) => Err(error.to_string()),
        })
        .await;
        assert_eq!(asked(&stack, "down"), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_valkey_each_worker_goes_by_what_it_saw_and_tells_it_later() {
    let mut stack = fleet(["openai:down", "gemini:ok"]).storage("valkey").start().await;
    // Every worker has its share of the limits.
    let only_ok = json!({"prompt": "hi", "models": ["gemini:ok"]});
    let gateways = gateways(&stack);
    join_all(gateways.iter().flat_map(|gateway| (0..8).map(|_| gateway.prompt(only_ok.clone())))).await;
    stack.valkey.as_mut().unwrap().kill();
    keep_asking(&gateways, Duration::from_secs(2)).await;
    let seen = asked(&stack, "down");
    assert!((1..=gateways.len() * 2).contains(&seen), "each of the four workers asks once: {seen}");
    keep_asking(&gateways, KNOWN_WITHIN).await;
    assert_eq!(asked(&stack, "down"), seen);

    stack.valkey.as_mut().unwrap().restart().await;
    stack.wait_for_model_state("openai:down", "error", Some("retry")).await;
    keep_asking(&gateways, KNOWN_WITHIN).await;
    assert_eq!(asked(&stack, "down"), seen, "and it is left alone");
}
