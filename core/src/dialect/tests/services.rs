//! A chat that asks for everything, as each dialect writes it and what it says of the rest.

use super::*;
use crate::api::{self, Format};
use crate::chat::{Effort, Feature, Part, Reasoning};
use crate::config::{Config, Model, compile};
use crate::task::Task;

const RICH: &str = r#"{
    "model": "x", "stream": true, "stream_options": {"include_usage": true},
    "messages": [
        {"role": "system", "content": "be brief"},
        {"role": "developer", "content": "speak French"},
        {"role": "user", "name": "ann", "content": [
            {"type": "text", "text": "what is this?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}
        ]},
        {"role": "assistant", "content": null, "reasoning_content": "let me look", "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{\"at\": 1.50}"}},
            {"id": "call_2", "type": "function", "function": {"name": "read", "arguments": "nonsense"}}
        ]},
        {"role": "tool", "tool_call_id": "call_1", "content": "{\"seen\": [1, 2]}"},
        {"role": "tool", "tool_call_id": "call_2", "content": "nothing"},
        {"role": "user", "content": "and now?"}
    ],
    "temperature": 0.5, "top_p": 0.9, "max_completion_tokens": 50, "stop": "END", "seed": -7,
    "presence_penalty": 0.5, "logit_bias": {"1": 2}, "logprobs": true, "top_logprobs": 2, "user": "u",
    "tools": [
        {"type": "function", "function": {"name": "look", "description": "looks", "parameters": {"type": "object"}, "strict": true}},
        {"type": "function", "function": {"name": "read"}}
    ],
    "tool_choice": "required", "parallel_tool_calls": false,
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object", "b": 1, "a": 2}}},
    "reasoning_effort": "xhigh", "service_tier": "flex"
}"#;

fn read(body: &str) -> Chat {
    api::read(Format::ChatCompletions, body.into()).unwrap().task.into_conversation().chat
}

fn model(name: &str) -> Model {
    let json = serde_json::json!({"providers": {"openai": {}}, "models": ["openai:m"]});
    let config: Config = serde_json::from_value(json).unwrap();
    let model = compile(&config).unwrap().models.remove(0);
    Model { name: name.to_owned(), ..model }
}

/// Path and body for `chat`, and what was left out; or why it is not sent at all.
fn sent(name: DialectName, model_name: &str, chat: &Chat) -> Result<(String, String, String), Failure> {
    let (dialect, model) = (dialect(name), model(model_name));
    let task = Task::of_chat(chat);
    let prepared = prepare(&task, &chat.features(), dialect, &model, false)?;
    let max_tokens = chat.options.max_tokens;
    let call = Call { options: &prepared.options, ..call(model_name, chat, max_tokens, true) };
    let body = String::from_utf8(dialect.request_body(&call)).unwrap();
    serde_json::from_str::<serde_json::Value>(&body).unwrap();
    Ok((dialect.path("/base", &call), body, prepared.dropped.join(", ")))
}

fn body_for(name: DialectName, model: &str, chat: &Chat) -> serde_json::Value {
    serde_json::from_str(&sent(name, model, chat).unwrap().1).unwrap()
}

/// Services with the name of a model of each.
const SERVICES: [(DialectName, &str); 16] = [
    (DialectName::Openai, "gpt-4.1"),
    (DialectName::Azure, "gpt-4.1"),
    (DialectName::Gemini, "gemini-3-flash"),
    (DialectName::Vertex, "gemini-2.5-pro"),
    (DialectName::Deepseek, "deepseek-chat"),
    (DialectName::Mistral, "mistral-large"),
    (DialectName::Groq, "openai/gpt-oss-120b"),
    (DialectName::Xai, "grok-4.3"),
    (DialectName::Openrouter, "z-ai/glm-5"),
    (DialectName::Together, "glm"),
    (DialectName::Fireworks, "glm"),
    (DialectName::Cerebras, "glm"),
    (DialectName::Ollama, "qwen3"),
    (DialectName::Vllm, "qwen3"),
    (DialectName::Llamacpp, "qwen3"),
    (DialectName::Compatible, "qwen3"),
];

