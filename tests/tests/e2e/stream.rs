//! A stream: every piece at once, and an end that says how it went.

use std::collections::HashSet;
use std::time::Duration;

use ai_warp_simulator::{Outcome, Provider};
use ai_warp_tests::{PATIENCE, Stack};
use futures_util::future::join_all;
use serde_json::json;
use uuid::Uuid;

/// Letters of one to four bytes, and what JSON must escape.
const MULTI_BYTE: &str = "Grüße, 世界! 🦀🏳️‍🌈 e\u{301} \"quoted\" back\\slash\ttab\nline\u{2028}separator ";

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn content_is_delivered_while_the_provider_still_holds_the_next() {
    let models = Provider::CORE.map(|provider| format!("{provider}:held-by-{provider}~gate~chunks=3"));
    let stack = Stack::builder().models(models.clone()).start().await;
    for (provider, model) in Provider::CORE.into_iter().zip(models) {
        let mut stream = stack.stream(json!({"prompt": "hi", "models": [model]})).await;
        assert_eq!(stream.next_content().await, "c1 ", "{model}");
        let seen = stack.simulator.requests();
        let request = seen.last().unwrap();
        assert_eq!((request.outcome, request.chunks.len()), (Outcome::InProgress, 1), "{model}");
        stack.simulator.open_gate(&format!("held-by-{provider}"));
        assert_eq!(stream.next_content().await, "c2 ", "{model}");
        assert_eq!(stream.rest().await.end()["text"], "c1 c2 c3 ", "{model}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_passes_in_milliseconds() {
    const GENEROUS: Duration = Duration::from_millis(20);
    let stack = Stack::builder().alone().models(["openai:m~chunks=15~chunk-delay=10"]).start().await;
    let mut medians = Vec::new();
    // A machine may be busy with something else; three times in a row it is us.
    for _ in 0..3 {
        let transcript = stack.stream(json!({"prompt": "hi"})).await.rest().await;
        transcript.end();
        let sent = stack.simulator.requests().last().unwrap().chunks.clone();
        let contents: Vec<_> = transcript.events.iter().filter(|event| event.name == "content").collect();
        assert_eq!((sent.len(), contents.len()), (15, 15), "each chunk is an event");
        let mut delays: Vec<Duration> = contents
            .iter()
            .zip(&sent)
            .map(|(event, sent)| event.at.saturating_duration_since(*sent))
            .collect();
        delays.sort();
        medians.push(delays[delays.len() / 2]);
        if medians.last() < Some(&GENEROUS) {
            return;
        }
    }
    panic!("the medians of three streams: {medians:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_have_ids_and_the_end_repeats_the_whole_answer() {
    let stack = Stack::builder().start().await;
    let transcript = stack.stream(json!({"prompt": "hi"})).await.rest().await;
    let end = transcript.end();
    assert_eq!(end["text"], transcript.text());
    assert_eq!(end["result"], "COMPLETE");
    assert_eq!(end["sessionId"], transcript.header("x-session-id"));
    assert!(
        end["usage"]["inputTokens"].as_u64() > Some(0) && end["usage"]["outputTokens"].as_u64() > Some(0),
        "{end}"
    );
    assert_eq!(end.as_object().unwrap().len(), 4, "{end}");
    assert_eq!(transcript.header("cache-control"), "no-cache");
    let ids: HashSet<Uuid> = transcript.events.iter().map(|event| event.id.parse().unwrap()).collect();
    assert_eq!(ids.len(), transcript.events.len(), "no id comes twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_prompt_path_streams_where_it_is_asked_to() {
    let stack = Stack::builder().start().await;
    let body = json!({"prompt": "hi", "stream": true});
    let request = stack.gateway().request(reqwest::Method::POST, "/api/v1/prompt").json(&body);
    let transcript = ai_warp_tests::EventStream::of(request).await.rest().await;
    assert_eq!(transcript.end()["text"], transcript.text());
    assert!(!transcript.text().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_after_the_first_content_is_told_and_never_looks_like_an_end() {
    let faults = [
        ("error-event=3", "PROVIDER_RESPONSE_ERROR"),
        ("early-end=3", "PROVIDER_RESPONSE_ERROR"),
        ("malformed=3", "PROVIDER_RESPONSE_ERROR"),
        ("cut=3", "PROVIDER_RESPONSE_ERROR"),
        ("stall=3", "PROVIDER_REQUEST_STREAM_TIMEOUT_ERROR"),
        ("no-finish~no-done", "PROVIDER_RESPONSE_ERROR"),
    ];
    let models: Vec<_> = Provider::CORE
        .iter()
        .flat_map(|provider| {
            faults.map(|(fault, code)| (format!("{provider}:{provider}~gate~{fault}"), code))
        })
        .collect();
    let stack = Stack::builder()
        .models(models.iter().map(|(model, _)| model.clone()).chain(["openai:ok".to_owned()]))
        .set("limits.requestTimeout", "400ms")
        .set("limits.retry.max", 1)
        .start()
        .await;
    let mut wrong = Vec::new();
    for (model, code) in &models {
        let body = json!({"prompt": "one two three four five", "models": [model, "openai:ok"]});
        let mut stream = stack.stream(body).await;
        stream.next_content().await;
        stack.simulator.open_gate(model.split_once(':').unwrap().1);
        let transcript = stream.rest().await;
        let names: Vec<&str> = transcript.events.iter().map(|event| event.name.as_str()).collect();
        let last = transcript.events.last().map(|event| event.data.clone()).unwrap_or_default();
        let told = names.last() == Some(&"error") && last["code"] == *code && last["message"].is_string();
        let clean = transcript.ending == ai_warp_tests::Ending::Clean;
        let contents = names.iter().filter(|name| **name == "content").count();
        if !told || !clean || names.contains(&"end") || contents < 2 || contents + 1 != names.len() {
            wrong.push(format!("{model}: {names:?} {last} {:?}", transcript.ending));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // After the first content there is no other model, and no second try.
    assert_eq!(stack.simulator.requests().len(), models.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_may_last_longer_than_the_timeout_as_long_as_it_goes_on() {
    let stack = Stack::builder()
        .models(["openai:m~chunks=8~chunk-delay=100"])
        .set("limits.requestTimeout", "400ms")
        .start()
        .await;
    let transcript = stack.stream(json!({"prompt": "hi"})).await.rest().await;
    assert_eq!(transcript.end()["text"], "c1 c2 c3 c4 c5 c6 c7 c8 ");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_streams_cut_anywhere_arrive_whole_and_unmixed() {
    let stream = |seed: usize| {
        let provider = Provider::CORE[seed % Provider::CORE.len()];
        let text = format!("{seed}: {}", MULTI_BYTE.repeat(1 + seed % 5));
        (format!("{provider}:s{seed}~split-random={seed}~text={}", percent_encoded(&text)), text)
    };
    let streams: Vec<_> = (0..32).map(stream).collect();
    let stack =
        Stack::builder().workers(2).models(streams.iter().map(|(model, _)| model.clone())).start().await;
    let asked = streams.iter().map(async |(model, text)| {
        let transcript = stack.stream(json!({"prompt": "hi", "models": [model]})).await.rest().await;
        assert_eq!(&transcript.text(), text);
        assert_eq!(transcript.end()["text"], *text);
    });
    join_all(asked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_framing_of_every_provider_is_understood() {
    let framings = [
        "lf",
        "crlf",
        "cr",
        "keep-alive",
        "no-space",
        "no-final-blank",
        "no-done",
        "split=1",
        "thoughts",
        "crlf~keep-alive~no-space~split=3",
        "cr~no-final-blank~split=1",
    ];
    let text = percent_encoded(MULTI_BYTE);
    let models: Vec<String> = Provider::CORE
        .iter()
        .flat_map(|provider| framings.map(|framing| format!("{provider}:m~{framing}~text={text}")))
        .collect();
    let stack = Stack::builder().models(models.clone()).start().await;
    for model in &models {
        let transcript = stack.stream(json!({"prompt": "hi", "models": [model]})).await.rest().await;
        assert_eq!(transcript.text(), MULTI_BYTE, "{model}");
        assert_eq!(transcript.end()["text"], MULTI_BYTE, "{model}");
        assert_eq!(stack.ask(model).await.answer(), MULTI_BYTE, "{model}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_ends_the_request_at_the_provider() {
    let stack = Stack::builder().models(["openai:held~gate~chunks=3", "openai:slow"]).start().await;
    let mut stream = stack.stream(json!({"prompt": "hi"})).await;
    stream.next_content().await;
    drop(stream);
    let silent = json!({"prompt": "hi", "models": ["openai:slow"]});
    let request = stack.gateway().prompt(silent);
    let left = tokio::time::timeout(Duration::from_millis(200), request).await;
    assert!(left.is_err(), "the slow model answers nothing");
    let aborted = |seen: &[ai_warp_simulator::RecordedRequest]| {
        seen.len() == 2 && seen.iter().all(|request| request.outcome == Outcome::AbortedByClient)
    };
    stack.simulator.wait_for(aborted, PATIENCE).await.unwrap();
    stack.wait_until_no_exchange_lives().await;
}
