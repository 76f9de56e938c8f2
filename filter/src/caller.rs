//! Who makes a request, as far as Envoy knows: what `ai_warp_core::auth` decides by, read from where Envoy keeps it.

use ai_warp_core::auth::{Evidence, Headers, WebhookAnswer};
use ai_warp_core::plugin::{CONSUMER_HEADER, WEBHOOK_FILTER};

use crate::host;

/// Where Envoy's filter for tokens says why there is no valid one, as the control plane configures it.
const TOKEN_REFUSAL: [&str; 5] =
    ["metadata", "filter_metadata", "envoy.filters.http.jwt_authn", "refused", "message"];

/// The status by which Envoy itself takes a request for accepted.
const OK: i64 = 200;

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

    fn webhook(&self) -> Option<WebhookAnswer> {
        let decision = format!("{WEBHOOK_FILTER}.shadow");
        let result = host::property(&["filter_state", &decision, "check_result"])?;
        let status = || {
            let bytes = host::property(&["filter_state", &decision, "status_code"])?;
            Some(i64::from_le_bytes(bytes.try_into().ok()?))
        };
        match result.as_slice() {
            b"OK" => Some(WebhookAnswer::Status(OK)),
            b"DENIED" => Some(status().map_or(WebhookAnswer::None, WebhookAnswer::Status)),
            _ => Some(WebhookAnswer::None),
        }
    }

    fn named_by_webhook(&self) -> Option<Vec<u8>> {
        host::property(&["metadata", "filter_metadata", "envoy.filters.http.ext_authz", CONSUMER_HEADER])
    }
}
