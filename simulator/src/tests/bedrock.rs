//! Bedrock Converse: answers, binary streams, tools, signatures, and what is refused.

use serde_json::{Value, json};

use super::client::{Reply, send};
use super::frames::{Frame, decode};
use super::signer::signed;
use super::{ask, headers, post, question, start, text};
use crate::{Outcome, Provider, Simulator};

const PATH: &str = "/bedrock/model/m/converse";
const B: Provider = Provider::Bedrock;

fn tools() -> Value {
    let schema = json!({ "json": { "type": "object" } });
    let spec =
        |name: &str| json!({ "toolSpec": { "name": name, "description": "d", "inputSchema": schema } });
    json!({ "tools": [spec("get_weather"), spec("ping")] })
}

fn body(change: &Value) -> Value {
    let mut body = question(B, "m", "hi", false).1;
    for (name, value) in change.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

async fn changed(simulator: &Simulator, change: &Value) -> Reply {
    post(simulator, B, PATH, &body(change)).await
}

fn user(content: Value) -> Value {
    json!({ "role": "user", "content": content })
}

fn assistant(content: Value) -> Value {
    json!({ "role": "assistant", "content": content })
}

fn said(text: &str) -> Value {
    json!([{ "text": text }])
}

fn call(id: &str) -> Value {
    json!([{ "toolUse": { "toolUseId": id, "name": "ping", "input": {} } }])
}

fn result(id: &str) -> Value {
    json!([{ "toolResult": { "toolUseId": id, "content": [{ "text": "pong" }], "status": "success" } }])
}

/// All frames of a stream that ended as it should.
fn frames(reply: &Reply) -> Vec<Frame> {
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (200, Some("application/vnd.amazon.eventstream"))
    );
    let (frames, rest) = decode(&reply.bytes).unwrap();
    assert!(rest.is_empty(), "{rest:?}");
    frames
}

fn names(frames: &[Frame]) -> Vec<&str> {
    frames.iter().map(|frame| frame.name.as_str()).collect()
}

#[tokio::test]
async fn a_conversation_is_answered_with_all_it_says() {
    let simulator = start().await;
    let change = json!({
        "system": [{ "text": "be kind" }, { "cachePoint": { "type": "default" } }],
        "messages": [user(said("one")), assistant(said("two")), user(json!([
            { "text": "three" },
            { "image": { "format": "jpeg", "source": { "bytes": "AAAAAA==" } } },
        ]))],
        "inferenceConfig": { "temperature": 0.5, "maxTokens": 50 },
        "toolConfig": tools(),
    });
    let reply = changed(&simulator, &change).await;
    let expected = "bedrock/m: three [system=be kind] [history=2] [temperature=0.5] [max=50] \
                    [tools=get_weather,ping] [images=image/jpeg:4]";
    let json = reply.json();
    assert_eq!((reply.status, text(B, &json).as_str()), (200, expected));
    assert_eq!(json["stopReason"], "end_turn");
    assert_eq!((&json["usage"]["inputTokens"], &json["usage"]["totalTokens"]), (&json!(5), &json!(14)));
    assert!(json["metrics"]["latencyMs"].is_number());
    assert!(reply.header("x-amzn-requestid").is_some());
}

#[tokio::test]
async fn a_stream_is_made_of_frames_with_usage_at_the_very_end() {
    let simulator = start().await;
    let reply = ask(&simulator, B, "arn:aws:bedrock:eu/x~cached=1", "!words 2", true).await;
    let frames = frames(&reply);
    let expected = [
        "messageStart",
        "contentBlockDelta",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
    ];
    assert_eq!(names(&frames), expected, "a text begins without a contentBlockStart");
    assert!(frames.iter().all(|frame| frame.kind == "event" && frame.json()["p"].is_string()));
    assert!(frames[0].headers.contains(&(":content-type".to_owned(), "application/json".to_owned())));
    assert_eq!(frames[1].json()["delta"], json!({ "text": "word1" }));
    assert_eq!(frames[4].json()["stopReason"], "end_turn");
    let usage = &frames[5].json()["usage"];
    assert_eq!((&usage["inputTokens"], &usage["cacheReadInputTokens"]), (&json!(1), &json!(1)));
    assert_eq!((&usage["outputTokens"], &usage["totalTokens"]), (&json!(2), &json!(4)));
    let request = &simulator.requests()[0];
    assert_eq!((request.model.as_str(), request.chunks.len()), ("arn:aws:bedrock:eu/x~cached=1", 2));
    let encoded = "/bedrock/model/arn%3Aaws%3Abedrock%3Aeu%2Fx/converse";
    let (_, body) = question(B, "", "hi", false);
    let reply = post(&simulator, B, encoded, &body).await;
    assert!(text(B, &reply.json()).starts_with("bedrock/arn:aws:bedrock:eu/x: hi"));
}

