//! Texts to be turned into vectors: the other thing that models are asked for.

use crate::chat::{Feature, Options, Usage};
use crate::json::Json;
use crate::native::Native;

/// A request for embeddings.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// What to embed.
    pub input: Input,
    /// Of all options only the dimensions, the user, and what is not known here.
    pub options: Options,
    /// How the client wants the numbers.
    pub encoding: Encoding,
    /// The request as it was written.
    pub native: Native,
}

/// What to embed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// One vector for each.
    Texts(Vec<String>),
    /// So many numbers that some tokenizer made of texts, which only the provider's own can read.
    Tokens(usize),
}

/// How numbers are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Encoding {
    /// As a list.
    #[default]
    Float,
    /// As base64 of little-endian 32-bit floats.
    Base64,
}

/// The vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// One list of numbers for each text, in their order, as the provider wrote it; empty where its whole answer is passed
    /// on as it is.
    pub vectors: Vec<Json>,
    /// Tokens read, where the provider said.
    pub usage: Option<Usage>,
}

impl Embedding {
    /// What not every provider can do.
    pub fn features(&self) -> Vec<Feature> {
        let said = [
            (self.options.dimensions.is_some(), Feature::Dimensions),
            (self.options.user.is_some(), Feature::User),
            (matches!(self.input, Input::Tokens(_)), Feature::TokenInput),
        ];
        said.into_iter().filter_map(|(is_said, feature)| is_said.then_some(feature)).collect()
    }

    /// How many texts there are, where they are texts.
    pub fn texts(&self) -> usize {
        match &self.input {
            Input::Texts(texts) => texts.len(),
            Input::Tokens(_) => 0,
        }
    }

    /// Bytes of text, for an estimate of tokens.
    pub fn text_len(&self) -> usize {
        match &self.input {
            Input::Texts(texts) => texts.iter().map(String::len).sum(),
            Input::Tokens(count) => count.saturating_mul(4),
        }
    }
}
