//! What is written for Anthropic, for clients of other formats and of its own, and what is made of its answers.

use crate::chat::{Chat, Effort, Finish, Options, Output, Part, Role, ToolChoice, Usage};
use crate::config::{DialectName, RouteOptions};
use crate::dialect::tests::rich::{image, model_named, rich_chat, sent, text};
use crate::dialect::{Wire, dialect, prepare};
use crate::failure::FailureKind;
use crate::native::Native;
use crate::task::Task;

const NAME: DialectName = DialectName::Anthropic;

fn body(model: &str, chat: &Chat, max_tokens: Option<u32>) -> serde_json::Value {
    serde_json::from_str(sent(NAME, model, chat, max_tokens).lines().nth(1).unwrap()).unwrap()
}

fn chat_of(options: Options) -> Chat {
    Chat { messages: vec![crate::chat::Message::of_text(Role::User, "hi")], options, ..Chat::default() }
}

#[test]
fn a_rich_chat_is_written() {
    let mut thinking = rich_chat();
    thinking.options.effort = Some(Effort::High);
    thinking.options.parallel_tool_calls = None;
    thinking.options.output = Output::Json;
    let plain = chat_of(Options::default());
    let mut written = String::new();
    for (title, model, chat, max_tokens) in [
        ("plain", "claude-opus-4-7", &plain, None),
        ("rich, an old model", "claude-3-5-haiku-20241022", &rich_chat(), Some(100)),
        ("rich, a new model", "claude-opus-4-7", &rich_chat(), Some(100)),
        ("thinking with a budget", "claude-sonnet-4-5", &thinking, None),
        ("thinking as it likes", "claude-opus-4-6", &thinking, None),
    ] {
        written.push_str(&format!("# {title}\n{}\n", sent(NAME, model, chat, max_tokens)));
    }
    insta::assert_snapshot!(written);
}

#[test]
fn tool_choices_are_said_in_its_words() {
    for (choice, parallel, expected) in [
        (None, None, serde_json::Value::Null),
        (None, Some(false), serde_json::json!({"type": "auto", "disable_parallel_tool_use": true})),
        (Some(ToolChoice::None), Some(false), serde_json::json!({"type": "none"})),
        (Some(ToolChoice::Required), Some(true), serde_json::json!({"type": "any"})),
        (
            Some(ToolChoice::Named("now".to_owned())),
            Some(false),
            serde_json::json!({"type": "tool", "name": "now", "disable_parallel_tool_use": true}),
        ),
    ] {
        let mut chat = rich_chat();
        chat.options.tool_choice = choice;
        chat.options.parallel_tool_calls = parallel;
        assert_eq!(body("claude-opus-4-7", &chat, None)["tool_choice"], expected);
    }
}

#[test]
fn tools_that_were_called_are_declared_though_the_request_has_none() {
    let mut chat = rich_chat();
    chat.options.tools.clear();
    let body = body("claude-opus-4-7", &chat, None);
    let empty = serde_json::json!({"type": "object", "properties": {}});
    assert_eq!(
        body["tools"],
        serde_json::json!([{"name": "look", "input_schema": empty}, {"name": "now", "input_schema": empty}])
    );
    assert_eq!(body["tool_choice"], serde_json::Value::Null);
}

#[test]
fn what_a_model_refuses_is_left_out_and_told() {
    let dropped = |model: &str, chat: &Chat| {
        prepare(&Task::of_chat(chat), &chat.features(), dialect(NAME), &model_named(model), false)
            .unwrap()
            .dropped
            .join(", ")
    };
    let samples = Options { temperature: Some(0.5), top_p: Some(0.9), top_k: Some(3), ..Options::default() };
    let thinks = Options { effort: Some(Effort::Low), ..samples.clone() };
    let forced = Options { tool_choice: Some(ToolChoice::Required), ..thinks.clone() };
    for (model, options, expected) in [
        ("claude-3-haiku-20240307", &samples, ""),
        ("claude-sonnet-4-5", &samples, "top_p"),
        ("claude-opus-4-7", &samples, "temperature, top_p, top_k"),
        ("claude-opus-5", &samples, "temperature, top_p, top_k"),
        ("claude-3-haiku-20240307", &thinks, "reasoning_effort"),
        ("claude-sonnet-4-5", &thinks, "temperature, top_p, top_k"),
        ("claude-sonnet-4-5", &forced, "top_p, reasoning_effort"),
    ] {
        assert_eq!(dropped(model, &chat_of(options.clone())), expected, "{model} {options:?}");
    }
    let mut unsigned = rich_chat();
    unsigned.options = Options { effort: Some(Effort::Low), ..Options::default() };
    for message in &mut unsigned.messages {
        message.parts.retain(|part| !matches!(part, Part::Reasoning(_)));
    }
    assert_eq!(dropped("claude-sonnet-4-5", &unsigned), "reasoning_effort");
    assert_eq!(dropped("claude-opus-4-7", &unsigned), "");
}

