//! Gemini with tools, images, schemas, thoughts and embeddings; Vertex AI where it is the same.

use serde_json::{Value, json};

use super::client::Reply;
use super::{ask, post, question, start, text};
use crate::{Provider, Simulator};

const G: Provider = Provider::Gemini;

fn tools() -> Value {
    let schema =
        json!({ "type": "OBJECT", "properties": { "city": { "type": "STRING" } }, "required": ["city"] });
    json!([{ "functionDeclarations": [
        { "name": "get_weather", "description": "Weather", "parameters": schema },
        { "name": "ping", "parametersJsonSchema": { "type": "object", "additionalProperties": false } },
    ] }])
}

fn calling(config: Value) -> Value {
    json!({ "tools": tools(), "toolConfig": { "functionCallingConfig": config } })
}

async fn changed(simulator: &Simulator, provider: Provider, model: &str, change: &Value) -> Reply {
    let (path, mut body) = question(provider, model, "hi", false);
    for (name, value) in change.as_object().unwrap() {
        body[name] = value.clone();
    }
    post(simulator, provider, &path, &body).await
}

fn user(parts: Value) -> Value {
    json!({ "role": "user", "parts": parts })
}

fn model(parts: Value) -> Value {
    json!({ "role": "model", "parts": parts })
}

fn said(text: &str) -> Value {
    user(json!([{ "text": text }]))
}

fn call(name: &str) -> Value {
    json!({ "functionCall": { "name": name, "args": {} } })
}

fn response(name: &str, response: Value) -> Value {
    json!({ "functionResponse": { "name": name, "response": response } })
}

/// The parts of an answer's only candidate.
fn parts(json: &Value) -> Vec<Value> {
    json["candidates"][0]["content"]["parts"].as_array().cloned().unwrap_or_default()
}

#[tokio::test]
async fn images_and_tools_are_understood() {
    let simulator = start().await;
    let change = json!({
        "contents": [user(json!([
            { "text": "look" },
            { "inlineData": { "mimeType": "image/png", "data": "AAAA" } },
            { "file_data": { "mime_type": "image/jpeg", "file_uri": "gs://bucket/a.jpg" } },
        ]))],
        "tools": tools(),
    });
    for provider in [G, Provider::Vertex] {
        let json = changed(&simulator, provider, "m", &change).await.json();
        let expected = format!(
            "{provider}/m: look [system=-] [history=0] [temperature=-] [max=-] [tools=get_weather,ping] \
             [images=image/png:3,url:gs://bucket/a.jpg]"
        );
        assert_eq!(text(provider, &json), expected);
    }
}

#[tokio::test]
async fn calls_come_whole_and_signed_before_the_chunk_that_finishes() {
    let simulator = start().await;
    let exact = r#"{"city":  "Paris", "b": 1.0}"#;
    let asked = format!("!say Wait. ;; call get_weather {exact} ;; ping");
    let change = json!({ "contents": [said(&asked)], "tools": tools() });
    for provider in [G, Provider::Vertex] {
        let whole = changed(&simulator, provider, "m", &change).await;
        assert!(whole.body.contains(&format!("\"args\":{exact}")), "{}", whole.body);
        let json = whole.json();
        assert_eq!(json["candidates"][0]["finishReason"], "STOP");
        let whole = parts(&json);
        assert_eq!((whole.len(), &whole[0]["text"]), (3, &json!("Wait.")));
        assert!(whole[1]["thoughtSignature"].is_string(), "only the first call is signed");
        assert_eq!(whole[2], json!({ "functionCall": { "name": "ping", "args": {} } }));
        let (path, _) = question(provider, "m", "", true);
        let events = post(&simulator, provider, &path, &change).await.events();
        let calls: Vec<_> = events
            .iter()
            .filter(|event| event["candidates"][0]["content"]["parts"][0].get("functionCall").is_some())
            .collect();
        assert_eq!(calls.iter().flat_map(|event| parts(event)).collect::<Vec<_>>(), whole[1..]);
        assert!(calls.iter().all(|event| event["candidates"][0].get("finishReason").is_none()));
        let last = events.last().unwrap();
        assert_eq!(
            (&last["candidates"][0]["finishReason"], parts(last)),
            (&json!("STOP"), vec![json!({ "text": "" })])
        );
    }
}

