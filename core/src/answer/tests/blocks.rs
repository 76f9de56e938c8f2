//! Streams of answers that are made of blocks: Anthropic's and Bedrock's.

use super::*;
use crate::chat::{Reasoning, ToolCall};
use crate::event_stream::tests::{event, exception};

const START: &str = "event: message_start\n\
    data: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[],\"stop_reason\":null,\"usage\":{\"input_tokens\":5,\"cache_creation_input_tokens\":2,\"cache_read_input_tokens\":3,\"output_tokens\":1}}}\n\n";

pub(super) const ANTHROPIC: &[Sample] = &[
    (
        "anthropic: thoughts, text and parallel tools, with pings and what nobody knows yet",
        DialectName::Anthropic,
        "event: ping\ndata: {\"type\":\"ping\"}\n\n\
         event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"content\":[],\"stop_reason\":null,\"usage\":{\"input_tokens\":5,\"cache_creation_input_tokens\":2,\"cache_read_input_tokens\":3,\"output_tokens\":1}}}\n\n\
         event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}}\n\n\
         event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"hm \\u4e16\"}}\n\n\
         event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"c2ln\"}}\n\n\
         event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n\
         event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"redacted_thinking\",\"data\":\"AAAA\"}}\n\n\
         event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n\
         event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":2,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n\
         event: ping\ndata: {\"type\":\"ping\"}\n\n\
         event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"type\":\"text_delta\",\"text\":\"I l\\u00f6ok \\\"\"}}\n\n\
         event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"type\":\"citations_delta\",\"citation\":{}}}\n\n\
         event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"type\":\"text_delta\",\"text\":\"世\"}}\n\n\
         event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":2}\n\n\
         event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":3,\"content_block\":{\"type\":\"server_tool_use\",\"id\":\"srv\",\"name\":\"web_search\",\"input\":{}}}\n\n\
         event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":3,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{}\"}}\n\n\
         event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":3}\n\n\
         event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":4,\"content_block\":{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"look\",\"input\":{}}}\n\n\
         event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":4,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"\"}}\n\n\
         event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":4,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"at\\\": \"}}\n\n\
         event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":4,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"\\\"\\u00e9\\\"}\"}}\n\n\
         event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":4}\n\n\
         event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":5,\"content_block\":{\"type\":\"tool_use\",\"id\":\"toolu_2\",\"name\":\"now\",\"input\":{}}}\n\n\
         event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":5,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"\"}}\n\n\
         event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":5}\n\n\
         event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\",\"stop_sequence\":null},\"usage\":{\"input_tokens\":null,\"output_tokens\":9,\"output_tokens_details\":{\"thinking_tokens\":4}}}\n\n\
         event: some_day\ndata: {\"type\":\"some_day\"}\n\n\
         event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        "I löok \"世",
        Ok(Finish::ToolCalls),
    ),
    (
        "anthropic: without names of events, and a limit",
        DialectName::Anthropic,
        "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"cut\"}}\r\n\r\n\
         data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"max_tokens\"},\"usage\":{\"output_tokens\":1}}\r\n\r\n\
         data: {\"type\":\"message_stop\"}",
        "cut",
        Ok(Finish::Length),
    ),
    (
        "anthropic: an error before anything else",
        DialectName::Anthropic,
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n",
        "",
        Err(FailureKind::ServerError),
    ),
    (
        "anthropic: an error after text",
        DialectName::Anthropic,
        "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\n\
         event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"x\"}}\n\n",
        "a",
        Err(FailureKind::RateLimited),
    ),
    (
        "anthropic: an end without a reason",
        DialectName::Anthropic,
        "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\n",
        "a",
        Err(FailureKind::Cut),
    ),
    (
        "anthropic: a refusal",
        DialectName::Anthropic,
        "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"refusal\"},\"usage\":{\"output_tokens\":1}}\n\n",
        "",
        Ok(Finish::ContentFilter),
    ),
];

type BinarySample = (&'static str, DialectName, Vec<u8>, &'static str, Result<Finish, FailureKind>);

