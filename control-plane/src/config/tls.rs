//! Certificates to serve, checked when the configuration is read: one that does not work must not replace one that does.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use super::SecretString;

/// A certificate with its key, and the authorities of the clients it is for.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsIdentity {
    /// The certificate and those that lead to its authority, in PEM.
    pub certificate: String,
    /// The private key, in PEM.
    pub private_key: SecretString,
    /// Authorities of client certificates, in PEM; without any, clients need none.
    pub client_ca: Option<String>,
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsIdentity").field("mutual", &self.client_ca.is_some()).finish_non_exhaustive()
    }
}

/// Why a certificate cannot be served, and which of the three parts is to blame.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct TlsError {
    /// The key in the configuration.
    pub key: &'static str,
    /// Names no part of a key.
    pub text: String,
}

impl TlsError {
    fn new(key: &'static str, text: impl fmt::Display) -> Self {
        Self { key, text: text.to_string() }
    }
}

impl TlsIdentity {
    /// What a TLS server of ours needs, offering `alpn`.
    ///
    /// # Errors
    /// [`TlsError`] where the parts are no PEM, or do not belong together.
    pub fn server_config(&self, alpn: &[&str]) -> Result<ServerConfig, TlsError> {
        let chain = certificates("certificate", &self.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(self.private_key.expose().as_bytes())
            .map_err(|_| TlsError::new("privateKey", "holds no private key in PEM"))?;
        let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::new("certificate", error))?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let mut roots = RootCertStore::empty();
                for authority in certificates("clientCa", pem)? {
                    roots.add(authority).map_err(|error| TlsError::new("clientCa", error))?;
                }
                let provider = Arc::new(rustls::crypto::ring::default_provider());
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|error| TlsError::new("clientCa", error))?)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| {
            TlsError::new("privateKey", format!("does not go with the certificate: {error}"))
        })?;
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Ok(config)
    }
}

fn certificates(key: &'static str, pem: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(TlsError::new(key, "holds no certificate in PEM")),
    }
}
