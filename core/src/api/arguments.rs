//! The arguments of a tool call: where they end as they come in piece by piece, and as the object that some formats want.

use serde_json::json;

use crate::json::Json;

/// Notices the end of a JSON object that comes in pieces.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Scan {
    depth: u32,
    has_begun: bool,
    in_string: bool,
    is_escaped: bool,
}

impl Scan {
    /// Takes the next piece.
    pub(super) fn take(&mut self, piece: &str) {
        for byte in piece.bytes() {
            if self.in_string {
                self.in_string = self.is_escaped || byte != b'"';
                self.is_escaped = !self.is_escaped && byte == b'\\';
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => {
                    self.has_begun = true;
                    self.depth = self.depth.saturating_add(1);
                }
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    /// Whether what comes from here on is no part of the object.
    pub(super) fn is_complete(self) -> bool {
        self.has_begun && self.depth == 0
    }
}

/// `arguments` as a JSON object, byte for byte where they are one.
pub(super) fn object(arguments: &str) -> Option<Json> {
    if arguments.trim_ascii().is_empty() {
        return Json::parse("{}");
    }
    Json::parse(arguments)
        .filter(|json| json.get().starts_with('{'))
        .or_else(|| Json::of(&json!({ "arguments": arguments })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_object_is_noticed_wherever_it_is_cut() {
        for (text, is_complete) in [
            ("", false),
            ("  ", false),
            ("{", false),
            ("{}", true),
            (r#"{"a":{"b":[1,{}]}"#, false),
            (r#"{"a":{"b":[1,{}]}}"#, true),
            (r#"{"a":"}"#, false),
            (r#"{"a":"}\\\"}"#, false),
            (r#"{"a":"}\\"} "#, true),
        ] {
            for cut in 0..=text.len() {
                let (head, tail) = text.split_at(cut);
                let mut scan = Scan::default();
                scan.take(head);
                scan.take(tail);
                assert_eq!(scan.is_complete(), is_complete, "{text} cut at {cut}");
            }
        }
    }

    #[test]
    fn arguments_become_an_object() {
        for (arguments, expected) in [
            ("", "{}"),
            (r#"{ "a" : 1.0 }"#, r#"{ "a" : 1.0 }"#),
            ("[1]", r#"{"arguments":"[1]"}"#),
            (r#"{"a":"#, r#"{"arguments":"{\"a\":"}"#),
        ] {
            assert_eq!(object(arguments).unwrap().get(), expected);
        }
    }
}
