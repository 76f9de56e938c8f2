//! Secrets once they are read: kept apart from the configuration and hidden from every log.

use std::collections::BTreeMap;
use std::fmt;

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

/// Every secret the configuration refers to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    /// API keys by [`Endpoint::name`](ai_warp_core::config::Endpoint::name); an endpoint without one is missing here.
    pub endpoint_keys: BTreeMap<String, SecretString>,
    /// Password of Valkey.
    pub valkey_password: Option<SecretString>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_every_value() {
        let secrets = Secrets {
            endpoint_keys: BTreeMap::from([("openai".to_owned(), SecretString::new("sk-1"))]),
            valkey_password: Some(SecretString::new("sk-1")),
        };
        let shown = format!("{secrets:?}");
        assert!(shown.contains("openai") && !shown.contains("sk-1"), "{shown}");
    }
}
