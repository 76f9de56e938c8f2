//! Reading and deleting sessions.

use wasm_bindgen::JsValue;

use super::Shared;
use super::cancel::Cancel;
use super::http::HttpRequest;
use super::js::Failure;
use super::whole::{answer, json};

pub(super) async fn get(shared: &Shared, id: &str, signal: &JsValue) -> Result<JsValue, Failure> {
    json(&call(shared, "GET", id, signal).await?)
}

pub(super) async fn delete(shared: &Shared, id: &str, signal: &JsValue) -> Result<JsValue, Failure> {
    call(shared, "DELETE", id, signal).await?;
    Ok(JsValue::UNDEFINED)
}

async fn call(shared: &Shared, method: &str, id: &str, signal: &JsValue) -> Result<String, Failure> {
    let url = shared.config.session(id)?;
    let request =
        HttpRequest { method, url: &url, accept: "application/json", last_event_id: None, body: None };
    let cancel = Cancel::by(signal)?;
    Ok(answer(shared, &request, &cancel).await?.1)
}
