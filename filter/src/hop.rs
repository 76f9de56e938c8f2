//! The hop that streams take, so that their end can be told.
//!
//! When a provider's connection breaks after the first content has left for the client, Envoy's router resets the
//! client's stream at once. No filter is asked, and the client could be told nothing. So a stream does not go from the
//! attempt to the provider directly: it takes one more hop inside Envoy, an internal listener with a connection manager
//! that forwards it. If that connection manager took the request as HTTP/1.0, it can end its answer in one way only, by
//! closing its connection, and it does so whether the provider's answer was complete, cut, or idle for too long. For the
//! attempt each of them is an ordinary end of the body, and an answer that has not said why it stopped is then known to
//! be cut: the client gets its `error` event.
//!
//! Envoy's own client speaks HTTP/1.1 alone. This network filter, in front of that connection manager, writes the older
//! version into the request line; it does nothing else.

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, StreamContext};
use proxy_wasm::types::{Action, BufferType};

/// Longest request line that is looked at; a provider's path is far shorter.
const MAX_REQUEST_LINE: usize = 8 << 10;

const SPOKEN: &[u8] = b" HTTP/1.1\r\n";
const WRITTEN: &[u8] = b" HTTP/1.0\r\n";

/// One connection, which carries one request.
#[derive(Default)]
pub(crate) struct HopContext {
    is_rewritten: bool,
}

impl Context for HopContext {}

impl StreamContext for HopContext {
    fn on_downstream_data(&mut self, size: usize, _end_of_stream: bool) -> Action {
        if self.is_rewritten {
            return Action::Continue;
        }
        let head = hostcalls::get_buffer(BufferType::DownstreamData, 0, size.min(MAX_REQUEST_LINE));
        let mut head = head.ok().flatten().unwrap_or_default();
        if let Some(at) = head.windows(SPOKEN.len()).position(|window| window == SPOKEN) {
            // Envoy replaces at the start of a buffer only, so what stands before the version is written again.
            let line = at + SPOKEN.len();
            head.truncate(at);
            head.extend_from_slice(WRITTEN);
            let _ = hostcalls::set_buffer(BufferType::DownstreamData, 0, line, &head);
            self.is_rewritten = true;
        } else if size < MAX_REQUEST_LINE {
            // The request line is not complete yet.
            return Action::Pause;
        }
        Action::Continue
    }
}
