//! Cuts the bytes of a script into separate writes, regardless of where its events end.
//!
//! This is how a test meets every way a network can cut a stream.

use std::time::Duration;

use bytes::Bytes;

use crate::fault::Split;
use crate::stream::Step;

/// Waited between split pieces, so that they are read one by one.
const SPLIT_PAUSE: Duration = Duration::from_millis(1);
/// Pieces that get a pause; further ones are only flushed, or a long answer in single bytes would take minutes.
const SPLIT_PAUSES_MAX: usize = 200;
/// Pieces of `split-random` have 1 to this many bytes.
const SPLIT_RANDOM_MAX: u64 = 40;

/// Cuts what is written into pieces, across events, up to the next wait.
pub(crate) fn split(steps: Vec<Step>, how: Option<Split>) -> Vec<Step> {
    let Some(how) = how else { return steps };
    let mut sizes = Sizes::new(how);
    let mut run = Run::default();
    let mut pieces = Vec::new();
    for step in steps {
        match step {
            Step::Write { bytes, chunks } => run.push(&bytes, chunks),
            Step::Flush => {}
            wait => {
                run.cut(&mut sizes, &mut pieces);
                pieces.push(wait);
            }
        }
    }
    run.cut(&mut sizes, &mut pieces);
    pieces
}

/// Bytes written without a wait between them, with the offsets at which content chunks end.
#[derive(Default)]
struct Run {
    bytes: Vec<u8>,
    chunk_ends: Vec<usize>,
}

impl Run {
    fn push(&mut self, bytes: &[u8], chunks: usize) {
        self.bytes.extend_from_slice(bytes);
        self.chunk_ends.extend(std::iter::repeat_n(self.bytes.len(), chunks));
    }

    fn cut(&mut self, sizes: &mut Sizes, pieces: &mut Vec<Step>) {
        let mut rest = Bytes::from(std::mem::take(&mut self.bytes));
        let mut ends = std::mem::take(&mut self.chunk_ends).into_iter().peekable();
        let mut offset = 0;
        while !rest.is_empty() {
            let piece = rest.split_to(sizes.next().min(rest.len()));
            offset += piece.len();
            let mut chunks = 0;
            while ends.next_if(|end| *end <= offset).is_some() {
                chunks += 1;
            }
            pieces.extend([Step::Write { bytes: piece, chunks }, Step::Flush]);
            if !rest.is_empty() && sizes.count <= SPLIT_PAUSES_MAX {
                pieces.push(Step::Pause(SPLIT_PAUSE));
            }
        }
    }
}

/// The sizes of pieces, the same on every run.
struct Sizes {
    how: Split,
    state: u64,
    count: usize,
}

impl Sizes {
    fn new(how: Split) -> Sizes {
        let seed = if let Split::Random(seed) = how { seed } else { 0 };
        // Xorshift must not start at zero; the constant also spreads small seeds.
        Sizes { how, state: seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, count: 0 }
    }

    fn next(&mut self) -> usize {
        self.count += 1;
        match self.how {
            Split::Every(size) => size,
            Split::Random(_) => {
                self.state ^= self.state << 13;
                self.state ^= self.state >> 7;
                self.state ^= self.state << 17;
                usize::try_from(self.state % SPLIT_RANDOM_MAX + 1).unwrap_or(1)
            }
        }
    }
}
