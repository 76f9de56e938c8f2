//! The routers, asked without a socket.

mod console;

use ai_warp_core::sync::{MAX_BATCH_BODY_BYTES, MAX_FLEET_ITEMS, MAX_TURNS_PER_BATCH};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::config::{ConfigFailure, Env, load};
use crate::metrics::Metrics;
use crate::store::MemoryStore;

const SESSION: &str = "00000000-0000-4000-8000-000000000001";
const UNKNOWN: &str = "00000000-0000-4000-8000-000000000002";

struct Test {
    public: Router,
    sync: Router,
    state: AppState,
    status: watch::Sender<ConfigStatus>,
}

impl Test {
    fn new() -> Self {
        Self::with_store(Store::Memory(MemoryStore::default()))
    }

    fn with_store(store: Store) -> Self {
        Self::configured(store, "", |loaded| loaded)
    }

    /// With more in its configuration, and that changed as a reload would.
    fn configured(store: Store, more: &str, change: impl FnOnce(Loaded) -> Loaded) -> Self {
        Self::made(store, ClientFiles::default(), more, change)
    }

    fn with_client(client: ClientFiles, more: &str) -> Self {
        Self::made(Store::Memory(MemoryStore::default()), client, more, |loaded| loaded)
    }

    fn made(store: Store, client: ClientFiles, more: &str, change: impl FnOnce(Loaded) -> Loaded) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ai-warp.yaml");
        let config = "providers: {openai: {apiKey: \"${KEY}\"}}\nmodels: [\"openai:m\"]\n";
        std::fs::write(&path, format!("{config}{more}")).unwrap();
        let env: Env = Arc::new(|_| Some("sk-secret".to_owned()));
        let (_, config) = watch::channel(Arc::new(change(load(&path, &env).unwrap())));
        let (status, config_status) = watch::channel(ConfigStatus::default());
        let filter = FilterCode { path: "/f.wasm".into(), sha256: "abc".to_owned(), bytes: "code".into() };
        let metrics = Arc::new(Metrics::new().unwrap());
        let state = AppState::new(Parts {
            config,
            config_status,
            shared: Shared::open(&store),
            streams: Arc::new(Streams::open(&store, Arc::clone(&metrics))),
            store,
            tokens: watch::channel(Arc::default()).1,
            fleet: Arc::default(),
            filter: Arc::new(filter),
            turns: TurnCounters::default(),
            console: Console::new(client),
            metrics,
            traces: Arc::default(),
            draining: watch::Sender::default(),
        });
        let sync = sync_router(&state, Router::new().fallback(async || "xDS's own fallback"));
        Self { public: public_router(&state), sync, state, status }
    }

    async fn post(&self, body: impl Into<Body>) -> (StatusCode, Value) {
        ask(&self.sync, "POST", "/sync/v1/turns", body.into()).await
    }
}

async fn ask(router: &Router, method: &str, path: &str, body: Body) -> (StatusCode, Value) {
    let request = Request::builder().method(method).uri(path).body(body).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let value = serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
    (status, value)
}

async fn get_from(router: &Router, path: &str) -> (StatusCode, Value) {
    ask(router, "GET", path, Body::empty()).await
}

fn turn(session: &str, number: u32) -> Value {
    json!({
        "sessionId": session,
        "turnId": format!("00000000-0000-4000-9000-{number:012}"),
        "prompt": format!("p{number}"),
        "response": format!("r{number}"),
        "result": "COMPLETE",
        "model": "openai:m",
        "atMs": 1_700_000_000_000_u64 + u64::from(number),
    })
}

fn batch(turns: &[Value]) -> String {
    json!({"turns": turns}).to_string()
}

