//! Requests and answers of Responses.

use serde_json::{Value, json};
use uuid::Uuid;

use super::echo::Echo;
use super::read;
use super::reply::ResponseReply;
use super::response_id;
use crate::api::testing::{about, answers, conversation, events, stream, whole, written};
use crate::api::{About, Format, Reply, Request, Session, Source};
use crate::chat::{Delta, Effort, Output, Role, ToolChoice};
use crate::error::{ErrorCode, GatewayError};
use crate::sse::Event;
use crate::task::Conversation;

/// A body that has `fields` beside what every request has.
fn body(fields: Value) -> Vec<u8> {
    let mut body = json!({"model": "m", "input": "hi"});
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    body.to_string().into_bytes()
}

fn request(fields: Value) -> Request {
    read(body(fields)).unwrap()
}

fn reply() -> ResponseReply {
    ResponseReply::new(Echo::default())
}

/// Every field with a meaning, and some without.
fn full() -> Value {
    json!({
        "models": ["a:x"], "stream": true, "instructions": "Be brief.",
        "max_output_tokens": 99, "temperature": 0.5, "top_p": 0.9, "parallel_tool_calls": false,
        "user": "u", "safety_identifier": "s", "metadata": {"k": "v"}, "truncation": "auto",
        "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"verbosity": "low", "format": {
            "type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": true}},
        "tools": [
            {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": true},
            {"type": "web_search"},
        ],
        "tool_choice": {"type": "function", "name": "f"},
        "include": ["reasoning.encrypted_content"], "service_tier": "auto", "prompt_cache_key": "k",
        "stream_options": {"include_obfuscation": false}, "top_logprobs": 2, "max_tool_calls": 3,
    })
}

#[test]
fn reads_every_field() {
    let request = request(full());
    assert!(request.format == Format::Responses && request.session == Session::New);
    assert_eq!(request.asked.models.as_ref().unwrap(), &["a:x"]);
    let Conversation { chat, stream, .. } = conversation(request);
    assert!(stream);
    assert_eq!(chat.system().as_deref(), Some("Be brief."));
    let options = &chat.options;
    assert_eq!((options.temperature, options.top_p, options.max_tokens), (Some(0.5), Some(0.9), Some(99)));
    assert_eq!((options.parallel_tool_calls, options.user.as_deref()), (Some(false), Some("s")));
    assert_eq!(options.effort, Some(Effort::Low));
    assert!(
        matches!(&options.output, Output::Schema(schema) if schema.name == "n" && schema.strict == Some(true))
    );
    assert_eq!(
        (options.tools.len(), options.foreign_tools.as_slice()),
        (1, ["tools[1] (web_search)".to_owned()].as_slice())
    );
    assert_eq!(options.tool_choice, Some(ToolChoice::Named("f".into())));
    let mut unknown = options.unknown.clone();
    unknown.sort();
    assert_eq!(unknown, ["max_tool_calls", "top_logprobs"]);
    assert_eq!(chat.unread, ["text.verbosity"]);
}

#[test]
fn a_response_says_again_what_was_asked() {
    let asked = conversation(request(full()));
    insta::assert_snapshot!(whole(asked.reply.as_ref(), &answers()[0]));
}

#[test]
fn reads_items() {
    let input = json!([
        {"role": "developer", "content": "d"},
        {"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": "t"},
            {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "low"},
            {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="},
        ]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "a"},
            {"type": "summary_text", "text": "b"}], "encrypted_content": "signature:c2ln"},
        {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "redacted:eA=="},
        {"type": "reasoning", "id": "rs_3", "summary": [], "encrypted_content": "gAAAA"},
        {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [
            {"type": "output_text", "text": "o", "annotations": []}, {"type": "refusal", "refusal": "r"}]},
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{ \"a\": 1.0 }",
            "extra_content": {"google": {"thought_signature": "c2ln"}}},
        {"type": "function_call", "call_id": "c2", "name": "g", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "42"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "43"}]},
        {"role": "user", "content": "go on"},
    ]);
    insta::assert_debug_snapshot!(conversation(request(json!({ "input": input }))).chat.messages);
}

