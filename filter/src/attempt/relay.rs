//! A stream on its way through that somebody else keeps: the request goes to the control plane as the client sent it, and
//! what comes back is the client's.
//!
//! It takes the hop as all streams do, so that a control plane that goes away in the middle looks like an end. A stream that
//! is whole ends with a mark; one that lacks it is told to its client as one to come back for, after its last whole event.

use ai_warp_core::api::errors;
use ai_warp_core::error::{ErrorCode, GatewayError};
use ai_warp_core::exchange::Sealed;
use ai_warp_core::plugin::{HOP_FAILED_HEADER, HOP_HEADER, OWN_HEADERS, SYNC_CLUSTER};
use ai_warp_core::relay::{ASK_HEADER, DECLINED_HEADER, END_MARK, SEAL_HEADER, STREAMS_PATH, WholeEvents};

use crate::exchanges::SharedExchange;
use crate::host::{self, Body};

/// Request headers that are for this gateway alone: credentials, and what is about the connection.
const OWN: [&str; 10] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "x-api-key",
    "api-key",
    "connection",
    "te",
    "transfer-encoding",
    "x-forwarded-proto",
    "expect",
];

/// A relayed answer.
pub(super) struct Relay {
    exchange: SharedExchange,
    /// Whether it is a stream, which ends with a mark.
    is_stream: bool,
    events: WholeEvents,
}

/// What the head of the answer says.
pub(super) enum Head {
    /// It is the client's.
    Passed,
    /// There is none: nobody keeps the stream.
    Declined,
}

impl Relay {
    /// Writes the request to who keeps streams.
    pub(super) fn send(exchange: SharedExchange, sealed: &Sealed) -> Self {
        let client = host::request_headers();
        let text = |(name, value): &(String, Vec<u8>)| {
            let is_passed = !name.starts_with(':')
                && !name.starts_with("x-envoy-")
                && !name.starts_with(OWN_HEADERS)
                && !OWN.contains(&name.as_str());
            let value = is_passed.then(|| String::from_utf8(value.clone()).ok()).flatten();
            value.map(|value| (name.clone(), value))
        };
        let passed: Vec<(String, String)> = client.iter().filter_map(text).collect();
        let mut headers = vec![
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", SYNC_CLUSTER),
            (":path", STREAMS_PATH),
            (HOP_HEADER, SYNC_CLUSTER),
            ("x-forwarded-proto", "http"),
            (ASK_HEADER, &sealed.ask),
            (SEAL_HEADER, &sealed.seal),
        ];
        headers.extend(passed.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let borrowed = exchange.borrow();
        if let Some(span) = borrowed.span() {
            headers.retain(|(name, _)| *name != "traceparent");
            headers.push(("traceparent", span));
        }
        host::write_request_headers(headers);
        drop(borrowed);
        Self { exchange, is_stream: false, events: WholeEvents::default() }
    }

    pub(super) fn exchange(&self) -> &SharedExchange {
        &self.exchange
    }

    /// Takes the head of the answer.
    pub(super) fn read_head(&mut self) -> Head {
        let says = |name| host::response_header(name).is_some();
        if says(HOP_FAILED_HEADER) || says(DECLINED_HEADER) {
            return Head::Declined;
        }
        self.is_stream = host::response_header("content-type")
            .is_some_and(|value| value.starts_with(b"text/event-stream"));
        self.exchange.borrow_mut().note_relayed();
        Head::Passed
    }

    /// Takes a piece of the body; tells the client if it was the last and should not have been.
    pub(super) fn read(&mut self, size: usize, end_of_stream: bool) {
        if !self.is_stream {
            return;
        }
        if !end_of_stream && self.events.passes(&Body::Response.tail(size, END_MARK.len())) {
            return;
        }
        let mut out = self.events.take(&Body::Response.read(size));
        if end_of_stream && !self.events.is_complete() {
            let message = "the connection to the stream is lost; come back with the id of its last event";
            let error = GatewayError::new(ErrorCode::StreamDetached, message);
            let format = self.exchange.borrow().format();
            out.extend_from_slice(&errors::event(format, &error, 0));
        }
        Body::Response.replace(size, &out);
    }
}
