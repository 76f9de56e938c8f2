//! A real Valkey for tests: the `valkey-server` that `AI_WARP_VALKEY` names.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ai_warp_core::config::ValkeyConfig;
use tokio::time::{Instant, sleep};

use super::{Store, ValkeyStore};

/// Longest wait for a server to come up or go down.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until the store is reachable, or is not.
pub(crate) async fn reachable(store: &Store, wanted: bool) {
    let deadline = Instant::now() + PATIENCE;
    while store.status()["reachable"] != wanted {
        assert!(Instant::now() < deadline, "still {}", store.status());
        sleep(Duration::from_millis(10)).await;
    }
}

/// A real Valkey on a port of its own, in a folder of its own.
pub(crate) struct Server {
    binary: PathBuf,
    arguments: Vec<String>,
    folder: tempfile::TempDir,
    port: u16,
    child: Child,
}

impl Server {
    /// Starts one with `arguments`; `None`, said on standard error, where there is none to start.
    pub(crate) async fn start(arguments: &[&str]) -> Option<Self> {
        let Some(binary) = std::env::var_os("AI_WARP_VALKEY").map(PathBuf::from) else {
            assert!(std::env::var_os("CI").is_none(), "AI_WARP_VALKEY must name a valkey-server");
            eprintln!("SKIPPED: AI_WARP_VALKEY names no valkey-server");
            return None;
        };
        let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        // Another process may take the free port before the server does; then the next one is tried.
        for _ in 0..10 {
            let folder = tempfile::tempdir().unwrap();
            let port = free_port();
            let child = spawn(&binary, &arguments, &folder, port);
            let mut server =
                Self { binary: binary.clone(), arguments: arguments.clone(), folder, port, child };
            if server.answers().await {
                return Some(server);
            }
            let log = std::fs::read_to_string(server.folder.path().join("log")).unwrap_or_default();
            assert!(log.contains("in use"), "valkey-server does not start:\n{log}");
        }
        panic!("no free port for valkey-server");
    }

    /// Starts a cluster of one.
    pub(crate) async fn start_cluster() -> Option<Self> {
        let server = Self::start(&["--cluster-enabled", "yes"]).await?;
        let _: String = server.command(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]).await;
        let deadline = Instant::now() + PATIENCE;
        while !server.command::<String>(&["CLUSTER", "INFO"]).await.contains("cluster_state:ok") {
            assert!(Instant::now() < deadline, "the cluster never forms");
            sleep(Duration::from_millis(10)).await;
        }
        Some(server)
    }

    pub(crate) async fn restart(&mut self) {
        self.child = spawn(&self.binary, &self.arguments, &self.folder, self.port);
        assert!(self.answers().await);
    }

    pub(crate) fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Whether this server, and no other that was quicker to take the port, accepts commands before it ends.
    async fn answers(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            let folder = self.try_command::<Vec<String>>(&["CONFIG", "GET", "dir"]).await;
            if folder.is_ok_and(|folder| {
                folder.iter().any(|path| self.folder.path() == std::path::Path::new(path))
            }) {
                return true;
            }
            sleep(Duration::from_millis(10)).await;
        }
        false
    }

    pub(crate) fn config(&self) -> ValkeyConfig {
        ValkeyConfig { host: "127.0.0.1".to_owned(), port: self.port, ..ValkeyConfig::default() }
    }

    pub(crate) async fn store(&self, change: impl FnOnce(&mut ValkeyConfig)) -> Store {
        let mut config = self.config();
        change(&mut config);
        let store = Store::Valkey(ValkeyStore::open(&config, None).unwrap());
        reachable(&store, true).await;
        store
    }

    pub(crate) async fn command<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        self.try_command(command).await.unwrap()
    }

    async fn try_command<T: redis::FromRedisValue>(&self, command: &[&str]) -> redis::RedisResult<T> {
        let client = redis::Client::open(("127.0.0.1", self.port))?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let (name, arguments) = command.split_first().unwrap();
        redis::cmd(name).arg(arguments).query_async(&mut connection).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    // Below 55536, because a cluster node adds 10000 for its bus.
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if port < 55_536 {
            return port;
        }
    }
}

fn spawn(binary: &PathBuf, arguments: &[String], folder: &tempfile::TempDir, port: u16) -> Child {
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    Command::new(binary)
        .current_dir(folder.path())
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .args(arguments)
        .stdout(log)
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}
