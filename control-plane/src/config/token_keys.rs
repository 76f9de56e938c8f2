//! The keys that tokens are checked with, as a JSON Web Key Set (RFC 7517).
//!
//! Envoy takes keys in no other form. A set that it is told with its configuration would be seen in its dumps, so it fetches
//! this one from the control plane; the path holds a hash of the set, so that another key is another configuration. Each
//! key stands in the set once for every algorithm it is meant for, by name: no token can have it used for another.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use spki::der::asn1::ObjectIdentifier;
use spki::der::{Decode, Document};
use spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};

use super::SecretString;
use crate::filter_code::sha256_hex;

/// Shortest secret that RFC 7518, section 3.2, allows for HS256, in bytes.
const SHORTEST_SECRET: usize = 32;

/// Shortest RSA key that RFC 7518, section 3.3, allows, in bytes.
const SHORTEST_MODULUS: usize = 256;

/// Characters of the hash in the path.
const ID_DIGITS: usize = 16;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// The curves: object identifier, the names of curve and algorithm in RFC 7518, and bytes of a coordinate.
const CURVES: [(ObjectIdentifier, &str, &str, usize); 3] = [
    (ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7"), "P-256", "ES256", 32),
    (ObjectIdentifier::new_unwrap("1.3.132.0.34"), "P-384", "ES384", 48),
    (ObjectIdentifier::new_unwrap("1.3.132.0.35"), "P-521", "ES512", 66),
];

/// A set of keys. `Debug` hides it: a shared secret is part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenKeys {
    json: SecretString,
    is_weak: bool,
}

/// Why a public key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenKeysError {
    /// The text is something else.
    #[error("is no public key in PEM (\"-----BEGIN PUBLIC KEY-----\")")]
    NoPem,
    /// A key of another kind.
    #[error("is no RSA key, and no EC key on P-256, P-384 or P-521")]
    Algorithm,
    /// A short RSA key, which Envoy would refuse as well.
    #[error("is an RSA key of less than 2048 bits")]
    Short,
}

impl TokenKeys {
    /// The shared secret of HMAC.
    pub fn shared(secret: &SecretString) -> Self {
        let bytes = secret.expose().as_bytes();
        let key = URL_SAFE_NO_PAD.encode(bytes);
        let keys = ["HS256", "HS384", "HS512"].map(|alg| json!({"kty": "oct", "alg": alg, "k": key}));
        Self { is_weak: bytes.len() < SHORTEST_SECRET, ..Self::of(keys.into()) }
    }

    /// A public key in PEM, in which `\n` may stand for the end of a line.
    ///
    /// # Errors
    /// [`TokenKeysError`] where it is none that tokens are signed for.
    pub fn public(pem: &SecretString) -> Result<Self, TokenKeysError> {
        let text = pem.expose().replace("\\n", "\n");
        let (label, document) = Document::from_pem(&text).map_err(|_| TokenKeysError::NoPem)?;
        match label {
            "RSA PUBLIC KEY" => rsa(document.as_bytes()),
            "PUBLIC KEY" => {
                let key = SubjectPublicKeyInfoRef::from_der(document.as_bytes());
                let key = key.map_err(|_| TokenKeysError::NoPem)?;
                let bits = key.subject_public_key.as_bytes().ok_or(TokenKeysError::NoPem)?;
                if key.algorithm.oid == RSA { rsa(bits) } else { ec(&key.algorithm, bits) }
            }
            _ => Err(TokenKeysError::NoPem),
        }
    }

    fn of(keys: Vec<Value>) -> Self {
        Self { json: SecretString::new(json!({"keys": keys}).to_string()), is_weak: false }
    }

    /// The set, which is a secret.
    pub(crate) fn json(&self) -> &str {
        self.json.expose()
    }

    /// What is different for every other set. It is hashed twice, as the configuration's version is.
    pub(crate) fn id(&self) -> String {
        let mut id = sha256_hex(sha256_hex(self.json().as_bytes()).as_bytes());
        id.truncate(ID_DIGITS);
        id
    }

    /// What is wrong with it that is allowed.
    pub(super) fn weakness(&self) -> Option<String> {
        self.is_weak.then(|| {
            format!("is shorter than {SHORTEST_SECRET} bytes; whoever has a token can try to guess it")
        })
    }
}

