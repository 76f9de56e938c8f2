//! Signs requests as an AWS client does, written against the description of Signature Version 4.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// The headers of a request signed now, for the host `simulator` that the test client names.
pub(super) fn signed(method: &str, path: &str, body: &str, secret: &str) -> Vec<(&'static str, String)> {
    let timestamp = timestamp(SystemTime::now());
    let date = &timestamp[..8];
    let canonical = format!(
        "{method}\n{}\n\ncontent-type:application/json\nhost:simulator\nx-amz-date:{timestamp}\n\n{SIGNED}\n{}",
        path.replace('%', "%25"),
        hex(&Sha256::digest(body))
    );
    let scope = format!("{date}/us-east-1/bedrock/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{timestamp}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let key = scope.split('/').fold(format!("AWS4{secret}").into_bytes(), |key, part| hmac(&key, part));
    let signature = hex(&hmac(&key, &text));
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=AKIDSIMULATOR/{scope}, SignedHeaders={SIGNED}, Signature={signature}"
    );
    vec![
        ("content-type", "application/json".to_owned()),
        ("x-amz-date", timestamp),
        ("authorization", authorization),
    ]
}

const SIGNED: &str = "content-type;host;x-amz-date";

/// A time such as `20261123T081500Z`.
fn timestamp(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap().as_secs();
    let (mut days, second) = (seconds / 86_400, seconds % 86_400);
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{year}{month:02}{:02}T{hour:02}{minute:02}{:02}Z", days + 1, second % 60)
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
