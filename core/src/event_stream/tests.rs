//! Messages of an encoder of its own, cut at every byte, damaged and endless.

use proptest::prelude::*;

use super::*;

/// CRC-32 of IEEE 802.3, bit by bit: another way than the decoder's.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| {
                if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 }
            },
        )
    })
}

/// A message of these headers, each with its type and the bytes of its value.
fn frame(headers: &[(&str, u8, &[u8])], payload: &[u8]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, kind, value) in headers {
        block.push(u8::try_from(name.len()).unwrap());
        block.extend_from_slice(name.as_bytes());
        block.push(*kind);
        if matches!(kind, 6 | 7) {
            block.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
        }
        block.extend_from_slice(value);
    }
    let mut out = Vec::new();
    out.extend_from_slice(&u32::try_from(block.len() + payload.len() + 16).unwrap().to_be_bytes());
    out.extend_from_slice(&u32::try_from(block.len()).unwrap().to_be_bytes());
    out.extend_from_slice(&crc(&out).to_be_bytes());
    out.extend_from_slice(&block);
    out.extend_from_slice(payload);
    out.extend_from_slice(&crc(&out).to_be_bytes());
    out
}

/// An event as Bedrock sends it.
pub(crate) fn event(name: &str, payload: &str) -> Vec<u8> {
    let headers: [(&str, u8, &[u8]); 3] = [
        (":event-type", 7, name.as_bytes()),
        (":content-type", 7, b"application/json"),
        (":message-type", 7, b"event"),
    ];
    frame(&headers, payload.as_bytes())
}

/// An exception as Bedrock sends it.
pub(crate) fn exception(kind: &str, payload: &str) -> Vec<u8> {
    let headers: [(&str, u8, &[u8]); 2] =
        [(":exception-type", 7, kind.as_bytes()), (":message-type", 7, b"exception")];
    frame(&headers, payload.as_bytes())
}

type Seen = (Vec<(String, String)>, Result<(), Error>);

fn decode(limit: usize, pieces: &[&[u8]]) -> Seen {
    let mut decoder = Decoder::new(limit);
    let mut seen = Vec::new();
    let mut note = |event: Event<'_>| {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        seen.push((text(event.name), text(event.data)));
        Ok::<_, Error>(())
    };
    let read = pieces.iter().try_for_each(|piece| decoder.push(piece, &mut note));
    let end = read.and_then(|()| decoder.finish());
    (seen, end)
}

fn corpus() -> Vec<u8> {
    let every_type: [(&str, u8, &[u8]); 11] = [
        ("t", 0, b""),
        ("f", 1, b""),
        ("b", 2, b"\x01"),
        ("s", 3, b"\x01\x02"),
        ("i", 4, b"\x01\x02\x03\x04"),
        ("l", 5, b"\x01\x02\x03\x04\x05\x06\x07\x08"),
        ("bytes", 6, b"\x00\xff"),
        ("at", 8, b"\x01\x02\x03\x04\x05\x06\x07\x08"),
        ("id", 9, b"0123456789abcdef"),
        (":event-type", 7, b"all"),
        (":message-type", 7, b"event"),
    ];
    let error: [(&str, u8, &[u8]); 3] = [
        (":message-type", 7, b"error"),
        (":error-code", 7, b"Overloaded"),
        (":error-message", 7, "not \"now\"".as_bytes()),
    ];
    [
        event("messageStart", "{\"role\":\"assistant\"}"),
        event("contentBlockDelta", "{\"delta\":{\"text\":\"世\"}}"),
        frame(&every_type, b""),
        frame(&[], b"no headers"),
        exception("throttlingException", "{\"message\":\"slow\"}"),
        frame(&error, b""),
    ]
    .concat()
}

#[test]
fn messages_are_read() {
    let seen = |name: &str, data: &str| (name.to_owned(), data.to_owned());
    let expected = vec![
        seen("messageStart", "{\"role\":\"assistant\"}"),
        seen("contentBlockDelta", "{\"delta\":{\"text\":\"世\"}}"),
        seen("all", ""),
        seen("", "no headers"),
        seen("exception:throttlingException", "{\"message\":\"slow\"}"),
        seen("exception:Overloaded", "{\"message\":\"not \\\"now\\\"\"}"),
    ];
    assert_eq!(decode(1024, &[&corpus()]), (expected, Ok(())));
}

#[test]
fn every_cut_gives_the_same_events() {
    let input = corpus();
    let whole = decode(1024, &[&input]);
    for cut in 0..=input.len() {
        assert_eq!(decode(1024, &[&input[..cut], &input[cut..]]), whole, "cut at {cut}");
    }
    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(decode(1024, &bytes), whole, "byte by byte");
}

#[test]
fn a_message_of_which_any_bit_is_wrong_is_never_data() {
    let input = event("messageStop", "{}");
    for at in 0..input.len() {
        for bit in 0..8 {
            let mut damaged = input.clone();
            damaged[at] ^= 1 << bit;
            assert_eq!(decode(1024, &[&damaged]), (vec![], Err(Error::Damaged)), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn a_stream_that_ends_within_a_message_is_incomplete() {
    let input = event("messageStop", "{}");
    for end in 1..input.len() {
        assert_eq!(decode(1024, &[&input[..end]]), (vec![], Err(Error::Incomplete)), "ended at {end}");
    }
}

#[test]
fn a_message_over_the_limit_is_refused_by_its_prelude() {
    let input = event("x", &"y".repeat(100));
    let too_large = Error::TooLarge(TooLarge { limit: input.len() - 1 });
    assert_eq!(decode(input.len() - 1, &[&input[..PRELUDE]]), (vec![], Err(too_large)));
    assert_eq!(decode(input.len(), &[&input]).1, Ok(()));
}

#[test]
fn lengths_that_contradict_each_other_are_damage() {
    for (total, headers) in [(0, 0), (15, 0), (20, 5), (u32::MAX, u32::MAX)] {
        let mut prelude = [total.to_be_bytes(), headers.to_be_bytes()].concat();
        prelude.extend_from_slice(&crc(&prelude).to_be_bytes());
        assert_eq!(decode(1024, &[&prelude]).1, Err(Error::Damaged), "{total} {headers}");
    }
    for headers in [[("x", 10, b"".as_slice())], [("x", 5, b"short")]] {
        assert_eq!(decode(1024, &[&frame(&headers, b"")]).1, Err(Error::Damaged));
    }
}

proptest! {
    #[test]
    fn arbitrary_headers_and_payloads_never_panic(
        block in proptest::collection::vec(any::<u8>(), 0..60),
        payload in proptest::collection::vec(any::<u8>(), 0..60),
        cut in 0usize..140,
    ) {
        let mut input = Vec::new();
        input.extend_from_slice(&u32::try_from(block.len() + payload.len() + 16).unwrap().to_be_bytes());
        input.extend_from_slice(&u32::try_from(block.len()).unwrap().to_be_bytes());
        input.extend_from_slice(&crc(&input).to_be_bytes());
        input.extend_from_slice(&block);
        input.extend_from_slice(&payload);
        input.extend_from_slice(&crc(&input).to_be_bytes());
        let cut = cut.min(input.len());
        prop_assert_eq!(decode(1024, &[&input[..cut], &input[cut..]]), decode(1024, &[&input]));
    }
}
