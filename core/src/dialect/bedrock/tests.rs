//! What is written for Bedrock, and what is made of its answers and errors.

use crate::chat::{
    Chat, Effort, Finish, Image, ImageSource, Message, Options, Output, Part, Role, ToolChoice, Usage,
};
use crate::config::DialectName;
use crate::dialect::tests::rich::{model_named, rich_chat, sent};
use crate::dialect::{Call, dialect, prepare};
use crate::failure::FailureKind;
use crate::task::Task;

const NAME: DialectName = DialectName::Bedrock;

const CLAUDE: &str = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0";

fn body(model: &str, chat: &Chat) -> serde_json::Value {
    serde_json::from_str(sent(NAME, model, chat, None).lines().nth(1).unwrap()).unwrap()
}

#[test]
fn a_rich_chat_is_written() {
    let mut thinking = rich_chat();
    thinking.options.effort = Some(Effort::High);
    thinking.options.output = Output::Json;
    let plain = Chat { messages: vec![Message::of_text(Role::User, "hi")], ..Chat::default() };
    let mut written = String::new();
    for (title, model, chat, max_tokens) in [
        ("plain", "amazon.nova-pro-v1:0", &plain, None),
        ("rich, not Claude", "amazon.nova-pro-v1:0", &rich_chat(), Some(100)),
        ("rich", CLAUDE, &rich_chat(), Some(100)),
        ("thinking with a budget", CLAUDE, &thinking, None),
        ("thinking as it likes", "anthropic.claude-opus-4-6-v1", &thinking, None),
    ] {
        written.push_str(&format!("# {title}\n{}\n", sent(NAME, model, chat, max_tokens)));
    }
    insta::assert_snapshot!(written);
}

#[test]
fn an_arn_is_one_segment_of_the_path() {
    let chat = Chat::default();
    let call = Call {
        model: "arn:aws:bedrock:eu-west-1:1:inference-profile/x",
        chat: &chat,
        options: &chat.options,
        max_tokens: None,
        stream: true,
        api_version: None,
    };
    assert_eq!(
        dialect(NAME).path("", &call),
        "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Ainference-profile%2Fx/converse-stream"
    );
}

#[test]
fn tools_are_declared_where_they_were_called_and_only_there_without_use() {
    let mut chat = rich_chat();
    chat.options.tool_choice = Some(ToolChoice::None);
    let called = body(CLAUDE, &chat);
    assert_eq!(called["toolConfig"]["tools"].as_array().map(Vec::len), Some(3));
    assert_eq!(called["toolConfig"]["toolChoice"], serde_json::Value::Null);
    chat.options.tools.clear();
    let names: Vec<_> = body(CLAUDE, &chat)["toolConfig"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["toolSpec"]["name"].clone())
        .collect();
    assert_eq!(names, ["look", "now"]);
    let mut fresh = Chat { options: rich_chat().options, ..Chat::default() };
    fresh.options.tool_choice = Some(ToolChoice::None);
    assert_eq!(body(CLAUDE, &fresh)["toolConfig"], serde_json::Value::Null);
    fresh.options.tool_choice = Some(ToolChoice::Required);
    assert_eq!(body(CLAUDE, &fresh)["toolConfig"]["toolChoice"], serde_json::json!({"any": {}}));
}

#[test]
fn an_image_by_url_passes_the_model_over() {
    let image = Image { source: ImageSource::Url("https://i.example/a.png".to_owned()), detail: None };
    let message = Message { role: Role::User, parts: vec![Part::Image(image)], name: None };
    let chat = Chat { messages: vec![message], ..Chat::default() };
    let failure =
        prepare(&Task::of_chat(&chat), &chat.features(), dialect(NAME), &model_named(CLAUDE), false)
            .unwrap_err();
    assert_eq!(failure.kind, FailureKind::NotOffered);
}

#[test]
fn what_only_claude_can_do_is_left_out_for_others() {
    let options = Options { top_k: Some(3), effort: Some(Effort::Low), ..Options::default() };
    let chat = Chat { messages: rich_chat().messages, options, ..Chat::default() };
    let model = model_named("meta.llama3-3-70b-instruct-v1:0");
    let task = Task::of_chat(&chat);
    let prepared = prepare(&task, &chat.features(), dialect(NAME), &model, false).unwrap();
    assert_eq!(prepared.dropped, ["top_k", "reasoning_effort", "messages.reasoning_content"]);
}

