//! Whole answers: the echo, images, JSON, choices, log probabilities, reasoning, usage.

use serde_json::{Value, json};

use super::{FAMILY, ask_with, collect};
use crate::tests::client::send;
use crate::tests::{ask, headers, post, question, start, text};
use crate::{Outcome, Provider};

#[tokio::test]
async fn every_provider_echoes_whole_and_streamed() {
    let simulator = start().await;
    for provider in FAMILY {
        let expected = format!("{provider}/m: hello there [system=-] [history=0] [temperature=-] [max=-]");
        let whole = ask(&simulator, provider, "m", "hello there", false).await;
        assert_eq!((whole.status, text(provider, &whole.json())), (200, expected.clone()), "{provider}");
        let streamed = collect(&ask(&simulator, provider, "m", "hello there", true).await);
        assert_eq!((&streamed.text, streamed.finish.len()), (&expected, 1), "{provider}");
        let finish = whole.json()["choices"][0]["finish_reason"].clone();
        assert_eq!(finish, if provider == Provider::Together { "eos" } else { "stop" }, "{provider}");
        assert_eq!(finish, streamed.finish[0], "{provider}");
    }
    assert!(simulator.requests().iter().all(|request| {
        request.outcome == Outcome::Answered && request.model == "m" && request.leaks.is_empty()
    }));
}

#[tokio::test]
async fn roles_limits_and_temperatures_are_understood() {
    let simulator = start().await;
    for provider in FAMILY {
        let change = json!({
            "temperature": 0.5,
            "max_tokens": 100,
            "messages": [
                { "role": "system", "content": "be brief" },
                { "role": "user", "content": "a" },
                { "role": "assistant", "content": "b" },
                { "role": "user", "content": [{ "type": "text", "text": "c" }] },
            ],
        });
        let reply = ask_with(&simulator, provider, "m", "", false, &change).await;
        let expected = format!("{provider}/m: c [system=be brief] [history=2] [temperature=0.5] [max=100]");
        assert_eq!(text(provider, &reply.json()), expected, "{}", reply.body);
    }
    // Ollama knows the older limit alone, and drops the other one in silence.
    let change = json!({ "max_completion_tokens": 1 });
    for (provider, expected) in [(Provider::Ollama, "word1 word2"), (Provider::Vllm, "word1")] {
        let reply = ask_with(&simulator, provider, "m", "!words 2", false, &change).await;
        assert_eq!(text(provider, &reply.json()), expected);
    }
}

#[tokio::test]
async fn images_are_seen_as_data_and_as_addresses() {
    let simulator = start().await;
    for provider in FAMILY {
        let messages = |url: &str| {
            let image = json!({ "type": "image_url", "image_url": { "url": url, "detail": "low" } });
            json!({ "messages": [{ "role": "user", "content": [{ "type": "text", "text": "x" }, image] }] })
        };
        for (url, seen) in [
            ("data:image/png;base64,Zm9v", Some("image/png:3")),
            ("https://host/cat.png", Some("url:https://host/cat.png")),
            ("data:image/png;base64,!", None),
            ("cat.png", None),
        ] {
            let reply = ask_with(&simulator, provider, "m", "", false, &messages(url)).await;
            let takes_none = matches!(provider, Provider::DeepSeek | Provider::Cerebras);
            let takes_data_only = provider == Provider::Ollama && url.starts_with("https:");
            match seen {
                Some(seen) if !takes_none && !takes_data_only => {
                    let echo = text(provider, &reply.json());
                    assert!(echo.ends_with(&format!(" [max=-] [images={seen}]")), "{provider}: {echo}");
                }
                _ => assert!(reply.status == 400 || reply.status == 422, "{provider} {url}: {}", reply.body),
            }
        }
    }
    let plain = json!({ "messages": [{ "role": "user", "content": [
        { "type": "text", "text": "x" }, { "type": "image_url", "image_url": "data:image/gif;base64,Zm8=" },
    ] }] });
    let mistral = ask_with(&simulator, Provider::Mistral, "m", "", false, &plain).await;
    assert!(text(Provider::Mistral, &mistral.json()).ends_with("[images=image/gif:2]"), "{}", mistral.body);
    assert_eq!(ask_with(&simulator, Provider::OpenAi, "m", "", false, &plain).await.status, 400);
}

