//! Verifies AWS Signature Version 4, as Bedrock does with requests that carry no API key.
//!
//! The signature is computed again from the request as it arrived, with the one access key the simulator knows. The
//! clock is an argument, so tests can use fixed dates.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use sha2::{Digest, Sha256};

use crate::{AWS_ACCESS_KEY, AWS_SECRET_KEY};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "bedrock";
/// How far the clock of a signer may be off.
const SKEW_MAX: Duration = Duration::from_secs(5 * 60);

/// A request as far as it is signed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signed<'a> {
    pub(crate) method: &'a str,
    /// As on the wire, still percent-encoded.
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) headers: &'a HeaderMap,
    /// HTTP/2 requests name the host here and not in a header.
    pub(crate) authority: Option<&'a str>,
    pub(crate) body: &'a [u8],
}

/// Why a signature is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignatureError {
    /// A part of the header is missing or malformed.
    #[error("Authorization header requires {0}.")]
    Incomplete(&'static str),
    /// The access key id is not ours.
    #[error("The security token included in the request is invalid.")]
    UnknownKey,
    /// The scope names another service, or another day than the request.
    #[error("Credential should be scoped to {0}.")]
    Scope(String),
    /// A header that must be signed is not.
    #[error("'{0}' must be a 'SignedHeader' in the AWS Authorization.")]
    Unsigned(String),
    /// The date is too far from ours.
    #[error("Signature expired or not yet current: {0} is more than 5 minutes off.")]
    Skew(String),
    /// The signature is not the one of this request.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
         Access Key and signing method. Consult the service documentation for details. The Canonical String for \
         this request should have been '{0}'"
    )]
    Mismatch(String),
}

impl SignatureError {
    /// Status and exception type of the response.
    pub(crate) fn code(&self) -> (u16, &'static str) {
        match self {
            SignatureError::Incomplete(_) => (403, "IncompleteSignatureException"),
            SignatureError::UnknownKey => (403, "UnrecognizedClientException"),
            _ => (403, "InvalidSignatureException"),
        }
    }
}

/// The access key id an `Authorization` header names, if it is a signature at all.
pub(crate) fn access_key(authorization: &str) -> Option<&str> {
    let fields = authorization.strip_prefix(ALGORITHM)?;
    Some(field(fields, "Credential=").and_then(|scope| scope.split('/').next()).unwrap_or_default())
}

/// Whether the request was signed by [`AWS_ACCESS_KEY`], at about `now`.
pub(crate) fn verify(request: &Signed<'_>, now: SystemTime) -> Result<(), SignatureError> {
    let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
    let authorization = header("authorization").unwrap_or_default();
    let fields = authorization.strip_prefix(ALGORITHM).ok_or(SignatureError::Incomplete("the algorithm"))?;
    let credential =
        field(fields, "Credential=").ok_or(SignatureError::Incomplete("'Credential' parameter"))?;
    let names =
        field(fields, "SignedHeaders=").ok_or(SignatureError::Incomplete("'SignedHeaders' parameter"))?;
    let signature = field(fields, "Signature=").ok_or(SignatureError::Incomplete("'Signature' parameter"))?;
    let timestamp = header("x-amz-date").ok_or(SignatureError::Incomplete("existence of 'X-Amz-Date'"))?;
    let signed_at = seconds(timestamp).ok_or(SignatureError::Incomplete("a valid 'X-Amz-Date'"))?;

    let parts: Vec<&str> = credential.split('/').collect();
    let [access_key, date, region, service, terminator] = parts.as_slice() else {
        return Err(SignatureError::Incomplete("a credential of five parts"));
    };
    if *access_key != AWS_ACCESS_KEY {
        return Err(SignatureError::UnknownKey);
    }
    if *service != SERVICE || *terminator != "aws4_request" || region.is_empty() {
        return Err(SignatureError::Scope(format!("correct service: '{SERVICE}'")));
    }
    if timestamp.get(..8) != Some(*date) {
        return Err(SignatureError::Scope(format!("the date of the request: '{timestamp}'")));
    }
    check_signed_headers(request.headers, names)?;
    let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    if now.abs_diff(signed_at) > SKEW_MAX.as_secs() {
        return Err(SignatureError::Skew(timestamp.to_owned()));
    }

    let canonical = canonical_request(request, names)
        .ok_or(SignatureError::Incomplete("signed headers that the request has"))?;
    let scope = format!("{date}/{region}/{service}/{terminator}");
    let to_sign = format!("{ALGORITHM}\n{timestamp}\n{scope}\n{}", hex(&Sha256::digest(&canonical)));
    let mut key = format!("AWS4{AWS_SECRET_KEY}").into_bytes();
    for part in [*date, *region, *service, *terminator] {
        key = hmac(&key, part.as_bytes());
    }
    if hex(&hmac(&key, to_sign.as_bytes())) == signature {
        Ok(())
    } else {
        Err(SignatureError::Mismatch(canonical))
    }
}

