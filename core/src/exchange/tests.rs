//! The exchange against every way an attempt can end.

use super::*;
use crate::chat::Finish;
use crate::config::{Config, compile};

const TIMEOUT_MS: u64 = 1_000;

fn gateway() -> Rc<Gateway> {
    let config: Config = serde_json::from_value(serde_json::json!({
        "providers": {
            "openai": {"baseUrl": "http://127.0.0.1:1/v1"},
            "gemini": {"baseUrl": "https://g.example:8443/v1beta"},
        },
        "models": ["openai:a", {"provider": "gemini", "model": "b", "limits": {"maxTokens": 5}}, "openai:c"],
        "limits": {"requestTimeout": TIMEOUT_MS, "retry": {"max": 1, "interval": "1500ms"}, "maxTokens": 50},
    }))
    .unwrap();
    Rc::new(compile(&config).unwrap())
}

fn exchange(body: &str) -> Exchange {
    let request = PromptRequest::parse(body.as_bytes()).unwrap();
    let ids = TurnIds { session: Uuid::from_u128(1), turn: Uuid::from_u128(2) };
    Exchange::new(gateway(), request, Vec::new(), Some(ids)).unwrap()
}

fn server_error() -> Failure {
    Failure::new(FailureKind::ServerError, "answered with status 503")
}

fn answer() -> Answer {
    Answer { text: "hello".into(), finish: Finish::Stop, usage: None }
}