#[test]
fn each_service_gets_what_it_takes_of_a_rich_chat() {
    let as_written = read(RICH);
    let elsewhere = Chat { native: None, ..as_written.clone() };
    let mut written = String::new();
    let from_chat_completions = SERVICES.iter().map(|service| (service, &as_written, "chat completions"));
    let from_elsewhere = SERVICES
        .iter()
        .filter(|(name, _)| matches!(name, DialectName::Openai | DialectName::Gemini | DialectName::Mistral));
    let from_elsewhere = from_elsewhere.map(|service| (service, &elsewhere, "another format"));
    for ((name, model), chat, format) in from_chat_completions.chain(from_elsewhere) {
        let sent = match sent(*name, model, chat) {
            Ok((path, body, dropped)) => format!("{path}\ndropped: {dropped}\n{body}"),
            Err(failure) => format!("{:?}: {}", failure.kind, failure.message),
        };
        written.push_str(&format!("{name:?}, asked in {format}\n{sent}\n\n"));
    }
    insta::assert_snapshot!(written);
}

#[test]
fn what_changes_the_answer_is_not_left_out() {
    for (name, body, field) in [
        (DialectName::Groq, r#"{"n": 2, "messages": [{"role": "user", "content": "p"}]}"#, "n"),
        (DialectName::Gemini, r#"{"n": 2, "messages": [{"role": "user", "content": "p"}]}"#, "n"),
        (
            DialectName::Ollama,
            r#"{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "https://x/y.png"}]}]}"#,
            "messages.image",
        ),
    ] {
        let failure = sent(name, "m", &read(body)).unwrap_err();
        assert_eq!(
            (failure.kind, failure.param.as_deref()),
            (FailureKind::NotOffered, Some(field)),
            "{name:?}"
        );
    }
}

#[test]
fn what_a_model_is_said_not_to_take_is_left_out_or_the_model_is() {
    let chat = read(
        r#"{"seed": 1, "messages": [{"role": "user", "name": "ann", "content": [
            {"type": "image_url", "image_url": "data:image/png;base64,aGk="}]}]}"#,
    );
    let task = Task::of_chat(&chat);
    for (unsupported, dropped) in [
        (vec![Feature::Seed], Ok("seed")),
        (vec![Feature::Seed, Feature::ImageUrl], Ok("seed")),
        (vec![Feature::ImageData], Err("messages.image")),
        (vec![Feature::Names], Err("messages.name")),
    ] {
        let model = Model { unsupported, ..rich::model_named("m") };
        let prepared = prepare(&task, &chat.features(), dialect(DialectName::Compatible), &model, false);
        let told = prepared.map(|prepared| prepared.dropped.join(", ")).map_err(|failure| failure.param);
        assert_eq!(told, dropped.map(str::to_owned).map_err(|field| Some(field.to_owned())));
    }
}

#[test]
fn models_that_think_are_spared_what_they_refuse() {
    let chat = read(
        r#"{"messages": [{"role": "user", "content": "p"}], "stop": ["x"], "presence_penalty": 1, "temperature": 1,
            "reasoning_effort": "high"}"#,
    );
    for (name, model, dropped) in [
        (DialectName::Xai, "grok-4.3", "stop, presence_penalty"),
        (DialectName::Xai, "grok-4-0709", "stop, presence_penalty, reasoning_effort"),
        (DialectName::Xai, "grok-3", "reasoning_effort"),
        (DialectName::Openai, "gpt-5", "temperature, stop, presence_penalty"),
        (DialectName::Azure, "o4-mini", "temperature, stop, presence_penalty"),
        (DialectName::Openai, "o1", "temperature, presence_penalty"),
        (DialectName::Groq, "llama-3.3-70b-versatile", "presence_penalty, reasoning_effort"),
        (DialectName::Groq, "openai/gpt-oss-20b", "presence_penalty"),
        (DialectName::Gemini, "gemini-2.0-flash", "reasoning_effort"),
        (DialectName::Gemini, "gemini-2.5-flash", ""),
    ] {
        assert_eq!(sent(name, model, &chat).unwrap().2, dropped, "{name:?} {model}");
    }
}

