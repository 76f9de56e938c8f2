//! Tools: calls, whole and streamed, and the turn after them.

use serde_json::{Value, json};

use super::{FAMILY, ask_with, collect, tools};
use crate::Provider;
use crate::tests::{start, text};

/// Spelt so that no parser would write it the same way again.
const CITY: &str = r#"{"city":  "Paris", "n": 1.0}"#;

fn ids(calls: &[(String, String, String)]) -> Vec<&str> {
    calls.iter().map(|(id, ..)| id.as_str()).collect()
}

#[tokio::test]
async fn calls_pass_their_arguments_byte_by_byte() {
    let simulator = start().await;
    let asked = format!("!say One moment. ;; call get_weather {CITY} ;; ping");
    for provider in FAMILY {
        let change = json!({ "tools": tools() });
        let whole = ask_with(&simulator, provider, "m", &asked, false, &change).await.json();
        let message = &whole["choices"][0]["message"];
        assert_eq!(message["content"], "One moment.", "{provider}");
        assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls", "{provider}");
        let functions: Vec<_> =
            message["tool_calls"].as_array().unwrap().iter().map(|call| call["function"].clone()).collect();
        let expected = [
            json!({ "name": "get_weather", "arguments": CITY }),
            json!({ "name": "ping", "arguments": "{}" }),
        ];
        assert_eq!(functions, expected, "{provider}");
        let streamed = collect(&ask_with(&simulator, provider, "m", &asked, true, &change).await);
        let calls: Vec<_> =
            streamed.calls.iter().map(|(_, name, arguments)| (name.as_str(), arguments.as_str())).collect();
        assert_eq!(calls, [("get_weather", CITY), ("ping", "{}")], "{provider}");
        let finish = if provider == Provider::Ollama { "stop" } else { "tool_calls" };
        assert_eq!(
            (streamed.text.as_str(), streamed.finish),
            ("One moment.", vec![finish.to_owned()]),
            "{provider}"
        );
        assert_ne!(ids(&streamed.calls)[0], ids(&streamed.calls)[1], "{provider}");
        if provider == Provider::Mistral {
            assert!(ids(&streamed.calls).iter().all(|id| id.len() == 9));
        }
    }
}

#[tokio::test]
async fn calls_need_a_declared_tool_and_can_be_forced() {
    let simulator = start().await;
    let named = json!({ "type": "function", "function": { "name": "ping" } });
    let calls = |body: &Value| -> Vec<String> {
        let calls = body["choices"][0]["message"]["tool_calls"].as_array();
        let name = |call: &Value| call["function"]["name"].as_str().unwrap().to_owned();
        calls.into_iter().flatten().map(name).collect()
    };
    for (asked, change, expected) in [
        ("!call ping", json!({ "tool_choice": "none" }), vec![]),
        ("!call unheard_of", json!({}), vec![]),
        ("!call get_weather {} ;; ping", json!({ "parallel_tool_calls": false }), vec!["get_weather"]),
        ("hi", json!({ "tool_choice": "required" }), vec!["get_weather"]),
        ("hi", json!({ "tool_choice": named }), vec!["ping"]),
    ] {
        let mut change = change;
        change["tools"] = tools();
        let body = ask_with(&simulator, Provider::OpenAi, "m", asked, false, &change).await.json();
        assert_eq!(calls(&body), expected, "{asked} {change}");
        if expected.is_empty() {
            let echo = text(Provider::OpenAi, &body);
            assert!(echo.ends_with(" [tools=get_weather,ping]"), "{echo}");
        } else {
            assert_eq!(body["choices"][0]["message"]["content"], Value::Null);
        }
    }
    let any = json!({ "tool_choice": "any", "tools": tools() });
    let mistral = ask_with(&simulator, Provider::Mistral, "m", "hi", false, &any).await.json();
    assert_eq!(calls(&mistral), ["get_weather"]);
}

#[tokio::test]
async fn results_are_told_in_the_order_of_the_calls() {
    let simulator = start().await;
    for provider in FAMILY {
        let asked = format!("!call get_weather {CITY} ;; ping");
        let change = json!({ "tools": tools() });
        let message = ask_with(&simulator, provider, "m~thoughts", &asked, false, &change).await.json()["choices"][0]
            ["message"]
            .clone();
        let id = |index: usize| message["tool_calls"][index]["id"].clone();
        let mut assistant =
            json!({ "role": "assistant", "content": "", "tool_calls": message["tool_calls"] });
        let messages = |assistant: &Value| {
            json!([
                { "role": "user", "content": asked },
                assistant,
                { "role": "tool", "tool_call_id": id(1), "content": "pong" },
                { "role": "tool", "tool_call_id": id(0), "content": [{ "type": "text", "text": "18 degrees" }] },
            ])
        };
        let turn = |assistant: &Value| json!({ "tools": tools(), "messages": messages(assistant) });
        let reply = ask_with(&simulator, provider, "m~thoughts", "", true, &turn(&assistant)).await;
        if provider == Provider::DeepSeek {
            assert_eq!(reply.status, 400, "without its thoughts");
            assistant["reasoning_content"] = message["reasoning_content"].clone();
        }
        let reply = ask_with(&simulator, provider, "m~thoughts", "", true, &turn(&assistant)).await;
        let expected = "results: get_weather=18 degrees; ping=pong";
        assert_eq!(collect(&reply).text, expected, "{provider}");
    }
}

#[tokio::test]
async fn histories_of_calls_are_checked() {
    let simulator = start().await;
    let call =
        |id: &str| json!({ "id": id, "type": "function", "function": { "name": "ping", "arguments": "{}" } });
    let user = json!({ "role": "user", "content": "hi" });
    let calls = |ids: &[&str]| {
        let calls: Vec<_> = ids.iter().map(|id| call(id)).collect();
        json!({ "role": "assistant", "tool_calls": calls })
    };
    let result = |id: &str| json!({ "role": "tool", "tool_call_id": id, "content": "r" });
    let (a, b) = ("aaaaaaaaa", "bbbbbbbbb");
    for provider in FAMILY {
        let ignores_order = matches!(provider, Provider::Ollama | Provider::Vllm | Provider::LlamaCpp);
        for (messages, is_fine) in [
            (json!([user, calls(&[a, b]), result(b), result(a)]), true),
            (json!([user, calls(&[a]), result(a), user]), true),
            (json!([user, calls(&[a, b]), result(a)]), ignores_order),
            (json!([user, calls(&[a]), user]), ignores_order),
            (json!([user, calls(&[a]), result(a), result(a)]), ignores_order),
            (json!([user, result(a)]), ignores_order),
            (json!([user, calls(&[])]), false),
            (json!([user, { "role": "tool", "content": "r" }]), false),
            (json!([user, { "role": "assistant", "tool_calls": [{ "id": a, "type": "function" }] }]), false),
        ] {
            let reply =
                ask_with(&simulator, provider, "m", "", false, &json!({ "messages": messages })).await;
            assert_eq!(reply.status == 200, is_fine, "{provider} {messages}: {}", reply.body);
        }
        let object = json!([user, { "role": "assistant", "tool_calls": [
            { "id": a, "type": "function", "function": { "name": "ping", "arguments": {} } },
        ] }, result(a)]);
        let reply = ask_with(&simulator, provider, "m", "", false, &json!({ "messages": object })).await;
        assert!(matches!(reply.status, 400 | 422), "{provider}: arguments are a text");
    }
}
