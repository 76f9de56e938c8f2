//! What each dialect writes, and what it makes of the answers providers are known to give.

mod documentation;
mod errors;
mod mended;
pub(super) mod rich;
mod services;

use super::*;
use crate::api::Outcome;
use crate::chat::{Effort, Finish, Message, Role};

const ALL: [DialectName; 3] = [DialectName::Openai, DialectName::Deepseek, DialectName::Gemini];

fn chat_of(said: &[(Role, &str)]) -> Chat {
    let messages = said.iter().map(|(role, text)| Message::of_text(*role, *text)).collect();
    Chat { messages, ..Chat::default() }
}

fn chat() -> Chat {
    let mut chat = chat_of(&[
        (Role::System, "be \"brief\""),
        (Role::User, "one"),
        (Role::Assistant, "two"),
        (Role::User, "三"),
    ]);
    chat.options.temperature = Some(0.5);
    chat
}

fn call<'a>(model: &'a str, chat: &'a Chat, max_tokens: Option<u32>, stream: bool) -> Call<'a> {
    Call { model, chat, options: &chat.options, max_tokens, stream, api_version: None }
}

#[test]
fn requests_are_what_the_providers_take() {
    let chat = chat();
    let mut written = String::new();
    for name in ALL {
        for stream in [false, true] {
            let call = call("models/a b", &chat, Some(9), stream);
            let dialect = dialect(name);
            let body = String::from_utf8(dialect.request_body(&call)).unwrap();
            written
                .push_str(&format!("{name:?} stream={stream}\n{}\n{body}\n\n", dialect.path("/base", &call)));
        }
    }
    insta::assert_snapshot!(written);
}

#[test]
fn nothing_is_sent_that_was_not_asked_for() {
    let chat = chat_of(&[(Role::User, "p")]);
    let call = call("m", &chat, None, false);
    let bodies: Vec<_> =
        ALL.iter().map(|name| String::from_utf8(dialect(*name).request_body(&call)).unwrap()).collect();
    assert_eq!(
        bodies,
        [
            r#"{"model":"m","messages":[{"role":"user","content":"p"}],"stream":false}"#,
            r#"{"model":"m","messages":[{"role":"user","content":"p"}],"stream":false}"#,
            r#"{"contents":[{"role":"user","parts":[{"text":"p"}]}]}"#,
        ]
    );
}

#[test]
fn gemini_gets_no_empty_part_and_no_two_turns_of_one_role() {
    let chat = chat_of(&[(Role::User, "a"), (Role::Assistant, ""), (Role::User, "b")]);
    let call = call("m", &chat, None, false);
    assert_eq!(
        String::from_utf8(dialect(DialectName::Gemini).request_body(&call)).unwrap(),
        r#"{"contents":[{"role":"user","parts":[{"text":"a"},{"text":"b"}]}]}"#
    );
}

