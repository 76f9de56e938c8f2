//! From a request to a response: finds the endpoint, checks what every provider checks, and has the rest done.
//!
//! The order of checks is that of the real services: path, method, credential, body, and then the model.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::Value;

use crate::admin;
use crate::answer::{Answer, Prompt};
use crate::body::{Aborted, Body};
use crate::embedding::EmbeddingRequest;
use crate::endpoint::Endpoint;
use crate::fault::{Counted, Faults, LineEnd, Refuse};
use crate::gate::Gates;
use crate::leak;
use crate::oauth;
use crate::provider::Provider;
use crate::record::{Outcome, RecordedRequest, Recorder, Ticket};
use crate::sigv4::{self, Signed};
use crate::stream::{Framing, Script};
use crate::wire::bedrock;
use crate::wire::{self, Events, Misuse, Refusal, Stamp};

/// The longest request body read, in bytes.
const REQUEST_BYTES_MAX: usize = 64 * 1024 * 1024;
const X_SIMULATOR: &str = "x-simulator";

/// What all connections of a simulator share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) recorder: Recorder,
    pub(crate) gates: Gates,
    /// Accepted credentials.
    pub(crate) keys: HashMap<Provider, Vec<String>>,
    /// Requests so far to models whose faults depend on that.
    counters: Mutex<HashMap<(Provider, String), u64>>,
    answers: AtomicU64,
}

impl Shared {
    pub(crate) fn new(recorder: Recorder, keys: HashMap<Provider, Vec<String>>) -> Shared {
        Shared { recorder, gates: Gates::new(), keys, counters: Mutex::default(), answers: AtomicU64::new(0) }
    }

    /// Forgets requests, counts and opened gates.
    pub(crate) fn clear(&self) {
        self.recorder.clear();
        self.gates.close_all();
        self.counters.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Counts a request to `model`, from 1.
    fn count(&self, provider: Provider, model: &str) -> u64 {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counters.entry((provider, model.to_owned())).or_default();
        *count += 1;
        *count
    }

    fn stamp(&self) -> Stamp {
        let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Stamp { serial: self.answers.fetch_add(1, Ordering::Relaxed) + 1, created }
    }
}

/// Answers one request. An error closes the connection; `reset` says whether with a TCP reset.
pub(crate) async fn answer(
    shared: Arc<Shared>,
    reset: Arc<AtomicBool>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Aborted> {
    let (parts, body) = request.into_parts();
    if let Some(path) = parts.uri.path().strip_prefix("/_simulator/") {
        let ticket = Recorder::new(false).file(|| unrecorded(&parts));
        let (status, text) = admin::answer(&shared, &parts.method, path);
        let script = Script::plain(text, Outcome::Answered);
        let mut response = Response::new(Body::new(script, String::new(), shared.gates.clone(), ticket));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        return Ok(response);
    }
    let bytes = match Limited::new(body, REQUEST_BYTES_MAX).collect().await {
        Ok(collected) => Some(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => None,
        Err(_) => return Err(Aborted),
    };
    let call = Call::new(&shared, &parts, bytes);
    let ticket = shared.recorder.file(|| call.record(&parts));
    call.answer(&reset, ticket).await
}

/// A request that has been read.
struct Call<'a> {
    shared: &'a Shared,
    provider: Option<Provider>,
    endpoint: Endpoint,
    method: &'a Method,
    path: &'a str,
    query: Option<&'a str>,
    headers: &'a HeaderMap,
    /// Where HTTP/2 names the host.
    authority: Option<&'a str>,
    version: Version,
    /// `None` when it is too long.
    bytes: Option<Bytes>,
    /// The body as JSON, or what is wrong with it.
    body: Result<Value, serde_json::Error>,
}

impl<'a> Call<'a> {
    fn new(shared: &'a Shared, parts: &'a Parts, bytes: Option<Bytes>) -> Call<'a> {
        let (path, query) = (parts.uri.path(), parts.uri.query());
        let (provider, endpoint) = Endpoint::find(path, query);
        let body = match (&endpoint, bytes.as_deref().unwrap_or_default()) {
            (Endpoint::Token, form) => Ok(oauth::record(form)),
            (_, json) => serde_json::from_slice(json),
        };
        let (method, headers, version) = (&parts.method, &parts.headers, parts.version);
        let authority = parts.uri.authority().map(http::uri::Authority::as_str);
        Call { shared, provider, endpoint, method, path, query, headers, authority, version, bytes, body }
    }

    fn model(&self) -> &str {
        let named = self.endpoint.place().and_then(|place| place.model.as_deref());
        let in_body = || self.body.as_ref().ok()?.get("model")?.as_str();
        named.or_else(in_body).unwrap_or_default()
    }

    /// The header the provider takes the credential from, and its value.
    fn credential_header(&self) -> Option<(&'static str, &str)> {
        let mut names = self.provider?.credential_headers().iter();
        names.find_map(|name| Some((*name, self.headers.get(*name)?.to_str().ok()?)))
    }

    fn credential(&self) -> Option<&str> {
        let Some((name, value)) = self.credential_header() else {
            let pairs = self.query.filter(|_| self.provider == Some(Provider::Gemini))?.split('&');
            return pairs.filter_map(|pair| pair.strip_prefix("key=")).next();
        };
        if name != "authorization" {
            return Some(value);
        }
        if let Some(access_key) = sigv4::access_key(value) {
            return Some(access_key);
        }
        match value.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Some(token.trim()),
            _ => Some(value),
        }
    }

