//! Streams of every dialect, cut at every byte.

mod blocks;

use proptest::prelude::*;

use super::*;
use crate::chat::{Collector, Message, Part, Role};
use crate::config::DialectName;
use crate::dialect::dialect;

const LIMIT: usize = 4_096;

/// What was said, and the end.
type Read = (Vec<Part>, Result<Finish, Failure>);

fn read(name: DialectName, pieces: &[&[u8]]) -> Read {
    let mut reader = StreamReader::new(dialect(name), LIMIT);
    let mut said = Collector::default();
    let mut take = |_: Event<'_>, deltas: &[Delta<'_>]| deltas.iter().for_each(|delta| said.add(delta));
    let mut end = pieces.iter().try_for_each(|piece| reader.read(piece, &mut take)).map(|()| Finish::Other);
    if end.is_ok() {
        end = reader.finish(&mut take);
    }
    (said.into_parts(), end)
}

fn text_of(parts: Vec<Part>) -> String {
    Message { role: Role::Assistant, parts, name: None }.text().into_owned()
}

/// Name, dialect, what the provider sends, the text in it, and how it ends.
type Sample = (&'static str, DialectName, &'static str, &'static str, Result<Finish, FailureKind>);

/// Streams as providers send them.
const STREAMS: &[Sample] = &[
    (
        "openai, as recorded",
        DialectName::Openai,
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null},\"finish_reason\":null}],\"usage\":null,\"obfuscation\":\"x\"}\n\n\
         data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hé 世\"},\"finish_reason\":null}]}\n\n\
         data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\" \\ud83e\\udd80\"},\"finish_reason\":null}]}\n\n\
         data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
         data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n",
        "Hé 世 🦀",
        Ok(Finish::Stop),
    ),
    (
        "deepseek, with keep-alive comments and reasoning",
        DialectName::Deepseek,
        ": keep-alive\n\n: keep-alive\n\ndata: {\"choices\":[{\"delta\":{\"content\":null,\"reasoning_content\":\"hm\"}}]}\n\n\
         data: {\"choices\":[{\"delta\":{\"content\":\"ok\"},\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\ndata: [DONE]",
        "ok",
        Ok(Finish::Length),
    ),
    (
        "gemini, with CRLF and no last blank line",
        DialectName::Gemini,
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"},{\"text\":\"hm\",\"thought\":true}]}}],\"usageMetadata\":{\"promptTokenCount\":1}}\r\n\r\n\
         data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"ñ\"}]},\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":1,\"candidatesTokenCount\":2}}\r\n",
        "añ",
        Ok(Finish::Stop),
    ),
    (
        "an error before any content",
        DialectName::Openai,
        "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\"}}\n\n",
        "",
        Err(FailureKind::ServerError),
    ),
    (
        "an error after content",
        DialectName::Gemini,
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}}]}\r\n\r\ndata: {\"error\":{\"code\":429,\"message\":\"x\"}}\r\n\r\n",
        "a",
        Err(FailureKind::RateLimited),
    ),
    (
        "an end without a finish reason",
        DialectName::Openai,
        "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: [DONE]\n\n",
        "a",
        Err(FailureKind::Cut),
    ),
    (
        "an event that is no JSON",
        DialectName::Openai,
        "data: {\"choices\":[{\n\n",
        "",
        Err(FailureKind::Malformed),
    ),
    (
        "an event of which the rest is missing",
        DialectName::Openai,
        "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"choices\":[{\"del",
        "a",
        Err(FailureKind::Cut),
    ),
    (
        "no content at all",
        DialectName::Openai,
        "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
        "",
        Err(FailureKind::Empty),
    ),
    (
        "a limit reached before the first word",
        DialectName::Openai,
        "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}]}\n\n",
        "",
        Err(FailureKind::MaxTokens),
    ),
    ("nothing", DialectName::Openai, "", "", Err(FailureKind::Cut)),
    (
        "azure, with a first chunk without choices and a late word of its filter",
        DialectName::Azure,
        "data: {\"choices\":[],\"created\":0,\"id\":\"\",\"model\":\"\",\"object\":\"\",\"prompt_filter_results\":[{\"prompt_index\":0}]}\n\n\
         data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\",\"role\":\"assistant\"},\"finish_reason\":null}]}\n\n\
         data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"ok\"},\"finish_reason\":null}]}\n\n\
         data: {\"choices\":[{\"index\":0,\"content_filter_offsets\":{},\"content_filter_results\":{},\"delta\":{},\"finish_reason\":null}]}\n\n\
         data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"content_filter\"}]}\n\ndata: [DONE]\n\n",
        "ok",
        Ok(Finish::ContentFilter),
    ),
    (
        "vllm, with the last word and the finish in one chunk",
        DialectName::Vllm,
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"reasoning\":\"hm\"}}]}\n\n\
         data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"é\"},\"finish_reason\":\"stop\",\"stop_reason\":null}]}\n\ndata: [DONE]\n\n",
        "é",
        Ok(Finish::Stop),
    ),
    (
        "vllm, with an error of the older kind",
        DialectName::Vllm,
        "data: {\"object\":\"error\",\"message\":\"x\",\"type\":\"InternalServerError\",\"param\":null,\"code\":500}\n\ndata: [DONE]\n\n",
        "",
        Err(FailureKind::ServerError),
    ),
    (
        "openrouter, with comments, the role in every chunk, and an error beside a finish reason",
        DialectName::Openrouter,
        ": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n\
         data: {\"provider\":\"p\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"so\"},\"finish_reason\":null,\"native_finish_reason\":null}]}\n\n\
         : OPENROUTER PROCESSING\n\ndata: {\"error\":{\"code\":502,\"message\":\"x\",\"metadata\":{\"error_type\":\"provider_unavailable\"}},\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}]}\n\n",
        "so",
        Err(FailureKind::ServerError),
    ),
    (
        "together, with a text beside the delta and its own end",
        DialectName::Together,
        "data: {\"choices\":[{\"index\":0,\"text\":\"ok\",\"delta\":{\"token_id\":1,\"role\":\"assistant\",\"content\":\"ok\",\"tool_calls\":null},\"finish_reason\":\"eos\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}\n\ndata: [DONE]\n\n",
        "ok",
        Ok(Finish::Stop),
    ),
    (
        "groq, with a call that its model wrote wrongly",
        DialectName::Groq,
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":null}}],\"x_groq\":{\"id\":\"r\"}}\n\n\
         event: error\ndata: {\"error\":{\"message\":\"x\",\"type\":\"invalid_request_error\",\"code\":\"tool_use_failed\",\"failed_generation\":\"<f>\",\"status_code\":400}}\n\n",
        "",
        Err(FailureKind::ServerError),
    ),
];