#[tokio::test]
async fn sessions_are_their_owner_s_alone() {
    let test = Test::new();
    let owner = ai_warp_core::auth::client_id(b"ann").to_string();
    let mut owned = turn(SESSION, 1);
    owned["owner"] = json!(owner);
    let (status, _) = test.post(batch(&[owned, turn(SESSION, 2)])).await;
    assert_eq!(status, StatusCode::OK);
    let path = format!("/api/v1/sessions/{SESSION}");
    let prompts = |(status, session): (StatusCode, Value)| {
        let history =
            session["history"].as_array().or(session["turns"].as_array()).cloned().unwrap_or_default();
        (status, history.iter().map(|turn| turn["prompt"].as_str().unwrap().to_owned()).collect::<Vec<_>>())
    };
    let found = |prompt: &str| (StatusCode::OK, vec![prompt.to_owned()]);
    let missing = (StatusCode::NOT_FOUND, Vec::new());
    // Operators name a consumer; at the gateway's side nobody can.
    for (query, expected) in
        [("", found("p2")), ("?consumer=ann", found("p1")), ("?consumer=bob", missing.clone())]
    {
        assert_eq!(prompts(get_from(&test.public, &format!("{path}{query}")).await), expected, "{query}");
        assert_eq!(prompts(get_from(&test.sync, &format!("{path}{query}")).await), found("p2"), "{query}");
    }
    let asked_as = async |router: &Router, method: &str, owner: &str| {
        let request = Request::builder().method(method).uri(&path).header("x-ai-warp-owner", owner);
        let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        prompts((status, serde_json::from_slice(&bytes).unwrap_or_default()))
    };
    assert_eq!(asked_as(&test.sync, "GET", &owner).await, found("p1"));
    assert_eq!(asked_as(&test.public, "GET", &owner).await, found("p2"));
    for nobody in ["", "ann", UNKNOWN] {
        assert_eq!(asked_as(&test.sync, "GET", nobody).await, missing, "{nobody}");
        assert_eq!(asked_as(&test.sync, "DELETE", nobody).await, missing, "{nobody}");
    }
    let history = format!("/sync/v1/sessions/{SESSION}");
    assert_eq!(prompts(get_from(&test.sync, &format!("{history}?owner={owner}")).await), found("p1"));
    assert_eq!(prompts(get_from(&test.sync, &format!("{history}?owner={UNKNOWN}")).await), missing);
    assert_eq!(asked_as(&test.sync, "DELETE", &owner).await.0, StatusCode::NO_CONTENT);
    assert_eq!(asked_as(&test.sync, "GET", &owner).await, missing);
    assert_eq!(prompts(get_from(&test.sync, &path).await), found("p2"));
}

#[tokio::test]
async fn what_the_filter_commits_people_and_filters_can_read_and_forget() {
    let test = Test::new();
    let (status, reply) = test.post(batch(&[turn(SESSION, 1), turn(SESSION, 2), turn(SESSION, 1)])).await;
    assert_eq!((status, reply), (StatusCode::OK, json!({"results": ["stored", "stored", "stored"]})));

    for router in [&test.public, &test.sync] {
        let (status, session) = get_from(router, &format!("/api/v1/sessions/{SESSION}")).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(
            session,
            json!({"sessionId": SESSION, "history": [
                {"prompt": "p1", "response": "r1", "result": "COMPLETE", "model": "openai:m", "at": 1_700_000_000_001_u64},
                {"prompt": "p2", "response": "r2", "result": "COMPLETE", "model": "openai:m", "at": 1_700_000_000_002_u64},
            ]})
        );
    }
    let (status, history) = get_from(&test.sync, &format!("/sync/v1/sessions/{SESSION}")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        history,
        json!({"turns": [{"prompt": "p1", "response": "r1"}, {"prompt": "p2", "response": "r2"}]})
    );

    let path = format!("/api/v1/sessions/{SESSION}");
    for expected in [StatusCode::NO_CONTENT, StatusCode::NOT_FOUND] {
        assert_eq!(ask(&test.public, "DELETE", &path, Body::empty()).await.0, expected);
    }
}

#[tokio::test]
async fn whatever_fails_is_typed() {
    let test = Test::new();
    for (router, method, path, status, code) in [
        (&test.public, "GET", format!("/api/v1/sessions/{UNKNOWN}"), 404, "NOT_FOUND"),
        (&test.public, "GET", "/api/v1/sessions/no-uuid".to_owned(), 404, "NOT_FOUND"),
        (&test.public, "DELETE", "/api/v1/sessions/no-uuid".to_owned(), 404, "NOT_FOUND"),
        (&test.sync, "GET", format!("/sync/v1/sessions/{UNKNOWN}"), 404, "NOT_FOUND"),
        (&test.sync, "GET", "/sync/v1/sessions/%FF".to_owned(), 404, "NOT_FOUND"),
        (&test.public, "GET", "/nowhere".to_owned(), 404, "NOT_FOUND"),
        (&test.sync, "GET", "/nowhere".to_owned(), 404, "NOT_FOUND"),
        (&test.public, "POST", "/status".to_owned(), 405, "METHOD_NOT_ALLOWED"),
        (&test.public, "PUT", format!("/api/v1/sessions/{SESSION}"), 405, "METHOD_NOT_ALLOWED"),
        (&test.sync, "GET", "/sync/v1/turns".to_owned(), 405, "METHOD_NOT_ALLOWED"),
        (&test.sync, "GET", "/sync/v1/fleet".to_owned(), 405, "METHOD_NOT_ALLOWED"),
        (&test.public, "POST", "/sync/v1/fleet".to_owned(), 404, "NOT_FOUND"),
        (&test.public, "GET", "/sync/v1/news/-".to_owned(), 404, "NOT_FOUND"),
        // Storing turns is for gateways, and so is their port.
        (&test.public, "POST", "/sync/v1/turns".to_owned(), 404, "NOT_FOUND"),
    ] {
        let (got, body) = ask(router, method, &path, Body::empty()).await;
        assert_eq!((got.as_u16(), body["code"].as_str()), (status, Some(code)), "{method} {path}: {body}");
        assert!(body["message"].is_string(), "{method} {path}: {body}");
    }
}

