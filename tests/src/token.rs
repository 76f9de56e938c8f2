//! Tokens as an issuer would sign them, and as a forger would.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData as _};
use serde_json::{Value, json};

/// A private key made for tests alone, and its public half.
const RSA_KEY: &str = include_str!("../../control-plane/testdata/service_account_key.pem");
const RSA_PUBLIC_KEY: &str = include_str!("../../control-plane/testdata/service_account_public_key.pem");

/// Signs tokens.
pub struct Signer {
    key: EncodingKey,
    header: Header,
    public_key: String,
    jwk: Value,
}

impl Signer {
    /// With a shared secret, by HS256.
    pub fn shared(secret: &str) -> Self {
        Self {
            key: EncodingKey::from_secret(secret.as_bytes()),
            header: Header::new(Algorithm::HS256),
            public_key: String::new(),
            jwk: Value::Null,
        }
    }

    /// With an RSA key, always the same one, by RS256.
    pub fn rsa() -> Self {
        Self {
            key: EncodingKey::from_rsa_pem(RSA_KEY.as_bytes()).expect("the key is one"),
            header: Header::new(Algorithm::RS256),
            public_key: RSA_PUBLIC_KEY.to_owned(),
            jwk: Value::Null,
        }
    }

    /// With a new EC key of this name, by ES256.
    pub fn elliptic(id: &str) -> Self {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key can be made");
        let (x, y) = pair.der_bytes()[1..].split_at(32);
        let [x, y] = [x, y].map(base64url);
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(id.to_owned());
        Self {
            key: EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).expect("the key is one"),
            header,
            public_key: pair.public_key_pem(),
            jwk: json!({"kty": "EC", "crv": "P-256", "kid": id, "use": "sig", "x": x, "y": y}),
        }
    }

    /// By another algorithm of the same kind.
    pub fn by(mut self, algorithm: Algorithm) -> Self {
        self.header.alg = algorithm;
        self
    }

    /// The public key in PEM; empty for a shared secret.
    pub fn public_key(&self) -> &str {
        &self.public_key
    }

    /// The public key as one of a set.
    pub fn jwk(&self) -> &Value {
        &self.jwk
    }

    /// A shared secret as it stands in a set of keys.
    pub fn encoded(secret: &str) -> String {
        base64url(secret)
    }

    /// A token that says `claims`.
    pub fn token(&self, claims: &Value) -> String {
        jsonwebtoken::encode(&self.header, claims, &self.key).expect("claims can be signed")
    }

    /// A token that is good for an hour.
    pub fn token_of(&self, subject: &str) -> String {
        self.token(&json!({"sub": subject, "exp": hour_from_now()}))
    }
}

/// A token without a signature, whose header says `alg`.
pub fn unsigned(alg: &str, claims: &Value) -> String {
    let [header, claims] = [json!({"alg": alg, "typ": "JWT"}), claims.clone()];
    let [header, claims] = [header, claims].map(|part| base64url(part.to_string()));
    format!("{header}.{claims}.")
}

/// Seconds since 1970.
pub fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970").as_secs()
}

/// The same, an hour later.
pub fn hour_from_now() -> u64 {
    seconds_now() + 3_600
}

fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
