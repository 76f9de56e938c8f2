//! The calls of tools in a stream that numbers all blocks of its answer, text and thoughts included.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::ids;
use crate::chat::Delta;

/// The calls so far.
#[derive(Debug, Default)]
pub(super) struct Calls(Vec<Known>);

#[derive(Debug)]
struct Known {
    /// The number of its block.
    block: u32,
    /// What its arguments are, should none follow: some send them at once.
    whole: Option<String>,
}

impl Calls {
    /// A call begins.
    pub(super) fn begin<'a>(
        &mut self,
        block: u32,
        id: Cow<'a, str>,
        name: Cow<'a, str>,
        arguments: Option<&RawValue>,
        out: &mut Vec<Delta<'a>>,
    ) {
        let index = as_index(self.0.len());
        let whole = arguments.map(RawValue::get).filter(|json| *json != "null").unwrap_or("{}");
        self.0.push(Known { block, whole: Some(whole.to_owned()) });
        let id = if id.is_empty() { Cow::Owned(ids::new_call()) } else { id };
        out.push(Delta::ToolCall { index, id, name, signature: None });
    }

    /// A call's arguments go on; empty fragments are common.
    pub(super) fn add<'a>(&mut self, block: u32, json: Cow<'a, str>, out: &mut Vec<Delta<'a>>) {
        if json.is_empty() {
            return;
        }
        if let Some((index, known)) = self.find(block) {
            known.whole = None;
            out.push(Delta::Arguments { index, json });
        }
    }

    /// A block ends, be it a call or not.
    pub(super) fn end(&mut self, block: u32, out: &mut Vec<Delta<'_>>) {
        if let Some((index, known)) = self.find(block)
            && let Some(json) = known.whole.take()
        {
            out.push(Delta::Arguments { index, json: Cow::Owned(json) });
        }
    }

    fn find(&mut self, block: u32) -> Option<(u32, &mut Known)> {
        let position = self.0.iter().rposition(|known| known.block == block)?;
        Some((as_index(position), self.0.get_mut(position)?))
    }
}

fn as_index(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}
