//! The exchange where limits are reached, and what it uses of them.

use super::*;
use crate::fleet::{Admission, Candidate};

#[test]
fn a_model_over_its_limit_is_skipped_and_where_none_is_left_the_client_is_told_when() {
    let more = serde_json::json!({"limits.rate": {"max": 1, "timeWindow": "10s"}});
    let body = r#"{"prompt":"p","models":["openai:a","gemini:b"]}"#;
    let mut test = test_with(body, more);
    test.begin(OPENAI, 0);
    test.complete(0);
    let mut test = test.next(body, 1);
    test.begin(GEMINI, 1);
    test.complete(1);
    let error = error_of(test.next(body, 2_500).choose(2_500));
    assert_eq!((error.code, error.retry_after_secs), (ErrorCode::ProviderRateLimitError, Some(8)));
}

#[test]
fn a_consumer_over_its_limit_is_told_so() {
    let more = serde_json::json!({
        "clientLimits": {"header": "x-client", "rate": {"max": 1, "timeWindow": "10s"}, "tokens": {"max": 1_000_000, "timeWindow": "10s"}},
    });
    let body = r#"{"prompt":"p"}"#;
    let mut test = test_with(body, more);
    test.begin(OPENAI, 0);
    // Other attempts of the same request cost nothing more.
    assert_eq!(test.fail(FailureKind::Timeout, 0), Step::Go);
    let error = error_of(test.next(body, 1).choose(1));
    assert_eq!((error.code, error.retry_after_secs), (ErrorCode::ProviderRateLimitError, Some(10)));
    assert!(error.message.contains("client"), "{error}");
}

#[test]
fn tokens_are_reserved_by_estimate_and_settled_by_usage() {
    let more = serde_json::json!({"limits.tokens": {"max": 400, "timeWindow": "10s"}});
    let body = r#"{"prompt":"12345678","models":["openai:a"]}"#;
    let mut test = test_with(body, more);
    // 2 for the prompt, 50 for the answer.
    test.begin(OPENAI, 0);
    let usage = Some(Usage { input: 2, output: 8, ..Usage::default() });
    test.exchange.complete(Answer { usage, ..answer() }, &mut test.fleet, 1);
    test = test.next(body, 2);
    test.begin(OPENAI, 2);
    let (fleet, gateway) = (test.fleet, Rc::clone(test.exchange.gateway()));
    assert!(
        matches!(Test::on(fleet, gateway, body, 3).choose(3), Step::GiveUp(_)),
        "only 38 of a quarter are left"
    );
}

#[test]
fn what_a_stream_used_until_it_was_cut_or_left_counts() {
    let more = serde_json::json!({"limits.tokens": {"max": 400, "timeWindow": "10s"}});
    let body = r#"{"prompt":"12345678","models":["openai:a"],"stream":true}"#;
    for is_cut in [true, false] {
        let mut test = test_with(body, more.clone());
        test.begin("provider/openai/stream", 0);
        test.exchange.commit(&mut test.fleet, 0);
        test.say(&"x".repeat(4 * 46));
        if is_cut {
            test.exchange.fail_committed(Failure::new(FailureKind::Rejected, "cut"), &mut test.fleet, 1);
        }
        test.exchange.end(&mut test.fleet, 1);
        // 2 for the prompt and 46 for what was said: of a quarter, 100, there are 52 left.
        let gateway = Rc::clone(test.exchange.gateway());
        let candidate = Candidate { gateway: &gateway, model: &gateway.models[0], target: "openai:a" };
        assert!(matches!(test.fleet.admit(candidate, 53, false, 2), Admission::No(_)), "cut: {is_cut}");
        assert!(matches!(test.fleet.admit(candidate, 52, false, 2), Admission::Go(_)), "cut: {is_cut}");
    }
}
