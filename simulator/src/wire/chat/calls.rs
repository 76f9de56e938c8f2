//! Tool calls as the deltas of a stream: in fragments or whole, mixed or in turn, by the habits of the provider.

use serde_json::{Map, Value, json};

use super::dialect::{CallIndex, Habits, StreamCalls};
use crate::answer::{Answer, ToolCall};

/// The deltas that pass the tool calls of an answer.
pub(super) fn deltas(habits: &Habits, answer: &Answer) -> Vec<Value> {
    let calls: Vec<(usize, &ToolCall)> = answer.tool_calls.iter().enumerate().collect();
    if calls.is_empty() {
        return Vec::new();
    }
    let whole = |(index, call): &(usize, &ToolCall)| start(habits, *index, call, call.json());
    let first = |(index, call): &(usize, &ToolCall)| delta(habits, vec![start(habits, *index, call, "")]);
    let rest = |(index, call): &(usize, &ToolCall)| -> Vec<Value> {
        let fragments = call.fragments();
        let fragments = if fragments.is_empty() { vec![call.json().to_owned()] } else { fragments };
        fragments.iter().map(|text| delta(habits, vec![fragment(habits, *index, text)])).collect()
    };
    match habits.stream_calls {
        StreamCalls::Together => vec![delta(habits, calls.iter().map(whole).collect())],
        StreamCalls::Whole => calls.iter().map(|call| delta(habits, vec![whole(call)])).collect(),
        StreamCalls::InTurn => {
            calls.iter().flat_map(|call| std::iter::once(first(call)).chain(rest(call))).collect()
        }
        StreamCalls::Mixed => {
            let rests: Vec<Vec<Value>> = calls.iter().map(rest).collect();
            let longest = rests.iter().map(Vec::len).max().unwrap_or(0);
            let mixed =
                (0..longest).flat_map(|at| rests.iter().filter_map(move |rest| rest.get(at).cloned()));
            calls.iter().map(first).chain(mixed).collect()
        }
    }
}

fn delta(habits: &Habits, calls: Vec<Value>) -> Value {
    if habits.role_in_each {
        return json!({ "role": "assistant", "content": "", "tool_calls": calls });
    }
    json!({ "tool_calls": calls })
}

/// What names a call, with the arguments or their beginning.
fn start(habits: &Habits, index: usize, call: &ToolCall, arguments: &str) -> Value {
    let mut start = indexed(habits, index);
    start.insert("id".to_owned(), call.id.as_str().into());
    start.insert("type".to_owned(), "function".into());
    start.insert("function".to_owned(), json!({ "name": call.name, "arguments": arguments }));
    start.into()
}

fn fragment(habits: &Habits, index: usize, text: &str) -> Value {
    let mut fragment = indexed(habits, index);
    fragment.insert("function".to_owned(), json!({ "arguments": text }));
    fragment.into()
}

fn indexed(habits: &Habits, index: usize) -> Map<String, Value> {
    let index = match habits.call_index {
        CallIndex::Counted => Some(index),
        CallIndex::Zero => Some(0),
        CallIndex::Absent => None,
    };
    index.map(|index| ("index".to_owned(), index.into())).into_iter().collect()
}