fn bedrock_of_parts() -> Vec<u8> {
    [
        event("messageStart", r#"{"role":"assistant","p":"abc"}"#),
        event("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"hm 世"}}}"#),
        event("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"c2ln"}}}"#),
        event("contentBlockStop", r#"{"contentBlockIndex":0}"#),
        event("contentBlockDelta", r#"{"contentBlockIndex":1,"delta":{"reasoningContent":{"redactedContent":"AAAA"}}}"#),
        event("contentBlockStop", r#"{"contentBlockIndex":1}"#),
        event("contentBlockDelta", r#"{"contentBlockIndex":2,"delta":{"text":"I l\u00f6ok \""}}"#),
        event("contentBlockDelta", r#"{"contentBlockIndex":2,"delta":{"text":"世"}}"#),
        event("contentBlockStop", r#"{"contentBlockIndex":2}"#),
        event("someDay", r#"{"contentBlockIndex":3}"#),
        event("contentBlockStart", r#"{"contentBlockIndex":4,"start":{"toolUse":{"toolUseId":"toolu_1","name":"look"}}}"#),
        event("contentBlockDelta", r#"{"contentBlockIndex":4,"delta":{"toolUse":{"input":""}}}"#),
        event("contentBlockDelta", r#"{"contentBlockIndex":4,"delta":{"toolUse":{"input":"{\"at\": "}}}"#),
        event("contentBlockDelta", r#"{"contentBlockIndex":4,"delta":{"toolUse":{"input":"\"é\"}"}}}"#),
        event("contentBlockStop", r#"{"contentBlockIndex":4}"#),
        event("contentBlockStart", r#"{"contentBlockIndex":5,"start":{"toolUse":{"toolUseId":"toolu_2","name":"now"}}}"#),
        event("contentBlockStop", r#"{"contentBlockIndex":5}"#),
        event("messageStop", r#"{"stopReason":"tool_use"}"#),
        event("metadata", r#"{"usage":{"inputTokens":5,"outputTokens":9,"totalTokens":19,"cacheReadInputTokens":3,"cacheWriteInputTokens":2},"metrics":{"latencyMs":1}}"#),
    ]
    .concat()
}

pub(super) fn bedrock() -> Vec<BinarySample> {
    let text = event("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":"a"}}"#);
    let stop = event("messageStop", r#"{"stopReason":"end_turn"}"#);
    let slow = exception("throttlingException", r#"{"message":"slow down"}"#);
    let of_model = exception("modelStreamErrorException", r#"{"message":"x","originalStatusCode":429}"#);
    let mut damaged = [text.clone(), stop.clone()].concat();
    if let Some(last) = damaged.last_mut() {
        *last ^= 1;
    }
    let sample = |name, input: &[&[u8]], text, end| (name, DialectName::Bedrock, input.concat(), text, end);
    vec![
        sample(
            "bedrock: thoughts, text and parallel tools",
            &[&bedrock_of_parts()],
            "I löok \"世",
            Ok(Finish::ToolCalls),
        ),
        sample("bedrock: text", &[&text, &stop], "a", Ok(Finish::Stop)),
        sample("bedrock: an exception before any content", &[&slow], "", Err(FailureKind::RateLimited)),
        sample(
            "bedrock: an exception after content",
            &[&text, &of_model],
            "a",
            Err(FailureKind::RateLimited),
        ),
        sample(
            "bedrock: an exception without a word",
            &[&exception("internalServerException", "")],
            "",
            Err(FailureKind::ServerError),
        ),
        sample("bedrock: damage", &[&damaged], "a", Err(FailureKind::Malformed)),
        sample("bedrock: the end within a message", &[&text, &stop[..20]], "a", Err(FailureKind::Cut)),
        sample("bedrock: an end without a reason", &[&text], "a", Err(FailureKind::Cut)),
    ]
}

#[test]
fn thoughts_text_and_calls_are_put_together() {
    let call = |id: &str, name: &str, arguments: &str| {
        Part::ToolCall(ToolCall {
            id: id.into(),
            name: name.into(),
            arguments: arguments.into(),
            signature: None,
        })
    };
    let expected = vec![
        Part::Reasoning(Reasoning { text: "hm 世".into(), signature: Some("c2ln".into()), redacted: None }),
        Part::Reasoning(Reasoning { redacted: Some("AAAA".into()), ..Reasoning::default() }),
        Part::Text("I löok \"世".into()),
        call("toolu_1", "look", r#"{"at": "é"}"#),
        call("toolu_2", "now", "{}"),
    ];
    assert_eq!(read(DialectName::Anthropic, &[ANTHROPIC[0].2.as_bytes()]).0, expected);
    assert_eq!(read(DialectName::Bedrock, &[&bedrock_of_parts()]).0, expected);
}

#[test]
fn a_call_without_arguments_gets_the_empty_object_as_its_block_ends() {
    let mut seen = Vec::new();
    let mut reader = StreamReader::new(dialect(DialectName::Anthropic), LIMIT);
    let note = |_: Event<'_>, deltas: &[Delta<'_>]| {
        seen.extend(deltas.iter().filter_map(|delta| match delta {
            Delta::ToolCall { index, name, .. } => Some(format!("{index} {name}")),
            Delta::Arguments { index, json } => Some(format!("{index} {json}")),
            _ => None,
        }));
    };
    reader.read(ANTHROPIC[0].2.as_bytes(), note).unwrap();
    assert_eq!(seen, ["0 look", "0 {\"at\": ", "0 \"é\"}", "1 now", "1 {}"]);
}

#[test]
fn tokens_are_those_of_the_last_event_that_tells_them() {
    let usage = |name, input: &[u8]| {
        let mut reader = StreamReader::new(dialect(name), LIMIT);
        reader.read(input, |_, _| ()).unwrap();
        reader.usage().unwrap()
    };
    let all = Usage { input: 10, output: 9, cached: 3, cache_write: 2, reasoning: 0 };
    assert_eq!(usage(DialectName::Anthropic, ANTHROPIC[0].2.as_bytes()), Usage { reasoning: 4, ..all });
    assert_eq!(usage(DialectName::Bedrock, &bedrock_of_parts()), all);
    assert_eq!(usage(DialectName::Anthropic, START.as_bytes()), Usage { output: 1, ..all });
}
