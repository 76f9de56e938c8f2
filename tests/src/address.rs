//! Addresses at which nobody answers.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// A port of the loopback interface that was free a moment ago, for programs that cannot say which one they took.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("no free port");
    listener.local_addr().expect("a bound listener has an address").port()
}

/// An address that refuses connections.
pub fn refusing_address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()))
}
