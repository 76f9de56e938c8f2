//! Embeddings: vectors as numbers and as base64, and what is refused.

use serde_json::{Value, json};

use super::FAMILY;
use crate::tests::{post, start};
use crate::{Provider, Simulator};

fn has_embeddings(provider: Provider) -> bool {
    !matches!(provider, Provider::DeepSeek | Provider::Groq | Provider::Xai | Provider::Cerebras)
}

async fn embed(simulator: &Simulator, provider: Provider, change: &Value) -> (u16, Value) {
    let base = provider.base_path();
    let path = match provider {
        Provider::Azure => format!("{base}/openai/deployments/m/embeddings?api-version=2024-10-21"),
        _ => format!("{base}/embeddings"),
    };
    let mut body = json!({ "model": "m", "input": ["one two", "three"] });
    for (name, value) in change.as_object().unwrap() {
        body[name] = value.clone();
    }
    let reply = post(simulator, provider, &path, &body).await;
    (reply.status, reply.json())
}

#[tokio::test]
async fn vectors_come_as_numbers_and_as_base64() {
    let simulator = start().await;
    for provider in FAMILY {
        let (status, body) = embed(&simulator, provider, &json!({})).await;
        if !has_embeddings(provider) {
            assert_eq!(status, 404, "{provider}");
            continue;
        }
        let data = body["data"].as_array().unwrap();
        assert_eq!(
            (data.len(), &data[1]["index"], &body["model"]),
            (2, &json!(1), &json!("m")),
            "{provider}"
        );
        assert_eq!(body["usage"], json!({ "prompt_tokens": 3, "total_tokens": 3 }));
        let numbers: Vec<f32> = serde_json::from_value(data[0]["embedding"].clone()).unwrap();
        assert_eq!(numbers.len(), 8);
        assert_ne!(data[0]["embedding"], data[1]["embedding"]);
        let (_, body) = embed(&simulator, provider, &json!({ "encoding_format": "base64" })).await;
        let bytes = crate::base64::decode(body["data"][0]["embedding"].as_str().unwrap()).unwrap();
        let decoded: Vec<f32> =
            bytes.chunks(4).map(|chunk| f32::from_le_bytes(chunk.try_into().unwrap())).collect();
        assert_eq!(decoded, numbers, "{provider}");
    }
}

#[tokio::test]
async fn lengths_tokens_and_faults_are_followed() {
    let simulator = start().await;
    let length = |body: &Value| body["data"][0]["embedding"].as_array().unwrap().len();
    let (_, body) = embed(&simulator, Provider::OpenAi, &json!({ "dimensions": 3, "input": "x" })).await;
    assert_eq!((length(&body), body["data"].as_array().unwrap().len()), (3, 1));
    let (_, body) = embed(&simulator, Provider::Mistral, &json!({ "output_dimension": 4 })).await;
    assert_eq!(length(&body), 4);
    let (_, body) = embed(&simulator, Provider::Vllm, &json!({ "input": [[1, 2], [3]] })).await;
    assert_eq!((length(&body), &body["usage"]["total_tokens"]), (8, &json!(3)));
    let (status, body) = embed(&simulator, Provider::OpenAi, &json!({ "model": "down" })).await;
    assert_eq!((status, &body["error"]["code"]), (503, &json!("server_is_overloaded")));
    let (_, body) = embed(&simulator, Provider::OpenAi, &json!({ "model": "m~extra" })).await;
    assert_eq!(body["x_simulator"]["kept"], true);
}

#[tokio::test]
async fn requests_for_embeddings_are_checked() {
    let simulator = start().await;
    for change in [
        json!({ "input": null }),
        json!({ "input": "" }),
        json!({ "input": [] }),
        json!({ "input": ["a", ""] }),
        json!({ "input": [1, "a"] }),
        json!({ "input": 5 }),
        json!({ "model": "" }),
        json!({ "dimensions": 0 }),
        json!({ "encoding_format": "hex" }),
        json!({ "messages": [] }),
    ] {
        let (status, body) = embed(&simulator, Provider::OpenAi, &change).await;
        assert_eq!((status, &body["error"]["type"]), (400, &json!("invalid_request_error")), "{change}");
    }
    let (status, body) = embed(&simulator, Provider::Mistral, &json!({ "dimensions": 3 })).await;
    assert_eq!((status, &body["detail"][0]["type"]), (422, &json!("extra_forbidden")));
    let path = "/azure/openai/deployments/m/embeddings";
    assert_eq!(post(&simulator, Provider::Azure, path, &json!({ "input": "x" })).await.status, 404);
}
