//! Who makes a request, as far as Envoy knows: what `ai_warp_core::auth` decides by, read from where Envoy keeps it.

use ai_warp_core::auth::{Evidence, Headers};
use ai_warp_core::plugin::WEBHOOK_FILTER;

use crate::host;

/// Where Envoy's filter for tokens says why there is no valid one, as the control plane configures it.
const TOKEN_REFUSAL: [&str; 5] =
    ["metadata", "filter_metadata", "envoy.filters.http.jwt_authn", "refused", "message"];

/// All request headers, in one call.
pub(crate) fn headers() -> Headers {
    Headers::new(host::request_headers())
}

/// What Envoy knows of the stream in effect.
pub(crate) struct Stream;

impl Evidence for Stream {
    fn unix_ms(&self) -> u64 {
        host::unix_ms()
    }

    fn token_refusal(&self) -> Option<String> {
        String::from_utf8(host::property(&TOKEN_REFUSAL)?).ok()
    }

    fn webhook_decision(&self) -> Option<Vec<u8>> {
        host::property(&["filter_state", &format!("{WEBHOOK_FILTER}.shadow")])
    }
}