#[test]
fn effort_is_said_in_the_words_that_are_known() {
    let mut chat = read(r#"{"messages": [{"role": "user", "content": "p"}]}"#);
    for (effort, name, model, field, written) in [
        (Effort::Max, DialectName::Together, "m", "reasoning_effort", r#""high""#),
        (Effort::None, DialectName::Together, "m", "reasoning_effort", r#""low""#),
        (Effort::Medium, DialectName::Deepseek, "m", "reasoning_effort", r#""low""#),
        (Effort::None, DialectName::Deepseek, "m", "thinking", r#"{"type":"disabled"}"#),
        (Effort::None, DialectName::Groq, "qwen/qwen3-32b", "reasoning_effort", r#""none""#),
        (Effort::Max, DialectName::Openrouter, "m", "reasoning_effort", r#""xhigh""#),
        (Effort::Max, DialectName::Compatible, "m", "reasoning_effort", r#""max""#),
    ] {
        chat.options.effort = Some(effort);
        assert_eq!(body_for(name, model, &chat)[field].to_string(), written, "{name:?} {effort:?}");
    }
}

#[test]
fn deepseek_gets_a_thought_with_every_call_of_a_tool() {
    let mut chat = read(
        r#"{"messages": [{"role": "user", "content": "p"},
            {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "r"}]}"#,
    );
    let thought =
        |chat: &Chat| body_for(DialectName::Deepseek, "m", chat)["messages"][1]["reasoning_content"].clone();
    assert_eq!(thought(&chat), "");
    let reasoning = Reasoning { text: "hm".to_owned(), ..Reasoning::default() };
    chat.messages[1].parts.insert(0, Part::Reasoning(reasoning));
    assert_eq!(thought(&chat), "hm");
    assert!(body_for(DialectName::Vllm, "m", &chat)["messages"][1].get("reasoning_content").is_none());
}

#[test]
fn nobody_gets_the_signatures_of_another() {
    let mut chat = read(
        r#"{"messages": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "a"},
            {"role": "user", "content": "q"}]}"#,
    );
    chat.native = None;
    for (signature, takers) in [
        ("gemini:b25l", &[DialectName::Gemini, DialectName::Vertex][..]),
        ("c2ln", &[DialectName::Anthropic, DialectName::Bedrock]),
    ] {
        let thought = Reasoning {
            text: "hm".to_owned(),
            signature: Some(signature.to_owned()),
            ..Reasoning::default()
        };
        chat.messages[1].parts.insert(0, Part::Reasoning(thought));
        for (name, model) in [
            (DialectName::Gemini, "gemini-3-pro"),
            (DialectName::Vertex, "gemini-3-pro"),
            (DialectName::Anthropic, "claude-sonnet-4-5"),
            (DialectName::Bedrock, "anthropic.claude-sonnet-4-5"),
        ] {
            let (_, body, dropped) = sent(name, model, &chat).unwrap();
            let gets = body.contains(signature.trim_start_matches("gemini:"));
            let takes = takers.contains(&name);
            let told = dropped.contains("messages.reasoning_content");
            assert_eq!((gets, told), (takes, !takes), "{name:?} {signature}: {dropped} {body}");
        }
        chat.messages[1].parts.remove(0);
    }
}

#[test]
fn openrouter_gets_its_reasoning_back_as_it_came() {
    let details = r#"[{"type":"reasoning.encrypted","data":"AA","format":"x-1"}]"#;
    let body = format!(
        r#"{{"messages": [{{"role": "assistant", "content": "a", "reasoning_details": {details}}},
            {{"role": "user", "content": "p"}}]}}"#
    );
    let said =
        body_for(DialectName::Openrouter, "m", &read(&body))["messages"][0]["reasoning_details"].to_string();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&said).unwrap(),
        serde_json::from_str::<serde_json::Value>(details).unwrap()
    );
    assert!(
        body_for(DialectName::Together, "m", &read(&body))["messages"][0].get("reasoning_details").is_none()
    );
}

#[test]
fn those_who_refuse_unknown_fields_get_a_refusal_as_text() {
    let chat = read(
        r#"{"messages": [{"role": "assistant", "content": null, "refusal": "no"}, {"role": "user", "content": "p"}]}"#,
    );
    let first = body_for(DialectName::Mistral, "m", &chat)["messages"][0].clone();
    assert_eq!(first, serde_json::json!({"role": "assistant", "content": "no"}));
    let first = body_for(DialectName::Openai, "m", &chat)["messages"][0].clone();
    assert_eq!(first, serde_json::json!({"role": "assistant", "content": null, "refusal": "no"}));
}

