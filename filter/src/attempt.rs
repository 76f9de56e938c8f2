//! The attempt context: one try of one model, as an upstream filter of the model's provider.
//!
//! Writes the provider's request from the exchange, reads the answer, and holds it until it is one. Whatever fails
//! before that is turned into a retriable response, after the router was told which cluster comes next. In the waiting
//! cluster it holds the request instead ([`waiting`]).

mod relay;
mod stream;

use std::rc::Rc;

use ai_warp_core::api::Whole;
use ai_warp_core::dialect::{Dialect, Framing};
use ai_warp_core::error::{ErrorCode, GatewayError};
use ai_warp_core::exchange::{Attempt, Exchange, Step};
use ai_warp_core::failure::{Failure, FailureKind, stated_wait_ms};
use ai_warp_core::plugin::{
    ATTEMPTS_HEADER, CLUSTER_PROPERTY, DROPPED_HEADER, EXCHANGE_PROPERTY, HOP_FAILED_HEADER, HOP_HEADER,
    MODEL_HEADER, RETRY_HEADER, WAITING_PATH,
};
use ai_warp_core::sync::History;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use crate::exchanges::{self, SharedExchange};
use crate::host::{self, Body};
use crate::{fleet, traces, waiting};

use self::relay::{Head, Relay};
use self::stream::{Progress, Stream};

/// Most bytes read of an error body; what says why stands at its start.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// What providers are told we are.
const USER_AGENT: &str = concat!("ai-warp/", env!("CARGO_PKG_VERSION"));

/// One try of one model.
pub(crate) struct AttemptContext {
    context_id: u32,
    state: State,
}

#[derive(Default)]
enum State {
    /// Nothing is left to do: what comes goes through as it is.
    #[default]
    Done,
    /// In the waiting cluster: the request is held, or on its way to be answered with "try again".
    Waiting { is_held: bool },
    /// The request is with who keeps the stream.
    Relaying(Relay),
    /// Who keeps streams does not keep this one; the body is what the exchange needs to go on without.
    Declined(SharedExchange),
    /// The request is under way.
    Sending { attempt: Sending, body: Vec<u8> },
    /// An error status; the body says more.
    ReadingFailure { attempt: Sending, status: u16, error: Option<Vec<u8>>, retry_after_ms: Option<u64> },
    /// Status 200, and the answer comes in one piece. Where a stream was asked for, that is an error under status 200, or
    /// a provider that does not stream.
    ReadingWhole(Sending),
    /// Status 200, and the answer comes as a stream.
    Streaming(Stream),
}

#[derive(Clone)]
struct Sending {
    exchange: SharedExchange,
    dialect: &'static dyn Dialect,
}

impl AttemptContext {
    pub(crate) fn new(context_id: u32) -> Self {
        Self { context_id, state: State::Done }
    }

    /// Begins in whatever cluster this is.
    fn begin(&mut self) -> Result<Action, GatewayError> {
        let exchange = host::property(&[EXCHANGE_PROPERTY]).and_then(|key| exchanges::find(&key));
        let Some(exchange) = exchange else {
            let message = "the gateway was replaced while the request was under way";
            return Err(GatewayError::new(ErrorCode::ProviderNoModelsAvailableError, message));
        };
        let cluster = host::property(&["xds", "cluster_name"]).unwrap_or_default();
        let cluster = String::from_utf8_lossy(&cluster);
        if exchange.borrow().is_traced() {
            traces::arrive(&mut exchange.borrow_mut());
        }
        let gateway = Rc::clone(exchange.borrow().gateway());
        if gateway.waiting_cluster == cluster {
            return self.wait(exchange);
        }
        let sealed = exchange.borrow().sealed().cloned();
        if let Some(sealed) = sealed.filter(|_| exchange.borrow().cluster() == cluster) {
            if exchange.borrow().is_traced() {
                traces::relay();
            }
            host::set_filter_state(CLUSTER_PROPERTY, &gateway.waiting_cluster);
            self.state = State::Relaying(Relay::send(exchange, &sealed));
            return Ok(Action::Continue);
        }
        let attempt = exchange.borrow_mut().begin_attempt(&cluster, host::now_ms())?;
        if exchange.borrow().is_traced() {
            traces::begin_attempt(&exchange.borrow());
        }
        // Should this attempt end without a word.
        host::set_filter_state(CLUSTER_PROPERTY, &gateway.waiting_cluster);
        self.send(exchange, attempt);
        Ok(Action::Continue)
    }

