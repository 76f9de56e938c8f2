//! What the contents of messages have in common on the wires that have typed blocks: exact JSON, opaque signatures,
//! and results that belong to calls.

use serde_json::value::RawValue;

use crate::base64;

/// JSON text to be written exactly as it is; an empty object where it is no JSON.
pub(super) fn raw(json: &str) -> Box<RawValue> {
    let object = || RawValue::from_string("{}".to_owned());
    RawValue::from_string(json.to_owned()).or_else(|_| object()).unwrap_or_default()
}

/// How every signature begins once it is decoded.
pub(super) const SIGNATURE_PREFIX: &str = "simulator-signature-";

/// The signature that goes with a thought; the same for the same text, so that a changed text is noticed.
pub(super) fn signature(thought: &str) -> String {
    base64::encode(format!("{SIGNATURE_PREFIX}{:08x}", crc32fast::hash(thought.as_bytes())).as_bytes())
}

/// A tool call of the history, or the result of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Linked {
    pub(super) id: String,
    /// The name of the tool for a call, the text for a result.
    pub(super) text: String,
}

/// Name and text of each result, in the order of the calls.
pub(super) fn in_call_order(calls: &[Linked], results: &[Linked]) -> Vec<(String, String)> {
    let result = |call: &Linked| results.iter().find(|result| result.id == call.id);
    calls.iter().filter_map(|call| Some((call.text.clone(), result(call)?.text.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_follow_the_order_of_their_calls() {
        let linked = |id: &str, text: &str| Linked { id: id.to_owned(), text: text.to_owned() };
        let calls = [linked("1", "first"), linked("2", "second")];
        let results = [linked("2", "b"), linked("1", "a")];
        let expected = [("first", "a"), ("second", "b")].map(|(name, text)| (name.into(), text.into()));
        assert_eq!(in_call_order(&calls, &results), expected);
    }

    #[test]
    fn json_is_kept_as_it_is_written() {
        assert_eq!(raw("{\"b\":  1.0,\"a\":2}").get(), "{\"b\":  1.0,\"a\":2}");
        assert_eq!(raw("{\"b\":").get(), "{}");
    }
}