    /// Whether the credential is one of the provider's.
    fn check_credential(&self, provider: Provider) -> Result<(), Refusal> {
        let credential = self.credential();
        let is_signed = || self.credential_header().and_then(|(_, value)| sigv4::access_key(value)).is_some();
        if provider == Provider::Bedrock && is_signed() {
            return bedrock::verify(&Signed {
                method: self.method.as_str(),
                path: self.path,
                query: self.query,
                headers: self.headers,
                authority: self.authority,
                body: self.bytes.as_deref().unwrap_or_default(),
            });
        }
        let keys = self.shared.keys.get(&provider).map(Vec::as_slice).unwrap_or_default();
        let is_accepted = match credential {
            Some(credential) => keys.iter().any(|key| key == credential),
            None => provider.accepts_anonymous(),
        };
        if is_accepted { Ok(()) } else { Err(wire::misuse(provider, &Misuse::Credential(credential))) }
    }

    fn record(&self, parts: &Parts) -> RecordedRequest {
        RecordedRequest {
            provider: self.provider,
            model: self.model().to_owned(),
            body: self.body.as_ref().map_or(Value::Null, Clone::clone),
            credential: self.credential().map(str::to_owned),
            leaks: leak::find(self.provider, self.headers, self.query),
            ..unrecorded(parts)
        }
    }

    async fn answer(self, reset: &AtomicBool, ticket: Ticket) -> Result<Response<Body>, Aborted> {
        // Paths of no provider get OpenAI's errors: somebody has to word them.
        let provider = self.provider.unwrap_or(Provider::OpenAi);
        let (faults, prompt) = match self.check(provider) {
            Ok(Checked::Models) => {
                let text = wire::models(provider).to_string();
                let script = Script::plain(text, Outcome::Answered);
                return Ok(self.respond(StatusCode::OK, None, script, ticket));
            }
            Ok(Checked::Token { faults, text }) => {
                let ticket = match self.refusal_due(provider, &faults, reset, ticket).await? {
                    Due::Answer(ticket) => ticket,
                    Due::Refused(response) => return Ok(response),
                };
                let script = Script::whole(text, String::new(), false, &faults);
                return Ok(self.respond(StatusCode::OK, None, script, ticket));
            }
            Ok(Checked::Embeddings { faults, request }) => {
                return self.embed(provider, &faults, &request, reset, ticket).await;
            }
            Ok(Checked::Chat { faults, prompt }) => (*faults, *prompt),
            Err(refusal) => return Ok(self.refused(&refusal, Outcome::Rejected, ticket)),
        };
        let ticket = match self.refusal_due(provider, &faults, reset, ticket).await? {
            Due::Answer(ticket) => ticket,
            Due::Refused(response) => return Ok(response),
        };
        if faults.gate && !prompt.stream {
            self.shared.gates.clone().wait(prompt.model.clone()).await;
        }
        let body = self.bytes.as_deref().unwrap_or_default();
        let stamp = self.shared.stamp();
        let answer = Answer::new(provider, &prompt, &faults, body, stamp.serial);
        let events =
            || with_error(wire::events(provider, &prompt, &answer, &stamp), provider, &prompt, &faults);
        let (content_type, script) = if prompt.stream != faults.other_mode {
            let framing = self.framing(provider, faults.other_mode);
            let content_type =
                if framing == Framing::Array { json(provider) } else { event_stream(provider) };
            (content_type, Script::stream(events(), framing, &faults))
        } else {
            let text = wire::whole(provider, &prompt, &answer, &stamp);
            let error = if faults.broken.is_some() { events().error.data } else { String::new() };
            (json(provider), Script::whole(text, error, provider == Provider::DeepSeek, &faults))
        };
        let is_disguised = faults.other_mode || faults.content_type.is_some();
        let outcome = if is_disguised { Outcome::Faulted } else { script.outcome };
        let script = Script { outcome, ..script };
        let content_type = faults.content_type.as_deref().unwrap_or(content_type);
        Ok(self.respond(StatusCode::OK, Some(content_type), script, ticket))
    }