    /// Holds the request until it is clear where it goes next.
    fn wait(&mut self, exchange: SharedExchange) -> Result<Action, GatewayError> {
        let step = fleet::with(|fleet| exchange.borrow_mut().arrive(fleet, host::now_ms()));
        if exchange.borrow().is_traced() {
            traces::wait();
        }
        let is_held = match step {
            Step::GiveUp(error) => return Err(error),
            Step::Wait { until_ms } => {
                waiting::hold(self.context_id, exchange, until_ms);
                true
            }
            Step::Go => {
                host::set_filter_state(CLUSTER_PROPERTY, exchange.borrow().cluster());
                false
            }
        };
        host::write_request_headers(vec![
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", "ai-warp"),
            (":path", WAITING_PATH),
            ("content-length", "0"),
        ]);
        self.state = State::Waiting { is_held };
        Ok(if is_held { Action::Pause } else { Action::Continue })
    }

    /// Writes the provider's request in place of the client's.
    fn send(&mut self, exchange: SharedExchange, attempt: Attempt) {
        let accept = match exchange.borrow().is_stream() {
            true => attempt.dialect.framing().content_type(),
            false => "application/json",
        };
        let length = attempt.body.len().to_string();
        // The whole map: what an earlier attempt or the client left in it must not reach this provider.
        let mut headers = vec![
            (":method", "POST"),
            (":scheme", attempt.scheme),
            (":authority", &attempt.authority),
            (":path", &attempt.path),
            ("content-type", "application/json"),
            ("content-length", &length),
            ("accept", accept),
            ("user-agent", USER_AGENT),
        ];
        headers.extend(attempt.headers.iter().map(|(name, value)| (*name, value.as_str())));
        if let Some(cluster) = &attempt.hop_cluster {
            // The second header tells the hop's connection manager the scheme to go on with.
            headers.extend([(HOP_HEADER, cluster.as_str()), ("x-forwarded-proto", attempt.scheme)]);
        }
        host::write_request_headers(headers);
        let sending = Sending { exchange, dialect: attempt.dialect };
        self.state = State::Sending { attempt: sending, body: attempt.body };
    }

    /// Decides what follows from `failure`, and makes the response one that the router retries or that the gateway
    /// context replaces by the typed error. Only while the response headers are held.
    fn fail(&mut self, exchange: &SharedExchange, failure: Failure) -> Action {
        self.state = State::Done;
        if exchange.borrow().is_traced() {
            traces::fail(failure.kind.word());
        }
        let step = fleet::with(|fleet| exchange.borrow_mut().fail(failure, fleet, host::now_ms()));
        write_step(exchange, &step);
        Action::Continue
    }

    /// Nobody keeps the stream: the exchange goes on without.
    fn go_alone(&mut self, exchange: &SharedExchange) -> Action {
        self.state = State::Done;
        let step = fleet::with(|fleet| exchange.borrow_mut().go_alone(fleet, host::now_ms()));
        write_step(exchange, &step);
        Action::Continue
    }

    fn read_failure(&mut self, size: usize) -> Action {
        let State::ReadingFailure { attempt, status, error, retry_after_ms } =
            std::mem::take(&mut self.state)
        else {
            return Action::Continue;
        };
        let body = Body::Response.read(size.min(MAX_ERROR_BYTES));
        let mut failure = attempt.dialect.read_failure(
            status,
            error.as_deref().and_then(|error| std::str::from_utf8(error).ok()),
            &body,
        );
        failure.retry_after_ms = retry_after_ms.or(failure.retry_after_ms);
        self.fail(&attempt.exchange, failure)
    }