#[test]
fn an_unknown_model_is_refused() {
    let request = PromptRequest::parse(br#"{"prompt":"p","models":["openai:zzz"]}"#).unwrap();
    let error = Exchange::new(gateway(), request, Vec::new(), None).unwrap_err();
    assert_eq!(error.code, ErrorCode::OptionError);
    assert!(error.message.contains("openai:zzz"), "{error}");
}

#[test]
fn every_attempt_points_the_router_at_the_following_model() {
    let mut exchange = exchange(r#"{"prompt":"p"}"#);
    assert_eq!(exchange.first_cluster(), "provider/openai");
    let first = exchange.begin_attempt("provider/openai", 0).unwrap();
    assert_eq!(first.next_cluster.as_deref(), Some("provider/gemini"));
    assert_eq!((first.authority.as_str(), first.path.as_str()), ("127.0.0.1:1", "/v1/chat/completions"));
    // Refused: the router comes to the next cluster without a word.
    let second = exchange.begin_attempt("provider/gemini", 3).unwrap();
    assert_eq!(second.authority, "g.example:8443");
    assert_eq!(second.next_cluster.as_deref(), Some("provider/openai"));
    exchange.note_response();
    exchange.complete(answer());
    assert_eq!((exchange.attempts(), exchange.model_id()), (2, "gemini:b"));
    let turn = exchange.turn(9).unwrap();
    assert_eq!(
        (turn.prompt.as_str(), turn.response.as_str(), turn.model.as_str()),
        ("p", "hello", "gemini:b")
    );
}

#[test]
fn a_server_error_is_retried_on_the_same_model_after_a_wait_then_falls_back_at_once() {
    let mut exchange = exchange(r#"{"prompt":"p"}"#);
    exchange.begin_attempt("provider/openai", 0).unwrap();
    let verdict = exchange.fail(server_error());
    assert_eq!(verdict, Verdict::TryAgain { cluster: Some("provider/openai".into()), wait_secs: 2 });
    exchange.begin_attempt("provider/openai", 2_000).unwrap();
    // The second attempt had already told the router.
    assert_eq!(exchange.fail(server_error()), Verdict::TryAgain { cluster: None, wait_secs: 0 });
    exchange.begin_attempt("provider/gemini", 2_001).unwrap();
    assert_eq!(exchange.attempts(), 3);
}

#[test]
fn models_of_one_provider_need_no_rerouting() {
    let mut exchange = exchange(r#"{"prompt":"p","models":["openai:a","openai:c"]}"#);
    let first = exchange.begin_attempt("provider/openai", 0).unwrap();
    assert_eq!(first.next_cluster, None);
    let second = exchange.begin_attempt("provider/openai", 1).unwrap();
    assert!(String::from_utf8(second.body).unwrap().contains(r#""model":"c""#));
}

#[test]
fn the_last_model_gives_up_with_what_happened() {
    for (name, elapsed_ms, answered, attempts, code) in [
        ("refused", 5, false, 1, ErrorCode::ProviderResponseError),
        ("timed out", TIMEOUT_MS, false, 1, ErrorCode::ProviderRequestTimeoutError),
        ("timed out in its answer", TIMEOUT_MS, true, 1, ErrorCode::ProviderRequestTimeoutError),
        ("cut, and cut again", 5, true, 2, ErrorCode::ProviderResponseError),
    ] {
        let mut exchange = exchange(r#"{"prompt":"p","models":["openai:a"]}"#);
        let mut now = 0;
        let error = loop {
            match exchange.begin_attempt("provider/openai", now) {
                Ok(attempt) => assert_eq!(attempt.next_cluster, None, "{name}"),
                Err(error) => break error,
            }
            if answered {
                exchange.note_response();
            }
            now += elapsed_ms;
        };
        assert_eq!((error.code, exchange.attempts()), (code, attempts), "{name}: {error}");
        assert!(error.message.starts_with("openai:a "), "{name}: {error}");
        assert_eq!(exchange.error_of_foreign_response(|| now), Some(error), "{name}");
    }
}

#[test]
fn a_refused_prompt_is_answered_at_once() {
    let mut exchange = exchange(r#"{"prompt":"p"}"#);
    exchange.begin_attempt("provider/openai", 0).unwrap();
    let verdict = exchange.fail(Failure::new(FailureKind::Rejected, "prompt too long"));
    let expected = GatewayError::new(ErrorCode::ProviderBadRequestError, "prompt too long");
    assert_eq!(verdict, Verdict::GiveUp(expected));
}

#[test]
fn the_error_of_the_last_failure_is_the_answer() {
    let mut exchange = exchange(r#"{"prompt":"p","models":["openai:a","gemini:b"]}"#);
    exchange.begin_attempt("provider/openai", 0).unwrap();
    let limited =
        Failure { retry_after_secs: Some(7), ..Failure::new(FailureKind::RateLimited, "is rate limited") };
    assert_eq!(exchange.fail(limited.clone()), Verdict::TryAgain { cluster: None, wait_secs: 0 });
    exchange.begin_attempt("provider/gemini", 1).unwrap();
    let Verdict::GiveUp(error) = exchange.fail(limited) else { panic!("a plan of two is used up") };
    assert_eq!((error.code, error.retry_after_secs), (ErrorCode::ProviderRateLimitError, Some(7)));
    assert_eq!(error.message, "gemini:b is rate limited");
}

#[test]
fn a_wrong_cluster_is_a_typed_error() {
    let mut exchange = exchange(r#"{"prompt":"p"}"#);
    let error = exchange.begin_attempt("provider/gemini", 0).err().unwrap();
    assert_eq!(error.code, ErrorCode::ProviderNoModelsAvailableError);
}

#[test]
fn a_local_reply_of_envoy_becomes_a_typed_error() {
    let mut exchange = exchange(r#"{"prompt":"p"}"#);
    let error = exchange.error_of_foreign_response(|| 0).unwrap();
    assert_eq!(error.code, ErrorCode::ProviderNoModelsAvailableError);
    exchange.complete(answer());
    assert_eq!(exchange.error_of_foreign_response(|| 0), None);
}

#[test]
fn token_limits_take_the_smaller_of_model_and_request() {
    for (model, request, default, expected) in [
        (Some(5), Some(9), Some(50), Some(5)),
        (Some(9), Some(5), None, Some(5)),
        (Some(5), None, Some(50), Some(5)),
        (None, Some(9), Some(5), Some(9)),
        (None, None, Some(50), Some(50)),
        (None, None, None, None),
    ] {
        assert_eq!(effective_max_tokens(model, request, default), expected);
    }
}

#[test]
fn a_timer_that_fires_a_little_early_is_still_a_timeout() {
    let mut exchange = exchange(r#"{"prompt":"p","models":["openai:a"]}"#);
    exchange.begin_attempt("provider/openai", 0).unwrap();
    let error = exchange.begin_attempt("provider/openai", TIMEOUT_MS - 2).err().unwrap();
    assert_eq!(error.code, ErrorCode::ProviderRequestTimeoutError);
}

#[test]
fn the_end_of_a_stream_is_marked_when_its_turn_is_late() {
    let mut exchange = exchange(r#"{"prompt":"p","stream":true}"#);
    exchange.complete(answer());
    let mut tail = b"data: before\n\n".to_vec();
    exchange.write_end(&mut tail, Uuid::nil());
    exchange.mark_end_not_stored(&mut tail, Uuid::nil());
    let tail = String::from_utf8(tail).unwrap();
    assert!(tail.starts_with("data: before\n\nid: "), "{tail}");
    assert_eq!(tail.matches("event: end").count(), 1, "{tail}");
    assert!(tail.contains(r#""stored":false"#), "{tail}");
}

#[test]
fn a_pause_and_a_cut_are_told_apart() {
    let exchange = exchange(r#"{"prompt":"p","stream":true}"#);
    assert_eq!(exchange.why_cut(TIMEOUT_MS).kind, FailureKind::Stalled);
    assert_eq!(exchange.why_cut(TIMEOUT_MS / 2).kind, FailureKind::Cut);
}

#[test]
fn a_stream_takes_the_hop() {
    let mut exchange = exchange(r#"{"prompt":"p","stream":true}"#);
    assert_eq!(exchange.first_cluster(), "provider/openai/stream");
    let attempt = exchange.begin_attempt("provider/openai/stream", 0).unwrap();
    assert_eq!(attempt.hop_cluster.as_deref(), Some("provider/openai/hop"));
    assert_eq!(attempt.next_cluster.as_deref(), Some("provider/gemini/stream"));
}

#[test]
fn a_router_that_does_not_retry_gives_the_last_failure() {
    let mut exchange = exchange(r#"{"prompt":"p"}"#);
    exchange.begin_attempt("provider/openai", 0).unwrap();
    exchange.fail(Failure::new(FailureKind::RateLimited, "is rate limited"));
    let error = exchange.error_of_foreign_response(|| 1).unwrap();
    assert_eq!(
        (error.code, error.message.as_str()),
        (ErrorCode::ProviderRateLimitError, "openai:a is rate limited")
    );
}