fn rsa(der: &[u8]) -> Result<TokenKeys, TokenKeysError> {
    let key = pkcs1::RsaPublicKeyRef::from_der(der).map_err(|_| TokenKeysError::NoPem)?;
    let (modulus, exponent) = (key.modulus.as_bytes(), key.public_exponent.as_bytes());
    if modulus.len() < SHORTEST_MODULUS {
        return Err(TokenKeysError::Short);
    }
    let [n, e] = [modulus, exponent].map(|number| URL_SAFE_NO_PAD.encode(number));
    let algorithms = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
    Ok(TokenKeys::of(algorithms.map(|alg| json!({"kty": "RSA", "alg": alg, "n": n, "e": e})).into()))
}

/// A point that is written whole: a 4, then both coordinates (SEC 1, section 2.3.3).
fn ec(algorithm: &AlgorithmIdentifierRef<'_>, point: &[u8]) -> Result<TokenKeys, TokenKeysError> {
    let curve = algorithm.parameters_oid().ok().filter(|_| algorithm.oid == EC);
    let known = CURVES.into_iter().find(|(oid, ..)| Some(*oid) == curve);
    let (_, crv, alg, size) = known.ok_or(TokenKeysError::Algorithm)?;
    let coordinates = point.strip_prefix(&[4]).filter(|both| both.len() == 2 * size);
    let (x, y) = coordinates.ok_or(TokenKeysError::Algorithm)?.split_at(size);
    let [x, y] = [x, y].map(|number| URL_SAFE_NO_PAD.encode(number));
    Ok(TokenKeys::of(vec![json!({"kty": "EC", "crv": crv, "alg": alg, "x": x, "y": y})]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RSA_2048: &str = include_str!("../../testdata/service_account_public_key.pem");
    const RSA_1024: &str = include_str!("../../testdata/short_rsa_public_key.pem");
    const RSA_PKCS1: &str = include_str!("../../testdata/service_account_public_key_pkcs1.pem");
    const P256: &str = include_str!("../../testdata/p256_public_key.pem");
    const ED25519: &str = include_str!("../../testdata/ed25519_public_key.pem");

    fn keys(keys: &TokenKeys) -> Vec<Value> {
        serde_json::from_str::<Value>(keys.json()).unwrap()["keys"].as_array().unwrap().clone()
    }

    fn algorithms(set: &TokenKeys) -> Vec<String> {
        keys(set).iter().map(|key| format!("{}/{}", key["kty"], key["alg"]).replace('"', "")).collect()
    }

    #[test]
    fn every_key_is_bound_to_its_algorithms() {
        let shared = TokenKeys::shared(&SecretString::new("secret"));
        assert_eq!(algorithms(&shared), ["oct/HS256", "oct/HS384", "oct/HS512"]);
        assert_eq!(keys(&shared)[0]["k"], "c2VjcmV0");
        let public = |pem: &str| TokenKeys::public(&SecretString::new(pem));
        let rsa = public(RSA_2048).unwrap();
        assert_eq!(
            algorithms(&rsa),
            ["RSA/RS256", "RSA/RS384", "RSA/RS512", "RSA/PS256", "RSA/PS384", "RSA/PS512"]
        );
        assert_eq!((&keys(&rsa)[0]["e"], keys(&rsa)[0]["n"].as_str().unwrap().len()), (&json!("AQAB"), 342));
        assert_eq!(public(RSA_PKCS1).unwrap(), rsa, "the same key in its other form");
        assert_eq!(public(&RSA_2048.replace('\n', "\\n")).unwrap(), rsa);
        let ec = public(P256).unwrap();
        assert_eq!((algorithms(&ec), &keys(&ec)[0]["crv"]), (vec!["EC/ES256".to_owned()], &json!("P-256")));
        assert_eq!(keys(&ec)[0]["x"].as_str().unwrap().len(), 43);
    }

    #[test]
    fn what_is_no_such_key_is_refused() {
        for (pem, expected) in [
            ("secret", TokenKeysError::NoPem),
            ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", TokenKeysError::NoPem),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", TokenKeysError::NoPem),
            (RSA_1024, TokenKeysError::Short),
            (ED25519, TokenKeysError::Algorithm),
        ] {
            assert_eq!(TokenKeys::public(&SecretString::new(pem)), Err(expected), "{pem}");
        }
    }

    #[test]
    fn another_secret_has_another_id_and_a_short_one_a_warning() {
        let [short, long] = ["secret", "a secret of thirty-two characters"].map(SecretString::new);
        let [short, long] = [short, long].map(|secret| TokenKeys::shared(&secret));
        assert_ne!(short.id(), long.id());
        assert!(short.weakness().is_some() && long.weakness().is_none());
    }
}
