//! A session remembers what was said, wherever it goes on.

use std::time::Duration;

use ai_warp_tests::{Reply, Stack};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;
use uuid::Uuid;

/// `history=N` of the simulator's echo.
fn history_of(answer: &str) -> usize {
    let (_, rest) = answer.split_once("[history=").unwrap();
    rest.split_once(']').unwrap().0.parse().unwrap()
}

fn turn(prompt: &str, session: &str) -> Value {
    json!({"prompt": prompt, "sessionId": session})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_goes_on_at_any_gateway_whole_or_streamed() {
    for storage in ["memory", "valkey"] {
        let stack = Stack::builder().storage(storage).envoys(2).start().await;
        let first = stack.prompt(json!({"prompt": "one"})).await;
        let session = first.session();
        assert_eq!(history_of(&first.answer()), 0);
        let second = stack.envoys[1].gateway().prompt(turn("two", &session)).await;
        assert_eq!((history_of(&second.answer()), second.session()), (2, session.clone()), "{storage}");
        assert_eq!(second.header("x-session-id"), session);
        let third = stack.envoys[1].gateway().stream(turn("three", &session)).await.rest().await;
        assert_eq!(history_of(&third.text()), 4, "{storage}");
        assert_eq!(third.end()["sessionId"], session);
        let fourth = stack.prompt(turn("four", &session)).await;
        assert_eq!(history_of(&fourth.answer()), 6, "{storage}");

        // What the provider was told are the very words, in order.
        let seen = stack.simulator.requests();
        let messages = seen.last().unwrap().body["messages"].as_array().unwrap().clone();
        let said: Vec<&str> = messages.iter().map(|message| message["content"].as_str().unwrap()).collect();
        assert_eq!(said, ["one", &first.answer(), "two", &second.answer(), "three", &third.text(), "four"]);

        let history = stack.control_plane.wait_for_turns(&session, 4).await;
        let prompts: Vec<&str> = history.iter().map(|turn| turn["prompt"].as_str().unwrap()).collect();
        assert_eq!(prompts, ["one", "two", "three", "four"], "{storage}");
        assert_eq!(
            (&history[2]["response"], &history[2]["model"]),
            (&json!(third.text()), &json!("openai:ok"))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn valkey_remembers_over_a_restart_of_the_control_plane() {
    let mut stack = Stack::builder().storage("valkey").start().await;
    let session = stack.prompt(json!({"prompt": "one"})).await.session();
    stack.control_plane.restart(&mut stack.config).await;
    stack.control_plane.wait_for_gateways(1).await;
    let reply = stack.prompt(turn("two", &session)).await;
    assert_eq!(history_of(&reply.answer()), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_forgets_with_a_restart_of_the_control_plane() {
    let mut stack = Stack::builder().storage("memory").start().await;
    let session = stack.prompt(json!({"prompt": "one"})).await.session();
    stack.control_plane.restart(&mut stack.config).await;
    stack.control_plane.wait_for_gateways(1).await;
    let reply = stack.prompt(turn("two", &session)).await;
    assert_eq!(reply.error(), (400, "OPTION_ERROR".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_nobody_knows_are_an_error_and_ask_no_provider() {
    for storage in ["memory", "valkey"] {
        let stack = Stack::builder().storage(storage).start().await;
        let unknown = Uuid::new_v4().to_string();
        for body in [
            turn("hi", &unknown),
            turn("hi", "not-a-uuid"),
            turn("hi", ""),
            turn("hi", "../../status"),
            json!({"prompt": "hi", "sessionId": 7}),
            json!({"prompt": "hi", "sessionId": unknown, "history": []}),
        ] {
            for reply in
                [stack.prompt(body.clone()).await, stack.gateway().stream_as_reply(body.clone()).await]
            {
                assert_eq!(reply.error(), (400, "OPTION_ERROR".to_owned()), "{storage}: {body}");
            }
        }
        assert!(stack.simulator.requests().is_empty());
        stack.prompt(json!({"prompt": "hi"})).await.answer();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_read_and_deleted_at_the_gateway_and_at_the_control_plane() {
    let stack = Stack::builder().start().await;
    let control_plane = stack.control_plane.api();
    for api in [stack.gateway(), &control_plane] {
        let first = stack.prompt(json!({"prompt": "one"})).await;
        let session = first.session();
        let path = format!("/api/v1/sessions/{session}");
        let reply = api.get(&path).await;
        let found = reply.json();
        assert_eq!(found["sessionId"], session, "{} {}", reply.status, reply.text());
        assert_eq!(found["history"].as_array().unwrap().len(), 1, "{found}");
        let turn_kept = &found["history"][0];
        assert_eq!(turn_kept["prompt"], "one");
        assert_eq!(
            (&turn_kept["response"], &turn_kept["result"]),
            (&json!(first.answer()), &json!("COMPLETE"))
        );

        assert_eq!(Reply::of(api.request(Method::DELETE, &path)).await.status, 204);
        assert_eq!(api.get(&path).await.error(), (404, "NOT_FOUND".to_owned()));
        assert_eq!(
            Reply::of(api.request(Method::DELETE, &path)).await.error(),
            (404, "NOT_FOUND".to_owned())
        );
        assert_eq!(stack.prompt(turn("two", &session)).await.error(), (400, "OPTION_ERROR".to_owned()));
        assert_eq!(api.get("/api/v1/sessions/nope").await.error(), (404, "NOT_FOUND".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_answered_is_not_remembered() {
    let stack =
        Stack::builder().models(["openai:ok", "openai:down", "openai:held~gate~error-event=1"]).start().await;
    let session = stack.prompt(json!({"prompt": "one"})).await.session();
    let mut failing = turn("two", &session);
    failing["models"] = json!(["openai:down"]);
    assert_eq!(stack.prompt(failing.clone()).await.status, 502);
    failing["models"] = json!(["openai:held~gate~error-event=1"]);
    let mut stream = stack.stream(failing).await;
    stream.next_content().await;
    stack.simulator.open_gate("held");
    stream.rest().await.error();
    assert_eq!(history_of(&stack.prompt(turn("three", &session)).await.answer()), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_ends_only_when_its_turn_is_stored() {
    const LONG_ENOUGH_TO_SEE: Duration = Duration::from_millis(250);
    let stack = Stack::builder().set("storage.commitTimeout", "15s").start().await;
    // A first turn, so that all connections are there.
    stack.ask("openai:ok").await.answer();

    stack.control_plane.pause().await;
    let mut whole = Box::pin(stack.prompt(json!({"prompt": "whole"})));
    let early =
        timeout(LONG_ENOUGH_TO_SEE, &mut whole).await.map(|reply| (reply.text(), reply.headers.clone()));
    assert!(early.is_err(), "the answer did not wait: {early:?}");
    stack.control_plane.resume();
    let reply = whole.await;
    assert_eq!((reply.status, reply.header("x-ai-warp-stored")), (200, ""));

    stack.control_plane.pause().await;
    let mut stream = stack.stream(json!({"prompt": "streamed"})).await;
    let mut text = String::new();
    while let Ok(event) = timeout(LONG_ENOUGH_TO_SEE, stream.next()).await {
        let event = event.expect("the stream goes on");
        assert_eq!(event.name, "content", "nothing but content comes before the turn is stored");
        text += event.data["response"].as_str().unwrap();
    }
    assert!(text.starts_with("openai/ok: streamed"), "content does not wait: {text}");
    stack.control_plane.resume();
    let transcript = stream.rest().await;
    let end = transcript.end();
    assert!(end["text"].as_str().unwrap().starts_with(&text) && end.get("stored").is_none(), "{end}");
}

/// The keys of an object, sorted: whether it keeps their order depends on what else is built.
fn keys(object: &Value) -> Vec<String> {
    let mut keys: Vec<String> = object.as_object().unwrap().keys().cloned().collect();
    keys.sort_unstable();
    keys
}

#[tokio::test(flavor = "multi_thread")]
async fn without_storage_there_are_no_sessions() {
    let stack = Stack::builder().storage("none").start().await;
    let reply = stack.prompt(json!({"prompt": "hi"})).await;
    assert_eq!(keys(&reply.json()), ["result", "text", "usage"]);
    assert_eq!((reply.header("x-session-id"), reply.header("x-ai-warp-stored")), ("", ""));
    let transcript = stack.stream(json!({"prompt": "hi"})).await.rest().await;
    assert_eq!(keys(transcript.end()), ["result", "text", "usage"]);
    assert_eq!(transcript.header("x-session-id"), "");
    let reply = stack.prompt(turn("hi", &Uuid::new_v4().to_string())).await;
    assert_eq!(reply.error(), (400, "OPTION_ERROR".to_owned()));
}