/// Fields are separated by commas, with or without a space.
fn field<'a>(fields: &'a str, name: &str) -> Option<&'a str> {
    fields.split(',').find_map(|field| field.trim().strip_prefix(name))
}

/// `host` and every `x-amz-` header there is must be signed, in alphabetical order.
fn check_signed_headers(headers: &HeaderMap, names: &str) -> Result<(), SignatureError> {
    let signed: Vec<&str> = names.split(';').collect();
    if !signed.is_sorted() {
        return Err(SignatureError::Incomplete("sorted 'SignedHeaders'"));
    }
    let amz = headers.keys().map(http::HeaderName::as_str).filter(|name| name.starts_with("x-amz-"));
    match amz.chain(["host"]).find(|name| !signed.contains(name)) {
        Some(name) => Err(SignatureError::Unsigned(name.to_owned())),
        None => Ok(()),
    }
}

/// `None` when a signed header is missing.
fn canonical_request(request: &Signed<'_>, names: &str) -> Option<String> {
    let mut canonical = format!("{}\n{}\n{}\n", request.method, encoded_path(request.path), query(request));
    for name in names.split(';') {
        let values: Vec<String> =
            request.headers.get_all(name).iter().map(|value| trimmed(value.as_bytes())).collect();
        let value = match (values.is_empty(), name, request.authority) {
            (false, ..) => values.join(","),
            (true, "host", Some(authority)) => authority.to_owned(),
            _ => return None,
        };
        canonical.push_str(&format!("{name}:{value}\n"));
    }
    canonical.push_str(&format!("\n{names}\n{}", hex(&Sha256::digest(request.body))));
    Some(canonical)
}

