//! An Envoy that was started from a file, and has nobody to ask.

use ai_warp_simulator::{AWS_ACCESS_KEY, AWS_SECRET_KEY, DEFAULT_API_KEY, Provider};
use ai_warp_tests::{
    Authority, Envoy, Gateway, Identity, PATIENCE, Rendering, Reply, Signer, TlsClient, eventually, validate,
};
use futures_util::future::join_all;
use http_body_util::Full;
use hyper::Request;
use reqwest::Method;
use serde_json::{Value, json};

/// Longer than any test, so that no window ends within one.
const LONG_WINDOW: &str = "24h";

fn asking(model: &str) -> Value {
    json!({"prompt": "hi", "models": [model]})
}

#[tokio::test(flavor = "multi_thread")]
async fn it_answers_streams_and_falls_back_with_keys_from_files() {
    let mut rendering = Rendering::new().await;
    rendering.config.models(["openai:down", "gemini:ok", "openai:ok", "openai:cut"]);
    let (folder, said) = rendering.render("envoy", &[]);
    assert!(said.contains("there are no sessions"), "{said}");
    validate(&folder.join("envoy.yaml"), &[]);
    let envoy = rendering.start(1, &[]).await;
    let gateway = envoy.gateway();

    let reply = gateway.prompt(json!({"prompt": "hi"})).await;
    assert_eq!((reply.status, reply.model(), reply.attempts()), (200, "gemini:ok", 2), "{}", reply.text());
    assert!(reply.headers.get("x-session-id").is_none(), "there are no sessions");

    let transcript = gateway.stream(asking("openai:ok")).await.rest().await;
    assert_eq!(transcript.end()["text"], transcript.text());
    let transcript = gateway.stream(asking("openai:cut")).await.rest().await;
    assert!(!transcript.text().is_empty(), "it began");
    assert_eq!(transcript.error(), "PROVIDER_RESPONSE_ERROR");

    let chat = json!({"model": "openai:ok", "messages": [{"role": "user", "content": "hi"}]});
    let reply = gateway.post("/v1/chat/completions", &chat).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let request = gateway.request(Method::POST, "/v1/chat/completions");
    let mut stream = json!({"stream": true});
    stream.as_object_mut().unwrap().extend(chat.as_object().unwrap().clone());
    let text = Reply::of(request.json(&stream)).await.text();
    assert!(text.trim_end().ends_with("data: [DONE]"), "{text}");

    let session = json!({"prompt": "hi", "sessionId": "00000000-0000-4000-8000-000000000000"});
    assert_eq!(gateway.prompt(session).await.status, 400);
    assert_eq!(gateway.get("/api/v1/sessions").await.status, 404);
    nobody_complains(&envoy);
}

