//! Addresses at which nobody answers, or nobody who makes sense.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener as AsyncListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

/// A connection on the loopback interface that takes longer than this is not made.
const FULL_AFTER: Duration = Duration::from_millis(200);

/// Connections that a queue asked to hold none may hold; Linux holds one.
const LONGEST_QUEUE: usize = 16;

/// A port of the loopback interface that was free a moment ago, for programs that cannot say which one they took.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("no free port");
    listener.local_addr().expect("a bound listener has an address").port()
}

/// A port of the loopback interface that no other test gets, and that a program which shares its ports (`SO_REUSEPORT`, as Envoy
/// does) can listen on all the same.
#[derive(Debug)]
pub(crate) struct Reserved {
    address: SocketAddr,
    _socket: TcpSocket,
}

impl Reserved {
    /// Takes a port.
    pub(crate) fn new() -> Self {
        let socket = TcpSocket::new_v4().expect("no socket");
        socket.set_reuseport(true).expect("ports can be shared");
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("no free port");
        Self { address: socket.local_addr().expect("a bound socket has an address"), _socket: socket }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }
}

/// An address that refuses connections for as long as this lives: bound, so that no other test gets it, and without
/// anybody who listens.
#[derive(Debug)]
pub struct Refusing {
    address: SocketAddr,
    _socket: TcpSocket,
}

impl Refusing {
    /// Takes a port of the loopback interface.
    #[expect(clippy::new_without_default, reason = "it takes a port, which no default should")]
    pub fn new() -> Self {
        let socket = TcpSocket::new_v4().expect("no socket");
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("no free port");
        Self { address: socket.local_addr().expect("a bound socket has an address"), _socket: socket }
    }

    /// Gives the port up for a program to take.
    pub fn into_port(self) -> u16 {
        self.address.port()
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// A base URL that leads nowhere.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }
}

/// An address that lets connections wait: its queue is full, and it neither accepts nor refuses. For timeouts of
/// connecting, without a network.
#[derive(Debug)]
pub struct Full {
    address: SocketAddr,
    _socket: TcpListener,
    _queued: Vec<TcpStream>,
}

impl Full {
    /// Listens on the loopback interface with the shortest queue there is, and fills it.
    pub async fn new() -> Self {
        let socket = TcpSocket::new_v4().expect("no socket");
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("no free port");
        let listener = socket.listen(0).expect("a bound socket can listen");
        let address = listener.local_addr().expect("a bound socket has an address");
        let listener = listener.into_std().expect("a listener leaves its runtime");
        let mut queued = Vec::new();
        // Linux answers nothing once the queue is full, so the first connection that has to wait is the proof.
        while let Ok(connected) = timeout(FULL_AFTER, TcpStream::connect(address)).await {
            queued.push(connected.expect("the queue has room, or makes us wait"));
            assert!(queued.len() < LONGEST_QUEUE, "the queue of {address} never gets full");
        }
        Self { address, _socket: listener, _queued: queued }
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// What a [`Strange`] server does with a connection.
#[derive(Debug, Clone, Copy)]
enum Manners {
    Silent,
    PlainText,
}

/// A server that accepts connections and speaks no TLS, whatever it is asked.
#[derive(Debug)]
pub struct Strange {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Strange {
    /// Never says a word.
    pub async fn silent() -> Self {
        Self::start(Manners::Silent).await
    }

    /// Answers the first bytes in plain text and closes, as web servers do on a port without TLS.
    pub async fn plain_text() -> Self {
        Self::start(Manners::PlainText).await
    }

    async fn start(manners: Manners) -> Self {
        let listener = AsyncListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("no free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(treat(stream, manners));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, task }
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Strange {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Errors are the peer's: it gives up, and that is what it is here for.
async fn treat(mut stream: TcpStream, manners: Manners) {
    let mut heard = [0; 1024];
    match manners {
        Manners::Silent => while stream.read(&mut heard).await.is_ok_and(|size| size > 0) {},
        Manners::PlainText => {
            let _ = stream.read(&mut heard).await;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_address_neither_accepts_nor_refuses() {
        let full = Full::new().await;
        assert!(timeout(FULL_AFTER, TcpStream::connect(full.address())).await.is_err());
    }

    #[tokio::test]
    async fn a_strange_server_is_silent_or_speaks_plain_text() {
        let (silent, plain) = (Strange::silent().await, Strange::plain_text().await);
        let mut heard = Vec::new();
        for (server, words) in [(silent, ""), (plain, "HTTP/1.1 400")] {
            let mut stream = TcpStream::connect(server.address()).await.unwrap();
            stream.write_all(b"\x16\x03\x01").await.unwrap();
            let ended = timeout(FULL_AFTER, stream.read_to_end(&mut heard)).await;
            assert_eq!(ended.is_ok(), !words.is_empty());
            assert!(String::from_utf8_lossy(&heard).starts_with(words));
        }
    }
}
