//! Many commands to Valkey at the price of one.
//!
//! Alone, a server sees them in one pipeline: the first that runs a script carries its text, which makes it known for
//! those behind it that only name it. In a cluster each may be the first that its server sees, so each carries it.

use futures_util::{StreamExt, stream};
use redis::{Cmd, FromRedisValue, Pipeline, RedisResult, Script};

use super::valkey_link::Connection;

/// Commands of one batch under way at a time in a cluster, where they go to different servers.
const CLUSTER_CONCURRENCY: usize = 32;

/// A script that runs on the server, where it is atomic.
#[derive(Debug)]
pub(crate) struct ServerScript {
    text: &'static str,
    script: Script,
}

impl ServerScript {
    pub(crate) fn new(text: &'static str) -> Self {
        Self { text, script: Script::new(text) }
    }

    /// The beginning of a command that runs it: with its text, or else by its hash. The number of keys is next.
    pub(crate) fn command(&self, with_text: bool) -> Cmd {
        let (name, script) =
            if with_text { ("EVAL", self.text) } else { ("EVALSHA", self.script.get_hash()) };
        let mut command = redis::cmd(name);
        command.arg(script);
        command
    }
}

/// Runs `commands` at once; one result for each. An error of the connection fails them all.
pub(crate) async fn run_all<T: FromRedisValue>(
    mut connection: Connection,
    commands: Vec<Cmd>,
) -> RedisResult<Vec<RedisResult<T>>> {
    match &connection {
        Connection::Single(_) => {
            let mut pipeline = Pipeline::with_capacity(commands.len());
            pipeline.ignore_errors();
            for command in commands {
                pipeline.add_command(command);
            }
            pipeline.query_async(&mut connection).await
        }
        Connection::Cluster(_) => {
            let runs = commands.into_iter().map(|command| {
                let mut connection = connection.clone();
                async move { command.query_async(&mut connection).await }
            });
            Ok(stream::iter(runs).buffered(CLUSTER_CONCURRENCY).collect().await)
        }
    }
}
