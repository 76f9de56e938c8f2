//! What each provider refuses, and how it says so.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::client::send;
use super::{ask, headers, post, question, start};
use crate::{Options, Outcome, Provider, Simulator};

/// Applies `change` (a JSON object) to a minimal request and returns status and error.
async fn refusal(simulator: &Simulator, provider: Provider, model: &str, change: &Value) -> (u16, Value) {
    let (path, mut body) = question(provider, model, "hi", false);
    for (name, value) in change.as_object().unwrap() {
        body[name] = value.clone();
    }
    let reply = post(simulator, provider, &path, &body).await;
    assert!(reply.status == 200 || simulator.requests().last().unwrap().outcome == Outcome::Rejected);
    (reply.status, reply.json()["error"].clone())
}

#[tokio::test]
async fn openai_refuses_what_breaks_its_rules() {
    let simulator = start().await;
    let user = |content: Value| json!([{ "role": "user", "content": content }]);
    let table = [
        ("m", json!({ "max_output_tokens": 1 }), "max_output_tokens", "unknown_parameter"),
        ("m", json!({ "generationConfig": {} }), "generationConfig", "unknown_parameter"),
        ("m", json!({ "temperature": "warm" }), "temperature", "invalid_type"),
        ("m", json!({ "temperature": 2.5 }), "temperature", "decimal_above_max_value"),
        ("m", json!({ "temperature": -0.5 }), "temperature", "decimal_below_min_value"),
        ("m", json!({ "max_tokens": 1.5 }), "max_tokens", "invalid_type"),
        ("m", json!({ "max_completion_tokens": 0 }), "max_completion_tokens", "integer_below_min_value"),
        ("m", json!({ "stop": ["1", "2", "3", "4", "5"] }), "stop", "array_above_max_length"),
        ("m", json!({ "messages": [] }), "messages", "empty_array"),
        ("m", json!({ "messages": null }), "messages", "missing_required_parameter"),
        ("m", json!({ "messages": "hi" }), "messages", "invalid_type"),
        (
            "m",
            json!({ "messages": [{ "role": "model", "content": "x" }] }),
            "messages[0].role",
            "invalid_value",
        ),
        (
            "m",
            json!({ "messages": [{ "role": "user" }] }),
            "messages[0].content",
            "missing_required_parameter",
        ),
        (
            "m",
            json!({ "messages": [{ "role": "user", "content": "x", "parts": [] }] }),
            "messages[0].parts",
            "unknown_parameter",
        ),
        (
            "m",
            json!({ "messages": user(json!([{ "text": "x" }])) }),
            "messages[0].content[0].type",
            "invalid_value",
        ),
        ("o1-mini", json!({ "max_tokens": 5 }), "max_tokens", "unsupported_parameter"),
        ("gpt-5-nano", json!({ "max_tokens": 5 }), "max_tokens", "unsupported_parameter"),
        ("gpt-5", json!({ "temperature": 0.2 }), "temperature", "unsupported_value"),
    ];
    for (model, change, param, code) in table {
        let (status, error) = refusal(&simulator, Provider::OpenAi, model, &change).await;
        let expected = (400, json!(param), json!(code), json!("invalid_request_error"));
        assert_eq!(
            (status, error["param"].clone(), error["code"].clone(), error["type"].clone()),
            expected,
            "{change}"
        );
    }
    let change = json!({ "foo": 1 });
    let (_, error) = refusal(&simulator, Provider::OpenAi, "m", &change).await;
    assert_eq!(error["message"], "Unrecognized request argument supplied: foo");
    let change = json!({ "stream_options": { "include_usage": true } });
    let (status, error) = refusal(&simulator, Provider::OpenAi, "m", &change).await;
    assert_eq!((status, &error["param"]), (400, &json!("stream_options")));
    for (model, change) in [
        ("m", json!({ "max_tokens": 5, "temperature": 2, "stop": null })),
        ("gpt-5", json!({ "max_completion_tokens": 5, "temperature": 1 })),
        ("gpt-5.1", json!({ "reasoning_effort": "none", "temperature": 0.2 })),
    ] {
        assert_eq!(refusal(&simulator, Provider::OpenAi, model, &change).await.0, 200, "{change}");
    }
}

#[tokio::test]
async fn deepseek_refuses_what_breaks_its_rules() {
    let simulator = start().await;
    let table = [
        (400, json!({ "max_completion_tokens": 5 }), "unknown field `max_completion_tokens`"),
        (
            400,
            json!({ "messages": [{ "role": "developer", "content": "x" }] }),
            "unknown variant `developer`",
        ),
        (400, json!({ "messages": null }), "missing field `messages`"),
        (
            400,
            json!({ "messages": [{ "role": "user", "content": [{ "type": "image_url" }] }] }),
            "expected `text`",
        ),
        (400, json!({ "temperature": "warm" }), "temperature: invalid type"),
        (400, json!({ "stream_options": { "include_usage": true } }), "stream_options"),
        (422, json!({ "temperature": 2.5 }), "valid range of temperature is [0, 2]"),
    ];
    for (expected, change, message) in table {
        let (status, error) = refusal(&simulator, Provider::DeepSeek, "m", &change).await;
        assert_eq!(status, expected, "{change}");
        assert!(error["message"].as_str().unwrap().contains(message), "{error}");
    }
}

