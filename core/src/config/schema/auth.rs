//! `auth`: who may call, and what each consumer may do.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{RateConfig, TokensConfig};
use crate::config::{Secret, TimeWindow};

/// `auth`.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AuthConfig {
    /// Whether a request without a token or key is refused; a token or key that is not accepted always is. (default: `true`)
    pub required: Option<bool>,
    /// Tokens (JSON Web Tokens), with exactly one of `secret`, `publicKey` and `jwks`.
    pub jwt: Option<JwtConfig>,
    /// API keys, up to 10000, by their hashes.
    pub api_keys: Vec<ApiKeyConfig>,
    /// A service that is asked about requests without a valid token or key.
    pub webhook: Option<WebhookConfig>,
    /// What consumers may do, by name.
    pub consumers: BTreeMap<String, ConsumerConfig>,
}

/// `auth.jwt`: exactly one of `secret`, `publicKey` and `jwks`.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct JwtConfig {
    /// The shared secret of HS256, HS384 and HS512; at least 32 bytes, or there is a warning.
    pub secret: Option<Secret>,
    /// A public key in PEM, RSA (RS and PS) or EC (ES), written as a secret is.
    pub public_key: Option<Secret>,
    /// The URL at which the issuer publishes its keys, or as below.
    pub jwks: Option<JwksEntry>,
    /// `iss` must be this text, or one of these. (default: anything)
    pub allowed_iss: Names,
    /// `aud` must hold this text, or one of these. (default: anything)
    pub allowed_aud: Names,
    /// Claims that must be there.
    pub required_claims: Vec<String>,
    /// Longest time since `iat`, 1s to 365d.
    pub max_age: Option<TimeWindow>,
    /// Name of a cookie in which a token is looked for as well; or `{cookieName: NAME}`.
    pub cookie: Option<CookieEntry>,
    /// The claim that names the consumer. Where it is set, a token without it is refused; `sub` may be missing.
    /// (default: `sub`)
    pub consumer_claim: Option<String>,
}

/// `auth.jwt.jwks`: a URL or a [`JwksConfig`].
#[derive(Debug, Clone)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(untagged))]
pub enum JwksEntry {
    /// The URL.
    Url(String),
    /// The long form.
    Detailed(JwksConfig),
}

/// The long form of `auth.jwt.jwks`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JwksConfig {
    /// Where the keys are.
    pub url: String,
    /// How long its keys are good before they are fetched again, 1s to 1d. (default: `1m`)
    pub cache_for: Option<TimeWindow>,
    /// PEM file of the certificate authorities that may sign the issuer's certificate (default: the system's).
    pub ca_file: Option<PathBuf>,
}

/// `auth.jwt.cookie`: a name or a [`CookieConfig`].
#[derive(Debug, Clone)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(untagged))]
pub enum CookieEntry {
    /// The cookie's name.
    Name(String),
    /// The long form.
    Detailed(CookieConfig),
}

/// The long form of `auth.jwt.cookie`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CookieConfig {
    /// The cookie's name.
    pub cookie_name: String,
}

/// One of `auth.apiKeys`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiKeyConfig {
    /// Whose key it is; a consumer may have several.
    pub consumer: String,
    /// `sha256:` and the hash of the key in 64 hexadecimal digits, as `ai-warp keys` prints it.
    pub hash: String,
    /// What it is for, for people.
    pub name: Option<String>,
}

/// `auth.webhook`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebhookConfig {
    /// Where it is asked, by `POST`.
    pub url: String,
    /// Longest wait for it, at most 30s. (default: `2s`)
    pub timeout: Option<TimeWindow>,
    /// PEM file of the certificate authorities that may sign its certificate (default: the system's).
    pub ca_file: Option<PathBuf>,
    /// The request headers it is told. (default: `authorization`, `cookie`, `x-api-key`)
    pub headers: Option<Vec<String>>,
}

/// One of `auth.consumers`.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ConsumerConfig {
    /// Request rate, in place of that of `clientLimits`.
    pub rate: Option<RateConfig>,
    /// Token budget, in place of that of `clientLimits`.
    pub tokens: Option<TokensConfig>,
    /// What it may ask: `"provider:model"`, or the name of a route with all its models. (default: everything)
    pub models: Option<Vec<String>>,
}

/// One name or several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "NamesShape"))]
pub struct Names(pub Vec<String>);

/// How [`Names`] are written.
#[cfg(feature = "schema")]
#[derive(schemars::JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its shape is of use")]
enum NamesShape {
    One(String),
    Several(Vec<String>),
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NamesVisitor;

        impl<'de> Visitor<'de> for NamesVisitor {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Names, E> {
                Ok(Names(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Names, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Names)
            }
        }

        deserializer.deserialize_any(NamesVisitor)
    }
}

impl<'de> Deserialize<'de> for JwksEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::text_or_map(deserializer, "a URL or {url, cacheFor, caFile}", Self::Url, Self::Detailed)
    }
}

impl<'de> Deserialize<'de> for CookieEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::text_or_map(deserializer, "a cookie's name or {cookieName}", Self::Name, Self::Detailed)
    }
}
