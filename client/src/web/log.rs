//! The program's logger: what it is told, and when.
//!
//! Messages and levels are those of AI Warp's client, for what that one knows.

use js_sys::{Function, Reflect};
use wasm_bindgen::{JsCast, JsValue};

use super::js::{Failure, object, parsed, text_of};
use crate::ask::Ask;
use crate::config::Config;
use crate::error::{ABORTED, TIMEOUT};
use crate::stream::Retry;

/// Undefined where there is none.
#[derive(Debug)]
pub(super) struct Logger(JsValue);

impl Logger {
    pub(super) fn new(logger: JsValue) -> Self {
        Self(logger)
    }

    pub(super) fn asking(&self, config: &Config, ask: &Ask) {
        self.log("debug", "Making AI request", || {
            let given = ask.logged().map(|(name, json)| {
                // What was not given is left out, as `undefined` is.
                (name, if json == "null" { JsValue::UNDEFINED } else { parsed(json) })
            });
            let [prompt, session, models] = given;
            object(&[
                ("endpoint", config.endpoint(ask.streaming).into()),
                prompt,
                session,
                models,
                ("stream", ask.streaming.into()),
                ("resume", ask.resume.into()),
            ])
        });
    }

    pub(super) fn answered(&self, status: u16) {
        self.log("info", "AI request successful", || object(&[("status", status.into())]));
    }

    pub(super) fn refused(&self, status: u16, status_text: &str, body: &str) {
        self.log("error", "AI request failed", || {
            object(&[("status", status.into()), ("statusText", status_text.into()), ("body", body.into())])
        });
    }

    pub(super) fn failed(&self, failure: &Failure, config: &Config) {
        let Failure { error, cause } = failure;
        match &*error.code {
            TIMEOUT => {
                let millis = config.timeout().as_secs_f64() * 1_000.0;
                self.log("warn", "AI request timed out", || object(&[("timeout", millis.into())]));
            }
            ABORTED => self.log("debug", "AI request aborted", || JsValue::UNDEFINED),
            _ if cause.is_undefined() || cause.is_instance_of::<js_sys::Error>() => {
                self.log("error", "AI request error", || {
                    let stack = Reflect::get(cause, &"stack".into()).unwrap_or(JsValue::UNDEFINED);
                    object(&[("error", (&*error.message).into()), ("stack", stack)])
                });
            }
            _ => {
                self.log("error", "Unknown AI request error", || object(&[("error", text_of(cause).into())]))
            }
        }
    }

    pub(super) fn retrying(&self, retry: &Retry, place: Option<&str>) {
        self.log("warn", "AI stream interrupted, coming back", || {
            let delay = retry.delay.as_secs_f64() * 1_000.0;
            object(&[
                ("attempt", retry.attempt.into()),
                ("delay", delay.into()),
                ("error", (&*retry.reason).into()),
                ("lastEventId", place.into()),
            ])
        });
    }

    pub(super) fn resumed(&self, place: Option<&str>) {
        self.log("info", "AI stream resumed", || object(&[("lastEventId", place.into())]));
    }

    /// Calls a method of the logger. What it throws is its own affair.
    fn log(&self, level: &str, message: &str, data: impl FnOnce() -> JsValue) {
        if self.0.is_undefined() || self.0.is_null() {
            return;
        }
        let method = Reflect::get(&self.0, &level.into()).and_then(JsCast::dyn_into::<Function>);
        if let Ok(method) = method {
            let _: Result<JsValue, JsValue> = method.call2(&self.0, &message.into(), &data());
        }
    }
}
