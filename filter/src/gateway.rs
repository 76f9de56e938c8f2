//! The gateway context: the client's side of an exchange.
//!
//! Reads the request, loads the session, makes the plan and hands over to the router. On the way back it answers what no
//! attempt could, and holds the end of an answer until its turn is stored. Streams that are to survive their clients take
//! another road ([`resumable`]).

mod resumable;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use ai_warp_core::api::{self, Format, Request, Selection, Session};
use ai_warp_core::auth::{Caller, client_id};
use ai_warp_core::config::Gateway;
use ai_warp_core::error::{ErrorCode, GatewayError};
use ai_warp_core::exchange::{Circumstances, Exchange, Step, TurnIds};
use ai_warp_core::plugin::{
    ATTEMPTS_HEADER, CLUSTER_PROPERTY, EXCHANGE_PROPERTY, OWNER_HEADER, STORED_HEADER,
};
use ai_warp_core::relay::Ask;
use ai_warp_core::sync::{History, HistoryTurn, SessionKey, history_path};
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;
use uuid::Uuid;

use crate::exchanges::{Registration, SharedExchange};
use crate::host::{self, Body};
use crate::record::Record;
use crate::{caller, fleet, seal, turns};

/// Longest wait for the history of a session.
const HISTORY_TIMEOUT: Duration = Duration::from_secs(2);

/// One client request.
pub(crate) struct GatewayContext {
    context_id: u32,
    gateway: Rc<Gateway>,
    format: Format,
    caller: Caller,
    /// Of a stream that the control plane opens: what is known of its client.
    ask: Option<Ask>,
    state: State,
    record: Record,
}

enum State {
    /// The request body is not complete.
    Reading,
    /// The session's history is on its way.
    LoadingHistory(Box<Planned>),
    /// The router has it.
    Exchanging { exchange: SharedExchange, _registration: Registration },
    /// No model is asked: Envoy answers by itself, or the control plane does.
    Passed,
    /// A response of our own went out; nothing is left to do.
    Responded,
}

/// A request whose models are known to exist.
struct Planned {
    request: Request,
    selection: Selection,
}

/// A response held until its turn is stored.
#[derive(Debug)]
pub(crate) struct HeldResponse {
    context_id: u32,
    exchange: SharedExchange,
    since_ms: u64,
}

impl GatewayContext {
    pub(crate) fn new(context_id: u32, gateway: Rc<Gateway>) -> Self {
        Self {
            context_id,
            gateway,
            format: Format::Unified { stream: false },
            caller: Caller::default(),
            ask: None,
            state: State::Reading,
            record: Record::default(),
        }
    }

    fn respond(&mut self, error: &GatewayError, attempts: u32) {
        let retry_after = error.retry_after_secs.map(|secs| secs.to_string());
        let attempts = attempts.to_string();
        let mut headers = vec![("content-type", "application/json"), (ATTEMPTS_HEADER, attempts.as_str())];
        if let Some(retry_after) = &retry_after {
            headers.push(("retry-after", retry_after));
        }
        if error.code == ErrorCode::Unauthorized {
            headers.push(("www-authenticate", "Bearer"));
        }
        self.state = State::Responded;
        self.record.refuse(error);
        host::respond(error.code.status(), headers, &api::errors::body(self.format, error));
    }

    fn too_large(&self) -> GatewayError {
        let message = format!("the request body is larger than {} bytes", self.gateway.max_request_bytes);
        GatewayError::new(ErrorCode::RequestTooLarge, message)
    }

    /// Says whether a model is asked, in which format, and by whom. Without `auth`, Envoy sends nothing else here.
    fn identify(&mut self) -> Result<bool, GatewayError> {
        let gateway = Rc::clone(&self.gateway);
        let Some(auth) = &gateway.auth else {
            let path = host::request_header(":path").unwrap_or_default();
            let path = without_query(&path);
            if let Some(path) = seal::client_path(path) {
                return self.identify_relayed(path);
            }
            // Envoy answers other methods by itself.
            self.record.begin(b"POST", path, host::request_header, &gateway);
            let format = Format::of_path(path, &gateway);
            self.format = format.unwrap_or(self.format);
            return Ok(format.is_some());
        };
        let headers = caller::headers();
        let path = without_query(headers.get(":path").unwrap_or_default());
        if let Some(path) = seal::client_path(path) {
            return self.identify_relayed(path);
        }
        let format = Format::of_path(path, &gateway);
        self.format = format.unwrap_or_else(|| Format::of_errors_at(path));
        let method = headers.get(":method").unwrap_or_default();
        let header = |name: &str| headers.get(name).map(<[u8]>::to_vec);
        self.record.begin(method, path, header, &gateway);
        self.caller = auth.check(&headers, &caller::Stream)?;
        self.record.consumer.clone_from(&self.caller.consumer);
        let asks_model = format.is_some() && method == b"POST";
        if let Some(owner) = self.caller.owner().filter(|_| !asks_model) {
            host::set_request_header(OWNER_HEADER, &owner.to_string());
        }
        Ok(asks_model)
    }

