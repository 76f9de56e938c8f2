//! A stream that is to survive its client: it goes to who keeps such streams first, and to a model from here only where that
//! is not to be had.
//!
//! Nothing is admitted, counted or stored here for it: the exchange that asks the model is the one that whoever keeps the
//! stream begins.

use super::{Exchange, Phase, Sealed, Step};
use crate::error::{ErrorCode, GatewayError};
use crate::fleet::Fleet;
use crate::sync::HistoryTurn;
use crate::task::Conversation;

impl Exchange {
    /// Sends the exchange to who keeps streams, before anything was chosen. `returns`: it comes back for a stream, and wants no
    /// other. `lacks_history`: it goes on with a session, whose turns nobody has asked for here.
    pub fn relay(&mut self, sealed: Sealed, returns: bool, lacks_history: bool) {
        self.sealed = Some(sealed);
        self.returns = returns;
        self.lacks_history = lacks_history;
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

    /// Whether it can only go on with what the store remembers.
    pub fn lacks_history(&self) -> bool {
        self.lacks_history
    }

    /// The turns of its session, from who has them.
    pub fn remember(&mut self, turns: Vec<HistoryTurn>) {
        if let Some(Conversation { chat, .. }) = self.task.conversation_mut() {
            chat.remember(turns.into_iter().flat_map(HistoryTurn::into_messages).collect());
        }
        self.lacks_history = false;
    }

    /// Nobody keeps the stream: it is asked for as any other, unless it is one to come back to, or is to go on with what only the
    /// store knows.
    pub fn go_alone(&mut self, fleet: &mut Fleet, now_ms: u64) -> Step {
        let message = match (self.returns, self.lacks_history) {
            (true, _) => "the stream could not be reached; it may still be there",
            (false, true) => "the session's history could not be read",
            (false, false) => {
                self.phase = Phase::Choosing;
                return self.choose(fleet, now_ms);
            }
        };
        self.give_up(GatewayError::new(ErrorCode::HistoryGetError, message))
    }
}
