//! Tokens from a small server of the test, and the times at which they are asked for.

use std::sync::Mutex;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};

use super::request::Token;
use super::*;
use crate::config::load;

/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Serves `router` until the test ends; returns `HOST:PORT`.
async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, router).into_future());
    address.to_string()
}

fn account(token_uri: &str) -> TokenSource {
    let file = crate::config::key_file(token_uri);
    TokenSource::ServiceAccount(Arc::new(ServiceAccount::parse(&file).unwrap()))
}

fn good() -> impl IntoResponse {
    r#"{"access_token": "t-1", "expires_in": 3599, "token_type": "Bearer"}"#
}

#[tokio::test]
async fn a_service_account_presents_a_signed_assertion() {
    let asked = Arc::new(Mutex::new(String::new()));
    let seen = Arc::clone(&asked);
    let host = serve(Router::new().route(
        "/token",
        post(async move |headers: HeaderMap, body: String| {
            *seen.lock().unwrap() = format!("{} {body}", headers["content-type"].to_str().unwrap());
            good()
        }),
    ))
    .await;
    let token = Client::new("nowhere").token(&account(&format!("http://{host}/token"))).await.unwrap();
    assert_eq!((token.value.expose(), token.life), ("t-1", Duration::from_secs(3599)));
    let asked = asked.lock().unwrap().clone();
    let start = "application/x-www-form-urlencoded \
                 grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=ey";
    assert!(asked.starts_with(start), "{asked}");
}

#[tokio::test]
async fn the_metadata_server_is_asked_as_it_wants_to_be() {
    let path = "/computeMetadata/v1/instance/service-accounts/default/token";
    let host = serve(Router::new().route(
        path,
        get(async |headers: HeaderMap| {
            if headers.get("metadata-flavor").is_some_and(|flavor| flavor == "Google") {
                good().into_response()
            } else {
                StatusCode::FORBIDDEN.into_response()
            }
        }),
    ))
    .await;
    let token = Client::new(&host).token(&TokenSource::Metadata).await.unwrap();
    assert_eq!(token.value.expose(), "t-1");
}