#[test]
fn answers_are_read() {
    use DialectName::{Deepseek, Gemini, Mistral, Openai, Together, Vllm, Xai};
    use Outcome::{Complete, IncompleteMaxTokens, IncompleteUnknown};
    for (name, body, text, outcome, usage) in [
        (
            Openai,
            r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"h\u00e9 \"x\"","refusal":null},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8}}"#,
            "hé \"x\"",
            Complete,
            Some((3, 5)),
        ),
        (
            Openai,
            r#"{"choices":[{"index":0,"message":{"content":"cut"},"finish_reason":"length"}],"usage":null}"#,
            "cut",
            IncompleteMaxTokens,
            None,
        ),
        (
            Openai,
            r#"{"choices":[{"index":null,"message":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":null}}"#,
            "x",
            Complete,
            Some((3, 0)),
        ),
        (
            Openai,
            r#"{"choices":[{"message":{"content":null,"refusal":"no"},"finish_reason":"stop"}]}"#,
            "no",
            Complete,
            None,
        ),
        (
            Openai,
            r#"{"choices":[{"message":{"content":"x"},"finish_reason":null}]}"#,
            "x",
            IncompleteUnknown,
            None,
        ),
        (
            Deepseek,
            "\n\n\n\n{\"choices\":[{\"index\":0,\"message\":{\"content\":\"late\",\"reasoning_content\":\"hm\"},\"finish_reason\":\"insufficient_system_resource\"}]}",
            "late",
            IncompleteUnknown,
            None,
        ),
        (
            Gemini,
            r#"{"candidates":[{"content":{"parts":[{"text":"thinking","thought":true},{"text":"a"},{"functionCall":{}},{"text":"b"}],"role":"model"},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":2,"candidatesTokenCount":3,"thoughtsTokenCount":4}}"#,
            "ab",
            Complete,
            Some((2, 7)),
        ),
        (
            Gemini,
            r#"{"candidates":[{"content":{"parts":[{"text":"x"}]},"finishReason":"MAX_TOKENS"}]}"#,
            "x",
            IncompleteMaxTokens,
            None,
        ),
        (
            Mistral,
            r#"{"choices":[{"message":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"ok"}]},"finish_reason":"model_length"}]}"#,
            "ok",
            IncompleteMaxTokens,
            None,
        ),
        (
            Together,
            r#"{"choices":[{"text":"","message":{"content":"ok"},"finish_reason":"eos"}]}"#,
            "ok",
            Complete,
            None,
        ),
        (
            Xai,
            r#"{"choices":[{"message":{"content":"ok","reasoning_content":"hm"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":15,"completion_tokens_details":{"reasoning_tokens":7}}}"#,
            "ok",
            Complete,
            Some((3, 12)),
        ),
        (
            Xai,
            r#"{"choices":[{"message":{"content":"ok"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":12,"total_tokens":15,"completion_tokens_details":{"reasoning_tokens":7}}}"#,
            "ok",
            Complete,
            Some((3, 12)),
        ),
        (
            Vllm,
            r#"{"choices":[{"message":{"content":"ok","reasoning":"hm"},"finish_reason":"abort","stop_reason":null}]}"#,
            "ok",
            IncompleteUnknown,
            None,
        ),
        (Gemini, r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#, "", IncompleteUnknown, None),
        (Gemini, r#"{"candidates":[{"finishReason":"SAFETY"}]}"#, "", IncompleteUnknown, None),
    ] {
        let answer = dialect(name).read_answer(body.as_bytes()).unwrap();
        let text_read = answer.text();
        let read = (text_read.as_ref(), answer.finish.outcome(), answer.usage.map(|u| (u.input, u.output)));
        assert_eq!(read, (text, outcome, usage), "{name:?} {body}");
    }
}

