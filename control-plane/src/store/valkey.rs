//! Sessions in Valkey, shared by every control plane and kept over restarts.
//!
//! A session is two keys in one slot: `ai-warp:{SESSION}:turns`, a list of turns, and `ai-warp:{SESSION}:ids`, the ids
//! in it; of a session with an owner, SESSION is `OWNER/ID`. One script appends: atomic, so that a turn sent twice at the same time by two control planes is stored once.
//! A batch is one round trip whatever the number of its sessions.

use std::sync::Arc;

use ai_warp_core::config::ValkeyConfig;
use ai_warp_core::sync::{SessionKey, Turn};
use redis::cluster::ClusterClientBuilder;
use redis::{Client, Cmd, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo, RedisError, RedisResult};

use super::valkey_batch::{ServerScript, run_all};
use super::valkey_link::{CONNECT_TIMEOUT, Connector, Link, RESPONSE_TIMEOUT};
use super::{Retention, StoreError};
use crate::config::SecretString;

/// See there.
const APPEND: &str = include_str!("append.lua");

/// Characters of a turn id at the front of a stored turn.
const ID_CHARS: usize = 36;

/// Longest life Valkey is told, in milliseconds: the script passes it as a number, and this one is exact.
const MAX_LIFE_MS: u64 = 1 << 52;

/// Sessions in Valkey.
#[derive(Debug)]
pub struct ValkeyStore {
    link: Arc<Link>,
    append: ServerScript,
}

impl ValkeyStore {
    /// Starts connecting to the server that `config` names. Needs a Tokio runtime.
    ///
    /// # Errors
    /// [`StoreError::Refused`] where the parameters cannot make a connection at all.
    pub fn open(config: &ValkeyConfig, password: Option<&SecretString>) -> Result<Self, StoreError> {
        let connector =
            connector(config, password).map_err(|error| StoreError::Refused(error.to_string()))?;
        Ok(Self { link: Arc::new(Link::start(connector)), append: ServerScript::new(APPEND) })
    }

    /// The connection, for what else is kept there.
    pub(crate) fn link(&self) -> Arc<Link> {
        Arc::clone(&self.link)
    }

    /// Whether there is a connection now.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`] with the reason.
    pub fn reachable(&self) -> Result<(), StoreError> {
        self.link.reachable()
    }

    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        self.link.run(async |mut connection| redis::cmd("PING").exec_async(&mut connection).await).await
    }

    pub(super) async fn append(&self, turns: &[Turn], retention: &Retention) -> Vec<Result<(), StoreError>> {
        let groups = by_session(turns);
        if groups.is_empty() {
            return Vec::new();
        }
        let stored = match self.append_commands(&groups, retention) {
            Ok(commands) => self.link.run(move |connection| run_all::<i64>(connection, commands)).await,
            Err(error) => Err(refused(&error)),
        };
        let mut results: Vec<_> = turns.iter().map(|_| Ok(())).collect();
        for (index, (_, members)) in groups.iter().enumerate() {
            let result = match &stored {
                Ok(replies) => match replies.get(index) {
                    Some(Ok(_)) => Ok(()),
                    Some(Err(error)) => Err(refused(error)),
                    None => Err(StoreError::Corrupt("an answer is missing".to_owned())),
                },
                Err(error) => Err(error.clone()),
            };
            for (position, _) in members {
                if let Some(slot) = results.get_mut(*position) {
                    slot.clone_from(&result);
                }
            }
        }
        results
    }

    pub(super) async fn history(&self, session: SessionKey) -> Result<Option<Vec<Turn>>, StoreError> {
        let read = async |mut connection| {
            redis::cmd("LRANGE")
                .arg(turns_key(session))
                .arg(0)
                .arg(-1)
                .query_async::<Vec<String>>(&mut connection)
                .await
        };
        let items = self.link.run(read).await?;
        if items.is_empty() {
            return Ok(None);
        }
        let turn = |item: &String| {
            let json = item.get(ID_CHARS..).unwrap_or_default();
            serde_json::from_str(json).map_err(|error| StoreError::Corrupt(error.to_string()))
        };
        items.iter().map(turn).collect::<Result<_, _>>().map(Some)
    }

    pub(super) async fn delete(&self, session: SessionKey) -> Result<bool, StoreError> {
        let delete = async |mut connection| {
            let mut command = redis::cmd("UNLINK");
            command.arg(turns_key(session)).arg(ids_key(session));
            command.query_async::<u64>(&mut connection).await
        };
        Ok(self.link.run(delete).await? > 0)
    }

    /// One command for each session.
    fn append_commands(&self, groups: &[Group<'_>], retention: &Retention) -> RedisResult<Vec<Cmd>> {
        let command = |(index, group)| {
            let command = self.append.command(index == 0 || self.link.is_cluster());
            append_command(command, group, retention)
        };
        groups.iter().enumerate().map(command).collect()
    }
}

