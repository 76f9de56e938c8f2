//! Each provider gets the credential it asks for: a signature of AWS, an access token of Google, a key.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ai_warp_simulator::{AWS_ACCESS_KEY, AWS_SECRET_KEY};
use ai_warp_tests::{Answered, PATIENCE, Seen, ServiceAccountKey, Signature, Stack, Upstream, eventually};
use serde_json::{Value, json};

/// A model whose colon is encoded in the path, and once more where that is signed, as SDKs do.
const MODEL: &str = "bedrock:anthropic.claude-v1:0";

/// How soon a changed key is in force.
const IN_FORCE: Duration = Duration::from_secs(1);

/// Checks that `seen` is signed by this key for Bedrock in eu-west-3, body and all.
#[track_caller]
fn expect_signed(seen: &Seen, access_key_id: &str, secret: &str) {
    let signature = Signature::of(seen).unwrap_or_else(|| panic!("no signature: {:?}", seen.headers));
    assert_eq!(signature.access_key_id, access_key_id);
    assert!(signature.scope.ends_with("/eu-west-3/bedrock/aws4_request"), "{}", signature.scope);
    for name in ["host", "x-amz-date", "content-type"] {
        assert!(signature.headers.iter().any(|signed| signed == name), "{name} is not signed: {signature:?}");
    }
    assert_eq!(signature.signature, signature.expected(seen, secret), "{seen:?}");
}

