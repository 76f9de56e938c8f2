//! One connection and no other, for what must hold on connections that are open already.

use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::client::Gateway;

/// An open connection; closed when dropped.
#[derive(Debug)]
pub struct OneConnection {
    address: String,
    sender: SendRequest<Empty<Bytes>>,
    task: JoinHandle<hyper::Result<()>>,
}

impl OneConnection {
    /// Connects to `gateway`.
    pub async fn open(gateway: &Gateway) -> Self {
        let address = gateway.address().to_owned();
        let stream = TcpStream::connect(&address).await.expect("the gateway listens");
        let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("nothing is said yet");
        Self { address, sender, task: tokio::spawn(connection) }
    }

    /// The status of `GET path` with these headers.
    ///
    /// # Panics
    /// Where the connection is closed.
    pub async fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> u16 {
        self.sender.ready().await.expect("the connection is open");
        let request = Request::get(path).header(HOST, &self.address);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = request.body(Empty::new()).expect("the request is valid");
        let response = self.sender.send_request(request).await.expect("the connection is open");
        let status = response.status().as_u16();
        response.into_body().collect().await.expect("the response is complete");
        status
    }
}

impl Drop for OneConnection {
    fn drop(&mut self) {
        self.task.abort();
    }
}
