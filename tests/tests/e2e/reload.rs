//! A changed configuration is in force within a second, and no request notices but by its effect.

use std::time::Duration;

use ai_warp_simulator::{Options, Provider, Simulator};
use ai_warp_tests::{Config, Load, PATIENCE, Stack, eventually};
use serde_json::{Value, json};

/// Requests a second of the load.
const RATE: u32 = 50;

/// How soon a change is in force.
const IN_FORCE: Duration = Duration::from_secs(1);

/// Writes a change, and waits until an answer shows it.
async fn change(
    stack: &mut Stack,
    what: &str,
    change: impl FnOnce(&mut Config),
    shows: impl Fn(&Value) -> bool,
) {
    change(&mut stack.config);
    stack.config.write();
    eventually(&format!("{what} is in force"), IN_FORCE, async || {
        let reply = stack.prompt(json!({"prompt": "hi"})).await;
        let seen = json!({
            "model": reply.model(),
            "text": reply.json()["text"],
            "credential": stack.simulator.requests().last().and_then(|request| request.credential.clone()),
        });
        if shows(&seen) { Ok(()) } else { Err(seen) }
    })
    .await;
}

fn answered_by(model: &str) -> impl Fn(&Value) -> bool {
    move |seen| seen["model"] == model
}

#[tokio::test(flavor = "multi_thread")]
async fn another_order_limit_and_key_are_in_force_within_a_second_and_fail_no_request() {
    let keys = [(Provider::OpenAi, vec!["old-key".to_owned(), "new-key".to_owned()])].into();
    let mut stack = Stack::builder()
        .alone()
        .workers(2)
        .simulator(Options { keys, ..Options::default() })
        .set("providers.openai.apiKey", "old-key")
        .models(["openai:ok", "gemini:ok"])
        .start()
        .await;
    let load = Load::start(stack.gateway(), RATE);

    let order = |config: &mut Config| _ = config.models(["gemini:ok", "openai:ok"]);
    change(&mut stack, "another order", order, answered_by("gemini:ok")).await;

    let limit = |config: &mut Config| _ = config.set("limits.maxTokens", 33);
    let limited = |seen: &Value| seen["text"].as_str().is_some_and(|text| text.ends_with("[max=33]"));
    change(&mut stack, "another limit", limit, limited).await;

    let key =
        |config: &mut Config| _ = config.set("providers.openai.apiKey", "new-key").models(["openai:ok"]);
    change(&mut stack, "another key", key, |seen| seen["credential"] == "new-key").await;

    load.expect_no_failure().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn providers_come_and_go_within_a_second_and_fail_no_request() {
    let mut stack = Stack::builder().alone().workers(2).start().await;
    let second = Simulator::start(Options::default()).await.unwrap();
    let by_address = format!("http://{}/openai/v1", second.address());
    let by_name = format!("http://localhost:{}/gemini/v1beta", second.address().port());
    let load = Load::start(stack.gateway(), RATE);

    let added = move |config: &mut Config| {
        config.provider("second", json!({"dialect": "openai", "baseUrl": by_address, "apiKey": "sim-key"}));
        config.models(["second:ok", "openai:ok"]);
    };
    change(&mut stack, "a new provider by its address", added, answered_by("second:ok")).await;

    let named = move |config: &mut Config| {
        config.provider("third", json!({"dialect": "gemini", "baseUrl": by_name, "apiKey": "sim-key"}));
        config.models(["third:ok", "openai:ok"]);
    };
    change(&mut stack, "a new provider by its name", named, answered_by("third:ok")).await;

    let removed = |config: &mut Config| {
        let mut providers = config.get("providers").clone();
        providers.as_object_mut().unwrap().retain(|name, _| name == "openai");
        config.set("providers", providers).models(["openai:ok"]);
    };
    change(&mut stack, "the end of all other providers", removed, answered_by("openai:ok")).await;

    load.expect_no_failure().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_changes_is_never_met_halfway() {
    let mut stack = Stack::builder().alone().workers(2).start().await;
    let elsewhere = Options { api_key: "another-key".to_owned(), ..Options::default() };
    let second = Simulator::start(elsewhere).await.unwrap();
    let port = second.address().port();
    let load = Load::start(stack.gateway(), RATE);

    // Another address, another format and another key at once: old and new must never be mixed.
    let moved = move |config: &mut Config| {
        let base_url = format!("http://localhost:{port}/gemini/v1beta");
        let provider = json!({"dialect": "gemini", "baseUrl": base_url, "apiKey": "another-key"});
        config.provider("openai", provider);
    };
    let by_gemini = |seen: &Value| seen["text"].as_str().is_some_and(|text| text.starts_with("gemini/ok"));
    change(&mut stack, "another provider of the same name", moved, by_gemini).await;

    let larger = |config: &mut Config| {
        config.set("limits.maxResponseBytes", 1 << 20).set("limits.maxTokens", 77);
    };
    let limited = |seen: &Value| seen["text"].as_str().is_some_and(|text| text.ends_with("[max=77]"));
    change(&mut stack, "other sizes of buffers", larger, limited).await;

    load.expect_no_failure().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_under_way_outlives_new_timeouts_and_sizes() {
    let mut stack = Stack::builder().models(["openai:held~gate", "gemini:ok"]).start().await;
    let mut stream = stack.stream(json!({"prompt": "one two"})).await;
    stream.next_content().await;
    stack
        .reconfigure(|config| {
            config.set("limits.requestTimeout", "7s").set("limits.maxRequestBytes", 1 << 20);
        })
        .await;
    let after = json!({"prompt": "hi", "models": ["gemini:ok"]});
    assert_eq!(stack.prompt(after).await.status, 200);
    stack.simulator.open_gate("held");
    assert_eq!(stream.rest().await.end()["result"], "COMPLETE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_under_way_keeps_the_configuration_it_started_with() {
    let mut stack = Stack::builder().models(["openai:held~gate", "gemini:ok"]).start().await;
    let mut stream = stack.stream(json!({"prompt": "one two"})).await;
    stream.next_content().await;
    let whole = tokio::spawn({
        let gateway = stack.gateway().clone();
        async move { gateway.prompt(json!({"prompt": "hi"})).await }
    });
    stack.simulator.wait_for(|seen| seen.len() == 2, PATIENCE).await.unwrap();
    stack
        .reconfigure(|config| {
            let mut providers = config.get("providers").clone();
            providers.as_object_mut().unwrap().retain(|name, _| name == "gemini");
            config.set("providers", providers).models(["gemini:ok"]);
        })
        .await;
    assert_eq!(stack.prompt(json!({"prompt": "hi"})).await.model(), "gemini:ok");
    stack.simulator.open_gate("held");
    let transcript = stream.rest().await;
    assert!(transcript.end()["text"].as_str().unwrap().starts_with("openai/held"));
    assert_eq!(whole.await.unwrap().model(), "openai:held~gate");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_changes_nothing_and_is_told_with_its_place() {
    let mut stack = Stack::builder().models(["openai:ok", "gemini:ok"]).start().await;
    let version = stack.control_plane.status().await["config"]["version"].clone();
    let unknown_key =
        "providers:\n  openai:\n    apiKey: k\nmodels: [\"openai:ok\"]\nlimits:\n  retri: {max: 1}\n";
    let unknown_provider =
        "providers:\n  openai:\n    apiKey: k\nmodels:\n  - \"openai:ok\"\n  - \"opnai:ok\"\n";
    for (text, told) in [
        ("providers: {openai: {apiKey: k}}\nmodels: [\"openai:ok\"\n", vec!["line"]),
        (unknown_key, vec!["limits.retri", "line 6", "retry"]),
        (unknown_provider, vec!["models[1]", "line 6", "opnai"]),
        ("", vec!["providers"]),
    ] {
        stack.config.write_text(text);
        let status = eventually("the broken file is told", PATIENCE, async || {
            let status = stack.control_plane.status().await;
            let message = status["config"]["error"]["message"].as_str().unwrap_or_default().to_owned();
            if told.iter().all(|part| message.contains(part)) { Ok(status) } else { Err(status) }
        })
        .await;
        assert_eq!(status["config"]["version"], version, "the old configuration stays");
        let reply = stack.prompt(json!({"prompt": "hi"})).await;
        assert_eq!((reply.status, reply.model()), (200, "openai:ok"));
    }
    let fix = |config: &mut Config| _ = config.models(["gemini:ok"]);
    change(&mut stack, "the mended file", fix, answered_by("gemini:ok")).await;
    assert_eq!(stack.control_plane.status().await["config"]["error"], Value::Null);
}
