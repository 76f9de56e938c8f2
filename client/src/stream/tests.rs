//! The rules of coming back, each told by steps.

use super::*;
use crate::error::{ABORTED, TIMEOUT};

const POLICY: Reconnect = Reconnect { max_attempts: 3, min_delay: 100, max_delay: 10_000 };

fn asked(json: &str) -> AskStream {
    AskStream::new(Ask::read(json).unwrap(), Some(POLICY))
}

fn head(place: Option<&str>) -> Head {
    Head {
        content_type: Some("text/event-stream; charset=utf-8".to_owned()),
        place: place.map(str::to_owned),
        session: Some("s1".to_owned()),
    }
}

/// Asked for and answered; resumable if it has a place.
fn open(place: Option<&str>) -> AskStream {
    let mut stream = asked(r#"{"prompt":"hi","history":[]}"#);
    assert!(matches!(stream.next_step(), Step::Send(Request { last_event_id: None, .. })));
    assert_eq!(stream.answered(&head(place), 0.0), None);
    stream
}

fn content(id: u32) -> String {
    content_at(&id.to_string())
}

fn content_at(id: &str) -> String {
    format!("id: {id}\nevent: content\ndata: {{\"response\":\"c{id} \"}}\n\n")
}

fn end(id: u32) -> String {
    format!("id: {id}\nevent: end\ndata: {{\"response\":{{\"text\":\"all\"}}}}\n\n")
}

fn lost() -> ClientError {
    ClientError::new(CONNECTION_LOST, "reset")
}

fn status(status: u16, retry_after: Option<&str>) -> ClientError {
    ClientError::of_response(status, retry_after, "no")
}

/// What is handed on until something else is to be done, and that.
fn delivered(stream: &mut AskStream) -> (Vec<String>, Step) {
    let mut texts = Vec::new();
    loop {
        match stream.next_step() {
            Step::Deliver(Message::Content { text, .. }) => texts.push(text),
            Step::Deliver(Message::Done(answer)) => texts.push(answer),
            Step::Deliver(Message::Error(error)) => texts.push(error.code.into_owned()),
            step => return (texts, step),
        }
    }
}

fn resumed_after(id: &str) -> Step {
    let body = r#"{"prompt":"hi","sessionId":"s1","stream":true,"resume":true}"#.to_owned();
    Step::Send(Request { body, last_event_id: Some(id.to_owned()) })
}

fn failed(step: Step) -> ClientError {
    match step {
        Step::Fail(error) => error,
        step => panic!("{step:?}"),
    }
}

#[test]
fn a_stream_is_read_to_its_last_event_and_no_further() {
    let mut stream = open(None);
    assert_eq!(stream.next_step(), Step::Read);
    let all = format!(": hello\n\n{}{}{}{}", content(1), content(2), end(3), content(4));
    for byte in all.as_bytes() {
        assert_eq!(stream.take(&[*byte], 0.0), None);
    }
    let (texts, step) = delivered(&mut stream);
    assert_eq!((texts, step), (vec!["c1 ".into(), "c2 ".into(), r#"{"text":"all"}"#.into()], Step::Finish));
    assert_eq!(stream.next_step(), Step::Finish);
    assert!(!stream.is_open());
}

#[test]
fn the_gateways_error_is_a_message_and_the_last() {
    let mut stream = open(Some("0"));
    stream.take(b"id: 1\nevent: error\ndata: {\"code\":\"STREAM_INTERRUPTED\",\"message\":\"m\"}\n\n", 0.0);
    assert_eq!(delivered(&mut stream), (vec!["STREAM_INTERRUPTED".to_owned()], Step::Finish));
}

#[test]
fn a_broken_connection_is_come_back_to_after_the_last_event() {
    let mut stream = open(Some("0"));
    stream.take(format!("{}{}id: 3\nevent: cont", content(1), content(2)).as_bytes(), 0.0);
    let retry = stream.broken(lost(), 1.0).unwrap();
    assert_eq!(retry, Retry { attempt: 1, delay: Duration::from_millis(50), reason: "reset".to_owned() });
    let (texts, step) = delivered(&mut stream);
    assert_eq!((texts, step), (vec!["c1 ".into(), "c2 ".into()], Step::Wait(retry.delay)));
    assert_eq!(stream.next_step(), resumed_after("2"));
    assert_eq!(stream.answered(&head(Some("0")), 0.0), None);
    stream.take(format!("{}{}", content(3), end(4)).as_bytes(), 0.0);
    assert_eq!(delivered(&mut stream), (vec!["c3 ".into(), r#"{"text":"all"}"#.into()], Step::Finish));
}

#[test]
fn before_any_event_the_place_of_the_stream_is_where_it_goes_on() {
    let mut stream = open(Some("0"));
    stream.broken(lost(), 0.0);
    assert!(matches!(stream.next_step(), Step::Wait(_)));
    assert_eq!(stream.next_step(), resumed_after("0"));
}

#[test]
fn detached_is_as_good_as_broken() {
    let mut stream = open(Some("0"));
    let detached = "event: error\ndata: {\"code\":\"STREAM_DETACHED\",\"message\":\"m\"}\n\n";
    let retry = stream.take(format!("{}{detached}", content(1)).as_bytes(), 0.0);
    assert_eq!(retry.map(|retry| retry.attempt), Some(1));
    let (texts, step) = delivered(&mut stream);
    assert!(texts == ["c1 "] && matches!(step, Step::Wait(_)), "{texts:?} {step:?}");
    assert_eq!(stream.next_step(), resumed_after("1"));
}

#[test]
fn what_cannot_be_come_back_to_fails_as_it_broke() {
    let not_resumable = open(None);
    let by_policy = {
        let mut stream = AskStream::new(Ask::read(r#"{"prompt":"hi"}"#).unwrap(), None);
        assert_eq!(stream.answered(&head(Some("0")), 0.0), None);
        stream
    };
    let by_ask = {
        let mut stream = asked(r#"{"prompt":"hi","resume":false}"#);
        assert_eq!(stream.answered(&head(Some("0")), 0.0), None);
        stream
    };
    for (mut stream, place) in [(not_resumable, None), (by_policy, Some("1")), (by_ask, Some("1"))] {
        stream.take(content(1).as_bytes(), 0.0);
        assert_eq!(stream.broken(ClientError::new(TIMEOUT, "slow"), 0.0), None);
        let (texts, step) = delivered(&mut stream);
        let error = failed(step);
        assert_eq!((texts, &*error.code, &*error.message), (vec!["c1 ".to_owned()], TIMEOUT, "slow"));
        assert_eq!((error.last_event_id.as_deref(), error.session_id.as_deref()), (place, Some("s1")));
        assert_eq!(stream.next_step(), Step::Finish);
    }
}

#[test]
fn the_first_request_is_sent_once() {
    for error in [lost(), status(503, Some("1"))] {
        let mut stream = asked(r#"{"prompt":"hi"}"#);
        assert!(matches!(stream.next_step(), Step::Send(_)));
        assert_eq!(stream.refused(error.clone(), 0.0), None);
        assert_eq!(failed(stream.next_step()), error);
    }
}

#[test]
fn attempts_are_bounded_and_counted_anew_after_an_event() {
    let mut stream = open(Some("0"));
    for round in 0..2 {
        for attempt in 1..=3 {
            let retry = stream.broken(lost(), 0.0).unwrap();
            assert_eq!((retry.attempt, retry.delay.as_millis()), (attempt, 50 << attempt), "round {round}");
            assert!(matches!((stream.next_step(), stream.next_step()), (Step::Wait(_), Step::Send(_))));
        }
        if round == 0 {
            assert_eq!(stream.answered(&head(Some("0")), 0.0), None);
            stream.take(content(1).as_bytes(), 0.0);
            assert_eq!(delivered(&mut stream).0, ["c1 "]);
        }
    }
    assert_eq!(stream.broken(status(502, None), 0.0), None);
    let error = failed(stream.next_step());
    assert_eq!(
        (&*error.code, error.status, error.last_event_id.as_deref()),
        (CONNECTION_LOST, Some(502), Some("1"))
    );
    assert!(
        error.message.contains("3 attempts") && error.message.contains("HTTP 502: no"),
        "{}",
        error.message
    );
}

#[test]
fn a_response_without_events_is_no_progress() {
    let mut stream = open(Some("0"));
    for attempt in 1..=3 {
        assert_eq!(stream.broken(lost(), 0.0).unwrap().attempt, attempt);
        assert_eq!(stream.answered(&head(Some("0")), 0.0), None);
        stream.take(b": keep-alive\n\n", 0.0);
    }
    assert_eq!(stream.broken(lost(), 0.0), None);
}

#[test]
fn what_refuses_to_go_on_is_asked_again_if_it_may_pass() {
    for (refusal, delay) in [
        (status(502, None), Some(200)),
        (status(503, None), Some(200)),
        (status(504, None), Some(200)),
        (status(429, None), Some(200)),
        (status(429, Some("7")), Some(7_000)),
        (status(503, Some("60")), Some(60_000)),
        (status(429, Some("61")), None),
        (status(400, None), None),
        (status(401, None), None),
        (status(404, None), None),
        (status(410, None), None),
        (status(500, None), None),
    ] {
        let mut stream = open(Some("0"));
        stream.broken(lost(), 0.0);
        let retry = stream.refused(refusal.clone(), 0.0);
        assert_eq!(retry.map(|retry| retry.delay.as_millis()), delay, "{refusal:?}");
        match (stream.next_step(), delay) {
            (Step::Wait(_), Some(_)) => assert_eq!(stream.next_step(), resumed_after("0")),
            (Step::Fail(error), None) => assert_eq!(error.status, refusal.status),
            other => panic!("{refusal:?}: {other:?}"),
        }
    }
}

#[test]
fn a_stream_can_be_gone_on_with_by_hand() {
    let mut stream = asked(r#"{"prompt":"hi","sessionId":"s1","lastEventId":"5"}"#);
    assert_eq!(stream.next_step(), resumed_after("5"));
    assert!(stream.broken(lost(), 0.0).is_some(), "to ask for what comes after an event does no harm twice");
    assert!(matches!(stream.next_step(), Step::Wait(_)));
    assert_eq!(stream.next_step(), resumed_after("5"));
    assert_eq!(stream.answered(&head(Some("0")), 0.0), None);
    stream.broken(lost(), 0.0);
    assert!(matches!(stream.next_step(), Step::Wait(_)));
    assert_eq!(stream.next_step(), resumed_after("5"), "not from its beginning");
}

#[test]
fn a_gateway_that_would_answer_anew_is_not_listened_to() {
    let mut stream = open(Some("0"));
    stream.broken(lost(), 0.0);
    assert_eq!(stream.answered(&head(None), 0.0), None);
    assert_eq!(failed(stream.next_step()).code, INVALID_RESPONSE);
}

#[test]
fn the_stream_that_comes_back_must_be_the_one_that_was_asked_for() {
    let stream = "6e0a7d43-2e0c-8b3a-8d4b-6f0c00000000";
    for (place, is_it) in [
        (stream, true),
        ("6E0A7D43-2E0C-8B3A-8D4B-6F0C00000000", true),
        ("6e0a7d43-2e0c-8b3a-8d4b-6f0c0000002a", true),
        ("6e0a7d43-2e0c-8b3a-8d4b-6f0d00000000", false),
        ("17", false),
        ("", false),
        ("é6f0c0000", false),
    ] {
        let mut broken = open(Some(stream));
        broken.take(content_at("6e0a7d43-2e0c-8b3a-8d4b-6f0c0000002a").as_bytes(), 0.0);
        broken.broken(lost(), 0.0);
        let by_hand = asked(r#"{"prompt":"hi","lastEventId":"6e0a7d43-2e0c-8b3a-8d4b-6f0c0000002a"}"#);
        for mut coming_back in [broken, by_hand] {
            assert_eq!(coming_back.answered(&head(Some(place)), 0.0), None);
            assert_eq!(coming_back.is_open(), is_it, "{place}");
            if !is_it {
                let error = failed(delivered(&mut coming_back).1);
                assert_eq!(&*error.code, INVALID_RESPONSE, "{place}");
            }
        }
    }
}

#[test]
fn ids_are_handed_out_where_the_stream_can_be_come_back_to() {
    for (place, expected) in [(Some("0"), Some("1")), (None, None)] {
        let mut stream = open(place);
        stream.take(content(1).as_bytes(), 0.0);
        let Step::Deliver(Message::Content { id, .. }) = stream.next_step() else { panic!("no content") };
        assert_eq!(id.as_deref(), expected);
    }
}

#[test]
fn what_must_not_be_come_back_to_is_asked_anew() {
    let mut stream = asked(r#"{"prompt":"hi","sessionId":"s1","resumeEventId":"5","resume":false}"#);
    assert!(matches!(stream.next_step(), Step::Send(Request { last_event_id: None, .. })));
    assert_eq!(stream.answered(&head(None), 0.0), None);
    assert!(stream.is_open());
}

#[test]
fn the_session_of_an_error_is_the_one_given_until_the_gateway_tells_it() {
    let mut stream = asked(r#"{"prompt":"hi","sessionId":"s0","lastEventId":"5"}"#);
    stream.refused(status(410, None), 0.0);
    let error = failed(stream.next_step());
    assert_eq!((error.session_id.as_deref(), error.last_event_id.as_deref()), (Some("s0"), Some("5")));
    let mut stream = asked(r#"{"prompt":"hi","sessionId":"s0","resume":false}"#);
    assert_eq!(stream.answered(&head(None), 0.0), None);
    stream.broken(lost(), 0.0);
    assert_eq!(failed(stream.next_step()).session_id.as_deref(), Some("s1"));
}

#[test]
fn a_response_that_is_no_stream_is_an_error_and_on_the_way_back_a_portals() {
    for kind in [None, Some("text/html"), Some("text/event"), Some("")] {
        let page = Head { content_type: kind.map(str::to_owned), ..head(None) };
        let mut stream = asked(r#"{"prompt":"hi"}"#);
        assert_eq!(stream.answered(&page, 0.0), None);
        assert_eq!(failed(stream.next_step()).code, INVALID_RESPONSE, "{kind:?}");
        let mut stream = open(Some("0"));
        stream.broken(lost(), 0.0);
        let retry = stream.answered(&page, 0.0);
        assert_eq!(retry.map(|retry| retry.attempt), Some(2), "{kind:?}");
    }
}

#[test]
fn an_event_that_makes_no_sense_ends_the_stream_after_what_came_before() {
    let mut stream = open(Some("0"));
    assert_eq!(
        stream.take(format!("{}event: content\ndata: no\n\n{}", content(1), end(2)).as_bytes(), 0.0),
        None
    );
    let (texts, step) = delivered(&mut stream);
    assert_eq!((texts, &*failed(step).code), (vec!["c1 ".to_owned()], INVALID_RESPONSE));
}

#[test]
fn a_program_that_aborts_is_told_so_at_once_but_not_after_the_end() {
    let aborted = || ClientError::new(ABORTED, "m");
    let mut stream = open(Some("0"));
    stream.take(format!("{}{}", content(1), end(2)).as_bytes(), 0.0);
    assert!(matches!(stream.next_step(), Step::Deliver(Message::Content { .. })));
    stream.abort(aborted());
    let error = failed(stream.next_step());
    let place = error.last_event_id.as_deref();
    assert_eq!((&*error.code, place), (ABORTED, Some("1")), "what it was not handed is not lost");
    assert_eq!(stream.next_step(), Step::Finish);
    stream.abort(aborted());
    assert_eq!(stream.next_step(), Step::Finish);
    assert!(stream.is_over());
}

#[test]
fn an_event_that_never_ends_is_given_up() {
    let mut stream = open(Some("0"));
    stream.take(b"data: ", 0.0);
    let piece = vec![b'x'; MAX_RESPONSE_BYTES];
    stream.take(&piece, 0.0);
    assert_eq!(failed(stream.next_step()).code, INVALID_RESPONSE);
}
