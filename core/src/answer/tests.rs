//! Streams of every dialect, cut at every byte.

use proptest::prelude::*;

use super::*;
use crate::config::DialectName;
use crate::dialect::dialect;

const LIMIT: usize = 4_096;

/// The texts in the order in which they came, and the end.
type Read = (String, Result<Finish, Failure>);

fn read(name: DialectName, pieces: &[&[u8]]) -> Read {
    let mut reader = StreamReader::new(dialect(name), LIMIT);
    let mut text = String::new();
    for piece in pieces {
        if let Err(failure) = reader.read(piece, |more| text.push_str(more)) {
            return (text, Err(failure));
        }
    }
    let end = reader.finish(|more| text.push_str(more));
    (text, end)
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
];

#[test]
fn streams_are_read_to_their_end() {
    for (name, dialect, input, text, end) in STREAMS {
        let (read_text, read_end) = read(*dialect, &[input.as_bytes()]);
        assert_eq!(read_text, *text, "{name}");
        assert_eq!(read_end.map_err(|failure| failure.kind), *end, "{name}");
    }
}

#[test]
fn the_last_usage_counts() {
    let (_, dialect, input, ..) = STREAMS[2];
    let mut reader = StreamReader::new(self::dialect(dialect), LIMIT);
    reader.read(input.as_bytes(), |_| ()).unwrap();
    reader.finish(|_| ()).unwrap();
    assert_eq!(reader.usage(), Some(Usage { input: 1, output: 2 }));
}

#[test]
fn every_cut_gives_the_same_answer() {
    for (name, dialect, input, ..) in STREAMS {
        let input = input.as_bytes();
        let whole = read(*dialect, &[input]);
        for cut in 0..=input.len() {
            assert_eq!(read(*dialect, &[&input[..cut], &input[cut..]]), whole, "{name} cut at {cut}");
        }
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(read(*dialect, &bytes), whole, "{name} byte by byte");
    }
}

#[test]
fn a_stream_that_ends_anywhere_before_its_finish_is_never_complete() {
    for (name, dialect, input, _, end) in STREAMS {
        let finish =
            ["\"finish_reason\":\"", "\"finishReason\""].iter().filter_map(|key| input.find(key)).min();
        if let (Ok(_), Some(finish)) = (end, finish) {
            for cut in 0..finish {
                let (_, end) = read(*dialect, &[&input.as_bytes()[..cut]]);
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
    let (text, end) = read(DialectName::Openai, &pieces);
    assert_eq!((text.len(), end.unwrap_err().kind), (4_000, FailureKind::TooLarge));
    let endless = format!("data: {}", "x".repeat(2 * LIMIT));
    let (_, end) = read(DialectName::Openai, &[endless.as_bytes()]);
    assert_eq!(end.unwrap_err().kind, FailureKind::TooLarge);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(input in proptest::collection::vec(any::<u8>(), 0..300)) {
        for name in [DialectName::Openai, DialectName::Deepseek, DialectName::Gemini] {
            let _ = read(name, &[&input]);
            let _ = dialect(name).read_answer(&input);
            let _ = dialect(name).read_failure(500, &input);
        }
    }

    #[test]
    fn arbitrary_json_never_panics(input in "[\\[\\]{}\":,a-z0-9 ]{0,60}") {
        for name in [DialectName::Openai, DialectName::Deepseek, DialectName::Gemini] {
            let _ = read(name, &[format!("data: {{\"choices\":{input}}}\n\n").as_bytes()]);
            let _ = dialect(name).read_failure(400, input.as_bytes());
        }
    }
}
