//! Requests by `fetch`, and their bodies piece by piece.

use js_sys::{Function, Reflect, Uint8Array};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortSignal, Headers, ReadableStreamDefaultReader, Response};

use super::js::object;

/// How requests are sent.
#[derive(Debug)]
pub(super) struct Http {
    headers: JsValue,
    fetch: JsValue,
}

/// A request.
pub(super) struct HttpRequest<'a> {
    pub(super) method: &'a str,
    pub(super) url: &'a str,
    pub(super) accept: &'a str,
    pub(super) last_event_id: Option<&'a str>,
    /// JSON.
    pub(super) body: Option<&'a str>,
}

impl Http {
    /// `headers` of every request, and the function that sends them; undefined for the platform's own.
    pub(super) fn new(headers: JsValue, fetch: JsValue) -> Self {
        Self { headers, fetch }
    }

    /// Sends a request and waits for its response to begin.
    ///
    /// # Errors
    /// What `fetch` throws or rejects with.
    pub(super) async fn send(
        &self,
        request: &HttpRequest<'_>,
        signal: &AbortSignal,
    ) -> Result<Response, JsValue> {
        // The constructor takes whatever programs may give as headers.
        let headers = Headers::new_with_headers(self.headers.unchecked_ref())?;
        headers.set("accept", request.accept)?;
        if request.body.is_some() && !headers.has("content-type")? {
            headers.set("content-type", "application/json")?;
        }
        if let Some(id) = request.last_event_id {
            headers.set("last-event-id", id)?;
        }
        let init = object(&[
            ("method", request.method.into()),
            ("headers", headers.into()),
            ("body", request.body.into()),
            ("signal", signal.into()),
        ]);
        // The platform's own is looked up each time: programs replace it in their tests.
        let global = js_sys::global();
        let fetch = if self.fetch.is_undefined() {
            Reflect::get(&global, &"fetch".into())?
        } else {
            self.fetch.clone()
        };
        let fetch: Function = fetch.dyn_into()?;
        let response: JsValue = fetch.call2(&JsValue::UNDEFINED, &request.url.into(), &init)?;
        let response = JsFuture::from(js_sys::Promise::resolve(&response)).await?;
        Ok(response.unchecked_into())
    }
}

/// The value of a response's header; `None` where it cannot be read, as for a page of another origin.
pub(super) fn header(response: &Response, name: &str) -> Option<String> {
    response.headers().get(name).ok().flatten()
}

/// A body that is read.
#[derive(Debug)]
pub(super) struct Body {
    reader: ReadableStreamDefaultReader,
}

impl Body {
    /// The body of `response`; `None` if it has none.
    pub(super) fn of(response: &Response) -> Option<Self> {
        let reader = response.body()?.get_reader();
        Some(Self { reader: reader.unchecked_into() })
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// What the reader rejects with.
    pub(super) async fn piece(&self) -> Result<Option<Vec<u8>>, JsValue> {
        let read = JsFuture::from(self.reader.read()).await?;
        if Reflect::get(&read, &"done".into())?.is_truthy() {
            return Ok(None);
        }
        let value: Uint8Array = Reflect::get(&read, &"value".into())?.dyn_into()?;
        Ok(Some(value.to_vec()))
    }
}

impl Clone for Body {
    fn clone(&self) -> Self {
        Self { reader: self.reader.clone() }
    }
}
