//! Carries out the steps of a stream.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use wasm_bindgen::JsValue;
use wasm_bindgen_futures::spawn_local;
use web_sys::Headers;

use super::Shared;
use super::cancel::{Cancel, Why};
use super::http::{Body, HttpRequest, header};
use super::js::Failure;
use super::timer::{sleep, within};
use super::whole::{begin, interruption, refusal};
use crate::error::{ABORTED, CONNECTION_LOST, ClientError};
use crate::message::Message;
use crate::stream::{AskStream, Head, Request, Retry, Step};

/// The response header that names the place before a stream's first event.
const STREAM_HEADER: &str = "x-ai-warp-stream";

/// How long a body may take to end after the stream's last event. Read to its end, its connection can be used again.
const DRAIN: Duration = Duration::from_secs(1);

/// What the program is told.
#[derive(Debug)]
pub(super) enum Told {
    Message(Message),
    Finished,
    Failed(Failure),
}

/// A stream, and the connection it is on.
#[derive(Debug)]
pub(super) struct Asking {
    shared: Rc<Shared>,
    stream: RefCell<AskStream>,
    cancel: Rc<Cancel>,
    body: RefCell<Option<Body>>,
    /// Of the first response.
    headers: RefCell<Option<Headers>>,
    /// What the last connection broke by.
    cause: RefCell<JsValue>,
}

impl Asking {
    pub(super) fn new(shared: Rc<Shared>, stream: AskStream, cancel: Rc<Cancel>) -> Self {
        Self {
            shared,
            stream: RefCell::new(stream),
            cancel,
            body: RefCell::default(),
            headers: RefCell::default(),
            cause: RefCell::new(JsValue::UNDEFINED),
        }
    }

    /// Asks, until the stream has begun: the headers of its response.
    pub(super) async fn open(&self) -> Result<Headers, Failure> {
        loop {
            if let Some(headers) = self.headers.borrow().clone() {
                return Ok(headers);
            }
            match self.carry_out().await {
                None => {}
                Some(Told::Failed(failure)) => return Err(failure),
                // Nothing is told of a stream that has not begun, but that nobody wants it.
                Some(Told::Message(_) | Told::Finished) => return Err(self.cancel.failure()),
            }
        }
    }

    /// Goes on until there is something to tell.
    pub(super) async fn next(&self) -> Told {
        loop {
            if let Some(told) = self.carry_out().await {
                return told;
            }
        }
    }

    /// Nobody wants the rest; of a stream that is over that is what its body has after the last event.
    pub(super) fn leave(&self) {
        if !self.stream.borrow().is_over() {
            self.cancel.cancel(Why::Left);
        } else if self.body.borrow().is_some() {
            self.end();
        }
    }

    async fn carry_out(&self) -> Option<Told> {
        match self.cancel.why() {
            Some(Why::Left) => return Some(Told::Finished),
            Some(Why::Aborted(_)) => self.abort(),
            None => {}
        }
        let step = self.stream.borrow_mut().next_step();
        match step {
            Step::Send(request) => self.send(&request).await,
            Step::Wait(time) => {
                sleep(time, &self.cancel).await;
            }
            Step::Read => self.read().await,
            Step::Deliver(message) => return Some(Told::Message(message)),
            Step::Finish => {
                self.end();
                return Some(Told::Finished);
            }
            Step::Fail(error) => {
                self.cancel.abort_fetch();
                self.end();
                let failure = Failure { error, cause: self.cause.replace(JsValue::UNDEFINED) };
                self.shared.log.failed(&failure, &self.shared.config);
                return Some(Told::Failed(failure));
            }
        }
        None
    }

    async fn send(&self, request: &Request) {
        let shared = &self.shared;
        let url = shared.config.endpoint(true);
        let request = HttpRequest {
            method: "POST",
            url: &url,
            accept: "text/event-stream",
            last_event_id: request.last_event_id.as_deref(),
            body: Some(&request.body),
        };
        let response = match begin(shared, &request, &self.cancel).await {
            Ok(response) => response,
            Err(failure) => return self.broken(failure),
        };
        if !response.ok() {
            return match refusal(shared, &response, &self.cancel).await {
                Ok(error) => {
                    let retry = self.stream.borrow_mut().refused(error, js_sys::Math::random());
                    self.retrying(retry);
                }
                Err(failure) => self.broken(failure),
            };
        }
        let Some(body) = Body::of(&response) else {
            return self.broken(ClientError::new(CONNECTION_LOST, "Response body is null").into());
        };
        let head = Head {
            content_type: header(&response, "content-type"),
            place: header(&response, STREAM_HEADER),
            session: header(&response, &shared.config.session_header),
        };
        let retry = self.stream.borrow_mut().answered(&head, js_sys::Math::random());
        if !self.stream.borrow().is_open() {
            return self.retrying(retry);
        }
        self.body.replace(Some(body));
        if self.headers.borrow().is_some() {
            shared.log.resumed(self.stream.borrow().place());
        } else {
            shared.log.answered(response.status());
            self.headers.replace(Some(response.headers()));
        }
    }

    async fn read(&self) {
        let Some(body) = self.body.borrow().clone() else { return };
        let piece = within(self.shared.config.timeout(), &self.cancel, body.piece()).await;
        match piece {
            Ok(Ok(Some(piece))) => {
                let retry = self.stream.borrow_mut().take(&piece, js_sys::Math::random());
                self.retrying(retry);
            }
            Ok(Ok(None)) => {
                let message = "the connection ended before the stream did";
                self.broken(ClientError::new(CONNECTION_LOST, message).into());
            }
            Ok(Err(cause)) => self.broken(Failure::of_rejection(cause)),
            Err(interrupted) => self.broken(interruption(interrupted, &self.cancel)),
        }
    }

    /// The connection is of no use any more.
    fn broken(&self, failure: Failure) {
        self.cause.replace(failure.cause);
        if failure.error.code == ABORTED {
            return self.abort();
        }
        let retry = self.stream.borrow_mut().broken(failure.error, js_sys::Math::random());
        self.retrying(retry);
    }

    fn retrying(&self, retry: Option<Retry>) {
        if let Some(retry) = retry {
            self.cancel.abort_fetch();
            self.body.replace(None);
            self.shared.log.retrying(&retry, self.stream.borrow().place());
        }
    }

    fn abort(&self) {
        let Failure { error, cause } = self.cancel.failure();
        self.cause.replace(cause);
        self.stream.borrow_mut().abort(error);
    }

    /// The stream is over. What is left of its body has a moment to end by itself.
    fn end(&self) {
        let Some(body) = self.body.take() else { return self.cancel.release() };
        let cancel = Rc::clone(&self.cancel);
        spawn_local(async move {
            let drained = async { while let Ok(Some(_)) = body.piece().await {} };
            if within(DRAIN, &cancel, drained).await.is_err() {
                cancel.abort_fetch();
            }
            cancel.release();
        });
    }
}
