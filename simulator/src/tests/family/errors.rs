//! Errors in each provider's own shape.

use serde_json::{Value, json};

use super::{FAMILY, ask_with};
use crate::tests::client::send;
use crate::tests::{ask, headers, question, start};
use crate::{Outcome, Provider};

/// The message of an error, wherever the provider keeps it.
fn message(provider: Provider, body: &Value) -> &str {
    let place = match provider {
        Provider::Xai => "/error",
        Provider::Cerebras => "/message",
        Provider::Mistral if body.get("detail").is_some() => "/detail/0/msg",
        Provider::Mistral => "/message",
        Provider::Vllm if body["error"].is_string() => "/error",
        Provider::Vllm if body.get("detail").is_some() => "/detail",
        _ => "/error/message",
    };
    body.pointer(place).and_then(Value::as_str).unwrap_or_else(|| panic!("{provider}: {body}"))
}

#[tokio::test]
async fn every_status_has_a_message_in_its_place() {
    let simulator = start().await;
    for provider in FAMILY {
        for status in [400, 401, 402, 403, 404, 408, 413, 422, 429, 500, 502, 503, 504, 529] {
            let reply = ask(&simulator, provider, &format!("m~status={status}"), "hi", true).await;
            assert_eq!(reply.status, status, "{provider}");
            assert!(!message(provider, &reply.json()).is_empty());
            assert_eq!(reply.header("retry-after"), (status == 429).then_some("7"), "{provider}");
        }
    }
    assert!(simulator.requests().iter().all(|request| request.outcome == Outcome::Faulted));
}

#[tokio::test]
async fn misuse_has_a_message_in_its_place() {
    let simulator = start().await;
    for provider in FAMILY {
        let (path, body) = question(provider, "m", "hi", false);
        let body = body.to_string();
        let good = headers(provider);
        let nowhere = format!("{}/nowhere", provider.base_path());
        let plain = vec![good[0].clone(), ("content-type", "text/plain".to_owned())];
        for (method, path, headers, body, status) in [
            ("POST", nowhere.as_str(), &good, body.as_str(), 404),
            ("GET", path.as_str(), &good, "", 405),
            ("POST", path.as_str(), &plain, body.as_str(), 400),
            ("POST", path.as_str(), &good, "{\"model\": ", 400),
            ("POST", path.as_str(), &good, "[]", 400),
        ] {
            let reply = send(&simulator, method, path, headers, body).await.unwrap();
            let is_expected = reply.status == status || (status == 400 && reply.status == 422);
            assert!(is_expected, "{provider} {method} {path} {body}: {}", reply.status);
            assert!(!message(provider, &reply.json()).is_empty());
        }
    }
}