#[tokio::test]
async fn batches_are_bounded_and_checked() {
    let test = Test::new();
    let turns = |count: usize| -> String {
        batch(&(0..count).map(|number| turn(SESSION, number as u32)).collect::<Vec<_>>())
    };
    assert_eq!(test.post(turns(MAX_TURNS_PER_BATCH)).await.0, StatusCode::OK);
    let (status, body) = test.post(turns(MAX_TURNS_PER_BATCH + 1)).await;
    assert_eq!((status, &body["code"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!("REQUEST_TOO_LARGE")));
    let (status, body) = test.post(" ".repeat(MAX_BATCH_BODY_BYTES + 1)).await;
    assert_eq!((status, &body["code"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!("REQUEST_TOO_LARGE")));
    for body in ["", "{}", "{\"turns\":[{}]}", "[1"] {
        let (status, answer) = test.post(body).await;
        assert_eq!((status, &answer["code"]), (StatusCode::BAD_REQUEST, &json!("OPTION_ERROR")), "{body}");
    }
}

#[tokio::test]
async fn a_store_that_is_down_fails_turns_and_reads_but_not_readiness() {
    // Nothing listens on port 1.
    let config = serde_json::from_value(json!({"host": "127.0.0.1", "port": 1})).unwrap();
    let test = Test::with_store(Store::Valkey(crate::store::ValkeyStore::open(&config, None).unwrap()));
    let (status, reply) = test.post(batch(&[turn(SESSION, 1)])).await;
    assert_eq!((status, reply), (StatusCode::OK, json!({"results": ["later"]})));
    for path in ["/api/v1/sessions/", "/sync/v1/sessions/"] {
        let (status, body) = get_from(&test.sync, &format!("{path}{SESSION}")).await;
        assert_eq!((status, &body["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("HISTORY_GET_ERROR")));
    }
    let message = json!({"reports": [failure(1)]}).to_string();
    let (status, body) = ask(&test.sync, "POST", "/sync/v1/fleet", message.into()).await;
    let expected = (StatusCode::SERVICE_UNAVAILABLE, &json!("SHARED_STATE_UNAVAILABLE"));
    assert_eq!((status, &body["code"]), expected);
    let (status, ready) = get_from(&test.public, "/ready").await;
    assert_eq!((status, &ready["pending"]), (StatusCode::OK, &json!(["store not reachable"])));
    let (_, status) = get_from(&test.public, "/status").await;
    assert_eq!(status["storage"]["reachable"], false);
    assert_eq!(status["turns"], json!({"stored": 0, "failed": 1}));
    assert_eq!(status["models"], json!([{"model": "openai:m", "state": "unknown", "trips": 0}]));
    // That no model rests would be a guess.
    test.state.drain();
    let (status, body) = get_from(&test.sync, "/sync/v1/news/-").await;
    assert_eq!((status, &body["code"]), expected);
}

fn failure(id: u64) -> Value {
    json!({"target": "openai:m", "ageMs": 3, "id": id, "what": {"failed": {"reason": "credential"}}})
}

#[tokio::test]
async fn what_a_filter_reports_is_answered_and_news_and_shown() {
    let test = Test::new();
    let (_, before) = get_from(&test.sync, "/sync/v1/news/-").await;
    let next = format!("/sync/v1/news/{}", before["version"].as_str().unwrap());
    let message = json!({
        "reports": [failure(1)],
        "quotas": [{"quota": {"modelRate": "openai:m"}, "need": 1, "want": 2}],
    });
    let (news, (status, reply)) = tokio::join!(
        get_from(&test.sync, &next),
        ask(&test.sync, "POST", "/sync/v1/fleet", message.to_string().into())
    );
    assert_eq!((status, &reply["targets"][0]["error"]["reason"]), (StatusCode::OK, &json!("credential")));
    assert_eq!(reply["quotas"][0]["granted"], 2);
    assert_eq!((news.0, &news.1["targets"][0]["target"]), (StatusCode::OK, &json!("openai:m")));
    // One that is no text is an old one.
    assert_eq!(get_from(&test.sync, "/sync/v1/news/%FF").await.1["version"], news.1["version"]);

    let (_, status) = get_from(&test.public, "/status").await;
    assert_eq!(status["problems"], json!(["openai:m: the provider refuses the key (credential)"]));
    assert_eq!(status["models"][0]["state"], "error");
    assert_eq!(status["quotas"][0]["granted"], 2);
}

#[tokio::test]
async fn messages_of_filters_are_bounded_and_checked() {
    let test = Test::new();
    let post = async |body: String| ask(&test.sync, "POST", "/sync/v1/fleet", body.into()).await;
    let reports = |count: usize| json!({"reports": vec![failure(1); count]}).to_string();
    assert_eq!(post(reports(MAX_FLEET_ITEMS)).await.0, StatusCode::OK);
    for body in [reports(MAX_FLEET_ITEMS + 1), " ".repeat((4 << 20) + 1)] {
        let (status, body) = post(body).await;
        assert_eq!((status, &body["code"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!("REQUEST_TOO_LARGE")));
    }
    for body in ["", "[", "{\"reports\": [{}]}", "{\"quotas\": 1}"] {
        let (status, answer) = post(body.to_owned()).await;
        assert_eq!((status, &answer["code"]), (StatusCode::BAD_REQUEST, &json!("OPTION_ERROR")), "{body}");
    }
    let (_, news) = get_from(&test.sync, "/sync/v1/news/-").await;
    assert_eq!(post("{}".to_owned()).await, (StatusCode::OK, json!({"memory": news["memory"]})));
}

#[tokio::test]
async fn who_waits_for_news_is_answered_when_it_drains() {
    let test = Test::new();
    let (_, before) = get_from(&test.sync, "/sync/v1/news/-").await;
    let path = format!("/sync/v1/news/{}", before["version"].as_str().unwrap());
    let begin = tokio::time::Instant::now();
    let ((status, after), ()) = tokio::join!(get_from(&test.sync, &path), async { test.state.drain() });
    assert_eq!((status, &after["version"]), (StatusCode::OK, &before["version"]));
    // Also who comes later.
    assert_eq!(get_from(&test.sync, &path).await.0, StatusCode::OK);
    assert!(begin.elapsed() < std::time::Duration::from_secs(10));
}

#[tokio::test]
async fn status_tells_what_an_operator_needs_and_no_secret() {
    let test = Test::new();
    test.post(batch(&[turn(SESSION, 1)])).await;
    let failure = ConfigFailure { message: "models: is missing".to_owned(), since_ms: 5 };
    test.status.send_replace(ConfigStatus { failure: Some(failure), restart_needed: vec!["controlPlane"] });
    let (status, body) = get_from(&test.public, "/status").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["config"]["error"], json!({"message": "models: is missing", "sinceMs": 5}));
    assert_eq!(body["config"]["restartNeeded"], json!(["controlPlane"]));
    assert_eq!(body["config"]["version"].as_str(), Some(test.state.0.config.borrow().version.as_str()));
    assert_eq!((&body["storage"]["type"], &body["storage"]["sessions"]), (&json!("memory"), &json!(1)));
    assert_eq!(body["turns"], json!({"stored": 1, "failed": 0}));
    assert!(!body.to_string().contains("sk-secret"), "{body}");
}

#[tokio::test]
async fn is_ready_until_it_drains_and_live_until_it_ends() {
    let test = Test::new();
    assert_eq!(get_from(&test.public, "/ready").await.0, StatusCode::OK);
    test.state.drain();
    let (status, body) = get_from(&test.public, "/ready").await;
    assert_eq!((status, &body["pending"]), (StatusCode::SERVICE_UNAVAILABLE, &json!(["shutting down"])));
    assert_eq!(get_from(&test.public, "/live").await.0, StatusCode::OK);
}

#[tokio::test]
async fn beyond_loopback_both_ports_ask_for_a_token() {
    let memory = || Store::Memory(MemoryStore::default());
    let tokens =
        "controlPlane: {hostname: 0.0.0.0, xdsTokens: [0123456789abcdef], apiTokens: [fedcba9876543210]}\n";
    // A reload may take the tokens away, but the address stays.
    let without = |mut loaded: Loaded| {
        loaded.secrets.listeners = Default::default();
        loaded
    };
    for test in
        [Test::configured(memory(), tokens, |loaded| loaded), Test::configured(memory(), tokens, without)]
    {
        for (router, path) in [(&test.public, "/status"), (&test.sync, "/sync/v1/sessions/x")] {
            let (status, body) = ask(router, "GET", path, Body::empty()).await;
            assert_eq!((status, &body["code"]), (StatusCode::UNAUTHORIZED, &json!("UNAUTHORIZED")), "{path}");
        }
        for path in ["/ready", "/live"] {
            assert_eq!(ask(&test.public, "GET", path, Body::empty()).await.0, StatusCode::OK);
        }
    }
    let loopback = Test::configured(memory(), "", |loaded| loaded);
    assert_eq!(ask(&loopback.public, "GET", "/status", Body::empty()).await.0, StatusCode::OK);
}
