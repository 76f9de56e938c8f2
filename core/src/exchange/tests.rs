//! The exchange against every way an attempt can end.

mod completions;
mod journal;
mod limits;

use super::*;
use crate::api::{self, Outcome};
use crate::auth::client_id;
use crate::chat::{Delta, Finish, Part};
use crate::config::{Config, compile};
use crate::error::ErrorCode;
use crate::failure::{Failure, FailureKind};
use crate::sse::Event;

const TIMEOUT_MS: u64 = 1_000;

const OPENAI: &str = "provider/openai";
const GEMINI: &str = "provider/gemini";
const WAITING: &str = "ai-warp/waiting";

fn gateway(more: serde_json::Value) -> Rc<Gateway> {
    let mut json = serde_json::json!({
        "providers": {
            "openai": {"baseUrl": "http://127.0.0.1:1/v1"},
            "gemini": {"baseUrl": "https://g.example:8443/v1beta"},
        },
        "models": ["openai:a", {"provider": "gemini", "model": "b", "limits": {"maxTokens": 5}}, "openai:c"],
        "limits": {"requestTimeout": TIMEOUT_MS, "retry": {"max": 1, "interval": "1000ms"}, "maxTokens": 50},
    });
    for (path, value) in more.as_object().into_iter().flatten() {
        let at = path.split('.').fold(&mut json, |at, key| &mut at[key]);
        *at = value.clone();
    }
    let config: Config = serde_json::from_value(json).unwrap();
    Rc::new(compile(&config).unwrap())
}

fn read(body: &str) -> Request {
    api::read(Format::Unified { stream: false }, body.into()).unwrap()
}

/// An exchange on a worker whose control plane is away, so that nothing need be asked.
struct Test {
    exchange: Exchange,
    fleet: Fleet,
}

fn circumstances(now_ms: u64) -> Circumstances {
    let ids = TurnIds { session: Uuid::from_u128(1), turn: Uuid::from_u128(2), parent: None };
    let id = Uuid::from_u64_pair(7, 0);
    Circumstances { ids: Some(ids), client: Some(client_id(b"me")), owner: None, id, now_ms, unix_ms: 0 }
}

fn lonely_fleet() -> Fleet {
    let mut fleet = Fleet::new(0);
    // One message without a reply does not mean much.
    fleet.on_reply(None, 0);
    assert!(!fleet.is_away() && fleet.next_message(49).is_none() && fleet.next_message(50).is_some());
    fleet.on_reply(None, 0);
    assert!(fleet.is_away());
    fleet
}

fn test(body: &str) -> Test {
    test_with(body, serde_json::json!({}))
}

fn test_with(body: &str, more: serde_json::Value) -> Test {
    Test::on(lonely_fleet(), gateway(more), body, 0)
}

impl Test {
    fn on(fleet: Fleet, gateway: Rc<Gateway>, body: &str, now_ms: u64) -> Self {
        let request = read(body);
        let selection = request.select(&gateway, || None).unwrap();
        let exchange = Exchange::new(gateway, request, selection, Vec::new(), circumstances(now_ms), &fleet);
        Self { exchange, fleet }
    }

    /// Another exchange on the same worker.
    fn next(mut self, body: &str, now_ms: u64) -> Self {
        self.exchange.end(&mut self.fleet, now_ms);
        Self::on(self.fleet, self.exchange.gateway, body, now_ms)
    }

    fn choose(&mut self, now_ms: u64) -> Step {
        self.exchange.choose(&mut self.fleet, now_ms)
    }

    /// Chooses, and begins the attempt in `cluster`.
    #[track_caller]
    fn begin(&mut self, cluster: &str, now_ms: u64) -> Attempt {
        assert_eq!(self.choose(now_ms), Step::Go);
        assert_eq!(self.exchange.cluster(), cluster);
        self.exchange.begin_attempt(cluster, now_ms).unwrap()
    }

    fn fail(&mut self, kind: FailureKind, now_ms: u64) -> Step {
        self.exchange.fail(Failure::new(kind, "failed"), &mut self.fleet, now_ms)
    }

    fn arrive(&mut self, now_ms: u64) -> Step {
        self.exchange.arrive(&mut self.fleet, now_ms)
    }

    /// A piece of a stream.
    fn say(&mut self, text: &str) {
        let event = Event { name: b"", data: b"", ..Event::default() };
        assert!(self.exchange.take_event(event, &[Delta::Text(text.into())], &mut Vec::new()));
    }