#[test]
fn fields_that_a_service_does_not_know_are_left_out_and_told() {
    let chat = read(
        r#"{"messages": [{"role": "user", "content": "p"}], "temperature": 2, "store": true, "thinking": {"type": "disabled"},
            "safe_prompt": true}"#,
    );
    for (name, dropped, kept, temperature) in [
        (DialectName::Deepseek, "safe_prompt, store", "thinking", 2.0),
        (DialectName::Mistral, "store, thinking", "safe_prompt", 1.5),
        (DialectName::Groq, "safe_prompt, thinking", "store", 2.0),
        (DialectName::Cerebras, "safe_prompt, store, thinking", "temperature", 1.5),
        (DialectName::Vllm, "", "safe_prompt", 2.0),
    ] {
        let mut told: Vec<String> =
            sent(name, "m", &chat).unwrap().2.split(", ").map(str::to_owned).collect();
        told.sort();
        let body = body_for(name, "m", &chat);
        assert_eq!(
            (told.join(", ").as_str(), &body["temperature"]),
            (dropped, &temperature.into()),
            "{name:?}"
        );
        assert!(
            body.get(kept).is_some() && dropped.split(", ").all(|name| body.get(name).is_none()),
            "{name:?}"
        );
    }
}

#[test]
fn who_parses_arguments_gets_an_object() {
    let chat = read(
        r#"{"messages": [{"role": "user", "content": "p"},
            {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "x"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "r"}]}"#,
    );
    for (name, expected) in [
        (DialectName::Openai, "x"),
        (DialectName::Ollama, r#"{"arguments":"x"}"#),
        (DialectName::Vllm, r#"{"arguments":"x"}"#),
    ] {
        let body = body_for(name, "m", &chat);
        assert_eq!(body["messages"][1]["tool_calls"][0]["function"]["arguments"], expected, "{name:?}");
    }
}

#[test]
fn azure_is_asked_by_deployment_or_by_model() {
    let mut chat = chat();
    chat.options.max_tokens = Some(9);
    for (version, path, limit, counts) in [
        (None, "/b/openai/v1/chat/completions", "max_completion_tokens", true),
        (
            Some("2024-10-21"),
            "/b/openai/deployments/my%2Fgpt%205/chat/completions?api-version=2024-10-21",
            "max_completion_tokens",
            true,
        ),
        (
            Some("2024-06-01"),
            "/b/openai/deployments/my%2Fgpt%205/chat/completions?api-version=2024-06-01",
            "max_tokens",
            false,
        ),
    ] {
        let call = Call { api_version: version, ..call("my/gpt 5", &chat, Some(9), true) };
        let azure = dialect(DialectName::Azure);
        assert_eq!(azure.path("/b", &call), path);
        let body: serde_json::Value = serde_json::from_slice(&azure.request_body(&call)).unwrap();
        assert_eq!((&body[limit], body.get("stream_options").is_some()), (&9.into(), counts), "{version:?}");
    }
    let credential = dialect(DialectName::Azure).credential();
    assert_eq!((credential.header, credential.prefix), ("api-key", ""));
}

#[test]
fn a_call_of_a_custom_tool_comes_back_as_it_was() {
    let call = r#"{"id":"c1","type":"custom","custom":{"name":"sh","input":"ls"}}"#;
    let mut chat = read(&format!(
        r#"{{"messages": [{{"role": "user", "content": "p"}}, {{"role": "assistant", "content": null, "tool_calls": [{call}]}},
            {{"role": "tool", "tool_call_id": "c1", "content": "a"}}]}}"#
    ));
    for is_edited in [false, true] {
        chat.is_edited = is_edited;
        let body = body_for(DialectName::Openai, "gpt-5", &chat);
        let expected: serde_json::Value = serde_json::from_str(call).unwrap();
        assert_eq!(body["messages"][1]["tool_calls"], serde_json::json!([expected]));
    }
    let failure = sent(DialectName::Anthropic, "claude-opus-4-7", &chat).unwrap_err();
    assert_eq!(failure.kind, FailureKind::NotOffered);
}

#[test]
fn a_choice_of_tools_that_only_one_format_has_passes_there_and_is_left_out_elsewhere() {
    let choice = r#"{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[]}}"#;
    let chat = read(&format!(
        r#"{{"messages": [{{"role": "user", "content": "p"}}], "tool_choice": {choice},
            "tools": [{{"type": "function", "function": {{"name": "f"}}}}]}}"#
    ));
    let body = body_for(DialectName::Openai, "gpt-5", &chat);
    assert_eq!(body["tool_choice"], serde_json::from_str::<serde_json::Value>(choice).unwrap());
    let (_, body, dropped) = sent(DialectName::Anthropic, "claude-opus-4-7", &chat).unwrap();
    assert!(dropped == "tool_choice" && !body.contains("allowed_tools"), "{dropped} {body}");
}
