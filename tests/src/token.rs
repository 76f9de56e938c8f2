//! Tokens as an issuer would sign them, and as a forger would.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData as _};
use ring::hmac::{self, HMAC_SHA256, HMAC_SHA512};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};

/// A private key made for tests alone, and its public half.
const RSA_KEY: &str = include_str!("../../control-plane/testdata/service_account_key.pem");
const RSA_PUBLIC_KEY: &str = include_str!("../../control-plane/testdata/service_account_public_key.pem");

/// Signs tokens.
pub struct Signer {
    key: Key,
    header: Value,
    public_key: String,
    jwk: Value,
}

enum Key {
    Shared(hmac::Key),
    Rsa(Box<RsaKeyPair>),
    Elliptic(EcdsaKeyPair),
}

impl Signer {
    /// With a shared secret, by HS256.
    pub fn shared(secret: &str) -> Self {
        Self::of(Key::Shared(hmac::Key::new(HMAC_SHA256, secret.as_bytes())), "HS256")
    }

    /// With a shared secret, by HS512.
    pub fn shared_by_hs512(secret: &str) -> Self {
        Self::of(Key::Shared(hmac::Key::new(HMAC_SHA512, secret.as_bytes())), "HS512")
    }

    /// With an RSA key, always the same one, by RS256.
    pub fn rsa() -> Self {
        let pair = KeyPair::from_pem(RSA_KEY).expect("the key is one");
        let key = RsaKeyPair::from_pkcs8(&pair.serialize_der()).expect("the key is one");
        Self { public_key: RSA_PUBLIC_KEY.to_owned(), ..Self::of(Key::Rsa(Box::new(key)), "RS256") }
    }

    /// With a new EC key of this name, by ES256.
    pub fn elliptic(id: &str) -> Self {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key can be made");
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let key =
            EcdsaKeyPair::from_pkcs8(algorithm, &pair.serialize_der(), &random).expect("the key is one");
        let (x, y) = pair.der_bytes()[1..].split_at(32);
        let [x, y] = [x, y].map(base64url);
        Self {
            header: json!({"alg": "ES256", "typ": "JWT", "kid": id}),
            public_key: pair.public_key_pem(),
            jwk: json!({"kty": "EC", "crv": "P-256", "kid": id, "use": "sig", "x": x, "y": y}),
            ..Self::of(Key::Elliptic(key), "ES256")
        }
    }

    fn of(key: Key, algorithm: &str) -> Self {
        let header = json!({"alg": algorithm, "typ": "JWT"});
        Self { key, header, public_key: String::new(), jwk: Value::Null }
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
        let message = message(&self.header, claims);
        let (bytes, random) = (message.as_bytes(), SystemRandom::new());
        let signature = match &self.key {
            Key::Shared(key) => hmac::sign(key, bytes).as_ref().to_vec(),
            Key::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, bytes, &mut signature).expect("the key signs");
                signature
            }
            Key::Elliptic(key) => key.sign(&random, bytes).expect("the key signs").as_ref().to_vec(),
        };
        format!("{message}.{}", base64url(signature))
    }

    /// A token that is good for an hour.
    pub fn token_of(&self, subject: &str) -> String {
        self.token(&json!({"sub": subject, "exp": hour_from_now()}))
    }
}

/// A token without a signature, whose header says `algorithm`.
pub fn unsigned(algorithm: &str, claims: &Value) -> String {
    format!("{}.", message(&json!({"alg": algorithm, "typ": "JWT"}), claims))
}

/// Seconds since 1970.
pub fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970").as_secs()
}

/// The same, an hour later.
pub fn hour_from_now() -> u64 {
    seconds_now() + 3_600
}

/// What is signed.
fn message(header: &Value, claims: &Value) -> String {
    let [header, claims] = [header, claims].map(|part| base64url(part.to_string()));
    format!("{header}.{claims}")
}

fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