/// The turns of one session within a batch, with their positions in it.
type Group<'a> = (SessionKey, Vec<(usize, &'a Turn)>);

/// Groups a batch by session; order within a session stays.
fn by_session(turns: &[Turn]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for (position, turn) in turns.iter().enumerate() {
        // A batch holds a few hundred turns at most.
        match groups.iter_mut().find(|(session, _)| *session == turn.session()) {
            Some((_, members)) => members.push((position, turn)),
            None => groups.push((turn.session(), vec![(position, turn)])),
        }
    }
    groups
}

fn append_command(mut command: Cmd, group: &Group<'_>, retention: &Retention) -> RedisResult<Cmd> {
    let (session, members) = group;
    let life_ms = u64::try_from(retention.expiration.as_millis()).unwrap_or(MAX_LIFE_MS).min(MAX_LIFE_MS);
    command.arg(2).arg(turns_key(*session)).arg(ids_key(*session)).arg(retention.max_turns).arg(life_ms);
    for (_, turn) in members {
        let json = serde_json::to_string(turn).map_err(|error| {
            RedisError::from((redis::ErrorKind::Client, "a turn cannot be written", error.to_string()))
        })?;
        command.arg(turn.turn_id.to_string()).arg(json);
    }
    Ok(command)
}

fn refused(error: &RedisError) -> StoreError {
    StoreError::Refused(error.to_string())
}

fn turns_key(session: SessionKey) -> String {
    format!("ai-warp:{{{session}}}:turns")
}

fn ids_key(session: SessionKey) -> String {
    format!("ai-warp:{{{session}}}:ids")
}

fn connector(config: &ValkeyConfig, password: Option<&SecretString>) -> RedisResult<Connector> {
    let address = if config.tls {
        use_ring();
        ConnectionAddr::TcpTls {
            host: config.host.clone(),
            port: config.port,
            insecure: false,
            tls_params: None,
        }
    } else {
        ConnectionAddr::Tcp(config.host.clone(), config.port)
    };
    let mut settings = RedisConnectionInfo::default();
    if let Some(username) = &config.username {
        settings = settings.set_username(username);
    }
    if let Some(password) = password {
        settings = settings.set_password(password.expose());
    }
    if !config.cluster {
        let info =
            address.into_connection_info()?.set_redis_settings(settings.set_db(config.database.into()));
        return Ok(Connector::Single(Box::new(Client::open(info)?)));
    }
    let info = address.into_connection_info()?.set_redis_settings(settings);
    let client = ClusterClientBuilder::new([info])
        .connection_timeout(CONNECT_TIMEOUT)
        .response_timeout(RESPONSE_TIMEOUT)
        .build()?;
    Ok(Connector::Cluster(Box::new(client)))
}

/// Chooses the TLS provider of this process, where nobody has; `redis` would panic without one.
fn use_ring() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
