//! What becomes of a request when a provider fails, as one table.
//!
//! The end-to-end test of the same name tries every cell of it with a real Envoy: every way to fail, with every
//! dialect, whole and streamed, alone and followed by a model that answers. `docs/failures.md` shows it; a test here
//! compares the two, and with `UPDATE_DOCS=1` writes it there.

mod markdown;
mod table;

use ai_warp_simulator::Provider;

pub use markdown::render;
pub use table::TABLE;

/// How an answer is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// In one piece.
    Whole,
    /// As a stream.
    Stream,
}

/// What a client is told where no other model is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// An error response: nothing has reached the client yet.
    Error(u16, &'static str),
    /// An `error` event: the first content has left, the stream is committed.
    Event(&'static str),
}

/// What is tried after the failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The same model, as often as `limits.retry.max` says, and then the next one.
    SameModel,
    /// The next model.
    NextModel,
    /// Nothing.
    Nothing,
}

/// How the model is afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// As before.
    Ready,
    /// It rests, for this reason.
    Rests(&'static str),
}

/// A provider of its own that fails before it hears of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Nobody listens.
    Refused,
    /// The host name does not exist.
    Nowhere,
    /// Plain text where TLS is expected.
    PlainText,
    /// TLS is expected, and nothing is said.
    SilentTls,
    /// The connection is neither accepted nor refused.
    Full,
}

impl Place {
    /// Every such provider.
    pub const ALL: [Self; 5] = [Self::Refused, Self::Nowhere, Self::PlainText, Self::SilentTls, Self::Full];

    /// What the name of such a provider ends with.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Nowhere => "nowhere",
            Self::PlainText => "plain-text",
            Self::SilentTls => "silent-tls",
            Self::Full => "full",
        }
    }
}

/// How a failure is made.
#[derive(Debug, Clone, Copy)]
enum How {
    /// By the simulator, told so by flags.
    Flags(&'static str),
    /// By a provider of its own.
    At(Place),
}

/// One way to fail.
#[derive(Debug, Clone, Copy)]
pub struct Way {
    /// In words; empty where the failure says it all.
    name: &'static str,
    how: How,
    /// The dialects that know it.
    dialects: &'static [Provider],
    /// The rest that the provider asks for, in seconds.
    stated_rest_secs: Option<u64>,
    /// Whether it takes the connect timeout, and so a longer request timeout.
    patient: bool,
}

const fn flags(name: &'static str, flags: &'static str) -> Way {
    Way { name, how: How::Flags(flags), dialects: &Provider::CORE, stated_rest_secs: None, patient: false }
}

const fn at(name: &'static str, place: Place) -> Way {
    Way { how: How::At(place), ..flags(name, "") }
}

impl Way {
    const fn of(self, dialects: &'static [Provider]) -> Self {
        Self { dialects, ..self }
    }

    const fn resting(self, seconds: u64) -> Self {
        Self { stated_rest_secs: Some(seconds), ..self }
    }

    const fn patient(self) -> Self {
        Self { patient: true, ..self }
    }
}

/// Ways to fail with the same consequences.
#[derive(Debug)]
pub struct Line {
    failure: &'static str,
    ways: &'static [Way],
    modes: &'static [Mode],
    /// What the client is told.
    pub told: Told,
    /// What is tried next.
    pub next: Next,
    /// How the model is afterwards.
    pub state: State,
}

impl Line {
    /// Whether the failure comes after the first content has left.
    pub fn is_after_commit(&self) -> bool {
        matches!(self.told, Told::Event(_))
    }

    /// The ways, in words; which dialects know one is said where not all do.
    fn ways_in_words(&self) -> String {
        let named = self.ways.iter().filter(|way| !way.name.is_empty());
        let in_words = named.map(|way| match way.dialects.len() {
            all if all == Provider::CORE.len() => way.name.to_owned(),
            _ => {
                let dialects: Vec<_> = way.dialects.iter().map(|provider| provider.name()).collect();
                format!("{} ({})", way.name, dialects.join(", "))
            }
        });
        in_words.collect::<Vec<_>>().join(", ")
    }

