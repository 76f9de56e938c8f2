//! Values of JavaScript: objects, errors, messages.

use js_sys::{Object, Reflect};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast as _, JsValue};

use crate::error::{ABORTED, CONNECTION_LOST, ClientError};
use crate::message::Message;

#[wasm_bindgen(raw_module = "./error.js")]
extern "C" {
    /// The class of `client/js/error.js`.
    type AiWarpError;

    /// `fields` is an object of what it has beside its message.
    #[wasm_bindgen(constructor)]
    fn new(message: &str, fields: &JsValue) -> AiWarpError;
}

#[wasm_bindgen]
extern "C" {
    /// Any value as text.
    #[wasm_bindgen(js_name = String)]
    pub(super) fn text_of(value: &JsValue) -> String;
}

/// An error on its way to the program, with what caused it.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: ClientError,
    /// Undefined where there is none.
    pub(super) cause: JsValue,
}

impl Failure {
    /// What `fetch` or a reader rejected with: the message of an `Error` counts, anything else is unknown.
    pub(super) fn of_rejection(cause: JsValue) -> Self {
        let message = if cause.is_instance_of::<js_sys::Error>() {
            String::from(cause.unchecked_ref::<js_sys::Error>().message())
        } else {
            "Unknown error occurred".to_owned()
        };
        Self { error: ClientError::new(CONNECTION_LOST, message), cause }
    }

    /// The program's own signal, with its reason.
    pub(super) fn aborted(reason: JsValue) -> Self {
        Self { error: ClientError::new(ABORTED, "The request was aborted"), cause: reason }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self { error, cause: JsValue::UNDEFINED }
    }
}

impl From<Failure> for JsValue {
    fn from(Failure { error, cause }: Failure) -> Self {
        let fields = object(&[
            ("name", error.name().into()),
            ("code", (&*error.code).into()),
            ("status", error.status.into()),
            ("retryAfter", error.retry_after.into()),
            ("lastEventId", error.last_event_id.into()),
            ("sessionId", error.session_id.into()),
            ("cause", cause),
        ]);
        AiWarpError::new(&error.message, &fields).into()
    }
}

/// A plain object; members that are undefined are left out.
pub(super) fn object(members: &[(&str, JsValue)]) -> JsValue {
    let object = Object::new();
    for (name, value) in members.iter().filter(|(_, value)| !value.is_undefined()) {
        // A plain object takes any member.
        let _ = Reflect::set(&object, &(*name).into(), value);
    }
    object.into()
}

/// The value of a JSON text; undefined if it is none.
pub(super) fn parsed(json: &str) -> JsValue {
    js_sys::JSON::parse(json).unwrap_or(JsValue::UNDEFINED)
}

/// A message as programs see it.
pub(super) fn message_to_js(message: Message) -> JsValue {
    match message {
        Message::Content { text, id } => {
            object(&[("type", "content".into()), ("content", text.into()), ("id", id.into())])
        }
        Message::Done(response) => object(&[("type", "done".into()), ("response", parsed(&response))]),
        Message::Error(error) => object(&[("type", "error".into()), ("error", Failure::from(error).into())]),
    }
}