#[test]
fn says_what_is_wrong() {
    let item = |item: Value| json!({ "input": [item] });
    let part = |part: Value| json!({ "input": [{"role": "user", "content": [part]}] });
    for (fields, param, message) in [
        (json!({"input": null}), "input", "input is missing"),
        (json!({"input": []}), "input", "input is empty"),
        (json!({"input": 5}), "input", "input: invalid type"),
        (item(json!({"role": "tool", "content": "x"})), "input", "input[0].role is \"tool\""),
        (item(json!({"role": "user"})), "input", "input[0].content is missing"),
        (item(json!({"type": "item_reference", "id": "x"})), "input", "input[0].type is \"item_reference\""),
        (item(json!({"type": "function_call", "name": "f"})), "input", "input[0].call_id is missing"),
        (
            item(json!({"type": "function_call_output", "call_id": "c"})),
            "input",
            "input[0].output is missing",
        ),
        (part(json!({"type": "input_text"})), "input", "input[0].content[0].text is missing"),
        (
            part(json!({"type": "input_image", "file_id": "f"})),
            "input",
            "input[0].content[0].file_id is not supported",
        ),
        (
            part(json!({"type": "input_file", "file_url": "u"})),
            "input",
            "input[0].content[0].file_url is not supported",
        ),
        (part(json!({"type": "hologram"})), "input", "input[0].content[0].type is \"hologram\""),
        (json!({"max_output_tokens": 0}), "max_output_tokens", "max_output_tokens must be at least 1"),
        (json!({"temperature": "hot"}), "temperature", "temperature: invalid type"),
        (json!({"reasoning": {"effort": "huge"}}), "reasoning", "reasoning.effort: unknown variant"),
        (json!({"reasoning": 5}), "reasoning", "reasoning: invalid type"),
        (json!({"text": {"format": {"type": "xml"}}}), "text", "text.format.type is \"xml\""),
        (
            json!({"text": {"format": {"type": "json_schema", "name": "n"}}}),
            "text",
            "text.format.schema is missing",
        ),
        (json!({"tools": [{"type": "function"}]}), "tools", "tools[0].name is missing"),
        (json!({"tool_choice": "maybe"}), "tool_choice", "tool_choice is \"maybe\""),
        (json!({"tool_choice": {"type": "mcp"}}), "tool_choice", "tool_choice.type is \"mcp\""),
        (json!({"conversation": "conv_1"}), "conversation", "conversation is not supported"),
        (json!({"prompt": {"id": "p"}}), "prompt", "prompt is not supported"),
        (json!({"background": true}), "background", "background: true is not supported"),
        (
            json!({"previous_response_id": "resp_00000000000000000000000000000007"}),
            "previous_response_id",
            "previous_response_id is unknown",
        ),
    ] {
        let error = read(body(fields)).unwrap_err();
        assert_eq!((error.code, error.param.as_deref()), (ErrorCode::OptionError, Some(param)), "{error}");
        assert!(error.message.starts_with(message), "{} instead of {message}", error.message);
    }
    assert!(read(body(json!({"background": false}))).is_ok());
}

#[test]
fn a_response_goes_on_from_the_one_its_id_names() {
    let id = response_id::of(&about());
    let (session, turn) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let after = Some(turn);
    for (fields, expected) in [
        (json!({}), Session::New),
        (json!({"store": true}), Session::New),
        (json!({"store": false}), Session::None),
        (json!({"previous_response_id": id}), Session::Continue { id: session, after }),
        (json!({"previous_response_id": id, "store": false}), Session::Recall { id: session, after }),
    ] {
        let mut request = request(fields);
        assert_eq!(request.session, expected);
        request.enter(b"00000000-0000-0000-0000-000000000009").unwrap();
        let of_header = Session::Continue { id: Uuid::from_u128(9), after: None };
        let goes_on = expected.remembered().is_some();
        assert_eq!(request.session, if goes_on { expected } else { of_header });
        let param = goes_on.then_some("previous_response_id");
        for error in [request.session_unknown(), request.sessions_off()] {
            assert_eq!((error.code, error.param.as_deref()), (ErrorCode::OptionError, param), "{error}");
        }
    }
    // A response that nobody remembers cannot be gone on from.
    assert_eq!(response_id::parse(&response_id::of(&About { ids: None, ..about() })), None);
    assert_eq!(response_id::parse(&format!("resp_{}é", "0".repeat(62))), None);
}