    /// Reads the request; then the exchange begins, or its history is asked for.
    fn read_request(&mut self, body: Vec<u8>) -> Result<Action, GatewayError> {
        let mut request = api::read(self.format, body)?;
        if !matches!(self.format, Format::Unified { .. })
            && let Some(id) = host::request_header(&self.gateway.session_header)
        {
            request.enter(&id)?;
        }
        if let Some(native) = request.task.native_mut() {
            let own = self.format.own_headers().iter().filter_map(|name| {
                let value = String::from_utf8(host::request_header(name)?).ok()?;
                Some(((*name).to_owned(), value))
            });
            native.set_headers(own.collect());
        }
        // Refused before anything is asked of the store.
        let mut selection = request.select(&self.gateway, || self.route_by_header())?;
        self.caller.permit(&self.gateway, &mut selection)?;
        let planned = Planned { request, selection };
        if let Some(streams) = self.survives(&planned.request) {
            self.relay(planned, streams.port);
            return Ok(Action::Continue);
        }
        let Some((id, after)) = planned.request.session.remembered() else {
            self.begin(planned, Vec::new())?;
            return Ok(Action::Continue);
        };
        if self.gateway.storage.is_none() {
            return Err(planned.request.sessions_off());
        }
        let anew = planned.request.resume == Some(false);
        let path = history_path(SessionKey { owner: self.caller.owner(), id }, after, anew);
        let span = self.record.client_span();
        if host::get_from_control_plane(&path, span.as_deref(), HISTORY_TIMEOUT).is_none() {
            return Err(history_unavailable());
        }
        self.state = State::LoadingHistory(Box::new(planned));
        Ok(Action::Pause)
    }

    /// Position of the route that the client's headers choose.
    fn route_by_header(&self) -> Option<usize> {
        match &self.ask {
            Some(ask) => self.gateway.route_named(ask.route.as_deref()?),
            None => self.gateway.route_by_header(host::request_header),
        }
    }

    /// The session and the turn of a request, where there is one to store.
    fn ids(&self, session: Session) -> Option<TurnIds> {
        let ids = self.gateway.storage.as_ref().and_then(|_| TurnIds::of(session))?;
        Some(match &self.ask {
            Some(ask) => TurnIds { session: ask.session.unwrap_or(ids.session), turn: ask.stream, ..ids },
            None => ids,
        })
    }

    fn begin(&mut self, planned: Planned, remembered: Vec<HistoryTurn>) -> Result<(), GatewayError> {
        let ids = self.ids(planned.request.session);
        let exchange = self.open(planned, remembered, ids);
        let now_ms = host::now_ms();
        let step = fleet::with(|fleet| exchange.borrow_mut().choose(fleet, now_ms));
        if let Step::GiveUp(error) = step {
            return Err(error);
        }
        self.hand_over(exchange);
        Ok(())
    }

    fn open(
        &mut self,
        planned: Planned,
        remembered: Vec<HistoryTurn>,
        ids: Option<TurnIds>,
    ) -> SharedExchange {
        let Planned { request, selection } = planned;
        let circumstances = Circumstances {
            ids,
            client: self.client(),
            owner: self.caller.owner(),
            id: Uuid::new_v4(),
            now_ms: host::now_ms(),
            unix_ms: host::unix_ms(),
        };
        let gateway = Rc::clone(&self.gateway);
        let exchange =
            fleet::with(|fleet| Exchange::new(gateway, request, selection, remembered, circumstances, fleet));
        let exchange = Rc::new(RefCell::new(exchange));
        self.record.exchange(&exchange);
        exchange
    }

    /// From here on the exchange is the router's.
    fn hand_over(&mut self, exchange: SharedExchange) {
        let registration = Registration::new(Rc::clone(&exchange), self.context_id);
        host::set_filter_state(CLUSTER_PROPERTY, exchange.borrow().cluster());
        host::set_filter_state(EXCHANGE_PROPERTY, &registration.key());
        host::clear_route_cache();
        self.state = State::Exchanging { exchange, _registration: registration };
    }

    /// The consumer, where consumers have limits. Those that do not say who they are count as one.
    fn client(&self) -> Option<Uuid> {
        if let Some(ask) = &self.ask {
            return ask.payer;
        }
        if self.gateway.auth.is_some() {
            return self.caller.payer(&self.gateway);
        }
        let header = self.gateway.client_limits.as_ref()?.header.as_ref()?;
        Some(client_id(&host::request_header(header).unwrap_or_default()))
    }

    /// Holds the response until its turn is stored, where there is one to store.
    fn commit(&self) -> Action {
        let State::Exchanging { exchange, .. } = &self.state else { return Action::Continue };
        let timeout_ms = self.gateway.storage.as_ref().map(|storage| storage.commit_timeout_ms);
        let Some(timeout_ms) = timeout_ms else { return Action::Continue };
        let Some(turn) = exchange.borrow().turn(host::unix_ms()) else { return Action::Continue };
        let held = HeldResponse {
            context_id: self.context_id,
            exchange: Rc::clone(exchange),
            since_ms: host::now_ms(),
        };
        match turns::commit(&turn, held, timeout_ms) {
            Ok(()) => Action::Pause,
            Err(held) => {
                held.mark_not_stored();
                Action::Continue
            }
        }
    }
}

