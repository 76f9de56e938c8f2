//! What gateway and control plane say to each other of a stream that is to survive its client.
//!
//! The gateway does not ask the model itself: it hands the client's request to the control plane ([`STREAMS_PATH`]), which
//! opens it again at a listener of the same Envoy that is there for nothing else ([`STREAMS_PREFIX`]), keeps what comes, and
//! feeds whoever is attached. What the gateway found out about the client travels with the request as an [`Ask`], sealed by
//! the Envoy that made it: the same Envoy believes it when it comes back, and believes nobody without one.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use uuid::Uuid;

use crate::api::Format;
use crate::config::Gateway;
use crate::sync::SessionKey;

/// `POST` the client's body here, with [`ASK_HEADER`] and [`SEAL_HEADER`]; the answer is what the client gets.
pub const STREAMS_PATH: &str = "/sync/v1/streams";

/// What precedes the client's path where the control plane opens a stream.
pub const STREAMS_PREFIX: &str = "/ai-warp-streams";

/// Request header with the [`Ask`], as JSON.
pub const ASK_HEADER: &str = "x-ai-warp-ask";

/// Request header with the seal of the ask.
pub const SEAL_HEADER: &str = "x-ai-warp-seal";

/// Request header by which a client of a format that has no word for it asks for a stream that survives it.
pub const RESUME_HEADER: &str = "x-ai-warp-resume";

/// The same, as it reaches the filter: everything that begins as the gateway's own headers do is removed from what clients send.
pub const NOTED_RESUME_HEADER: &str = "ai-warp-resume";

/// Response header with the id before the first event: for clients that are cut off before they have had any.
pub const STREAM_HEADER: &str = "x-ai-warp-stream";

/// Response header by which the control plane says that it will not relay, and that the gateway is to ask the model itself. For
/// that the body is the [`History`](crate::sync::History) of the session, where the request goes on with one.
pub const DECLINED_HEADER: &str = "x-ai-warp-declined";

/// How the last piece of a relayed stream ends: a comment, to clients nothing. Without it, what relayed the stream is gone.
pub const END_MARK: &[u8] = b": end\n\n";

/// How long an ask may be on its way, in milliseconds.
pub const ASK_LIFE_MS: u64 = 60_000;

/// Length of the key that seals, in bytes.
pub const SEAL_KEY_BYTES: usize = 32;

/// How events end, as the control plane writes them.
const EVENT_END: &[u8] = b"\n\n";

/// A relayed stream on its way to its client, who gets whole events alone: the connection may be lost in the middle of one, and
/// what the client is told then must not look like its rest.
#[derive(Debug, Default)]
pub struct WholeEvents {
    /// The start of an event whose end has not come yet.
    held: Vec<u8>,
    is_complete: bool,
}

impl WholeEvents {
    /// Whether a piece that ends with `tail`, at least as long as [`END_MARK`] unless the piece is shorter, can pass as it is.
    pub fn passes(&self, tail: &[u8]) -> bool {
        self.held.is_empty() && tail.ends_with(EVENT_END) && !tail.ends_with(END_MARK)
    }

    /// Takes a piece that does not pass; what of it, and of what was held, the client gets.
    pub fn take(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut whole = std::mem::take(&mut self.held);
        whole.extend_from_slice(piece);
        let end = whole.windows(EVENT_END.len()).rposition(|window| window == EVENT_END);
        self.held = whole.split_off(end.map_or(0, |end| end + EVENT_END.len()));
        if let Some(before) = whole.len().checked_sub(END_MARK.len())
            && whole.ends_with(END_MARK)
        {
            self.is_complete = true;
            whole.truncate(before);
        }
        whole
    }

    /// Whether the stream is over, and all of it was there.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }
}

/// A stream that is to survive its client: what the gateway knows of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ask {
    /// The stream's id, which is the turn's where one is stored.
    pub stream: Uuid,
    /// The session that the turn is stored in, where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Uuid>,
    /// Whether the session goes on, so that a stream of it may be under way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub continues: bool,
    /// The turn that it goes on from, where that need not be the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Uuid>,
    /// The name of the consumer, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    /// Whose session and stream it is; see [`Caller::owner`](crate::auth::Caller::owner).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Uuid>,
    /// Whose limits hold, where consumers have limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payer: Option<Uuid>,
    /// The name of the route that the client's headers choose, where they do: not all of them go along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The client's path, without its query.
    pub path: String,
    /// The port of the Envoy where the control plane opens the stream.
    pub port: u16,
    /// When it is no longer believed, in milliseconds since 1970.
    pub until_ms: u64,
}

