//! A client over TLS that shows a certificate, or none.

use std::io;
use std::path::Path;
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::authority::Identity;

/// Trusts one authority, and goes to `127.0.0.1`.
#[derive(Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
}

impl TlsClient {
    /// Trusts the authority in the file `ca`, and shows `identity`.
    pub fn new(ca: &Path, identity: Option<&Identity>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca).expect("a certificate")).expect("an authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has the default versions")
            .with_root_certificates(roots);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some(Identity { certificate, key }) => {
                let chain = vec![CertificateDer::from_pem_file(certificate).expect("a certificate")];
                let key = PrivateKeyDer::from_pem_file(key).expect("a key");
                builder.with_client_auth_cert(chain, key).expect("they belong together")
            }
        };
        Self { config: Arc::new(config) }
    }

    /// Sends one request to `address`; status and body of the answer.
    ///
    /// # Errors
    /// Where the connection or its handshake failed, or the other end closed it without an answer.
    pub async fn send(&self, address: &str, request: Request<Full<Bytes>>) -> io::Result<(u16, String)> {
        let name = ServerName::try_from("127.0.0.1").expect("an address is a name");
        let tcp = TcpStream::connect(address).await?;
        let tls = TlsConnector::from(Arc::clone(&self.config)).connect(name, tcp).await?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(tls)).await;
        let (mut sender, connection) = handshake.map_err(io::Error::other)?;
        let driver = tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
        driver.abort();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }
}
