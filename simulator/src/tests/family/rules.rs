//! What each provider of the family refuses.

use serde_json::{Value, json};

use super::{FAMILY, ask_with, tools};
use crate::tests::start;
use crate::{Outcome, Provider, Simulator};

async fn status(simulator: &Simulator, provider: Provider, model: &str, change: &Value) -> u16 {
    let reply = ask_with(simulator, provider, model, "hi", false, change).await;
    let refused = simulator.requests().last().unwrap().outcome == Outcome::Rejected;
    assert_eq!(reply.status != 200, refused, "{provider} {change}");
    reply.status
}

/// Providers that pass over what they do not know.
const FORGIVING: [Provider; 5] =
    [Provider::OpenRouter, Provider::Together, Provider::Ollama, Provider::Vllm, Provider::LlamaCpp];

#[tokio::test]
async fn unknown_fields_are_refused_by_all_but_the_forgiving() {
    let simulator = start().await;
    let user = |field: &str| json!({ "messages": [{ "role": "user", "content": "x", (field): 1 }] });
    let part =
        json!({ "messages": [{ "role": "user", "content": [{ "type": "text", "text": "x", "foo": 1 }] }] });
    for provider in FAMILY {
        for change in [json!({ "foo": 1 }), json!({ "generationConfig": {} }), user("parts"), part.clone()] {
            let status = status(&simulator, provider, "m", &change).await;
            let expected = match provider {
                provider if FORGIVING.contains(&provider) => 200,
                Provider::Mistral => 422,
                _ => 400,
            };
            assert_eq!(status, expected, "{provider} {change}");
        }
    }
}

#[tokio::test]
async fn what_is_malformed_is_refused_by_all() {
    let simulator = start().await;
    let messages = |message: Value| json!({ "messages": [message] });
    let tool = |function: Value| json!({ "tools": [{ "type": "function", "function": function }] });
    for provider in FAMILY {
        for change in [
            json!({ "messages": [] }),
            json!({ "messages": null }),
            json!({ "messages": "hi" }),
            json!({ "temperature": "warm" }),
            json!({ "stream": "yes" }),
            json!({ "tools": {} }),
            json!({ "stop": 5 }),
            messages(json!("hi")),
            messages(json!({ "role": "model", "content": "x" })),
            messages(json!({ "role": "user" })),
            messages(json!({ "role": "user", "content": null })),
            messages(json!({ "role": "user", "content": 5 })),
            messages(json!({ "role": "user", "content": [] })),
            messages(json!({ "role": "user", "content": [{ "text": "x" }] })),
            messages(json!({ "role": "user", "content": [{ "type": "text" }] })),
            messages(
                json!({ "role": "system", "content": [{ "type": "image_url", "image_url": { "url": "x" } }] }),
            ),
            tool(json!({})),
            tool(json!({ "name": "has space" })),
            tool(json!({ "name": "x".repeat(65) })),
            tool(json!({ "name": "x", "parameters": { "type": "string" } })),
            json!({ "tools": [{ "function": { "name": "x" } }] }),
            json!({ "tools": tools(), "tool_choice": "perhaps" }),
            json!({ "tools": tools(), "tool_choice": { "type": "function", "function": { "name": "other" } } }),
            json!({ "response_format": { "type": "xml" } }),
            json!({ "response_format": { "type": "json_schema" } }),
        ] {
            let status = status(&simulator, provider, "m", &change).await;
            assert!(matches!(status, 400 | 422), "{provider} {change}: {status}");
        }
    }
}