#[test]
fn answers_are_read() {
    let answer = dialect(NAME)
        .read_answer(
            br#"{"output":{"message":{"role":"assistant","content":[
                {"reasoningContent":{"reasoningText":{"text":"hm","signature":"c2ln"}}},
                {"reasoningContent":{"redactedContent":"AAAA"}},
                {"text":"h\u00e9"},
                {"citationsContent":{"content":[]}},
                {"toolUse":{"toolUseId":"t1","name":"look","input":{"b": 1.50}}}]}},
               "stopReason":"tool_use","metrics":{"latencyMs":1},
               "usage":{"inputTokens":1,"outputTokens":5,"totalTokens":10,"cacheReadInputTokens":4}}"#,
        )
        .unwrap();
    assert_eq!(answer.text(), "h\u{e9}");
    assert_eq!(answer.tool_calls().next().map(|call| call.arguments.as_str()), Some(r#"{"b": 1.50}"#));
    assert!(
        matches!(&answer.parts[0], Part::Reasoning(thought) if thought.signature.as_deref() == Some("c2ln"))
    );
    assert!(
        matches!(&answer.parts[1], Part::Reasoning(thought) if thought.redacted.as_deref() == Some("AAAA"))
    );
    assert_eq!(answer.finish, Finish::ToolCalls);
    assert_eq!(answer.usage, Some(Usage { input: 5, output: 5, cached: 4, ..Usage::default() }));
    for (reason, finish) in [
        ("end_turn", Finish::Stop),
        ("max_tokens", Finish::Length),
        ("guardrail_intervened", Finish::ContentFilter),
        ("content_filtered", Finish::ContentFilter),
        ("malformed_tool_use", Finish::Other),
    ] {
        let body =
            format!(r#"{{"output":{{"message":{{"content":[{{"text":"x"}}]}}}},"stopReason":"{reason}"}}"#);
        assert_eq!(dialect(NAME).read_answer(body.as_bytes()).unwrap().finish, finish, "{reason}");
    }
    assert_eq!(dialect(NAME).read_answer(b"{}").unwrap_err().kind, FailureKind::Malformed);
}

#[test]
fn errors_are_told_apart_by_the_header() {
    use FailureKind::{Credential, ModelMissing, RateLimited, Rejected, ServerError};
    for (status, name, message, expected) in [
        (400, "ValidationException", "Input is too long for requested model.", Rejected),
        (400, "ValidationException", "The provided model identifier is invalid.", ModelMissing),
        (
            400,
            "ValidationException",
            "Invocation of model ID x with on-demand throughput isn't supported.",
            ModelMissing,
        ),
        (400, "ServiceQuotaExceededException", "x", RateLimited),
        (
            403,
            "AccessDeniedException",
            "You don't have access to the model with the specified model ID.",
            ModelMissing,
        ),
        (403, "AccessDeniedException", "User is not authorized", Credential),
        (403, "UnrecognizedClientException:http://internal/", "x", Credential),
        (403, "ExpiredTokenException", "x", Credential),
        (404, "ResourceNotFoundException", "x", ModelMissing),
        (408, "ModelTimeoutException", "x", ServerError),
        (424, "ModelErrorException", "x", ServerError),
        (429, "ThrottlingException:http://internal/", "Too many requests", RateLimited),
        (429, "com.amazonaws.bedrock#ModelNotReadyException", "x", ServerError),
        (500, "InternalServerException", "x", ServerError),
        (503, "ServiceUnavailableException", "x", ServerError),
    ] {
        for key in ["message", "Message"] {
            let body = serde_json::json!({ key: message }).to_string();
            let failure = dialect(NAME).read_failure(status, Some(name), body.as_bytes());
            assert_eq!(failure.kind, expected, "{name} {message}");
        }
    }
    let typed = br#"{"__type":"com.amazon.coral.service#ModelNotReadyException","message":"x"}"#;
    assert_eq!(dialect(NAME).read_failure(429, None, typed).kind, ServerError);
}

#[test]
fn instructions_alone_are_the_users_turn() {
    let messages = vec![Message::of_text(Role::System, "Greet me.")];
    let body = body(CLAUDE, &Chat { messages, ..Chat::default() });
    assert_eq!(body["messages"], serde_json::json!([{"role": "user", "content": [{"text": "Greet me."}]}]));
    assert_eq!(body["system"], serde_json::Value::Null);
}
