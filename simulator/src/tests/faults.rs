//! Each class of fault, as a client sees it.

use super::client::{open, read_until, send};
use super::{DEADLINE, ask, headers, question, start, text};
use crate::{ALIASES, Outcome, Provider};

#[tokio::test]
async fn statuses_come_in_the_shape_of_the_provider() {
    let simulator = start().await;
    for provider in Provider::CORE {
        for (model, status) in [
            ("down", 503),
            ("limited", 429),
            ("quota", 429),
            ("bad", 400),
            ("unprocessable", 422),
            ("unauthorized", 401),
            ("m~status=500", 500),
        ] {
            let reply = ask(&simulator, provider, model, "hi", true).await;
            assert_eq!(reply.status, status, "{provider} {model}");
            assert!(reply.json()["error"]["message"].is_string(), "{provider} {model}");
            assert_eq!(
                reply.header("retry-after"),
                (model == "limited").then_some("7"),
                "{provider} {model}"
            );
        }
    }
    assert!(simulator.requests().iter().all(|request| request.outcome == Outcome::Faulted));
    let quota = ask(&simulator, Provider::OpenAi, "quota", "hi", false).await;
    assert_eq!(quota.json()["error"]["code"], "insufficient_quota");
    let wait = ask(&simulator, Provider::OpenAi, "limited~retry-after=1.5", "hi", false).await;
    assert_eq!(wait.header("retry-after"), Some("1.5"));
    let none = ask(&simulator, Provider::DeepSeek, "limited~retry-after=none", "hi", false).await;
    assert_eq!(none.header("retry-after"), None);
    let gemini = ask(&simulator, Provider::Gemini, "limited~array-error", "hi", false).await.json();
    assert_eq!(gemini[0]["error"]["details"][1]["retryDelay"], "7s");
    for (model, status) in [("html", 502), ("m~html=200", 200)] {
        let html = ask(&simulator, Provider::OpenAi, model, "hi", false).await;
        assert_eq!((html.status, html.header("content-type")), (status, Some("text/html")));
        assert!(html.body.starts_with("<!DOCTYPE html>"), "{}", html.body);
    }
    for provider in Provider::CORE {
        let overloaded = ask(&simulator, provider, "overloaded", "hi", false).await;
        assert_eq!(overloaded.status, 529);
        assert_eq!(overloaded.json()["error"]["message"], "Overloaded");
    }
}

#[tokio::test]
async fn waits_are_stated_in_every_way_there_is() {
    let simulator = start().await;
    let model = "limited~retry-after=none~retry-after-ms=1500~reset-requests=6m0s~reset-tokens=1s";
    let reply = ask(&simulator, Provider::OpenAi, model, "hi", false).await;
    for (header, value) in [
        ("retry-after", None),
        ("retry-after-ms", Some("1500")),
        ("x-ratelimit-remaining-requests", Some("0")),
        ("x-ratelimit-reset-requests", Some("6m0s")),
        ("x-ratelimit-remaining-tokens", Some("0")),
        ("x-ratelimit-reset-tokens", Some("1s")),
    ] {
        assert_eq!(reply.header(header), value, "{header}");
    }
    for (model, delay) in [
        ("limited~retry-info=0.5s", Some("0.5s")),
        ("limited~retry-after=33", Some("33s")),
        ("limited~retry-after=none", None),
        ("limited~retry-info=none", None),
        ("quota", None),
    ] {
        let body = ask(&simulator, Provider::Gemini, model, "hi", false).await.body;
        assert_eq!(body.contains("RetryInfo"), delay.is_some(), "{model}: {body}");
        assert!(
            body.contains(&format!("\"retryDelay\":\"{}\"", delay.unwrap_or_default())) || delay.is_none(),
            "{body}"
        );
    }
    let plain = ask(&simulator, Provider::OpenAi, "down", "hi", false).await;
    assert_eq!((plain.header("retry-after"), plain.header("x-ratelimit-remaining-requests")), (None, None));
}

#[tokio::test]
async fn answers_come_under_another_type_and_in_another_mode() {
    let simulator = start().await;
    for provider in Provider::CORE {
        for stream in [false, true] {
            let typed = ask(&simulator, provider, "m~content-type=text/plain", "hi", stream).await;
            assert_eq!((typed.status, typed.header("content-type")), (200, Some("text/plain")));
            let other = ask(&simulator, provider, "m~other-mode", "hi", stream).await;
            let is_stream =
                other.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
            assert_eq!((other.status, is_stream), (200, !stream), "{provider}");
            let said = match is_stream {
                true => other.events().iter().map(|event| text(provider, event)).collect(),
                false => text(provider, &other.json()),
            };
            assert!(said.starts_with(&format!("{provider}/m~other-mode: hi")), "{said}");
        }
    }
    assert!(simulator.requests().iter().all(|request| request.outcome == Outcome::Faulted));
}

