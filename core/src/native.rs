//! A request as its client wrote it, so that a provider of the same format gets all of it: the fields that the
//! canonical chat has no word for, and the spelling of those it has.

use std::ops::Range;

use crate::dialect::Wire;

/// A request body and where its fields are, with the headers that belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Native {
    wire: Wire,
    body: String,
    fields: Vec<(String, Range<usize>)>,
    headers: Vec<(String, String)>,
}

impl Native {
    /// Keeps `body`, an object in the format of `wire`, with the place of each field's value in it.
    pub fn new(wire: Wire, body: String, fields: Vec<(String, Range<usize>)>) -> Self {
        Self { wire, body, fields, headers: Vec::new() }
    }

    /// The format it is written in.
    pub fn wire(&self) -> Wire {
        self.wire
    }

    /// The JSON text of a field.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, range) = self.fields.iter().find(|(known, _)| known == name)?;
        self.body.get(range.clone())
    }

    /// The client's headers that a provider of the same format wants as they are, such as the version of the API.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// Keeps [`headers`](Self::headers).
    pub fn set_headers(&mut self, headers: Vec<(String, String)>) {
        self.headers = headers;
    }
}
