//! Server-sent events, on bytes: the crate `ai_warp_sse`, and the events of the unified API, which have ids.

use std::io::Write as _;

use uuid::Uuid;

pub use ai_warp_sse::{Decoder, Event, TooLarge, write_data, write_named};

/// Appends one event to `out`. `data` must be free of line ends, as JSON text without pretty-printing is.
pub fn write_event(out: &mut Vec<u8>, id: Uuid, name: &str, data: impl FnOnce(&mut Vec<u8>)) {
    // Writing into a vector does not fail.
    let _ = write!(out, "id: {id}\nevent: {name}\ndata: ");
    data(out);
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let mut out = Vec::new();
        let id = Uuid::from_u128(7);
        write_event(&mut out, id, "content", |out| out.extend_from_slice(b"{\"response\":\"x\"}"));
        let mut seen = Vec::new();
        let pushed = Decoder::new(1024).push(&out, |Event { id, name, data }| {
            seen.push([id, name, data].map(|part| String::from_utf8_lossy(part).into_owned()));
            Ok::<_, TooLarge>(())
        });
        assert_eq!(pushed, Ok(()));
        assert_eq!(seen, [[id.to_string(), "content".to_owned(), "{\"response\":\"x\"}".to_owned()]]);
    }
}
