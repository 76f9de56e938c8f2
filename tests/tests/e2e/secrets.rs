//! Keys are where they belong, in the requests to their providers, and nowhere else.

use ai_warp_simulator::{Options, Provider};
use ai_warp_tests::{PATIENCE, ServiceAccountKey, Stack, Upstream, eventually};
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
    for (name, place) in [("an answer", answers.join("\n"))].into_iter().chain(places(&stack).await) {
        for key in [&openai, &gemini, &refused, &later] {
            expect_absent(key, name, &place);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_access_keys_nor_service_accounts_nor_tokens_appear_anywhere() {
    let secret = || format!("key{}", Uuid::new_v4().simple());
    let (id, key, later_key, session, token) = (secret(), secret(), secret(), secret(), secret());
    let upstream = Upstream::provider().await;
    let answer = json!({"access_token": token, "expires_in": 3600}).to_string();
    let tokens = Upstream::start(move |_| (200, "application/json", answer.clone())).await;
    let account = ServiceAccountKey::new(&format!("http://{}/token", tokens.address()));
    let base_url = format!("http://{}", upstream.address());
    let aws = |key: &str| json!({"region": "eu-west-3", "accessKeyId": id, "secretAccessKey": key, "sessionToken": session});
    let gcp = json!({"project": "p", "serviceAccount": account.json()});
    let mut stack = Stack::builder()
        .envoy_log_level("debug")
        .set("providers.bedrock", json!({"baseUrl": base_url, "aws": aws(&key)}))
        .set("providers.vertex", json!({"baseUrl": base_url, "gcp": gcp}))
        .models(["bedrock:m", "vertex:m"])
        .start()
        .await;
    let mut answers = Vec::new();
    for (round, key) in [&key, &later_key].into_iter().enumerate() {
        let aws = aws(key);
        stack
            .reconfigure(|config| {
                _ = config.set("limits.maxTokens", 70 + round).set("providers.bedrock.aws", aws)
            })
            .await;
        for model in ["bedrock:m", "vertex:m"] {
            let body = json!({"prompt": "hi", "models": [model]});
            for reply in [stack.prompt(body.clone()).await, stack.gateway().stream_as_reply(body).await] {
                // Bedrock's streams fail here: an error must not tell anything either.
                assert!(reply.status == 200 || model == "bedrock:m", "{}", reply.text());
                answers.push(format!("{:?} {}", reply.headers, reply.text()));
            }
        }
    }
    let (used, signed): (Vec<_>, Vec<_>) = upstream
        .seen()
        .into_iter()
        .partition(|seen| seen.header("authorization") == format!("Bearer {token}"));
    assert_eq!((used.len(), signed.len()), (4, 4));
    assert!(signed.iter().all(|seen| seen.header("x-amz-security-token") == session));
    for (name, place) in [("an answer", answers.join("\n"))].into_iter().chain(places(&stack).await) {
        for secret in [&key, &later_key, &token, account.piece()] {
            expect_absent(secret, name, &place);
        }
        // It is part of what is signed, and Envoy logs that at level debug.
        if name != "Envoy's log" {
            expect_absent(&session, name, &place);
        }
    }
}

/// Everything that a stack shows to those who operate it.
async fn places(stack: &Stack) -> Vec<(&'static str, String)> {
    let admin = stack.envoy().admin();
    let dump = admin.get("/config_dump?include_eds").await.text();
    assert!(dump.contains("ai-warp.gateway") && dump.contains("dynamic_active_secrets"), "the dump is whole");
    let log = stack.envoy().log();
    assert!(log.contains("[debug]"), "Envoy logs what it does");
    vec![
        ("Envoy's log", log),
        ("the control plane's log", stack.control_plane.log()),
        ("the configuration dump", dump),
        ("/status", stack.control_plane.status().await.to_string()),
        ("/clusters", admin.get("/clusters").await.text()),
        ("/stats", admin.get("/stats").await.text()),
    ]
}

#[track_caller]
fn expect_absent(secret: &str, place: &str, text: &str) {
    let at = text.find(secret);
    let around = at.map(|at| &text[at.saturating_sub(200)..(at + 60).min(text.len())]);
    assert_eq!(around, None, "{place} holds a secret");
}
