//! Secrets once they are read: kept apart from the configuration and hidden from every log.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::{ListenerSecrets, ServiceAccount};

/// A secret value. `Debug` hides it, and it has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretString(String);

impl SecretString {
    /// Hides `value`.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretString(hidden)")
    }
}

/// An access key of AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsKeys {
    /// Its id, which is half a secret.
    pub access_key_id: SecretString,
    /// What signs.
    pub secret_access_key: SecretString,
    /// Beside a temporary key.
    pub session_token: Option<SecretString>,
}

/// Every secret the configuration refers to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    /// API keys by [`Endpoint::name`](ai_warp_core::config::Endpoint::name); an endpoint without one is missing here.
    pub endpoint_keys: BTreeMap<String, SecretString>,
    /// Access keys of AWS, likewise.
    pub aws_keys: BTreeMap<String, AwsKeys>,
    /// Service accounts of Google Cloud, likewise.
    pub service_accounts: BTreeMap<String, Arc<ServiceAccount>>,
    /// Password of Valkey.
    pub valkey_password: Option<SecretString>,
    /// What the listeners serve with, and ask of callers.
    pub listeners: ListenerSecrets,
}

#[cfg(test)]
mod tests {
    use super::super::TlsIdentity;
    use super::*;

    #[test]
    fn debug_hides_every_value() {
        let secrets = Secrets {
            endpoint_keys: BTreeMap::from([("openai".to_owned(), SecretString::new("sk-1"))]),
            aws_keys: BTreeMap::from([(
                "bedrock".to_owned(),
                AwsKeys {
                    access_key_id: SecretString::new("sk-1"),
                    secret_access_key: SecretString::new("sk-1"),
                    session_token: Some(SecretString::new("sk-1")),
                },
            )]),
            service_accounts: BTreeMap::new(),
            valkey_password: Some(SecretString::new("sk-1")),
            listeners: ListenerSecrets {
                xds_tokens: vec![SecretString::new("sk-1")],
                server_tls: Some(TlsIdentity {
                    certificate: "sk-1".to_owned(),
                    private_key: SecretString::new("sk-1"),
                    client_ca: None,
                }),
                ..Default::default()
            },
        };
        let shown = format!("{secrets:?}");
        assert!(shown.contains("openai") && !shown.contains("sk-1"), "{shown}");
    }
}
