//! One conversation with everything in it that a client may say, for snapshots of what the dialects write.

use crate::chat::{
    Chat, Image, ImageSource, Message, Options, Output, Part, Reasoning, Role, Schema, Tool, ToolCall,
    ToolChoice, ToolResult,
};
use crate::config::{DialectName, Limit, Model, Restore};
use crate::dialect::{Call, dialect, prepare};
use crate::json::Json;
use crate::task::Task;

fn message(role: Role, parts: Vec<Part>) -> Message {
    Message { role, parts, name: None }
}

pub(in crate::dialect) fn text(text: &str) -> Part {
    Part::Text(text.to_owned())
}

fn call(id: &str, name: &str, arguments: &str) -> Part {
    Part::ToolCall(ToolCall {
        id: id.to_owned(),
        name: name.to_owned(),
        arguments: arguments.to_owned(),
        signature: None,
    })
}

fn result(call_id: &str, parts: Vec<Part>, is_error: bool) -> Part {
    Part::ToolResult(ToolResult { call_id: call_id.to_owned(), parts, is_error })
}

pub(in crate::dialect) fn image(media_type: &str) -> Part {
    let source = ImageSource::Data { media_type: media_type.to_owned(), base64: "aGk=".to_owned() };
    Part::Image(Image { source, detail: None })
}

/// Text, an image, thoughts, parallel calls with their results, and a question after them.
pub(in crate::dialect) fn rich_chat() -> Chat {
    let signed =
        Reasoning { text: "I must look".to_owned(), signature: Some("c2ln".to_owned()), redacted: None };
    let redacted = Reasoning { redacted: Some("AAAA".to_owned()), ..Reasoning::default() };
    let unsigned = Reasoning { text: "of another maker".to_owned(), ..Reasoning::default() };
    let messages = vec![
        Message::of_text(Role::System, "Be \"brief\"."),
        message(Role::User, vec![text("What is this?"), image("image/jpg")]),
        message(Role::User, vec![text("  "), text("Look closely.")]),
        message(
            Role::Assistant,
            vec![
                Part::Reasoning(signed),
                Part::Reasoning(redacted),
                Part::Reasoning(unsigned),
                text(""),
                text("I look."),
                call("functions.look:0", "look", r#"{"b": 1.50, "a": "\u00e9"}"#),
                call("toolu_2", "now", ""),
                call("toolu_3", "look", "{\"cut"),
            ],
        ),
        message(
            Role::Tool,
            vec![result("functions.look:0", vec![text("a \"cat\""), image("image/png")], false)],
        ),
        message(
            Role::Tool,
            vec![result("toolu_2", vec![text("")], false), result("toolu_3", vec![text("no")], true)],
        ),
        Message::of_text(Role::System, "Answer in English."),
        Message::of_text(Role::User, "And now?"),
        Message::of_text(Role::Assistant, "It is \n"),
    ];
    let tool = |name: &str, description: Option<&str>, parameters: Option<&str>, strict| Tool {
        name: name.to_owned(),
        description: description.map(str::to_owned),
        parameters: parameters.and_then(Json::parse),
        strict,
    };
    let schema = Schema {
        name: "reply".to_owned(),
        description: None,
        schema: Json::parse(r#"{"type":"object","properties":{"z":{},"a":{}}}"#).unwrap(),
        strict: Some(true),
    };
    let options = Options {
        temperature: Some(1.5),
        top_k: Some(40),
        stop: vec!["END".to_owned(), "\n".to_owned()],
        user: Some("u-1".to_owned()),
        seed: Some(7),
        tools: vec![
            tool(
                "look",
                Some("Looks."),
                Some(r#"{"type":"object","properties":{"b":{},"a":{}}}"#),
                Some(true),
            ),
            tool("now", Some(""), None, None),
            tool("odd", None, Some(r#"{"properties":{"x":{}}}"#), Some(false)),
        ],
        tool_choice: Some(ToolChoice::Auto),
        parallel_tool_calls: Some(false),
        output: Output::Schema(schema),
        ..Options::default()
    };
    Chat { messages, options, ..Chat::default() }
}

/// What is sent to a model: the path, the headers, the body, and what is left out.
pub(in crate::dialect) fn sent(
    name: DialectName,
    model: &str,
    chat: &Chat,
    max_tokens: Option<u32>,
) -> String {
    let dialect = dialect(name);
    let model = model_named(model);
    let task = Task::of_chat(chat);
    let prepared = prepare(&task, &chat.features(), dialect, &model, false).unwrap();
    let call = Call {
        model: &model.name,
        chat,
        options: &prepared.options,
        max_tokens,
        stream: false,
        api_version: None,
    };
    let body = String::from_utf8(dialect.request_body(&call)).unwrap();
    serde_json::from_str::<serde_json::Value>(&body).unwrap();
    format!(
        "{} {:?}\n{body}\ndropped: {}\n",
        dialect.path("/base", &call),
        dialect.headers(&call),
        prepared.dropped.join(", ")
    )
}

pub(in crate::dialect) fn model_named(name: &str) -> Model {
    Model {
        provider: 0,
        id: name.to_owned(),
        name: name.to_owned(),
        max_tokens: None,
        rate: Limit { max: 1, window_ms: 1 },
        tokens: None,
        price: None,
        unsupported: Vec::new(),
        restore: Restore {
            rate_limit_ms: 1,
            retry_ms: 1,
            timeout_ms: 1,
            communication_ms: 1,
            exceeded_ms: 1,
            credential_ms: 1,
        },
        targets: Vec::new(),
    }
}