impl Ask {
    /// What its session is kept under, where there is one.
    pub fn session_key(&self) -> Option<SessionKey> {
        self.session.map(|id| SessionKey { owner: self.owner, id })
    }

    /// The client's format.
    pub fn format(&self, gateway: &Gateway) -> Format {
        let path = self.path.as_bytes();
        Format::of_path(path, gateway).unwrap_or_else(|| Format::of_errors_at(path))
    }

    /// It and its seal, each as a header's value.
    pub fn seal(&self, key: &[u8]) -> (String, String) {
        // Plain fields have no way to fail.
        let text = serde_json::to_string(self).unwrap_or_default();
        let seal = seal(key, text.as_bytes());
        (text, seal)
    }

    /// Reads a header's value; `None` where it is no ask.
    pub fn read(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }

    /// As [`read`](Self::read), and `None` as well where the seal is not by `key`, or too old at `unix_ms`.
    pub fn read_sealed(text: &[u8], seal: &[u8], key: &[u8], unix_ms: u64) -> Option<Self> {
        let mut mac = mac(key)?;
        mac.update(text);
        mac.verify_slice(&unhex(seal)?).ok()?;
        Self::read(text).filter(|ask| unix_ms <= ask.until_ms)
    }
}

fn mac(key: &[u8]) -> Option<Hmac<Sha256>> {
    // Any length would do; one that is no key of ours must not seal anything.
    (key.len() == SEAL_KEY_BYTES).then(|| Hmac::new_from_slice(key).ok()).flatten()
}

fn seal(key: &[u8], text: &[u8]) -> String {
    let Some(mut mac) = mac(key) else { return String::new() };
    mac.update(text);
    let bytes = mac.finalize().into_bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |b: &u8| char::from(*b).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    text.chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream_id;

    const KEY: [u8; SEAL_KEY_BYTES] = [7; SEAL_KEY_BYTES];

    fn ask() -> Ask {
        Ask {
            stream: stream_id::new_stream(),
            session: Some(Uuid::from_u128(1)),
            continues: true,
            after: None,
            consumer: Some("Zoë".to_owned()),
            owner: None,
            payer: None,
            route: Some("paid".to_owned()),
            path: "/api/v1/stream".to_owned(),
            port: 3_142,
            until_ms: 1_000,
        }
    }

    #[test]
    fn only_what_was_sealed_is_believed_and_only_for_a_while() {
        let (text, seal) = ask().seal(&KEY);
        let read = |text: &str, seal: &str, key: &[u8], at| {
            Ask::read_sealed(text.as_bytes(), seal.as_bytes(), key, at).is_some()
        };
        assert_eq!(
            Ask::read(text.as_bytes()),
            Some(ask()).map(|it| Ask { stream: Ask::read(text.as_bytes()).unwrap().stream, ..it })
        );
        assert!(read(&text, &seal, &KEY, 1_000));
        assert!(!read(&text, &seal, &KEY, 1_001), "too late");
        assert!(!read(&text, &seal, &[8; SEAL_KEY_BYTES], 0), "another Envoy's");
        assert!(!read(&text.replace("Zoë", "Zoe"), &seal, &KEY, 0), "another consumer");
        for wrong in ["", "00", "zz", &seal[1..], &seal[2..]] {
            assert!(!read(&text, wrong, &KEY, 0), "{wrong:?}");
        }
    }

    #[test]
    fn whole_events_pass_wherever_the_connection_is_cut() {
        let stream = b"id: 1\ndata: a\n\n:\n\nid: 2\ndata: b\n\n: end\n\n";
        let events: Vec<usize> = (0..stream.len()).filter(|at| stream[..*at].ends_with(EVENT_END)).collect();
        let content = stream.len() - END_MARK.len();
        for cut in 0..=stream.len() {
            for second in cut..=stream.len() {
                let mut relay = WholeEvents::default();
                let mut out = Vec::new();
                for piece in [&stream[..cut], &stream[cut..second]] {
                    let tail = &piece[piece.len().saturating_sub(END_MARK.len())..];
                    if relay.passes(tail) {
                        out.extend_from_slice(piece);
                    } else {
                        out.extend(relay.take(piece));
                    }
                }
                let expected = events.iter().copied().filter(|end| *end <= second).max().unwrap_or(0);
                assert_eq!(out, stream[..expected.min(content)], "cut at {cut} and {second}");
                assert_eq!(relay.is_complete(), second == stream.len(), "cut at {cut} and {second}");
            }
        }
    }

    #[test]
    fn without_a_key_nothing_is_sealed_or_believed() {
        let (text, seal) = ask().seal(b"");
        assert_eq!(seal, "");
        assert!(Ask::read_sealed(text.as_bytes(), seal.as_bytes(), b"", 0).is_none());
    }
}