/// A call: id (empty where it is made here), name, arguments.
type Called = (&'static str, &'static str, &'static str);

/// Name, dialect, what the provider sends, and the calls in it.
type Calling = (&'static str, DialectName, &'static str, &'static [Called]);

/// Streams that call tools, several at once.
const CALLS: &[Calling] = &[
    (
        "openai, interleaved",
        DialectName::Openai,
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}}]}\n\n\
         data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":1,\"id\":\"b\",\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":\"\"}}]}}]}\n\n\
         data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"x\\\": \"}}]}}]}\n\n\
         data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":1,\"function\":{\"arguments\":\"{\\\"é\\\":2}\"}},{\"index\":0,\"function\":{\"arguments\":\"1.0}\"}}]}}]}\n\n\
         data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n",
        &[("a", "f", "{\"x\": 1.0}"), ("b", "g", "{\"é\":2}")],
    ),
    (
        "gemini, whole calls over two chunks, the end without any",
        DialectName::Gemini,
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"hm\",\"thought\":true},{\"functionCall\":{\"name\":\"f\",\"args\":{\"x\": 1.0}},\"thoughtSignature\":\"c2ln\"},{\"functionCall\":{\"id\":\"b\",\"name\":\"f\",\"args\":{}}}],\"role\":\"model\"}}],\"usageMetadata\":{\"promptTokenCount\":1}}\r\n\r\n\
         data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":\"g\"}}]}}]}\r\n\r\n\
         data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\",\"thoughtSignature\":\"ZW5k\"}]},\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":1,\"candidatesTokenCount\":2}}\r\n\r\n",
        &[("", "f", "{\"x\": 1.0}"), ("b", "f", "{}"), ("", "g", "{}")],
    ),
    (
        "vertex, ended by a word in every chunk",
        DialectName::Vertex,
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":\"f\",\"args\":{\"x\":\"é\"}}}]},\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"trafficType\":\"ON_DEMAND\"}}\n\n\
         data: {\"candidates\":[{\"finishReason\":\"STOP\"}]}\n\n",
        &[("", "f", "{\"x\":\"é\"}")],
    ),
    (
        "ollama, all numbered 0 and ended with stop",
        DialectName::Ollama,
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"id\":\"call_a\",\"index\":0,\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\":1}\"}}]}}]}\n\n\
         data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"id\":\"call_b\",\"index\":0,\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\":2}\"}}]}}]}\n\n\
         data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
        &[("call_a", "f", "{\"x\":1}"), ("call_b", "f", "{\"x\":2}")],
    ),
    (
        "mistral, whole calls in one delta, without an index, arguments also as an object",
        DialectName::Mistral,
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":\"hm\"}]}]}}]}\n\n\
         data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\",\"tool_calls\":[{\"id\":\"aaaaaaaa1\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\": 1}\"}},{\"id\":\"aaaaaaaa2\",\"function\":{\"name\":\"g\",\"arguments\":{\"y\": 2.0}}}]},\"finish_reason\":\"tool_calls\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n",
        &[("aaaaaaaa1", "f", "{\"x\": 1}"), ("aaaaaaaa2", "g", "{\"y\": 2.0}")],
    ),
    (
        "groq, a whole call in one delta and tokens in its own place",
        DialectName::Groq,
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":null,\"reasoning\":\"hm\"}}],\"x_groq\":{\"id\":\"r\"}}\n\n\
         data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"id\":\"a\",\"type\":\"function\",\"index\":0,\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}}]}\n\n\
         data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}],\"x_groq\":{\"id\":\"r\",\"usage\":{\"queue_time\":0.1,\"prompt_tokens\":1,\"completion_tokens\":2}}}\n\ndata: [DONE]\n\n",
        &[("a", "f", "{}")],
    ),
    (
        "a server that gives calls no number and some no id",
        DialectName::Compatible,
        "data:{\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\":\"}}]}}]}\n\n\
         data:{\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"arguments\":\"1}\"}}]},\"finish_reason\":\"\"}]}\n\n\
         data:{\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"name\":\"g\"}}]}}]}\n\n\
         data:{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
        &[("", "f", "{\"x\":1}"), ("", "g", "{}")],
    ),
];