    /// The failure this very request is due, or the ticket for its answer.
    async fn refusal_due(
        &self,
        provider: Provider,
        faults: &Faults,
        reset: &AtomicBool,
        mut ticket: Ticket,
    ) -> Result<Due, Aborted> {
        if let Some(delay) = faults.delay {
            tokio::time::sleep(delay).await;
        }
        match self.refusal_asked_for(provider, faults) {
            None => Ok(Due::Answer(ticket)),
            Some(Refuse::Stall) => std::future::pending().await,
            Some(Refuse::Reset) => {
                // On HTTP/2 only the stream is reset; the connection carries others.
                reset.store(self.version != Version::HTTP_2, Ordering::Relaxed);
                ticket.settle(Outcome::Faulted);
                Err(Aborted)
            }
            Some(refuse) => Ok(Due::Refused(self.fail(provider, refuse, faults, ticket))),
        }
    }

    /// Answers a request for embeddings; faults of streams mean nothing here.
    async fn embed(
        &self,
        provider: Provider,
        faults: &Faults,
        request: &EmbeddingRequest,
        reset: &AtomicBool,
        ticket: Ticket,
    ) -> Result<Response<Body>, Aborted> {
        let ticket = match self.refusal_due(provider, faults, reset, ticket).await? {
            Due::Answer(ticket) => ticket,
            Due::Refused(response) => return Ok(response),
        };
        let text = wire::embeddings(provider, request);
        let script = Script::whole(text, String::new(), false, faults);
        Ok(self.respond(StatusCode::OK, faults.content_type.as_deref(), script, ticket))
    }

    /// Everything that is checked before a model comes into play.
    fn check(&self, provider: Provider) -> Result<Checked, Refusal> {
        let (method, path) = (self.method.as_str(), self.path);
        let misuse = |misuse: &Misuse<'_>| wire::misuse(provider, misuse);
        let allowed = match self.endpoint {
            Endpoint::Nowhere => return Err(misuse(&Misuse::Path { method, path })),
            Endpoint::Models => Method::GET,
            Endpoint::Chat(_) | Endpoint::Embeddings(_) | Endpoint::Token => Method::POST,
        };
        if *self.method != allowed {
            return Err(misuse(&Misuse::Method { method, path }));
        }
        if self.endpoint == Endpoint::Token {
            return self.check_token_request();
        }
        self.check_credential(provider)?;
        if self.endpoint == Endpoint::Models {
            return Ok(Checked::Models);
        }
        let content_type = self.content_type();
        if !is_media_type(content_type, "application/json") {
            return Err(misuse(&Misuse::ContentType(content_type)));
        }
        if self.bytes.is_none() {
            return Err(misuse(&Misuse::TooLarge));
        }
        let body = self.body.as_ref().map_err(|error| misuse(&Misuse::Json(&error.to_string())))?;
        let flags = self.headers.get(X_SIMULATOR).and_then(|value| value.to_str().ok());
        let faults =
            Faults::parse(self.model(), flags).map_err(|error| misuse(&Misuse::Fault(&error.to_string())))?;
        let place = self.endpoint.place();
        let request = wire::Request {
            body,
            bytes: self.bytes.as_deref().unwrap_or_default(),
            path_model: place.and_then(|place| place.model.as_deref()),
            path_stream: place.is_some_and(|place| place.stream),
            path_batch: place.is_some_and(|place| place.batch),
            headers: self.headers,
            query: self.query,
        };
        if matches!(self.endpoint, Endpoint::Embeddings(_)) {
            let request = wire::read_embedding(provider, &request)?;
            let request = EmbeddingRequest { extra: faults.extra, ..request };
            let faults = Box::new(faults.for_credential(self.credential()));
            return Ok(Checked::Embeddings { faults, request: Box::new(request) });
        }
        let prompt = wire::read(provider, &request)?;
        let faults = faults.for_credential(self.credential());
        Ok(Checked::Chat { faults: Box::new(faults), prompt: Box::new(prompt) })
    }

