//! Streams: what each provider does differently on the wire.

use serde_json::{Value, json};

use super::{ask_with, collect, tools};
use crate::tests::{ask, start};
use crate::{Provider, Simulator};

const CALLS: &str = r#"!call get_weather {"city":"Paris"} ;; ping"#;

async fn events(simulator: &Simulator, provider: Provider, model: &str, text: &str) -> Vec<Value> {
    ask(simulator, provider, model, text, true).await.events()
}

/// The tool call deltas of a stream, one list for each event that has some.
async fn call_deltas(simulator: &Simulator, provider: Provider) -> Vec<Vec<Value>> {
    let reply = ask_with(simulator, provider, "m", CALLS, true, &json!({ "tools": tools() })).await;
    let deltas = |event: Value| event["choices"][0]["delta"]["tool_calls"].as_array().cloned();
    reply.events().into_iter().filter_map(deltas).collect()
}

#[tokio::test]
async fn openai_tells_usage_on_request_alone_and_mixes_parallel_calls() {
    let simulator = start().await;
    let events = events(&simulator, Provider::OpenAi, "m", "!words 2").await;
    assert!(events.iter().all(|event| event.get("usage").is_none() && event["obfuscation"].is_string()));
    let change = json!({ "stream_options": { "include_usage": true, "include_obfuscation": false } });
    let events = ask_with(&simulator, Provider::OpenAi, "m", "!words 2", true, &change).await.events();
    let (last, before) = events.split_last().unwrap();
    assert!(before.iter().all(|event| event["usage"].is_null() && event.get("usage").is_some()));
    assert_eq!((&last["choices"], &last["usage"]["completion_tokens"]), (&json!([]), &json!(2)));
    assert!(events.iter().all(|event| event.get("obfuscation").is_none()));

    let deltas = call_deltas(&simulator, Provider::OpenAi).await;
    let indices: Vec<_> = deltas.iter().map(|calls| calls[0]["index"].as_u64().unwrap()).collect();
    assert_eq!(indices, [0, 1, 0, 1, 0, 0, 0]);
    assert_eq!(deltas[1][0]["function"], json!({ "name": "ping", "arguments": "" }));
    assert_eq!(deltas[2][0], json!({ "index": 0, "function": { "arguments": "{\"cit" } }));
}

#[tokio::test]
async fn choices_take_turns_and_finish_one_by_one() {
    let simulator = start().await;
    let events =
        ask_with(&simulator, Provider::OpenAi, "m", "!words 2", true, &json!({ "n": 2 })).await.events();
    let seen: Vec<_> = events
        .iter()
        .map(|event| &event["choices"][0])
        .map(|choice| (choice["index"].as_u64().unwrap(), choice["delta"]["content"].as_str().unwrap_or("-")))
        .collect();
    let expected = [(0, ""), (1, ""), (0, "word1"), (1, "word1"), (0, " word2"), (1, " word2"), (1, " #2")];
    assert_eq!(seen[..7], expected);
    assert_eq!(seen[7..], [(0, "-"), (1, "-")]);
    assert!(events[7..].iter().all(|event| event["choices"][0]["finish_reason"] == "stop"));
}

#[tokio::test]
async fn azure_begins_without_choices_and_filters_late() {
    let simulator = start().await;
    let events = events(&simulator, Provider::Azure, "m", "!words 1").await;
    let first = &events[0];
    assert_eq!((&first["choices"], &first["id"], &first["model"]), (&json!([]), &json!(""), &json!("")));
    assert_eq!(first["prompt_filter_results"][0]["content_filter_results"]["hate"]["filtered"], false);
    assert_eq!(events[1]["choices"][0]["delta"]["role"], "assistant");
    let late = &events[3]["choices"][0];
    assert_eq!((&late["delta"], &late["finish_reason"]), (&json!({}), &Value::Null));
    assert!(late["content_filter_offsets"].is_object());
}

#[tokio::test]
async fn mistral_and_vllm_finish_with_the_last_text() {
    let simulator = start().await;
    for provider in [Provider::Mistral, Provider::Vllm] {
        let events = events(&simulator, provider, "m", "!words 2").await;
        let last = &events.last().unwrap()["choices"][0];
        assert_eq!((&last["delta"]["content"], &last["finish_reason"]), (&json!(" word2"), &json!("stop")));
        // With nothing to put it into, the end comes alone.
        let empty = ask(&simulator, provider, "m~empty", "hi", true).await;
        assert_eq!(collect(&empty).finish, ["stop"], "{provider}");
    }
    let mistral = events(&simulator, Provider::Mistral, "m", "!words 2").await;
    assert_eq!(mistral.last().unwrap()["usage"]["completion_tokens"], 2);
    let change = json!({ "stream_options": { "include_usage": true, "continuous_usage_stats": true } });
    let vllm = ask_with(&simulator, Provider::Vllm, "m", "!words 2", true, &change).await.events();
    let counts: Vec<_> =
        vllm.iter().map(|event| event["usage"]["completion_tokens"].as_u64().unwrap()).collect();
    assert_eq!(counts, [0, 1, 2, 2]);
    let deltas = call_deltas(&simulator, Provider::Mistral).await;
    assert_eq!((deltas.len(), deltas[0].len()), (1, 2), "all calls in one delta");
    assert!(deltas[0].iter().all(|call| call.get("index").is_none()));
    let vllm = events(&simulator, Provider::Vllm, "m", "hi").await;
    assert!(vllm[0]["choices"][0].get("stop_reason").is_some());
}

