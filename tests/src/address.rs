//! Addresses at which nobody answers.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use tokio::net::TcpSocket;

/// A port of the loopback interface that was free a moment ago, for programs that cannot say which one they took.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("no free port");
    listener.local_addr().expect("a bound listener has an address").port()
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

    /// A base URL that leads nowhere.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }
}
