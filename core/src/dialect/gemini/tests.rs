//! What Gemini in particular wants, and what it answers.

use serde_json::{Value, json};

use super::*;
use crate::api::{self, Format};
use crate::chat::{
    Chat, Delta, Effort, Finish, Image, ImageSource, Message, Part, Role, ToolCall, ToolResult,
};
use crate::failure::FailureKind;
use crate::sse::Event;

fn body(model: &str, chat: &Chat) -> Value {
    let options = &chat.options;
    let call = Call { model, chat, options, max_tokens: None, stream: false, api_version: None };
    serde_json::from_slice(&GEMINI.request_body(&call)).unwrap()
}

fn read(body: &str) -> Chat {
    api::read(Format::ChatCompletions, body.into()).unwrap().task.into_conversation().chat
}

fn message(role: Role, parts: Vec<Part>) -> Message {
    Message { role, parts, name: None }
}

fn called(id: &str, name: &str, arguments: &str, signature: Option<&str>) -> Part {
    Part::ToolCall(ToolCall {
        id: id.to_owned(),
        name: name.to_owned(),
        arguments: arguments.to_owned(),
        signature: signature.map(str::to_owned),
    })
}

fn returned(call_id: &str, text: &str, is_error: bool) -> Part {
    let parts = vec![Part::Text(text.to_owned())];
    Part::ToolResult(ToolResult { call_id: call_id.to_owned(), parts, is_error })
}

