//! The JSON key of a service account, and the assertions it signs.
//!
//! The format is that of the files that Google Cloud's console and `gcloud iam service-accounts keys create` write; the
//! assertion is a JWT as in RFC 7523, with the claims that Google asks for
//! (<https://developers.google.com/identity/protocols/oauth2/service-account>). `rustls` signs it: its provider is in this
//! process anyway, and RS256 is a signature that TLS knows as well.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::SignatureScheme;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::SigningKey;
use serde::Deserialize;
use serde_json::json;

use super::SecretString;
use crate::filter_code::sha256_hex;

/// What the tokens are for.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// How long an assertion is good for: the most that Google accepts.
const ASSERTION_LIFE: Duration = Duration::from_secs(60 * 60);

/// Why the key of a service account is of no use. Says nothing of what is in it.
#[derive(Debug, thiserror::Error)]
pub enum ServiceAccountError {
    /// Not the JSON it should be.
    #[error("is no JSON key of a service account, as Google Cloud's console creates it: {0}")]
    Shape(String),
    /// The token URI is none.
    #[error("has a token_uri that is no http:// or https:// URL")]
    TokenUri,
    /// The private key cannot be used.
    #[error("has a private_key that is no RSA key in PEM")]
    PrivateKey,
    /// The private key does not sign.
    #[error("the private key does not sign")]
    Signature,
}

/// A service account's key, ready to sign. `Debug` shows whose it is and no key.
#[derive(Clone)]
pub struct ServiceAccount {
    id: String,
    email: String,
    key_id: Option<String>,
    token_uri: String,
    key: Arc<dyn SigningKey>,
}

#[derive(Deserialize)]
struct KeyFile {
    client_email: String,
    private_key: String,
    private_key_id: Option<String>,
    token_uri: String,
}

impl ServiceAccount {
    /// Reads the content of a key file.
    ///
    /// # Errors
    /// [`ServiceAccountError`], never `Signature`.
    pub fn parse(json: &SecretString) -> Result<Self, ServiceAccountError> {
        let text = json.expose();
        let file: KeyFile = serde_json::from_str(text).map_err(|error| shape_error(text, &error))?;
        let token_uri = file.token_uri.parse::<http::Uri>().unwrap_or_default();
        if !matches!(token_uri.scheme_str(), Some("https" | "http")) {
            return Err(ServiceAccountError::TokenUri);
        }
        let key = PrivateKeyDer::from_pem_slice(file.private_key.as_bytes()).ok();
        let key = key.and_then(|key| rustls::crypto::ring::sign::any_supported_type(&key).ok());
        let key = key.filter(|key| key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]).is_some());
        Ok(Self {
            id: sha256_hex(text.as_bytes()),
            email: file.client_email,
            key_id: file.private_key_id,
            token_uri: file.token_uri,
            key: key.ok_or(ServiceAccountError::PrivateKey)?,
        })
    }

    /// A hash of the file: the same for the same key.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Where its assertions become tokens.
    pub(crate) fn token_uri(&self) -> &str {
        &self.token_uri
    }

    /// A signed assertion, good from `now` on, which is the time since 1970.
    ///
    /// # Errors
    /// [`ServiceAccountError::Signature`] alone.
    pub(crate) fn assertion(&self, now: Duration) -> Result<String, ServiceAccountError> {
        let mut header = json!({"alg": "RS256", "typ": "JWT"});
        if let (Some(header), Some(key_id)) = (header.as_object_mut(), &self.key_id) {
            header.insert("kid".to_owned(), json!(key_id));
        }
        let claims = json!({
            "iss": self.email,
            "scope": SCOPE,
            "aud": self.token_uri,
            "iat": now.as_secs(),
            "exp": (now + ASSERTION_LIFE).as_secs(),
        });
        let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let message = format!("{header}.{claims}");
        let signer = self.key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]);
        let signature = signer.and_then(|signer| signer.sign(message.as_bytes()).ok());
        let signature = signature.ok_or(ServiceAccountError::Signature)?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccount").field("email", &self.email).finish_non_exhaustive()
    }
}

