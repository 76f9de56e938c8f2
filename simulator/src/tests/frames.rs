//! Reads AWS event-stream frames, written against the format and not against the encoder.

use serde_json::Value;

/// A frame as its headers and payload say.
#[derive(Debug, PartialEq)]
pub(super) struct Frame {
    /// `event` or `exception`.
    pub(super) kind: String,
    /// The type of the event or exception.
    pub(super) name: String,
    pub(super) payload: String,
    pub(super) headers: Vec<(String, String)>,
}

impl Frame {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.payload).unwrap_or_else(|error| panic!("{error}: {}", self.payload))
    }
}

/// All frames, and what is left after the last whole one; an error names the checksum that is wrong.
pub(super) fn decode(mut bytes: &[u8]) -> Result<(Vec<Frame>, &[u8]), &'static str> {
    let mut frames = Vec::new();
    while bytes.len() >= 16 {
        let total = number(&bytes[..4]);
        if number(&bytes[8..12]) as u32 != crc(&bytes[..8]) {
            return Err("prelude");
        }
        if bytes.len() < total {
            break;
        }
        let (frame, rest) = bytes.split_at(total);
        if number(&frame[total - 4..]) as u32 != crc(&frame[..total - 4]) {
            return Err("message");
        }
        let headers_end = 12 + number(&frame[4..8]);
        let headers = headers(&frame[12..headers_end]);
        let header = |name: &str| {
            headers
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.clone())
                .unwrap_or_default()
        };
        let kind = header(":message-type");
        let name = header(&format!(":{kind}-type"));
        let payload = String::from_utf8(frame[headers_end..total - 4].to_vec()).unwrap();
        frames.push(Frame { kind, name, payload, headers });
        bytes = rest;
    }
    Ok((frames, bytes))
}

fn headers(mut bytes: &[u8]) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    while let Some((length, rest)) = bytes.split_first() {
        let (name, rest) = rest.split_at(usize::from(*length));
        assert_eq!(rest[0], 7, "all headers are strings");
        let (value, rest) = rest[3..].split_at(number(&rest[1..3]));
        headers.push((text(name), text(value)));
        bytes = rest;
    }
    headers
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// CRC-32 of IEEE 802.3, bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}