/// Two steps: two calls at once of which the first is signed, then one that is not.
fn steps() -> Chat {
    let messages = vec![
        Message::of_text(Role::User, "p"),
        message(
            Role::Assistant,
            vec![called("1", "f", r#"{"a": 1.0}"#, Some("c2ln")), called("2", "g", "", None)],
        ),
        message(Role::Tool, vec![returned("2", r#" {"b":2} "#, false)]),
        message(Role::Tool, vec![returned("1", "[1]", false)]),
        message(Role::Assistant, vec![Part::Text("so".to_owned()), called("3", "f", "x", None)]),
        message(Role::Tool, vec![returned("3", r#"{"no":1}"#, true)]),
        Message::of_text(Role::User, "q"),
    ];
    Chat { messages, ..Chat::default() }
}

#[test]
fn calls_and_results_are_paired_by_name_and_turn() {
    let expected = json!([
        {"role": "user", "parts": [{"text": "p"}]},
        {"role": "model", "parts": [
            {"functionCall": {"id": "1", "name": "f", "args": {"a": 1.0}}, "thoughtSignature": "c2ln"},
            {"functionCall": {"id": "2", "name": "g", "args": {}}},
        ]},
        {"role": "user", "parts": [
            {"functionResponse": {"id": "2", "name": "g", "response": {"b": 2}}},
            {"functionResponse": {"id": "1", "name": "f", "response": {"output": "[1]"}}},
        ]},
        {"role": "model", "parts": [
            {"text": "so"},
            {"functionCall": {"id": "3", "name": "f", "args": {"arguments": "x"}}},
        ]},
        {"role": "user", "parts": [
            {"functionResponse": {"id": "3", "name": "f", "response": {"error": "{\"no\":1}"}}},
            {"text": "q"},
        ]},
    ]);
    assert_eq!(body("gemini-2.5-flash", &steps())["contents"], expected);
}

#[test]
fn arguments_are_passed_on_as_they_were_written() {
    let chat = steps();
    let call = Call {
        model: "m",
        chat: &chat,
        options: &chat.options,
        max_tokens: None,
        stream: false,
        api_version: None,
    };
    let body = String::from_utf8(GEMINI.request_body(&call)).unwrap();
    assert!(body.contains(r#""args":{"a": 1.0}"#), "{body}");
}

#[test]
fn newer_models_get_a_signature_with_the_first_call_of_each_step() {
    for (model, signs) in [
        ("gemini-3-pro-preview", true),
        ("models/gemini-3.5-flash", true),
        ("gemini-10-flash", true),
        ("gemini-flash-latest", true),
        ("gemini-2.5-pro", false),
        ("gemini-1.5-pro-latest", false),
        ("gemma-3", false),
    ] {
        let contents = body(model, &steps())["contents"].clone();
        let signatures: Vec<&Value> = [(1, 0), (1, 1), (3, 1)]
            .iter()
            .map(|(turn, part)| &contents[turn]["parts"][part]["thoughtSignature"])
            .collect();
        let third = if signs { json!("skip_thought_signature_validator") } else { Value::Null };
        assert_eq!(signatures, [&json!("c2ln"), &Value::Null, &third], "{model}");
    }
}

#[test]
fn thoughts_go_back_only_with_a_signature_of_geminis_own() {
    let thought = |text: &str, signature: Option<&str>| {
        let signature = signature.map(str::to_owned);
        Part::Reasoning(crate::chat::Reasoning { text: text.to_owned(), signature, redacted: None })
    };
    let parts = vec![
        thought("not signed", None),
        thought("signed by another", Some("c2ln")),
        thought("own", Some("gemini:b25l")),
        Part::Text("a".to_owned()),
        thought("", Some("gemini:dHdvgemini:dGhyZWU=")),
    ];
    let messages = vec![Message::of_text(Role::User, "p"), message(Role::Assistant, parts)];
    let expected = json!([
        {"text": "own", "thought": true, "thoughtSignature": "b25l"},
        {"text": "a", "thoughtSignature": "dGhyZWU="},
    ]);
    assert_eq!(body("m", &Chat { messages, ..Chat::default() })["contents"][1]["parts"], expected);
}

#[test]
fn images_are_data_or_files_and_those_of_tools_follow_the_results() {
    let image = |url: &str| Part::Image(Image { source: ImageSource::of_url(url), detail: None });
    let shown = Part::ToolResult(ToolResult {
        call_id: "1".to_owned(),
        parts: vec![image("data:image/webp;base64,AA=="), Part::Text("{}".to_owned())],
        is_error: false,
    });
    let messages = vec![
        message(Role::User, vec![image("https://x.example/a.PNG?size=1"), image("gs://b/c")]),
        message(Role::Assistant, vec![called("1", "f", "{}", None), called("2", "f", "{}", None)]),
        message(Role::Tool, vec![shown, returned("2", "", false)]),
    ];
    let contents = body("m", &Chat { messages, ..Chat::default() })["contents"].clone();
    assert_eq!(
        contents[0]["parts"],
        json!([
            {"fileData": {"mimeType": "image/png", "fileUri": "https://x.example/a.PNG?size=1"}},
            {"fileData": {"mimeType": "image/jpeg", "fileUri": "gs://b/c"}},
        ])
    );
    assert_eq!(
        contents[2]["parts"],
        json!([
            {"functionResponse": {"id": "1", "name": "f", "response": {}}},
            {"functionResponse": {"id": "2", "name": "f", "response": {"output": ""}}},
            {"inlineData": {"mimeType": "image/webp", "data": "AA=="}},
        ])
    );
}

#[test]
fn instructions_alone_are_the_turn() {
    let messages = vec![Message::of_text(Role::System, "hi")];
    let expected = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
    assert_eq!(body("m", &Chat { messages, ..Chat::default() }), expected);
}

#[test]
fn how_much_to_think_is_said_as_the_model_takes_it() {
    let level = |level: &str| json!({"thinkingLevel": level, "includeThoughts": true});
    let budget = |budget: u32| json!({"thinkingBudget": budget, "includeThoughts": true});
    for (model, effort, tokens, expected) in [
        ("gemini-3-flash", Some(Effort::None), None, json!({"thinkingLevel": "MINIMAL"})),
        ("gemini-3-pro", Some(Effort::Minimal), None, level("LOW")),
        ("gemini-3-pro", Some(Effort::Medium), None, level("MEDIUM")),
        ("gemini-3-pro", Some(Effort::Max), None, level("HIGH")),
        ("gemini-3-pro", None, Some(1_024), level("LOW")),
        ("gemini-2.5-flash", Some(Effort::None), None, json!({"thinkingBudget": 0})),
        ("gemini-2.5-pro", None, Some(0), json!({"thinkingBudget": 128})),
        ("gemini-2.5-flash", Some(Effort::Low), None, budget(1_024)),
        ("gemini-2.5-flash", Some(Effort::Max), None, budget(24_576)),
        ("gemini-2.5-pro", Some(Effort::Max), None, budget(32_768)),
        ("gemini-2.5-flash", Some(Effort::Low), Some(31_999), budget(24_576)),
    ] {
        let mut chat = read(r#"{"messages": [{"role": "user", "content": "p"}]}"#);
        (chat.options.effort, chat.options.thinking_budget) = (effort, tokens);
        assert_eq!(
            body(model, &chat)["generationConfig"],
            json!({"thinkingConfig": expected}),
            "{model} {effort:?}"
        );
    }
}

#[test]
fn tools_are_chosen_by_mode() {
    for (choice, expected) in [
        (r#""auto""#, json!({"mode": "AUTO"})),
        (r#""none""#, json!({"mode": "NONE"})),
        (r#""required""#, json!({"mode": "ANY"})),
        (
            r#"{"type": "function", "function": {"name": "f"}}"#,
            json!({"mode": "ANY", "allowedFunctionNames": ["f"]}),
        ),
    ] {
        let chat = read(&format!(
            r#"{{"messages": [{{"role": "user", "content": "p"}}], "tool_choice": {choice},
                "tools": [{{"type": "function", "function": {{"name": "f", "parameters": {{"$ref": "x"}}}}}}]}}"#
        ));
        let body = body("m", &chat);
        assert_eq!(body["toolConfig"], json!({ "functionCallingConfig": expected }));
        let declared =
            json!([{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"$ref": "x"}}]}]);
        assert_eq!(body["tools"], declared);
    }
}

fn deltas(events: &[&'static str]) -> Vec<Delta<'static>> {
    let (mut reader, mut deltas) = (answer::Events::default(), Vec::new());
    for event in events {
        reader.read(Event { name: b"", data: event.as_bytes(), ..Event::default() }, &mut deltas).unwrap();
    }
    deltas
}

#[test]
fn every_part_is_read() {
    let read = deltas(&[
        r#"{"candidates":[{"content":{"parts":[{"text":"hm","thought":true},{"functionCall":{"name":"f","args":{"a":1.0,"b":"\u00e9"}},"thoughtSignature":"c2ln"},{"functionCall":{"id":"x","name":"f"}}]}}],"usageMetadata":{"trafficType":"ON_DEMAND"}}"#,
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"g","args":null}},{"text":"","thoughtSignature":"ZW5k"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":9,"toolUsePromptTokenCount":1,"cachedContentTokenCount":4,"thoughtsTokenCount":3,"candidatesTokenCount":2}}"#,
    ]);
    let ids: Vec<_> = read
        .iter()
        .filter_map(|delta| match delta {
            Delta::ToolCall { index, id, name, signature } => Some((*index, id, name, signature.as_deref())),
            _ => None,
        })
        .collect();
    assert!(
        matches!(ids[0], (0, id, name, Some("c2ln")) if id.starts_with("call_") && name == "f"),
        "{ids:?}"
    );
    assert!(matches!(ids[1], (1, id, name, None) if id == "x" && name == "f"), "{ids:?}");
    assert!(matches!(ids[2], (2, id, name, None) if id.starts_with("call_") && name == "g"), "{ids:?}");
    let others: Vec<_> = read.iter().filter(|delta| !matches!(delta, Delta::ToolCall { .. })).collect();
    let usage = crate::chat::Usage { input: 10, output: 5, cached: 4, cache_write: 0, reasoning: 3 };
    assert_eq!(
        others,
        [
            &Delta::Reasoning("hm".into()),
            &Delta::Arguments { index: 0, json: r#"{"a":1.0,"b":"\u00e9"}"#.into() },
            &Delta::Arguments { index: 1, json: "{}".into() },
            &Delta::Arguments { index: 2, json: "{}".into() },
            &Delta::Signature("gemini:ZW5k".into()),
            &Delta::Finish(Finish::Stop),
            &Delta::Usage(usage),
        ]
    );
}

#[test]
fn what_came_back_signed_goes_back_signed() {
    let whole = br#"{"candidates":[{"content":{"parts":[{"text":"a","thoughtSignature":"b25l"},{"functionCall":{"id":"1","name":"f","args":{}},"thoughtSignature":"dHdv"}]},"finishReason":"STOP"}]}"#;
    let answer = crate::answer::read_whole(&GEMINI, whole).unwrap();
    assert_eq!(answer.finish, Finish::ToolCalls);
    let messages = vec![
        Message::of_text(Role::User, "p"),
        answer.message(),
        message(Role::Tool, vec![returned("1", "r", false)]),
    ];
    assert_eq!(
        body("gemini-3-pro", &Chat { messages, ..Chat::default() })["contents"][1]["parts"],
        json!([
            {"text": "a", "thoughtSignature": "b25l"},
            {"functionCall": {"id": "1", "name": "f", "args": {}}, "thoughtSignature": "dHdv"},
        ])
    );
}

#[test]
fn what_holds_nothing_is_a_failure_unless_a_filter_withheld_it() {
    for (body, end) in [
        (r#"{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL"}]}"#, Err(FailureKind::Empty)),
        (r#"{"candidates":[{"content":{},"finishReason":"OTHER"}]}"#, Err(FailureKind::Empty)),
        (r#"{"candidates":[{"finishReason":"MAX_TOKENS"}]}"#, Err(FailureKind::MaxTokens)),
        (r#"{"candidates":[{"finishReason":"RECITATION"}]}"#, Ok(Finish::ContentFilter)),
        (r#"{"promptFeedback":{"blockReason":"JAILBREAK"}}"#, Ok(Finish::ContentFilter)),
        (
            r#"[{"error":{"code":429,"message":"x","status":"RESOURCE_EXHAUSTED"}}]"#,
            Err(FailureKind::RateLimited),
        ),
        ("[]", Err(FailureKind::Malformed)),
    ] {
        let read = crate::answer::read_whole(&GEMINI, body.as_bytes());
        assert_eq!(read.map(|answer| answer.finish).map_err(|failure| failure.kind), end, "{body}");
    }
}

#[test]
fn vertex_has_a_path_and_a_credential_of_its_own() {
    let chat = Chat::default();
    let call = |stream| Call {
        model: "gemini-3@1",
        chat: &chat,
        options: &chat.options,
        max_tokens: None,
        stream,
        api_version: None,
    };
    let base = "/v1/projects/p/locations/l";
    assert_eq!(
        [VERTEX.path(base, &call(false)), VERTEX.path(base, &call(true))],
        [
            format!("{base}/publishers/google/models/gemini-3%401:generateContent"),
            format!("{base}/publishers/google/models/gemini-3%401:streamGenerateContent?alt=sse"),
        ]
    );
    assert_eq!((VERTEX.credential(), GEMINI.credential().header), (Credential::BEARER, "x-goog-api-key"));
}