#[tokio::test]
async fn json_follows_the_schema() {
    let simulator = start().await;
    let schema = json!({
        "type": "object",
        "properties": { "z": { "type": "string" }, "a": { "type": "integer" }, "m": { "enum": ["x", "y"] } },
        "required": ["z", "a", "m"],
        "additionalProperties": false,
    });
    let named = json!({ "name": "answer", "schema": schema, "strict": true });
    let asked = json!({ "response_format": { "type": "json_schema", "json_schema": named } });
    let object = json!({ "response_format": { "type": "json_object" } });
    for provider in FAMILY {
        let reply = ask_with(&simulator, provider, "m", "hi", false, &asked).await;
        if provider == Provider::DeepSeek {
            let message = "This response_format type is unavailable now";
            assert_eq!((reply.status, &reply.json()["error"]["message"]), (400, &json!(message)));
        } else {
            assert_eq!(text(provider, &reply.json()), r#"{"z":"text","a":7,"m":"x"}"#, "{provider}");
        }
        let reply = ask_with(&simulator, provider, "m", "as JSON", true, &object).await;
        assert_eq!(collect(&reply).text, r#"{"ok":true}"#, "{provider}");
    }
}

#[tokio::test]
async fn several_choices_come_where_they_are_followed() {
    let simulator = start().await;
    for provider in FAMILY {
        let reply = ask_with(&simulator, provider, "m", "!words 2", false, &json!({ "n": 2 })).await;
        match provider {
            Provider::DeepSeek | Provider::Groq | Provider::Cerebras | Provider::LlamaCpp => {
                assert_eq!(reply.status, 400, "{provider}");
            }
            Provider::OpenRouter | Provider::Ollama => {
                assert_eq!(reply.json()["choices"].as_array().unwrap().len(), 1, "{provider}");
            }
            _ => {
                let body = reply.json();
                assert_eq!(body["choices"][1]["message"]["content"], "word1 word2 #2", "{provider}");
                assert_eq!(body["choices"][1]["index"], 1);
                assert_eq!(body["usage"]["completion_tokens"], 5, "{provider}");
            }
        }
    }
}

#[tokio::test]
async fn log_probabilities_cover_the_text() {
    let simulator = start().await;
    let change = json!({ "logprobs": true, "top_logprobs": 2 });
    let body = ask_with(&simulator, Provider::OpenAi, "m", "!words 2", false, &change).await.json();
    let tokens = body["choices"][0]["logprobs"]["content"].as_array().unwrap();
    assert_eq!((tokens.len(), &tokens[1]["token"]), (2, &json!(" word2")));
    assert_eq!(tokens[0]["top_logprobs"].as_array().unwrap().len(), 2);
    assert_eq!(tokens[0]["bytes"], json!(b"word1"));
    let events = ask_with(&simulator, Provider::OpenAi, "m", "!words 2", true, &change).await.events();
    assert_eq!(events[1]["choices"][0]["logprobs"]["content"][0]["logprob"], -0.25);
    let without = ask(&simulator, Provider::OpenAi, "m", "hi", false).await.json();
    assert_eq!(without["choices"][0]["logprobs"], Value::Null);
}

#[tokio::test]
async fn reasoning_is_shown_where_the_provider_shows_it() {
    let simulator = start().await;
    for provider in FAMILY {
        let message =
            ask(&simulator, provider, "m~thoughts", "!words 1", false).await.json()["choices"][0]["message"]
                .clone();
        let streamed = collect(&ask(&simulator, provider, "m~thoughts", "!words 1", true).await);
        let thought = "Let me think about it.";
        assert_eq!(streamed.text, "word1", "{provider}");
        match provider {
            Provider::OpenAi | Provider::Azure => {
                assert_eq!((&message["reasoning_content"], streamed.reasoning.as_str()), (&Value::Null, ""));
            }
            Provider::Mistral => {
                assert_eq!(message["content"][0]["thinking"][0]["text"], thought);
                assert_eq!(
                    (&message["content"][1]["text"], streamed.reasoning.as_str()),
                    (&json!("word1"), thought)
                );
            }
            Provider::Groq
            | Provider::OpenRouter
            | Provider::Ollama
            | Provider::Cerebras
            | Provider::Together => {
                assert_eq!((&message["reasoning"], streamed.reasoning.as_str()), (&json!(thought), thought));
            }
            _ => {
                assert_eq!(
                    (&message["reasoning_content"], streamed.reasoning.as_str()),
                    (&json!(thought), thought)
                );
            }
        }
    }
}

#[tokio::test]
async fn usage_is_counted_the_way_of_the_provider() {
    let simulator = start().await;
    for provider in FAMILY {
        let (prompt, answer, reasoning) = (3, 2, 5);
        let change = match provider {
            Provider::Mistral => json!({}),
            _ => json!({ "stream_options": { "include_usage": true } }),
        };
        let model = "m~thoughts~cached=1";
        let text = "!text two words";
        let whole = ask(&simulator, provider, model, text, false).await.json()["usage"].clone();
        let streamed = collect(&ask_with(&simulator, provider, model, text, true, &change).await).usage;
        assert_eq!(whole, streamed, "{provider}");
        let completion = if provider == Provider::Xai { answer } else { answer + reasoning };
        assert_eq!(
            [&whole["prompt_tokens"], &whole["completion_tokens"], &whole["total_tokens"]],
            [prompt, completion, prompt + answer + reasoning],
            "{provider}"
        );
        let cached = match provider {
            Provider::Together => &whole["cached_tokens"],
            Provider::DeepSeek => &whole["prompt_cache_hit_tokens"],
            _ => &whole["prompt_tokens_details"]["cached_tokens"],
        };
        assert_eq!(*cached, if provider == Provider::Ollama { Value::Null } else { json!(1) }, "{provider}");
    }
}

#[tokio::test]
async fn unknown_fields_can_be_asked_for() {
    let simulator = start().await;
    for provider in FAMILY {
        let whole = ask(&simulator, provider, "m~extra", "!words 1", false).await.json();
        assert_eq!(whole["x_simulator"], json!({ "kept": true }), "{provider}");
        assert_eq!(whole["choices"][0]["message"]["x_note"], "kept", "{provider}");
        let events = ask(&simulator, provider, "m~extra", "!words 1", true).await.events();
        assert!(events.iter().all(|event| event["x_simulator"]["kept"] == true), "{provider}");
        let choices = || events.iter().flat_map(|event| event["choices"].as_array().unwrap());
        assert!(choices().all(|choice| choice["delta"]["x_note"] == "kept"), "{provider}");
    }
}

#[tokio::test]
async fn credentials_and_model_lists_are_those_of_the_provider() {
    let simulator = start().await;
    for provider in FAMILY {
        let (path, body) = question(provider, "m", "hi", false);
        let anonymous = [("content-type", "application/json".to_owned())];
        let reply = send(&simulator, "POST", &path, &anonymous, &body.to_string()).await.unwrap();
        let runs_at_home = matches!(provider, Provider::Ollama | Provider::Vllm | Provider::LlamaCpp);
        assert_eq!(reply.status, if runs_at_home { 200 } else { 401 }, "{provider}");
        for header in provider.credential_headers() {
            let wrong = [anonymous[0].clone(), (*header, "Bearer wrong".to_owned())];
            let reply = send(&simulator, "POST", &path, &wrong, &body.to_string()).await.unwrap();
            assert_eq!(
                reply.status,
                if provider == Provider::Xai { 400 } else { 401 },
                "{provider} {header}"
            );
        }
        let base = provider.base_path();
        let path = if provider == Provider::Azure { format!("{base}/openai/v1") } else { base.to_owned() };
        let models =
            send(&simulator, "GET", &format!("{path}/models"), &headers(provider), "").await.unwrap().json();
        let first = if provider == Provider::Together { &models[0] } else { &models["data"][0] };
        assert_eq!(first["id"], "ok", "{provider}");
    }
}

#[tokio::test]
async fn azure_serves_deployments_and_its_newer_address() {
    let simulator = start().await;
    let (_, body) = question(Provider::Azure, "ignored", "!words 1", false);
    for (path, status, model) in [
        ("/azure/openai/deployments/d/chat/completions?api-version=2024-10-21", 200, "d"),
        ("/azure/openai/deployments/my%2Fd/chat/completions?a=b&api-version=2024-10-21", 200, "my/d"),
        ("/azure/openai/v1/chat/completions", 200, "ignored"),
        ("/azure/openai/deployments/d/chat/completions", 404, "d"),
        ("/azure/chat/completions", 404, "ignored"),
    ] {
        let reply = post(&simulator, Provider::Azure, path, &body).await;
        assert_eq!(
            (reply.status, simulator.requests().last().unwrap().model.as_str()),
            (status, model),
            "{path}"
        );
        if status == 200 {
            assert_eq!(reply.json()["model"], model);
            assert_eq!(reply.json()["prompt_filter_results"][0]["prompt_index"], 0);
        } else {
            assert_eq!(reply.json()["error"], json!({ "code": "404", "message": "Resource not found" }));
        }
    }
    let bearer =
        [("authorization", "Bearer sim-key".to_owned()), ("content-type", "application/json".to_owned())];
    let path = "/azure/openai/v1/chat/completions";
    assert_eq!(send(&simulator, "POST", path, &bearer, &body.to_string()).await.unwrap().status, 200);
    assert!(simulator.requests().last().unwrap().leaks.is_empty());
    let old = "/azure/openai/deployments/d/chat/completions?api-version=2024-02-01";
    let mut body = body;
    body["max_completion_tokens"] = 5.into();
    let reply = post(&simulator, Provider::Azure, old, &body).await;
    let message = "Unrecognized request argument supplied: max_completion_tokens";
    assert_eq!((reply.status, &reply.json()["error"]["message"]), (400, &json!(message)));
}
