//! AWS event-stream frames, the binary framing of Bedrock's streams.
//!
//! A frame is `total length | length of headers | CRC of both | headers | payload | CRC of all before`, all numbers
//! big-endian. What a frame means is told by its headers; the payload is JSON.

use bytes::{BufMut, Bytes, BytesMut};

/// Both lengths and the checksum of them.
const PRELUDE_BYTES: usize = 12;
/// The checksum at the end.
const CHECKSUM_BYTES: usize = 4;
/// The type of a header whose value is a string.
const STRING_HEADER: u8 = 7;

/// What a frame is, by its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message<'a> {
    /// A part of the answer, such as `contentBlockDelta`.
    Event(&'a str),
    /// A modelled failure, such as `throttlingException`; the stream ends after it.
    Exception(&'a str),
}

/// One frame.
pub(crate) fn frame(message: Message<'_>, payload: &str) -> Bytes {
    let (kind, name_header, name) = match message {
        Message::Event(name) => ("event", ":event-type", name),
        Message::Exception(name) => ("exception", ":exception-type", name),
    };
    let mut headers = BytesMut::new();
    for (header, value) in
        [(name_header, name), (":content-type", "application/json"), (":message-type", kind)]
    {
        put_header(&mut headers, header, value);
    }
    let total = PRELUDE_BYTES + headers.len() + payload.len() + CHECKSUM_BYTES;
    let mut frame = BytesMut::with_capacity(total);
    frame.put_u32(length(total));
    frame.put_u32(length(headers.len()));
    frame.put_u32(crc32fast::hash(&frame));
    frame.extend_from_slice(&headers);
    frame.extend_from_slice(payload.as_bytes());
    frame.put_u32(crc32fast::hash(&frame));
    frame.freeze()
}

/// The frame with a checksum that does not match.
pub(crate) fn corrupted(frame: &Bytes) -> Bytes {
    let mut bytes = BytesMut::from(frame.as_ref());
    if let Some(last) = bytes.last_mut() {
        *last ^= 0xff;
    }
    bytes.freeze()
}

/// Names and values are our own, and short.
fn put_header(headers: &mut BytesMut, name: &str, value: &str) {
    headers.put_u8(u8::try_from(name.len()).unwrap_or(u8::MAX));
    headers.extend_from_slice(name.as_bytes());
    headers.put_u8(STRING_HEADER);
    headers.put_u16(u16::try_from(value.len()).unwrap_or(u16::MAX));
    headers.extend_from_slice(value.as_bytes());
}

/// Answers are bounded far below 4 GiB.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_the_bytes_other_encoders_make() {
        // Made with the reference encoder's rules by hand: two lengths, headers, payload and zlib's CRC-32.
        let bytes = frame(Message::Event("messageStop"), "{}");
        let headers = b"\x0b:event-type\x07\x00\x0bmessageStop\x0d:content-type\x07\x00\x10application/json\
                        \x0d:message-type\x07\x00\x05event";
        let mut expected = Vec::new();
        expected.extend_from_slice(&(16 + headers.len() as u32 + 2).to_be_bytes());
        expected.extend_from_slice(&(headers.len() as u32).to_be_bytes());
        let prelude = crc(&expected);
        expected.extend_from_slice(&prelude.to_be_bytes());
        expected.extend_from_slice(headers);
        expected.extend_from_slice(b"{}");
        let message = crc(&expected);
        expected.extend_from_slice(&message.to_be_bytes());
        assert_eq!(bytes.as_ref(), expected);
        assert_ne!(corrupted(&bytes), bytes);
        assert_eq!(corrupted(&bytes).len(), bytes.len());
    }

    #[test]
    fn an_exception_says_so() {
        let bytes = frame(Message::Exception("throttlingException"), "{\"message\":\"slow\"}");
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains(":exception-type") && text.contains("throttlingException"), "{text}");
        assert!(!text.contains(":event-type"), "{text}");
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

    #[test]
    fn the_checksum_of_the_tests_is_the_usual_one() {
        assert_eq!(crc(b"123456789"), 0xcbf4_3926);
    }
}
