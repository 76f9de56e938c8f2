//! The seal under which what is known of a client leaves this Envoy with its stream, and comes back.
//!
//! A stream that is to survive its client goes to the control plane, which opens it again at a listener of this Envoy. What
//! comes there with the seal is who the client was; whatever comes without is refused.

use std::cell::RefCell;

use ai_warp_core::error::{ErrorCode, GatewayError};
use ai_warp_core::exchange::Sealed;
use ai_warp_core::relay::{
    ASK_HEADER, Ask, NOTED_RESUME_HEADER, SEAL_HEADER, SEAL_KEY_BYTES, STREAMS_PREFIX,
};
use proxy_wasm::hostcalls;
use uuid::Uuid;

use crate::host;
use crate::pages::NO_PAGE;

/// Where the workers of this Envoy keep the key they seal with.
const KEY_PAGE: &str = "ai_warp.seal";

thread_local! {
    static KEY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The client's path, where this one is of a stream that the control plane opens.
pub(crate) fn client_path(path: &[u8]) -> Option<&[u8]> {
    path.strip_prefix(STREAMS_PREFIX.as_bytes())
}

/// What the request in effect was sealed with.
///
/// # Errors
/// `UNAUTHORIZED` where it was not, or not by this Envoy.
pub(crate) fn unseal() -> Result<Ask, GatewayError> {
    let header = |name| host::request_header(name).unwrap_or_default();
    let (text, seal) = (header(ASK_HEADER), header(SEAL_HEADER));
    with_key(|key| Ask::read_sealed(&text, &seal, key, host::unix_ms())).ok_or_else(|| {
        GatewayError::new(ErrorCode::Unauthorized, "only the control plane may open streams here")
    })
}

/// Seals `ask`.
pub(crate) fn seal(ask: &Ask) -> Sealed {
    let (ask, seal) = with_key(|key| ask.seal(key));
    Sealed { ask, seal }
}

/// Whether the header of the request in effect asks for a stream that survives its client.
pub(crate) fn is_asked_for() -> bool {
    host::request_header(NOTED_RESUME_HEADER).is_some_and(|value| value.eq_ignore_ascii_case(b"true"))
}

fn with_key<T>(then: impl FnOnce(&[u8]) -> T) -> T {
    KEY.with_borrow_mut(|key| {
        if key.is_empty() {
            *key = shared_key();
        }
        then(key)
    })
}

/// The key of this Envoy: made by the worker that needs it first. Empty, which seals nothing, where Envoy keeps none.
fn shared_key() -> Vec<u8> {
    let read = || hostcalls::get_shared_data(KEY_PAGE).ok().and_then(|(key, _)| key);
    if let Some(key) = read() {
        return key;
    }
    let random: [[u8; SEAL_KEY_BYTES / 2]; 2] = [Uuid::new_v4(), Uuid::new_v4()].map(Uuid::into_bytes);
    let random = random.concat();
    // Another worker may have been faster.
    let _ = hostcalls::set_shared_data(KEY_PAGE, Some(&random), Some(NO_PAGE));
    read().unwrap_or_default()
}
