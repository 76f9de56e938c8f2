//! The secrets of the listeners: certificates to serve, and tokens to ask for.
//!
//! Unlike a provider's key, none of them may be missing: a listener that was meant to be guarded is guarded or refused.

use ai_warp_core::config::{Config, Secret, TlsConfig};

use super::load::SecretReader;
use super::{SecretString, Secrets, TlsIdentity};

/// Shortest token, in bytes: what can be guessed guards nothing.
const SHORTEST_TOKEN: usize = 16;

/// What the listeners serve with, and ask of callers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListenerSecrets {
    /// `server.tls`.
    pub server_tls: Option<TlsIdentity>,
    /// `controlPlane.xdsTls`.
    pub xds_tls: Option<TlsIdentity>,
    /// `controlPlane.xdsTokens`.
    pub xds_tokens: Vec<SecretString>,
    /// `controlPlane.apiTokens`.
    pub api_tokens: Vec<SecretString>,
}

impl ListenerSecrets {
    /// Gives `part` every value, in an order that depends on nothing else.
    pub(super) fn for_each_part(&self, mut part: impl FnMut(&[u8])) {
        for identity in [&self.server_tls, &self.xds_tls] {
            part(&[u8::from(identity.is_some())]);
            if let Some(TlsIdentity { certificate, private_key, client_ca }) = identity {
                part(certificate.as_bytes());
                part(private_key.expose().as_bytes());
                part(client_ca.as_deref().unwrap_or_default().as_bytes());
            }
        }
        for tokens in [&self.xds_tokens, &self.api_tokens] {
            part(&tokens.len().to_le_bytes());
            tokens.iter().for_each(|token| part(token.expose().as_bytes()));
        }
    }
}

impl SecretReader<'_> {
    /// Reads what `server` and `controlPlane` name.
    pub(super) fn read_listeners(&mut self, config: &Config, secrets: &mut Secrets) {
        let (server, at) = (&config.server, &config.control_plane);
        secrets.listeners = ListenerSecrets {
            server_tls: server.tls.as_ref().and_then(|tls| self.read_tls("server.tls", tls)),
            xds_tls: at.xds_tls.as_ref().and_then(|tls| self.read_tls("controlPlane.xdsTls", tls)),
            xds_tokens: self.read_tokens("controlPlane.xdsTokens", &at.xds_tokens),
            api_tokens: self.read_tokens("controlPlane.apiTokens", &at.api_tokens),
        };
    }

    fn read_tls(&mut self, path: &str, tls: &TlsConfig) -> Option<TlsIdentity> {
        let certificate = self.read_required(format!("{path}.certificate"), &tls.certificate);
        let private_key = self.read_required(format!("{path}.privateKey"), &tls.private_key);
        let client_ca = tls.client_ca.as_ref().map(|ca| self.read_required(format!("{path}.clientCa"), ca));
        let identity = TlsIdentity {
            certificate: certificate?.expose().to_owned(),
            private_key: private_key?,
            client_ca: match client_ca {
                Some(ca) => Some(ca?.expose().to_owned()),
                None => None,
            },
        };
        if let Err(error) = identity.server_config(&[]) {
            self.problem(format!("{path}.{}", error.key), error);
            return None;
        }
        Some(identity)
    }

    fn read_tokens(&mut self, path: &str, tokens: &[Secret]) -> Vec<SecretString> {
        let mut read = Vec::with_capacity(tokens.len());
        for (index, token) in tokens.iter().enumerate() {
            let path = format!("{path}[{index}]");
            let Some(token) = self.read_required(path.clone(), token) else { continue };
            if token.expose().len() < SHORTEST_TOKEN {
                self.problem(
                    path,
                    format!("must be at least {SHORTEST_TOKEN} characters; `openssl rand -hex 32` makes one"),
                );
            } else if !token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
                self.problem(path, "must be printable ASCII without spaces");
            } else {
                read.push(token);
            }
        }
        read
    }

    fn read_required(&mut self, path: String, secret: &Secret) -> Option<SecretString> {
        match self.read(secret) {
            Ok(Some(value)) => return Some(value),
            Ok(None) => self.problem(path, "is empty"),
            Err(error) => self.problem(path, error),
        }
        None
    }
}
