//! The connection to Valkey: made in the background, watched, and made again.
//!
//! One task owns it. It connects, publishes the connection, asks for a sign of life every second, and starts anew when
//! there is none or when somebody who used it reports it broken. Whoever needs the connection takes what is there: while
//! there is none, a commit fails at once instead of waiting for a server that is down. Any failure to connect
//! is tried again, also one that looks final: a password can be set and a server can finish loading.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{RoutingInfo, SingleNodeRoutingInfo};
use redis::{AsyncConnectionConfig, Client, Cmd, Pipeline, RedisError, RedisFuture, Value};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::StoreError;

/// Longest wait for a connection to be made, the server's greeting included.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest wait for an answer. The filter waits for commits, so it is short.
pub(crate) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Time between two signs of life.
const PROBE: Duration = Duration::from_secs(1);

/// Wait before the first try to connect again, doubled with each further one.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);

/// Longest such wait. Also about how long sessions stay unavailable after Valkey is back.
const MAX_BACKOFF: Duration = Duration::from_secs(1);

/// How to connect.
#[derive(Debug)]
pub(crate) enum Connector {
    /// To one server.
    Single(Box<Client>),
    /// To a cluster.
    Cluster(Box<ClusterClient>),
}

/// A connection that any number of users share.
#[derive(Clone)]
pub(crate) enum Connection {
    /// To one server.
    Single(MultiplexedConnection),
    /// To a cluster, which reconnects to its nodes by itself.
    Cluster(ClusterConnection),
}

/// The owner of the connection, which sessions and the state shared by the fleet use alike.
#[derive(Debug)]
pub(crate) struct Link {
    is_cluster: bool,
    state: watch::Receiver<State>,
    broken: Arc<Notify>,
    task: JoinHandle<()>,
}

#[derive(Clone)]
enum State {
    Connecting,
    Up(Connection),
    Down(Arc<str>),
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connecting => "Connecting",
            Self::Up(_) => "Up",
            Self::Down(_) => "Down",
        })
    }
}

impl Link {
    /// Starts connecting.
    pub(crate) fn start(connector: Connector) -> Self {
        let (state_tx, state) = watch::channel(State::Connecting);
        let broken = Arc::new(Notify::new());
        let is_cluster = matches!(connector, Connector::Cluster(_));
        let task = tokio::spawn(keep_connected(connector, state_tx, Arc::clone(&broken)));
        Self { is_cluster, state, broken, task }
    }

    /// Whether commands go to several servers.
    pub(crate) fn is_cluster(&self) -> bool {
        self.is_cluster
    }

    /// Whether there is a connection now.
    pub(crate) fn reachable(&self) -> Result<(), StoreError> {
        match &*self.state.borrow() {
            State::Up(_) => Ok(()),
            State::Connecting => Err(StoreError::Unreachable("still connecting".to_owned())),
            State::Down(reason) => Err(StoreError::Unreachable(reason.to_string())),
        }
    }

    /// Runs `operation` on the connection, within [`RESPONSE_TIMEOUT`] in all.
    pub(crate) async fn run<T, F>(&self, operation: impl FnOnce(Connection) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, RedisError>>,
    {
        let within_time = timeout(RESPONSE_TIMEOUT, async {
            operation(self.connection().await?).await.map_err(|error| {
                if error.is_unrecoverable_error() || error.is_io_error() {
                    self.broken.notify_one();
                    StoreError::Unreachable(error.to_string())
                } else {
                    StoreError::Refused(error.to_string())
                }
            })
        });
        match within_time.await {
            Ok(result) => result,
            Err(_) => Err(StoreError::Timeout(RESPONSE_TIMEOUT)),
        }
    }

    /// The connection; waits only while the very first one is being made.
    async fn connection(&self) -> Result<Connection, StoreError> {
        let mut state = self.state.clone();
        let settled = state.wait_for(|state| !matches!(state, State::Connecting)).await;
        match settled.as_deref() {
            Ok(State::Up(connection)) => Ok(connection.clone()),
            Ok(State::Down(reason)) => Err(StoreError::Unreachable(reason.to_string())),
            Ok(State::Connecting) | Err(_) => Err(StoreError::Unreachable("no connection".to_owned())),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep_connected(connector: Connector, state: watch::Sender<State>, broken: Arc<Notify>) {
    let mut backoff = FIRST_BACKOFF;
    loop {
        let down = match connector.connect().await {
            Ok(connection) => {
                tracing::info!("connected to Valkey");
                backoff = FIRST_BACKOFF;
                state.send_replace(State::Up(connection.clone()));
                let lost = until_lost(connection, &broken).await;
                tracing::warn!("lost the connection to Valkey: {lost}");
                lost
            }
            Err(error) => {
                // The same reason again and again is said once.
                let news = !matches!(&*state.borrow(), State::Down(reason) if **reason == *error);
                if news {
                    tracing::warn!("cannot connect to Valkey, trying on: {error}");
                }
                error
            }
        };
        state.send_replace(State::Down(down.into()));
        sleep(backoff).await;
        backoff = (backoff * 2).min(MAX_BACKOFF);
    }
}

/// Waits until `connection` is of no use any more; says why.
async fn until_lost(mut connection: Connection, broken: &Notify) -> String {
    let mut misses = 0;
    loop {
        let _ = timeout(PROBE, broken.notified()).await;
        let lost = match timeout(RESPONSE_TIMEOUT, connection.ping()).await {
            // One that works after all was only slow once.
            Ok(Ok(())) => {
                misses = 0;
                continue;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no sign of life within {} ms", RESPONSE_TIMEOUT.as_millis()),
        };
        misses += 1;
        if misses >= connection.misses_allowed() {
            return lost;
        }
    }
}

impl Connection {
    /// A sign of life; in a cluster, of any node.
    async fn ping(&mut self) -> Result<(), RedisError> {
        let ping = redis::cmd("PING");
        match self {
            Self::Single(connection) => ping.exec_async(connection).await,
            Self::Cluster(connection) => {
                let any = RoutingInfo::SingleNode(SingleNodeRoutingInfo::Random);
                connection.route_command(ping, any).await.map(drop)
            }
        }
    }

    /// Failed signs of life in a row after which the connection is given up. A cluster's outlives the loss of a node.
    fn misses_allowed(&self) -> u32 {
        match self {
            Self::Single(_) => 1,
            Self::Cluster(_) => 3,
        }
    }
}

impl Connector {
    async fn connect(&self) -> Result<Connection, String> {
        let connecting = async {
            match self {
                Self::Single(client) => {
                    let config = AsyncConnectionConfig::new()
                        .set_connection_timeout(Some(CONNECT_TIMEOUT))
                        .set_response_timeout(Some(RESPONSE_TIMEOUT));
                    client.get_multiplexed_async_connection_with_config(&config).await.map(Connection::Single)
                }
                Self::Cluster(client) => client.get_async_connection().await.map(Connection::Cluster),
            }
        };
        match timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no connection within {} ms", CONNECT_TIMEOUT.as_millis())),
        }
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(connection) => connection.req_packed_command(cmd),
            Self::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}
