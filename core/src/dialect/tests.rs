//! What each dialect writes, and what it makes of the answers providers are known to give.

use super::*;
use crate::api::Outcome;
use crate::chat::{Message, Role};

const ALL: [DialectName; 3] = [DialectName::Openai, DialectName::Deepseek, DialectName::Gemini];

fn chat() -> Chat {
    let say = |role, text: &str| Message { role, text: text.into() };
    Chat {
        system: Some("be \"brief\"".into()),
        messages: vec![say(Role::User, "one"), say(Role::Assistant, "two"), say(Role::User, "三")],
        temperature: Some(0.5),
        max_tokens: None,
    }
}

#[test]
fn requests_are_what_the_providers_take() {
    let chat = chat();
    let mut written = String::new();
    for name in ALL {
        for stream in [false, true] {
            let call = Call { model: "models/a b", chat: &chat, max_tokens: Some(9), stream };
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
    let chat = Chat { messages: vec![Message { role: Role::User, text: "p".into() }], ..Chat::default() };
    let call = Call { model: "m", chat: &chat, max_tokens: None, stream: false };
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
    let say = |role, text: &str| Message { role, text: text.into() };
    let chat = Chat {
        messages: vec![say(Role::User, "a"), say(Role::Assistant, ""), say(Role::User, "b")],
        ..Chat::default()
    };
    let call = Call { model: "m", chat: &chat, max_tokens: None, stream: false };
    assert_eq!(
        String::from_utf8(dialect(DialectName::Gemini).request_body(&call)).unwrap(),
        r#"{"contents":[{"role":"user","parts":[{"text":"a"},{"text":"b"}]}]}"#
    );
}

#[test]
fn answers_are_read() {
    use DialectName::{Deepseek, Gemini, Openai};
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
        (Gemini, r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#, "", IncompleteUnknown, None),
        (Gemini, r#"{"candidates":[{"finishReason":"SAFETY"}]}"#, "", IncompleteUnknown, None),
    ] {
        let answer = dialect(name).read_answer(body.as_bytes()).unwrap();
        let read = (answer.text.as_str(), answer.finish.outcome(), answer.usage.map(|u| (u.input, u.output)));
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
        let failure = dialect(name).read_failure(status, body.as_bytes());
        assert_eq!((failure.kind, failure.message.as_str()), (kind, message), "{name:?} {status} {body}");
    }
}

#[test]
fn gemini_says_when_to_come_back() {
    let body = br#"{"error":{"code":429,"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"38.922s"}]}}"#;
    assert_eq!(dialect(DialectName::Gemini).read_failure(429, body).retry_after_ms, Some(38_922));
}

#[test]
fn a_providers_message_is_bounded() {
    let body = format!(r#"{{"error":{{"message":"{}"}}}}"#, "é".repeat(5_000));
    let failure = dialect(DialectName::Openai).read_failure(400, body.as_bytes());
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
        let delta = dialect(name).read_event(data.as_bytes()).unwrap();
        assert_eq!((delta.text.as_ref(), delta.finish), (text, finish), "{name:?} {data}");
    }
}