/// The calls among `parts`, without the ids that were made up here.
fn calls_of(parts: &[Part], known: &[Called]) -> Vec<(String, String, String)> {
    let calls = parts.iter().filter_map(|part| match part {
        Part::ToolCall(call) => Some(call),
        _ => None,
    });
    let ids = known.iter().map(|(id, ..)| *id).chain(std::iter::repeat("-"));
    calls
        .zip(ids)
        .map(|(call, id)| {
            assert!(!call.id.is_empty());
            let id = if id.is_empty() { id } else { &call.id };
            (id.to_owned(), call.name.clone(), call.arguments.clone())
        })
        .collect()
}

#[test]
fn calls_of_tools_are_read_wherever_the_stream_is_cut() {
    for (name, dialect, input, calls) in CALLS {
        let expected: Vec<_> = calls
            .iter()
            .map(|(id, name, arguments)| ((*id).to_owned(), (*name).to_owned(), (*arguments).to_owned()))
            .collect();
        let input = input.as_bytes();
        let check = |pieces: &[&[u8]], how: &str| {
            let (parts, end) = read(*dialect, pieces);
            assert_eq!(calls_of(&parts, calls), expected, "{name} {how}");
            assert_eq!(end, Ok(Finish::ToolCalls), "{name} {how}");
        };
        for cut in 0..=input.len() {
            check(&[&input[..cut], &input[cut..]], "in two pieces");
        }
        check(&input.chunks(1).collect::<Vec<_>>(), "byte by byte");
    }
}

#[test]
fn every_place_for_tokens_is_known() {
    for name in ["gemini", "mistral", "groq"] {
        let (_, dialect, input, _) = CALLS.iter().find(|(known, ..)| known.starts_with(name)).unwrap();
        let mut reader = StreamReader::new(self::dialect(*dialect), LIMIT);
        reader.read(input.as_bytes(), |_, _| ()).unwrap();
        reader.finish(|_, _| ()).unwrap();
        assert_eq!(reader.usage(), Some(Usage { input: 1, output: 2, ..Usage::default() }), "{name}");
    }
}

/// All streams, as bytes.
fn streams()
-> impl Iterator<Item = (&'static str, DialectName, Vec<u8>, &'static str, Result<Finish, FailureKind>)> {
    let texts = STREAMS.iter().chain(blocks::ANTHROPIC).copied();
    let texts = texts.map(|(name, dialect, input, text, end)| (name, dialect, input.into(), text, end));
    texts.chain(blocks::bedrock())
}

#[test]
fn streams_are_read_to_their_end() {
    for (name, dialect, input, text, end) in streams() {
        let (said, read_end) = read(dialect, &[&input]);
        assert_eq!(text_of(said), text, "{name}");
        assert_eq!(read_end.map_err(|failure| failure.kind), end, "{name}");
    }
}

#[test]
fn the_last_usage_counts() {
    let (_, dialect, input, ..) = STREAMS[2];
    let mut reader = StreamReader::new(self::dialect(dialect), LIMIT);
    reader.read(input.as_bytes(), |_, _| ()).unwrap();
    reader.finish(|_, _| ()).unwrap();
    assert_eq!(reader.usage(), Some(Usage { input: 1, output: 2, ..Usage::default() }));
}

