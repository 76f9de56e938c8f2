//! The happy path of each provider, whole and streamed, field by field.

use serde_json::{Value, json};

use super::client::send;
use super::{ask, headers, post, question, start, text};
use crate::{Outcome, Provider};

#[tokio::test]
async fn every_provider_answers_deterministically_whole_and_streamed() {
    let simulator = start().await;
    for provider in Provider::CORE {
        let expected = format!("{provider}/m: hello there [system=-] [history=0] [temperature=-] [max=-]");
        let whole = ask(&simulator, provider, "m", "hello there", false).await;
        assert_eq!((whole.status, text(provider, &whole.json())), (200, expected.clone()), "{provider}");
        assert!(whole.header("content-type").unwrap().starts_with("application/json"));
        let stream = ask(&simulator, provider, "m", "hello there", true).await;
        let streamed: String = stream.events().iter().map(|event| text(provider, event)).collect();
        assert_eq!((stream.status, streamed), (200, expected), "{provider}");
        assert!(stream.header("content-type").unwrap().starts_with("text/event-stream"));
        assert!(stream.complete && whole.complete);
    }
    let requests = simulator.requests_for("m");
    assert_eq!(requests.len(), 6);
    for request in &requests {
        assert_eq!((request.outcome, request.status), (Outcome::Answered, Some(200)));
        assert_eq!(request.credential.as_deref(), Some("sim-key"));
        assert!(request.leaks.is_empty());
        assert_eq!(request.header("content-type"), Some("application/json"));
    }
    // Seven words: the name, two of the text, four in brackets.
    assert!(requests.iter().filter(|request| request.path.contains("stream")).all(|r| r.chunks.len() == 7));
}

#[tokio::test]
async fn the_answer_shows_roles_history_and_parameters() {
    let simulator = start().await;
    for provider in [Provider::OpenAi, Provider::DeepSeek] {
        let max = if provider == Provider::OpenAi { "max_completion_tokens" } else { "max_tokens" };
        let body = json!({
            "model": "m",
            "messages": [
                { "role": "system", "content": "be kind" },
                { "role": "user", "content": "one" },
                { "role": "assistant", "content": "two" },
                { "role": "user", "content": [{ "type": "text", "text": "three" }] },
            ],
            "temperature": 0.25,
            max: 50,
        });
        let (path, _) = question(provider, "m", "", false);
        let reply = post(&simulator, provider, &path, &body).await.json();
        let expected = "/m: three [system=be kind] [history=2] [temperature=0.25] [max=50]";
        assert_eq!(text(provider, &reply), format!("{provider}{expected}"));
        assert_eq!(reply["usage"]["prompt_tokens"], 5);
    }
    let body = json!({
        "systemInstruction": { "parts": [{ "text": "be kind" }] },
        "contents": [
            { "role": "user", "parts": [{ "text": "one" }] },
            { "role": "model", "parts": [{ "text": "two" }] },
            { "role": "user", "parts": [{ "text": "th" }, { "text": "ree" }] },
        ],
        "generation_config": { "temperature": 0.25, "maxOutputTokens": 50 },
    });
    let path = "/gemini/v1/models/m:generateContent";
    let reply = post(&simulator, Provider::Gemini, path, &body).await.json();
    let expected = "gemini/m: three [system=be kind] [history=2] [temperature=0.25] [max=50]";
    assert_eq!(text(Provider::Gemini, &reply), expected);
    assert_eq!(reply["usageMetadata"]["promptTokenCount"], 5);
}

#[tokio::test]
async fn openai_streams_the_recorded_sequence() {
    let simulator = start().await;
    let (path, mut body) = question(Provider::OpenAi, "m", "!words 2", true);
    let plain = post(&simulator, Provider::OpenAi, &path, &body).await;
    assert!(plain.body.ends_with("\n\ndata: [DONE]\n\n") && !plain.body.contains('\r'));
    assert!(
        plain.events().iter().all(|event| event.get("usage").is_none() && event["obfuscation"].is_string())
    );
    body["stream_options"] = json!({ "include_usage": true, "include_obfuscation": false });
    let events = post(&simulator, Provider::OpenAi, &path, &body).await.events();
    let choices: Vec<&Value> = events.iter().map(|event| &event["choices"]).collect();
    let choice =
        |delta: Value, finish: Value| json!([{ "index": 0, "delta": delta, "finish_reason": finish }]);
    let expected = [
        choice(json!({ "role": "assistant", "content": "", "refusal": null }), Value::Null),
        choice(json!({ "content": "word1" }), Value::Null),
        choice(json!({ "content": " word2" }), Value::Null),
        choice(json!({}), "stop".into()),
        json!([]),
    ];
    assert_eq!(choices, expected.iter().collect::<Vec<_>>());
    assert!(events[..4].iter().all(|event| event["usage"].is_null() && event.get("usage").is_some()));
    assert_eq!(events[4]["usage"]["total_tokens"], 4);
    assert!(events.iter().all(|event| event.get("obfuscation").is_none() && event["id"] == events[0]["id"]));
}

