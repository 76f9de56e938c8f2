//! The running control plane: two ports, one configuration, an orderly end.
//!
//! The public port has the sessions API, the status, metrics and the console. The xDS port is for gateways: xDS itself, sync, and the
//! sessions they forward, over HTTP/1.1 or HTTP/2, whichever the caller speaks, with TLS where that is configured.

mod drain;
#[cfg(test)]
mod tests;
mod tls;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpSocket, lookup_host};
use tokio::sync::watch;
use tokio::time::timeout;

use self::tls::GuardedListener;
use crate::config::{self, ConfigError, ConfigWatch, Env};
use crate::filter_code::{FilterCode, FilterCodeError};
use crate::http::{
    AppState, ClientFiles, ClientFilesError, Console, Parts, Peer, TurnCounters, public_router, sync_router,
};
use crate::metrics::{self, Following, Metrics};
use crate::shared::Shared;
use crate::store::{Store, StoreError};
use crate::streams::Streams;
use crate::tokens::{self, TokenWatch};
use crate::traces::Traces;
use crate::xds::{self, Fleet, XdsState};

/// Longest wait for requests under way once the control plane is told to end.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(5);

/// Of that, what streams under way have to come to their own ends; those that do not are told that they are over.
const STREAMS_DRAIN_DEADLINE: Duration = Duration::from_secs(4);

/// Most connections that wait to be accepted; the system may allow fewer. Every stream that begins may bring one, and what finds no
/// room is tried again by TCP a second later, when its gateway has given it up.
const MAX_UNACCEPTED: u32 = 4_096;