#[tokio::test]
async fn shapes_are_those_of_the_provider() {
    let simulator = start().await;
    let table = [
        (Provider::OpenAi, "limited", 429, json!({ "error": { "code": "rate_limit_exceeded" } })),
        (Provider::OpenAi, "quota", 429, json!({ "error": { "type": "insufficient_quota" } })),
        (Provider::Azure, "limited", 429, json!({ "error": { "code": "429" } })),
        (Provider::Azure, "missing", 404, json!({ "error": { "code": "DeploymentNotFound" } })),
        (Provider::Azure, "unauthorized", 401, json!({ "error": { "code": "401" } })),
        (
            Provider::Mistral,
            "limited",
            429,
            json!({ "object": "error", "code": "1300", "raw_status_code": 429 }),
        ),
        (Provider::Mistral, "missing", 400, json!({ "type": "invalid_model", "code": "1500" })),
        (Provider::Mistral, "unauthorized", 401, json!({ "message": "Unauthorized" })),
        (Provider::Mistral, "quota", 402, json!({ "object": "error" })),
        (Provider::Groq, "limited", 429, json!({ "error": { "code": "rate_limit_exceeded" } })),
        (Provider::Groq, "missing", 404, json!({ "error": { "code": "model_not_found" } })),
        (Provider::Xai, "limited", 429, json!({ "code": "Some resource has been exhausted" })),
        (Provider::Xai, "missing", 404, json!({ "code": "Some requested entity was not found" })),
        (Provider::OpenRouter, "limited", 429, json!({ "error": { "code": 429 } })),
        (Provider::OpenRouter, "quota", 402, json!({ "error": { "code": 402 } })),
        (Provider::OpenRouter, "missing", 400, json!({ "error": { "code": 400 } })),
        (
            Provider::OpenRouter,
            "overloaded",
            529,
            json!({
                "error": { "metadata": { "error_type": "provider_overloaded" } },
            }),
        ),
        (Provider::Together, "missing", 404, json!({ "error": { "code": "model_not_available" } })),
        (Provider::Together, "quota", 402, json!({ "error": { "type": "credit_limit" } })),
        (Provider::Fireworks, "missing", 404, json!({ "error": { "object": "error", "code": "NOT_FOUND" } })),
        (Provider::Fireworks, "quota", 412, json!({ "error": { "code": "PRECONDITION_FAILED" } })),
        (Provider::Cerebras, "limited", 429, json!({ "code": "request_quota_exceeded", "param": "quota" })),
        (Provider::Cerebras, "missing", 404, json!({ "code": "model_not_found", "type": "not_found_error" })),
        (
            Provider::Ollama,
            "missing",
            404,
            json!({ "error": {
            "message": "model \"missing\" not found, try pulling it first",
        } }),
        ),
        (Provider::Vllm, "missing", 404, json!({ "error": { "type": "NotFoundError", "code": 404 } })),
        (Provider::Vllm, "bad", 400, json!({ "error": { "type": "BadRequestError", "code": 400 } })),
        (Provider::LlamaCpp, "down", 503, json!({ "error": { "type": "unavailable_error", "code": 503 } })),
    ];
    for (provider, model, status, expected) in table {
        let reply = ask(&simulator, provider, model, "hi", false).await;
        assert_eq!(reply.status, status, "{provider} {model}: {}", reply.body);
        assert!(contains(&reply.json(), &expected), "{provider} {model}: {} lacks {expected}", reply.body);
    }
}

#[tokio::test]
async fn complaints_are_worded_by_the_provider() {
    let simulator = start().await;
    let unknown = json!({ "foo": 1 });
    let nested = json!({ "messages": [{ "role": "user", "content": "x", "parts": 1 }] });
    let kind = json!({ "temperature": "warm" });
    let place = |places: &[Value]| json!({ "detail": [{ "loc": places }] });
    let table = [
        (Provider::Mistral, &unknown, place(&[json!("body"), json!("foo")])),
        (Provider::Mistral, &nested, place(&[json!("body"), json!("messages"), json!(0), json!("parts")])),
        (Provider::Groq, &unknown, json!({ "error": { "message": "property 'foo' is unsupported" } })),
        (
            Provider::Groq,
            &nested,
            json!({ "error": { "message": "'messages[0]' : property 'parts' is unsupported" } }),
        ),
        (
            Provider::Fireworks,
            &unknown,
            json!({ "error": { "message": "Extra inputs are not permitted, field: 'foo'" } }),
        ),
        (Provider::Cerebras, &unknown, json!({ "code": "wrong_api_format" })),
        (Provider::Xai, &kind, json!({ "code": "Client specified an invalid argument" })),
        (Provider::Vllm, &kind, json!({ "error": { "code": 400, "param": "temperature" } })),
    ];
    for (provider, change, expected) in table {
        let body = ask_with(&simulator, provider, "m", "hi", false, change).await.json();
        assert!(contains(&body, &expected), "{provider} {change}: {body} lacks {expected}");
    }
}

/// Whether `body` has every field of `part`, with these values.
fn contains(body: &Value, part: &Value) -> bool {
    match (body, part) {
        (Value::Object(body), Value::Object(part)) => {
            part.iter().all(|(name, value)| body.get(name).is_some_and(|own| contains(own, value)))
        }
        (Value::Array(body), Value::Array(part)) => {
            body.len() == part.len() && body.iter().zip(part).all(|(own, value)| contains(own, value))
        }
        _ => body == part,
    }
}
