//! Asking the started programs over HTTP whether they are ready.
//!
//! Loopback and plain HTTP only. Environment proxies are ignored: they would be asked for 127.0.0.1.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use ureq::Agent;

/// An answer, whatever its status.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    /// Status and the body's first 300 characters, for a message.
    pub(crate) fn shown(&self) -> String {
        let body: String = self.body.chars().take(300).collect();
        format!("{} {}", self.status, body.trim())
    }
}

/// GETs `url`. An error means that no HTTP answer came.
pub(crate) fn get(url: &str, timeout: Duration) -> Result<Answer> {
    let response = agent(timeout).get(url).call().with_context(|| format!("GET {url}"))?;
    read(response).with_context(|| format!("GET {url}"))
}

/// POSTs JSON to `url`. An error means that no HTTP answer came.
pub(crate) fn post_json(url: &str, body: &Value, timeout: Duration) -> Result<Answer> {
    let request = agent(timeout).post(url).header("content-type", "application/json");
    let response = request.send(body.to_string()).with_context(|| format!("POST {url}"))?;
    read(response).with_context(|| format!("POST {url}"))
}

fn agent(timeout: Duration) -> Agent {
    let config =
        Agent::config_builder().timeout_global(Some(timeout)).http_status_as_error(false).proxy(None);
    config.build().into()
}

fn read(mut response: ureq::http::Response<ureq::Body>) -> Result<Answer> {
    let status = response.status().as_u16();
    Ok(Answer { status, body: response.body_mut().read_to_string()? })
}