/// Why the control plane cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is not usable.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The filter is not usable.
    #[error(transparent)]
    Filter(#[from] FilterCodeError),
    /// The client package is not usable.
    #[error(transparent)]
    Client(#[from] ClientFilesError),
    /// The store's parameters are not usable.
    #[error("storage.valkey: {0}")]
    Store(#[from] StoreError),
    /// Two metrics have one name.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// A port is not to be had.
    #[error("cannot listen on {hostname}:{port} ({key}): {source}")]
    Bind {
        /// `controlPlane.hostname`.
        hostname: String,
        /// The port.
        port: u16,
        /// The configuration key that names it.
        key: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// What a control plane reads from files.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    /// The configuration.
    pub config: &'a Path,
    /// The filter's WebAssembly module.
    pub filter: &'a Path,
    /// The folder of the client package, for the console's playground.
    pub client: Option<&'a Path>,
}

/// Where a control plane really listens; a configured port 0 is any free one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// The public port.
    pub http: SocketAddr,
    /// The xDS port.
    pub xds: SocketAddr,
}

/// How a control plane ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Every request under way was answered.
    Graceful,
    /// [`DRAIN_DEADLINE`] was over first.
    Forced,
}

/// A control plane that holds its ports and serves once it is [run](Self::run).
#[derive(Debug)]
pub struct Server {
    public: (TcpListener, Router),
    xds: (TcpListener, Router),
    addresses: Addresses,
    state: AppState,
    traces: Arc<Traces>,
    streams: Arc<Streams>,
    stopping: watch::Sender<bool>,
    watch: ConfigWatch,
    tokens: TokenWatch,
    counting: Following,
}

impl Server {
    /// Loads the configuration, reads the filter and takes both ports. Needs a Tokio runtime.
    ///
    /// # Errors
    /// [`StartError`]; nothing is bound where the configuration is not valid.
    pub async fn bind(files: Files<'_>, env: Env) -> Result<Self, StartError> {
        Self::bind_with(files, env, xds::router).await
    }

    async fn bind_with(
        Files { config: path, filter, client }: Files<'_>,
        env: Env,
        xds_router: impl FnOnce(XdsState) -> Router,
    ) -> Result<Self, StartError> {
        let boot = config::load(path, &env)?;
        for warning in &boot.warnings {
            tracing::warn!("{warning}");
        }
        let filter = Arc::new(FilterCode::read(filter)?);
        let client = client.map(ClientFiles::read).transpose()?.unwrap_or_default();
        let at = boot.config.control_plane.clone();
        let (public, http) = listen(&at.hostname, at.port, "controlPlane.port").await?;
        let (xds, xds_address) = listen(&at.hostname, at.xds_port, "controlPlane.xdsPort").await?;
        let store = Store::open(&boot.config, boot.secrets.valkey_password.as_ref())?;

        tracing::info!(version = boot.version, path = %path.display(), "configuration loaded");
        let watch = config::watch(path, Env::clone(&env), boot);
        let tokens = tokens::watch(watch.loaded.clone(), &env);
        let fleet = Arc::new(Fleet::default());
        let traces = Arc::new(Traces::default());
        let metrics = Arc::new(Metrics::new()?);
        let streams = Arc::new(Streams::open(&store, Arc::clone(&metrics)));
        let counting = metrics::follow(
            Arc::clone(&metrics),
            watch.loaded.clone(),
            watch.status.clone(),
            tokens.tokens.clone(),
        );
        let state = AppState::new(Parts {
            config: watch.loaded.clone(),
            config_status: watch.status.clone(),
            shared: Shared::open(&store),
            store,
            streams: Arc::clone(&streams),
            tokens: tokens.tokens.clone(),
            fleet: Arc::clone(&fleet),
            filter: Arc::clone(&filter),
            turns: TurnCounters::default(),
            console: Console::new(client),
            metrics: Arc::clone(&metrics),
            traces: Arc::clone(&traces),
            draining: watch::Sender::default(),
        });
        let (stopping, stop) = watch::channel(false);
        let xds_streams = xds_router(XdsState {
            config: watch.loaded.clone(),
            tokens: tokens.tokens.clone(),
            filter,
            fleet,
            metrics,
        });
        let sync = sync_router(&state, drain::end_streams(xds_streams, stop));
        Ok(Self {
            public: (public, public_router(&state)),
            xds: (xds, sync),
            addresses: Addresses { http, xds: xds_address },
            state,
            traces,
            streams,
            stopping,
            watch,
            tokens,
            counting,
        })
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Serves until `stop`, then answers what is under way, for [`DRAIN_DEADLINE`] at most.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Ending {
        let Self { public, xds, state, traces, streams, stopping, watch, tokens, counting, addresses: _ } =
            self;
        let mut servers = tokio::task::JoinSet::new();
        let stopped = || {
            let mut stop = stopping.subscribe();
            async move { _ = stop.wait_for(|stopping| *stopping).await }
        };
        let (listener, router) = public;
        servers.spawn(axum::serve(listener, router).with_graceful_shutdown(stopped()).into_future());
        let (listener, router) = xds;
        let listener = GuardedListener::new(listener, watch.loaded.clone());
        let router = router.into_make_service_with_connect_info::<Peer>();
        servers.spawn(axum::serve(listener, router).with_graceful_shutdown(stopped()).into_future());
        stop.await;
        state.drain();
        servers.spawn(async move {
            streams.drain(STREAMS_DRAIN_DEADLINE).await;
            Ok(())
        });
        stopping.send_replace(true);
        let drained = timeout(DRAIN_DEADLINE, async { while servers.join_next().await.is_some() {} }).await;
        drop((watch, tokens, counting));
        traces.stop().await;
        if drained.is_ok() { Ending::Graceful } else { Ending::Forced }
    }
}

async fn listen(
    hostname: &str,
    port: u16,
    key: &'static str,
) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Bind { hostname: hostname.to_owned(), port, key, source };
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for at in lookup_host((hostname, port)).await.map_err(failed)? {
        match bind(at) {
            Ok(listener) => {
                let address = listener.local_addr().map_err(failed)?;
                return Ok((listener, address));
            }
            Err(error) => failure = error,
        }
    }
    Err(failed(failure))
}

fn bind(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = if at.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(at)?;
    socket.listen(MAX_UNACCEPTED)
}
