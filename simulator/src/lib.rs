//! A stand-in for model providers, as strict as they are and failing on demand.
//!
//! Tests of a gateway cannot call real providers, and a lenient mock hides translation errors. The simulator speaks
//! the wire formats of every [`Provider`], refuses what it refuses, answers deterministically, records what it saw,
//! and fails in every way a provider can: by status, by broken streams, by resets, by silence.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use ai_warp_simulator::{Options, Provider, Simulator};
//!
//! let simulator = Simulator::start(Options::default()).await?;
//! println!("point the gateway at {}", simulator.base_url(Provider::Gemini));
//! // ... have the gateway ask `gemini` for the model `some-model` ...
//! let requests = simulator.requests_for("some-model");
//! assert!(requests.iter().all(|request| request.leaks.is_empty()));
//! # Ok(())
//! # }
//! ```
//!
//! # Answers
//!
//! Unless told otherwise the text is
//! `PROVIDER/MODEL: LAST USER TEXT [system=..] [history=N] [temperature=..] [max=..]`, with `-` for what was not
//! given; `history` counts the messages before the last user message, system messages left out. Where there are
//! some, ` [tools=NAME,NAME]` and ` [images=IMAGE,IMAGE]` follow, an image being `image/png:BYTES` or `url:ADDRESS`.
//!
//! | User text | Answer |
//! |---|---|
//! | `!words N` | `word1 word2 ...` |
//! | `!text ...` | the rest of it |
//! | `!echo-json` | the request body as the provider received it |
//! | `!call NAME {json} ;; NAME` | calls of these tools, all of which must be declared, with the JSON as it is spelt |
//! | `!say TEXT ;; call NAME {json}` | the text, and then the calls |
//!
//! A tool choice that demands a call, and no `!call`, gets a call of that tool, or of the first, with `{}`. A request
//! that ends with tool results is answered by `results: NAME=RESULT; NAME=RESULT`. Where JSON is asked for, an answer
//! that would be the echo is an object with every property of the schema, or `{"ok":true}`. Of several choices each
//! but the first ends with ` #2`, ` #3`. A token limit below the number of words cuts the answer (not `!echo-json`,
//! `text`, `bytes`). One word is one token. Embeddings depend on the text alone and are 8 numbers long unless the
//! request says otherwise.
//!
//! # Faults
//!
//! A model is `NAME~flag~flag=value`; the request header `x-simulator: flag;flag=value` adds more. An unknown flag
//! is answered by 400. Any other model name is accepted and answered. N counts content chunks.
//!
//! | Flag | Effect |
//! |---|---|
//! | `status=N` | the provider's own error for status N (300 to 599); 429 with `retry-after: 7` |
//! | `retry-after=V` | another value for that header (`none`: without it, and without Gemini's `RetryInfo`) |
//! | `retry-after-ms=V` | that header as well |
//! | `reset-requests=V`, `reset-tokens=V` | `x-ratelimit-reset-requests` (`-tokens`), such as `6m0s`, with none remaining |
//! | `retry-info=V` | Gemini: another `retryDelay` of a 429, such as `0.5s` (`none`: without it) |
//! | `quota`, `unknown-model` | out of money (429), the provider's unknown-model error |
//! | `html=N` | an HTML page with status N, 200 to 599 (without `=N`: 502) |
//! | `array-error` | the error body wrapped in an array |
//! | `reset`, `stall` | connection reset before the headers; never any answer |
//! | `fail-first=N`, `flaky` | 503 for the first N requests; 500 for every odd-numbered one |
//! | `only-key=KEY` | only requests with this credential fail; the others are answered |
//! | `delay=MS`, `chunk-delay=MS` | wait before the headers; between content chunks |
//! | `gate` | hold the stream after its first content chunk (a whole answer before its headers) until the gate opens |
//! | `cut=N`, `cut-headers` | close the connection after N chunks; right after the headers |
//! | `cut-event=N`, `stall-event=N` | close it, or go silent, in the middle of the event that follows N chunks |
//! | `stall=N`, `stall-headers` | go silent after N chunks; right after the headers |
//! | `early-end=N` | end the stream cleanly, but unfinished, after N chunks |
//! | `error-event=N`, `malformed=N` | an error event, and the end; an event that is no JSON, and the rest |
//! | `bad-crc=N` | Bedrock: a frame whose checksum is wrong, and the rest; elsewhere as `malformed` |
//! | `event-status=N` | the error event is the provider's error for status N (400 to 599) |
//! | `content-type=V` | the answer under another content type (percent-encoded) |
//! | `other-mode` | a stream where a whole answer was asked for, and the reverse |
//! | `keep-alive` | a comment before each event; DeepSeek: blank lines before a whole answer |
//! | `lf`, `crlf`, `cr`, `no-space`, `no-done`, `no-final-blank` | variants of the stream's framing |
//! | `split=N`, `split-random=SEED` | write the bytes in pieces of N; of 1 to 40 |
//! | `empty`, `text=V`, `bytes=N`, `chunks=N` | no text; this text (percent-encoded); N bytes; `c1 c2 ..` |
//! | `thoughts` | reasoning before the text, shown where the provider shows it |
//! | `cached=N` | N tokens of the prompt were read from a cache |
//! | `extra` | fields that no documentation knows: `x_simulator`, and `x_note` in messages and deltas (not Bedrock) |
//! | `finish=V`, `no-finish`, `content-filter` | this finish reason; none; the provider's content filter |
//! | `prompt-blocked` | Gemini: `promptFeedback` and no candidate |
//!
//! Of a whole answer `cut`, `cut-event`, `stall=N`, `stall-event` and `early-end` leave the first half, all but
//! `cut-event` and `early-end` with the length of the whole; `error-event` sends the error with 200.
//! Anthropic has its own names for `x-ratelimit-reset-requests` and its like.
//! [`ALIASES`] lists the names that stand for flags, such as `down` for `status=503`.
//!
//! # Credentials without a key
//!
//! Bedrock also takes requests signed with [`AWS_ACCESS_KEY`] and [`AWS_SECRET_KEY`] (Signature Version 4, service
//! `bedrock`, any region, a clock at most five minutes off). [`Simulator::token_url`] gives access tokens for Vertex
//! AI to whoever sends a JWT of the right shape; its query may ask for `expires=SECONDS`, for another `token=TOKEN`,
//! and for failures by `flags=flag;flag=value`.

