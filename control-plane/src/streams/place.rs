//! Where a client goes on that comes back: after what it says it has had, or after what was written to whom it lost.

use super::log::{End, Log};
use super::shelf::State;

/// How far a stream is, and its clients.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// Position of its last event.
    last: u32,
    /// Position of the last event that was written to somebody.
    delivered: u32,
    /// How it is over, where it is.
    end: Option<End>,
}

impl From<&Log> for Place {
    fn from(log: &Log) -> Self {
        // The end first: what comes before it is there by then.
        let end = log.ending();
        Self { last: log.progress().last, delivered: log.delivered(), end }
    }
}

impl From<&State> for Place {
    fn from(state: &State) -> Self {
        Self { last: state.last, delivered: state.delivered, end: state.end.clone() }
    }
}

impl Place {
    /// Whether it is clear what somebody wants who does not say where it was: the rest of an answer, or a new one. A stream whose
    /// events were all delivered may be at its end, and one at its end may have been delivered, without that being known yet.
    pub(super) fn is_settled(&self) -> bool {
        let is_delivered = self.delivered >= self.last;
        match &self.end {
            None => !is_delivered,
            Some(End::Told) => is_delivered,
            Some(End::Interrupted(_)) => true,
        }
    }

    /// The position after which a client goes on that says it has had everything up to `said`, or says nothing; `None` where
    /// there is nothing to go on with.
    pub(super) fn go_on(&self, said: Option<u32>) -> Option<u32> {
        let had = said.unwrap_or(self.delivered);
        let is_nothing_left = match &self.end {
            None => false,
            Some(End::Told) => had >= self.last,
            // Who names an event is told; for others the next prompt is a new one.
            Some(End::Interrupted(_)) => said.is_none() && had >= self.last,
        };
        (!is_nothing_left).then_some(had)
    }
}

#[cfg(test)]
mod tests {
    use ai_warp_core::error::{ErrorCode, GatewayError};

    use super::*;

    #[test]
    fn what_is_wanted_is_clear_once_the_end_and_the_delivery_are_both_known() {
        let told = Some(End::Told);
        for (delivered, end, expected) in
            [(3, None, true), (9, None, false), (3, told.clone(), false), (9, told, true)]
        {
            let place = Place { last: 9, delivered, end };
            assert_eq!(place.is_settled(), expected, "{place:?}");
        }
    }

    #[test]
    fn a_prompt_is_a_new_one_where_nothing_is_left() {
        let interrupted = End::Interrupted(GatewayError::new(ErrorCode::StreamInterrupted, "left"));
        for (delivered, end, said, expected) in [
            // Under way: there is always something to wait for.
            (3, None, None, Some(3)),
            (3, None, Some(5), Some(5)),
            (9, None, Some(9), Some(9)),
            // Over: only what was not delivered, or is asked for by name.
            (9, Some(End::Told), None, None),
            (3, Some(End::Told), None, Some(3)),
            (9, Some(End::Told), Some(4), Some(4)),
            (3, Some(End::Told), Some(9), None),
            // Whoever names an event is told that there will be no more.
            (9, Some(interrupted.clone()), None, None),
            (3, Some(interrupted.clone()), None, Some(3)),
            (9, Some(interrupted), Some(9), Some(9)),
        ] {
            let place = Place { last: 9, delivered, end };
            assert_eq!(place.go_on(said), expected, "{place:?} {said:?}");
        }
    }
}