#[test]
fn what_is_no_answer_is_a_failure() {
    use FailureKind::{Malformed, RateLimited, Rejected, ServerError};
    for (name, body, kind) in [
        (DialectName::Openai, "", Malformed),
        (DialectName::Openai, "{\"choices\":", Malformed),
        (DialectName::Openai, "[]", Malformed),
        (DialectName::Openai, "{}", Malformed),
        (DialectName::Openai, r#"{"choices":[]}"#, Malformed),
        (DialectName::Openai, r#"{"error":{"message":"boom","type":"server_error"}}"#, ServerError),
        (
            DialectName::Deepseek,
            r#"{"error":{"message":"boom","type":"server_error","code":"invalid_request_error"}}"#,
            ServerError,
        ),
        (
            DialectName::Openai,
            r#"{"error":{"message":"slow down","code":"rate_limit_exceeded"}}"#,
            RateLimited,
        ),
        (DialectName::Openai, r#"{"error":{"message":"no","code":400}}"#, Rejected),
        (DialectName::Openai, r#"{"error":"just text"}"#, ServerError),
        (
            DialectName::Openai,
            r#"{"choices":[{"message":{"content":""},"finish_reason":"error"}]}"#,
            ServerError,
        ),
        (
            DialectName::Openrouter,
            r#"{"error":{"code":429,"message":"Provider returned error","metadata":{"provider_name":"x","raw":"slow"}},"user_id":"u"}"#,
            RateLimited,
        ),
        (
            DialectName::Openrouter,
            r#"{"choices":[{"error":{"code":502,"message":"x"},"message":{"content":"so"},"finish_reason":"error"}]}"#,
            ServerError,
        ),
        (
            DialectName::Vllm,
            r#"{"object":"error","message":"too long","type":"BadRequestError","param":null,"code":400}"#,
            Rejected,
        ),
        (DialectName::Groq, r#"{"choices":[],"x_groq":{"id":"r","error":"over capacity"}}"#, ServerError),
        (
            DialectName::Mistral,
            r#"{"choices":[{"message":{"content":"so"},"finish_reason":"error"}]}"#,
            ServerError,
        ),
        (DialectName::Gemini, "{}", Malformed),
        (DialectName::Gemini, r#"{"candidates":[{"content":{"parts":[{"text":"x"}]}}]}"#, Malformed),
        (
            DialectName::Gemini,
            r#"{"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}"#,
            ServerError,
        ),
    ] {
        let failure = dialect(name).read_answer(body.as_bytes()).unwrap_err();
        assert_eq!(failure.kind, kind, "{name:?} {body}");
    }
}

#[test]
fn error_bodies_decide_before_the_status_does() {
    use DialectName::{Deepseek, Gemini, Openai};
    use FailureKind::{
        Credential, ModelMissing, QuotaExceeded, RateLimited, Rejected, ServerError, Unsupported,
    };
    for (name, status, body, kind, message) in [
        (
            Openai,
            400,
            r#"{"error":{"message":"too long","code":"context_length_exceeded"}}"#,
            Rejected,
            "too long",
        ),
        (
            Openai,
            401,
            r#"{"error":{"message":"Incorrect API key provided: sk-1","code":"invalid_api_key"}}"#,
            Credential,
            "refused the gateway's credential (status 401)",
        ),
        (
            Openai,
            404,
            r#"{"error":{"message":"x","code":"model_not_found"}}"#,
            ModelMissing,
            "does not exist at the provider (status 404)",
        ),
        (
            Openai,
            429,
            r#"{"error":{"message":"x","code":"rate_limit_exceeded"}}"#,
            RateLimited,
            "is rate limited (status 429)",
        ),
        (
            Openai,
            429,
            r#"{"error":{"message":"x","type":"insufficient_quota"}}"#,
            QuotaExceeded,
            "has no quota left (status 429)",
        ),
        (Openai, 503, "<html>bad gateway</html>", ServerError, "answered with status 503"),
        (Openai, 422, r#"{"detail":[{"loc":["body"],"msg":"field required"}]}"#, Rejected, "field required"),
        (
            Openai,
            400,
            r#"{"error":{"message":"no temperature","code":"unsupported_value"}}"#,
            Unsupported,
            "does not take the request (status 400)",
        ),
        (Openai, 451, "", Unsupported, "does not take the request (status 451)"),
        (Openai, 400, "", Rejected, "the provider refused the prompt with status 400"),
        (
            Openai,
            400,
            r#"{"code":"x","error":"Incorrect API key provided"}"#,
            Credential,
            "refused the gateway's credential (status 400)",
        ),
        (
            Deepseek,
            402,
            r#"{"error":{"message":"Insufficient Balance"}}"#,
            QuotaExceeded,
            "has no quota left (status 402)",
        ),
        (
            Deepseek,
            400,
            r#"{"error":{"message":"Model Not Exist"}}"#,
            ModelMissing,
            "does not exist at the provider (status 400)",
        ),
        (
            Gemini,
            400,
            r#"[{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}]}}]"#,
            Credential,
            "refused the gateway's credential (status 400)",
        ),
        (
            Gemini,
            429,
            r#"{"error":{"code":429,"message":"You exceeded your current quota","status":"RESOURCE_EXHAUSTED","details":[{"violations":[{"quotaId":"GenerateRequestsPerDayPerProject"}]}]}}"#,
            QuotaExceeded,
            "has no quota left (status 429)",
        ),
        (
            Gemini,
            429,
            r#"{"error":{"code":429,"message":"You exceeded your current quota","status":"RESOURCE_EXHAUSTED","details":[{"violations":[{"quotaId":"GenerateRequestsPerMinute"}]}]}}"#,
            RateLimited,
            "is rate limited (status 429)",
        ),
        (Gemini, 302, "", FailureKind::Malformed, "answered with status 302"),
    ] {
        let failure = dialect(name).read_failure(status, None, body.as_bytes());
        assert_eq!((failure.kind, failure.message.as_str()), (kind, message), "{name:?} {status} {body}");
    }
}

#[test]
fn gemini_says_when_to_come_back() {
    let body = br#"{"error":{"code":429,"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"38.922s"}]}}"#;
    assert_eq!(dialect(DialectName::Gemini).read_failure(429, None, body).retry_after_ms, Some(38_922));
}

#[test]
fn a_providers_message_is_bounded() {
    let body = format!(r#"{{"error":{{"message":"{}"}}}}"#, "é".repeat(5_000));
    let failure = dialect(DialectName::Openai).read_failure(400, None, body.as_bytes());
    assert!(failure.message.len() < 2_100 && failure.message.ends_with('…'));
}

#[test]
fn every_event_of_a_stream_is_read() {
    for (name, data, text, finish) in [
        (
            DialectName::Openai,
            r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
            "",
            None,
        ),
        (
            DialectName::Openai,
            r#"{"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}"#,
            "Hi",
            None,
        ),
        (
            DialectName::Openai,
            r#"{"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":""}]}"#,
            "Hi",
            None,
        ),
        (DialectName::Openai, r#"{"choices":[{"index":1,"delta":{"content":"other"}}]}"#, "", None),
        (DialectName::Openai, r#"{"choices":null,"usage":null}"#, "", None),
        (DialectName::Openai, r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#, "", Some(Finish::Stop)),
        (
            DialectName::Openai,
            r#"{"choices":[{"delta":{"content":"x"},"finish_reason":"eos"}]}"#,
            "x",
            Some(Finish::Stop),
        ),
        (
            DialectName::Openai,
            r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
            "",
            None,
        ),
        (DialectName::Openai, r#"{"id":"","choices":[],"prompt_filter_results":[]}"#, "", None),
        (DialectName::Openai, " [DONE]", "", None),
        (
            DialectName::Deepseek,
            r#"{"choices":[{"delta":{"content":null,"reasoning_content":"hm"}}]}"#,
            "",
            None,
        ),
        (
            DialectName::Gemini,
            r#"{"candidates":[{"content":{"parts":[{"text":"Hi"}]}}],"usageMetadata":{"promptTokenCount":1}}"#,
            "Hi",
            None,
        ),
        (DialectName::Gemini, r#"{"candidates":[{"finishReason":"STOP"}]}"#, "", Some(Finish::Stop)),
        (DialectName::Gemini, r#"{"usageMetadata":{}}"#, "", None),
    ] {
        let mut deltas = Vec::new();
        dialect(name)
            .events()
            .read(Event { name: b"", data: data.as_bytes(), ..Event::default() }, &mut deltas)
            .unwrap();
        let (mut read, mut end) = (String::new(), None);
        for delta in deltas {
            match delta {
                Delta::Text(more) => read.push_str(&more),
                Delta::Finish(reason) => end = Some(reason),
                _ => {}
            }
        }
        assert_eq!((read.as_str(), end), (text, finish), "{name:?} {data}");
    }
}

#[test]
fn effort_is_asked_for_in_words_and_a_budget_as_the_word_for_about_as_much() {
    for (effort, thinking_budget, word) in [
        (Some(Effort::Minimal), None, "minimal"),
        (Some(Effort::High), Some(1_024), "high"),
        (None, Some(1_024), "low"),
        (None, Some(8_192), "medium"),
        (None, Some(20_000), "high"),
    ] {
        let mut chat = chat_of(&[(Role::User, "p")]);
        (chat.options.effort, chat.options.thinking_budget) = (effort, thinking_budget);
        let body = dialect(DialectName::Openai).request_body(&call("o3", &chat, None, false));
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["reasoning_effort"], word, "{effort:?} {thinking_budget:?}");
    }
}
