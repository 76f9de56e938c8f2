//! A stream that is to survive its client: it goes to who keeps such streams first, and to a model from here only where that
//! is not to be had.
//!
//! Nothing is admitted, counted or stored here for it: the exchange that asks the model is the one that whoever keeps the
//! stream begins.

use super::{Exchange, Phase, Sealed, Step};
use crate::error::{ErrorCode, GatewayError};
use crate::fleet::Fleet;

impl Exchange {
    /// Sends the exchange to who keeps streams, before anything was chosen.
    pub fn relay(&mut self, sealed: Sealed) {
        self.sealed = Some(sealed);
        self.phase = Phase::Relaying;
    }

    /// The cluster that leads to who keeps streams.
    pub(super) fn streams_cluster(&self) -> Option<&str> {
        self.gateway.streams.as_ref().map(|streams| streams.cluster.as_str())
    }

    /// What to take there; `None` where the exchange is not to be sent there.
    pub fn sealed(&self) -> Option<&Sealed> {
        self.sealed.as_ref().filter(|_| matches!(self.phase, Phase::Relaying))
    }

    /// The answer of who keeps the stream is the client's.
    pub fn note_relayed(&mut self) {
        self.phase = Phase::Relayed;
    }

    /// Whether the answer is somebody else's, who tells of it as well.
    pub fn is_relayed(&self) -> bool {
        matches!(self.phase, Phase::Relayed)
    }

    /// Nobody keeps the stream: it is asked for as any other, unless it is to go on with what only the store knows.
    pub fn go_alone(&mut self, fleet: &mut Fleet, now_ms: u64) -> Step {
        if self.continues {
            let message = "the session's history could not be read";
            return self.give_up(GatewayError::new(ErrorCode::HistoryGetError, message));
        }
        self.phase = Phase::Choosing;
        self.choose(fleet, now_ms)
    }
}