/// The log has no warning, and no call was made to anybody who is not there.
fn nobody_complains(envoy: &Envoy) {
    let log = envoy.log();
    let complaints: Vec<&str> = log
        .lines()
        .filter(|line| ["[warning]", "[error]", "[critical]"].iter().any(|level| line.contains(level)))
        .collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_knows_who_may_call() {
    let secret = "a secret of the tests that is long enough";
    let mut rendering = Rendering::new().await;
    // The hash of "aiw_k".
    let hash = "sha256:f52896b9e39a777bdda8dd1305e8196ab846af2d49d88dc3e382f3f73484677a";
    rendering.config.set(
        "auth",
        json!({
            "jwt": {"secret": secret},
            "apiKeys": [{"consumer": "team-a", "hash": hash}],
            "consumers": {"team-a": {"rate": {"max": 1, "timeWindow": LONG_WINDOW}}},
        }),
    );
    let envoy = rendering.start(2, &[]).await;
    let ask = async |credential: &str| {
        let request = envoy.gateway().request(Method::POST, "/api/v1/prompt").json(&asking("openai:ok"));
        Reply::of(request.bearer_auth(credential)).await
    };
    assert_eq!(ask(&Signer::shared(secret).token_of("ada")).await.status, 200);
    let refused = ask(&Signer::shared("another secret of the tests, as long").token_of("ada")).await;
    assert_eq!(refused.error(), (401, "UNAUTHORIZED".to_owned()));
    assert_eq!(ask("aiw_k").await.status, 200);
    assert_eq!(ask("aiw_k").await.error(), (429, "PROVIDER_RATE_LIMIT_ERROR".to_owned()));
    assert_eq!(ask("aiw_x").await.status, 401);
    let dump = envoy.admin().get("/config_dump").await.text();
    assert!(
        dump.contains("jwks.json") && !dump.contains(&Signer::encoded(secret)),
        "the secret is in the dump"
    );
    nobody_complains(&envoy);
}

#[tokio::test(flavor = "multi_thread")]
async fn its_listener_has_the_tls_of_the_configuration() {
    let mut rendering = Rendering::new().await;
    let authority = Authority::new(rendering.folder(), "ours");
    let (server, client) = (authority.issue("127.0.0.1"), authority.issue("client"));
    rendering.config.set(
        "server.tls",
        json!({
            "certificate": {"file": server.certificate},
            "privateKey": {"file": server.key},
            "clientCa": {"file": authority.file()},
        }),
    );
    let envoy = rendering.start(1, &[]).await;
    let ask = async |identity: Option<&Identity>| {
        let body = Full::from(asking("openai:ok").to_string());
        let request = Request::post("/api/v1/prompt").header("host", "x").body(body).unwrap();
        TlsClient::new(authority.file(), identity).send(envoy.gateway().address(), request).await
    };
    let (status, body) = ask(Some(&client)).await.unwrap();
    assert_eq!(status, 200, "{body}");
    assert!(ask(None).await.is_err(), "no certificate");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_exact_over_all_workers() {
    const MOST: usize = 1_500;
    const CLIENTS: usize = 50;
    let mut rendering = Rendering::new().await;
    rendering.config.set("limits.rate", json!({"max": MOST, "timeWindow": LONG_WINDOW}));
    let envoy = rendering.start(2, &[]).await;
    // Each asks over connections of its own, so that both workers have some, until it is refused.
    let asked = join_all((0..CLIENTS).map(|_| async {
        let client = Gateway::new(envoy.gateway().address());
        let mut answers = 0;
        loop {
            let reply = client.prompt(asking("openai:ok")).await;
            if reply.status != 200 {
                assert_eq!(reply.error(), (429, "PROVIDER_RATE_LIMIT_ERROR".to_owned()));
                return answers;
            }
            answers += 1;
        }
    }));
    assert_eq!(asked.await.iter().sum::<usize>(), MOST);
    for worker in 0..2 {
        let requests = envoy.stat(&format!("listener.*worker_{worker}.downstream_cx_total")).await;
        assert!(requests > 0, "worker {worker} had none");
    }
    nobody_complains(&envoy);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_fails_is_left_alone_and_tried_again() {
    let mut rendering = Rendering::new().await;
    rendering.config.models(["openai:m~fail-first=2", "gemini:ok"]);
    rendering.config.set("breaker.failures", 2).set("restore.retry", "3s");
    let envoy = rendering.start(1, &[]).await;
    let ask = async || envoy.gateway().prompt(json!({"prompt": "hi"})).await;
    for attempts in [2, 2, 1] {
        let reply = ask().await;
        assert_eq!((reply.model(), reply.attempts()), ("gemini:ok", attempts));
    }
    eventually("it is tried again", PATIENCE, async || {
        let reply = ask().await;
        if reply.model().starts_with("openai:") { Ok(()) } else { Err(reply.model().to_owned()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_changed_by_changing_its_file() {
    let mut rendering = Rendering::new().await;
    rendering.config.set("providers.openai.apiKey", "not-the-key").set("restore.credential", "1ms");
    let envoy = rendering.start(1, &[]).await;
    assert_ne!(envoy.gateway().prompt(asking("openai:ok")).await.status, 200);
    rendering.config.set("providers.openai.apiKey", DEFAULT_API_KEY);
    rendering.render("envoy", &[]);
    eventually("the new key is in use", PATIENCE, async || {
        let reply = envoy.gateway().prompt(asking("openai:ok")).await;
        if reply.status == 200 { Ok(()) } else { Err(reply.text()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn access_keys_of_aws_sign_from_a_file() {
    let mut rendering = Rendering::new().await;
    let keys =
        json!({"region": "us-east-1", "accessKeyId": AWS_ACCESS_KEY, "secretAccessKey": AWS_SECRET_KEY});
    let base_url = rendering.simulator.base_url(Provider::Bedrock);
    rendering.config.provider("bedrock", json!({"baseUrl": base_url, "aws": keys}));
    rendering.config.models(["bedrock:anthropic.claude-v1:0"]);
    let envoy = rendering.start(1, &[]).await;
    let reply = envoy.gateway().prompt(json!({"prompt": "hi"})).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let transcript = envoy.gateway().stream(json!({"prompt": "hi"})).await.rest().await;
    assert_eq!(transcript.end()["text"], transcript.text());
    let text = std::fs::read_to_string(rendering.folder().join("envoy/envoy.yaml")).unwrap();
    assert!(!text.contains(AWS_ACCESS_KEY) && !text.contains(AWS_SECRET_KEY));
}