#[tokio::test]
async fn tool_calls_keep_their_exact_text() {
    let simulator = start().await;
    let exact = r#"{"city":  "Paris", "b": 1.0}"#;
    let asked = format!("!say Wait. ;; call get_weather {exact} ;; ping");
    let change = json!({ "messages": [user(said(&asked))], "toolConfig": tools() });
    let body = body(&change);
    let whole = post(&simulator, B, "/bedrock/model/m~thoughts/converse", &body).await;
    assert!(whole.body.contains(&format!("\"input\":{exact}")), "{}", whole.body);
    let json = whole.json();
    assert_eq!(json["stopReason"], "tool_use");
    let content = json["output"]["message"]["content"].as_array().unwrap().clone();
    assert!(content[0]["reasoningContent"]["reasoningText"]["signature"].is_string());
    assert_eq!((&content[1]["text"], &content[3]["toolUse"]["input"]), (&json!("Wait."), &json!({})));
    let stream = post(&simulator, B, "/bedrock/model/m~thoughts/converse-stream", &body).await;
    let frames = frames(&stream);
    let of = |index: usize| {
        let frames: Vec<Value> = frames.iter().map(Frame::json).collect();
        frames.into_iter().filter(move |data| data["contentBlockIndex"] == index)
    };
    let joined = |index: usize, pointer: &str| -> String {
        of(index).filter_map(|data| Some(data.pointer(pointer)?.as_str()?.to_owned())).collect()
    };
    assert_eq!(joined(0, "/delta/reasoningContent/text"), "Let me think about it.");
    assert!(!joined(0, "/delta/reasoningContent/signature").is_empty());
    assert_eq!(joined(1, "/delta/text"), "Wait.");
    assert_eq!(joined(2, "/start/toolUse/name"), "get_weather");
    assert_eq!(joined(2, "/delta/toolUse/input"), exact);
    assert_eq!(
        (joined(3, "/start/toolUse/name"), joined(3, "/delta/toolUse/input")),
        ("ping".into(), "".into())
    );
    assert_eq!(frames.iter().filter(|frame| frame.name == "contentBlockStart").count(), 2);
    assert_eq!(frames.iter().filter(|frame| frame.name == "contentBlockStop").count(), 4);
    // What was answered, reasoning included, may come back.
    let ids: Vec<_> =
        [2, 3].iter().map(|at| content[*at]["toolUse"]["toolUseId"].as_str().unwrap()).collect();
    let results = json!([
        { "toolResult": { "toolUseId": ids[1], "content": [{ "json": { "ok": true } }] } },
        { "toolResult": { "toolUseId": ids[0], "content": [{ "text": "sunny" }] } },
    ]);
    let messages = json!([user(said("x")), assistant(content.into()), user(results)]);
    let reply = changed(&simulator, &json!({ "messages": messages, "toolConfig": tools() })).await;
    assert_eq!(text(B, &reply.json()), r#"results: get_weather=sunny; ping={"ok":true}"#);
}

#[tokio::test]
async fn choices_and_schemas_decide_the_answer() {
    let simulator = start().await;
    let mut config = tools();
    config["toolChoice"] = json!({ "tool": { "name": "ping" } });
    let json = changed(&simulator, &json!({ "toolConfig": config })).await.json();
    assert_eq!(json["output"]["message"]["content"][0]["toolUse"]["name"], "ping");
    let schema = r#"{"type":"object","properties":{"z":{"type":"boolean"},"a":{"enum":["x"]}}}"#;
    let format =
        json!({ "type": "json_schema", "structure": { "jsonSchema": { "schema": schema, "name": "n" } } });
    let reply = changed(&simulator, &json!({ "outputConfig": { "textFormat": format } })).await;
    assert_eq!(text(B, &reply.json()), r#"{"z":true,"a":"x"}"#);
}

#[tokio::test]
async fn a_request_that_breaks_the_rules_is_refused() {
    let simulator = start().await;
    let messages = |list: Value| json!({ "messages": list, "toolConfig": tools() });
    let config = |name: &str, value: Value| json!({ "inferenceConfig": { name: value } });
    let spec = |spec: Value| json!({ "toolConfig": { "tools": [{ "toolSpec": spec }] } });
    let image = |format: &str, source: Value| {
        messages(json!([user(json!([{ "image": { "format": format, "source": source } }]))]))
    };
    let valid = "ValidationException";
    let table = [
        (json!({ "model": "m" }), valid, "extraneous key [model] is not permitted"),
        (json!({ "inferenceConfig": { "max_tokens": 5 } }), valid, "extraneous key [max_tokens]"),
        (json!({ "messages": null }), valid, "must start with a user message"),
        (json!({ "messages": "hi" }), "SerializationException", "can not be converted"),
        (messages(json!([assistant(said("x"))])), valid, "must start with a user message"),
        (
            messages(json!([user(said("x")), user(said("y"))])),
            valid,
            "must alternate between user and assistant",
        ),
        (
            messages(json!([{ "role": "system", "content": said("x") }])),
            valid,
            "enum value set: [user, assistant]",
        ),
        (
            messages(json!([user(json!([]))])),
            valid,
            "The content field in the Message object at messages.0 is empty",
        ),
        (messages(json!([user("hi".into())])), "SerializationException", "can not be converted"),
        (messages(json!([user(said(" "))])), valid, "messages.0.content.0 is blank"),
        (messages(json!([user(json!([{ "type": "text", "text": "x" }]))])), valid, "extraneous key [type]"),
        (json!({ "system": [{ "text": "" }] }), valid, "system.0 is blank"),
        (config("temperature", 1.5.into()), valid, "value less than or equal to 1"),
        (config("maxTokens", 0.into()), valid, "value greater than or equal to 1"),
        (config("stopSequences", json!([""])), valid, "stopSequences.1.member"),
        (image("bmp", json!({ "bytes": "AAAA" })), valid, "enum value set: [png, jpeg, gif, webp]"),
        (image("png", json!({ "bytes": "!" })), "SerializationException", "base64"),
        (image("png", json!({ "url": "https://x.test" })), valid, "extraneous key [url]"),
        (
            json!({ "messages": [user(said("x")), assistant(call("t")), user(result("t"))] }),
            valid,
            "The toolConfig field must be defined when using toolUse and toolResult content blocks",
        ),
        (
            messages(json!([user(said("x")), assistant(call("t"))])),
            valid,
            "Expected toolResult blocks at messages.2",
        ),
        (
            messages(json!([user(said("x")), assistant(call("t")), user(said("y"))])),
            valid,
            "following Ids: t",
        ),
        (
            messages(json!([user(result("t"))])),
            valid,
            "exceeds the number of toolUse blocks of previous turn",
        ),
        (
            messages(json!([user(said("x")), assistant(call("t.1")), user(result("t.1"))])),
            valid,
            "[a-zA-Z0-9_-]+",
        ),
        (
            messages(json!([user(said("x")), assistant(call(&"t".repeat(65)))])),
            valid,
            "length between 1 and 64",
        ),
        (messages(json!([user(call("t"))])), valid, "only allowed in assistant messages"),
        (
            messages(json!([
                user(said("x")),
                assistant(call("t")),
                user(json!([
                { "toolResult": { "toolUseId": "t", "content": [], "status": "error" } }]))
            ])),
            valid,
            "cannot be empty when status value is error",
        ),
        (json!({ "toolConfig": { "tools": [] } }), valid, "length greater than or equal to 1"),
        (
            spec(json!({ "name": "a", "description": "", "inputSchema": { "json": { "type": "object" } } })),
            valid,
            "description",
        ),
        (spec(json!({ "name": "a", "inputSchema": { "json": {} } })), valid, "one of the following: object"),
        (
            spec(json!({ "name": "a b", "inputSchema": { "json": { "type": "object" } } })),
            valid,
            "[a-zA-Z0-9_-]+",
        ),
        (
            json!({ "toolConfig": { "tools": tools()["tools"], "toolChoice": { "none": {} } } }),
            valid,
            "[none]",
        ),
        (
            json!({ "toolConfig": { "tools": tools()["tools"], "toolChoice": { "tool": { "name": "x" } } } }),
            valid,
            "not defined",
        ),
        (
            json!({ "outputConfig": { "textFormat": {
                "type": "json_schema",
                "structure": { "jsonSchema": { "schema": {} } },
            } } }),
            valid,
            "must be a string that contains a JSON schema",
        ),
        (
            messages(json!([
                user(said("x")),
                assistant(json!([{ "reasoningContent": { "reasoningText":
                { "text": "t", "signature": "s" } } }])),
                user(said("y"))
            ])),
            valid,
            "Invalid `signature`",
        ),
    ];
    for (change, kind, message) in table {
        let reply = changed(&simulator, &change).await;
        let json = reply.json();
        assert_eq!(reply.status, 400, "{change} {json}");
        assert!(json["message"].as_str().unwrap().contains(message), "{change} {json}");
        let header = reply.header("x-amzn-errortype").unwrap();
        assert!(header.starts_with(&kind.to_ascii_lowercase()), "{change} {header}");
    }
    let (_, body) = question(B, "", "hi", false);
    let mut warm = body.clone();
    warm["inferenceConfig"] = json!({ "temperature": 1 });
    let path = "/bedrock/model/us.anthropic.claude-opus-4-7-v1%3A0/converse";
    let reply = post(&simulator, B, path, &warm).await;
    assert!(reply.json()["message"].as_str().unwrap().contains("`temperature` is deprecated for this model"));
    assert_eq!(post(&simulator, B, path, &body).await.status, 200);
}

#[tokio::test]
async fn signatures_are_as_good_as_keys() {
    let simulator = start().await;
    let path = "/bedrock/model/anthropic.claude%3A0/converse";
    let body = question(B, "", "hi", false).1.to_string();
    let good = signed("POST", path, &body, "simulator-secret");
    let reply = send(&simulator, "POST", path, &good, &body).await.unwrap();
    assert_eq!(reply.status, 200, "{}", reply.body);
    let request = &simulator.requests()[0];
    assert_eq!((request.credential.as_deref(), request.leaks.len()), (Some("AKIDSIMULATOR"), 0));
    let wrong_secret = signed("POST", path, &body, "other");
    let mut wrong_key = good.clone();
    wrong_key[2].1 = wrong_key[2].1.replace("AKIDSIMULATOR", "AKIDOTHER");
    let mut without_date = good.clone();
    without_date.remove(1);
    let mut unsigned = good.clone();
    unsigned.push(("x-amz-security-token", "t".to_owned()));
    let bearer = |key: &str| {
        let mut headers = headers(B);
        headers[0].1 = format!("Bearer {key}");
        headers
    };
    let table = [
        (wrong_secret, body.clone(), "invalidsignatureexception"),
        (good, body.replace("hi", "ho"), "invalidsignatureexception"),
        (unsigned, body.clone(), "invalidsignatureexception"),
        (wrong_key, body.clone(), "unrecognizedclientexception"),
        (without_date, body.clone(), "incompletesignatureexception"),
        (bearer("wrong"), body.clone(), "accessdeniedexception"),
        (headers(B)[1..].to_vec(), body.clone(), "missingauthenticationtokenexception"),
    ];
    for (headers, body, kind) in table {
        let reply = send(&simulator, "POST", path, &headers, &body).await.unwrap();
        assert_eq!(reply.status, 403, "{headers:?}");
        assert!(reply.header("x-amzn-errortype").unwrap().starts_with(kind), "{}", reply.head);
        assert!(reply.json()["message"].is_string());
        assert_eq!(simulator.requests().last().unwrap().outcome, Outcome::Rejected);
    }
    assert_eq!(send(&simulator, "POST", path, &bearer("sim-key"), &body).await.unwrap().status, 200);
}

#[tokio::test]
async fn errors_name_their_type_in_a_header() {
    let simulator = start().await;
    let table = [
        ("limited", 429, "throttlingexception"),
        ("down", 503, "serviceunavailableexception"),
        ("m~status=500", 500, "internalserverexception"),
        ("m~status=424", 424, "modelerrorexception"),
        ("m~status=408", 408, "modeltimeoutexception"),
        ("missing", 404, "resourcenotfoundexception"),
        ("quota", 403, "accessdeniedexception"),
    ];
    for (model, status, kind) in table {
        for stream in [false, true] {
            let reply = ask(&simulator, B, model, "hi", stream).await;
            assert_eq!(reply.status, status, "{model}");
            assert!(reply.header("x-amzn-errortype").unwrap().starts_with(kind), "{}", reply.head);
            assert_eq!(reply.header("content-type"), Some("application/json"));
            assert!(reply.json()["message"].is_string() && reply.header("x-amzn-requestid").is_some());
        }
    }
}

#[tokio::test]
async fn streams_break_in_frames_too() {
    let simulator = start().await;
    let words = |model: &'static str| ask(&simulator, B, model, "!words 3", true);
    for (model, name, deltas) in [
        ("m~error-event=0~event-status=429", "throttlingException", 0),
        ("m~error-event=1~event-status=503", "serviceUnavailableException", 1),
        ("m~error-event=2~event-status=424", "modelStreamErrorException", 2),
        ("m~error-event=2", "internalServerException", 2),
    ] {
        let reply = words(model).await;
        let frames = frames(&reply);
        let last = frames.last().unwrap();
        assert_eq!((last.kind.as_str(), last.name.as_str()), ("exception", name), "{model}");
        assert!(last.json()["message"].is_string());
        assert_eq!(names(&frames).iter().filter(|name| **name == "contentBlockDelta").count(), deltas);
        let is_model_error = name == "modelStreamErrorException";
        assert_eq!(last.json()["originalStatusCode"] == 424, is_model_error);
    }
    let cut = words("m~cut=1").await;
    assert_eq!((names(&decode(&cut.bytes).unwrap().0).len(), cut.complete), (2, false));
    let half = words("m~cut-event=1").await;
    let (whole, rest) = decode(&half.bytes).unwrap();
    assert_eq!((whole.len(), rest.is_empty(), half.complete), (2, false, false));
    let early = words("m~early-end=1").await;
    assert_eq!((frames(&early).len(), early.complete), (2, true));
    assert_eq!(decode(&words("m~bad-crc=1").await.bytes), Err("message"));
    let malformed = words("m~malformed=1").await;
    assert!(frames(&malformed)[2].payload.starts_with("{{"));
    let split = words("m~split=1~thoughts").await;
    assert_eq!(names(&frames(&split)).last(), Some(&"metadata"));
    // Flags of event streams that are text leave frames alone.
    assert_eq!(words("m~no-final-blank~crlf~keep-alive~no-done").await.bytes, words("m").await.bytes);
}

#[tokio::test]
async fn requests_that_reach_no_model_are_refused_in_the_same_shape() {
    let simulator = start().await;
    let good = headers(B);
    let mut plain = good.clone();
    plain[1].1 = "text/plain".to_owned();
    let body = body(&json!({})).to_string();
    let table = [
        ("POST", "/bedrock/model/m/invoke", &good, body.as_str(), 404),
        ("POST", "/bedrock/model//converse", &good, body.as_str(), 404),
        ("GET", PATH, &good, "", 405),
        ("POST", PATH, &plain, body.as_str(), 400),
        ("POST", PATH, &good, "{\"messages\": ", 400),
        ("POST", PATH, &good, "[]", 400),
    ];
    for (method, path, headers, body, status) in table {
        let reply = send(&simulator, method, path, headers, body).await.unwrap();
        assert_eq!(reply.status, status, "{method} {path} {body}");
        assert!(reply.json()["message"].is_string() && reply.header("x-amzn-errortype").is_some());
    }
    assert_eq!(ask(&simulator, B, "m~statsu=503", "hi", false).await.status, 400);
}