    /// Whether the provider says for how long the model is to be left alone.
    fn states_rest(&self) -> bool {
        self.ways.iter().all(|way| way.stated_rest_secs.is_some())
    }
}

/// One way to fail, at one dialect, in one mode, with or without a model that follows.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    /// What is expected.
    pub line: &'static Line,
    way: &'static Way,
    /// The dialect.
    pub provider: Provider,
    /// How the answer is asked for.
    pub mode: Mode,
    /// Whether a model that answers comes next.
    pub followed: bool,
}

/// All cells of one dialect, or those of all dialects that take the connect timeout.
pub fn cells(dialects: &[Provider], patient: bool) -> Vec<Cell> {
    let mut cells = Vec::new();
    for provider in dialects.iter().copied() {
        for line in TABLE {
            let ways = line.ways.iter().filter(|way| way.patient == patient);
            for way in ways.filter(|way| way.dialects.contains(&provider)) {
                for mode in line.modes.iter().copied() {
                    cells.extend([false, true].map(|followed| Cell { line, way, provider, mode, followed }));
                }
            }
        }
    }
    cells
}

impl Cell {
    /// A name of its own among the cells of a dialect: letters, digits and dashes.
    pub fn name(&self) -> String {
        let mode = match (self.mode, self.line.is_after_commit()) {
            (Mode::Whole, _) => "whole",
            (Mode::Stream, false) => "stream before commit",
            (Mode::Stream, true) => "stream after commit",
        };
        let rest = if self.followed { "followed" } else { "alone" };
        let text = format!("{} {} {mode} {rest}", self.line.failure, self.way.name);
        let words = text.split(|character: char| !character.is_ascii_alphanumeric());
        words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-")
    }

    /// The provider that is no simulated one; `None` for one that is.
    pub fn place(&self) -> Option<Place> {
        if let How::At(place) = self.way.how { Some(place) } else { None }
    }

    /// The model's name at its provider. A stream that fails after its first content is held there by a gate, named as
    /// the cell.
    pub fn model(&self) -> String {
        let mut model = self.name();
        if self.line.is_after_commit() {
            model.push_str("~gate");
        }
        if let How::Flags(flags) = self.way.how {
            model.push('~');
            model.push_str(flags);
        }
        model
    }

    /// `provider:model`.
    pub fn id(&self) -> String {
        match self.place() {
            Some(place) => format!("{}-{}:{}", self.provider, place.name(), self.model()),
            None => format!("{}:{}", self.provider, self.model()),
        }
    }

    /// The rest that the provider asks for, in seconds.
    pub fn stated_rest_secs(&self) -> Option<u64> {
        self.way.stated_rest_secs
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_cell_has_a_model_of_its_own() {
        let mut ids = HashSet::new();
        for patient in [false, true] {
            for cell in cells(&Provider::CORE, patient) {
                assert!(ids.insert(cell.id()), "{} is there twice", cell.id());
            }
        }
    }

    #[test]
    fn every_failure_has_a_line_for_whole_answers_and_one_for_streams() {
        for line in TABLE {
            for mode in [Mode::Whole, Mode::Stream] {
                let has_mode = |other: &&Line| other.failure == line.failure && other.modes.contains(&mode);
                assert!(TABLE.iter().any(|other| has_mode(&other)), "{}: {mode:?}", line.failure);
            }
        }
    }

    #[test]
    fn lines_of_one_failure_follow_each_other() {
        let mut seen = Vec::new();
        for line in TABLE {
            assert!(seen.last() == Some(&line.failure) || !seen.contains(&line.failure), "{}", line.failure);
            seen.push(line.failure);
        }
    }

    #[test]
    fn a_provider_states_rests_in_all_ways_of_a_line_or_in_none() {
        for line in TABLE {
            let stated = line.ways.iter().filter(|way| way.stated_rest_secs.is_some()).count();
            assert!(stated == 0 || line.states_rest(), "{}", line.failure);
        }
    }

    #[test]
    fn only_streams_fail_after_commit_and_then_nothing_is_tried() {
        for line in TABLE.iter().filter(|line| line.is_after_commit()) {
            assert_eq!((line.modes, line.next), (&[Mode::Stream][..], Next::Nothing), "{}", line.failure);
        }
    }
}