#[test]
fn an_image_of_a_type_that_it_does_not_take_passes_the_model_over() {
    let mut chat = chat_of(Options::default());
    chat.messages[0].parts.push(image("image/tiff"));
    let model = model_named("claude-opus-4-7");
    let failure = prepare(&Task::of_chat(&chat), &chat.features(), dialect(NAME), &model, false).unwrap_err();
    assert_eq!((failure.kind, failure.param.as_deref()), (FailureKind::NotOffered, Some("messages.image")));
}

/// A chat as the front end of Messages reads it: the options that it knows, and the body.
fn native(body: &str, options: Options) -> Chat {
    let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(body).unwrap();
    let places = fields.keys().map(|name| {
        let at = body.find(&format!("\"{name}\":")).unwrap() + name.len() + 3;
        let mut values = serde_json::Deserializer::from_str(&body[at..]).into_iter::<serde_json::Value>();
        values.next().unwrap().unwrap();
        (name.clone(), at..at + values.byte_offset())
    });
    let mut native = Native::new(Wire::Anthropic, body.to_owned(), places.collect());
    native.set_headers(vec![
        ("anthropic-beta".to_owned(), "a".to_owned()),
        ("anthropic-version".to_owned(), "2026-10-21".to_owned()),
        ("anthropic-beta".to_owned(), "b".to_owned()),
    ]);
    Chat { native: Some(native), ..chat_of(options) }
}

const NATIVE: &str = r#"{"model":"x","max_tokens": 3000,"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}],"messages":[{"role":"user","content": "as it is"}],"tools":[{"type":"web_search_20250305","name":"web_search"}],"tool_choice":{"type": "auto"},"thinking":{"type":"enabled","budget_tokens":2000},"output_config":{"x": 1,"effort":"low"},"metadata":{"user_id":"u","more":1},"service_tier":"auto"}"#;

fn native_options() -> Options {
    Options {
        max_tokens: Some(3_000),
        thinking_budget: Some(2_000),
        effort: Some(Effort::Low),
        user: Some("u".to_owned()),
        foreign_tools: vec!["tools[0] (web_search)".to_owned()],
        tool_choice: Some(ToolChoice::Auto),
        unknown: vec!["service_tier".to_owned()],
        ..Options::default()
    }
}

