//! What clients of chat completions get of services that keep to the format only nearly.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::answer::{StreamReader, read_whole};
use crate::api::{self, About, Format, Source, Whole};

const ABOUT: About<'static> = About { id: Uuid::nil(), created_secs: 0, model: "m", ids: None, stored: None };

const REQUEST: &str = r#"{"model": "m", "stream": true, "messages": [{"role": "user", "content": "p"}]}"#;

fn source(name: DialectName) -> Source {
    if dialect(name).is_exact() { Source::Native } else { Source::NearlyNative }
}

/// The chunks that the client gets for the data of a stream, without the last `[DONE]`.
fn chunks(name: DialectName, data: &[Value]) -> Vec<Value> {
    let mut reply =
        api::read(Format::ChatCompletions, REQUEST.into()).unwrap().task.into_conversation().reply;
    let mut reader = StreamReader::new(dialect(name), 1 << 16);
    let mut out = Vec::new();
    for data in data {
        let event = format!("data: {data}\n\n");
        let write = |event: Event<'_>, deltas: &[Delta<'_>]| {
            reply.event(&ABOUT, event, deltas, source(name), &mut out)
        };
        reader.read(event.as_bytes(), write).unwrap();
    }
    let finish = reader.finish(|_, _| ()).unwrap();
    reply.end(&ABOUT, &Answer { parts: Vec::new(), finish, usage: None }, &mut out);
    let out = String::from_utf8(out).unwrap();
    let lines = out.lines().filter_map(|line| line.strip_prefix("data: "));
    lines.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

/// Calls by their number, and the finish reasons, as a client puts them together that trusts every chunk.
fn put_together(chunks: &[Value]) -> (BTreeMap<u64, (String, String)>, Vec<&str>) {
    let mut calls: BTreeMap<u64, (String, String)> = BTreeMap::new();
    for call in
        chunks.iter().flat_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"].as_array()).flatten()
    {
        let (id, arguments) = calls.entry(call["index"].as_u64().unwrap()).or_default();
        id.push_str(call["id"].as_str().unwrap_or_default());
        arguments.push_str(call["function"]["arguments"].as_str().unwrap_or_default());
    }
    let finishes = chunks.iter().filter_map(|chunk| chunk["choices"][0]["finish_reason"].as_str()).collect();
    (calls, finishes)
}

fn call(index: Value, id: &str, arguments: Value) -> Value {
    json!({"index": index, "id": id, "type": "function", "function": {"name": "f", "arguments": arguments}})
}

fn chunk(delta: Value, finish: Value) -> Value {
    json!({"id": "c", "system_fingerprint": "fp", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
}

#[test]
fn calls_are_numbered_and_end_as_such() {
    let one = || json!({"role": "assistant", "tool_calls": [call(json!(0), "a", json!("{\"x\":1}"))]});
    let other = || json!({"tool_calls": [call(json!(0), "b", json!("{}"))]});
    let unnumbered = json!({"tool_calls": [
        call(Value::Null, "a", json!("{\"x\":1}")),
        call(Value::Null, "b", json!({})),
    ]});
    for (name, stream) in [
        (
            DialectName::Ollama,
            vec![
                chunk(one(), Value::Null),
                chunk(other(), Value::Null),
                chunk(json!({"content": ""}), json!("stop")),
            ],
        ),
        (DialectName::Mistral, vec![chunk(unnumbered.clone(), json!("tool_calls"))]),
        (DialectName::Compatible, vec![chunk(unnumbered, json!("")), chunk(json!({}), json!("stop"))]),
    ] {
        let chunks = chunks(name, &stream);
        let (calls, finishes) = put_together(&chunks);
        let expected =
            [(0, ("a".to_owned(), "{\"x\":1}".to_owned())), (1, ("b".to_owned(), "{}".to_owned()))];
        assert_eq!((calls, finishes), (expected.into(), vec!["tool_calls"]), "{name:?}");
        assert!(chunks.iter().all(|chunk| chunk["system_fingerprint"] == "fp"), "{name:?}");
    }
}

#[test]
fn a_list_of_content_becomes_a_text() {
    let content = json!([{"type": "text", "text": "o"}, {"type": "text", "text": "k"}]);
    let chunks = chunks(DialectName::Mistral, &[chunk(json!({ "content": content }), json!("stop"))]);
    assert_eq!(chunks[0]["choices"][0]["delta"], json!({"role": "assistant", "content": "ok"}));
}

#[test]
fn whole_answers_are_mended_too() {
    let reply = api::read(Format::ChatCompletions, REQUEST.into()).unwrap().task.into_conversation().reply;
    let thinking = json!([
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "ok"},
    ]);
    for (name, message, finish, content, word) in [
        (DialectName::Mistral, json!({ "content": thinking }), "stop", "ok", "stop"),
        (DialectName::Together, json!({"content": "ok"}), "eos", "ok", "stop"),
        (
            DialectName::Ollama,
            json!({"content": "ok", "tool_calls": [call(json!(0), "a", json!("{}"))]}),
            "stop",
            "ok",
            "tool_calls",
        ),
    ] {
        let body = json!({"kept": 1, "choices": [{"index": 0, "message": message, "finish_reason": finish}]});
        let body = body.to_string().into_bytes();
        let answer = read_whole(dialect(name), &body).unwrap();
        let Whole::Written(mended) = reply.whole(&ABOUT, &answer, source(name), &body) else {
            panic!("{name:?} is passed on as it is");
        };
        let mended: Value = serde_json::from_slice(&mended).unwrap();
        let choice = &mended["choices"][0];
        let read = (&mended["kept"], &choice["message"]["content"], &choice["finish_reason"]);
        assert_eq!(read, (&json!(1), &json!(content), &json!(word)), "{name:?}");
    }
}

#[test]
fn an_answer_of_another_kind_is_one() {
    for message in [
        json!({"content": null, "audio": {"id": "a", "data": "UklGRg=="}}),
        json!({"content": null, "function_call": {"name": "f", "arguments": "{}"}}),
    ] {
        let body =
            json!({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).to_string();
        let answer = crate::answer::read_whole(dialect(DialectName::Openai), body.as_bytes()).unwrap();
        let reply =
            api::read(Format::ChatCompletions, REQUEST.into()).unwrap().task.into_conversation().reply;
        assert_eq!(reply.whole(&ABOUT, &answer, Source::Native, body.as_bytes()), Whole::Native);
    }
}

#[test]
fn what_keeps_to_the_format_passes_as_it_is() {
    for name in [
        DialectName::Openai,
        DialectName::Azure,
        DialectName::Deepseek,
        DialectName::Groq,
        DialectName::Xai,
        DialectName::Openrouter,
        DialectName::Fireworks,
        DialectName::Cerebras,
        DialectName::Vllm,
        DialectName::Llamacpp,
    ] {
        assert!(dialect(name).is_exact(), "{name:?}");
    }
    let body = br#"{ "choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}] }"#;
    let answer = read_whole(dialect(DialectName::Vllm), body).unwrap();
    let reply = api::read(Format::ChatCompletions, REQUEST.into()).unwrap().task.into_conversation().reply;
    assert_eq!(reply.whole(&ABOUT, &answer, source(DialectName::Vllm), body), Whole::Native);
}