#[test]
fn every_cut_gives_the_same_answer() {
    for (name, dialect, input, ..) in streams() {
        let whole = read(dialect, &[&input]);
        for cut in 0..=input.len() {
            assert_eq!(read(dialect, &[&input[..cut], &input[cut..]]), whole, "{name} cut at {cut}");
        }
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(read(dialect, &bytes), whole, "{name} byte by byte");
    }
}

#[test]
fn a_stream_that_ends_anywhere_before_its_finish_is_never_complete() {
    const KEYS: [&str; 4] =
        ["\"finish_reason\":\"", "\"finishReason\"", "\"stop_reason\":\"", "\"stopReason\""];
    for (name, dialect, input, _, end) in streams() {
        let at = |key: &str| input.windows(key.len()).position(|window| window == key.as_bytes());
        if let (Ok(_), Some(finish)) = (end, KEYS.into_iter().filter_map(at).min()) {
            for cut in 0..finish {
                let (_, end) = read(dialect, &[&input[..cut]]);
                assert!(end.is_err(), "{name} ended at {cut}");
            }
        }
    }
}

#[test]
fn an_answer_larger_than_the_limit_is_a_failure() {
    let event =
        format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n", "x".repeat(1_000));
    let pieces: Vec<&[u8]> = std::iter::repeat_n(event.as_bytes(), 5).collect();
    let (said, end) = read(DialectName::Openai, &pieces);
    assert_eq!((text_of(said).len(), end.unwrap_err().kind), (4_000, FailureKind::TooLarge));
    let endless = format!("data: {}", "x".repeat(2 * LIMIT));
    let (_, end) = read(DialectName::Openai, &[endless.as_bytes()]);
    assert_eq!(end.unwrap_err().kind, FailureKind::TooLarge);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(input in proptest::collection::vec(any::<u8>(), 0..300)) {
        for name in DialectName::ALL {
            let _ = read(name, &[&input]);
            let _ = dialect(name).read_answer(&input);
            let _ = dialect(name).read_failure(500, None, &input);
        }
    }

    #[test]
    fn arbitrary_events_of_an_event_stream_never_panic(
        name in "messageStart|contentBlock(Start|Delta|Stop)|messageStop|metadata|exception:[a-zA-Z]{0,9}",
        payload in "[\\[\\]{}\":,a-z0-9 ]{0,60}",
    ) {
        let _ = read(DialectName::Bedrock, &[&event_stream::tests::event(&name, &payload)]);
        let _ = read(DialectName::Bedrock, &[&event_stream::tests::exception(&name, &payload)]);
    }

    #[test]
    fn arbitrary_json_never_panics(input in "[\\[\\]{}\":,a-z0-9 ]{0,60}") {
        for name in DialectName::ALL {
            let _ = read(name, &[format!("data: {{\"choices\":{input}}}\n\n").as_bytes()]);
            let _ = read(name, &[format!("data: {{\"type\":\"content_block_start\",{input}}}\n\n").as_bytes()]);
            let _ = dialect(name).read_answer(input.as_bytes());
            let _ = dialect(name).read_failure(400, None, input.as_bytes());
        }
    }
}

#[test]
fn an_answer_calls_so_many_tools_and_no_more() {
    let calls = |count: usize| -> String {
        let call = |number| format!(r#"{{"id":"c{number}","index":{number},"function":{{"name":"f"}}}}"#);
        (0..count).map(call).collect::<Vec<_>>().join(",")
    };
    let kind = |count: usize| {
        let calls = calls(count);
        let whole = format!(
            r#"{{"choices":[{{"message":{{"tool_calls":[{calls}]}},"finish_reason":"tool_calls"}}]}}"#
        );
        let whole = read_whole(dialect(DialectName::Openai), whole.as_bytes());
        let mut reader = StreamReader::new(dialect(DialectName::Anthropic), 1 << 20);
        let stream = (0..count).try_for_each(|number| {
            let event = format!(
                "data: {{\"type\":\"content_block_start\",\"index\":{number},\"content_block\":{{\"type\":\"tool_use\",\"id\":\"c{number}\",\"name\":\"f\"}}}}\n\n"
            );
            reader.read(event.as_bytes(), |_, _| {})
        });
        (whole.err().map(|failure| failure.kind), stream.err().map(|failure| failure.kind))
    };
    assert_eq!(kind(crate::chat::MAX_CALLS), (None, None));
    let too_large = Some(FailureKind::TooLarge);
    assert_eq!(kind(crate::chat::MAX_CALLS + 1), (too_large, too_large));
}
