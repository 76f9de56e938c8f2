//! Ids of streams and of their events.
//!
//! An event's id is a UUID that carries the stream, which is the turn where one is stored, and the event's position in it:
//! whoever comes back with the last id it has had says by that which stream it means and what it lacks, and nobody need
//! look anything up. The lowest 32 bits are the position, the others are random (version 8 of RFC 9562, section 5.8).

use std::fmt;

use uuid::{Builder, Uuid};

/// Bits of a UUID that are the position.
const POSITION: u128 = u32::MAX as u128;

/// Version of UUIDs whose bits are the maker's own to define.
const OWN_VERSION: usize = 8;

/// The place of an event in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventId(Uuid);

/// A new stream's id, at random.
pub fn new_stream() -> Uuid {
    let random = Uuid::new_v4().as_u128() & !POSITION;
    Builder::from_custom_bytes(random.to_be_bytes()).into_uuid()
}

impl EventId {
    /// The event at `position` of `stream`, counted from 1; 0 is the place before the first.
    pub const fn new(stream: Uuid, position: u32) -> Self {
        Self(Uuid::from_u128((stream.as_u128() & !POSITION) | position as u128))
    }

    /// Reads an id as a client sends it back; `None` where it is none of ours.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let id = Uuid::try_parse_ascii(text).ok()?;
        (id.get_version_num() == OWN_VERSION).then_some(Self(id))
    }

    /// Its stream.
    pub const fn stream(self) -> Uuid {
        Uuid::from_u128(self.0.as_u128() & !POSITION)
    }

    /// Its position, from 1; 0 for the place before the first event.
    pub const fn position(self) -> u32 {
        (self.0.as_u128() & POSITION) as u32
    }

    /// It, as the `id` of an event.
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_which_event_of_which_stream() {
        let stream = new_stream();
        assert_ne!(stream, new_stream());
        for position in [0, 1, 77, u32::MAX] {
            let id = EventId::new(stream, position);
            let read = EventId::parse(id.to_string().as_bytes()).unwrap();
            assert_eq!((read, read.stream(), read.position()), (id, stream, position));
            assert_eq!(id.uuid().get_variant(), uuid::Variant::RFC4122);
        }
        assert_eq!(EventId::new(stream, 0).uuid(), stream);
    }

    #[test]
    fn foreign_ids_are_none() {
        for text in ["", "17", "6e0a7d43-2e0c-4b3a-8d4b-6f0c0e9f0001", "event-1"] {
            assert_eq!(EventId::parse(text.as_bytes()), None, "{text}");
        }
    }
}