impl PartialEq for ServiceAccount {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for ServiceAccount {}

/// What is wrong, in words that quote nothing of the file but names of its fields.
fn shape_error(text: &str, error: &serde_json::Error) -> ServiceAccountError {
    let Ok(fields) = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text) else {
        let line = error.line();
        return ServiceAccountError::Shape(format!("no JSON object, from its line {line} on"));
    };
    let is_missing = |name: &&&str| !fields.get(**name).is_some_and(serde_json::Value::is_string);
    let names = ["client_email", "private_key", "token_uri"];
    let missing: Vec<&str> = names.iter().filter(is_missing).copied().collect();
    if missing.is_empty() {
        return ServiceAccountError::Shape("its private_key_id is no text".to_owned());
    }
    ServiceAccountError::Shape(format!("it has no {}", missing.join(", no ")))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const PRIVATE_KEY: &str = include_str!("../../testdata/service_account_key.pem");
    /// Of the same key, as `openssl rsa -RSAPublicKey_out -outform DER` writes it.
    const PUBLIC_KEY: &[u8] = include_bytes!("../../testdata/service_account_public_key.der");

    /// The content of a key file for tests.
    pub(crate) fn key_file(token_uri: &str) -> SecretString {
        let file = json!({
            "type": "service_account",
            "client_email": "tester@p.iam.gserviceaccount.com",
            "private_key_id": "key-1",
            "private_key": PRIVATE_KEY,
            "token_uri": token_uri,
        });
        SecretString::new(file.to_string())
    }

    #[test]
    fn an_assertion_says_who_asks_for_what_and_is_signed() {
        let account = ServiceAccount::parse(&key_file("https://oauth2.googleapis.com/token")).unwrap();
        let assertion = account.assertion(Duration::from_secs(1_700_000_000)).unwrap();
        let (message, signature) = assertion.rsplit_once('.').unwrap();
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
        let parts: Vec<serde_json::Value> =
            message.split('.').map(|part| serde_json::from_slice(&decode(part)).unwrap()).collect();
        assert_eq!(
            parts,
            [
                json!({"alg": "RS256", "typ": "JWT", "kid": "key-1"}),
                json!({
                    "iss": "tester@p.iam.gserviceaccount.com",
                    "scope": "https://www.googleapis.com/auth/cloud-platform",
                    "aud": "https://oauth2.googleapis.com/token",
                    "iat": 1_700_000_000,
                    "exp": 1_700_003_600,
                }),
            ]
        );
        let provider = rustls::crypto::ring::default_provider();
        let schemes = provider.signature_verification_algorithms.mapping;
        let (_, algorithms) = schemes.iter().find(|(s, _)| *s == SignatureScheme::RSA_PKCS1_SHA256).unwrap();
        algorithms[0].verify_signature(PUBLIC_KEY, message.as_bytes(), &decode(signature)).unwrap();
    }

    #[test]
    fn what_is_no_key_is_told_without_what_is_in_it() {
        let changed = |key: &str, value: serde_json::Value| {
            let mut file: serde_json::Value = serde_json::from_str(key_file("https://t").expose()).unwrap();
            file[key] = value;
            file.to_string()
        };
        for (file, told) in [
            ("very-secret".to_owned(), "no JSON object, from its line 1 on"),
            ("{\"private_key\": \"very-secret\"}".to_owned(), "it has no client_email, no token_uri"),
            (changed("private_key", json!(["very-secret"])), "it has no private_key"),
            (changed("private_key_id", json!(["very-secret"])), "its private_key_id is no text"),
            (changed("private_key", json!("very-secret")), "no RSA key in PEM"),
            (
                changed("private_key", json!(include_str!("../../testdata/elliptic_key.pem"))),
                "no RSA key in PEM",
            ),
            (changed("token_uri", json!("very-secret")), "token_uri"),
        ] {
            let error = ServiceAccount::parse(&SecretString::new(file)).unwrap_err().to_string();
            assert!(error.contains(told) && !error.contains("very-secret"), "{told}: {error}");
        }
        let account = ServiceAccount::parse(&key_file("https://t")).unwrap();
        assert_eq!(
            format!("{account:?}"),
            "ServiceAccount { email: \"tester@p.iam.gserviceaccount.com\", .. }"
        );
    }
}