#[test]
fn its_own_clients_words_pass_as_they_are() {
    let chat = native(NATIVE, native_options());
    let written = sent(NAME, "claude-opus-4-5", &chat, Some(3_000));
    assert_eq!(
        written,
        r#"/base/v1/messages [("anthropic-version", "2026-10-21"), ("anthropic-beta", "a,b")]
{"model":"claude-opus-4-5","max_tokens":3000,"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}],"messages":[{"role":"user","content": "as it is"}],"tools":[{"type":"web_search_20250305","name":"web_search"}],"tool_choice":{"type": "auto"},"thinking":{"type":"enabled","budget_tokens":2000},"output_config":{"x": 1,"effort":"low"},"metadata":{"user_id":"u","more":1},"service_tier":"auto","stream":false}
dropped: 
"#
    );
}

#[test]
fn what_the_gateway_decides_is_changed_in_its_own_clients_words() {
    let mut chat = native(NATIVE, native_options());
    chat.is_edited = true;
    chat.options.effort = Some(Effort::High);
    let changed = body("claude-opus-4-5", &chat, Some(2_000));
    assert_eq!(changed["messages"], serde_json::json!([{"role": "user", "content": "hi"}]));
    assert_eq!(changed["system"], serde_json::Value::Null);
    assert_eq!(changed["thinking"], serde_json::Value::Null, "no room for it in 2000 tokens");
    assert_eq!(changed["output_config"], serde_json::json!({"x": 1}));
    assert_eq!(changed["tools"][0]["name"], "web_search");
    let adaptive = body("claude-opus-4-7", &chat, Some(3_000));
    assert_eq!(adaptive["output_config"], serde_json::json!({"effort": "high", "x": 1}));
    // An older model has its own words for both.
    let older = body("claude-sonnet-4-5", &native(NATIVE, native_options()), Some(3_000));
    assert_eq!(older["thinking"], serde_json::json!({"type": "enabled", "budget_tokens": 2_000}));
    assert_eq!(older["output_config"], serde_json::json!({"x": 1}));
    let newer = body("claude-opus-4-7", &native(NATIVE, native_options()), Some(3_000));
    assert_eq!(newer["thinking"], serde_json::json!({"type": "adaptive"}));
    assert_eq!(newer["output_config"], serde_json::json!({"x": 1, "effort": "low"}));
    // A later version of the API takes no sampling parameters, whatever the model.
    chat.options.temperature = Some(0.5);
    chat.options.thinking_budget = None;
    chat.options.effort = None;
    assert_eq!(body("claude-3-haiku-20240307", &chat, None)["temperature"], serde_json::Value::Null);
}

#[test]
fn thinking_that_the_client_turned_off_leaves_its_effort_alone() {
    let said =
        r#"{"max_tokens": 9,"messages":[],"thinking":{"type":"disabled"},"output_config":{"effort":"high"}}"#;
    let options = Options { max_tokens: Some(9), effort: Some(Effort::None), ..Options::default() };
    let written = body("claude-opus-4-7", &native(said, options), Some(9));
    assert_eq!(written["thinking"], serde_json::json!({"type": "disabled"}));
    assert_eq!(written["output_config"], serde_json::json!({"effort": "high"}));
}

#[test]
fn what_a_route_says_of_thinking_counts_more_than_its_own_clients_words() {
    let of_route = |effort| RouteOptions { reasoning_effort: Some(effort), ..RouteOptions::default() };
    let none = RouteOptions::default();
    let enabled = |tokens: u32| serde_json::json!({"type": "enabled", "budget_tokens": tokens});
    for (defaults, overrides, thinking) in [
        (&of_route(Effort::None), &none, enabled(2_000)),
        (&none, &of_route(Effort::None), serde_json::json!({"type": "disabled"})),
        (&none, &of_route(Effort::Minimal), enabled(1_024)),
    ] {
        let mut chat = native(NATIVE, native_options());
        chat.options.effort = None;
        chat.apply(defaults, overrides);
        assert_eq!(body("claude-sonnet-4-5", &chat, Some(3_000))["thinking"], thinking);
    }
}

#[test]
fn answers_are_read() {
    let answer = dialect(NAME)
        .read_answer(
            br#"{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[
                {"type":"thinking","thinking":"hm","signature":"c2ln"},
                {"type":"server_tool_use","id":"s","name":"web_search","input":{}},
                {"type":"web_search_tool_result","tool_use_id":"s","content":[{"text":7}]},
                {"type":"text","text":"h\u00e9","citations":null},
                {"type":"tool_use","id":"toolu_1","name":"look","input":{"b": 1.50}},
                {"type":"tool_use","id":"toolu_2","name":"now","input":{}}],
               "stop_reason":"tool_use","stop_sequence":null,
               "usage":{"input_tokens":1,"cache_creation_input_tokens":null,"cache_read_input_tokens":4,"output_tokens":5,"service_tier":"standard"}}"#,
        )
        .unwrap();
    assert_eq!(answer.text(), "hé");
    let calls: Vec<_> = answer.tool_calls().map(|call| (call.id.as_str(), call.arguments.as_str())).collect();
    assert_eq!(calls, [("toolu_1", r#"{"b": 1.50}"#), ("toolu_2", "{}")]);
    assert!(
        matches!(&answer.parts[0], Part::Reasoning(thought) if thought.signature.as_deref() == Some("c2ln"))
    );
    assert_eq!(answer.finish, Finish::ToolCalls);
    assert_eq!(answer.usage, Some(Usage { input: 5, output: 5, cached: 4, ..Usage::default() }));
    for (reason, finish) in [
        ("\"end_turn\"", Finish::Stop),
        ("\"stop_sequence\"", Finish::Stop),
        ("\"model_context_window_exceeded\"", Finish::Length),
        ("\"refusal\"", Finish::ContentFilter),
        ("\"pause_turn\"", Finish::Other),
        ("null", Finish::Other),
    ] {
        let body = format!(r#"{{"content":[{{"type":"text","text":"x"}}],"stop_reason":{reason}}}"#);
        assert_eq!(dialect(NAME).read_answer(body.as_bytes()).unwrap().finish, finish, "{reason}");
    }
}

#[test]
fn errors_are_told_apart() {
    use FailureKind::{
        Credential, Malformed, ModelMissing, QuotaExceeded, RateLimited, Rejected, ServerError, Unsupported,
    };
    for (status, kind, message, expected) in [
        (400, "invalid_request_error", "prompt is too long: 9 tokens > 8 maximum", Rejected),
        (400, "invalid_request_error", "Your credit balance is too low to access the API", QuotaExceeded),
        (400, "invalid_request_error", "You have reached your specified API usage limits.", QuotaExceeded),
        (400, "invalid_request_error", "temperature: Extra inputs are not permitted", Unsupported),
        (400, "invalid_request_error", "`temperature` is deprecated for this model.", Unsupported),
        (401, "authentication_error", "invalid x-api-key", Credential),
        (402, "billing_error", "x", QuotaExceeded),
        (403, "permission_error", "x", Credential),
        (404, "not_found_error", "model: x", ModelMissing),
        (413, "request_too_large", "x", Rejected),
        (429, "rate_limit_error", "x", RateLimited),
        (500, "api_error", "x", ServerError),
        (504, "timeout_error", "x", ServerError),
        (529, "overloaded_error", "Overloaded", ServerError),
    ] {
        let body =
            serde_json::json!({"type": "error", "error": {"type": kind, "message": message}}).to_string();
        assert_eq!(dialect(NAME).read_failure(status, None, body.as_bytes()).kind, expected, "{body}");
        let under_200 = dialect(NAME).read_answer(body.as_bytes()).unwrap_err();
        assert_eq!(under_200.kind, expected, "under 200: {body}");
    }
    let detailed = br#"{"type":"error","error":{"type":"invalid_request_error","message":"x","details":{"error_code":"credit_balance_exhausted"}}}"#;
    assert_eq!(dialect(NAME).read_failure(400, None, detailed).kind, QuotaExceeded);
    assert_eq!(dialect(NAME).read_answer(br#"{"type":"message"}"#).unwrap_err().kind, Malformed);
}

#[test]
fn a_text_alone_may_be_cleared_of_its_thoughts() {
    // Nothing is left of a turn of thoughts that nobody signed: the turns around it are one.
    let mut chat = chat_of(Options::default());
    let unsigned = Part::Reasoning(crate::chat::Reasoning { text: "hm".to_owned(), ..Default::default() });
    chat.messages.push(crate::chat::Message { role: Role::Assistant, parts: vec![unsigned], name: None });
    chat.messages.push(crate::chat::Message { role: Role::User, parts: vec![text("there")], name: None });
    let blocks = serde_json::json!([{"type": "text", "text": "hi"}, {"type": "text", "text": "there"}]);
    assert_eq!(
        body("claude-opus-4-7", &chat, None)["messages"],
        serde_json::json!([{"role": "user", "content": blocks}])
    );
}

#[test]
fn instructions_alone_are_the_users_turn() {
    let messages = vec![crate::chat::Message::of_text(Role::System, "Greet me.")];
    let body = body("claude-opus-4-7", &Chat { messages, ..Chat::default() }, None);
    assert_eq!(body["messages"], serde_json::json!([{"role": "user", "content": "Greet me."}]));
    assert_eq!(body["system"], serde_json::Value::Null);
}
