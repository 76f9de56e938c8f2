//! A network that breaks: connections to a server that are cut after so many bytes, wherever that is.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// What one connection more may pass than the one before: so that they are not all cut at the same place.
const STEP: usize = 37;

/// A way to a server on which every connection is cut; gone when dropped.
#[derive(Debug)]
pub struct Cutting {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Cutting {
    /// A way to the server at `HOST:PORT`. The first connection is cut when it has passed `bytes` of the server's, the others
    /// a little later.
    pub async fn start(to: &str, bytes: usize) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("no free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let to = to.to_owned();
        let task = tokio::spawn(async move {
            // Ended with this task.
            let mut connections = JoinSet::new();
            let mut limit = bytes;
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&to).await.expect("the server listens");
                connections.spawn(pass(client, server, limit));
                limit += STEP;
            }
        });
        Self { address, task }
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Cutting {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Passes bytes in both directions until one side ends, or the limit is reached.
async fn pass(mut client: TcpStream, mut server: TcpStream, limit: usize) {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let answers = async {
        let mut left = limit;
        let mut buffer = vec![0; 4_096];
        while left > 0 {
            let room = buffer.len().min(left);
            let Ok(length @ 1..) = from_server.read(&mut buffer[..room]).await else { return };
            if to_client.write_all(&buffer[..length]).await.is_err() {
                return;
            }
            left -= length;
        }
    };
    tokio::select! {
        () = answers => {}
        _ = copy(&mut from_client, &mut to_server) => {}
    }
}
