//! Ids of responses: `resp_`, the session, and the turn in it.

use uuid::Uuid;

use crate::api::About;

/// Hexadecimal digits of a UUID.
const DIGITS: usize = 32;

/// The id of the response to an exchange. One that nobody will remember has the exchange's own.
pub(super) fn of(about: &About<'_>) -> String {
    match about.ids {
        Some(ids) => format!("resp_{}{}", ids.session.simple(), ids.turn.simple()),
        None => format!("resp_{}", about.id.simple()),
    }
}

/// The session and turn of a response that may be remembered.
pub(super) fn parse(id: &str) -> Option<(Uuid, Uuid)> {
    let digits = id.strip_prefix("resp_").filter(|digits| digits.len() == 2 * DIGITS)?;
    let uuid = |digits: Option<&str>| Uuid::try_parse(digits?).ok();
    Some((uuid(digits.get(..DIGITS))?, uuid(digits.get(DIGITS..))?))
}