#[tokio::test]
async fn gemini_refuses_what_breaks_its_rules() {
    let simulator = start().await;
    let contents = |content: Value| json!({ "contents": [content] });
    let text = json!([{ "text": "x" }]);
    let table = [
        (json!({ "stream": true }), "Unknown name \"stream\": Cannot find field."),
        (json!({ "messages": [] }), "Unknown name \"messages\""),
        (
            json!({ "generationConfig": { "max_tokens": 5 } }),
            "Unknown name \"max_tokens\" at 'generation_config'",
        ),
        (
            json!({ "generationConfig": { "temperature": "warm" } }),
            "Invalid value at 'generation_config.temperature'",
        ),
        (json!({ "generationConfig": { "temperature": 2.5 } }), "must be in the range [0, 2]"),
        (json!({ "generationConfig": { "maxOutputTokens": 0 } }), "maxOutputTokens must be in the range"),
        (json!({ "contents": [] }), "contents is not specified"),
        (json!({ "contents": null }), "contents is not specified"),
        (contents(json!({ "role": "assistant", "parts": text })), "valid role: user, model"),
        (contents(json!({ "role": "user", "parts": [] })), "contents[0].parts"),
        (contents(json!({ "role": "user", "parts": [{ "text": "" }] })), "contents[0].parts[0].data"),
        (
            contents(json!({ "role": "user", "parts": [{ "type": "text", "text": "x" }] })),
            "Unknown name \"type\"",
        ),
        (json!({ "contents": [{ "parts": text }, { "parts": text }] }), "valid role: user, model"),
        (json!({ "systemInstruction": { "parts": [{ "text": "" }] } }), "system_instruction.parts[0].data"),
    ];
    for (change, message) in table {
        let (status, error) = refusal(&simulator, Provider::Gemini, "m", &change).await;
        assert_eq!(
            (status, &error["status"], &error["code"]),
            (400, &json!("INVALID_ARGUMENT"), &json!(400)),
            "{change}"
        );
        assert!(error["message"].as_str().unwrap().contains(message), "{error}");
    }
    let single = contents(json!({ "parts": text }));
    assert_eq!(refusal(&simulator, Provider::Gemini, "m", &single).await.0, 200);
}

#[tokio::test]
async fn credentials_are_checked_in_the_words_of_the_provider() {
    let keys = HashMap::from([(Provider::Gemini, vec!["gem-key".to_owned()])]);
    let simulator = Simulator::start(Options { keys, ..Options::default() }).await.unwrap();
    for provider in Provider::CORE {
        let (path, body) = question(provider, "m", "hi", false);
        for credential in [None, Some("Bearer wrong"), Some("gem-key"), Some("Bearer sim-key")] {
            let mut headers = vec![("content-type", "application/json".to_owned())];
            headers.extend(credential.map(|key| (provider.credential_header(), key.to_owned())));
            let reply = send(&simulator, "POST", &path, &headers, &body.to_string()).await.unwrap();
            let expected = match (provider, credential) {
                (Provider::Gemini, Some("gem-key")) => 200,
                (Provider::Gemini, _) => 400,
                (_, Some("Bearer sim-key")) => 200,
                _ => 401,
            };
            assert_eq!(reply.status, expected, "{provider} {credential:?}");
            let error = &reply.json()["error"];
            match (provider, expected) {
                (_, 200) => {}
                (Provider::OpenAi, _) => assert_eq!(error["type"], "invalid_request_error"),
                (Provider::DeepSeek, _) => assert_eq!(error["type"], "authentication_error"),
                _ => assert_eq!(error["details"][0]["reason"], "API_KEY_INVALID"),
            }
        }
    }
}

#[tokio::test]
async fn path_method_type_and_json_are_checked() {
    let simulator = start().await;
    for provider in Provider::CORE {
        let (path, body) = question(provider, "m", "hi", false);
        let body = body.to_string();
        let good = headers(provider);
        let nowhere = format!("{}/nowhere", provider.base_path());
        let plain = vec![good[0].clone(), ("content-type", "text/plain".to_owned())];
        let table = [
            ("POST", nowhere.as_str(), &good, body.as_str(), 404),
            ("GET", path.as_str(), &good, "", 405),
            ("POST", path.as_str(), &plain, body.as_str(), 400),
            ("POST", path.as_str(), &good, "{\"model\": ", 400),
            ("POST", path.as_str(), &good, "", 400),
            ("POST", path.as_str(), &good, "[]", 400),
        ];
        for (method, path, headers, body, status) in table {
            let reply = send(&simulator, method, path, headers, body).await.unwrap();
            assert_eq!(reply.status, status, "{provider} {method} {path} {body}");
            assert!(reply.json()["error"]["message"].is_string());
        }
    }
}

#[tokio::test]
async fn unknown_models_and_flags_are_told() {
    let simulator = start().await;
    let openai = ask(&simulator, Provider::OpenAi, "missing", "hi", false).await;
    assert_eq!((openai.status, &openai.json()["error"]["code"]), (404, &json!("model_not_found")));
    let deepseek = ask(&simulator, Provider::DeepSeek, "missing", "hi", false).await;
    assert_eq!((deepseek.status, &deepseek.json()["error"]["message"]), (400, &json!("Model Not Exist")));
    let gemini = ask(&simulator, Provider::Gemini, "missing", "hi", false).await;
    assert_eq!((gemini.status, &gemini.json()["error"]["status"]), (404, &json!("NOT_FOUND")));
    let typo = ask(&simulator, Provider::OpenAi, "m~statsu=503", "hi", false).await;
    assert_eq!((typo.status, &typo.json()["error"]["code"]), (400, &json!("simulator_flag")));
}

#[tokio::test]
async fn leaks_are_recorded() {
    let simulator = start().await;
    let (path, body) = question(Provider::Gemini, "m", "hi", false);
    let mut headers = headers(Provider::Gemini);
    headers.extend(["authorization", "cookie", "x-ai-warp-session"].map(|name| (name, "secret".to_owned())));
    send(&simulator, "POST", &path, &headers, &body.to_string()).await.unwrap();
    assert_eq!(simulator.requests()[0].leaks, ["authorization", "cookie", "x-ai-warp-session"]);
}
