//! Requests whose answer is read whole.

use wasm_bindgen::JsValue;
use web_sys::Response;

use super::Shared;
use super::cancel::Cancel;
use super::http::{Body, HttpRequest, header};
use super::js::{Failure, object};
use super::timer::{Interrupted, within};
use crate::config::MAX_RESPONSE_BYTES;
use crate::error::{ClientError, INVALID_RESPONSE, TIMEOUT};

/// Asks for a direct answer: `{content, headers}`.
pub(super) async fn ask(shared: &Shared, body: &str, cancel: &Cancel) -> Result<JsValue, Failure> {
    let url = shared.config.endpoint(false);
    let request = HttpRequest {
        method: "POST",
        url: &url,
        accept: "application/json",
        last_event_id: None,
        body: Some(body),
    };
    let (response, text) = answer(shared, &request, cancel).await?;
    Ok(object(&[("content", json(&text)?), ("headers", response.headers().into())]))
}

/// The response to a request, and its body, if it is one of success.
pub(super) async fn answer(
    shared: &Shared,
    request: &HttpRequest<'_>,
    cancel: &Cancel,
) -> Result<(Response, String), Failure> {
    let answered = try_answer(shared, request, cancel).await;
    if answered.is_err() {
        cancel.abort_fetch();
    }
    cancel.release();
    answered.inspect_err(|failure| shared.log.failed(failure, &shared.config))
}

async fn try_answer(
    shared: &Shared,
    request: &HttpRequest<'_>,
    cancel: &Cancel,
) -> Result<(Response, String), Failure> {
    let response = begin(shared, request, cancel).await?;
    if !response.ok() {
        return Err(refusal(shared, &response, cancel).await?.into());
    }
    shared.log.answered(response.status());
    let text = text(shared, &response, cancel).await?;
    Ok((response, text))
}

/// Sends a request and waits for its response to begin.
pub(super) async fn begin(
    shared: &Shared,
    request: &HttpRequest<'_>,
    cancel: &Cancel,
) -> Result<Response, Failure> {
    let signal = cancel.fetch_signal().map_err(Failure::of_rejection)?;
    match within(shared.config.timeout(), cancel, shared.http.send(request, &signal)).await {
        Ok(sent) => sent.map_err(Failure::of_rejection),
        Err(interrupted) => Err(interruption(interrupted, cancel)),
    }
}

/// What a response that is an error says.
///
/// # Errors
/// Its body could not be read.
pub(super) async fn refusal(
    shared: &Shared,
    response: &Response,
    cancel: &Cancel,
) -> Result<ClientError, Failure> {
    let body = if response.body().is_some() { text(shared, response, cancel).await? } else { String::new() };
    let status = response.status();
    shared.log.refused(status, &response.status_text(), &body);
    Ok(ClientError::of_response(status, header(response, "retry-after").as_deref(), &body))
}

/// The body of a response, as text.
async fn text(shared: &Shared, response: &Response, cancel: &Cancel) -> Result<String, Failure> {
    let Some(body) = Body::of(response) else { return Ok(String::new()) };
    let mut bytes = Vec::new();
    loop {
        let piece = match within(shared.config.timeout(), cancel, body.piece()).await {
            Ok(piece) => piece.map_err(Failure::of_rejection)?,
            Err(interrupted) => return Err(interruption(interrupted, cancel)),
        };
        let Some(piece) = piece else { return Ok(String::from_utf8_lossy(&bytes).into_owned()) };
        if bytes.len() + piece.len() > MAX_RESPONSE_BYTES {
            let message = format!("the response is larger than {MAX_RESPONSE_BYTES} bytes");
            return Err(ClientError::new(INVALID_RESPONSE, message).into());
        }
        bytes.extend_from_slice(&piece);
    }
}

/// The error of a wait that was not to its end.
pub(super) fn interruption(interrupted: Interrupted, cancel: &Cancel) -> Failure {
    match interrupted {
        Interrupted::TimedOut => ClientError::new(TIMEOUT, "Request timeout").into(),
        Interrupted::Cancelled => cancel.failure(),
    }
}

/// The value of a body.
pub(super) fn json(text: &str) -> Result<JsValue, Failure> {
    js_sys::JSON::parse(text).map_err(|cause| Failure {
        error: ClientError::new(INVALID_RESPONSE, "the response is no JSON"),
        cause,
    })
}
