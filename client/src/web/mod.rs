//! The boundary to JavaScript: carries out the steps that [`stream`](crate::stream) gives, and hands on what comes of
//! them. `client/js/index.js` is its only user.
//!
//! Nothing is borrowed across an `await`, and no promise holds an exported object: each may be freed at any time, which
//! ends what is under way.

mod asking;
mod cancel;
mod http;
mod js;
mod log;
mod sessions;
mod timer;
mod whole;

use std::rc::Rc;

use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::future_to_promise;

use self::asking::{Asking, Told};
use self::cancel::Cancel;
use self::http::Http;
use self::js::{Failure, message_to_js, object};
use self::log::Logger;
use crate::ask::Ask;
use crate::config::Config;
use crate::stream::AskStream;

/// What all requests of a client have in common.
#[derive(Debug)]
struct Shared {
    config: Config,
    http: Http,
    log: Logger,
}

/// A client.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Client {
    shared: Rc<Shared>,
}

#[wasm_bindgen]
impl Client {
    /// `options` is the JSON of those that are data. `headers` is whatever `new Headers` takes; `fetch` and `logger` may be
    /// undefined.
    ///
    /// # Errors
    /// An `AiWarpError` with `INVALID_OPTIONS`.
    #[wasm_bindgen(constructor)]
    pub fn new(options: &str, headers: JsValue, fetch: JsValue, logger: JsValue) -> Result<Client, JsValue> {
        let config = Config::read(options).map_err(Failure::from)?;
        Ok(Self {
            shared: Rc::new(Shared { config, http: Http::new(headers, fetch), log: Logger::new(logger) }),
        })
    }

    /// Asks. `options` is JSON, `signal` an `AbortSignal` or undefined. Resolves to `{content, headers}` or to
    /// `{stream: MessageStream, headers}`.
    pub fn ask(&self, options: &str, signal: JsValue) -> Promise {
        let shared = Rc::clone(&self.shared);
        let ask = Ask::read(options);
        future_to_promise(async move {
            let ask = ask.map_err(Failure::from)?;
            shared.log.asking(&shared.config, &ask);
            let cancel = Cancel::by(&signal)?;
            if !ask.streaming {
                let body = ask.body(None);
                return Ok(whole::ask(&shared, &body, &cancel).await?);
            }
            let stream = AskStream::new(ask, shared.config.reconnect.clone());
            let asking = Rc::new(Asking::new(shared, stream, cancel));
            let headers = asking.open().await?;
            let stream = JsValue::from(MessageStream { asking });
            Ok(object(&[("stream", stream), ("headers", headers.into())]))
        })
    }

    /// Reads a session: resolves to what the gateway answers.
    pub fn get_session(&self, id: &str, signal: JsValue) -> Promise {
        let (shared, id) = (Rc::clone(&self.shared), id.to_owned());
        future_to_promise(async move { Ok(sessions::get(&shared, &id, &signal).await?) })
    }

    /// Deletes a session.
    pub fn delete_session(&self, id: &str, signal: JsValue) -> Promise {
        let (shared, id) = (Rc::clone(&self.shared), id.to_owned());
        future_to_promise(async move { Ok(sessions::delete(&shared, &id, &signal).await?) })
    }
}

/// A stream that is open. Not to be asked for the next message before it has answered for the last.
#[wasm_bindgen]
#[derive(Debug)]
pub struct MessageStream {
    asking: Rc<Asking>,
}

#[wasm_bindgen]
impl MessageStream {
    /// Resolves to the next message, or to undefined after the last.
    pub fn next(&self) -> Promise {
        let asking = Rc::clone(&self.asking);
        future_to_promise(async move {
            match asking.next().await {
                Told::Message(message) => Ok(message_to_js(message)),
                Told::Finished => Ok(JsValue::UNDEFINED),
                Told::Failed(failure) => Err(failure.into()),
            }
        })
    }

    /// Ends the request, if it is still under way.
    pub fn leave(&self) {
        self.asking.leave();
    }
}

impl Drop for MessageStream {
    fn drop(&mut self) {
        self.asking.leave();
    }
}
