//! Server-sent events, on bytes.
//!
//! [`Decoder`] is sans-IO: it takes whatever pieces the network cut the stream into and hands on complete events.
//! It works on bytes because a piece may end inside a UTF-8 sequence or between CR and LF; nothing is decoded
//! before a whole event is there. The grammar is the WHATWG one
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>), with one leniency that providers need: a last
//! event without its blank line still counts when the stream ends cleanly.

use std::fmt;

/// One complete event. `retry` is of no use to anybody here and is dropped.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// The event's own `id` field; empty where it has none. Unlike a browser's `lastEventId` it is not that of an earlier
    /// event.
    pub id: &'a [u8],
    /// The `event` field; empty where there is none.
    pub name: &'a [u8],
    /// The `data` lines, joined by LF.
    pub data: &'a [u8],
}

/// An event is larger than the decoder's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge {
    /// The limit, in bytes.
    pub limit: usize,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an event of the stream is larger than {} bytes", self.limit)
    }
}

impl std::error::Error for TooLarge {}

/// Cuts a byte stream into events.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    /// The start of a line whose end has not come yet.
    line: Vec<u8>,
    id: Vec<u8>,
    name: Vec<u8>,
    data: Vec<u8>,
    /// Whether any `data` line was seen: an event with `data:` alone is an event, one without is not.
    has_data: bool,
    /// The last byte was a CR: an LF that follows belongs to it.
    after_cr: bool,
    /// Bytes of a byte order mark still possible at the very start.
    at_start: bool,
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl Decoder {
    /// A decoder that holds at most `limit` bytes of one event.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            id: Vec::new(),
            name: Vec::new(),
            data: Vec::new(),
            has_data: false,
            after_cr: false,
            at_start: true,
        }
    }

    /// Takes the next piece of the stream and calls `on_event` for every event it completes.
    ///
    /// # Errors
    /// What `on_event` returns, or its conversion of [`TooLarge`]. The decoder is of no use afterwards.
    pub fn push<E: From<TooLarge>>(
        &mut self,
        piece: &[u8],
        mut on_event: impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = piece;
        if self.after_cr && !rest.is_empty() {
            self.after_cr = false;
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(end) = rest.iter().position(|&b| b == b'\n' || b == b'\r') {
            let (head, tail) = rest.split_at(end);
            rest = if let Some(after) = tail.strip_prefix(b"\r\n") {
                after
            } else {
                self.after_cr = tail == b"\r";
                tail.get(1..).unwrap_or_default()
            };
            if self.line.is_empty() {
                self.take_line(head, &mut on_event)?;
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(head);
                self.take_line(&line, &mut on_event)?;
                line.clear();
                self.line = line;
            }
        }
        if self.line.len() + self.data.len() + rest.len() > self.limit {
            return Err(TooLarge { limit: self.limit }.into());
        }
        self.line.extend_from_slice(rest);
        Ok(())
    }

    /// Ends the stream: what is pending counts as a line, and as an event.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn finish<E: From<TooLarge>>(
        &mut self,
        mut on_event: impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if !self.line.is_empty() {
            let line = std::mem::take(&mut self.line);
            self.take_line(&line, &mut on_event)?;
        }
        self.take_line(b"", &mut on_event)
    }

    fn take_line<E: From<TooLarge>>(
        &mut self,
        line: &[u8],
        on_event: &mut impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let line = if std::mem::take(&mut self.at_start) {
            line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line)
        } else {
            line
        };
        if line.is_empty() {
            let result = if self.has_data {
                on_event(Event { id: &self.id, name: &self.name, data: &self.data })
            } else {
                Ok(())
            };
            self.id.clear();
            self.name.clear();
            self.data.clear();
            self.has_data = false;
            return result;
        }
        let (field, value) = match line.iter().position(|&b| b == b':') {
            Some(colon) => {
                let (field, value) = line.split_at(colon);
                let value = value.get(1..).unwrap_or_default();
                (field, value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, b"".as_slice()),
        };
        match field {
            b"data" => {
                if self.data.len() + value.len() >= self.limit {
                    return Err(TooLarge { limit: self.limit }.into());
                }
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(value);
                self.has_data = true;
            }
            b"event" => {
                self.name.clear();
                self.name.extend_from_slice(value);
            }
            // An id with a NUL is none, says the grammar.
            b"id" if !value.contains(&0) => {
                self.id.clear();
                self.id.extend_from_slice(value);
            }
            // Comments have an empty field name; `retry` and unknown fields carry nothing we use.
            _ => {}
        }
        Ok(())
    }
}

