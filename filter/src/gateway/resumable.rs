//! Streams that are to survive their clients, on both of their ways through the gateway context: from the client to who keeps
//! them, and from there, as another request, to the models.

use std::rc::Rc;

use ai_warp_core::api::{Format, Request, Session};
use ai_warp_core::auth::Caller;
use ai_warp_core::config::Streams;
use ai_warp_core::error::{ErrorCode, GatewayError};
use ai_warp_core::relay::{ASK_LIFE_MS, Ask};
use ai_warp_core::stream_id;

use super::{GatewayContext, Planned};
use crate::{fleet, host, seal};

/// Request header by which Envoy's router is told how long one try may take, in milliseconds.
const TRY_TIMEOUT_HEADER: &str = "x-envoy-upstream-rq-per-try-timeout-ms";

/// Request header of clients that come back to a stream.
const LAST_EVENT_HEADER: &str = "last-event-id";

/// How much longer whoever keeps streams may take than models, in milliseconds.
const RELAY_SLACK_MS: u64 = 2_000;

impl GatewayContext {
    /// The same of a stream that the control plane opens: all of it was decided when the client asked.
    pub(super) fn identify_relayed(&mut self, path: &[u8]) -> Result<bool, GatewayError> {
        let gateway = Rc::clone(&self.gateway);
        self.record.begin(b"POST", path, host::request_header, &gateway);
        let format = Format::of_path(path, &gateway);
        self.format = format.unwrap_or_else(|| Format::of_errors_at(path));
        let ask = seal::unseal()?;
        self.caller = Caller { consumer: ask.consumer.clone() };
        self.record.consumer.clone_from(&self.caller.consumer);
        self.ask = Some(ask);
        if format.is_none() {
            return Err(GatewayError::new(ErrorCode::NotFound, "there is nothing at this path"));
        }
        Ok(true)
    }

    /// The settings of streams that survive their clients, where this is to be one.
    pub(super) fn survives(&self, request: &Request) -> Option<Streams> {
        let streams = self.gateway.streams.as_ref().filter(|_| self.ask.is_none())?;
        let is_stream = request.task.conversation().is_some_and(|conversation| conversation.stream);
        let is_asked_for = is_stream && request.resume.unwrap_or_else(seal::is_asked_for);
        // While nobody answers there, nobody need wait for it but who comes back to a stream.
        (is_asked_for && (!fleet::is_silent() || comes_back())).then(|| streams.clone())
    }

    /// Hands the request to who keeps streams.
    pub(super) fn relay(&mut self, planned: Planned, port: u16) {
        let (ids, remembered) = (self.ids(planned.request.session), planned.request.session.remembered());
        let route = self.route_by_header().and_then(|route| self.gateway.routes.get(route));
        let ask = Ask {
            stream: ids.map_or_else(stream_id::new_stream, |ids| ids.turn),
            session: ids.map(|ids| ids.session),
            continues: matches!(planned.request.session, Session::Continue { .. }),
            after: remembered.and_then(|(_, after)| after),
            consumer: self.caller.consumer.clone(),
            owner: self.caller.owner(),
            payer: self.client(),
            route: route.map(|route| route.name.clone()),
            path: self.format.path(&self.gateway).to_owned(),
            port,
            until_ms: host::unix_ms().saturating_add(ASK_LIFE_MS),
        };
        let exchange = self.open(planned, Vec::new(), ids);
        exchange.borrow_mut().relay(seal::seal(&ask), comes_back(), remembered.is_some());
        // Until there is something to tell of the stream, models may be tried one after the other.
        let timeout_ms = self.gateway.longest_timeout_ms().saturating_add(RELAY_SLACK_MS);
        host::set_request_header(TRY_TIMEOUT_HEADER, &timeout_ms.to_string());
        self.hand_over(exchange);
        // One that hangs must not be waited for by all who come after this one.
        fleet::with(|fleet| fleet.ask_for_sign_of_life(host::now_ms()));
    }
}

/// Whether the client comes back to a stream.
fn comes_back() -> bool {
    host::request_header(LAST_EVENT_HEADER).is_some()
}
