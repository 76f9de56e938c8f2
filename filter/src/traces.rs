//! What spans are told of a request: values for their attributes, as filter state that Envoy reads when a span ends.
//!
//! Each costs a hostcall, so nothing here is called for a request that is not traced.

use ai_warp_core::exchange::{End, Exchange};
use ai_warp_core::plugin::{
    SPAN_ATTEMPTS_PROPERTY, SPAN_ERROR_PROPERTY, SPAN_INPUT_PROPERTY, SPAN_NAME_PROPERTY,
    SPAN_OPERATION_PROPERTY, SPAN_OUTPUT_PROPERTY, SPAN_PROVIDER_PROPERTY, SPAN_REQUEST_MODEL_PROPERTY,
    SPAN_ROUTE_PROPERTY, SPAN_SESSION_PROPERTY, TRACE_HEADER,
};

use crate::host;

/// What the spans of waits are called.
const WAIT: &str = "wait";

/// What the spans of streams are called that the control plane asks for.
const RELAY: &str = "relay";

/// Position in a request's id of what says whether it is traced, and what is there where it is not: Envoy keeps its
/// decision in the id, in place of the version of a random UUID.
const DECISION: (usize, u8) = (14, b'4');

/// How a `traceparent` ends whose sender traces the request.
const SAMPLED: &[u8] = b"-01";

/// Whether the request of this id is traced, where requests are. Its headers are still the client's, who may have decided.
pub(crate) fn is_sampled(request_id: &[u8], header: impl Fn(&str) -> Option<Vec<u8>>) -> bool {
    match header("traceparent") {
        Some(span) => span.ends_with(SAMPLED),
        None => {
            let (position, not) = DECISION;
            request_id.get(position).is_some_and(|decision| *decision != not)
        }
    }
}

/// An exchange begins.
pub(crate) fn begin(exchange: &Exchange) {
    host::set_filter_state(SPAN_ROUTE_PROPERTY, exchange.route_name());
    if let Some(session) = exchange.session() {
        host::set_filter_state(SPAN_SESSION_PROPERTY, &session.to_string());
    }
}

/// The router has come to a cluster with it. Whoever comes first finds the headers as the router wrote them.
pub(crate) fn arrive(exchange: &mut Exchange) {
    if !exchange.has_trace() {
        exchange.note_trace(&host::request_header(TRACE_HEADER).unwrap_or_default());
    }
}

/// An attempt begins.
pub(crate) fn begin_attempt(exchange: &Exchange) {
    if exchange.attempts() > 1 {
        host::set_filter_state(SPAN_ERROR_PROPERTY, "");
    }
    if let Some((operation, provider, model)) = exchange.asked() {
        host::set_filter_state(SPAN_NAME_PROPERTY, &format!("{operation} {model}"));
        host::set_filter_state(SPAN_OPERATION_PROPERTY, operation);
        host::set_filter_state(SPAN_PROVIDER_PROPERTY, provider);
        host::set_filter_state(SPAN_REQUEST_MODEL_PROPERTY, model);
    }
}

/// Instead of an attempt there is a wait.
pub(crate) fn wait() {
    no_attempt(WAIT);
}

/// Instead of an attempt the control plane is asked, whose own request has the attempts.
pub(crate) fn relay() {
    no_attempt(RELAY);
}

fn no_attempt(name: &str) {
    host::set_filter_state(SPAN_NAME_PROPERTY, name);
    host::set_filter_state(SPAN_OPERATION_PROPERTY, "");
}

/// An attempt has failed in this way.
pub(crate) fn fail(word: &str) {
    host::set_filter_state(SPAN_ERROR_PROPERTY, word);
}

/// The response of a request is about to end.
pub(crate) fn end(exchange: &Exchange) {
    if let Some(usage) = exchange.usage() {
        host::set_filter_state(SPAN_INPUT_PROPERTY, &usage.input.to_string());
        host::set_filter_state(SPAN_OUTPUT_PROPERTY, &usage.output.to_string());
    }
    host::set_filter_state(SPAN_ATTEMPTS_PROPERTY, &exchange.attempts().to_string());
    if let End::Failed(code) = exchange.ending() {
        host::set_filter_state(SPAN_ERROR_PROPERTY, code.word());
    }
}
