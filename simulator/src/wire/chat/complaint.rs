//! What is wrong with a request, before a provider puts it into its own words.

use serde_json::Value;

use crate::wire::shape::{self, Misfit};

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Complaint {
    /// Such as `messages[0].role`; empty for the whole body.
    pub(super) path: String,
    pub(super) problem: Problem,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Problem {
    /// There is no such field.
    Unknown,
    Type {
        expected: &'static str,
        found: &'static str,
    },
    Missing,
    /// A list without items.
    Empty,
    /// None of the values there are.
    Variant {
        found: String,
        known: &'static [&'static str],
    },
    Range {
        value: Value,
        min: f64,
        max: f64,
    },
    /// A list with more items than this.
    TooMany(usize),
    /// A value that is wrong for the reason given.
    Value(String),
    /// A field that this model does not take; the reason given.
    Unsupported(String),
    /// A value that this model does not take; the reason given.
    UnsupportedValue(String),
    /// Fields that exclude or need each other; the reason given.
    Combination(String),
    /// Messages in the wrong order; the reason given.
    Order(String),
    /// A tool call id in the wrong pattern; the reason given.
    CallId(String),
    /// A body that is longer than images may make it.
    TooLarge,
    /// The address exists for requests that name a version only.
    NoVersion,
}

impl Complaint {
    pub(super) fn new(path: impl Into<String>, problem: Problem) -> Complaint {
        Complaint { path: path.into(), problem }
    }

    pub(super) fn missing(path: impl Into<String>) -> Complaint {
        Complaint::new(path, Problem::Missing)
    }

    pub(super) fn value(path: impl Into<String>, reason: impl Into<String>) -> Complaint {
        Complaint::new(path, Problem::Value(reason.into()))
    }

    pub(super) fn kind(path: impl Into<String>, expected: &'static str, value: &Value) -> Complaint {
        Complaint::new(path, Problem::Type { expected, found: shape::found(value) })
    }

    /// A field that breaks the table of the object at `path`.
    pub(super) fn misfit(misfit: &Misfit<'_>, path: &str) -> Complaint {
        match misfit {
            Misfit::Unknown { name } => Complaint::new(join(path, name), Problem::Unknown),
            Misfit::Type { name, kind, value } => Complaint::kind(join(path, name), kind.words(), value),
        }
    }

    /// The path without its last name, and that name.
    pub(super) fn place(&self) -> (&str, &str) {
        self.path.rsplit_once('.').unwrap_or(("", &self.path))
    }
}

/// The path of a field of the object at `path`.
pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