/// Appends an event of `data` alone, which may be of several lines.
pub fn write_data(out: &mut Vec<u8>, data: &[u8]) {
    for line in data.split(|&b| b == b'\n') {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.push(b'\n');
}

/// Appends an event with a name. `data` as for [`write_data`].
pub fn write_named(out: &mut Vec<u8>, name: &str, data: &[u8]) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.push(b'\n');
    write_data(out, data);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Seen = Result<Vec<(String, Vec<u8>)>, TooLarge>;

    fn decode(limit: usize, pieces: &[&[u8]]) -> Seen {
        let mut decoder = Decoder::new(limit);
        let mut seen = Vec::new();
        let mut note = |event: Event<'_>| {
            seen.push((String::from_utf8_lossy(event.name).into_owned(), event.data.to_vec()));
            Ok::<_, TooLarge>(())
        };
        for piece in pieces {
            decoder.push(piece, &mut note)?;
        }
        decoder.finish(&mut note)?;
        Ok(seen)
    }

    const CORPUS: &[(&str, &[u8])] = &[
        ("lf", b"data: {\"a\":1}\n\ndata: [DONE]\n\n"),
        ("crlf", b"event: x\r\ndata: one\r\ndata: two\r\n\r\ndata: three\r\n\r\n"),
        ("cr", b"data: one\r\rdata: two\r\r"),
        ("mixed ends", b"data: a\r\n\ndata: b\r\r\ndata: c\n\r\n"),
        ("comments", b": keep-alive\n\n: OPENROUTER PROCESSING\n\ndata: x\n: inside\n\n"),
        ("no space", b"data:{\"a\":\"b\"}\n\n"),
        ("empty data", b"data\n\ndata:\n\ndata: \n\n"),
        ("no data", b"event: ping\n\nid: 7\nretry: 3\n\ndata: x\n\n"),
        ("no blank line at the end", b"data: last"),
        ("byte order mark", b"\xef\xbb\xbfdata: x\n\n"),
        ("multibyte", "data: héllo 世界 🦀\n\ndata: ñ\n\n".as_bytes()),
        ("bare text", b"{\"error\":1}\n\nnonsense\n"),
    ];

    #[test]
    fn reads_the_grammar() {
        let text = |data: &str| (String::new(), data.as_bytes().to_vec());
        for (name, expected) in [
            ("lf", vec![text("{\"a\":1}"), text("[DONE]")]),
            ("crlf", vec![("x".into(), b"one\ntwo".to_vec()), text("three")]),
            ("cr", vec![text("one"), text("two")]),
            ("mixed ends", vec![text("a"), text("b"), text("c")]),
            ("comments", vec![text("x")]),
            ("no space", vec![text("{\"a\":\"b\"}")]),
            ("empty data", vec![text(""), text(""), text("")]),
            ("no data", vec![text("x")]),
            ("no blank line at the end", vec![text("last")]),
            ("byte order mark", vec![text("x")]),
            ("bare text", vec![]),
        ] {
            let (_, input) = CORPUS.iter().find(|(known, _)| *known == name).unwrap();
            assert_eq!(decode(1024, &[input]).unwrap(), expected, "{name}");
        }
    }

    #[test]
    fn every_cut_gives_the_same_events() {
        for (name, input) in CORPUS {
            let whole = decode(1024, &[input]);
            for cut in 0..=input.len() {
                assert_eq!(decode(1024, &[&input[..cut], &input[cut..]]), whole, "{name} cut at {cut}");
            }
            let bytes: Vec<&[u8]> = input.chunks(1).collect();
            assert_eq!(decode(1024, &bytes), whole, "{name} byte by byte");
        }
    }

    #[test]
    fn an_event_over_the_limit_is_an_error_wherever_it_grows() {
        for input in
            ["data: 0123456789abcdef\n\n", "data: 01234567\ndata: 01234567\n\n", "0123456789abcdefghijkl"]
        {
            assert_eq!(decode(15, &[input.as_bytes()]), Err(TooLarge { limit: 15 }), "{input}");
            let bytes: Vec<&[u8]> = input.as_bytes().chunks(1).collect();
            assert_eq!(decode(15, &bytes), Err(TooLarge { limit: 15 }), "{input} byte by byte");
        }
        assert!(decode(15, &[b"data: 01234567\n\ndata: 01234567\n\n"]).is_ok(), "the limit is for one event");
    }

    #[test]
    fn an_id_is_of_its_own_event_alone() {
        let input = b"id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\nid: 2\nid: 3\ndata: d\n\nid: 4\n\ndata: e\n\nid: 5\0\ndata: f\n\n";
        let mut ids = Vec::new();
        let pushed = Decoder::new(64).push(input, |event| {
            ids.push((String::from_utf8_lossy(event.id).into_owned(), event.data[0]));
            Ok::<_, TooLarge>(())
        });
        assert_eq!(pushed, Ok(()));
        let expected = [("1", b'a'), ("", b'b'), ("", b'c'), ("3", b'd'), ("", b'e'), ("", b'f')];
        assert_eq!(ids, expected.map(|(id, data)| (id.to_owned(), data)));
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut out = Vec::new();
        write_data(&mut out, b"one\ntwo");
        write_named(&mut out, "x", b"three");
        let expected = [(String::new(), b"one\ntwo".to_vec()), ("x".into(), b"three".to_vec())];
        assert_eq!(decode(1024, &[&out]).unwrap(), expected);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_in_arbitrary_pieces_never_differ(
            input in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b':'), Just(b'd'), any::<u8>()], 0..200),
            cuts in proptest::collection::vec(0usize..200, 0..8),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(input.len())).collect();
            cuts.sort_unstable();
            let mut pieces: Vec<&[u8]> = Vec::new();
            let mut start = 0;
            for cut in cuts {
                pieces.push(&input[start..cut]);
                start = cut;
            }
            pieces.push(&input[start..]);
            prop_assert_eq!(decode(4096, &pieces), decode(4096, &[&input]));
        }
    }
}