#[tokio::test]
async fn each_provider_refuses_what_it_alone_does_not_take() {
    let simulator = start().await;
    let last_is_assistant = json!([
        { "role": "user", "content": "a" }, { "role": "assistant", "content": "b" },
    ]);
    let long_id = json!([
        { "role": "user", "content": "a" },
        { "role": "assistant", "tool_calls": [
            { "id": "call_123", "type": "function", "function": { "name": "ping", "arguments": "{}" } },
        ] },
        { "role": "tool", "tool_call_id": "call_123", "content": "r" },
    ]);
    let loose = json!({ "type": "json_schema", "json_schema": {
        "name": "x", "strict": true, "schema": { "type": "object", "properties": { "a": {} } },
    } });
    let named = json!([{ "role": "user", "content": "a", "name": "ann" }]);
    let no_json = json!([
        { "role": "user", "content": "a" },
        { "role": "assistant", "tool_calls": [
            { "id": "c", "type": "function", "function": { "name": "ping", "arguments": "{" } },
        ] },
        { "role": "tool", "tool_call_id": "c", "content": "r" },
    ]);
    let table = [
        (Provider::OpenAi, "m", json!({ "response_format": { "type": "json_object" } }), 400),
        (Provider::OpenAi, "m", json!({ "response_format": loose }), 400),
        (Provider::OpenAi, "m", json!({ "response_format": { "type": "text", "schema": {} } }), 400),
        (Provider::OpenAi, "m", json!({ "tools": [] }), 400),
        (Provider::OpenAi, "m", json!({ "tool_choice": "required" }), 400),
        (Provider::OpenAi, "m", json!({ "parallel_tool_calls": true }), 400),
        (Provider::OpenAi, "m", json!({ "n": 9 }), 400),
        (Provider::OpenAi, "m", json!({ "top_logprobs": 2 }), 400),
        (Provider::OpenAi, "o3", json!({ "max_tokens": 5 }), 400),
        (Provider::OpenAi, "o3", json!({ "presence_penalty": 0.5 }), 400),
        (Provider::OpenAi, "m", json!({ "max_tokens": 5, "max_completion_tokens": 5 }), 400),
        (Provider::Azure, "gpt-5-mini", json!({ "max_tokens": 5 }), 400),
        (Provider::Azure, "m", json!({ "safety_identifier": "x" }), 400),
        (Provider::DeepSeek, "m", json!({ "seed": 1 }), 400),
        (Provider::DeepSeek, "deepseek-reasoner", json!({ "logprobs": true }), 400),
        (Provider::Mistral, "m", json!({ "max_completion_tokens": 5 }), 422),
        (Provider::Mistral, "m", json!({ "stream_options": {} }), 422),
        (Provider::Mistral, "m", json!({ "seed": 1 }), 422),
        (Provider::Mistral, "m", json!({ "user": "x" }), 422),
        (Provider::Mistral, "m", json!({ "temperature": 1.6 }), 422),
        (Provider::Mistral, "m", json!({ "messages": last_is_assistant }), 400),
        (Provider::Mistral, "m", json!({ "messages": long_id }), 400),
        (Provider::Groq, "m", json!({ "n": 2 }), 400),
        (Provider::Groq, "m", json!({ "logprobs": true }), 400),
        (Provider::Groq, "m", json!({ "messages": named }), 400),
        (Provider::Groq, "m", json!({ "reasoning_format": "raw", "tools": tools() }), 400),
        (Provider::Groq, "m", json!({ "reasoning_format": "raw", "include_reasoning": true }), 400),
        (Provider::Xai, "grok-4", json!({ "stop": "x" }), 400),
        (Provider::Xai, "grok-4", json!({ "reasoning_effort": "low" }), 400),
        (Provider::Together, "m", json!({ "stop": "x" }), 400),
        (Provider::Together, "m", json!({ "logprobs": true }), 400),
        (Provider::Together, "m", json!({ "max_completion_tokens": 5 }), 400),
        (Provider::Fireworks, "m", json!({ "max_tokens": 5_001 }), 400),
        (Provider::Cerebras, "m", json!({ "frequency_penalty": 0.5 }), 400),
        (Provider::Cerebras, "m", json!({ "temperature": 1.6 }), 400),
        (Provider::Ollama, "m", json!({ "messages": no_json }), 400),
        (Provider::Vllm, "m", json!({ "messages": no_json }), 400),
        (Provider::LlamaCpp, "m", json!({ "n": 2 }), 400),
    ];
    for (provider, model, change, expected) in table {
        assert_eq!(status(&simulator, provider, model, &change).await, expected, "{provider} {change}");
    }
    let accepted = [
        (Provider::OpenAi, "m", json!({ "messages": last_is_assistant })),
        (Provider::OpenAi, "m", json!({ "messages": named })),
        (Provider::OpenAi, "m", json!({ "n": 8, "seed": 1, "stop": "x", "user": "u" })),
        (Provider::OpenAi, "m", json!({ "messages": long_id, "tools": tools() })),
        (Provider::Xai, "grok-3-mini", json!({ "reasoning_effort": "low" })),
        (Provider::Xai, "m", json!({ "stop": "x", "reasoning_effort": "low" })),
        (Provider::Together, "m", json!({ "stop": ["x"], "logprobs": 1, "user": "u" })),
        (Provider::Fireworks, "m", json!({ "reasoning_effort": 512, "top_k": 5 })),
        (Provider::Fireworks, "m", json!({ "response_format": { "type": "json_object", "schema": {} } })),
        (Provider::Vllm, "m", json!({ "top_k": 5, "structured_outputs": {} })),
        (Provider::OpenRouter, "m", json!({ "provider": { "order": ["x"] }, "models": ["m"] })),
        (Provider::Mistral, "m", json!({ "random_seed": 1, "safe_prompt": true })),
        (Provider::DeepSeek, "m", json!({ "thinking": { "type": "enabled" } })),
    ];
    for (provider, model, change) in accepted {
        assert_eq!(status(&simulator, provider, model, &change).await, 200, "{provider} {change}");
    }
}

#[tokio::test]
async fn groq_takes_images_up_to_a_size() {
    let simulator = start().await;
    let url = format!("data:image/png;base64,{}", "Zm9v".repeat(1_100_000));
    let image = json!({ "type": "image_url", "image_url": { "url": url } });
    let change = json!({ "messages": [{ "role": "user", "content": [image] }] });
    assert_eq!(status(&simulator, Provider::Groq, "m", &change).await, 413);
    assert_eq!(status(&simulator, Provider::OpenAi, "m", &change).await, 200);
}
