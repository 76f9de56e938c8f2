//! What is written down of an exchange, as metrics and the access log tell it.

use serde_json::{Value, json};

use super::*;
use crate::config::PICOS_PER_MICRO;
use crate::telemetry::{Kind, Line, Sink, Telemetry};

/// The counters that a telemetry tells, as `NAME;label=value;…` with their values.
#[derive(Default)]
struct Told(Vec<(String, i64)>);

impl Sink for Told {
    fn define(&mut self, _kind: Kind, name: &str) -> Option<u32> {
        self.0.push((name.to_owned(), 0));
        u32::try_from(self.0.len() - 1).ok()
    }

    fn add(&mut self, metric: u32, change: i64) {
        self.0[metric as usize].1 += change;
    }

    fn record(&mut self, metric: u32, value: u64) {
        self.0[metric as usize].1 = value.cast_signed();
    }
}

fn counted(exchange: &Exchange) -> Vec<String> {
    let mut telemetry = Telemetry::default();
    telemetry.count(exchange);
    let mut told = Told::default();
    telemetry.publish(&mut told);
    let mut lines: Vec<String> =
        told.0.into_iter().map(|(name, value)| format!("{} {value}", &name["ai_warp_".len()..])).collect();
    lines.sort();
    lines
}

fn line(exchange: &Exchange) -> Value {
    let outcome = exchange.ending().word();
    let line = Line {
        request_id: b"id",
        method: b"POST",
        path: b"/p",
        consumer: None,
        outcome,
        exchange: Some(exchange),
    };
    serde_json::from_str(&format!("{{{}\"end\":0}}", line.members())).unwrap()
}

fn priced() -> serde_json::Value {
    json!([
        "openai:a",
        {"provider": "gemini", "model": "b", "price": {"input": 2.5, "output": "0.0375", "cachedInput": 1}},
    ])
}

fn usage() -> Option<Usage> {
    Some(Usage { input: 1_000, output: 21, cached: 400, cache_write: 0, reasoning: 5 })
}

#[test]
fn a_fallback_is_told_attempt_by_attempt() {
    let mut test = test_with(r#"{"prompt":"hi"}"#, json!({"models": priced(), "limits.retry.max": 0}));
    test.begin(OPENAI, 10);
    test.exchange.note_response(503);
    assert_eq!(test.fail(FailureKind::ServerError, 40), Step::Go);
    test.exchange.begin_attempt(GEMINI, 41).unwrap();
    test.exchange.note_response(200);
    test.exchange.complete(Answer { usage: usage(), ..answer() }, &mut test.fleet, 100);
    test.exchange.close(101);
    let cost = 600 * 2_500_000 + 400 * 1_000_000 + 21 * 37_500;
    assert_eq!(
        counted(&test.exchange),
        [
            "attempts_total;route=default;;model=gemini:b;;result=ok; 1".to_owned(),
            "attempts_total;route=default;;model=openai:a;;result=server_error; 1".to_owned(),
            format!("cost_micros_total;route=default;;model=gemini:b; {}", cost / PICOS_PER_MICRO),
            "fallbacks_total;model=openai:a;;reason=server_error; 1".to_owned(),
            "requests_total;route=default;;model=gemini:b;;outcome=ok; 1".to_owned(),
            "tokens_total;route=default;;model=gemini:b;;kind=cached; 400".to_owned(),
            "tokens_total;route=default;;model=gemini:b;;kind=input; 1000".to_owned(),
            "tokens_total;route=default;;model=gemini:b;;kind=output; 21".to_owned(),
            "tokens_total;route=default;;model=gemini:b;;kind=reasoning; 5".to_owned(),
        ]
    );
    test.exchange.note_commit(3, true);
    assert_eq!(
        line(&test.exchange),
        json!({
            "requestId": "id", "method": "POST", "path": "/p", "outcome": "ok", "route": "default", "stream": false,
            "model": "gemini:b",
            "attempts": [
                {"model": "openai:a", "status": 503, "result": "server_error", "ms": 30},
                {"model": "gemini:b", "status": 200, "result": "ok", "ms": 59},
            ],
            "passedOver": [{"model": "openai:a", "reason": "server_error"}],
            "tokens": {"input": 1000, "output": 21, "cached": 400, "reasoning": 5},
            "cost": 0.0019007875,
            "session": "00000000-0000-0000-0000-000000000001",
            "commitMs": 3, "stored": true, "end": 0,
        })
    );
}

#[test]
fn a_stream_is_told_with_its_times() {
    let mut test = test(r#"{"prompt":"hi","stream":true}"#);
    test.begin("provider/openai/stream", 10);
    test.exchange.commit(&mut test.fleet, 70);
    test.say("hello");
    test.exchange.note_usage(usage());
    test.exchange.complete_stream(Finish::Stop, &mut test.fleet, 110);
    let told = counted(&test.exchange);
    for expected in [
        "time_to_first_token;route=default;;model=openai:a; 70",
        // 40 ms for the 20 tokens after the first one.
        "time_per_output_token;route=default;;model=openai:a; 2000",
    ] {
        assert!(told.iter().any(|line| line == expected), "{expected} in {told:#?}");
    }
    assert_eq!(line(&test.exchange)["firstTokenMs"], 70);
}

#[test]
fn a_client_that_leaves_is_no_failure_of_the_model() {
    let mut test = test(r#"{"prompt":"hi"}"#);
    test.begin(OPENAI, 0);
    test.exchange.close(7);
    test.exchange.end(&mut test.fleet, 7);
    assert_eq!(
        counted(&test.exchange),
        [
            "attempts_total;route=default;;model=openai:a;;result=cancelled; 1",
            "requests_total;route=default;;model=openai:a;;outcome=cancelled; 1",
        ]
    );
}

#[test]
fn what_was_passed_over_without_another_is_no_fallback() {
    let mut test = test_with(r#"{"prompt":"hi"}"#, json!({"limits.retry.max": 0}));
    for (cluster, now_ms) in [(OPENAI, 0), (GEMINI, 1), (OPENAI, 2)] {
        test.exchange.choose(&mut test.fleet, now_ms);
        test.exchange.begin_attempt(cluster, now_ms).unwrap();
        test.fail(FailureKind::Unreachable, now_ms);
    }
    let told = counted(&test.exchange);
    let fallbacks: Vec<_> = told.iter().filter(|line| line.starts_with("fallbacks")).collect();
    assert_eq!(
        fallbacks,
        [
            "fallbacks_total;model=gemini:b;;reason=unreachable; 1",
            "fallbacks_total;model=openai:a;;reason=unreachable; 1",
        ]
    );
    assert!(told.contains(
        &"requests_total;route=default;;model=openai:c;;outcome=provider_response_error; 1".to_owned()
    ));
}

#[test]
fn content_is_told_only_where_that_was_asked_for() {
    for content in [false, true] {
        let mut test = test_with(r#"{"prompt":"my secret"}"#, json!({"logging": {"content": content}}));
        test.begin(OPENAI, 0);
        test.complete(1);
        let line = line(&test.exchange);
        let expected = if content { json!(["my secret", "hello"]) } else { json!([null, null]) };
        assert_eq!(json!([line["prompt"], line["answer"]]), expected);
    }
}
