//! Sessions belong to who began them. To anybody else they are not there, in any API, to the last byte.

use ai_warp_tests::{Gateway, Reply, Stack};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{SECRET, entry, send};

const ANN: (&str, &str) = ("x-api-key", "aiw_ann");
const BOB: (&str, &str) = ("x-api-key", "aiw_bob");

async fn post(stack: &Stack, path: &str, headers: &[(&str, &str)], body: Value) -> Reply {
    send(stack.gateway(), Method::POST, path, headers, Some(&body)).await
}

/// All that a client sees, but for the time.
fn whole(reply: &Reply) -> (u16, Vec<(String, String)>, String) {
    let mut headers: Vec<(String, String)> = reply
        .headers
        .iter()
        .filter(|(name, _)| !["date", "x-envoy-upstream-service-time"].contains(&name.as_str()))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    (reply.status, headers, reply.text())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_one_s_session_answers_like_one_that_never_was() {
    for storage in ["memory", "valkey"] {
        let keys = json!([entry("ann", "aiw_ann"), entry("bob", "aiw_bob")]);
        let stack = Stack::builder().storage(storage).set("auth.apiKeys", keys).start().await;
        let prompt = post(&stack, "/api/v1/prompt", &[ANN], json!({"prompt": "one"})).await;
        let session = prompt.session();
        let mut input = json!({"model": "openai:ok", "input": "one"});
        let response = post(&stack, "/v1/responses", &[ANN], input.clone()).await;
        let response = response.json()["id"].as_str().unwrap().to_owned();
        let (unknown, never) = (Uuid::new_v4().to_string(), format!("resp_{}", Uuid::new_v4().simple()));
        let chat = json!({"model": "openai:ok", "messages": [{"role": "user", "content": "two"}]});
        let messages =
            json!({"model": "openai:ok", "max_tokens": 9, "messages": [{"role": "user", "content": "two"}]});
        let ask_in_session = async |session: &str, who| {
            let id = ("x-session-id", session);
            let mut replies = vec![
                post(&stack, "/api/v1/prompt", &[who], json!({"prompt": "two", "sessionId": session})).await,
                post(&stack, "/api/v1/stream", &[who], json!({"prompt": "two", "sessionId": session})).await,
                post(&stack, "/v1/chat/completions", &[who, id], chat.clone()).await,
                post(&stack, "/v1/messages", &[who, id], messages.clone()).await,
                post(&stack, "/v1/responses", &[who, id], json!({"model": "openai:ok", "input": "two"}))
                    .await,
            ];
            for method in [Method::GET, Method::DELETE] {
                for path in [
                    format!("/api/v1/sessions/{session}"),
                    format!("/api/v1/sessions/{session}?consumer=ann"),
                ] {
                    replies.push(send(stack.gateway(), method.clone(), &path, &[who], None).await);
                }
            }
            replies
        };
        // Nothing that a client says makes it somebody else.
        let owner = Uuid::new_v4().to_string();
        for forged in [
            ("x-ai-warp-owner", owner.as_str()),
            ("x-ai-warp-consumer", "ann"),
            ("x-ai-warp-jwt-payload", "eyJzdWIiOiJhbm4ifQ"),
            ("X-AI-Warp-Owner", ""),
        ] {
            let path = format!("/api/v1/sessions/{session}");
            let reply = send(stack.gateway(), Method::GET, &path, &[BOB, forged], None).await;
            assert_eq!(reply.status, 404, "{forged:?}: {}", reply.text());
            let reply = send(stack.gateway(), Method::GET, &path, &[ANN, forged], None).await;
            assert_eq!(reply.status, 200, "{forged:?}: {}", reply.text());
        }
        let foreign = ask_in_session(&session, BOB).await;
        let nowhere = ask_in_session(&unknown, BOB).await;
        for (foreign, nowhere) in foreign.iter().zip(&nowhere) {
            assert!(matches!(foreign.status, 400 | 404), "{}", foreign.text());
            assert_eq!(whole(foreign), whole(nowhere), "{storage}");
        }
        input["previous_response_id"] = response.clone().into();
        let foreign = post(&stack, "/v1/responses", &[BOB], input.clone()).await;
        let mut input_never = input.clone();
        input_never["previous_response_id"] = never.into();
        assert_eq!(whole(&foreign), whole(&post(&stack, "/v1/responses", &[BOB], input_never).await));
        assert_eq!(foreign.status, 400);
        // And nobody has come to harm.
        assert_eq!(post(&stack, "/v1/responses", &[ANN], input).await.status, 200);
        let own = ask_in_session(&session, ANN).await;
        let statuses: Vec<u16> = own.iter().map(|reply| reply.status).collect();
        assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 200, 204, 404], "{storage}");

        // Operators say whose sessions they mean.
        let session = post(&stack, "/api/v1/prompt", &[ANN], json!({"prompt": "one"})).await.session();
        let api = stack.control_plane.api();
        for (query, status) in [("?consumer=ann", 200), ("?consumer=bob", 404), ("", 404)] {
            assert_eq!(
                api.get(&format!("/api/v1/sessions/{session}{query}")).await.status,
                status,
                "{query}"
            );
        }
    }
}

/// What `ann` is called where sessions are kept: nobody is told, but nothing must hang on that.
const OWNER_ANN: &str = "745fb513-d498-58be-a062-807b9a208f71";

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_only_the_gateway_may_write_do_nothing_for_a_client() {
    let mut stack = Stack::builder()
        .set(
            "auth",
            json!({
                "required": false, "jwt": {"secret": SECRET}, "webhook": {"url": "http://127.0.0.1:1"},
                "apiKeys": [entry("ann", "aiw_ann")],
            }),
        )
        .start()
        .await;
    let session = post(&stack, "/api/v1/prompt", &[ANN], json!({"prompt": "one"})).await.session();
    let path = format!("/api/v1/sessions/{session}");
    // It is the right name: whoever reaches the port for gateways alone can use it.
    let behind = Gateway::new(stack.control_plane.xds());
    let own = send(&behind, Method::GET, &path, &[("x-ai-warp-owner", OWNER_ANN)], None).await;
    assert_eq!(own.status, 200);
    stack.reconfigure(|config| _ = config.set("auth.webhook", Value::Null)).await;
    // {"sub":"ann"}
    let payload = ("x-ai-warp-jwt-payload", "eyJzdWIiOiJhbm4ifQ");
    for forged in [
        &[("x-ai-warp-owner", OWNER_ANN)][..],
        &[("X-AI-WARP-OWNER", OWNER_ANN), ("x-ai-warp-owner", OWNER_ANN)],
        &[payload],
        &[("x-ai-warp-consumer", "ann")],
    ] {
        let reply = send(stack.gateway(), Method::GET, &path, forged, None).await;
        assert_eq!(reply.status, 404, "anonymous with {forged:?}: {}", reply.text());
        let body = json!({"prompt": "two", "sessionId": session});
        assert_eq!(post(&stack, "/api/v1/prompt", forged, body).await.status, 400, "{forged:?}");
    }
    stack.reconfigure(|config| _ = config.set("auth.required", true)).await;
    for headers in [&[payload][..], &[payload, ("authorization", "Bearer x.y.z")]] {
        assert_eq!(send(stack.gateway(), Method::GET, &path, headers, None).await.status, 401, "{headers:?}");
    }
}