    fn complete(&mut self, now_ms: u64) {
        self.exchange.complete(answer(), &mut self.fleet, now_ms);
    }
}

fn answer() -> Answer {
    let parts = vec![Part::Text("hello".into())];
    Answer { parts, finish: Finish::Stop, usage: None }
}

fn error_of(step: Step) -> GatewayError {
    match step {
        Step::GiveUp(error) => error,
        other => panic!("goes on: {other:?}"),
    }
}

#[test]
fn an_unknown_model_or_route_is_refused() {
    for body in [r#"{"prompt":"p","models":["openai:zzz"]}"#, r#"{"prompt":"p","route":"zzz"}"#] {
        let gateway = gateway(serde_json::json!({}));
        let error = read(body).select(&gateway, || None).unwrap_err();
        assert_eq!(error.code, ErrorCode::OptionError);
        assert!(error.message.contains("zzz"), "{error}");
    }
}

#[test]
fn an_attempt_that_ends_without_a_word_is_settled_in_the_waiting_cluster() {
    let mut test = test(r#"{"prompt":"p"}"#);
    let first = test.begin(OPENAI, 0);
    assert_eq!((first.authority.as_str(), first.path.as_str()), ("127.0.0.1:1", "/v1/chat/completions"));
    assert_eq!(test.exchange.cluster(), WAITING);
    // Refused.
    assert_eq!(test.arrive(3), Step::Go);
    assert_eq!(test.exchange.cluster(), GEMINI);
    let second = test.exchange.begin_attempt(GEMINI, 3).unwrap();
    assert_eq!(second.authority, "g.example:8443");
    test.exchange.note_response(200);
    test.complete(5);
    assert_eq!((test.exchange.attempts(), test.exchange.model_id()), (2, "gemini:b"));
    let turn = test.exchange.turn(9).unwrap();
    assert_eq!(
        (turn.prompt.as_str(), turn.response.as_str(), turn.model.as_str()),
        ("p", "hello", "gemini:b")
    );
}

#[test]
fn the_same_model_is_tried_again_after_a_growing_wait_and_then_the_next_one_at_once() {
    let mut test = test_with(
        r#"{"prompt":"p"}"#,
        serde_json::json!({"limits.retry": {"max": 3, "interval": "1000ms", "maxInterval": "3000ms"}}),
    );
    let mut now_ms = 0;
    for base_ms in [1_000, 2_000, 3_000] {
        test.begin(OPENAI, now_ms);
        let Step::Wait { until_ms: Some(until_ms) } = test.fail(FailureKind::ServerError, now_ms) else {
            panic!("no wait")
        };
        assert!((base_ms..=base_ms * 3 / 2).contains(&(until_ms - now_ms)), "{}", until_ms - now_ms);
        assert_eq!(test.exchange.cluster(), WAITING);
        assert_eq!(test.choose(until_ms - 1), Step::Wait { until_ms: Some(until_ms) });
        now_ms = until_ms;
    }
    test.begin(OPENAI, now_ms);
    assert_eq!(test.fail(FailureKind::ServerError, now_ms), Step::Go);
    assert_eq!((test.exchange.cluster(), test.exchange.attempts()), (GEMINI, 4));
}

#[test]
fn a_model_that_opened_meanwhile_is_not_tried_again() {
    let mut test = test(r#"{"prompt":"p"}"#);
    test.begin(OPENAI, 0);
    assert!(matches!(test.fail(FailureKind::ServerError, 0), Step::Wait { .. }));
    let gateway = Rc::clone(test.exchange.gateway());
    let mut other = Test::on(test.fleet, gateway, r#"{"prompt":"p"}"#, 10);
    other.begin(OPENAI, 10);
    assert_eq!(other.fail(FailureKind::RateLimited, 10), Step::Go);
    test.fleet = other.fleet;
    assert_eq!(test.fleet.counts().models_opened, 1);
    // The wait for the retry is over at once.
    assert_eq!(test.choose(11), Step::Go);
    assert_eq!(test.exchange.cluster(), GEMINI);
}

#[test]
fn a_retry_beyond_the_total_timeout_is_not_waited_for() {
    let mut test = test_with(r#"{"prompt":"p"}"#, serde_json::json!({"limits.totalTimeout": 1_500}));
    test.begin(OPENAI, 600);
    assert_eq!(test.fail(FailureKind::ServerError, 600), Step::Go);
    assert_eq!(test.exchange.cluster(), GEMINI);
}

#[test]
fn what_failed_is_left_alone_until_its_rest_is_over_and_then_probed_once() {
    let body = r#"{"prompt":"p","models":["openai:a"]}"#;
    let mut test = test(body);
    test.begin(OPENAI, 0);
    assert_eq!(error_of(test.fail(FailureKind::Timeout, 0)).code, ErrorCode::ProviderRequestTimeoutError);
    let mut test = test.next(body, 1_500);
    let error = error_of(test.choose(1_500));
    assert_eq!(error.code, ErrorCode::ProviderNoModelsAvailableError);
    assert_eq!((error.retry_after_secs, test.exchange.attempts()), (Some(59), 0));
    let mut probe = test.next(body, 60_000);
    probe.begin(OPENAI, 60_000);
    let mut other = Test::on(probe.fleet, Rc::clone(probe.exchange.gateway()), body, 60_001);
    assert!(matches!(other.choose(60_001), Step::GiveUp(_)), "there is one probe");
    probe.fleet = other.fleet;
    // A probe is not retried.
    assert_eq!(error_of(probe.fail(FailureKind::ServerError, 60_002)).code, ErrorCode::ProviderResponseError);
    let mut probe = probe.next(body, 180_002);
    probe.begin(OPENAI, 180_002);
    probe.complete(180_003);
    assert_eq!(probe.next(body, 180_004).choose(180_004), Step::Go);
}

#[test]
fn a_bad_prompt_takes_no_model_down() {
    let body = r#"{"prompt":"p","models":["openai:a"]}"#;
    for kind in [
        FailureKind::Rejected,
        FailureKind::Unsupported,
        FailureKind::Empty,
        FailureKind::MaxTokens,
        FailureKind::TooLarge,
    ] {
        let mut test = test(body);
        test.begin(OPENAI, 0);
        error_of(test.fail(kind, 0));
        assert_eq!(test.next(body, 1).choose(1), Step::Go, "{kind:?}");
    }
}

#[test]
fn where_everything_rests_the_least_bad_may_be_tried() {
    let more = serde_json::json!({"routes": [{"name": "default", "gracefulDegradation": true}]});
    let body = r#"{"prompt":"p","models":["openai:a","gemini:b"]}"#;
    let mut test = test_with(body, more);
    test.begin(OPENAI, 0);
    assert_eq!(test.fail(FailureKind::QuotaExceeded, 0), Step::Go);
    test.exchange.begin_attempt(GEMINI, 0).unwrap();
    error_of(test.fail(FailureKind::Timeout, 0));
    let mut test = test.next(body, 1);
    test.begin(GEMINI, 1);
    error_of(test.fail(FailureKind::ServerError, 1));
}

#[test]
fn one_budget_holds_for_all_attempts() {
    let mut test =
        test_with(r#"{"prompt":"p"}"#, serde_json::json!({"limits.maxAttempts": 2, "limits.retry.max": 0}));
    test.begin(OPENAI, 0);
    assert_eq!(test.fail(FailureKind::Timeout, 0), Step::Go);
    test.exchange.begin_attempt(GEMINI, 0).unwrap();
    assert_eq!(error_of(test.fail(FailureKind::Timeout, 0)).message, "gemini:b failed");

    let mut test = test_with(r#"{"prompt":"p"}"#, serde_json::json!({"limits.totalTimeout": "500ms"}));
    test.begin(OPENAI, 0);
    assert_eq!(test.exchange.deadline_ms(), Some(500));
    assert_eq!(error_of(test.fail(FailureKind::ServerError, 500)).message, "openai:a failed");

    let mut test = test_with(r#"{"prompt":"p"}"#, serde_json::json!({"limits.totalTimeout": "500ms"}));
    test.begin(OPENAI, 0);
    let error = test.exchange.time_out(&mut test.fleet, 500).unwrap();
    assert_eq!(error.code, ErrorCode::ProviderRequestTimeoutError);
    assert_eq!(test.exchange.error_of_foreign_response(&mut test.fleet, || 500), Some(error));
    assert_eq!(test.exchange.time_out(&mut test.fleet, 500), None);
}

#[test]
fn a_model_that_hangs_until_the_time_is_over_rests_and_its_probe_too() {
    let more = serde_json::json!({"limits.totalTimeout": 500, "restore": {"timeout": "2s"}});
    let body = r#"{"prompt":"p","models":["openai:a"]}"#;
    let mut test = test_with(body, more);
    for (from_ms, until_ms) in [(0, 2_500), (2_500, 7_000)] {
        test.begin(OPENAI, from_ms);
        test.exchange.time_out(&mut test.fleet, from_ms + 500).unwrap();
        test = test.next(body, until_ms - 1);
        assert!(matches!(test.choose(until_ms - 1), Step::GiveUp(_)));
        test = test.next(body, until_ms);
    }
    // One that began late had no chance.
    let body = r#"{"prompt":"p","models":["gemini:b"]}"#;
    let mut test = test.next(body, 10_000);
    test.begin(GEMINI, 10_300);
    test.exchange.time_out(&mut test.fleet, 10_500).unwrap();
    assert_eq!(test.next(body, 10_501).choose(10_501), Step::Go);
}

#[test]
fn a_provider_that_asks_for_a_longer_wait_is_not_tried_again_before() {
    let mut test = test(r#"{"prompt":"p"}"#);
    test.begin(OPENAI, 0);
    let busy = Failure { retry_after_ms: Some(60_000), ..Failure::new(FailureKind::ServerError, "failed") };
    assert_eq!(test.exchange.fail(busy, &mut test.fleet, 0), Step::Go);
    assert_eq!(test.exchange.cluster(), GEMINI);
}

#[test]
fn a_retry_is_over_when_its_answer_begins() {
    let mut streams = Vec::new();
    let mut fleet = lonely_fleet();
    let gateway = gateway(serde_json::json!({}));
    for _ in 0..4 {
        let body = r#"{"prompt":"p","stream":true}"#;
        let mut test = Test::on(fleet, Rc::clone(&gateway), body, 0);
        test.begin("provider/openai/stream", 0);
        let Step::Wait { until_ms: Some(until_ms) } = test.fail(FailureKind::ServerError, 0) else {
            panic!("no retry for stream {}", streams.len())
        };
        test.begin("provider/openai/stream", until_ms);
        test.exchange.commit(&mut test.fleet, until_ms);
        streams.push(test.exchange);
        fleet = test.fleet;
    }
}

#[test]
fn every_endpoint_of_a_model_comes_before_the_next_model() {
    let more = serde_json::json!({
        "providers.openai": {"endpoints": [{"baseUrl": "http://127.0.0.1:1/v1"}, {"baseUrl": "http://127.0.0.1:2/v1"}]},
    });
    let body = r#"{"prompt":"p","models":["openai:a","gemini:b"]}"#;
    let mut test = test_with(body, more.clone());
    assert_eq!(test.choose(0), Step::Go);
    let first = test.exchange.cluster().to_owned();
    test.exchange.begin_attempt(&first, 0).unwrap();
    assert_eq!(test.fail(FailureKind::RateLimited, 0), Step::Go);
    let second = test.exchange.cluster().to_owned();
    assert!(first != second && second.starts_with("provider/openai/"), "{first}, then {second}");
    test.exchange.begin_attempt(&second, 0).unwrap();
    assert_eq!(test.fail(FailureKind::RateLimited, 0), Step::Go);
    assert_eq!(test.exchange.cluster(), GEMINI);

    // What is about the model is so at every endpoint.
    let mut test = test_with(body, more);
    assert_eq!(test.choose(0), Step::Go);
    let first = test.exchange.cluster().to_owned();
    test.exchange.begin_attempt(&first, 0).unwrap();
    assert_eq!(test.fail(FailureKind::Unsupported, 0), Step::Go);
    assert_eq!(test.exchange.cluster(), GEMINI);
}

#[test]
fn the_last_model_gives_up_with_what_happened() {
    for (name, elapsed_ms, answered, attempts, code) in [
        ("refused", 5, false, 1, ErrorCode::ProviderResponseError),
        ("timed out", TIMEOUT_MS, false, 1, ErrorCode::ProviderRequestTimeoutError),
        // A timer may fire a little early.
        ("timed out", TIMEOUT_MS - 2, false, 1, ErrorCode::ProviderRequestTimeoutError),
        ("timed out in its answer", TIMEOUT_MS, true, 1, ErrorCode::ProviderRequestTimeoutError),
        ("cut, and cut again", 5, true, 2, ErrorCode::ProviderResponseError),
    ] {
        let mut test = test(r#"{"prompt":"p","models":["openai:a"]}"#);
        let mut now_ms = 0;
        let error = loop {
            test.begin(OPENAI, now_ms);
            if answered {
                test.exchange.note_response(200);
            }
            now_ms += elapsed_ms;
            match test.arrive(now_ms) {
                Step::Wait { until_ms } => now_ms = until_ms.unwrap(),
                step => break error_of(step),
            }
        };
        assert_eq!((error.code, test.exchange.attempts()), (code, attempts), "{name}: {error}");
        assert!(error.message.starts_with("openai:a "), "{name}: {error}");
        let foreign = test.exchange.error_of_foreign_response(&mut test.fleet, || now_ms);
        assert_eq!(foreign, Some(error), "{name}");
    }
}

#[test]
fn a_refused_prompt_is_answered_at_once() {
    let mut test = test(r#"{"prompt":"p"}"#);
    test.begin(OPENAI, 0);
    let step = test.exchange.fail(Failure::new(FailureKind::Rejected, "too long"), &mut test.fleet, 0);
    assert_eq!(step, Step::GiveUp(GatewayError::new(ErrorCode::ProviderBadRequestError, "too long")));
}

#[test]
fn a_wrong_cluster_is_a_typed_error() {
    let mut test = test(r#"{"prompt":"p"}"#);
    assert_eq!(test.choose(0), Step::Go);
    let error = test.exchange.begin_attempt(GEMINI, 0).err().unwrap();
    assert_eq!(error.code, ErrorCode::ProviderNoModelsAvailableError);
}

#[test]
fn a_local_reply_of_envoy_becomes_a_typed_error() {
    let mut test = test(r#"{"prompt":"p"}"#);
    let error = test.exchange.error_of_foreign_response(&mut test.fleet, || 0).unwrap();
    assert_eq!(error.code, ErrorCode::ProviderNoModelsAvailableError);
    test.complete(0);
    assert_eq!(test.exchange.error_of_foreign_response(&mut test.fleet, || 0), None);
}

#[test]
fn the_end_of_a_stream_is_marked_when_its_turn_is_late() {
    let mut test = test(r#"{"prompt":"p","stream":true}"#);
    test.complete(0);
    let mut tail = b"data: before\n\n".to_vec();
    test.exchange.write_end(&mut tail);
    test.exchange.mark_end_not_stored(&mut tail);
    let tail = String::from_utf8(tail).unwrap();
    assert!(tail.starts_with("data: before\n\nid: "), "{tail}");
    assert_eq!(tail.matches("event: end").count(), 1, "{tail}");
    assert!(tail.contains(r#""stored":false"#), "{tail}");
}

#[test]
fn a_pause_and_a_cut_are_told_apart() {
    let mut test = test(r#"{"prompt":"p","stream":true}"#);
    assert_eq!(test.exchange.why_cut(TIMEOUT_MS).kind, FailureKind::Timeout);
    test.exchange.commit(&mut test.fleet, 0);
    assert_eq!(test.exchange.why_cut(TIMEOUT_MS).kind, FailureKind::Stalled);
    assert_eq!(test.exchange.why_cut(TIMEOUT_MS / 2).kind, FailureKind::Cut);
}

#[test]
fn a_stream_takes_the_hop_and_is_remembered_where_its_client_leaves() {
    let mut test = test(r#"{"prompt":"p","stream":true}"#);
    let attempt = test.begin("provider/openai/stream", 0);
    assert_eq!(attempt.hop_cluster.as_deref(), Some("provider/openai/hop"));
    assert_eq!(test.exchange.turn(9), None);
    test.exchange.commit(&mut test.fleet, 1);
    test.say("hel");
    test.say("lo");
    let turn = test.exchange.turn(9).unwrap();
    assert_eq!((turn.response.as_str(), turn.result), ("hello", Outcome::IncompleteInterrupted));
    assert_eq!((test.fleet.busy("openai:a"), test.exchange.is_interrupted()), (1, true));
    test.exchange.end(&mut test.fleet, 2);
    assert_eq!(test.fleet.busy("openai:a"), 0);
}

#[test]
fn a_router_that_does_not_retry_gives_the_last_failure() {
    let mut test = test(r#"{"prompt":"p"}"#);
    test.begin(OPENAI, 0);
    test.fail(FailureKind::RateLimited, 0);
    let error = test.exchange.error_of_foreign_response(&mut test.fleet, || 1).unwrap();
    assert_eq!((error.code, error.message.as_str()), (ErrorCode::ProviderRateLimitError, "openai:a failed"));
}
