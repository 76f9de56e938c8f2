//! Requests and answers of Messages.

use std::collections::HashMap;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::read;
use super::reply::MessageReply;
use crate::api::testing::{about, answers, conversation, events, stream, whole, written};
use crate::api::{Format, Reply, Request, Session, Source, Whole, errors};
use crate::chat::{Delta, Effort, Output, Part, Role, ToolChoice};
use crate::dialect::Wire;
use crate::error::{ErrorCode, GatewayError};
use crate::sse::Event;
use crate::task::Conversation;

/// A body that has `fields` beside what every request has.
fn body(fields: Value) -> Vec<u8> {
    let mut body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    body.to_string().into_bytes()
}

fn request(fields: Value) -> Request {
    read(body(fields)).unwrap()
}

#[test]
fn reads_every_field() {
    let request = request(json!({
        "models": ["a:x", "b:y"],
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}},
                   {"type": "text", "text": "Be kind."}],
        "temperature": 0.5, "top_p": 0.9, "top_k": 40, "stop_sequences": ["END"], "stream": true,
        "metadata": {"user_id": "u"}, "thinking": {"type": "enabled", "budget_tokens": 2048},
        "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": {"type": "object"}}},
        "tools": [
            {"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": true},
            {"type": "custom", "name": "g", "input_schema": {"type": "object"}},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 2},
        ],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": true},
        "service_tier": "auto", "container": null,
    }));
    assert_eq!(request.asked.models.as_ref().unwrap(), &["a:x", "b:y"]);
    assert!(request.format == Format::Messages && request.session == Session::None);
    let Conversation { chat, stream, .. } = conversation(request);
    assert!(stream);
    assert_eq!(chat.system().as_deref(), Some("Be brief.\n\nBe kind."));
    let options = &chat.options;
    assert_eq!((options.temperature, options.top_p, options.top_k), (Some(0.5), Some(0.9), Some(40)));
    assert_eq!((options.max_tokens, options.stop.as_slice()), (Some(9), ["END".to_owned()].as_slice()));
    assert_eq!((options.user.as_deref(), options.effort), (Some("u"), Some(Effort::High)));
    assert_eq!(options.thinking_budget, Some(2048));
    assert_eq!(options.tool_choice, Some(ToolChoice::Named("f".into())));
    assert_eq!(options.parallel_tool_calls, Some(false));
    let Output::Schema(schema) = &options.output else { panic!("{:?}", options.output) };
    assert_eq!(schema.schema.get(), r#"{"type":"object"}"#);
    let names: Vec<_> = options.tools.iter().map(|tool| (tool.name.as_str(), tool.strict)).collect();
    assert_eq!(names, [("f", Some(true)), ("g", None)]);
    assert_eq!(options.foreign_tools, ["tools[2] (web_search_20250305)"]);
    assert_eq!(options.unknown, ["service_tier"]);
    let native = chat.native.as_ref().unwrap();
    assert_eq!((native.wire(), native.get("top_k")), (Wire::Anthropic, Some("40")));
    assert!(!chat.is_edited);
}

#[test]
fn thinking_and_tool_choice_have_several_words() {
    for (thinking, effort, budget) in [
        (json!({"type": "adaptive", "display": "summarized"}), None, None),
        (json!({"type": "disabled"}), Some(Effort::None), None),
        (json!({"type": "enabled", "budget_tokens": 1024}), None, Some(1024)),
    ] {
        let options = conversation(request(json!({ "thinking": thinking }))).chat.options;
        assert_eq!((options.effort, options.thinking_budget), (effort, budget));
    }
    for (choice, expected) in [
        (json!({"type": "auto"}), ToolChoice::Auto),
        (json!({"type": "any"}), ToolChoice::Required),
        (json!({"type": "none"}), ToolChoice::None),
    ] {
        let options = conversation(request(json!({ "tool_choice": choice }))).chat.options;
        assert_eq!((options.tool_choice, options.parallel_tool_calls), (Some(expected), None));
    }
}