#[tokio::test]
async fn deepseek_sends_usage_with_the_finish_chunk_and_reasoning_first() {
    let simulator = start().await;
    let events = ask(&simulator, Provider::DeepSeek, "m~thoughts", "!words 2", true).await.events();
    assert_eq!(events[1]["choices"][0]["delta"]["reasoning_content"], "Let me");
    let last = events.last().unwrap();
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    assert_eq!(last["usage"]["completion_tokens"], 7);
    assert_eq!(last["usage"]["completion_tokens_details"]["reasoning_tokens"], 5);
    let (_, body) = question(Provider::DeepSeek, "m", "hi", false);
    let alias = post(&simulator, Provider::DeepSeek, "/deepseek/v1/chat/completions", &body).await;
    assert_eq!(alias.status, 200);
}

#[tokio::test]
async fn gemini_streams_crlf_events_with_growing_usage_and_no_sentinel() {
    let simulator = start().await;
    let reply = ask(&simulator, Provider::Gemini, "m~thoughts", "!words 3", true).await;
    assert!(reply.body.ends_with("\r\n\r\n") && !reply.body.contains("[DONE]"));
    assert_eq!(reply.body.matches('\n').count(), reply.body.matches("\r\n").count());
    let events = reply.events();
    assert_eq!(events[0]["candidates"][0]["content"]["parts"][0]["thought"], true);
    let counts: Vec<_> =
        events.iter().map(|event| event["usageMetadata"]["totalTokenCount"].as_u64().unwrap()).collect();
    assert!(counts.is_sorted(), "{counts:?}");
    assert_eq!(events.last().unwrap()["candidates"][0]["finishReason"], "STOP");
    assert_eq!(events.last().unwrap()["usageMetadata"]["thoughtsTokenCount"], 5);
    let (_, body) = question(Provider::Gemini, "m", "hi", true);
    let array =
        post(&simulator, Provider::Gemini, "/gemini/v1beta/models/m:streamGenerateContent", &body).await;
    assert!(array.json().as_array().unwrap().len() > 2);
}

#[tokio::test]
async fn a_token_limit_ends_the_answer_in_the_words_of_the_provider() {
    let simulator = start().await;
    let (path, mut body) = question(Provider::OpenAi, "m", "!words 9", false);
    body["max_completion_tokens"] = 2.into();
    let openai = post(&simulator, Provider::OpenAi, &path, &body).await.json();
    assert_eq!(openai["choices"][0]["finish_reason"], "length");
    assert_eq!(text(Provider::OpenAi, &openai), "word1 word2");
    let (path, mut body) = question(Provider::Gemini, "m", "!words 9", true);
    body["generationConfig"] = json!({ "maxOutputTokens": 2 });
    let events = post(&simulator, Provider::Gemini, &path, &body).await.events();
    assert_eq!(events.last().unwrap()["candidates"][0]["finishReason"], "MAX_TOKENS");
    let (path, mut body) = question(Provider::DeepSeek, "m", "!echo-json", false);
    body["max_tokens"] = 1.into();
    let echoed = post(&simulator, Provider::DeepSeek, &path, &body).await.json();
    assert_eq!(text(Provider::DeepSeek, &echoed), body.to_string());
}

#[tokio::test]
async fn models_are_listed_for_those_with_a_credential() {
    let simulator = start().await;
    for provider in Provider::CORE {
        let path = format!("{}/models", provider.base_path());
        assert_eq!(send(&simulator, "GET", &path, &headers(provider), "").await.unwrap().status, 200);
        assert_ne!(send(&simulator, "GET", &path, &[], "").await.unwrap().status, 200);
    }
}
