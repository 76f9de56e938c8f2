//! A client that leaves: the provider is left at once, and what was said until then is remembered.

use std::time::Duration;

use ai_warp_simulator::{Outcome, RecordedRequest};
use ai_warp_tests::{PATIENCE, Stack, within};
use serde_json::{Value, json};
use tokio::time::timeout;

/// How soon the provider is left once the client has.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Time for a request to reach its provider.
const UNDER_WAY: Duration = Duration::from_millis(400);

async fn expect_aborted(stack: &Stack, model: &str) {
    let is_aborted = |requests: &[RecordedRequest]| {
        let mut of_model = requests.iter().filter(|request| request.model == model);
        of_model.next_back().is_some_and(|request| request.outcome == Outcome::AbortedByClient)
    };
    within(&format!("{model} is left"), AT_ONCE, stack.simulator.wait_for(is_aborted, PATIENCE))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_ended_at_its_provider_in_whatever_state_it_is() {
    let silent = ["slow", "m~stall-headers", "m~stall=1"];
    let all = silent.into_iter().chain(["held~gate", "down", "reset"]);
    let stack = Stack::builder().models(all.map(|model| format!("openai:{model}"))).start().await;
    // First, and after models that failed.
    for before in [vec![], vec!["openai:down", "openai:reset"]] {
        for model in silent {
            for stream in [false, true] {
                let models: Vec<_> = before
                    .iter()
                    .map(|model| (*model).to_owned())
                    .chain([format!("openai:{model}")])
                    .collect();
                let case = format!("{models:?}, streamed {stream}");
                let body = json!({"prompt": "one two three", "models": models, "stream": stream});
                let left = timeout(UNDER_WAY, stack.prompt(body)).await;
                assert!(left.is_err(), "{case}: {left:?}");
                let requests = stack.simulator.requests_for(model).len();
                assert!(requests > 0, "{case} reached nobody");
                expect_aborted(&stack, model).await;
            }
        }
        let models: Vec<_> = before.iter().copied().chain(["openai:held~gate"]).collect();
        let mut stream = stack.stream(json!({"prompt": "one two three", "models": models})).await;
        stream.next_content().await;
        drop(stream);
        expect_aborted(&stack, "held~gate").await;
    }
    stack.wait_until_no_exchange_lives().await;
    // Whoever left says nothing of the models.
    for model in stack.control_plane.models().await {
        assert_eq!(model.1.state, "ready", "{model:?}");
    }
}

async fn interrupted_session(stack: &Stack, before: Option<&str>) -> (String, String) {
    let mut body = json!({"prompt": "tell me", "models": ["openai:held~gate~chunks=5"]});
    if let Some(session) = before {
        body["sessionId"] = json!(session);
    }
    let mut stream = stack.stream(body).await;
    let session = stream.header("x-session-id").to_owned();
    let text = stream.next_content().await;
    (session, text)
}

fn messages(request: &RecordedRequest) -> Vec<String> {
    let messages = request.body["messages"].as_array().cloned().unwrap_or_default();
    messages.iter().map(|message| message["content"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_before_the_client_left_is_an_interrupted_turn() {
    for storage in ["memory", "valkey"] {
        let stack = Stack::builder()
            .storage(storage)
            .models(["openai:ok", "openai:held~gate~chunks=5"])
            .start()
            .await;
        let known = stack.ask("openai:ok").await;
        for before in [None, Some(known.session())] {
            let (session, text) = interrupted_session(&stack, before.as_deref()).await;
            assert_eq!(text, "c1 ");
            let turns = 1 + usize::from(before.is_some());
            let history = stack.control_plane.wait_for_turns(&session, turns).await;
            let turn = &history[turns - 1];
            let expected = json!(["tell me", text, "INCOMPLETE_INTERRUPTED", "openai:held~gate~chunks=5"]);
            let is: Value =
                ["prompt", "response", "result", "model"].map(|key| turn[key].clone()).to_vec().into();
            assert_eq!(is, expected, "{storage}");
            // The gateway tells the same, and the conversation goes on from there.
            let path = format!("/api/v1/sessions/{session}");
            assert_eq!(stack.gateway().get(&path).await.json()["history"], json!(history), "{storage}");
            let reply = stack.prompt(json!({"prompt": "go on", "sessionId": session})).await;
            assert_eq!(reply.session(), session);
            let told = messages(stack.simulator.requests().last().unwrap());
            assert!(told.ends_with(&["tell me".to_owned(), text, "go on".to_owned()]), "{storage}: {told:?}");
            stack.control_plane.wait_for_turns(&session, turns + 1).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_remembered_of_a_client_that_left_before_the_first_word() {
    let stack = Stack::builder().models(["openai:ok", "openai:slow"]).start().await;
    let session = stack.ask("openai:ok").await.session();
    for stream in [false, true] {
        let body = json!({"prompt": "hi", "sessionId": session, "models": ["openai:slow"], "stream": stream});
        assert!(timeout(UNDER_WAY, stack.prompt(body)).await.is_err());
    }
    stack.wait_until_no_exchange_lives().await;
    // A turn stored after them: theirs would stand before it.
    stack.prompt(json!({"prompt": "two", "sessionId": session})).await.answer();
    let history = stack.control_plane.wait_for_turns(&session, 2).await;
    assert_eq!(history[1]["prompt"], "two");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_remembered_of_a_stream_that_its_provider_broke() {
    let faults = [
        ("openai:a~gate~cut=2", "PROVIDER_RESPONSE_ERROR"),
        ("openai:b~gate~stall=2", "PROVIDER_REQUEST_STREAM_TIMEOUT_ERROR"),
        ("openai:c~gate~early-end=2", "PROVIDER_RESPONSE_ERROR"),
        ("gemini:d~gate~error-event=2", "PROVIDER_RESPONSE_ERROR"),
    ];
    let stack = Stack::builder()
        .models(["openai:ok"].into_iter().chain(faults.map(|(model, _)| model)))
        .set("limits.requestTimeout", "500ms")
        .start()
        .await;
    let session = stack.ask("openai:ok").await.session();
    for (model, code) in faults {
        let body = json!({"prompt": "one two three four", "sessionId": session, "models": [model]});
        let mut stream = stack.stream(body).await;
        stream.next_content().await;
        stack.simulator.open_gate(model.split_once(':').unwrap().1);
        assert_eq!(stream.rest().await.error(), code, "{model}");
    }
    stack.prompt(json!({"prompt": "two", "sessionId": session})).await.answer();
    let history = stack.control_plane.wait_for_turns(&session, 2).await;
    assert_eq!(history[1]["prompt"], "two");
}