#[tokio::test]
async fn an_error_event_is_the_error_of_the_status_asked_for() {
    let simulator = start().await;
    for provider in Provider::CORE {
        for stream in [false, true] {
            let model = "m~error-event=1~event-status=429~retry-after=none";
            let reply = ask(&simulator, provider, model, "hi there", stream).await;
            let whole = ask(&simulator, provider, "limited~retry-after=none", "hi", false).await.json();
            let error = if stream { reply.events().pop().unwrap() } else { reply.json() };
            assert_eq!((reply.status, error), (200, whole), "{provider}");
        }
    }
}

#[tokio::test]
async fn the_header_asks_for_faults_too() {
    let simulator = start().await;
    let (path, body) = question(Provider::OpenAi, "m", "hi", false);
    let mut headers = headers(Provider::OpenAi);
    headers.push(("x-simulator", "status=503; retry-after=2".to_owned()));
    let reply = send(&simulator, "POST", &path, &headers, &body.to_string()).await.unwrap();
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("2")));
}

#[tokio::test]
async fn counted_faults_depend_on_the_number_of_requests() {
    let simulator = start().await;
    for (model, expected) in [("flaky", [500, 200, 500, 200]), ("m~fail-first=2", [503, 503, 200, 200])] {
        for status in expected {
            assert_eq!(ask(&simulator, Provider::OpenAi, model, "hi", false).await.status, status, "{model}");
        }
    }
    simulator.clear();
    assert_eq!(ask(&simulator, Provider::OpenAi, "flaky", "hi", false).await.status, 500);
}

#[tokio::test]
async fn streams_break_where_they_are_told_to() {
    let simulator = start().await;
    for provider in Provider::CORE {
        // Model, content events seen, connection ended in order, an error event at the end.
        let table = [
            ("cut", 3, false, false),
            ("m~cut=1", 1, false, false),
            ("m~cut-headers", 0, false, false),
            ("m~cut-event=2", 2, false, false),
            ("m~cut-event=0", 0, false, false),
            ("early-end", 3, true, false),
            ("error-event", 0, true, true),
            ("late-error", 3, true, true),
            ("empty", 0, true, false),
            ("m~chunks=5~no-finish", 5, true, false),
        ];
        for (model, chunks, complete, error) in table {
            let reply = ask(&simulator, provider, model, "a b c d e f", true).await;
            let events = reply.events();
            let seen = events.iter().filter(|event| !text(provider, event).is_empty()).count();
            let failed = events.last().is_some_and(|event| event["error"].is_object());
            assert_eq!(
                (reply.status, seen, reply.complete, failed),
                (200, chunks, complete, error),
                "{provider} {model}"
            );
            if model != "empty" {
                assert!(
                    !reply.body.contains("\"stop\"") && !reply.body.contains("STOP"),
                    "{provider} {model}"
                );
            }
        }
        let garbage = ask(&simulator, provider, "garbage", "hi", true).await;
        assert!(serde_json::from_str::<serde_json::Value>(&garbage.data()[0]).is_err());
    }
    let requests = simulator.requests();
    let outcome = |model: &str| requests.iter().find(|request| request.model == model).unwrap().outcome;
    assert_eq!((outcome("cut"), outcome("early-end")), (Outcome::Faulted, Outcome::Faulted));
    assert_eq!(outcome("empty"), Outcome::Answered);
}

#[tokio::test]
async fn whole_answers_break_too() {
    let simulator = start().await;
    for provider in Provider::CORE {
        let cut = ask(&simulator, provider, "cut", "hi", false).await;
        assert!(cut.status == 200 && !cut.complete && !cut.body.is_empty());
        let cut = ask(&simulator, provider, "m~cut-event", "hi", false).await;
        assert!(cut.status == 200 && !cut.complete && cut.header("content-length").is_none());
        let garbage = ask(&simulator, provider, "garbage", "hi", false).await;
        assert!(serde_json::from_str::<serde_json::Value>(&garbage.body).is_err());
        let error = ask(&simulator, provider, "late-error", "hi", false).await;
        assert!(error.status == 200 && error.json()["error"].is_object());
        let empty = ask(&simulator, provider, "empty", "hi", false).await;
        assert_eq!((empty.status, text(provider, &empty.json())), (200, String::new()));
        let filtered = ask(&simulator, provider, "m~content-filter", "hi", false).await.body;
        let word = if provider == Provider::Gemini { "SAFETY" } else { "content_filter" };
        assert!(filtered.contains(word) && !filtered.contains("STOP"), "{filtered}");
        let named = ask(&simulator, provider, "m~finish=ODD", "hi", false).await.body;
        assert!(named.contains("\"ODD\""), "{named}");
    }
    let blank = ask(&simulator, Provider::DeepSeek, "m~keep-alive", "hi", false).await;
    assert!(blank.body.starts_with("\n\n\n{"), "{:?}", blank.body);
    let blocked = ask(&simulator, Provider::Gemini, "m~prompt-blocked", "hi", false).await.json();
    assert!(blocked["promptFeedback"]["blockReason"].is_string() && blocked.get("candidates").is_none());
}