    fn read_whole(&mut self, size: usize) -> Action {
        let State::ReadingWhole(attempt) = std::mem::take(&mut self.state) else { return Action::Continue };
        let body = Body::Response.read(size);
        let read = attempt.exchange.borrow().read_whole(attempt.dialect, &body);
        let (answer, whole) = match read {
            Ok(read) => read,
            Err(failure) => return self.fail(&attempt.exchange, failure),
        };
        let mut exchange = attempt.exchange.borrow_mut();
        fleet::with(|fleet| exchange.complete(answer, fleet, host::now_ms()));
        match whole {
            Whole::Written(body) => {
                write_head(&exchange, "application/json", Some(body.len()));
                Body::Response.replace(size, &body);
            }
            Whole::Native => write_head(&exchange, "application/json", Some(size)),
        }
        Action::Continue
    }

    /// Takes what has come of the answer.
    fn read(&mut self, size: usize, end_of_stream: bool) -> Action {
        match &mut self.state {
            State::Done | State::Waiting { .. } | State::Sending { .. } => Action::Continue,
            State::Relaying(relay) => {
                relay.read(size, end_of_stream);
                Action::Continue
            }
            State::Declined(_) if !end_of_stream => Action::Pause,
            State::Declined(exchange) => {
                let exchange = Rc::clone(exchange);
                if let Ok(History { turns }) = serde_json::from_slice(&Body::Response.read(size)) {
                    exchange.borrow_mut().remember(turns);
                }
                self.go_alone(&exchange)
            }
            State::ReadingFailure { .. } if end_of_stream || size >= MAX_ERROR_BYTES => {
                self.read_failure(size)
            }
            State::ReadingFailure { .. } => Action::Pause,
            State::ReadingWhole(attempt) => {
                let limit = attempt.exchange.borrow().gateway().max_response_bytes;
                if size > limit {
                    let exchange = Rc::clone(&attempt.exchange);
                    let message = format!("sent more than {limit} bytes");
                    return self.fail(&exchange, Failure::new(FailureKind::TooLarge, message));
                }
                if end_of_stream { self.read_whole(size) } else { Action::Pause }
            }
            State::Streaming(stream) => match stream.read(size, end_of_stream) {
                Progress::Held => Action::Pause,
                Progress::Passed => Action::Continue,
                Progress::Failed(failure) => {
                    let exchange = Rc::clone(stream.exchange());
                    self.fail(&exchange, failure)
                }
            },
        }
    }
}

/// Makes of a response whose headers are held one that the router retries, or that the gateway context replaces by the
/// typed error.
fn write_step(exchange: &SharedExchange, step: &Step) {
    match step {
        // Nothing of what the provider sent may ask for another try.
        Step::GiveUp(_) => host::write_response_headers(vec![(":status", "502")]),
        Step::Go | Step::Wait { .. } => {
            if *step == Step::Go {
                host::set_filter_state(CLUSTER_PROPERTY, exchange.borrow().cluster());
            }
            host::write_response_headers(vec![(":status", "503"), (RETRY_HEADER, "1")]);
        }
    }
}

/// The head of an answer. What the provider sent in its own is gone.
fn write_head(exchange: &Exchange, content_type: &str, length: Option<usize>) {
    let attempts = exchange.attempts().to_string();
    let length = length.map(|length| length.to_string());
    let session = exchange.ids().map(|ids| ids.session.to_string());
    let mut headers = vec![
        (":status", "200"),
        ("content-type", content_type),
        (MODEL_HEADER, exchange.model_id()),
        (ATTEMPTS_HEADER, &attempts),
    ];
    match &length {
        Some(length) => headers.push(("content-length", length)),
        None => headers.push(("cache-control", "no-cache")),
    }
    if !exchange.dropped().is_empty() {
        headers.push((DROPPED_HEADER, exchange.dropped()));
    }
    if let Some(session) = &session {
        headers.push((&exchange.gateway().session_header, session));
    }
    host::write_response_headers(headers);
}

