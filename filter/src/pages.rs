//! Memory that the workers of this Envoy have in common: Envoy's shared data, page by page.
//!
//! A page is replaced only by who has seen what it holds, so that no worker's count is lost. Nothing waits: of those who
//! write at the same time one comes through, and the others look again.

use ai_warp_core::fleet::Ledger;
use proxy_wasm::hostcalls;

use crate::host;

/// Most looks at a page. Each one that was in vain means that another worker came through.
const MAX_LOOKS: usize = 1_000;

/// What Envoy is told to find where there is no page yet: a number no page has, for 0 would mean "whatever is there".
pub(crate) const NO_PAGE: u32 = u32::MAX;

/// Envoy's shared data.
#[derive(Debug)]
pub(crate) struct Pages;

impl Ledger for Pages {
    fn unix_ms(&self) -> u64 {
        host::unix_ms()
    }

    fn update(&mut self, name: &str, change: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>) -> bool {
        for _ in 0..MAX_LOOKS {
            let (page, seen) = hostcalls::get_shared_data(name).unwrap_or_default();
            let Some(changed) = change(page.as_deref().unwrap_or_default()) else { return true };
            if hostcalls::set_shared_data(name, Some(&changed), Some(seen.unwrap_or(NO_PAGE))).is_ok() {
                return true;
            }
        }
        false
    }
}
