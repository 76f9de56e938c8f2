//! Opening a stream at the gateway that asks for it: the client's request again, at the listener that is there for it.

use std::net::SocketAddr;
use std::time::Duration;

use ai_warp_core::relay::{ASK_HEADER, SEAL_HEADER, STREAMS_PREFIX};
use axum::body::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, Request, Response};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

/// Longest connect. It is a neighbour's port.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// How long a connection waits for the next stream.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// When a silent connection is asked for a sign of life, how often, and how many may fail: a gateway that vanished without a word
/// is found out, and one whose model thinks for long is not.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(10), Duration::from_secs(5), 3);

/// Headers that are about one connection, or prove to the control plane that a gateway asks.
const OF_CONNECTION: [HeaderName; 6] =
    [CONNECTION, TE, TRANSFER_ENCODING, CONTENT_LENGTH, HOST, AUTHORIZATION];

/// What opens a stream.
#[derive(Debug, Clone)]
pub(super) struct Opening {
    /// Where the gateway lets it in.
    pub(super) at: SocketAddr,
    /// The client's path.
    pub(super) path: String,
    /// The request's headers, what the gateway sealed included.
    pub(super) headers: HeaderMap,
    /// The request's body.
    pub(super) body: Bytes,
}

/// The connections to gateways.
#[derive(Debug, Clone)]
pub(super) struct Gateways(Client<HttpConnector, Full<Bytes>>);

impl Default for Gateways {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let (after, every, failures) = KEEPALIVE;
        connector.set_keepalive(Some(after));
        connector.set_keepalive_interval(Some(every));
        connector.set_keepalive_retries(Some(failures));
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self(client)
    }
}

impl Gateways {
    /// The head of the answer. Dropping it, or its body, ends the request.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn open(&self, opening: Opening) -> Result<Response<hyper::body::Incoming>, String> {
        let Opening { at, path, headers, body } = opening;
        let mut request = Request::post(format!("http://{at}{STREAMS_PREFIX}{path}"))
            .body(Full::new(body))
            .map_err(|error| error.to_string())?;
        *request.headers_mut() = headers;
        for name in OF_CONNECTION {
            request.headers_mut().remove(name);
        }
        self.0.request(request).await.map_err(|error| {
            let cause = std::error::Error::source(&error);
            cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
        })
    }
}

/// The headers of an answer that are the client's.
pub(super) fn passed(mut headers: HeaderMap) -> HeaderMap {
    for name in OF_CONNECTION {
        headers.remove(name);
    }
    for name in ["server", "date", "x-envoy-upstream-service-time", ASK_HEADER, SEAL_HEADER] {
        headers.remove(name);
    }
    headers
}
