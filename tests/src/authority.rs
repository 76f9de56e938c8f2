//! Certificates for tests.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// A certificate authority, with everything it makes in one folder.
#[derive(Debug)]
pub struct Authority {
    folder: PathBuf,
    name: String,
    file: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM files.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Authority {
    /// A new one.
    pub fn new(folder: &Path, name: &str) -> Self {
        let key = KeyPair::generate().expect("keys can be made");
        let mut params = CertificateParams::new(Vec::new()).expect("no names are no problem");
        params.distinguished_name.push(DnType::CommonName, format!("authority {name}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let file = folder.join(format!("{name}-ca.pem"));
        let certificate = params.self_signed(&key).expect("an authority signs itself");
        std::fs::write(&file, certificate.pem()).expect("cannot write a certificate");
        Self { folder: folder.to_owned(), name: name.to_owned(), file, issuer: Issuer::new(params, key) }
    }

    /// Its own certificate.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// A certificate for `name`: a DNS name or an address.
    pub fn issue(&self, name: &str) -> Identity {
        let file = |what: &str| self.folder.join(format!("{}-{name}-{what}.pem", self.name));
        let key = KeyPair::generate().expect("keys can be made");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("the name is one");
        let certificate = params.signed_by(&key, &self.issuer).expect("an authority signs");
        let identity = Identity { certificate: file("certificate"), key: file("key") };
        std::fs::write(&identity.certificate, certificate.pem()).expect("cannot write a certificate");
        std::fs::write(&identity.key, key.serialize_pem()).expect("cannot write a key");
        identity
    }
}