#[tokio::test]
async fn a_reset_comes_before_the_headers() {
    let simulator = start().await;
    let (path, body) = question(Provider::OpenAi, "reset", "hi", true);
    let error =
        send(&simulator, "POST", &path, &headers(Provider::OpenAi), &body.to_string()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(simulator.requests()[0].outcome, Outcome::Faulted);
}

#[tokio::test]
async fn stalls_last_until_the_client_gives_up() {
    let simulator = start().await;
    for (model, seen) in [("slow", ""), ("m~stall-headers", "200 OK"), ("stall-stream", "\" b\"")] {
        let (path, body) = question(Provider::OpenAi, model, "a b c d", true);
        let mut stream =
            open(&simulator, "POST", &path, &headers(Provider::OpenAi), &body.to_string()).await.unwrap();
        read_until(&mut stream, seen).await;
        let arrived = |outcome| {
            simulator
                .wait_for(move |seen| seen.iter().any(|r| r.model == model && r.outcome == outcome), DEADLINE)
        };
        arrived(Outcome::InProgress).await.unwrap();
        drop(stream);
        arrived(Outcome::AbortedByClient).await.unwrap();
    }
}

#[tokio::test]
async fn framing_variants_reach_the_wire() {
    let simulator = start().await;
    let whole = "é and 🦀";
    let text_flag = "text=%C3%A9 and %F0%9F%A6%80";
    for provider in Provider::CORE {
        for flags in ["split=1", "split=7", "split-random=3", "cr", "crlf", "lf", "no-space", "no-done"] {
            let model = format!("m~{text_flag}~{flags}").replace(' ', "%20");
            let reply = ask(&simulator, provider, &model, "hi", true).await;
            let streamed: String = reply.events().iter().map(|event| text(provider, event)).collect();
            assert_eq!(
                (reply.status, streamed.as_str(), reply.complete),
                (200, whole, true),
                "{provider} {flags}"
            );
            let split = ask(&simulator, provider, &model, "hi", false).await;
            assert_eq!(text(provider, &split.json()), whole, "{provider} {flags}");
        }
    }
    let last = ask(&simulator, Provider::OpenAi, "m~no-final-blank", "hi", true).await;
    assert!(last.body.ends_with("data: [DONE]\n") && !last.body.ends_with("\n\n"));
    let comments = ask(&simulator, Provider::DeepSeek, "m~keep-alive", "hi", true).await;
    assert!(comments.body.starts_with(": keep-alive\n\ndata: "));
}

#[tokio::test]
async fn split_pieces_leave_one_by_one() {
    let simulator = start().await;
    let (path, body) = question(Provider::OpenAi, "m~split=10~chunks=2", "hi", true);
    let mut stream =
        open(&simulator, "POST", &path, &headers(Provider::OpenAi), &body.to_string()).await.unwrap();
    let wire = read_until(&mut stream, "0\r\n\r\n").await;
    // On HTTP/1.1 every write of the body is a chunk of its own; all but the last have ten bytes.
    let sizes: Vec<&str> = wire.lines().filter(|line| *line == "A").collect();
    assert!(sizes.len() > 50, "{wire}");
}

#[tokio::test]
async fn delays_are_kept() {
    let simulator = start().await;
    ask(&simulator, Provider::OpenAi, "m~delay=10~chunk-delay=5~chunks=3", "hi", true).await;
    let request = simulator.requests().remove(0);
    let gaps: Vec<_> = request.chunks.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(request.chunks[0] - request.received_at >= std::time::Duration::from_millis(10));
    assert!(gaps.len() == 2 && gaps.iter().all(|gap| gap.as_millis() >= 5), "{gaps:?}");
}

#[tokio::test]
async fn every_alias_does_something() {
    let simulator = start().await;
    for (alias, _) in
        ALIASES.iter().filter(|(alias, _)| !["slow", "stall-stream", "reset", "ok"].contains(alias))
    {
        ask(&simulator, Provider::Gemini, alias, "a b c d", true).await;
        let request = simulator.requests_for(alias).remove(0);
        assert!(request.outcome == Outcome::Faulted || *alias == "empty", "{alias}: {:?}", request.outcome);
    }
}