/// Asks the first model whole and as a stream.
async fn ask_both_ways(stack: &Stack) {
    let body = json!({"prompt": "grüß dich"});
    let whole = stack.prompt(body.clone()).await;
    assert!(whole.answer().contains("ok"), "{}", whole.text());
    let streamed = stack.gateway().stream_as_reply(body).await;
    if !whole.model().contains("bedrock") && !whole.model().contains("found") {
        assert!(streamed.status == 200 && streamed.text().contains("ok"), "{}", streamed.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bedrock_joins_a_running_gateway_gets_signatures_and_a_new_access_key_is_used_at_once() {
    let upstream = Upstream::provider().await;
    let base_url = format!("http://{}", upstream.address());
    let aws =
        |id: &str, secret: &str| json!({"region": "eu-west-3", "accessKeyId": id, "secretAccessKey": secret});
    let mut stack = Stack::builder().start().await;
    let provider = json!({"baseUrl": base_url, "aws": aws("AKID1", "first-secret")});
    stack.reconfigure(|config| _ = config.provider("bedrock", provider).models([MODEL])).await;
    ask_both_ways(&stack).await;
    let seen = upstream.seen();
    assert_eq!(seen.len(), 2);
    for seen in &seen {
        expect_signed(seen, "AKID1", "first-secret");
        assert!(seen.path.starts_with("/model/anthropic.claude-v1%3A0/converse"), "{}", seen.path);
        assert_eq!(seen.header("x-amz-security-token"), "");
    }

    let mut rotated = aws("AKID2", "second-secret");
    rotated["sessionToken"] = json!("a-session-token");
    stack.config.set("providers.bedrock.aws", rotated).write();
    let used = async || {
        stack.ask(MODEL).await;
        let last = upstream.last().unwrap();
        Signature::of(&last).map(|signature| signature.access_key_id).unwrap_or_default()
    };
    eventually("the new key is in use", IN_FORCE, async || {
        let id = used().await;
        if id == "AKID2" { Ok(()) } else { Err(id) }
    })
    .await;
    let before = upstream.seen().len();
    ask_both_ways(&stack).await;
    for seen in &upstream.seen()[before..] {
        expect_signed(seen, "AKID2", "second-secret");
        assert_eq!(seen.header("x-amz-security-token"), "a-session-token");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bedrock_takes_the_signature_of_whole_requests_and_of_streams() {
    let stack = Stack::builder()
        .configure(|config| {
            let url =
                config.get("providers.openai.baseUrl").as_str().unwrap().replace("/openai/v1", "/bedrock");
            let keys = json!({
                "region": "us-east-1", "accessKeyId": AWS_ACCESS_KEY, "secretAccessKey": AWS_SECRET_KEY,
            });
            config.provider("bedrock", json!({"baseUrl": url, "aws": keys})).models([MODEL]);
        })
        .start()
        .await;
    let text = "bedrock/anthropic.claude-v1:0: hi [system=-]";
    assert!(stack.ask(MODEL).await.answer().starts_with(text));
    let streamed = stack.stream(json!({"prompt": "hi"})).await.rest().await;
    assert!(streamed.text().starts_with(text), "{}", streamed.text());
    assert!(stack.simulator.requests().iter().all(|request| request.status == Some(200)));
}

#[tokio::test(flavor = "multi_thread")]
async fn bedrock_without_keys_is_signed_with_what_envoy_finds_or_opened_by_a_key() {
    let upstream = Upstream::provider().await;
    let base_url = format!("http://{}", upstream.address());
    let aws = json!({"region": "eu-west-3"});
    let stack = Stack::builder()
        .variable("AWS_ACCESS_KEY_ID", "AKIDAMBIENT")
        .variable("AWS_SECRET_ACCESS_KEY", "ambient-secret")
        .set("providers.found", json!({"dialect": "bedrock", "baseUrl": base_url, "aws": aws}))
        .set(
            "providers.keyed",
            json!({"dialect": "bedrock", "baseUrl": base_url, "aws": aws, "apiKey": "a-bedrock-key"}),
        )
        .models(["found:m", "keyed:m"])
        .start()
        .await;
    ask_both_ways(&stack).await;
    for seen in &upstream.seen()[..2] {
        expect_signed(seen, "AKIDAMBIENT", "ambient-secret");
    }
    assert_eq!(stack.ask("keyed:m").await.status, 200);
    assert_eq!(upstream.last().unwrap().header("authorization"), "Bearer a-bedrock-key");
}

/// A source of tokens: `token-1`, `token-2` and so on, each for `life` seconds; refuses while `refuses` says so.
async fn token_source(life: u64, refuses: Arc<AtomicBool>) -> Upstream {
    let count = AtomicUsize::new(0);
    Upstream::start(move |_| -> Answered {
        if refuses.load(Ordering::Relaxed) {
            let body = json!({"error": "invalid_grant", "error_description": "Invalid JWT Signature."});
            return (400, "application/json", body.to_string());
        }
        let token = format!("token-{}", count.fetch_add(1, Ordering::Relaxed) + 1);
        let body = json!({"access_token": token, "expires_in": life, "token_type": "Bearer"});
        (200, "application/json", body.to_string())
    })
    .await
}

/// A provider of Vertex AI at `upstream`; `gcp` is what its `gcp` has beside the project.
fn vertex(upstream: &Upstream, mut gcp: Value) -> Value {
    gcp["project"] = json!("my-project");
    json!({"baseUrl": format!("http://{}/v1", upstream.address()), "gcp": gcp})
}

#[tokio::test(flavor = "multi_thread")]
async fn vertex_gets_tokens_for_a_service_account_and_new_ones_without_a_new_cluster() {
    let upstream = Upstream::provider().await;
    let tokens = token_source(2, Arc::default()).await;
    let account = ServiceAccountKey::new(&format!("http://{}/token", tokens.address()));
    let provider = vertex(&upstream, json!({"location": "europe-west4", "serviceAccount": account.json()}));
    let stack = Stack::builder().set("providers.vertex", provider).models(["vertex:m"]).start().await;

    // The very first request has a token.
    ask_both_ways(&stack).await;
    for seen in upstream.seen() {
        assert!(seen.header("authorization").starts_with("Bearer token-"), "{seen:?}");
        assert!(seen.path.starts_with("/v1/projects/my-project/locations/europe-west4/"), "{}", seen.path);
    }
    let asked = &tokens.seen()[0];
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/token"));
    let assertion = String::from_utf8_lossy(&asked.body).into_owned();
    let assertion = assertion
        .strip_prefix("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=")
        .unwrap_or_else(|| panic!("{assertion}"));
    assert_eq!(assertion.split('.').count(), 3, "{assertion}");

    let dump = stack.envoy().admin().get("/config_dump").await.text();
    let cluster = |dump: &str| dump.split("provider/vertex@").nth(1).map(|rest| rest[..8].to_owned());
    let before = cluster(&dump);
    assert!(before.is_some());
    eventually("a later token is in use", PATIENCE, async || {
        stack.ask("vertex:m").await;
        let last = upstream.last().unwrap();
        let used = last.header("authorization").strip_prefix("Bearer token-").map(str::parse::<u32>);
        if matches!(used, Some(Ok(number)) if number >= 3) { Ok(()) } else { Err(format!("{last:?}")) }
    })
    .await;
    assert_eq!(cluster(&stack.envoy().admin().get("/config_dump").await.text()), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_gives_no_token_holds_up_nobody_else_and_is_told() {
    let upstream = Upstream::provider().await;
    let refuses = Arc::new(AtomicBool::new(true));
    let tokens = token_source(3600, Arc::clone(&refuses)).await;
    let token_uri = format!("http://{}/token", tokens.address());
    let account = ServiceAccountKey::new(&token_uri);
    let stack = Stack::builder()
        .set("providers.vertex", vertex(&upstream, json!({"serviceAccount": account.json()})))
        .models(["openai:ok", "vertex:m"])
        .start()
        .await;
    assert_eq!(stack.prompt(json!({"prompt": "hi"})).await.model(), "openai:ok");
    // Without a token the request goes without, and the provider has the last word.
    stack.ask("vertex:m").await;
    assert_eq!(upstream.last().unwrap().header("authorization"), "");
    let problem =
        format!("vertex: no access token: {token_uri} answered 400 invalid_grant Invalid JWT Signature.");
    assert_eq!(stack.control_plane.status().await["problems"], json!([problem]));
    assert!(stack.control_plane.log().contains("answered 400 invalid_grant"));

    refuses.store(false, Ordering::Relaxed);
    eventually("the token is in use", PATIENCE, async || {
        stack.ask("vertex:m").await;
        let last = upstream.last().unwrap();
        if last.header("authorization") == "Bearer token-1" { Ok(()) } else { Err(format!("{last:?}")) }
    })
    .await;
    assert_eq!(stack.control_plane.status().await["problems"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn vertex_without_a_service_account_gets_tokens_of_the_metadata_server_once_for_all_endpoints() {
    let upstream = Upstream::provider().await;
    let metadata = token_source(3600, Arc::default()).await;
    let stack = Stack::builder()
        .variable("GCE_METADATA_HOST", metadata.address().to_string())
        .set(
            "providers.vertex",
            json!({"endpoints": [vertex(&upstream, json!({})), vertex(&upstream, json!({}))]}),
        )
        .models(["vertex:m"])
        .start()
        .await;
    for _ in 0..4 {
        ask_both_ways(&stack).await;
    }
    assert!(upstream.seen().iter().all(|seen| seen.header("authorization") == "Bearer token-1"));
    let asked = metadata.seen();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].path, "/computeMetadata/v1/instance/service-accounts/default/token");
    assert_eq!(asked[0].header("metadata-flavor"), "Google");
}
