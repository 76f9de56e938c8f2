//! Vertex AI where it differs from Gemini, and its token endpoint.

use serde_json::{Value, json};

use super::client::{Reply, send};
use super::{ask, headers, post, question, start, text};
use crate::base64;
use crate::{Outcome, Provider, Simulator};

const V: Provider = Provider::Vertex;

#[tokio::test]
async fn vertex_is_gemini_with_another_path_and_bearer_tokens() {
    let simulator = start().await;
    let whole = ask(&simulator, V, "m", "hello there", false).await.json();
    assert_eq!(text(V, &whole), "vertex/m: hello there [system=-] [history=0] [temperature=-] [max=-]");
    assert_eq!(whole["usageMetadata"]["trafficType"], "ON_DEMAND");
    let reply = ask(&simulator, V, "m", "!words 3", true).await;
    assert!(reply.body.ends_with("\r\n\r\n") && !reply.body.contains("[DONE]"));
    let streamed: String = reply.events().iter().map(|event| text(V, event)).collect();
    assert_eq!(streamed, "word1 word2 word3");
    let (path, body) = question(V, "m", "hi", false);
    let alias = path.replace("/vertex/v1/", "/vertex/v1beta1/");
    assert_eq!(post(&simulator, V, &alias, &body).await.status, 200);
    let labelled = json!({ "contents": body["contents"], "labels": { "team": "a" } });
    assert_eq!(post(&simulator, V, &path, &labelled).await.status, 200);
    let nameless = json!({ "contents": [{ "parts": [{ "text": "x" }] }] });
    assert_eq!(post(&simulator, V, &path, &nameless).await.status, 400);
    let mut wrong = headers(V);
    wrong[0].1 = "Bearer expired".to_owned();
    let refused = send(&simulator, "POST", &path, &wrong, &body.to_string()).await.unwrap();
    assert_eq!((refused.status, &refused.json()["error"]["status"]), (401, &json!("UNAUTHENTICATED")));
    for (model, status, name) in [("limited", 429, "RESOURCE_EXHAUSTED"), ("down", 503, "UNAVAILABLE")] {
        let reply = ask(&simulator, V, model, "hi", true).await;
        assert_eq!((reply.status, &reply.json()["error"]["status"]), (status, &json!(name)));
    }
    let (path, body) = question(V, "m~error-event=1", "!words 3", true);
    let events = post(&simulator, V, &path, &body).await.events();
    assert_eq!((events.len(), &events[1]["error"]["code"]), (2, &json!(500)));
}

fn part(json: &Value) -> String {
    let text = base64::encode(json.to_string().as_bytes());
    text.trim_end_matches('=').replace('+', "-").replace('/', "_")
}

async fn token(simulator: &Simulator, query: &str, algorithm: &str) -> Reply {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({
        "iss": "svc@project.iam.gserviceaccount.com",
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "aud": "https://oauth2.googleapis.com/token",
        "iat": now,
        "exp": now + 3600,
    });
    let jwt = format!("{}.{}.c2ln", part(&json!({ "alg": algorithm, "typ": "JWT" })), part(&claims));
    let body = format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={jwt}");
    let headers = [("content-type", "application/x-www-form-urlencoded".to_owned())];
    send(simulator, "POST", &format!("/oauth2/token{query}"), &headers, &body).await.unwrap()
}

#[tokio::test]
async fn a_service_account_gets_a_token_that_opens_the_door() {
    let simulator = start().await;
    let reply = token(&simulator, "", "RS256").await;
    let expected = json!({ "access_token": "sim-key", "expires_in": 3600, "token_type": "Bearer" });
    assert_eq!((reply.status, reply.json()), (200, expected));
    let request = &simulator.requests()[0];
    assert_eq!((request.provider, request.outcome, request.model.as_str()), (Some(V), Outcome::Answered, ""));
    assert_eq!(request.body["claims"]["iss"], "svc@project.iam.gserviceaccount.com");
    assert_eq!((&request.body["header"]["alg"], request.leaks.len()), (&json!("RS256"), 0));
    let short = token(&simulator, "?expires=2&token=other", "RS256").await.json();
    assert_eq!((&short["expires_in"], &short["access_token"]), (&json!(2), &json!("other")));
    let refused = token(&simulator, "", "HS256").await;
    assert_eq!((refused.status, &refused.json()["error"]), (400, &json!("invalid_grant")));
    assert_eq!(token(&simulator, "?flags=status=503", "RS256").await.status, 503);
    assert_eq!(token(&simulator, "?flags=fail-first=1", "RS256").await.status, 503);
    assert_eq!(token(&simulator, "?flags=fail-first=1", "RS256").await.status, 200);
    let json = [("content-type", "application/json".to_owned())];
    assert_eq!(send(&simulator, "POST", "/oauth2/token", &json, "{}").await.unwrap().status, 400);
    assert_eq!(send(&simulator, "GET", "/oauth2/token", &json, "").await.unwrap().status, 405);
}
