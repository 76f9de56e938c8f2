//! Names of routes, models and targets as small numbers, so that counting copies no text.

use std::collections::HashMap;
use std::rc::Rc;

/// Most names a worker keeps. Configurations come and go while a worker lives; Envoy never forgets a series.
pub const MAX_NAMES: usize = 4_096;

/// What further names are called.
const OTHER: &str = "other";

/// The value of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Label {
    /// The family has fewer labels.
    None,
    /// One of a fixed set.
    Word(&'static str),
    /// One of [`Names`].
    Name(u16),
}

#[derive(Debug, Default)]
pub(super) struct Names {
    by_text: HashMap<Rc<str>, u16>,
    texts: Vec<Rc<str>>,
}

impl Names {
    pub(super) fn label(&mut self, name: &str) -> Label {
        if let Some(number) = self.by_text.get(name) {
            return Label::Name(*number);
        }
        let (false, Ok(number)) = (self.texts.len() >= MAX_NAMES, u16::try_from(self.texts.len())) else {
            return Label::Word(OTHER);
        };
        let text: Rc<str> = name.into();
        self.by_text.insert(Rc::clone(&text), number);
        self.texts.push(text);
        Label::Name(number)
    }

    pub(super) fn text(&self, label: Label) -> String {
        match label {
            Label::None => String::new(),
            Label::Word(word) => word.to_owned(),
            Label::Name(number) => {
                self.texts.get(usize::from(number)).map_or(OTHER, |text| text.as_ref()).to_owned()
            }
        }
    }
}
