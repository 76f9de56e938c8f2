//! Keys are where they belong, in the requests to their providers, and nowhere else.

use ai_warp_simulator::{Options, Provider};
use ai_warp_tests::{PATIENCE, Stack, eventually};
use serde_json::json;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn keys_appear_in_no_log_no_dump_no_status_and_no_answer() {
    let key = || format!("key{}", Uuid::new_v4().simple());
    let (openai, gemini, refused, later) = (key(), key(), key(), key());
    let keys =
        [(Provider::OpenAi, vec![openai.clone(), later.clone()]), (Provider::Gemini, vec![gemini.clone()])];
    let mut stack = Stack::builder()
        .envoy_log_level("debug")
        .simulator(Options { keys: keys.into(), ..Options::default() })
        .set("providers.openai.apiKey", openai.clone())
        .set("providers.gemini.apiKey", gemini.clone())
        // The simulator does not accept this one, and says so.
        .set("providers.deepseek.apiKey", refused.clone())
        .models(["openai:ok", "gemini:ok", "deepseek:ok", "openai:bad", "gemini:down"])
        .start()
        .await;
    let mut answers = Vec::new();
    for key in [&openai, &later] {
        stack.config.set("providers.openai.apiKey", key.clone()).write();
        eventually("the key is in use", PATIENCE, async || {
            stack.ask("openai:ok").await;
            let used = stack.simulator.requests().last().and_then(|request| request.credential.clone());
            if used.as_ref() == Some(key) { Ok(()) } else { Err("another is") }
        })
        .await;
        for model in ["openai:ok", "gemini:ok", "deepseek:ok", "openai:bad", "gemini:down"] {
            let body = json!({"prompt": "!echo-json", "models": [model]});
            for reply in [stack.prompt(body.clone()).await, stack.gateway().stream_as_reply(body).await] {
                answers.push(format!("{:?} {}", reply.headers, reply.text()));
            }
        }
    }
    let used: Vec<_> =
        stack.simulator.requests().iter().filter_map(|request| request.credential.clone()).collect();
    for key in [&openai, &gemini, &refused, &later] {
        assert!(used.contains(key), "every key was used");
    }
    let admin = stack.envoy().admin();
    let dump = admin.get("/config_dump?include_eds").await.text();
    assert!(dump.contains("ai-warp.gateway") && dump.contains("dynamic_active_secrets"), "the dump is whole");
    let log = stack.envoy().log();
    assert!(log.contains("[debug]"), "Envoy logs what it does");
    for (place, text) in [
        ("an answer", answers.join("\n")),
        ("Envoy's log", log),
        ("the control plane's log", stack.control_plane.log()),
        ("the configuration dump", dump),
        ("/status", stack.control_plane.status().await.to_string()),
        ("/clusters", admin.get("/clusters").await.text()),
        ("/stats", admin.get("/stats").await.text()),
    ] {
        for key in [&openai, &gemini, &refused, &later] {
            let at = text.find(key.as_str());
            let around = at.map(|at| &text[at.saturating_sub(200)..(at + 60).min(text.len())]);
            assert_eq!(around, None, "{place} holds a key");
        }
    }
}