#[tokio::test]
async fn every_failure_says_what_happened_and_repeats_no_token() {
    let refused = r#"{"error": "invalid_grant", "error_description": "Invalid\n JWT"}"#;
    let host = serve(
        Router::new()
            .route("/refused", post(async move || (StatusCode::BAD_REQUEST, refused)))
            .route("/page", post(async || (StatusCode::BAD_GATEWAY, "<html>very-secret")))
            .route("/away", post(async || Redirect::temporary("/good")))
            .route("/good", post(async || good()))
            .route("/half", post(async || r#"{"access_token": "very-secret"}"#))
            .route("/split", post(async || r#"{"access_token": "very-secret\nx: y", "expires_in": 1}"#))
            .route("/large", post(async || "x".repeat(70_000))),
    )
    .await;
    for (path, told) in [
        ("refused", "answered 400 invalid_grant Invalid JWT"),
        ("page", "answered 502"),
        ("away", "answered 307"),
        ("half", "sent an answer that cannot be read (Data)"),
        ("split", "answered without a usable access_token"),
        ("large", "broke off its answer, or made it too long: length limit exceeded"),
    ] {
        let url = format!("http://{host}/{path}");
        let error = Client::new("nowhere").token(&account(&url)).await.unwrap_err();
        assert_eq!(error.to_string(), format!("{url} {told}"));
    }
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = Client::new(&nobody.to_string()).token(&TokenSource::Metadata).await.unwrap_err().to_string();
    assert!(error.contains("cannot be reached: ") && error.contains("refused"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_never_answers_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let started = Instant::now();
    let error = Client::new(&host).token(&TokenSource::Metadata).await.unwrap_err().to_string();
    assert!(error.ends_with("did not answer within 5 s"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
}

/// What [`refresh::keep`] does with a source that answers as `answers` says, `None` being a failure and a number a token
/// of so many seconds: when it asks, in seconds, and what it publishes.
async fn kept(answers: &[Option<u64>]) -> Vec<(f32, Option<String>, bool)> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (started, published) = (Instant::now(), Arc::clone(&seen));
    let (answers, count) = (answers.to_vec(), answers.len());
    let mut asked = 0;
    let fetch = move || {
        let answer = answers.get(asked).copied();
        asked += 1;
        let number = asked;
        async move {
            match answer {
                Some(Some(life)) => Ok(Token {
                    value: SecretString::new(format!("t-{number}")),
                    life: Duration::from_secs(life),
                    source: String::new(),
                }),
                Some(None) => Err(TokenError::new("http://t", "answered 500")),
                None => std::future::pending().await,
            }
        }
    };
    let publish = move |state: &TokenState| {
        let token = state.token.as_ref().map(|token| token.expose().to_owned());
        published.lock().unwrap().push((started.elapsed().as_secs_f32(), token, state.failure.is_some()));
    };
    let task = tokio::spawn(refresh::keep(fetch, publish));
    while seen.lock().unwrap().len() < count {
        sleep(Duration::from_millis(10)).await;
    }
    task.abort();
    seen.lock().unwrap().drain(..).collect()
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_before_it_expires_and_outlives_failures() {
    let token = |name: &str| Some(name.to_owned());
    let seen = kept(&[Some(3600), Some(100), None, None, None, Some(0), Some(1)]).await;
    let at: Vec<_> = seen.iter().map(|(at, ..)| at.round()).collect();
    // 80 % of an hour; of 100 s; then after 1, 2 and 4 s; and never more than once a second.
    assert_eq!(at, [0.0, 2880.0, 2960.0, 2961.0, 2963.0, 2967.0, 2968.0]);
    let states: Vec<_> = seen.into_iter().map(|(_, token, failed)| (token, failed)).collect();
    assert_eq!(
        states,
        [
            (token("t-1"), false),
            (token("t-2"), false),
            (token("t-2"), true),
            (token("t-2"), true),
            (token("t-2"), true),
            (token("t-6"), false),
            (token("t-7"), false),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_source_that_keeps_failing_is_asked_once_a_minute() {
    let at: Vec<_> = kept(&[None; 9]).await.iter().map(|(at, ..)| at.round()).collect();
    assert_eq!(at, [0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 63.0, 123.0, 183.0]);
}

/// A configuration with these providers (JSON).
fn loaded(providers: &str) -> Arc<Loaded> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ai-warp.yaml");
    let models = r#"["vertex:m"]"#;
    std::fs::write(&path, format!(r#"{{"providers": {providers}, "models": {models}}}"#)).unwrap();
    Arc::new(load(&path, &(Arc::new(|_: &str| None) as Env)).unwrap())
}

#[tokio::test]
async fn sources_follow_the_configuration_and_are_asked_once_for_all_endpoints() {
    let count = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&count);
    let host = serve(Router::new().fallback(async move || {
        *counted.lock().unwrap() += 1;
        good()
    }))
    .await;
    let two = r#"{"vertex": {"endpoints": [{"gcp": {"project": "p"}}, {"gcp": {"project": "q"}}]}}"#;
    let (config, receiver) = tokio::sync::watch::channel(loaded(two));
    let env: Env = Arc::new(move |name| (name == METADATA_HOST_VARIABLE).then(|| host.clone()));
    let mut watch = watch(receiver, &env);
    let has_token =
        |tokens: &Arc<Tokens>| tokens.of(&TokenSource::Metadata).is_some_and(|s| s.token.is_some());
    timeout(PATIENCE, watch.tokens.wait_for(has_token)).await.unwrap().unwrap();
    // The same source: nothing is asked anew.
    config.send_replace(loaded(r#"{"vertex": {"gcp": {"project": "r"}}}"#));
    config.send_replace(loaded(r#"{"vertex": {"apiKey": "a-token", "gcp": {"project": "r"}}}"#));
    timeout(PATIENCE, watch.tokens.wait_for(|tokens| !has_token(tokens))).await.unwrap().unwrap();
    assert_eq!(*count.lock().unwrap(), 1);
}

#[test]
fn problems_name_the_endpoints() {
    let loaded = loaded(r#"{"vertex": {"gcp": {"project": "p"}}, "openai": {}}"#);
    let failed = |token: Option<&str>| {
        let state =
            TokenState { token: token.map(SecretString::new), failure: Some("x answered 500".to_owned()) };
        Tokens::with(&TokenSource::Metadata, state).problems(&loaded)
    };
    assert_eq!(failed(None), ["vertex: no access token: x answered 500"]);
    assert_eq!(failed(Some("t")), ["vertex: the access token is not renewed: x answered 500"]);
    assert!(Tokens::default().problems(&loaded).is_empty());
}