#[tokio::test]
async fn responses_belong_to_calls_by_name_and_number() {
    let simulator = start().await;
    let history = |responses: Value| {
        let calls = model(json!([call("ping"), call("get_weather"), call("ping")]));
        json!({ "contents": [said("x"), calls, user(responses)], "tools": tools() })
    };
    let answered = history(json!([
        response("get_weather", json!({ "output": "sunny" })),
        response("ping", json!({ "result": { "n": 1 } })),
        response("ping", json!({ "a": 1, "output": 2 })),
    ]));
    let reply = changed(&simulator, G, "m", &answered).await.json();
    assert_eq!(text(G, &reply), r#"results: ping={"n":1}; get_weather=sunny; ping={"a":1,"output":2}"#);
    let pong = || response("ping", json!({}));
    let table = [
        (history(json!([pong(), pong()])), "number of function response parts is equal"),
        (history(json!([{ "text": "x" }])), "number of function response parts is equal"),
        (history(json!([pong(), pong(), pong()])), "does not belong to a function call"),
        (history(json!([pong(), pong(), response("", json!({}))])), "Name cannot be empty"),
        (json!({ "contents": [user(json!([pong()]))] }), "comes immediately after a function call turn"),
        (
            json!({ "contents": [model(json!([call("ping")])), user(json!([pong()]))] }),
            "call turn comes immediately after",
        ),
        (
            json!({ "contents": [said("x"), model(json!([call("ping")]))] }),
            "number of function response parts is equal",
        ),
        (json!({ "contents": [user(json!([call("ping")]))] }), "only allowed in turns of the model"),
        (
            json!({ "contents": [said("x"), model(json!([{ "functionCall": { "name": "a", "args": "{}" } }]))] }),
            "Invalid value at 'contents[1].parts[0].function_call.args'",
        ),
        (
            json!({ "contents": [said("x"), model(json!([{ "functionCall": { "name": "a", "arguments": {} } }]))] }),
            "Unknown name \"arguments\" at 'contents[1].parts[0].function_call'",
        ),
        (
            json!({ "contents": [
                said("x"),
                model(json!([call("a")])),
                user(json!([{ "functionResponse": { "name": "a" } }])),
            ] }),
            "function_response.response",
        ),
    ];
    for (change, message) in table {
        let reply = changed(&simulator, G, "m", &change).await;
        let error = reply.json()["error"].clone();
        assert_eq!((reply.status, &error["status"]), (400, &json!("INVALID_ARGUMENT")), "{change}");
        assert!(error["message"].as_str().unwrap().contains(message), "{change} {error}");
    }
}

#[tokio::test]
async fn newer_models_want_the_signature_of_a_call_back() {
    let simulator = start().await;
    let change = json!({ "contents": [said("!call ping ;; get_weather {}")], "tools": tools() });
    let answered = parts(&changed(&simulator, G, "gemini-3-pro", &change).await.json());
    let history = |calls: Value| {
        let responses = user(json!([response("ping", json!({})), response("get_weather", json!({}))]));
        json!({ "contents": [said("x"), model(calls), responses], "tools": tools() })
    };
    let signed = |signature: &str| {
        let mut parts = answered.clone();
        parts[0]["thoughtSignature"] = signature.into();
        history(parts.into())
    };
    let unsigned = history(json!([call("ping"), call("get_weather")]));
    let table = [
        ("gemini-3-pro", history(answered.clone().into()), ""),
        ("gemini-3-pro", signed("skip_thought_signature_validator"), ""),
        ("gemini-3-pro", signed("c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="), ""),
        ("gemini-3-pro", unsigned.clone(), "Function call is missing a thought_signature"),
        ("gemini-3-pro", signed("AAAA"), "Corrupted thought signature"),
        ("gemini-3-pro", signed("!"), "Base64 decoding failed"),
        ("gemini-2.5-pro", unsigned, ""),
    ];
    for (model, change, message) in table {
        let json = changed(&simulator, G, model, &change).await.json();
        assert_eq!(json["error"].is_null(), message.is_empty(), "{json}");
        assert!(json["error"]["message"].as_str().unwrap_or_default().contains(message), "{json}");
    }
}

#[tokio::test]
async fn modes_schemas_candidates_and_thoughts_decide_the_answer() {
    let simulator = start().await;
    let named = calling(json!({ "mode": "ANY", "allowedFunctionNames": ["ping"] }));
    assert_eq!(parts(&changed(&simulator, G, "m", &named).await.json())[0]["functionCall"]["name"], "ping");
    let any = calling(json!({ "mode": "any" }));
    assert_eq!(
        parts(&changed(&simulator, G, "m", &any).await.json())[0]["functionCall"]["name"],
        "get_weather"
    );
    let mut none = calling(json!({ "mode": "NONE" }));
    none["contents"] = json!([said("!call ping")]);
    assert!(text(G, &changed(&simulator, G, "m", &none).await.json()).starts_with("gemini/m: !call ping"));
    let list = json!({ "type": "ARRAY", "items": { "type": "STRING" } });
    let schema = json!({ "type": "OBJECT", "properties": { "z": { "type": "NUMBER" }, "a": list } });
    for name in ["responseSchema", "responseJsonSchema"] {
        let config = json!({ "generationConfig": { "responseMimeType": "application/json", name: schema } });
        assert_eq!(text(G, &changed(&simulator, G, "m", &config).await.json()), r#"{"z":1.5,"a":[]}"#);
    }
    let object = json!({ "generationConfig": { "response_mime_type": "application/json" } });
    assert_eq!(text(G, &changed(&simulator, G, "m", &object).await.json()), r#"{"ok":true}"#);
    let two = json!({ "contents": [said("!text yes")], "generationConfig": { "candidateCount": 2 } });
    let json = changed(&simulator, G, "m", &two).await.json();
    assert_eq!(json["candidates"][1]["content"]["parts"][0]["text"], "yes #2");
    assert_eq!(
        (&json["candidates"][1]["index"], json["candidates"].as_array().unwrap().len()),
        (&json!(1), 2)
    );
    let thoughtful = ask(&simulator, G, "m~thoughts~cached=1", "hello there", false).await.json();
    let thought = &parts(&thoughtful)[0];
    assert_eq!((&thought["thought"], &thought["text"]), (&json!(true), &json!("Let me think about it.")));
    assert!(parts(&thoughtful)[1]["thoughtSignature"].is_string());
    let usage = &thoughtful["usageMetadata"];
    assert_eq!((&usage["cachedContentTokenCount"], &usage["promptTokenCount"]), (&json!(1), &json!(2)));
    assert_eq!(usage["thoughtsTokenCount"], 5);
    let events = ask(&simulator, G, "m~thoughts", "hi", true).await.events();
    assert!(parts(events.last().unwrap())[0]["thoughtSignature"].is_string());
    let filtered = ask(&simulator, G, "m~content-filter", "hi", false).await.json();
    assert_eq!(filtered["candidates"][0]["safetyRatings"][0]["blocked"], true);
    let blocked = ask(&simulator, G, "m~prompt-blocked", "hi", false).await.json();
    assert!(blocked.get("candidates").is_none() && blocked["promptFeedback"]["blockReason"].is_string());
}

#[tokio::test]
async fn a_request_that_breaks_the_rules_is_refused() {
    let simulator = start().await;
    let config = |config: Value| json!({ "generationConfig": config });
    let declared = |declaration: Value| json!({ "tools": [{ "functionDeclarations": [declaration] }] });
    let parameters = |schema: Value| declared(json!({ "name": "f", "parameters": schema }));
    let property = |schema: Value| parameters(json!({ "type": "OBJECT", "properties": { "p": schema } }));
    let inline = |mime_type: &str, data: &str| {
        let data = json!({ "mimeType": mime_type, "data": data });
        json!({ "contents": [user(json!([{ "inlineData": data }]))] })
    };
    let file = |uri: &str| json!({ "contents": [user(json!([{ "fileData": { "fileUri": uri } }]))] });
    let schema = json!({ "type": "OBJECT" });
    let table = [
        ("m", json!({ "labels": {} }), "Unknown name \"labels\""),
        ("m", config(json!({ "n": 2 })), "Unknown name \"n\" at 'generation_config'"),
        ("m", config(json!({ "candidateCount": 9 })), "range [1, 8]"),
        ("m", config(json!({ "logprobs": 2 })), "only allowed when response_logprobs"),
        (
            "m",
            config(json!({ "responseSchema": schema })),
            "only allowed when response_mime_type is application/json",
        ),
        ("m", config(json!({ "responseMimeType": "text/html" })), "allowed mimetypes"),
        (
            "m",
            config(
                json!({ "responseMimeType": "application/json", "responseSchema": schema, "responseJsonSchema": schema }),
            ),
            "only one of",
        ),
        (
            "m",
            config(json!({
                "responseMimeType": "application/json",
                "responseSchema": { "type": "OBJECT", "additionalProperties": false },
            })),
            "Unknown name \"additionalProperties\" at 'generation_config.response_schema'",
        ),
        (
            "m",
            config(json!({ "thinkingConfig": { "thinkingBudget": 1, "thinkingLevel": "LOW" } })),
            "only one of thinking",
        ),
        ("m", config(json!({ "thinkingConfig": { "thinkingLevel": "SOME" } })), "ThinkingLevel"),
        (
            "gemini-2.5-pro",
            config(json!({ "thinkingConfig": { "thinkingLevel": "LOW" } })),
            "not supported for this model",
        ),
        ("m", declared(json!({ "name": "1f" })), "Invalid function name"),
        ("m", declared(json!({ "name": "f", "input_schema": {} })), "Unknown name \"input_schema\""),
        (
            "m",
            declared(json!({ "name": "f", "parameters": schema, "parametersJsonSchema": schema })),
            "only one of",
        ),
        ("m", parameters(json!({ "type": "object", "$ref": "#/x" })), "Unknown name \"$ref\""),
        ("m", parameters(json!({ "type": "string" })), "must be a object type"),
        ("m", property(json!({ "type": ["string", "null"] })), "Invalid value at"),
        ("m", property(json!({ "type": "date" })), "(Type)"),
        ("m", property(json!({ "type": "ARRAY" })), "items: missing field"),
        ("m", property(json!({ "type": "STRING", "format": "uuid" })), "only 'enum' and 'date-time'"),
        (
            "m",
            property(json!({ "oneOf": [] })),
            "Unknown name \"oneOf\" at 'tools[0].function_declarations[0].parameters.properties[p]'",
        ),
        ("m", parameters(json!({ "type": "OBJECT", "required": ["x"] })), "property is not defined"),
        ("m", json!({ "tools": [{ "type": "function" }] }), "Unknown name \"type\" at 'tools[0]'"),
        ("m", calling(json!({ "mode": "REQUIRED" })), "(Mode)"),
        (
            "m",
            calling(json!({ "mode": "AUTO", "allowedFunctionNames": ["ping"] })),
            "only when function calling mode is ANY",
        ),
        ("m", calling(json!({ "mode": "ANY", "allowedFunctionNames": ["x"] })), "not a declared function"),
        ("m", inline("image/gif", "AAAA"), "Unsupported MIME type: image/gif"),
        ("m", inline("image/png", "data:image/png"), "Base64 decoding failed"),
        ("m", file("http://x.test/a.png"), "unsupported file uri"),
        ("m", json!({ "contents": [user(json!([{ "image_url": {} }]))] }), "Unknown name \"image_url\""),
        ("m", json!({ "safetySettings": [{ "category": "X", "threshold": "OFF" }] }), "(HarmCategory)"),
        (
            "gemini-2.5-flash",
            json!({ "tools": tools(), "generationConfig": { "responseMimeType": "application/json" } }),
            "Function calling with a response mime type",
        ),
    ];
    for (model, change, message) in table {
        let reply = changed(&simulator, G, model, &change).await;
        let error = reply.json()["error"].clone();
        assert_eq!((reply.status, &error["status"]), (400, &json!("INVALID_ARGUMENT")), "{change}");
        assert!(error["message"].as_str().unwrap().contains(message), "{change} {error}");
    }
    for change in [
        config(json!({ "thinkingConfig": { "thinkingLevel": "low", "includeThoughts": true } })),
        property(json!({ "type": "string", "enum": ["a"], "nullable": true, "default": "a" })),
        json!({ "tools": [{ "googleSearch": {} }] }),
        file("https://x.test/a.png"),
    ] {
        assert_eq!(changed(&simulator, G, "m", &change).await.status, 200, "{change}");
    }
}

#[tokio::test]
async fn embeddings_are_told_apart() {
    let simulator = start().await;
    let content = |text: &str| json!({ "parts": [{ "text": text }] });
    let path = |call: &str| format!("/gemini/v1beta/models/m:{call}");
    let body = json!({ "content": content("a"), "outputDimensionality": 3 });
    let one = post(&simulator, G, &path("embedContent"), &body).await.json();
    assert_eq!(one["embedding"]["values"].as_array().unwrap().len(), 3);
    let request =
        |text: &str| json!({ "model": "models/m", "content": content(text), "outputDimensionality": 3 });
    let body = json!({ "requests": [request("b"), request("a")] });
    let batch = post(&simulator, G, &path("batchEmbedContents"), &body).await.json();
    assert_eq!(batch["embeddings"][1], one["embedding"]);
    assert_ne!(batch["embeddings"][0], one["embedding"]);
    for (call, body) in [
        ("embedContent", json!({ "contents": [content("a")] })),
        ("embedContent", json!({ "content": { "parts": [{ "text": "" }] } })),
        ("batchEmbedContents", json!({ "requests": [] })),
        ("batchEmbedContents", json!({ "requests": [{ "content": content("a") }] })),
    ] {
        assert_eq!(post(&simulator, G, &path(call), &body).await.status, 400, "{call} {body}");
    }
}
