//! How much to think: no two providers know the same words for it.

use crate::chat::Effort;

/// The word among `known`, in rising order, for `effort`: the most that is no more than asked for, else the least.
pub(super) fn nearest(effort: Effort, known: &[Effort]) -> Effort {
    let no_more = known.iter().rev().find(|word| **word <= effort);
    no_more.or(known.first()).copied().unwrap_or(effort)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_not_known_becomes_the_one_below() {
        let known = [Effort::Low, Effort::Medium, Effort::High];
        for (asked, said) in [
            (Effort::None, Effort::Low),
            (Effort::Minimal, Effort::Low),
            (Effort::Medium, Effort::Medium),
            (Effort::Max, Effort::High),
        ] {
            assert_eq!(nearest(asked, &known), said);
        }
        assert_eq!(nearest(Effort::Max, &[]), Effort::Max);
    }
}
