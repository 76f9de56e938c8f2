//! What an exchange does with requests in OpenAI's formats: what it tells, counts and stores of them.

use super::*;

/// An exchange for a request of chat completions.
fn test_of_completions(body: &str) -> Test {
    let gateway = gateway(serde_json::json!({}));
    let request = api::read(Format::ChatCompletions, body.into()).unwrap();
    let selection = request.select(&gateway, || None).unwrap();
    let fleet = lonely_fleet();
    let exchange = Exchange::new(gateway, request, selection, Vec::new(), circumstances(0), &fleet);
    Test { exchange, fleet }
}

#[test]
fn what_a_failed_attempt_wrote_is_forgotten() {
    let mut test = test_of_completions(r#"{"messages":[{"role":"user","content":"p"}]}"#);
    test.begin(OPENAI, 0);
    // The provider's own, passed on as it is, and held: no content was in it.
    let event =
        Event { name: b"", data: br#"{"choices":[{"delta":{"role":"assistant"}}]}"#, ..Event::default() };
    assert!(!test.exchange.take_event(event, &[], &mut Vec::new()));
    assert_eq!(test.fail(FailureKind::Timeout, 0), Step::Go);
    test.exchange.begin_attempt(GEMINI, 0).unwrap();
    let mut out = Vec::new();
    test.exchange.take_event(
        Event { name: b"", data: b"{}", ..Event::default() },
        &[Delta::Text("hi".into())],
        &mut out,
    );
    test.exchange.complete_stream(Finish::Stop, &mut test.fleet, 1);
    test.exchange.write_end(&mut out);
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains(r#""role":"assistant""#) && out.contains(r#""finish_reason":"stop""#), "{out}");
}

#[test]
fn what_is_dropped_can_stand_in_a_header_whatever_a_client_calls_it() {
    let of_fields = |fields: &str| {
        let body = format!(
            r#"{{"model":"gemini:b","messages":[{{"role":"user","content":"p"}}],"seed":1,{fields}}}"#
        );
        let mut test = test_of_completions(&body);
        test.begin(GEMINI, 0);
        test.exchange.dropped().to_owned()
    };
    assert_eq!(of_fields(r#""store":true"#), "store");
    assert_eq!(of_fields(r#""a\r\nset-cookie: x":1,"é,\u0000":2"#), "???, a??set-cookie:?x");
    let long = "x".repeat(100);
    assert_eq!(of_fields(&format!(r#""{long}":1"#)), "x".repeat(64));
    let many: Vec<String> = (0..200).map(|number| format!(r#""f{number}":1"#)).collect();
    let dropped = of_fields(&many.join(","));
    assert!(dropped.split(", ").count() == 33 && dropped.ends_with(", ..."), "{dropped}");
}

#[test]
fn tokens_of_a_failed_attempt_are_not_those_of_the_next() {
    let mut test = test_of_completions(
        r#"{"models":["openai:a","gemini:b"],"messages":[{"role":"user","content":"p"}],"stream":true,
            "stream_options":{"include_usage":true}}"#,
    );
    test.begin("provider/openai/stream", 0);
    test.exchange.note_usage(Some(Usage { input: 4_321, ..Usage::default() }));
    assert_eq!(test.fail(FailureKind::Timeout, 0), Step::Go);
    test.exchange.begin_attempt("provider/gemini/stream", 0).unwrap();
    test.say("hi");
    test.exchange.complete_stream(Finish::Stop, &mut test.fleet, 1);
    let mut out = Vec::new();
    test.exchange.write_end(&mut out);
    let out = String::from_utf8(out).unwrap();
    assert!(!out.contains("4321"), "{out}");
}

#[test]
fn each_text_has_its_vector_or_none_has() {
    let gateway = gateway(serde_json::json!({}));
    let body = r#"{"model":"gemini:b","input":["a","b"]}"#;
    let request = api::read(Format::Embeddings, body.into()).unwrap();
    let selection = request.select(&gateway, || None).unwrap();
    let fleet = lonely_fleet();
    let exchange = Exchange::new(gateway, request, selection, Vec::new(), circumstances(0), &fleet);
    let mut test = Test { exchange, fleet };
    let dialect = test.begin(GEMINI, 0).dialect;
    let read =
        |body: &str| test.exchange.read_whole(dialect, body.as_bytes()).map_err(|failure| failure.kind);
    assert!(read(r#"{"embeddings":[{"values":[1.0]},{"values":[2.0]}]}"#).is_ok());
    assert_eq!(read(r#"{"embeddings":[{"values":[2.0]}]}"#).err(), Some(FailureKind::Malformed));
}

#[test]
fn a_turn_that_is_no_prompt_is_stored_as_it_was_said() {
    let said = |message: &str| {
        let mut test = test_of_completions(&format!(r#"{{"messages":[{message}]}}"#));
        test.begin(OPENAI, 0);
        let parts = vec![Part::Text("four".to_owned())];
        test.exchange.complete(Answer { parts, finish: Finish::Stop, usage: None }, &mut test.fleet, 1);
        test.exchange.turn(9).unwrap().messages.len()
    };
    assert_eq!(said(r#"{"role":"user","content":"2 + 2?"}"#), 0);
    assert_eq!(said(r#"{"role":"user","name":"ann","content":"2 + 2?"}"#), 2);
    assert_eq!(said(r#"{"role":"assistant","content":"2 + 2 is "}"#), 2);
}