    fn content_type(&self) -> &str {
        self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("none")
    }

    /// Checks a request for an access token. Its faults are in the query, for callers that choose no model.
    fn check_token_request(&self) -> Result<Checked, Refusal> {
        let content_type = self.content_type();
        if !is_media_type(content_type, oauth::CONTENT_TYPE) {
            return Err(wire::misuse(Provider::Vertex, &Misuse::ContentType(content_type)));
        }
        let flags = oauth::query_value(self.query, "flags");
        let faults = Faults::parse("", flags.as_deref())
            .map_err(|error| wire::misuse(Provider::Vertex, &Misuse::Fault(&error.to_string())))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let token = oauth::grant(self.bytes.as_deref().unwrap_or_default(), self.query, now)
            .map_err(|refused| Refusal::new(400, refused.body()))?;
        Ok(Checked::Token { faults: Box::new(faults), text: token.to_string() })
    }

    /// The refusal this very request is due.
    fn refusal_asked_for(&self, provider: Provider, faults: &Faults) -> Option<Refuse> {
        let counted = faults.counted.and_then(|counted| {
            let count = self.shared.count(provider, self.model());
            match counted {
                Counted::FailFirst(first) => (count <= first).then_some(Refuse::Status(503)),
                Counted::Flaky => (count % 2 == 1).then_some(Refuse::Status(500)),
            }
        });
        counted.or(faults.refuse)
    }

    /// How a stream is framed. One that nobody asked for is framed by events: an array would be a kind of whole answer.
    fn framing(&self, provider: Provider, unasked: bool) -> Framing {
        let is_sse = self.endpoint.place().is_some_and(|place| place.sse);
        match provider {
            Provider::Gemini | Provider::Vertex if is_sse || unasked => Framing::Sse(LineEnd::CrLf),
            Provider::Gemini | Provider::Vertex => Framing::Array,
            Provider::Bedrock => Framing::EventStream,
            _ => Framing::Sse(LineEnd::Lf),
        }
    }