impl HeldResponse {
    fn note(&self, is_stored: bool) {
        let waited_ms = host::now_ms().saturating_sub(self.since_ms);
        self.exchange.borrow_mut().note_commit(waited_ms, is_stored);
    }

    /// Marks the response as one whose turn is not stored (yet).
    fn mark_not_stored(&self) {
        self.note(false);
        let mut exchange = self.exchange.borrow_mut();
        if exchange.is_stream() {
            let mut tail = Body::Response.read(usize::MAX);
            let size = tail.len();
            exchange.mark_end_not_stored(&mut tail);
            Body::Response.replace(size, &tail);
        } else {
            host::set_response_header(STORED_HEADER, "false");
        }
    }
}

/// Lets a held response go. Called by the worker's root context, whose effective context it changes.
pub(crate) fn release(response: HeldResponse, stored: bool) {
    if hostcalls::set_effective_context(response.context_id).is_ok() {
        if stored {
            response.note(true);
        } else {
            response.mark_not_stored();
        }
        host::resume_response();
    }
}

fn without_query(path: &[u8]) -> &[u8] {
    path.split(|&b| b == b'?').next().unwrap_or_default()
}

fn history_unavailable() -> GatewayError {
    GatewayError::new(ErrorCode::HistoryGetError, "the session's history could not be read")
}

impl Context for GatewayContext {
    fn on_http_call_response(&mut self, _token: u32, headers: usize, body_size: usize, _trailers: usize) {
        let State::LoadingHistory(planned) = std::mem::replace(&mut self.state, State::Responded) else {
            return;
        };
        let history = match host::http_call_reply(headers, body_size) {
            Some((200, body)) => serde_json::from_slice::<History>(&body).map_err(|_| history_unavailable()),
            Some((404, _)) => Err(planned.request.session_unknown()),
            _ => Err(history_unavailable()),
        };
        match history.and_then(|history| self.begin(*planned, history.turns)) {
            Ok(()) => host::resume_request(),
            Err(error) => self.respond(&error, 0),
        }
    }
}

impl HttpContext for GatewayContext {
    fn on_http_request_headers(&mut self, _headers: usize, end_of_stream: bool) -> Action {
        match self.identify() {
            Ok(true) => {}
            Ok(false) => {
                self.state = State::Passed;
                return Action::Continue;
            }
            Err(error) => {
                self.respond(&error, 0);
                return Action::Pause;
            }
        }
        if end_of_stream {
            self.respond(&GatewayError::new(ErrorCode::OptionError, "the request has no body"), 0);
        }
        Action::Pause
    }

    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        if matches!(self.state, State::Passed) {
            return Action::Continue;
        }
        if !matches!(self.state, State::Reading) {
            return Action::Pause;
        }
        if size > self.gateway.max_request_bytes {
            self.respond(&self.too_large(), 0);
            return Action::Pause;
        }
        if !end_of_stream {
            return Action::Pause;
        }
        match self.read_request(Body::Request.read(size)) {
            Ok(action) => action,
            Err(error) => {
                self.respond(&error, 0);
                Action::Pause
            }
        }
    }

    fn on_http_request_trailers(&mut self, _trailers: usize) -> Action {
        if matches!(self.state, State::Passed) {
            return Action::Continue;
        }
        let size = Body::Request.read(usize::MAX).len();
        self.on_http_request_body(size, true)
    }

    fn on_http_response_headers(&mut self, _headers: usize, _end_of_stream: bool) -> Action {
        let State::Exchanging { exchange, .. } = &self.state else { return Action::Continue };
        let error = fleet::with(|fleet| exchange.borrow_mut().error_of_foreign_response(fleet, host::now_ms));
        if let Some(error) = error {
            let attempts = exchange.borrow().attempts();
            self.respond(&error, attempts);
            return Action::Pause;
        }
        // The head of a stream is on its way; that of a whole answer waits for what its turn becomes.
        let exchange = exchange.borrow();
        let holds_head = exchange.ids().is_some() && !exchange.is_stream();
        if holds_head { Action::Pause } else { Action::Continue }
    }

    fn on_http_response_body(&mut self, _size: usize, end_of_stream: bool) -> Action {
        if end_of_stream {
            self.record.end();
        }
        match &self.state {
            State::Exchanging { .. } if end_of_stream => self.commit(),
            State::Exchanging { exchange, .. } if !exchange.borrow().is_stream() => Action::Pause,
            _ => Action::Continue,
        }
    }

    fn on_http_response_trailers(&mut self, _trailers: usize) -> Action {
        self.record.end();
        self.commit()
    }

    fn on_log(&mut self) {
        // Of what passed, Envoy's own line tells.
        if !matches!(self.state, State::Passed) {
            std::mem::take(&mut self.record).finish(&self.gateway);
        }
    }
}
