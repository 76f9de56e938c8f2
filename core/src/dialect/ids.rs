//! Ids of tool calls, where a provider gives none or takes only its own kind.

use std::borrow::Cow;

use uuid::Uuid;

/// Length of the only ids that Mistral takes.
const SHORT: usize = 9;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Short ids are made below this one.
const NAMESPACE: Uuid = Uuid::from_u128(0x2f0a_91c4_7d1e_4b7a_8f53_d0a6_1b9e_c375);

/// An id for a call that came without one.
pub(super) fn new_call() -> String {
    format!("call_{}", Uuid::new_v4().simple())
}

/// The id as nine letters and digits; the same for the same id, so that calls and results still belong together.
pub(super) fn short(id: &str) -> Cow<'_, str> {
    if id.len() == SHORT && id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Cow::Borrowed(id);
    }
    let mut rest = Uuid::new_v5(&NAMESPACE, id.as_bytes()).as_u128();
    let letters = (0..SHORT).map(|_| {
        let digit = usize::try_from(rest % 62).unwrap_or_default();
        rest /= 62;
        ALPHABET.get(digit).copied().map_or('0', char::from)
    });
    Cow::Owned(letters.collect())
}

/// The id as letters, digits, `_` and `-`, at most `longest` of them: what Anthropic and Bedrock take.
pub(super) fn plain(id: &str, longest: usize) -> Cow<'_, str> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if !id.is_empty() && id.len() <= longest && id.bytes().all(is_plain) {
        return Cow::Borrowed(id);
    }
    Cow::Owned(format!("call_{}", Uuid::new_v5(&NAMESPACE, id.as_bytes()).simple()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stay_where_they_may_and_are_made_anew_alike() {
        assert_eq!(short("aB3dE6gH9"), "aB3dE6gH9");
        let made = short("call_0123456789");
        assert!(made.len() == 9 && made.bytes().all(|b| b.is_ascii_alphanumeric()), "{made}");
        assert_eq!(made, short("call_0123456789"));
        assert_ne!(made, short("call_0123456780"));
        assert_eq!(plain("toolu_01-x", 64), "toolu_01-x");
        assert!(plain("functions.get:0", 64).starts_with("call_"));
    }
}
