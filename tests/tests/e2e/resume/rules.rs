//! When a prompt is a new one, when a return, and how long anybody waits.

use ai_warp_simulator::Outcome;
use ai_warp_tests::{PATIENCE, Stack, eventually};
use futures_util::future::join_all;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{begin, body};

const HELD: &str = "openai:held~gate~chunks=5";

/// That a client has left is known a moment later.
async fn until_nobody_reads(stack: &Stack) {
    eventually("nobody reads", PATIENCE, async || {
        let streams = stack.control_plane.status().await["streams"].clone();
        if streams["readers"] == 0 { Ok(()) } else { Err(streams) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_say_where_it_was_gets_what_was_not_written_to_it() {
    for storage in ["memory", "valkey"] {
        let stack = Stack::builder().resumable().storage(storage).models([HELD]).envoys(2).start().await;
        let (stream, session) = begin(&stack, HELD).await;
        drop(stream);
        until_nobody_reads(&stack).await;
        stack.simulator.open_gate("held");
        let again = stack.envoys[1].gateway().stream(body(HELD, Some(&session))).await.rest().await;
        assert_eq!(
            (again.text().as_str(), &again.end()["text"]),
            ("c2 c3 c4 c5 ", &json!("c1 c2 c3 c4 c5 "))
        );
        assert_eq!(stack.simulator.requests().len(), 1, "{storage}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_answer_that_was_delivered_a_prompt_is_a_new_one() {
    for storage in ["memory", "valkey"] {
        let stack = Stack::builder().resumable().storage(storage).models(["openai:ok"]).start().await;
        let first = stack.stream(json!({"prompt": "one"})).await.rest().await;
        let session = first.end()["sessionId"].clone();
        let second = stack.stream(json!({"prompt": "two", "sessionId": session})).await.rest().await;
        assert_ne!(second.header("x-ai-warp-stream"), first.header("x-ai-warp-stream"), "{storage}");
        second.end();
        assert_eq!(stack.simulator.requests().len(), 2, "{storage}");
        let history = stack.control_plane.wait_for_turns(session.as_str().unwrap(), 2).await;
        assert_eq!((&history[0]["prompt"], &history[1]["prompt"]), (&json!("one"), &json!("two")));
        // Whoever names the end has had it all, and asks anew as well.
        let last = &second.events.last().unwrap().id;
        let body = json!({"prompt": "three", "sessionId": session});
        stack.gateway().resume(&body, last).await.rest().await.end();
        assert_eq!(stack.simulator.requests().len(), 3, "{storage}");
        // Whoever names an earlier event gets the rest of that answer.
        let rest = stack.gateway().resume(&body, &second.events[0].id).await.rest().await;
        assert_eq!(rest.end(), second.end(), "{storage}");
        assert_eq!(stack.simulator.requests().len(), 3, "{storage}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_waited_for_is_there() {
    let stack = Stack::builder().resumable().models([HELD]).start().await;
    let (stream, session) = begin(&stack, HELD).await;
    drop(stream);
    until_nobody_reads(&stack).await;
    stack.simulator.open_gate("held");
    stack.control_plane.wait_for_turns(&session, 1).await;
    let again = stack.stream(body(HELD, Some(&session))).await.rest().await;
    assert_eq!((again.text().as_str(), &again.end()["text"]), ("c2 c3 c4 c5 ", &json!("c1 c2 c3 c4 c5 ")));
    assert_eq!(stack.simulator.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn resume_false_begins_anew_and_ends_what_is_under_way() {
    for storage in ["memory", "valkey"] {
        let stack = Stack::builder()
            .resumable()
            .storage(storage)
            .control_planes(if storage == "valkey" { 2 } else { 1 })
            .models([HELD, "openai:ok"])
            .start()
            .await;
        let (stream, session) = begin(&stack, HELD).await;
        let body =
            json!({"prompt": "another", "models": ["openai:ok"], "sessionId": session, "resume": false});
        let anew = stack.stream(body).await.rest().await;
        anew.end();
        assert_eq!(anew.header("x-ai-warp-stream"), "", "the direct road");
        assert_eq!(stream.rest().await.error(), "STREAM_INTERRUPTED", "{storage}");
        let is_left = |requests: &[ai_warp_simulator::RecordedRequest]| {
            requests.iter().any(|request| request.outcome == Outcome::AbortedByClient)
        };
        stack.simulator.wait_for(is_left, PATIENCE).await.unwrap();
        let history = stack.control_plane.wait_for_turns(&session, 2).await;
        let results: Vec<_> = history.iter().map(|turn| turn["result"].as_str().unwrap()).collect();
        assert_eq!(results, ["INCOMPLETE_INTERRUPTED", "COMPLETE"], "{storage}");
    }
}

/// A session whose second prompt is with `model` when its client leaves, before there is a word of the answer.
async fn left_before_the_first_word(stack: &Stack, model: &str) -> String {
    let first = stack.stream(json!({"prompt": "one", "models": ["openai:ok"]})).await.rest().await;
    let session = first.end()["sessionId"].as_str().unwrap().to_owned();
    tokio::select! {
        _ = stack.gateway().stream_as_reply(body(model, Some(&session))) => panic!("it is answered late"),
        asked = stack.simulator.wait_for(|requests| requests.len() == 2, PATIENCE) => { asked.unwrap(); }
    }
    session
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_whose_client_left_before_its_first_word_is_there_at_any_control_plane() {
    let model = "openai:late~delay=3000~chunks=5";
    let stack = Stack::builder()
        .resumable()
        .storage("valkey")
        .set("limits.requestTimeout", "10s")
        .control_planes(2)
        .envoys(2)
        .models(["openai:ok", model])
        .start()
        .await;
    let session = left_before_the_first_word(&stack, model).await;
    let clients = [0, 1, 0, 1].map(|gateway| {
        let gateway = stack.envoys[gateway].gateway();
        let body = body(model, Some(&session));
        async move { gateway.stream(body).await.rest().await }
    });
    for all in join_all(clients).await {
        assert_eq!(all.text(), "c1 c2 c3 c4 c5 ");
        all.end();
    }
    assert_eq!(stack.simulator.requests().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_has_not_begun_ends_with_its_session_or_with_a_newer_prompt() {
    for is_deleted in [true, false] {
        let stack = Stack::builder()
            .resumable()
            .storage("valkey")
            .set("limits.requestTimeout", "60s")
            .control_planes(2)
            .models(["openai:ok", "openai:slow"])
            .start()
            .await;
        let session = left_before_the_first_word(&stack, "openai:slow").await;
        if is_deleted {
            let path = format!("/api/v1/sessions/{session}");
            let deleted = stack.gateway().request(reqwest::Method::DELETE, &path).send().await.unwrap();
            assert!(deleted.status().is_success(), "{deleted:?}");
        } else {
            let anew =
                json!({"prompt": "two", "models": ["openai:ok"], "sessionId": session, "resume": false});
            stack.stream(anew).await.rest().await.end();
        }
        let is_left = |requests: &[ai_warp_simulator::RecordedRequest]| {
            requests.iter().any(|request| request.outcome == Outcome::AbortedByClient)
        };
        stack.simulator.wait_for(is_left, PATIENCE).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_waited_for_is_not_given_to_who_began_anew() {
    for storage in ["memory", "valkey"] {
        let stack = Stack::builder().resumable().storage(storage).models([HELD, "openai:ok"]).start().await;
        let (stream, session) = begin(&stack, HELD).await;
        drop(stream);
        until_nobody_reads(&stack).await;
        stack.simulator.open_gate("held");
        stack.control_plane.wait_for_turns(&session, 1).await;
        let anew = json!({"prompt": "two", "models": ["openai:ok"], "sessionId": session, "resume": false});
        stack.stream(anew).await.rest().await.end();
        let next = json!({"prompt": "three", "models": ["openai:ok"], "sessionId": session});
        assert!(stack.stream(next).await.rest().await.text().contains("three"), "{storage}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_nobody_reads_is_given_up() {
    let stack =
        Stack::builder().resumable().set("streams.abandonAfter", "300ms").models([HELD]).start().await;
    let (stream, session) = begin(&stack, HELD).await;
    let before = stream.header("x-ai-warp-stream").to_owned();
    drop(stream);
    let is_left = |requests: &[ai_warp_simulator::RecordedRequest]| {
        requests.iter().any(|request| request.outcome == Outcome::AbortedByClient)
    };
    stack.simulator.wait_for(is_left, PATIENCE).await.unwrap();
    let history = stack.control_plane.wait_for_turns(&session, 1).await;
    assert_eq!(history[0]["result"], "INCOMPLETE_INTERRUPTED");
    // Who comes back after all is told what there was, and that there will be no more.
    let late = stack.gateway().resume(&body(HELD, Some(&session)), &before).await.rest().await;
    assert_eq!((late.text().as_str(), late.error()), ("c1 ", "STREAM_INTERRUPTED"));
    // And the next prompt is a new one.
    stack.simulator.open_gate("held");
    stack.stream(body(HELD, Some(&session))).await.rest().await.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_gone_is_told_to_be_gone() {
    for storage in ["memory", "valkey"] {
        let stack = Stack::builder().resumable().storage(storage).models(["openai:ok"]).start().await;
        let ask = async |session: Option<&str>| {
            let all = stack.stream(body("openai:ok", session)).await.rest().await;
            (all.end()["sessionId"].as_str().unwrap().to_owned(), all.events[0].id.clone())
        };
        let resume = async |session: Option<&str>, last: &str| {
            let reply = stack.gateway().resume_as_reply(&body("openai:ok", session), last).await;
            (reply.status, reply.json()["code"].as_str().unwrap_or_default().to_owned())
        };
        let gone = (410, "STREAM_EXPIRED".to_owned());
        let (session, _) = ask(None).await;
        assert_eq!(resume(Some(&session), "00000000-0000-8000-8000-000000000003").await, gone);
        // Of another session, and of a session that was deleted, the last and the one before.
        let (deleted, first) = ask(None).await;
        let (_, last) = ask(Some(&deleted)).await;
        assert_eq!(resume(Some(&session), &last).await, gone);
        let path = format!("/api/v1/sessions/{deleted}");
        stack.gateway().request(reqwest::Method::DELETE, &path).send().await.unwrap();
        for event in [&first, &last] {
            assert_eq!(resume(None, event).await, gone, "{storage}");
        }
        // Whoever names an event does not want a new answer, whatever it is that it names.
        assert_eq!(resume(Some(&session), "17").await, gone);
        assert_eq!(stack.simulator.requests().len(), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_has_so_many_streams_under_way_and_those_without_a_name_take_the_direct_road() {
    let hash: String = Sha256::digest("key-of-ann").iter().map(|byte| format!("{byte:02x}")).collect();
    let stack = Stack::builder()
        .resumable()
        .set("streams.maxPerConsumer", 2)
        .set("auth.required", false)
        .set("auth.apiKeys", json!([{"consumer": "ann", "hash": format!("sha256:{hash}")}]))
        .models([HELD])
        .start()
        .await;
    let ask = async |key: Option<&str>| {
        let request =
            stack.gateway().request(reqwest::Method::POST, "/api/v1/stream").json(&body(HELD, None));
        let request = key.into_iter().fold(request, |request, key| request.header("x-api-key", key));
        let response = request.send().await.unwrap();
        let is_resumable = response.headers().contains_key("x-ai-warp-stream");
        (response.status().as_u16(), is_resumable, response)
    };
    let (first, _second) = (ask(Some("key-of-ann")).await, ask(Some("key-of-ann")).await);
    let third = ask(Some("key-of-ann")).await;
    assert_eq!((third.0, third.1), (429, false));
    assert!(third.2.text().await.unwrap().contains("TOO_MANY_STREAMS"));
    let mut nobody = Vec::new();
    for is_resumable in [true, true, false, false] {
        let stream = ask(None).await;
        assert_eq!((stream.0, stream.1), (200, is_resumable));
        nobody.push(stream);
    }
    stack.simulator.open_gate("held");
    assert!(first.2.text().await.unwrap().contains("event: end"));
    eventually("there is room again", PATIENCE, async || {
        let stream = ask(Some("key-of-ann")).await;
        if (stream.0, stream.1) == (200, true) { Ok(()) } else { Err(stream.0) }
    })
    .await;
}
