//! AWS Signature Version 4, computed from a request that arrived: what a signature should have been.
//!
//! By AWS's description alone, and knowing nothing of the signer
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>).

use sha2::{Digest, Sha256};

use crate::upstream::Seen;

/// Bytes of a block of SHA-256, as HMAC needs them.
const BLOCK: usize = 64;

/// The `authorization` header of a signed request, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Who signed.
    pub access_key_id: String,
    /// `DATE/REGION/SERVICE/aws4_request`.
    pub scope: String,
    /// Names of the signed headers, in order.
    pub headers: Vec<String>,
    /// The signature, in hexadecimal.
    pub signature: String,
}

impl Signature {
    /// The signature of a request, where it has one.
    pub fn of(seen: &Seen) -> Option<Self> {
        let fields = seen.header("authorization").strip_prefix("AWS4-HMAC-SHA256 ")?;
        let field = |name: &str| fields.split(", ").find_map(|field| field.strip_prefix(name));
        let (access_key_id, scope) = field("Credential=")?.split_once('/')?;
        Some(Self {
            access_key_id: access_key_id.to_owned(),
            scope: scope.to_owned(),
            headers: field("SignedHeaders=")?.split(';').map(str::to_owned).collect(),
            signature: field("Signature=")?.to_owned(),
        })
    }

    /// What it had to be for `seen` with this secret.
    pub fn expected(&self, seen: &Seen, secret: &str) -> String {
        let (path, query) = seen.path.split_once('?').unwrap_or((&seen.path, ""));
        assert_eq!(query, "", "no request has a query that would have to be put in order");
        let headers: String = self
            .headers
            .iter()
            .map(|name| {
                format!("{name}:{}\n", seen.header(name).split_whitespace().collect::<Vec<_>>().join(" "))
            })
            .collect();
        let canonical = [
            &seen.method,
            &encode_segments(path),
            query,
            &headers,
            &self.headers.join(";"),
            &hex(&Sha256::digest(&seen.body)),
        ]
        .join("\n");
        let date = seen.header("x-amz-date");
        let to_sign =
            format!("AWS4-HMAC-SHA256\n{date}\n{}\n{}", self.scope, hex(&Sha256::digest(canonical)));
        let key = self
            .scope
            .split('/')
            .fold(format!("AWS4{secret}").into_bytes(), |key, part| hmac(&key, part.as_bytes()));
        hex(&hmac(&key, to_sign.as_bytes()))
    }
}

/// Encodes each segment of a path that is encoded already, as every service but S3 has it.
fn encode_segments(path: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    path.bytes().map(encode).collect()
}

/// HMAC-SHA-256, RFC 2104.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0; BLOCK];
    let hashed = Sha256::digest(key);
    let key = if key.len() > BLOCK { hashed.as_slice() } else { key };
    block[..key.len()].copy_from_slice(key);
    let with = |pad: u8| block.map(|byte| byte ^ pad);
    let inner = Sha256::new().chain_update(with(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(with(0x5c)).chain_update(inner).finalize().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
