//! Without its control plane, or without its store, a gateway still answers, and says what it could not keep.

use std::time::{Duration, Instant};

use ai_warp_tests::{PATIENCE, Stack, eventually};
use serde_json::json;

/// `storage.commitTimeout` of these tests.
const COMMIT_TIMEOUT: Duration = Duration::from_millis(300);

/// What an answer may take beside the wait for its turn, on a busy machine.
const SLACK: Duration = Duration::from_millis(700);

/// Asks whole and streamed while turns cannot be stored; returns the sessions.
async fn answers_marked_as_not_stored(stack: &Stack) -> Vec<String> {
    let mut sessions = Vec::new();
    for round in 0..2 {
        let started = Instant::now();
        let reply = stack.prompt(json!({"prompt": "whole"})).await;
        assert!(reply.answer().starts_with("openai/ok: whole"));
        assert_eq!(
            reply.header("x-ai-warp-stored"),
            "false",
            "round {round}: {:?} {}",
            started.elapsed(),
            reply.text()
        );
        assert!(started.elapsed() < COMMIT_TIMEOUT + SLACK, "an answer took {:?}", started.elapsed());
        sessions.push(reply.session());

        let started = Instant::now();
        let transcript = stack.stream(json!({"prompt": "streamed"})).await.rest().await;
        let end = transcript.end();
        assert_eq!((&end["stored"], &end["text"]), (&json!(false), &json!(transcript.text())));
        assert!(started.elapsed() < COMMIT_TIMEOUT + SLACK, "a stream took {:?}", started.elapsed());
        sessions.push(end["sessionId"].as_str().unwrap().to_owned());
    }
    sessions
}

/// The gateway hears of the store's return with the reply to its next batch.
async fn answers_are_stored_again(stack: &Stack) {
    eventually("an answer is stored again", PATIENCE, async || {
        let reply = stack.prompt(json!({"prompt": "after"})).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        if reply.header("x-ai-warp-stored").is_empty() { Ok(()) } else { Err("still marked") }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_control_plane_prompts_are_answered_and_their_turns_kept_until_it_is_back() {
    let mut stack = Stack::builder().set("storage.commitTimeout", "300ms").start().await;
    let known = stack.prompt(json!({"prompt": "before"})).await.session();
    stack.control_plane.kill();

    let sessions = answers_marked_as_not_stored(&stack).await;
    for reply in [
        stack.prompt(json!({"prompt": "hi", "sessionId": known})).await,
        stack.gateway().stream_as_reply(json!({"prompt": "hi", "sessionId": known})).await,
    ] {
        assert_eq!(reply.error(), (503, "HISTORY_GET_ERROR".to_owned()));
    }

    stack.control_plane.restart(&mut stack.config).await;
    for session in sessions {
        stack.control_plane.wait_for_turns(&session, 1).await;
    }
    stack.control_plane.wait_for_gateways(1).await;
    answers_are_stored_again(&stack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_control_plane_sessions_are_a_typed_error() {
    let mut stack = Stack::builder().start().await;
    let session = stack.prompt(json!({"prompt": "before"})).await.session();
    stack.control_plane.kill();
    let reply = stack.gateway().get(&format!("/api/v1/sessions/{session}")).await;
    assert_eq!(reply.error(), (503, "HISTORY_GET_ERROR".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_valkey_prompts_are_answered_and_their_turns_kept_until_it_is_back() {
    let mut stack = Stack::builder().storage("valkey").set("storage.commitTimeout", "300ms").start().await;
    let known = stack.prompt(json!({"prompt": "before"})).await.session();
    stack.valkey.as_mut().unwrap().kill();

    let sessions = answers_marked_as_not_stored(&stack).await;
    let reply = stack.prompt(json!({"prompt": "hi", "sessionId": known})).await;
    assert_eq!(reply.error(), (503, "HISTORY_GET_ERROR".to_owned()));

    stack.valkey.as_mut().unwrap().restart().await;
    for session in sessions {
        stack.control_plane.wait_for_turns(&session, 1).await;
    }
    // What was confirmed before the crash is still there.
    let history = stack.control_plane.wait_for_turns(&known, 1).await;
    assert_eq!(history[0]["prompt"], "before");
    answers_are_stored_again(&stack).await;
    assert_eq!(stack.prompt(json!({"prompt": "after", "sessionId": known})).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_keeps_the_order_of_its_turns_through_an_outage() {
    let mut stack = Stack::builder().storage("valkey").set("storage.commitTimeout", "300ms").start().await;
    let session = stack.prompt(json!({"prompt": "one"})).await.session();
    // Their history is read before the store goes away, and the turns end after, one by one.
    let held = ["openai:two~gate", "openai:three~gate"];
    stack.reconfigure(|config| _ = config.models(["openai:ok"].into_iter().chain(held))).await;
    let mut streams = Vec::new();
    for (prompt, model) in ["two", "three"].into_iter().zip(held) {
        let body = json!({"prompt": prompt, "sessionId": session, "models": [model]});
        let mut stream = stack.stream(body).await;
        stream.next_content().await;
        streams.push((prompt, stream));
    }
    stack.valkey.as_mut().unwrap().kill();
    for (gate, stream) in streams {
        stack.simulator.open_gate(gate);
        assert_eq!(stream.rest().await.end()["stored"], false);
    }
    stack.valkey.as_mut().unwrap().restart().await;
    let history = stack.control_plane.wait_for_turns(&session, 3).await;
    let prompts: Vec<_> = history.iter().map(|turn| turn["prompt"].clone()).collect();
    assert_eq!(prompts, ["one", "two", "three"]);
}
