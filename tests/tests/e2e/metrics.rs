//! What Prometheus sees: every request, attempt, token and decision, with its labels, and the numbers are exact.

use ai_warp_tests::{PATIENCE, Samples, Stack, eventually, promtool_complaints};
use serde_json::{Value, json};

/// A model with its price.
fn priced() -> Value {
    json!({"provider": "gemini", "model": "ok", "price": {"input": 2.5, "output": "25"}})
}

/// Envoy's exposition, once `series` has `value`: workers publish about once a second.
async fn metrics_with(stack: &Stack, expected: &[(&str, f64)]) -> Samples {
    eventually("every number is told", PATIENCE, async || {
        let samples = stack.envoy().metrics().await;
        let differs = expected.iter().find(|(series, value)| samples.get(series) != *value);
        match differs {
            None => Ok(samples),
            Some((series, value)) => Err(format!(
                "{series} is {}, not {value}:\n{:#?}",
                samples.get(series),
                samples.of("ai_warp_").collect::<Vec<_>>()
            )),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_attempts_tokens_and_cost_are_counted_over_all_workers() {
    const ASKED: u32 = 12;
    let stack = Stack::builder()
        .workers(2)
        .models([json!("openai:down"), priced(), json!("openai:bad")])
        .set("breaker.failures", 1_000)
        .start()
        .await;
    let asked = f64::from(ASKED);
    for number in 0..ASKED {
        // A connection each, so that both workers have some.
        let gateway = ai_warp_tests::Gateway::new(stack.gateway().address());
        if number % 2 == 0 {
            let reply = gateway.prompt(json!({"prompt": "hi"})).await;
            assert_eq!((reply.status, reply.model()), (200, "gemini:ok"));
        } else {
            let streamed = gateway.stream(json!({"prompt": "hi"})).await.rest().await;
            assert_eq!(streamed.header("x-ai-warp-model"), "gemini:ok");
        }
    }
    assert_eq!(stack.ask("openai:bad").await.status, 400);
    let nothing = stack.gateway().prompt(json!({})).await;
    assert_eq!(nothing.error().1, "OPTION_ERROR");
    let samples = metrics_with(
        &stack,
        &[
            ("ai_warp_requests_total{model=\"gemini:ok\",outcome=\"ok\",route=\"default\"}", asked),
            (
                "ai_warp_requests_total{model=\"openai:bad\",outcome=\"provider_bad_request_error\",route=\"default\"}",
                1.0,
            ),
            ("ai_warp_requests_total{model=\"none\",outcome=\"option_error\",route=\"none\"}", 1.0),
            ("ai_warp_attempts_total{model=\"openai:down\",result=\"server_error\",route=\"default\"}", asked),
            ("ai_warp_attempts_total{model=\"gemini:ok\",result=\"ok\",route=\"default\"}", asked),
            ("ai_warp_attempts_total{model=\"openai:bad\",result=\"rejected\",route=\"default\"}", 1.0),
            ("ai_warp_fallbacks_total{model=\"openai:down\",reason=\"server_error\"}", asked),
            ("ai_warp_time_to_first_token_count{model=\"gemini:ok\",route=\"default\"}", asked / 2.0),
            ("ai_warp_time_per_output_token_count{model=\"gemini:ok\",route=\"default\"}", asked / 2.0),
            ("ai_warp_limit_decisions_total{decision=\"allowed\",limit=\"model_rate\"}", asked * 2.0 + 1.0),
            ("ai_warp_exchanges_live", 0.0),
            ("ai_warp_model_open{target=\"gemini:ok\"}", 0.0),
            ("ai_warp_turns_stored_total", asked),
        ],
    )
    .await;
    let tokens = |kind: &str| {
        let series = format!("ai_warp_tokens_total{{kind=\"{kind}\",model=\"gemini:ok\",route=\"default\"}}");
        samples.get(&series)
    };
    assert!(tokens("input") > 0.0 && tokens("output") > 0.0, "the simulator counts");
    let cost = samples.get("ai_warp_cost_micros_total{model=\"gemini:ok\",route=\"default\"}");
    // A millionth may be left over at each worker.
    let expected = tokens("input") * 2.5 + tokens("output") * 25.0;
    assert!((expected - 2.0..=expected).contains(&cost), "{cost} {expected}");
    assert!(samples.has("ai_warp_model_open{target=\"gemini:ok\"}"), "a model is shown before it ever fails");
    assert!(samples.get("ai_warp_sync_last_reply_timestamp_seconds") > 1_700_000_000.0);
    assert!(samples.get("ai_warp_sync_calls_total{call=\"turns\",result=\"ok\"}") > 0.0);
    assert_eq!(samples.get("ai_warp_sync_calls_total{call=\"fleet\",result=\"failed\"}"), 0.0);
    let per_bucket =
        "ai_warp_time_to_first_token_bucket{le=\"160000\",model=\"gemini:ok\",route=\"default\"}";
    assert_eq!(samples.get(per_bucket), asked / 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_left_alone_and_a_limit_that_is_reached_are_shown() {
    let stack = Stack::builder()
        .workers(2)
        .models([
            json!({"provider": "openai", "model": "m:a/b.c;d~status=503"}),
            json!({"provider": "gemini", "model": "ok", "limits": {"rate": {"max": 1, "timeWindow": "1h"}}}),
        ])
        .set("breaker.failures", 1)
        .start()
        .await;
    // The second request finds the first model resting and the second at its limit.
    assert_eq!(stack.prompt(json!({"prompt": "hi"})).await.status, 200);
    // Another worker hears of it within a second.
    eventually("both are passed over", PATIENCE, async || {
        let refused = stack.prompt(json!({"prompt": "hi"})).await.error();
        if refused == (429, "PROVIDER_RATE_LIMIT_ERROR".to_owned()) { Ok(()) } else { Err(refused.1) }
    })
    .await;
    let strange = "openai:m:a/b.c%3Bd~status=503";
    metrics_with(
        &stack,
        &[
            // However many workers there are.
            (&format!("ai_warp_model_open{{target=\"{strange}\"}}"), 1.0),
            ("ai_warp_model_open{target=\"gemini:ok\"}", 0.0),
            ("ai_warp_limit_decisions_total{decision=\"refused\",limit=\"model_rate\"}", 1.0),
            (
                "ai_warp_requests_total{model=\"none\",outcome=\"provider_rate_limit_error\",route=\"default\"}",
                1.0,
            ),
            (&format!("ai_warp_fallbacks_total{{model=\"{strange}\",reason=\"server_error\"}}"), 1.0),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_finds_nothing_wrong_with_the_filters_metrics() {
    let stack = Stack::builder().models(["openai:down", "gemini:ok"]).start().await;
    stack.stream(json!({"prompt": "hi"})).await.rest().await;
    let series = "ai_warp_time_to_first_token_count{model=\"gemini:ok\",route=\"default\"}";
    metrics_with(&stack, &[(series, 1.0)]).await;
    let exposition = stack.envoy().exposition().await;
    let Some(complaints) = promtool_complaints(&exposition) else { return };
    // Envoy writes no help to anything, and has names of its own taste. What cannot be read at all begins otherwise.
    let of_others = |line: &&String| !(line.starts_with("envoy_") || line.ends_with("no help text"));
    let serious: Vec<_> = complaints.iter().filter(of_others).collect();
    assert!(serious.is_empty(), "{serious:#?}");
    assert!(complaints.iter().any(|line| line.starts_with("ai_warp_requests_total")), "it was looked at");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_control_plane_tells_how_it_fares_and_promtool_finds_nothing_wrong() {
    let mut stack = Stack::builder()
        .envoys(2)
        .models(["openai:ok", "openai:down"])
        .set("breaker.failures", 1)
        .start()
        .await;
    stack.control_plane.wait_for_gateways(2).await;
    assert_eq!(stack.prompt(json!({"prompt": "hi"})).await.status, 200);
    stack.ask("openai:down").await;
    stack.wait_for_model_state("openai:down", "error", Some("retry")).await;
    stack.reconfigure(|config| _ = config.set("limits.maxTokens", 77)).await;
    stack.control_plane.wait_for_gateways(2).await;
    stack.config.write_text("models: [");
    let name = |series: &str| format!("ai_warp_control_plane_{series}");
    let expected = [
        ("gateways{state=\"current\"}", 2.0),
        ("gateways{state=\"refusing\"}", 0.0),
        ("store_reachable", 1.0),
        ("config_valid", 0.0),
        ("config_reloads_total{result=\"applied\"}", 1.0),
        ("config_reloads_total{result=\"refused\"}", 1.0),
        ("turns_total{result=\"stored\"}", 1.0),
        ("turns_total{result=\"failed\"}", 0.0),
        ("model_state{state=\"error\",target=\"openai:down\"}", 1.0),
        ("model_state{state=\"ready\",target=\"openai:down\"}", 0.0),
        ("model_state{state=\"ready\",target=\"openai:ok\"}", 1.0),
        ("pushes_total{kind=\"filter\",result=\"accepted\"}", 4.0),
        ("http_requests_total{method=\"GET\",path=\"unknown\",status=\"404\"}", 1.0),
    ];
    stack.control_plane.api().get("/no/such\"path").await;
    let exposition = eventually("every number is told", PATIENCE, async || {
        let text = stack.control_plane.api().get("/metrics").await.text();
        let samples = Samples::parse(&text);
        match expected.iter().find(|(series, value)| samples.get(&name(series)) != *value) {
            None => Ok(text),
            Some((series, _)) => Err(format!("{series}:\n{text}")),
        }
    })
    .await;
    let samples = Samples::parse(&exposition);
    assert!(
        samples.get(&name("http_request_duration_seconds_count{path=\"/sync/v1/turns\"}")) >= 1.0,
        "{exposition}"
    );
    if let Some(complaints) = promtool_complaints(&exposition) {
        assert!(complaints.is_empty(), "{complaints:#?}");
    }
}