#[test]
fn reads_messages() {
    let messages = r#"[
        {"role": "system", "content": "s"},
        {"role": "user", "content": [
            {"type": "text", "text": "t"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
            {"type": "image", "source": {"type": "url", "url": "https://x.example/i.png"}},
            {"type": "image", "source": {"type": "file", "file_id": "f"}},
            {"type": "document", "source": {"type": "text", "data": "d"}}
        ]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "eA=="},
            {"type": "text", "text": "I look.", "citations": null},
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"b": 1.0,  "a": [ ]}},
            {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}},
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": "42"},
            {"type": "text", "text": "and?"},
            {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": true, "content": [
                {"type": "text", "text": "no"},
                {"type": "image", "source": {"type": "url", "url": "https://x.example/j.png"}}
            ]},
            {"type": "tool_result", "tool_use_id": "toolu_3", "content": [{"type": "document", "source": {}}]},
            {"type": "tool_result", "tool_use_id": "toolu_4"}
        ]}
    ]"#;
    let body = format!(r#"{{"model":"m","max_tokens":9,"messages":{messages}}}"#);
    let chat = conversation(read(body.into_bytes()).unwrap()).chat;
    insta::assert_debug_snapshot!(chat.messages);
    assert!(!chat.is_edited);
    assert_eq!(chat.native.unwrap().get("messages"), Some(messages));
}

#[test]
fn what_another_provider_said_is_not_passed_on_as_it_is() {
    for (said, is_edited) in [
        (json!({"type": "thinking", "thinking": "hm", "signature": "c2ln"}), false),
        (json!({"type": "thinking", "thinking": "hm", "signature": ""}), true),
        (json!({"type": "tool_use", "id": "call_1", "name": "f", "input": {}}), false),
        (json!({"type": "tool_use", "id": "functions.f:0", "name": "f", "input": {}}), true),
        (
            json!({"type": "tool_use", "id": "call_1", "name": "f", "input": {},
                   "extra_content": {"google": {"thought_signature": "c2ln"}}}),
            true,
        ),
    ] {
        let chat =
            conversation(request(json!({ "messages": [{"role": "assistant", "content": [said.clone()]}] })))
                .chat;
        assert_eq!(chat.is_edited, is_edited, "{said}");
    }
}

