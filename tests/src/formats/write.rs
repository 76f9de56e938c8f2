//! Questions in each format.

use serde_json::{Value, json};

use super::Question;

/// The schema of every tool declared.
fn parameters() -> Value {
    json!({"type": "object", "properties": {"x": {"type": "string"}}})
}

fn arguments(text: &str) -> Value {
    serde_json::from_str(text).expect("arguments are JSON")
}

pub(super) fn unified(question: &Question) -> Value {
    let mut body = json!({"prompt": question.prompt, "models": question.models});
    if let Some(system) = &question.system {
        body["context"] = system.as_str().into();
    }
    if let Some(max) = question.max_tokens {
        body["maxTokens"] = max.into();
    }
    body
}

/// `model` for one, `models` for several.
fn name_models(body: &mut Value, models: &[String]) {
    match models {
        [only] => body["model"] = only.as_str().into(),
        several => {
            body["model"] = several.first().map(String::as_str).unwrap_or_default().into();
            body["models"] = several.into();
        }
    }
}

pub(super) fn chat(question: &Question, stream: bool) -> Value {
    let mut messages = Vec::new();
    messages.extend(question.system.as_ref().map(|system| json!({"role": "system", "content": system})));
    let text = || json!({"type": "text", "text": question.prompt});
    messages.push(match &question.image {
        Some(url) => {
            let image = json!({"type": "image_url", "image_url": {"url": url}});
            json!({"role": "user", "content": [text(), image]})
        }
        None => json!({"role": "user", "content": question.prompt}),
    });
    if !question.results.is_empty() {
        let calls: Vec<Value> = question
            .results
            .iter()
            .map(|(call, _)| {
                let function = json!({"name": call.name, "arguments": call.arguments});
                let mut wire = json!({"id": call.id, "type": "function", "function": function});
                if let Some(signature) = &call.signature {
                    wire["extra_content"] = json!({"google": {"thought_signature": signature}});
                }
                wire
            })
            .collect();
        messages.push(json!({"role": "assistant", "content": null, "tool_calls": calls}));
        messages.extend(
            question
                .results
                .iter()
                .map(|(call, result)| json!({"role": "tool", "tool_call_id": call.id, "content": result})),
        );
    }
    let mut body = json!({"messages": messages});
    name_models(&mut body, &question.models);
    if !question.tools.is_empty() {
        let tool = |name: &String| json!({"type": "function", "function": {"name": name, "parameters": parameters()}});
        body["tools"] = question.tools.iter().map(tool).collect();
    }
    if let Some(max) = question.max_tokens {
        body["max_completion_tokens"] = max.into();
    }
    if let Some(schema) = &question.schema {
        let schema = json!({"name": "answer", "schema": schema, "strict": true});
        body["response_format"] = json!({"type": "json_schema", "json_schema": schema});
    }
    if stream {
        body["stream_options"] = json!({"include_usage": true});
    }
    body
}

pub(super) fn messages(question: &Question) -> Value {
    let text = json!({"type": "text", "text": question.prompt});
    let mut said = vec![text];
    if let Some(url) = &question.image {
        let (media_type, data) =
            url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")).expect("data");
        let source = json!({"type": "base64", "media_type": media_type, "data": data});
        said.push(json!({"type": "image", "source": source}));
    }
    let mut messages = vec![json!({"role": "user", "content": said})];
    if !question.results.is_empty() {
        let calls: Vec<Value> = question
            .results
            .iter()
            .map(|(call, _)| {
                json!({"type": "tool_use", "id": call.id, "name": call.name, "input": arguments(&call.arguments)})
            })
            .collect();
        let results: Vec<Value> = question
            .results
            .iter()
            .map(|(call, result)| json!({"type": "tool_result", "tool_use_id": call.id, "content": result}))
            .collect();
        messages.push(json!({"role": "assistant", "content": calls}));
        messages.push(json!({"role": "user", "content": results}));
    }
    let mut body = json!({"messages": messages, "max_tokens": question.max_tokens.unwrap_or(1_000)});
    name_models(&mut body, &question.models);
    if let Some(system) = &question.system {
        body["system"] = system.as_str().into();
    }
    if !question.tools.is_empty() {
        let tool = |name: &String| json!({"name": name, "input_schema": parameters()});
        body["tools"] = question.tools.iter().map(tool).collect();
    }
    if let Some(schema) = &question.schema {
        body["output_config"] = json!({"format": {"type": "json_schema", "schema": schema}});
    }
    body
}

pub(super) fn responses(question: &Question) -> Value {
    let mut content = vec![json!({"type": "input_text", "text": question.prompt})];
    content.extend(question.image.as_ref().map(|url| json!({"type": "input_image", "image_url": url})));
    let mut input = vec![json!({"role": "user", "content": content})];
    for (call, _) in &question.results {
        input.push(json!({
            "type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments,
        }));
    }
    for (call, result) in &question.results {
        input.push(json!({"type": "function_call_output", "call_id": call.id, "output": result}));
    }
    let mut body = json!({"input": input, "store": false});
    name_models(&mut body, &question.models);
    if let Some(system) = &question.system {
        body["instructions"] = system.as_str().into();
    }
    if !question.tools.is_empty() {
        let tool = |name: &String| json!({"type": "function", "name": name, "parameters": parameters()});
        body["tools"] = question.tools.iter().map(tool).collect();
    }
    if let Some(max) = question.max_tokens {
        body["max_output_tokens"] = max.into();
    }
    if let Some(schema) = &question.schema {
        let format = json!({"type": "json_schema", "name": "answer", "schema": schema, "strict": true});
        body["text"] = json!({"format": format});
    }
    body
}
