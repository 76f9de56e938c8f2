//! Who may call, compiled from `auth`.
//!
//! The filter gets what it decides by; what only Envoy's own filters need stays with the control plane, as in
//! [`Endpoint`](super::Endpoint). None of it is a secret: keys are here as hashes, tokens are checked by Envoy.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{BaseUrl, BaseUrlError, Limit};

/// Bytes of a SHA-256 hash.
const HASH_BYTES: usize = 32;

/// What the written form of a key's hash begins with.
const HASH_PREFIX: &str = "sha256:";

/// Who may call, by which credentials, and what each may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Auth {
    /// Whether a request without a credential is refused.
    pub required: bool,
    /// Tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<JwtRules>,
    /// The hash of every API key, and the consumer whose it is.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<KeyHash, String>,
    /// A service that is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
    /// What consumers may do, by the [id](crate::auth::client_id) of each that has rules of its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub consumers: BTreeMap<Uuid, ConsumerRules>,
}

/// Which of the tokens with a valid signature are accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JwtRules {
    /// `iss` is one of these; anything where there are none.
    pub issuers: Vec<String>,
    /// Claims that must be there.
    pub required_claims: Vec<String>,
    /// Longest time since `iat`, in milliseconds.
    pub max_age_ms: Option<u64>,
    /// The claim that names the consumer.
    pub consumer_claim: String,
    /// Whether a token without that claim is refused.
    pub names_consumer: bool,
    /// `aud` holds one of these; anything where there are none. Not for the filter.
    #[serde(skip)]
    pub audiences: Vec<String>,
    /// A cookie that may hold the token as well. Not for the filter.
    #[serde(skip)]
    pub cookie: Option<String>,
    /// Where the keys are that signatures are checked with. Not for the filter.
    #[serde(skip)]
    pub keys: JwksSource,
}

/// Where the keys of tokens come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum JwksSource {
    /// The control plane, which has read them as secrets.
    #[default]
    ControlPlane,
    /// Whoever issues the tokens.
    Issuer {
        /// Where.
        service: Service,
        /// How long they are good, in milliseconds.
        cache_ms: u64,
    },
}

/// The service that is asked about requests without another valid credential. All of it is Envoy's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Where it is; always there but in the filter.
    #[serde(skip)]
    pub service: Option<Service>,
    /// Longest wait, in milliseconds.
    #[serde(skip)]
    pub timeout_ms: u64,
    /// The request headers it is told, in lower case.
    #[serde(skip)]
    pub headers: Vec<String>,
}

/// Something else that Envoy asks over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Scheme, host and port.
    pub base_url: BaseUrl,
    /// Path and query.
    pub path: String,
    /// PEM file of certificate authorities, read by Envoy.
    pub ca_file: Option<PathBuf>,
}

/// What a consumer may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerRules {
    /// Requests; those of all consumers where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Limit>,
    /// Tokens; likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Limit>,
    /// What may be asked; everything where there is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<Allowed>,
}

/// What may be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowed {
    /// Indices into [`Gateway::models`](super::Gateway::models).
    pub models: Vec<usize>,
    /// Indices into [`Gateway::routes`](super::Gateway::routes): with all their models.
    pub routes: Vec<usize>,
}

impl Service {
    /// Takes `url` apart, which may have a query.
    ///
    /// # Errors
    /// [`BaseUrlError`] with the first thing that is wrong.
    pub fn parse(url: &str, ca_file: Option<PathBuf>) -> Result<Self, BaseUrlError> {
        let (place, query) = url.split_once('?').map_or((url, None), |(place, query)| (place, Some(query)));
        let base_url = BaseUrl::parse(place)?;
        let authority = place.split_once("://").map_or(place, |(_, rest)| rest);
        let mut path = authority.find('/').and_then(|at| authority.get(at..)).unwrap_or("/").to_owned();
        if let Some(query) = query {
            path.push('?');
            path.push_str(query);
        }
        Ok(Self { base_url, path, ca_file })
    }

    /// The whole URL.
    pub fn url(&self) -> String {
        let scheme = if self.base_url.tls { "https" } else { "http" };
        format!("{scheme}://{}{}", self.base_url.authority(), self.path)
    }
}

/// The SHA-256 hash of an API key: `sha256:` and 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash([u8; HASH_BYTES]);

impl KeyHash {
    /// The hash of `key`.
    pub fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HASH_PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A text that is no hash of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no hash of a key: \"sha256:\" and 64 hexadecimal digits, as `ai-warp keys` prints it")]
pub struct KeyHashError;

impl FromStr for KeyHash {
    type Err = KeyHashError;

    fn from_str(text: &str) -> Result<Self, KeyHashError> {
        let digits = text.strip_prefix(HASH_PREFIX).ok_or(KeyHashError)?;
        if digits.len() != 2 * HASH_BYTES || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(KeyHashError);
        }
        let mut bytes = [0; HASH_BYTES];
        for (index, byte) in bytes.iter_mut().enumerate() {
            let pair = digits.get(2 * index..2 * index + 2).ok_or(KeyHashError)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| KeyHashError)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for KeyHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_as_it_is_written() {
        // `printf abc | sha256sum`.
        let text = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(KeyHash::of(b"abc").to_string(), text);
        assert_eq!(text.parse(), Ok(KeyHash::of(b"abc")));
        assert_eq!(text.to_uppercase().replace("SHA256", "sha256").parse(), Ok(KeyHash::of(b"abc")));
        let long = format!("{text}0");
        for wrong in [&text[7..], &text[..70], &long, "sha256:", &text.replace('b', "\u{e9}")] {
            assert_eq!(wrong.parse::<KeyHash>(), Err(KeyHashError), "{wrong}");
        }
    }

    #[test]
    fn a_service_keeps_path_and_query_as_they_are() {
        for (url, path) in [
            ("https://a.example", "/"),
            ("https://a.example/jwks/", "/jwks/"),
            ("http://a.example:81/x?y=/z", "/x?y=/z"),
            ("http://a.example?y", "/?y"),
        ] {
            let service = Service::parse(url, None).unwrap();
            assert_eq!(service.path, path, "{url}");
        }
        assert_eq!(Service::parse("http://a:81/x?y", None).unwrap().url(), "http://a:81/x?y");
        assert!(Service::parse("ftp://a", None).is_err());
    }
}