mod admin;
mod answer;
mod base64;
mod body;
mod command;
mod embedding;
mod endpoint;
mod event_stream;
mod fault;
mod gate;
mod leak;
mod oauth;
mod provider;
mod record;
mod route;
mod server;
mod sigv4;
mod split;
mod stream;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use crate::fault::{ALIASES, FaultError};
pub use crate::provider::{Provider, UnknownProvider};
use crate::record::Recorder;
pub use crate::record::{Outcome, RECORDED_REQUESTS_MAX, RecordedRequest, WaitError};
use crate::route::Shared;

/// The credential every provider accepts unless the options name others.
pub const DEFAULT_API_KEY: &str = "sim-key";
/// Where [`Simulator::token_url`] is on the port.
pub const TOKEN_PATH: &str = "/oauth2/token";
/// The AWS access key id that may sign requests to Bedrock.
pub const AWS_ACCESS_KEY: &str = "AKIDSIMULATOR";
/// The secret of [`AWS_ACCESS_KEY`].
pub const AWS_SECRET_KEY: &str = "simulator-secret";

/// How a simulator is started.
///
/// # Defaults
///
/// A free port of 127.0.0.1, the key [`DEFAULT_API_KEY`] for every provider, recording on, no TLS.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The credential of every provider that has none of its own in `keys`.
    pub api_key: String,
    /// Credentials by provider; any of a list is accepted, and nothing else.
    pub keys: HashMap<Provider, Vec<String>>,
    /// Whether requests are kept (the last [`RECORDED_REQUESTS_MAX`]). Benchmarks switch it off.
    pub record: bool,
    /// Speak TLS, and nothing else, on the port.
    pub tls: Option<Tls>,
}

/// Where the TLS certificate comes from.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            api_key: DEFAULT_API_KEY.to_owned(),
            keys: HashMap::new(),
            record: true,
            tls: None,
        }
    }
}

/// A running simulator. Dropping it closes the port and every connection.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Simulator {
    /// Binds the port and starts to serve on the current Tokio runtime.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound, or the TLS files cannot be used.
    pub async fn start(options: Options) -> anyhow::Result<Simulator> {
        let Options { listen, api_key, mut keys, record, tls } = options;
        for provider in Provider::ALL {
            keys.entry(provider).or_insert_with(|| vec![api_key.clone()]);
        }
        let scheme = if tls.is_some() { "https" } else { "http" };
        let tls = tls.map(|tls| server::tls_acceptor(&tls.certificate, &tls.key)).transpose()?;
        let listener =
            TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
        let address = listener.local_addr().context("the listener has no address")?;
        let shared = Arc::new(Shared::new(Recorder::new(record), keys));
        let task = tokio::spawn(server::serve(listener, tls, Arc::clone(&shared)));
        Ok(Simulator { address, scheme, shared, task })
    }

    /// The address listened on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL a gateway is given as the provider's base, without a trailing slash.
    pub fn base_url(&self, provider: Provider) -> String {
        format!("{}://{}{}", self.scheme, self.address, provider.base_path())
    }

    /// The URL at which a Google service account gets its access token.
    pub fn token_url(&self) -> String {
        format!("{}://{}{TOKEN_PATH}", self.scheme, self.address)
    }

    /// Every request recorded, oldest first.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.recorder.requests()
    }

    /// The recorded requests that named exactly this model, flags included.
    pub fn requests_for(&self, model: &str) -> Vec<RecordedRequest> {
        self.requests().into_iter().filter(|request| request.model == model).collect()
    }

    /// Forgets all requests, the counts of `flaky` and `fail-first`, and which gates are open.
    pub fn clear(&self) {
        self.shared.clear();
    }

    /// Waits until `condition` holds for the recorded requests, and returns them.
    ///
    /// # Errors
    ///
    /// When it does not hold within `deadline`.
    pub async fn wait_for(
        &self,
        condition: impl Fn(&[RecordedRequest]) -> bool,
        deadline: Duration,
    ) -> Result<Vec<RecordedRequest>, WaitError> {
        self.shared.recorder.wait_for(condition, deadline).await
    }

    /// Opens the gate of a model: its whole name, or the part before the first `~`. It stays open, for streams yet to
    /// come as well, until [`Simulator::clear`].
    pub fn open_gate(&self, model: &str) {
        self.shared.gates.open(model);
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.task.abort();
    }
}