impl Context for AttemptContext {}

impl Drop for AttemptContext {
    fn drop(&mut self) {
        if matches!(self.state, State::Waiting { is_held: true }) {
            waiting::forget(self.context_id);
        }
    }
}

impl HttpContext for AttemptContext {
    fn on_http_request_headers(&mut self, _headers: usize, _end_of_stream: bool) -> Action {
        self.begin().unwrap_or_else(|error| {
            // Bypasses retries. The gateway context knows the same error and writes it.
            host::respond_with(&error);
            Action::Pause
        })
    }

    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        match &mut self.state {
            State::Waiting { is_held } => {
                Body::Request.replace(size, b"");
                if *is_held { Action::Pause } else { Action::Continue }
            }
            State::Relaying(_) => Action::Continue,
            _ if !end_of_stream => Action::Pause,
            State::Sending { body, .. } => {
                Body::Request.replace(size, &std::mem::take(body));
                Action::Continue
            }
            _ => Action::Continue,
        }
    }

    fn on_http_request_trailers(&mut self, _trailers: usize) -> Action {
        let size = Body::Request.read(usize::MAX).len();
        self.on_http_request_body(size, true)
    }

    fn on_http_response_headers(&mut self, _headers: usize, end_of_stream: bool) -> Action {
        if let State::Relaying(relay) = &mut self.state {
            return match relay.read_head() {
                Head::Passed => Action::Continue,
                Head::Declined => {
                    let exchange = Rc::clone(relay.exchange());
                    if end_of_stream || !exchange.borrow().lacks_history() {
                        return self.go_alone(&exchange);
                    }
                    self.state = State::Declined(exchange);
                    Action::Pause
                }
            };
        }
        let State::Sending { attempt, .. } = &self.state else { return Action::Continue };
        let attempt = attempt.clone();
        let status = host::response_header(":status")
            .and_then(|status| std::str::from_utf8(&status).ok()?.parse().ok())
            .unwrap_or(0);
        let is_stream = attempt.exchange.borrow().is_stream();
        if is_stream && host::response_header(HOP_FAILED_HEADER).is_some() {
            let failure = attempt.exchange.borrow().why_unanswered(host::now_ms());
            return self.fail(&attempt.exchange, failure);
        }
        attempt.exchange.borrow_mut().note_response(status);
        let framing = attempt.dialect.framing();
        self.state = if status != 200 {
            let retry_after_ms = stated_wait_ms(status, host::unix_ms(), host::response_header);
            let error = attempt.dialect.error_header().and_then(host::response_header);
            State::ReadingFailure { attempt, status, error, retry_after_ms }
        } else if is_stream && is_framed(framing) {
            State::Streaming(Stream::new(attempt.exchange, attempt.dialect))
        } else {
            State::ReadingWhole(attempt)
        };
        if end_of_stream { self.read(0, true) } else { Action::Pause }
    }

    fn on_http_response_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        self.read(size, end_of_stream)
    }

    /// The end of a whole answer over HTTP/2. Streams have none: the hop speaks HTTP/1.0.
    fn on_http_response_trailers(&mut self, _trailers: usize) -> Action {
        match self.state {
            State::ReadingFailure { .. } | State::ReadingWhole(_) | State::Declined(_) => {
                let size = Body::Response.read(usize::MAX).len();
                self.read(size, true)
            }
            State::Done
            | State::Waiting { .. }
            | State::Relaying(_)
            | State::Sending { .. }
            | State::Streaming(_) => Action::Continue,
        }
    }
}

fn is_framed(framing: Framing) -> bool {
    let expected = framing.content_type().as_bytes();
    host::response_header("content-type").is_some_and(|value| {
        value.get(..expected.len()).is_some_and(|start| start.eq_ignore_ascii_case(expected))
    })
}
