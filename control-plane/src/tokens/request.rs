//! One request for an access token.

use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use tokio::time::timeout;

use super::TokenSource;
use crate::config::SecretString;

/// The metadata server of Google Cloud.
pub(super) const METADATA_HOST: &str = "metadata.google.internal";

/// Where it has the token of the machine's service account.
const METADATA_PATH: &str = "/computeMetadata/v1/instance/service-accounts/default/token";

/// Without it the metadata server refuses, so that no forwarded request gets a token.
const METADATA_HEADER: (HeaderName, &str) = (HeaderName::from_static("metadata-flavor"), "Google");

/// Longest request for a token, connection and answer included. Gateways wait that long at most for endpoints whose first
/// token has not come.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Largest answer read. A token is 2 kB at most.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// Most characters repeated of what a token endpoint says is wrong.
const MAX_REASON: usize = 200;

/// An access token.
#[derive(Debug)]
pub(super) struct Token {
    /// The token.
    pub(super) value: SecretString,
    /// How long it is good for.
    pub(super) life: Duration,
    /// Where it comes from, for the log.
    pub(super) source: String,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
#[error("{source_url} {reason}")]
pub struct TokenError {
    source_url: String,
    reason: String,
}

impl TokenError {
    pub(super) fn new(source_url: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { source_url: source_url.into(), reason: reason.into() }
    }
}

/// Asks for tokens.
#[derive(Debug, Clone)]
pub(super) struct Client {
    metadata_url: String,
}

/// What a source answers, as RFC 6749 has it in sections 5.1 and 5.2.
#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    expires_in: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorAnswer {
    error: String,
    error_description: String,
}

impl Client {
    /// `metadata_host` is `HOST[:PORT]`.
    pub(super) fn new(metadata_host: &str) -> Self {
        Self { metadata_url: format!("http://{metadata_host}{METADATA_PATH}") }
    }

    /// A new token of `source`.
    pub(super) async fn token(&self, source: &TokenSource) -> Result<Token, TokenError> {
        let url = match source {
            TokenSource::ServiceAccount(account) => account.token_uri(),
            TokenSource::Metadata => &self.metadata_url,
        };
        let failed = |reason: String| TokenError::new(url, reason);
        let answer = async {
            let request = request(source, url)?;
            let timed_out = |_| format!("did not answer within {} s", TIMEOUT.as_secs());
            timeout(TIMEOUT, send(request)).await.map_err(timed_out)?
        };
        let TokenAnswer { access_token, expires_in } = answer.await.map_err(failed)?;
        if access_token.is_empty() || !access_token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(failed("answered without a usable access_token".to_owned()));
        }
        let value = SecretString::new(access_token);
        Ok(Token { value, life: Duration::from_secs(expires_in), source: url.to_owned() })
    }
}

fn request(source: &TokenSource, url: &str) -> Result<Request<Full<Bytes>>, String> {
    let (method, header, body) = match source {
        TokenSource::ServiceAccount(account) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let assertion = account.assertion(now).map_err(|error| format!("cannot be asked: {error}"))?;
            // Nothing in these values needs escaping: RFC 7523, section 2.1, and base64url.
            let grant = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";
            let body = format!("grant_type={grant}&assertion={assertion}");
            (Method::POST, (CONTENT_TYPE, "application/x-www-form-urlencoded"), body)
        }
        TokenSource::Metadata => (Method::GET, METADATA_HEADER, String::new()),
    };
    let request = Request::builder().method(method).uri(url).header(header.0, header.1);
    request.body(Full::new(body.into())).map_err(|error| format!("cannot be asked: {error}"))
}

/// Tokens are asked for once in an hour, so no connection is kept.
async fn send(request: Request<Full<Bytes>>) -> Result<TokenAnswer, String> {
    let tls =
        HttpsConnectorBuilder::new().with_provider_and_native_roots(rustls::crypto::ring::default_provider());
    let tls = tls.map_err(|error| format!("cannot be asked: {error}"))?;
    let connector = tls.https_or_http().enable_http1().build();
    let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector);
    let response = client.request(request).await.map_err(|error| unreachable_because(&error))?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
    let body =
        body.map_err(|error| format!("broke off its answer, or made it too long: {error}"))?.to_bytes();
    if status != 200 {
        let error: ErrorAnswer = serde_json::from_slice(&body).unwrap_or_default();
        let text = format!("{} {}", error.error, error.error_description);
        let text: String = text.chars().filter(|c| !c.is_control()).take(MAX_REASON).collect();
        return Err(format!("answered {status} {}", text.trim()).trim_end().to_owned());
    }
    // Only the kind of error: the text of serde_json may quote the answer.
    serde_json::from_slice(&body)
        .map_err(|error| format!("sent an answer that cannot be read ({:?})", error.classify()))
}

/// What an error says, with its causes.
pub(crate) fn unreachable_because(error: &dyn Error) -> String {
    let mut causes = Vec::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    format!("cannot be reached: {}", causes.join(": "))
}
