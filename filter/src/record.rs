//! What is told of one request once it is over: to the metrics, and to the access log.
//!
//! Envoy writes the log line itself (`access_log.rs` of the control plane's resources). What only the filter knows reaches it
//! as one piece of filter state, set when Envoy is about to write: one hostcall a request, and none where nothing is logged.

use ai_warp_core::config::Gateway;
use ai_warp_core::error::GatewayError;
use ai_warp_core::exchange::End;
use ai_warp_core::plugin::LOG_PROPERTY;
use ai_warp_core::telemetry::Line;

use crate::exchanges::SharedExchange;
use crate::{host, metrics, traces};

/// One request, as far as it is to be told of.
#[derive(Debug, Default)]
pub(crate) struct Record {
    method: Vec<u8>,
    path: Vec<u8>,
    request_id: Vec<u8>,
    /// Why it was refused before there was an exchange, or in its place.
    refused: Option<&'static str>,
    exchange: Option<SharedExchange>,
    is_traced: bool,
    /// The consumer's id; never what it proves itself with.
    pub(crate) consumer: Option<String>,
}

impl Record {
    /// Notes the request while its headers are still the client's. `header` finds one of them.
    pub(crate) fn begin(
        &mut self,
        method: &[u8],
        path: &[u8],
        header: impl Fn(&str) -> Option<Vec<u8>>,
        gateway: &Gateway,
    ) {
        if gateway.logging.access || gateway.is_traced {
            method.clone_into(&mut self.method);
            path.clone_into(&mut self.path);
            self.request_id = header("x-request-id").unwrap_or_default();
            self.is_traced = gateway.is_traced && traces::is_sampled(&self.request_id, header);
        }
    }

    /// The request has become an exchange.
    pub(crate) fn exchange(&mut self, exchange: &SharedExchange) {
        self.exchange = Some(SharedExchange::clone(exchange));
        if self.is_traced {
            let mut exchange = exchange.borrow_mut();
            exchange.trace();
            traces::begin(&exchange);
        }
    }

    /// The response is about to end, which is the last moment at which a span can be told anything.
    pub(crate) fn end(&self) {
        if self.is_traced
            && let Some(Ok(exchange)) = self.exchange.as_ref().map(|exchange| exchange.try_borrow())
        {
            traces::end(&exchange);
        }
    }

    /// The span that the request came with, where it is traced and the client said.
    pub(crate) fn client_span(&self) -> Option<Vec<u8>> {
        if self.is_traced { host::request_header("traceparent") } else { None }
    }

    /// The request is answered with `error`.
    pub(crate) fn refuse(&mut self, error: &GatewayError) {
        self.refused = Some(error.code.word());
        if self.is_traced {
            traces::fail(error.code.word());
        }
        self.end();
    }

    /// The request is over: counts it, and hands over its part of the log line.
    pub(crate) fn finish(self, gateway: &Gateway) {
        let Self { method, path, request_id, refused, exchange, consumer, is_traced: _ } = self;
        let mut exchange = exchange.as_ref().and_then(|exchange| exchange.try_borrow_mut().ok());
        let outcome = match &mut exchange {
            Some(exchange) => {
                exchange.close(host::now_ms());
                // Another exchange asked the model for it, and is counted.
                if !exchange.is_relayed() {
                    metrics::count(exchange);
                }
                exchange.ending().word()
            }
            None => {
                let outcome = refused.unwrap_or(End::Cancelled.word());
                metrics::count_refused(outcome);
                outcome
            }
        };
        if gateway.logging.access {
            let line = Line {
                request_id: &request_id,
                method: &method,
                path: &path,
                consumer: consumer.as_deref(),
                outcome,
                exchange: exchange.as_deref(),
            };
            host::set_filter_state(LOG_PROPERTY, &line.members());
        }
    }
}
