//! Embeddings: a vector that depends on nothing but the text, so that a test can tell vectors, and their order, apart.

use std::hash::Hasher;

use crate::answer::count_words;
use crate::base64;

/// Length of a vector when the request does not say.
pub(crate) const DIMENSIONS_DEFAULT: usize = 8;
/// The longest vector given.
pub(crate) const DIMENSIONS_MAX: usize = 4096;

/// A request for embeddings as its provider understood it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EmbeddingRequest {
    pub(crate) model: String,
    pub(crate) inputs: Vec<String>,
    /// Length of each vector.
    pub(crate) dimensions: usize,
    /// Vectors are wanted as base64 of little-endian 32-bit floats.
    pub(crate) base64: bool,
    /// A list was asked for, and not one vector.
    pub(crate) batch: bool,
    /// Fields that no documentation knows are added.
    pub(crate) extra: bool,
}

impl EmbeddingRequest {
    /// One vector per input.
    pub(crate) fn vectors(&self) -> impl Iterator<Item = Vec<f32>> {
        self.inputs.iter().map(|input| vector(input, self.dimensions))
    }

    /// Words of all inputs.
    pub(crate) fn words(&self) -> usize {
        self.inputs.iter().map(|input| count_words(input)).sum()
    }
}

/// The vector of a text: multiples of 1/128 between -1 and 1, which every notation keeps exactly.
fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    let component = |index: usize| {
        let mut hasher = Fnv::default();
        hasher.write(text.as_bytes());
        hasher.write_usize(index);
        let step = i16::try_from(hasher.finish() >> 56).unwrap_or_default() - 128;
        f32::from(step) / 128.0
    };
    (0..dimensions).map(component).collect()
}

/// FNV-1a: stable across versions of the standard library, which its own hasher is not.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Base64 of the vector's little-endian bytes.
pub(crate) fn base64_floats(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|component| component.to_le_bytes()).collect();
    base64::encode(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_depend_on_the_text_and_keep_their_value() {
        let vectors = |text: &str| vector(text, DIMENSIONS_DEFAULT);
        assert_eq!(vectors("hello"), vectors("hello"));
        assert_ne!(vectors("hello"), vectors("hallo"));
        assert_ne!(vectors("a")[0], vectors("a")[1]);
        assert!(vector("x", 500).iter().all(|component| (-1.0..1.0).contains(component)));
    }
}
