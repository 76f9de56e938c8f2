//! `application/vnd.amazon.eventstream`, the binary framing of AWS streams.
//!
//! [`Decoder`] is sans-IO, as that of [server-sent events](crate::sse) is: it takes whatever pieces the network cut the
//! stream into and hands on complete messages. A message is a prelude (total length, length of the headers, CRC of the
//! two), headers, a payload and a CRC of all before it, numbers in network byte order
//! (<https://smithy.io/2.0/aws/amazon-eventstream.html>). A wrong CRC is an error of the stream, never data.

use std::borrow::Cow;

use crate::json;
use crate::sse::{Event, TooLarge};

/// Two lengths and their CRC.
const PRELUDE: usize = 12;

/// The CRC of the message.
const TRAILER: usize = 4;

/// What the name of an event begins with that is an exception; its type follows.
pub const EXCEPTION: &[u8] = b"exception:";

/// A stream that cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A message is larger than the decoder's limit.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// The bytes are no messages.
    #[error("a message of the stream is damaged")]
    Damaged,
    /// The stream ended within a message.
    #[error("the stream ended within a message")]
    Incomplete,
}

/// Cuts a byte stream into events: the name is the message's `:event-type`, or [`EXCEPTION`] and its type.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    /// The message under way.
    message: Vec<u8>,
    /// Its length, once the prelude is there.
    total: Option<usize>,
}

impl Decoder {
    /// A decoder that holds at most `limit` bytes of one message.
    pub fn new(limit: usize) -> Self {
        Self { limit, message: Vec::new(), total: None }
    }

    /// Takes the next piece of the stream and calls `on_event` for every message it completes.
    ///
    /// # Errors
    /// What `on_event` returns, or its conversion of [`Error`]. The decoder is of no use afterwards.
    pub fn push<E: From<Error>>(
        &mut self,
        piece: &[u8],
        mut on_event: impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = piece;
        loop {
            let wanted = self.total.unwrap_or(PRELUDE).saturating_sub(self.message.len());
            let Some((head, tail)) = rest.split_at_checked(wanted) else {
                self.message.extend_from_slice(rest);
                return Ok(());
            };
            self.message.extend_from_slice(head);
            rest = tail;
            match self.total {
                None => self.total = Some(total_length(&self.message, self.limit)?),
                Some(_) => {
                    let (name, payload) = read(&self.message).ok_or(Error::Damaged)?;
                    on_event(Event { name: &name, data: &payload, ..Event::default() })?;
                    self.message.clear();
                    self.total = None;
                }
            }
        }
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// [`Error::Incomplete`] where the rest of a message is missing.
    pub fn finish(&self) -> Result<(), Error> {
        if self.message.is_empty() { Ok(()) } else { Err(Error::Incomplete) }
    }
}

/// The length that a prelude states.
fn total_length(prelude: &[u8], limit: usize) -> Result<usize, Error> {
    let (lengths, crc) = prelude.split_last_chunk::<4>().ok_or(Error::Damaged)?;
    let total = lengths.first_chunk().copied().map(u32::from_be_bytes).ok_or(Error::Damaged)?;
    let headers = lengths.last_chunk().copied().map(u32::from_be_bytes).ok_or(Error::Damaged)?;
    let total = usize::try_from(total).map_err(|_| Error::Damaged)?;
    let headers = usize::try_from(headers).map_err(|_| Error::Damaged)?;
    if crc32fast::hash(lengths) != u32::from_be_bytes(*crc)
        || total < headers.saturating_add(PRELUDE + TRAILER)
    {
        return Err(Error::Damaged);
    }
    if total > limit {
        return Err(TooLarge { limit }.into());
    }
    Ok(total)
}

type Bytes<'a> = Cow<'a, [u8]>;

/// The name and the payload of a complete message; `None` where it is damaged.
fn read(message: &[u8]) -> Option<(Bytes<'_>, Bytes<'_>)> {
    let (checked, crc) = message.split_last_chunk::<4>()?;
    if crc32fast::hash(checked) != u32::from_be_bytes(*crc) {
        return None;
    }
    let headers_len = u32::from_be_bytes(*checked.get(4..)?.first_chunk()?);
    let (headers, payload) = checked.get(PRELUDE..)?.split_at_checked(usize::try_from(headers_len).ok()?)?;
    let headers = Headers::read(headers)?;
    let exception = |kind: &[u8]| Cow::Owned([EXCEPTION, kind].concat());
    Some(match headers.message_type {
        b"exception" => (exception(headers.exception_type), Cow::Borrowed(payload)),
        b"error" => {
            // Its text is in a header, and stands here as an exception would have it.
            let mut data = Vec::new();
            let mut body = json::ObjectWriter::new(&mut data);
            body.field("message", &String::from_utf8_lossy(headers.error_message));
            body.end();
            (exception(headers.error_code), Cow::Owned(data))
        }
        _ => (Cow::Borrowed(headers.event_type), Cow::Borrowed(payload)),
    })
}

/// The headers that say what a message is.
#[derive(Default)]
struct Headers<'a> {
    message_type: &'a [u8],
    event_type: &'a [u8],
    exception_type: &'a [u8],
    error_code: &'a [u8],
    error_message: &'a [u8],
}

impl<'a> Headers<'a> {
    fn read(mut rest: &'a [u8]) -> Option<Self> {
        let mut headers = Self::default();
        while !rest.is_empty() {
            let name_len = usize::from(*take(&mut rest, 1)?.first()?);
            let name = take(&mut rest, name_len)?;
            let value = match take(&mut rest, 1)?.first()? {
                // True and false.
                0 | 1 => 0,
                2 => 1,
                3 => 2,
                4 => 4,
                // Long integers and timestamps.
                5 | 8 => 8,
                // Bytes and strings.
                6 | 7 => usize::from(u16::from_be_bytes(*take(&mut rest, 2)?.first_chunk()?)),
                // UUIDs.
                9 => 16,
                _ => return None,
            };
            let value = take(&mut rest, value)?;
            let known = match name {
                b":message-type" => &mut headers.message_type,
                b":event-type" => &mut headers.event_type,
                b":exception-type" => &mut headers.exception_type,
                b":error-code" => &mut headers.error_code,
                b":error-message" => &mut headers.error_message,
                _ => continue,
            };
            *known = value;
        }
        Some(headers)
    }
}

/// Takes `len` bytes off the front of `rest`.
fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    Some(head)
}

#[cfg(test)]
pub(crate) mod tests;
