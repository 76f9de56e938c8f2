//! Valkey as a process, with its data on disk, so that a crash loses nothing it has confirmed.

use std::path::{Path, PathBuf};
use std::process::Command;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::address::free_port;
use crate::environment;
use crate::process::Process;
use crate::wait::{PATIENCE, eventually};

/// A Valkey server; killed when dropped.
#[derive(Debug)]
pub struct Valkey {
    folder: PathBuf,
    port: u16,
    process: Process,
}

impl Valkey {
    pub(crate) async fn start(folder: &Path) -> Self {
        let port = free_port();
        let mut valkey = Self { folder: folder.to_owned(), port, process: launch(folder, port) };
        valkey.wait_until_ready().await;
        valkey
    }

    /// Its port on the loopback interface.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Halts it, so that it answers nothing, until [`resume`](Self::resume).
    pub async fn pause(&self) {
        self.process.pause().await;
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.process.resume();
    }

    /// Starts it anew, on the same port and with the same data.
    pub async fn restart(&mut self) {
        self.kill();
        self.process = launch(&self.folder, self.port);
        self.wait_until_ready().await;
    }

    /// Starts it anew, on the same port and with nothing in it.
    pub async fn restart_empty(&mut self) {
        self.kill();
        std::fs::remove_dir_all(data(&self.folder)).expect("cannot remove the data");
        self.restart().await;
    }

    /// Everything that was ever written to it, as commands.
    pub fn everything_written(&self) -> String {
        let folder = data(&self.folder).join("appendonlydir");
        let files = std::fs::read_dir(folder).expect("there is a log of commands").flatten();
        let logs = files.filter(|file| file.path().extension().is_some_and(|end| end == "aof"));
        let read = |path| String::from_utf8_lossy(&std::fs::read(path).expect("a log")).into_owned();
        logs.map(|log| read(log.path())).collect()
    }

    async fn wait_until_ready(&mut self) {
        let address = ("127.0.0.1", self.port);
        eventually("Valkey answers a ping", PATIENCE, async || {
            self.process.expect_alive();
            let mut stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
            stream.write_all(b"PING\r\n").await.map_err(|error| error.to_string())?;
            let mut answer = [0; 5];
            stream.read_exact(&mut answer).await.map_err(|error| error.to_string())?;
            if &answer == b"+PONG" { Ok(()) } else { Err(format!("{answer:?}")) }
        })
        .await;
    }

    pub(crate) fn print_log(&self) {
        self.process.print_log();
    }
}

fn data(folder: &Path) -> PathBuf {
    folder.join("valkey")
}

fn launch(folder: &Path, port: u16) -> Process {
    let data = data(folder);
    std::fs::create_dir_all(&data).expect("cannot create a folder");
    let mut command = Command::new(environment::valkey());
    command
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "always", "--dir"])
        .arg(data);
    Process::start("valkey", folder, &mut command)
}