/// The path with every segment encoded once more: `%3A` on the wire is `%253A` here.
fn encoded_path(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// The query in alphabetical order, each pair with its equals sign.
fn query(request: &Signed<'_>) -> String {
    let pairs = request.query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<String> =
        pairs.map(|pair| if pair.contains('=') { pair.to_owned() } else { format!("{pair}=") }).collect();
    pairs.sort();
    pairs.join("&")
}

/// A header value without outer spaces, and with single ones inside.
fn trimmed(value: &[u8]) -> String {
    String::from_utf8_lossy(value).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Seconds since 1970 of a date such as `20261123T081500Z`.
fn seconds(timestamp: &str) -> Option<u64> {
    let number = |from: usize, to: usize| {
        let digits = timestamp.get(from..to).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
        digits.parse::<u64>().ok()
    };
    if timestamp.len() != 16 || timestamp.get(8..9) != Some("T") || timestamp.get(15..) != Some("Z") {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years that start in March have their leap day at the end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days_of_years = year * 365 + year / 4 - year / 100 + year / 400;
    let days = (days_of_years + (153 * month + 2) / 5 + day - 1).checked_sub(719_468)?;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

fn hmac(key: &[u8], data: &[u8]) -> Vec<u8> {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_420_800;

    #[test]
    fn dates_are_read() {
        let table = [
            ("19700101T000000Z", Some(0)),
            ("20261123T080000Z", Some(NOW)),
            ("20240229T235959Z", Some(1_709_251_199)),
            ("20260101T000000Z", Some(1_767_225_600)),
            ("2026-11-23", None),
            ("20261323T080000Z", None),
            ("+0261123T080000Z", None),
        ];
        for (date, expected) in table {
            assert_eq!(seconds(date), expected, "{date}");
        }
    }

    /// A request with the signature of `GOLDEN`, and one thing changed.
    fn verified(
        change: impl FnOnce(&mut HeaderMap),
        path: &str,
        body: &str,
        now: u64,
    ) -> Option<SignatureError> {
        let mut headers = HeaderMap::new();
        headers.insert("host", "bedrock-runtime.us-east-1.amazonaws.com".parse().unwrap());
        headers.insert("content-type", "application/json".parse().unwrap());
        headers.insert("x-amz-date", "20261123T080000Z".parse().unwrap());
        headers.insert("authorization", GOLDEN.parse().unwrap());
        change(&mut headers);
        let request = Signed {
            method: "POST",
            path,
            query: None,
            headers: &headers,
            authority: Some("bedrock-runtime.us-east-1.amazonaws.com"),
            body: body.as_bytes(),
        };
        verify(&request, UNIX_EPOCH + Duration::from_secs(now)).err()
    }

    const PATH: &str = "/model/anthropic.claude%3A0/converse";
    const BODY: &str = "{\"messages\":[]}";
    /// Made by botocore 1.44 (`SigV4Auth`) for `PATH` and `BODY` with our access key.
    const GOLDEN: &str = "AWS4-HMAC-SHA256 Credential=AKIDSIMULATOR/20261123/us-east-1/bedrock/aws4_request, \
                          SignedHeaders=content-type;host;x-amz-date, \
                          Signature=6966dee178c822704d0be98733d0c2333f80bcdb06aacd37f8f09047e473fa87";

    #[test]
    fn a_signature_of_the_reference_signer_is_accepted() {
        assert_eq!(verified(|_| {}, PATH, BODY, NOW), None);
        assert_eq!(verified(|_| {}, PATH, BODY, NOW + 299), None);
        // HTTP/2 has no host header.
        assert_eq!(verified(|headers| drop(headers.remove("host")), PATH, BODY, NOW), None);
    }

    #[test]
    fn whatever_changes_after_signing_is_noticed() {
        let set = |name: &'static str, value: &str| {
            let value = value.to_owned();
            move |headers: &mut HeaderMap| {
                headers.insert(name, value.parse().unwrap());
            }
        };
        let code = |error: Option<SignatureError>| error.unwrap().code();
        let mismatch = (403, "InvalidSignatureException");
        assert_eq!(code(verified(|_| {}, PATH, "{}", NOW)), mismatch);
        assert_eq!(code(verified(|_| {}, "/model/anthropic.claude%3A1/converse", BODY, NOW)), mismatch);
        assert_eq!(code(verified(set("host", "other"), PATH, BODY, NOW)), mismatch);
        assert_eq!(code(verified(|_| {}, PATH, BODY, NOW + 301)), mismatch);
        assert_eq!(code(verified(|_| {}, PATH, BODY, NOW - 301)), mismatch);
        // A header of AWS that is not signed.
        assert_eq!(code(verified(set("x-amz-security-token", "t"), PATH, BODY, NOW)), mismatch);
        let scope = GOLDEN.replace("/bedrock/", "/s3/");
        assert_eq!(code(verified(set("authorization", &scope), PATH, BODY, NOW)), mismatch);
        let key = GOLDEN.replace("AKIDSIMULATOR", "AKIDOTHER");
        let unknown = (403, "UnrecognizedClientException");
        assert_eq!(code(verified(set("authorization", &key), PATH, BODY, NOW)), unknown);
        let short = GOLDEN.replace("Signature=", "Sig=");
        let incomplete = (403, "IncompleteSignatureException");
        assert_eq!(code(verified(set("authorization", &short), PATH, BODY, NOW)), incomplete);
        assert_eq!(access_key(&key), Some("AKIDOTHER"));
        assert_eq!(access_key("Bearer x"), None);
    }
}
