//! Answers in each format, read as its clients do, which rely on more than the text.

use serde_json::Value;

use super::{Call, Said, ServerEvent};

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn outcome(result: &Value) -> String {
    match result.as_str() {
        Some("COMPLETE") => "stop",
        Some("INCOMPLETE_MAX_TOKENS") => "length",
        Some("INCOMPLETE_UNKNOWN") => "content_filter",
        _ => panic!("no result: {result}"),
    }
    .to_owned()
}

pub(super) fn unified(json: &Value) -> Said {
    Said { text: text(&json["text"]), finish: outcome(&json["result"]), ..Said::default() }
}

pub(super) fn unified_stream(events: &[ServerEvent]) -> Said {
    let (end, content) = events.split_last().expect("a stream has events");
    assert_eq!(end.name, "end", "{end:?}");
    let said: String = content.iter().map(|event| text(&event.data["response"])).collect();
    let end = unified(&end.data["response"]);
    assert_eq!(said, end.text);
    end
}

fn chat_usage(usage: &Value) -> (u64, u64) {
    let (read, written) = (number(&usage["prompt_tokens"]), number(&usage["completion_tokens"]));
    assert_eq!(number(&usage["total_tokens"]), read + written, "{usage}");
    (read, written)
}

fn chat_call(call: &Value) -> Call {
    Call {
        id: text(&call["id"]),
        name: text(&call["function"]["name"]),
        arguments: text(&call["function"]["arguments"]),
        signature: call["extra_content"]["google"]["thought_signature"].as_str().map(str::to_owned),
    }
}

pub(super) fn chat(json: &Value) -> Said {
    assert_eq!(json["object"], "chat.completion", "{json}");
    assert!(json["id"].is_string() && json["created"].is_u64() && json["model"].is_string(), "{json}");
    let choice = &json["choices"][0];
    let message = &choice["message"];
    assert_eq!(message["role"], "assistant", "{json}");
    Said {
        text: text(&message["content"]),
        reasoning: text(&message["reasoning_content"]) + &text(&message["reasoning"]),
        calls: list(&message["tool_calls"]).iter().map(chat_call).collect(),
        finish: text(&choice["finish_reason"]),
        usage: json.get("usage").map(chat_usage),
    }
}

pub(super) fn chat_stream(events: &[ServerEvent]) -> Said {
    let (done, chunks) = events.split_last().expect("a stream has events");
    assert_eq!(done.data, "[DONE]", "{events:#?}");
    let mut said = Said::default();
    for chunk in chunks.iter().map(|event| &event.data) {
        assert_eq!(chunk["error"], Value::Null, "{chunk}");
        if chunk.get("usage").is_some_and(|usage| !usage.is_null()) {
            said.usage = Some(chat_usage(&chunk["usage"]));
        }
        for choice in list(&chunk["choices"]).iter().filter(|choice| choice["index"] == 0) {
            let delta = &choice["delta"];
            said.text += &text(&delta["content"]);
            said.reasoning += &(text(&delta["reasoning_content"]) + &text(&delta["reasoning"]));
            for call in list(&delta["tool_calls"]) {
                let index = number(&call["index"]) as usize;
                if index == said.calls.len() {
                    said.calls.push(chat_call(call));
                } else {
                    said.calls[index].arguments += &text(&call["function"]["arguments"]);
                }
            }
            if let Some(finish) = choice["finish_reason"].as_str() {
                assert_eq!(said.finish, "", "one finish reason: {events:#?}");
                said.finish = finish.to_owned();
            }
        }
    }
    said
}

fn stop_reason(reason: &Value) -> String {
    match reason.as_str() {
        Some("end_turn" | "stop_sequence") => "stop",
        Some("tool_use") => "tool_calls",
        Some("max_tokens") => "length",
        Some("refusal") => "content_filter",
        _ => panic!("no stop reason: {reason}"),
    }
    .to_owned()
}

fn messages_usage(usage: &Value) -> (u64, u64) {
    let part = |name: &str| usage[name].as_u64().unwrap_or(0);
    let cached = part("cache_read_input_tokens") + part("cache_creation_input_tokens");
    (part("input_tokens") + cached, number(&usage["output_tokens"]))
}

pub(super) fn messages(json: &Value) -> Said {
    assert_eq!((&json["type"], &json["role"]), (&"message".into(), &"assistant".into()), "{json}");
    assert!(json["id"].is_string() && json["model"].is_string(), "{json}");
    let mut said = Said {
        finish: stop_reason(&json["stop_reason"]),
        usage: Some(messages_usage(&json["usage"])),
        ..Said::default()
    };
    for block in list(&json["content"]) {
        match block["type"].as_str() {
            Some("text") => said.text += &text(&block["text"]),
            Some("thinking") => said.reasoning += &text(&block["thinking"]),
            Some("tool_use") => said.calls.push(Call {
                id: text(&block["id"]),
                name: text(&block["name"]),
                arguments: block["input"].to_string(),
                signature: None,
            }),
            _ => panic!("an unknown block: {block}"),
        }
    }
    said
}