#[test]
fn says_what_is_wrong() {
    let said = |block: Value| json!({ "messages": [{"role": "user", "content": [block]}] });
    for (fields, param, message) in [
        (json!({"max_tokens": null}), "max_tokens", "max_tokens is missing"),
        (json!({"max_tokens": 0}), "max_tokens", "max_tokens must be at least 1"),
        (json!({"messages": null}), "messages", "messages is missing"),
        (json!({"messages": []}), "messages", "messages is empty"),
        (json!({"messages": [{"content": "x"}]}), "messages", "messages[0].role is missing"),
        (json!({"messages": [{"role": "tool", "content": "x"}]}), "messages", "messages[0].role is \"tool\""),
        (json!({"messages": [{"role": "user"}]}), "messages", "messages[0].content is missing"),
        (
            json!({"messages": [{"role": "user", "content": 5}]}),
            "messages",
            "messages[0].content: invalid type",
        ),
        (said(json!({"text": "x"})), "messages", "messages[0].content[0].type is missing"),
        (said(json!({"type": "text"})), "messages", "messages[0].content[0].text is missing"),
        (
            said(json!({"type": "image", "source": {"type": "url"}})),
            "messages",
            "messages[0].content[0].source.url is missing",
        ),
        (
            said(json!({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text"}]})),
            "messages",
            "messages[0].content[0].content[0].text is missing",
        ),
        (
            json!({"system": [{"type": "image", "source": {"type": "file"}}]}),
            "system",
            "system[0].type must be text",
        ),
        (json!({"system": 5}), "system", "system: invalid type"),
        (json!({"temperature": "hot"}), "temperature", "temperature: invalid type"),
        (json!({"stop_sequences": "END"}), "stop_sequences", "stop_sequences: invalid type"),
        (json!({"metadata": {"user_id": 5}}), "metadata", "metadata.user_id: invalid type"),
        (json!({"thinking": {"type": "enabled"}}), "thinking", "thinking.budget_tokens is missing"),
        (json!({"thinking": {"type": "hard"}}), "thinking", "thinking.type is \"hard\""),
        (
            json!({"output_config": {"effort": "huge"}}),
            "output_config",
            "output_config.effort: unknown variant",
        ),
        (json!({"output_config": {"format": {}}}), "output_config", "output_config.format.type is missing"),
        (
            json!({"output_config": {"format": {"type": "xml"}}}),
            "output_config",
            "output_config.format.type is \"xml\"",
        ),
        (json!({"tools": [{"description": "d"}]}), "tools", "tools[0].name is missing"),
        (json!({"tool_choice": {"type": "tool"}}), "tool_choice", "tool_choice.name is missing"),
        (json!({"tool_choice": {"type": "maybe"}}), "tool_choice", "tool_choice.type is \"maybe\""),
        (json!({"tool_choice": "auto"}), "tool_choice", "tool_choice: invalid type"),
        (json!({"models": []}), "models", "models is empty"),
    ] {
        let error = read(body(fields)).unwrap_err();
        assert_eq!((error.code, error.param.as_deref()), (ErrorCode::OptionError, Some(param)), "{error}");
        assert!(error.message.starts_with(message), "{} instead of {message}", error.message);
    }
}

#[test]
fn answers_in_the_words_of_messages() {
    insta::assert_snapshot!(written(MessageReply::default));
}

/// The content as a client puts it together, one block at a time.
fn put_together(stream: &str) -> Value {
    let (mut content, mut open, mut input) = (Vec::<Value>::new(), None, String::new());
    for (name, event) in events(stream) {
        assert_eq!(event["type"], name);
        let index = event["index"].as_u64().map(|index| index as usize);
        let last = content.len().saturating_sub(1);
        match name.as_str() {
            "content_block_start" => {
                assert_eq!((open, index), (None, Some(content.len())));
                open = index;
                content.push(event["content_block"].clone());
                input.clear();
            }
            "content_block_delta" => {
                assert_eq!(index, open, "not the block that is open");
                let (block, delta) = (&mut content[last], &event["delta"]);
                for field in ["text", "thinking", "signature"] {
                    if let Some(more) = delta[field].as_str() {
                        block[field] = format!("{}{more}", block[field].as_str().unwrap()).into();
                    }
                }
                input.push_str(delta["partial_json"].as_str().unwrap_or_default());
            }
            "content_block_stop" => {
                assert_eq!(index, open.take());
                if content[last]["type"] == "tool_use" {
                    content[last]["input"] = serde_json::from_str(&input).unwrap();
                }
            }
            _ => assert_eq!(open, None),
        }
    }
    content.into()
}

#[test]
fn a_stream_says_what_the_whole_says() {
    for answer in answers() {
        let whole: Value = serde_json::from_str(&whole(&MessageReply::default(), &answer)).unwrap();
        let stream = stream(&mut MessageReply::default(), &answer);
        assert_eq!(put_together(&stream), whole["content"], "{}", answer.name);
    }
}

#[test]
fn arguments_that_are_no_object_become_one() {
    let call = Delta::ToolCall { index: 0, id: "a".into(), name: "f".into(), signature: None };
    let deltas = [call, Delta::Arguments { index: 0, json: "so".into() }];
    let mut reply = MessageReply::default();
    let mut out = Vec::new();
    for delta in &deltas {
        let event = Event { name: b"", data: b"{}", ..Event::default() };
        reply.event(&about(), event, std::slice::from_ref(delta), Source::Foreign, &mut out);
    }
    reply.end(&about(), &answers()[2].answer(), &mut out);
    let content = put_together(&String::from_utf8(out).unwrap());
    assert_eq!(content[0]["input"], json!({"arguments": "so"}));
}

#[test]
fn events_of_the_same_format_are_passed_on() {
    let provider: [(&[u8], &str); 6] = [
        (b"message_start", r#"{"type":"message_start","message":{"id":"msg_1"}}"#),
        (b"ping", r#"{"type": "ping"}"#),
        (b"", r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}}"#),
        (b"message_delta", r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#),
        (b"message_stop", r#"{"type":"message_stop"}"#),
        (b"ping", r#"{"type": "ping"}"#),
    ];
    let mut out = Vec::new();
    let mut reply = MessageReply::default();
    for (name, data) in provider {
        let event = Event { name, data: data.as_bytes(), ..Event::default() };
        reply.event(&about(), event, &[Delta::Text("x".into())], Source::Native, &mut out);
    }
    let answer = answers()[0].answer();
    reply.end(&about(), &answer, &mut out);
    let expected: String = provider
        .iter()
        .map(|(name, data)| {
            let name = if name.is_empty() { b"content_block_delta" } else { *name };
            format!("event: {}\ndata: {data}\n\n", String::from_utf8_lossy(name))
        })
        .collect();
    assert_eq!(String::from_utf8(out).unwrap(), expected);
    assert_eq!(reply.whole(&about(), &answer, Source::Native, b"{}"), Whole::Native);
    // Without its last event the stream would have no end.
    let mut reply = MessageReply::default();
    let mut out = Vec::new();
    let event = Event { name: b"message_delta", data: b"{\"type\":\"message_delta\"}", ..Event::default() };
    reply.event(&about(), event, &[], Source::Native, &mut out);
    reply.end(&about(), &answer, &mut out);
    assert!(out.ends_with(b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"));
}

#[test]
fn another_attempt_begins_anew() {
    let mut reply = MessageReply::default();
    let mut lost = Vec::new();
    let event = Event { name: b"message_start", data: b"{\"type\":\"message_start\"}", ..Event::default() };
    reply.event(&about(), event, &[], Source::Native, &mut lost);
    reply.restart();
    let answer = &answers()[0];
    assert_eq!(stream(&mut reply, answer), stream(&mut MessageReply::default(), answer));
    reply.restart();
    assert_eq!(stream(&mut reply, answer), stream(&mut MessageReply::default(), answer));
}

#[test]
fn errors_are_anthropics() {
    let error = GatewayError::new(ErrorCode::ProviderRateLimitError, "slow down");
    let body = r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}"#;
    assert_eq!(String::from_utf8(errors::body(Format::Messages, &error)).unwrap(), body);
    let mut out = Vec::new();
    MessageReply::default().error(&error, &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), format!("event: error\ndata: {body}\n\n"));
    for (code, word) in [
        (ErrorCode::OptionError, "invalid_request_error"),
        (ErrorCode::Unauthorized, "authentication_error"),
        (ErrorCode::ModelNotFound, "not_found_error"),
        (ErrorCode::RequestTooLarge, "request_too_large"),
        (ErrorCode::ProviderExceededQuotaError, "billing_error"),
        (ErrorCode::ProviderNoModelsAvailableError, "overloaded_error"),
        (ErrorCode::ProviderRequestTimeoutError, "timeout_error"),
        (ErrorCode::ProviderResponseError, "api_error"),
    ] {
        let body = errors::body(Format::Messages, &GatewayError::new(code, "x"));
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["error"]["type"], word);
    }
}

#[test]
fn what_was_answered_reads_back() {
    for answer in answers() {
        // The text itself: arguments are the same to the byte.
        let whole = whole(&MessageReply::default(), &answer);
        let message: HashMap<String, &RawValue> = serde_json::from_str(&whole).unwrap();
        let messages = format!(r#"[{{"role":"assistant","content":{}}}]"#, message["content"]);
        let body = format!(r#"{{"max_tokens":9,"messages":{messages}}}"#);
        let chat = conversation(read(body.into_bytes()).unwrap()).chat;
        // There is no word for a refusal beside its text.
        let said = answer.answer().parts.into_iter().map(|part| match part {
            Part::Refusal(text) => Part::Text(text),
            part => part,
        });
        let [message] = chat.messages.as_slice() else { panic!("{:?}", chat.messages) };
        assert_eq!((message.role, &message.parts), (Role::Assistant, &said.collect()), "{}", answer.name);
    }
}

#[test]
fn what_a_provider_cannot_do_is_named_in_the_words_of_the_client() {
    let chat = request(
        json!({"stop_sequences": ["x"], "output_config": {"effort": "low"}, "metadata": {"user_id": "u"}}),
    );
    let chat = conversation(chat).chat;
    let named: Vec<&str> = chat.features().into_iter().map(|feature| chat.words.field(feature)).collect();
    assert_eq!(named, ["stop_sequences", "metadata.user_id", "output_config.effort"]);
}

#[test]
fn results_within_results_are_not_read_however_deep_they_are() {
    // Each would be read by one more call, over all that is left of the body.
    const DEPTH: usize = 20_000;
    let open = r#"[{"type":"tool_result","tool_use_id":"a","content":"#.repeat(DEPTH);
    let close = "}]".repeat(DEPTH);
    let body = format!(
        r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":{open}"x"{close}}}]}}"#
    );
    let request = read(body.into_bytes()).unwrap();
    let chat = conversation(request).chat;
    assert!(
        matches!(chat.messages[0].parts.as_slice(), [Part::Foreign(foreign)] if foreign.kind.contains("tool_result"))
    );
}