#[tokio::test]
async fn groq_has_a_field_of_its_own() {
    let simulator = start().await;
    let events = events(&simulator, Provider::Groq, "m", "!words 2").await;
    let with: Vec<bool> = events.iter().map(|event| event.get("x_groq").is_some()).collect();
    assert_eq!(with, [true, false, false, true]);
    assert!(events[0]["x_groq"]["id"].is_string());
    assert_eq!(events[3]["x_groq"]["usage"]["completion_tokens"], 2);
    let deltas = call_deltas(&simulator, Provider::Groq).await;
    let whole = json!({ "name": "get_weather", "arguments": "{\"city\":\"Paris\"}" });
    assert_eq!((deltas.len(), &deltas[0][0]["function"]), (2, &whole));
}

#[tokio::test]
async fn xai_lets_usage_grow() {
    let simulator = start().await;
    let events = events(&simulator, Provider::Xai, "m~thoughts", "!words 3").await;
    let totals: Vec<_> =
        events.iter().map(|event| event["usage"]["total_tokens"].as_u64().unwrap()).collect();
    assert!(totals.is_sorted() && totals[0] < totals[totals.len() - 1], "{totals:?}");
    let last = &events.last().unwrap()["usage"];
    assert_eq!((&last["completion_tokens"], &last["total_tokens"]), (&json!(3), &json!(10)));
}

#[tokio::test]
async fn openrouter_comments_repeats_the_role_and_ends_with_usage() {
    let simulator = start().await;
    let reply = ask(&simulator, Provider::OpenRouter, "m", "!words 2", true).await;
    assert!(reply.body.starts_with(": OPENROUTER PROCESSING\n\ndata: {"), "{}", reply.body);
    let events = reply.events();
    assert!(events.iter().all(|event| event["choices"][0]["delta"]["role"] == "assistant"));
    assert!(events.iter().all(|event| event["provider"] == "Simulator"));
    let finishes: Vec<_> = events.iter().map(|event| &event["choices"][0]["native_finish_reason"]).collect();
    assert_eq!(finishes, [&Value::Null, &Value::Null, &json!("completed"), &Value::Null]);
    assert_eq!(events[3]["usage"]["completion_tokens"], 2);
}

#[tokio::test]
async fn together_says_eos_and_ollama_counts_all_calls_as_the_first() {
    let simulator = start().await;
    let events = events(&simulator, Provider::Together, "m", "!words 2").await;
    assert_eq!(events[1]["choices"][0]["text"], "word1");
    let last = events.last().unwrap();
    assert_eq!(last["choices"][0]["finish_reason"], "eos");
    assert_eq!(last["usage"]["completion_tokens"], 2);
    let deltas = call_deltas(&simulator, Provider::Ollama).await;
    assert_eq!(deltas.len(), 2);
    assert!(deltas.iter().all(|calls| calls.len() == 1 && calls[0]["index"] == 0));
}

#[tokio::test]
async fn errors_end_streams_in_the_way_of_the_provider() {
    let simulator = start().await;
    for (provider, ends_with_done) in [
        (Provider::OpenAi, false),
        (Provider::Groq, false),
        (Provider::Xai, false),
        (Provider::Together, true),
        (Provider::Vllm, true),
        (Provider::OpenRouter, true),
    ] {
        let reply = ask(&simulator, provider, "m~error-event=1", "!words 3", true).await;
        assert_eq!(reply.body.ends_with("data: [DONE]\n\n"), ends_with_done, "{provider}");
        let error = reply.events().pop().unwrap();
        match provider {
            Provider::Groq => assert_eq!(error["error"]["status_code"], 500),
            Provider::Xai => assert!(error["error"].is_string() && error["code"].is_string()),
            Provider::OpenRouter => {
                assert_eq!(error["choices"][0]["finish_reason"], "error");
                assert_eq!(error["error"]["code"], 502);
            }
            _ => assert!(error["error"]["message"].is_string(), "{provider}"),
        }
    }
    let limited = ask(&simulator, Provider::OpenRouter, "m~error-event=1~event-status=429", "hi", true).await;
    assert_eq!(limited.events().pop().unwrap()["error"]["metadata"]["error_type"], "rate_limit_exceeded");
}

#[tokio::test]
async fn cuts_and_splits_spare_no_tool_call() {
    let simulator = start().await;
    for flags in ["split=1", "split=7", "split-random=3"] {
        let change = json!({ "tools": tools() });
        let reply = ask_with(&simulator, Provider::OpenAi, &format!("m~{flags}"), CALLS, true, &change).await;
        assert_eq!(collect(&reply).calls[0].2, r#"{"city":"Paris"}"#, "{flags}");
    }
    let change = json!({ "tools": tools() });
    let reply = ask_with(&simulator, Provider::DeepSeek, "m~cut=2", CALLS, true, &change).await;
    assert!(!reply.complete && reply.events().len() == 3, "{}", reply.body);
}