pub(super) fn messages_stream(events: &[ServerEvent]) -> Said {
    let mut said = Said::default();
    let mut open: Option<(u64, String)> = None;
    let mut next_index = 0;
    for ServerEvent { name, data } in events {
        assert_eq!(data["type"], name.as_str(), "{events:#?}");
        match name.as_str() {
            "message_start" => {
                assert!(data["message"]["id"].is_string(), "{data}");
                assert_eq!(data["message"]["content"], Value::Array(Vec::new()), "{data}");
            }
            "content_block_start" => {
                let (index, block) = (number(&data["index"]), &data["content_block"]);
                assert_eq!((open.as_ref(), index), (None, next_index), "{events:#?}");
                next_index += 1;
                if block["type"] == "tool_use" {
                    assert_eq!(block["input"], serde_json::json!({}), "{data}");
                    said.calls.push(Call {
                        id: text(&block["id"]),
                        name: text(&block["name"]),
                        arguments: String::new(),
                        signature: None,
                    });
                }
                open = Some((index, text(&block["type"])));
            }
            "content_block_delta" => {
                let (index, kind) = open.clone().expect("a delta belongs to an open block");
                assert_eq!(number(&data["index"]), index, "{data}");
                let delta = &data["delta"];
                match (kind.as_str(), delta["type"].as_str()) {
                    ("text", Some("text_delta")) => said.text += &text(&delta["text"]),
                    ("thinking", Some("thinking_delta")) => said.reasoning += &text(&delta["thinking"]),
                    ("thinking", Some("signature_delta")) => {}
                    ("tool_use", Some("input_json_delta")) => {
                        let call = said.calls.last_mut().expect("a call is open");
                        call.arguments += &text(&delta["partial_json"]);
                    }
                    _ => panic!("a delta of another block: {data}"),
                }
            }
            "content_block_stop" => {
                let (index, _) = open.take().expect("a block is open");
                assert_eq!(number(&data["index"]), index, "{data}");
            }
            "message_delta" => {
                said.finish = stop_reason(&data["delta"]["stop_reason"]);
                said.usage = Some(messages_usage(&data["usage"]));
            }
            "message_stop" | "ping" => {}
            _ => panic!("an unknown event: {name} {data}"),
        }
    }
    assert_eq!(events.last().map(|event| event.name.as_str()), Some("message_stop"), "{events:#?}");
    for call in &mut said.calls {
        if call.arguments.is_empty() {
            "{}".clone_into(&mut call.arguments);
        }
    }
    said
}

pub(super) fn responses(json: &Value) -> Said {
    assert_eq!(json["object"], "response", "{json}");
    assert!(json["id"].as_str().is_some_and(|id| id.starts_with("resp_")), "{json}");
    let mut said = Said::default();
    for item in list(&json["output"]) {
        match item["type"].as_str() {
            Some("message") => {
                for part in list(&item["content"]) {
                    said.text += &(text(&part["text"]) + &text(&part["refusal"]));
                }
            }
            Some("function_call") => said.calls.push(Call {
                id: text(&item["call_id"]),
                name: text(&item["name"]),
                arguments: text(&item["arguments"]),
                signature: None,
            }),
            Some("reasoning") => {
                for part in list(&item["summary"]) {
                    said.reasoning += &text(&part["text"]);
                }
            }
            _ => panic!("an unknown item: {item}"),
        }
    }
    said.finish = match (json["status"].as_str(), json["incomplete_details"]["reason"].as_str()) {
        (Some("completed"), _) if said.calls.is_empty() => "stop",
        (Some("completed"), _) => "tool_calls",
        (Some("incomplete"), Some("max_output_tokens")) => "length",
        (Some("incomplete"), Some("content_filter")) => "content_filter",
        _ => panic!("no status: {json}"),
    }
    .to_owned();
    let usage = &json["usage"];
    said.usage = Some((number(&usage["input_tokens"]), number(&usage["output_tokens"])));
    said
}

pub(super) fn responses_stream(events: &[ServerEvent]) -> Said {
    let (mut streamed, mut arguments) = (String::new(), std::collections::BTreeMap::<u64, String>::new());
    for (index, ServerEvent { name, data }) in events.iter().enumerate() {
        assert_eq!(data["type"], name.as_str(), "{events:#?}");
        assert_eq!(number(&data["sequence_number"]), index as u64, "{data}");
        match name.as_str() {
            "response.output_text.delta" | "response.refusal.delta" => streamed += &text(&data["delta"]),
            "response.function_call_arguments.delta" => {
                *arguments.entry(number(&data["output_index"])).or_default() += &text(&data["delta"]);
            }
            _ => {}
        }
    }
    assert_eq!(events[0].name, "response.created");
    let last = events.last().expect("a stream has events");
    assert!(["response.completed", "response.incomplete"].contains(&last.name.as_str()), "{events:#?}");
    let said = responses(&last.data["response"]);
    assert_eq!(streamed, said.text, "{events:#?}");
    let whole: Vec<String> = said.calls.iter().map(|call| call.arguments.clone()).collect();
    let pieces: Vec<String> = arguments.into_values().filter(|piece| !piece.is_empty()).collect();
    assert!(pieces.iter().all(|piece| whole.contains(piece)), "{pieces:?} of {whole:?}");
    said
}