#[test]
fn answers_in_the_words_of_responses() {
    insta::assert_snapshot!(written(reply));
}

#[test]
fn a_stream_says_what_the_whole_says() {
    for answer in answers() {
        let whole: Value = serde_json::from_str(&whole(&reply(), &answer)).unwrap();
        let events = events(&stream(&mut reply(), &answer));
        let mut done = Vec::new();
        let mut said: Vec<String> = Vec::new();
        for (number, (name, event)) in events.iter().enumerate() {
            assert_eq!(
                (event["type"].as_str(), event["sequence_number"].as_u64()),
                (Some(name.as_str()), Some(number as u64))
            );
            let index = event["output_index"].as_u64().unwrap_or_default() as usize;
            match name.as_str() {
                "response.output_item.added" => {
                    assert_eq!((index, &event["item"]["status"]), (said.len(), &json!("in_progress")));
                    said.push(String::new());
                }
                "response.output_item.done" => done.push((index, event["item"].clone())),
                name if name.ends_with(".delta") => said[index].push_str(event["delta"].as_str().unwrap()),
                _ => {}
            }
        }
        done.sort_by_key(|(index, _)| *index);
        let done: Vec<Value> = done.into_iter().map(|(_, item)| item).collect();
        for (item, said) in done.iter().zip(&said) {
            let text = match item["type"].as_str().unwrap() {
                "message" => item["content"][0]["text"].as_str().or(item["content"][0]["refusal"].as_str()),
                "function_call" => item["arguments"].as_str(),
                _ => item["summary"][0]["text"].as_str(),
            };
            assert_eq!(text.unwrap_or_default(), said, "{item}");
        }
        let (_, last) = events.last().unwrap();
        assert_eq!(last["response"]["output"], Value::from(done));
        assert_eq!(last["response"], whole, "{}", answer.name);
    }
}

#[test]
fn a_stream_that_fails_says_so_twice() {
    let mut reply = reply();
    let mut out = Vec::new();
    let event = Event { name: b"", data: b"{}", ..Event::default() };
    reply.event(&about(), event, &[Delta::Text("Once".into())], Source::Foreign, &mut out);
    out.clear();
    reply.error(&GatewayError::new(ErrorCode::ProviderRequestStreamTimeoutError, "paused"), &mut out);
    insta::assert_snapshot!(String::from_utf8(out).unwrap());
}

#[test]
fn another_attempt_begins_anew() {
    let mut again = reply();
    let answer = &answers()[1];
    let first = stream(&mut again, answer);
    again.restart();
    assert_eq!(stream(&mut again, answer), first);
}

#[test]
fn what_was_answered_reads_back() {
    for answer in answers().into_iter().filter(|answer| !answer.deltas.is_empty()) {
        let whole: Value = serde_json::from_str(&whole(&reply(), &answer)).unwrap();
        let chat = conversation(request(json!({ "input": whole["output"] }))).chat;
        let [message] = chat.messages.as_slice() else { panic!("{:?}", chat.messages) };
        assert_eq!(
            (message.role, &message.parts),
            (Role::Assistant, &answer.answer().parts),
            "{}",
            answer.name
        );
    }
}

#[test]
fn what_a_provider_cannot_do_is_named_in_the_words_of_the_client() {
    let content = |part: &str| json!([{"role": "user", "content": [{"type": part, "image_url": "data:image/png;base64,aGk="}]}]);
    for (fields, field) in [
        (json!({"reasoning": {"effort": "low"}}), "reasoning.effort"),
        (json!({"text": {"format": {"type": "json_object"}}}), "text.format"),
        (json!({"input": content("input_image")}), "input.image"),
    ] {
        let chat = conversation(request(fields)).chat;
        let named: Vec<&str> = chat.features().into_iter().map(|feature| chat.words.field(feature)).collect();
        assert_eq!(named, [field]);
    }
}
