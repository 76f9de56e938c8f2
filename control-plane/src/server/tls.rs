//! The xDS port's TLS, where it has any.
//!
//! Handshakes are made beside each other, each under a deadline, so that a caller who says nothing delays nobody. The
//! certificate is that of the configuration in force when a connection begins.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::{Loaded, TlsIdentity};
use crate::http::Peer;

/// Longest handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Handshakes under way at once; whoever comes then waits for one of them to end.
const MAX_HANDSHAKES: usize = 256;

/// What gateways speak: xDS needs HTTP/2, sync takes HTTP/1.1.
const PROTOCOLS: [&str; 2] = ["h2", "http/1.1"];

/// A port that speaks TLS or plain text, as the configuration in force says.
#[derive(Debug)]
pub(super) struct GuardedListener {
    tcp: TcpListener,
    config: watch::Receiver<Arc<Loaded>>,
    /// What was made of the last certificate.
    acceptor: Option<(TlsIdentity, Arc<ServerConfig>)>,
    handshakes: JoinSet<Option<(TlsStream<TcpStream>, SocketAddr)>>,
}

impl GuardedListener {
    pub(super) fn new(tcp: TcpListener, config: watch::Receiver<Arc<Loaded>>) -> Self {
        Self { tcp, config, acceptor: None, handshakes: JoinSet::new() }
    }

    /// How to do TLS now; `Ok(None)` where the port is plain text.
    fn acceptor(&mut self) -> io::Result<Option<TlsAcceptor>> {
        let loaded = Arc::clone(&self.config.borrow());
        let Some(identity) = &loaded.secrets.listeners.xds_tls else { return Ok(None) };
        if let Some((known, config)) = &self.acceptor
            && known == identity
        {
            return Ok(Some(TlsAcceptor::from(Arc::clone(config))));
        }
        let config = Arc::new(identity.server_config(&PROTOCOLS).map_err(io::Error::other)?);
        self.acceptor = Some((identity.clone(), Arc::clone(&config)));
        Ok(Some(TlsAcceptor::from(config)))
    }
}

impl Listener for GuardedListener {
    type Io = MaybeTls;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (MaybeTls, SocketAddr) {
        loop {
            let has_room = self.handshakes.len() < MAX_HANDSHAKES;
            let (tcp, peer) = tokio::select! {
                Some(done) = self.handshakes.join_next() => match done {
                    Ok(Some((tls, peer))) => return (MaybeTls::Tls(Box::new(tls)), peer),
                    Ok(None) | Err(_) => continue,
                },
                // Listener's own accept: it waits where the system is out of files.
                accepted = Listener::accept(&mut self.tcp), if has_room => accepted,
            };
            // A reply to a batch of turns is small and waited for: it must not wait for an acknowledgement of the last.
            _ = tcp.set_nodelay(true);
            match self.acceptor() {
                Ok(None) => return (MaybeTls::Plain(tcp), peer),
                Ok(Some(acceptor)) => _ = self.handshakes.spawn(handshake(acceptor, tcp, peer)),
                Err(error) => tracing::error!("controlPlane.xdsTls: {error}"),
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

impl Connected<IncomingStream<'_, GuardedListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, GuardedListener>) -> Self {
        Self(*stream.remote_addr())
    }
}

async fn handshake(
    acceptor: TlsAcceptor,
    tcp: TcpStream,
    peer: SocketAddr,
) -> Option<(TlsStream<TcpStream>, SocketAddr)> {
    match timeout(HANDSHAKE_TIMEOUT, acceptor.accept(tcp)).await {
        Ok(Ok(tls)) => Some((tls, peer)),
        Ok(Err(error)) => {
            tracing::warn!(%peer, "a TLS handshake on the xDS port failed: {error}");
            None
        }
        Err(_) => {
            tracing::debug!(%peer, "a TLS handshake on the xDS port took too long");
            None
        }
    }
}

/// A connection, encrypted or not.
#[derive(Debug)]
pub(super) enum MaybeTls {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for MaybeTls {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for MaybeTls {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
