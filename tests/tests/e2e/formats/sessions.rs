//! Conversations that the gateway remembers for clients of every format.

use ai_warp_tests::{ClientFormat, Question, Reply, Stack};
use reqwest::Method;
use serde_json::{Value, json};

async fn ask(stack: &Stack, format: ClientFormat, session: &str, question: &Question, stream: bool) -> Reply {
    let request = stack.gateway().request(Method::POST, format.path()).header("x-session-id", session);
    Reply::of(request.json(&format.body(question, stream))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_gives_every_format_a_remembered_conversation() {
    let stack =
        Stack::builder().models(["openai:ok", "anthropic:ok", "gemini:ok"]).every_provider().start().await;
    for format in ClientFormat::WITH_TOOLS {
        for stream in [false, true] {
            let first = ask(&stack, format, "new", &Question::new("openai:ok", "one"), stream).await;
            assert!(format.read(&first, stream).text.contains("[history=0]"), "{format:?}");
            let session = first.header("x-session-id").to_owned();
            // Another provider, another format: the same conversation.
            for (turn, (next, model)) in
                [(format, "anthropic:ok"), (ClientFormat::Chat, "gemini:ok")].into_iter().enumerate()
            {
                let reply = ask(&stack, next, &session, &Question::new(model, "more"), stream).await;
                let history = format!("[history={}]", 2 * (turn + 1));
                assert!(next.read(&reply, stream).text.contains(&history), "{format:?}: {}", reply.text());
                assert_eq!(reply.header("x-session-id"), session);
            }
            // And the unified API's.
            let reply =
                stack.prompt(json!({"prompt": "last", "sessionId": session, "models": ["openai:ok"]})).await;
            assert!(reply.answer().contains("[history=6]"), "{}", reply.text());
        }
    }
    let nothing = Question::new("openai:ok", "hi");
    let plain = ClientFormat::Chat.ask(stack.gateway(), &nothing, false).await;
    assert_eq!(plain.header("x-session-id"), "", "nobody asked for a session");
    for unknown in ["nonsense", "6e0a7d43-2e0c-4b3a-8d4b-6f0c0e9f0001"] {
        let reply = ask(&stack, ClientFormat::Chat, unknown, &nothing, false).await;
        assert_eq!(ClientFormat::Chat.error(&reply).0, 400, "{unknown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_tools_are_remembered_with_the_conversation() {
    let stack = Stack::builder()
        .every_provider()
        .models(["openai:ok", "anthropic:ok", "gemini:gemini-3"])
        .start()
        .await;
    for model in ["openai:ok", "anthropic:ok", "gemini:gemini-3"] {
        let question = Question::new(model, r#"!call weather {"x":"Bern"}"#).tools(&["weather"]);
        let reply = ask(&stack, ClientFormat::Chat, "new", &question, false).await;
        let session = reply.header("x-session-id").to_owned();
        let said = ClientFormat::Chat.read(&reply, false);
        // Only what is new is sent: the result of the call.
        let mut body = ClientFormat::Chat.body(&question, false);
        body["messages"] = json!([{"role": "tool", "tool_call_id": said.calls[0].id, "content": "rain"}]);
        let request =
            stack.gateway().request(Method::POST, "/v1/chat/completions").header("x-session-id", &session);
        let reply = Reply::of(request.json(&body)).await;
        assert_eq!(ClientFormat::Chat.read(&reply, false).text, "results: weather=rain", "{model}");
    }
}

fn response(input: &str, previous: Option<&str>) -> Value {
    let mut body = json!({"model": "openai:ok", "input": input});
    if let Some(previous) = previous {
        body["previous_response_id"] = previous.into();
    }
    body
}

async fn respond(stack: &Stack, body: &Value) -> (String, String) {
    let reply = stack.gateway().post("/v1/responses", body).await;
    let id = reply.json()["id"].as_str().unwrap_or_else(|| panic!("{}", reply.text())).to_owned();
    (id, ClientFormat::Responses.read(&reply, false).text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_goes_on_from_any_earlier_one() {
    let stack = Stack::builder().start().await;
    let (one, _) = respond(&stack, &response("one", None)).await;
    let (two, text) = respond(&stack, &response("two", Some(&one))).await;
    assert!(text.contains("[history=2]"), "{text}");
    let (_, text) = respond(&stack, &response("three", Some(&two))).await;
    assert!(text.contains("[history=4]"), "{text}");
    // A branch: as if two and three had never been.
    let (branch, text) = respond(&stack, &response("other", Some(&one))).await;
    assert!(text.contains("[history=2]"), "{text}");
    let (_, text) = respond(&stack, &response("more", Some(&branch))).await;
    assert!(text.contains("[history=4]"), "{text}");
    let asked = stack.simulator.requests();
    let said: Vec<&str> = asked.last().unwrap().body["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["content"].as_str().unwrap())
        .collect();
    assert_eq!((said[0], said[2], said[4]), ("one", "other", "more"));
    // Nothing is kept that is not to be.
    let mut forgotten = response("secret", None);
    forgotten["store"] = json!(false);
    let (id, _) = respond(&stack, &forgotten).await;
    for unknown in [id.as_str(), "resp_nonsense", "resp_00000000000000000000000000000001"] {
        let reply = stack.gateway().post("/v1/responses", &response("x", Some(unknown))).await;
        let (status, _, message) = ClientFormat::Responses.error(&reply);
        assert_eq!(
            (status, &reply.json()["error"]["param"]),
            (400, &json!("previous_response_id")),
            "{message}"
        );
    }
}