    /// A failure asked for by a fault.
    fn fail(&self, provider: Provider, refuse: Refuse, faults: &Faults, ticket: Ticket) -> Response<Body> {
        if let Refuse::Html(status) = refuse {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            let script = Script::plain(html_page(status), Outcome::Faulted);
            return self.respond(status, Some("text/html"), script, ticket);
        }
        let waits = &faults.waits;
        let Some(mut refusal) = wire::refuse(provider, refuse, self.model(), waits) else {
            // Resets and stalls have no response, and were dealt with before.
            let script = Script::plain(String::new(), Outcome::Faulted);
            return self.respond(StatusCode::BAD_GATEWAY, None, script, ticket);
        };
        if faults.array_error {
            refusal.body = Value::Array(vec![refusal.body]);
        }
        let mut response = self.refused(&refusal, Outcome::Faulted, ticket);
        let headers = response.headers_mut();
        let mut state = |name: &'static str, value: Option<&str>| {
            let value = value.and_then(|value| HeaderValue::from_str(value).ok());
            headers.extend(value.map(|value| (HeaderName::from_static(name), value)));
        };
        // A 429 of an empty account states no wait, unless told to.
        let status = if let Refuse::Status(status) = refuse { status } else { 0 };
        state("retry-after", waits.retry_after(status));
        state("retry-after-ms", waits.retry_after_ms.as_deref());
        let (requests, tokens) = (waits.reset_requests.as_deref(), waits.reset_tokens.as_deref());
        let names = match provider {
            Provider::Anthropic => [
                ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
                ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
            ],
            _ => [
                ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
                ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
            ],
        };
        for ((remaining, reset), stated) in names.into_iter().zip([requests, tokens]) {
            state(remaining, stated.map(|_| "0"));
            state(reset, stated);
        }
        response
    }

    fn refused(&self, refusal: &Refusal, outcome: Outcome, ticket: Ticket) -> Response<Body> {
        let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response =
            self.respond(status, None, Script::plain(refusal.body.to_string(), outcome), ticket);
        let stated = refusal.headers.iter().filter_map(|(name, value)| {
            Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?))
        });
        response.headers_mut().extend(stated);
        if status == StatusCode::METHOD_NOT_ALLOWED {
            let allowed = if self.endpoint == Endpoint::Models { "GET" } else { "POST" };
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
        }
        response
    }

    /// A response with the headers of the provider; JSON unless said otherwise.
    fn respond(
        &self,
        status: StatusCode,
        content_type: Option<&str>,
        script: Script,
        ticket: Ticket,
    ) -> Response<Body> {
        let provider = self.provider.unwrap_or(Provider::OpenAi);
        ticket.status(status.as_u16());
        let body = Body::new(script, self.model().to_owned(), self.shared.gates.clone(), ticket);
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        let content_type = content_type.unwrap_or_else(|| json(provider));
        // What a fault asks for was checked when it was read.
        headers.extend(HeaderValue::from_str(content_type).ok().map(|value| (CONTENT_TYPE, value)));
        let own = wire::headers(provider, self.shared.answers.load(Ordering::Relaxed));
        headers.extend(own.into_iter().filter_map(|(name, value)| {
            Some((HeaderName::from_static(name), HeaderValue::from_str(&value).ok()?))
        }));
        response
    }
}

/// A request that passed all checks.
enum Checked {
    Models,
    Token { faults: Box<Faults>, text: String },
    Embeddings { faults: Box<Faults>, request: Box<EmbeddingRequest> },
    Chat { faults: Box<Faults>, prompt: Box<Prompt> },
}

/// What becomes of a request that passed all checks.
#[expect(clippy::large_enum_variant, reason = "there is one per request, and it is taken apart at once")]
enum Due {
    /// It is answered.
    Answer(Ticket),
    /// It fails, as it asked to.
    Refused(Response<Body>),
}

/// The events, with the error that the faults ask for as the one that ends the stream.
fn with_error(events: Events, provider: Provider, prompt: &Prompt, faults: &Faults) -> Events {
    let refusal = faults
        .event_status
        .and_then(|status| wire::refuse(provider, Refuse::Status(status), &prompt.model, &faults.waits));
    match refusal {
        Some(refusal) => Events { error: wire::error_event(provider, &refusal), ..events },
        None => events,
    }
}

/// Whether a content type is this one, whatever its parameters.
fn is_media_type(content_type: &str, wanted: &str) -> bool {
    content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(wanted)
}

/// The page of a content delivery network that has this to say instead of its origin.
fn html_page(status: StatusCode) -> String {
    format!(
        "<!DOCTYPE html>\n<html><head><title>{status}</title></head>\
         <body><center><h1>{status}</h1></center></body></html>\n"
    )
}

fn json(provider: Provider) -> &'static str {
    match provider {
        Provider::Gemini | Provider::Vertex => "application/json; charset=UTF-8",
        _ => "application/json",
    }
}

fn event_stream(provider: Provider) -> &'static str {
    match provider {
        Provider::Gemini | Provider::Vertex => "text/event-stream",
        Provider::Bedrock => "application/vnd.amazon.eventstream",
        _ => "text/event-stream; charset=utf-8",
    }
}

/// The record of a request before it is understood.
fn unrecorded(parts: &Parts) -> RecordedRequest {
    let header = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    RecordedRequest {
        provider: None,
        model: String::new(),
        method: parts.method.to_string(),
        path: parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        headers: parts.headers.iter().map(header).collect(),
        body: Value::Null,
        credential: None,
        leaks: Vec::new(),
        version: format!("{:?}", parts.version),
        received: SystemTime::now(),
        received_at: Instant::now(),
        status: None,
        chunks: Vec::new(),
        outcome: Outcome::InProgress,
    }
}
