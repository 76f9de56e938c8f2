//! JSON values as YAML for people: what `ai-warp` prints is read before it is used.
//!
//! Block style for what has members, JSON for the rest, which YAML includes; text of several lines as it is.

use serde_json::Value;

/// Spaces of each level.
const INDENT: usize = 2;

/// The YAML of `value`, which has members.
pub fn text(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, 0);
    out
}

/// `values` as one stream of YAML documents, each below the comment that belongs to it, line by line.
pub fn stream<'a>(documents: impl IntoIterator<Item = (&'a str, &'a Value)>) -> String {
    let mut out = String::new();
    for (index, (comment, value)) in documents.into_iter().enumerate() {
        if index > 0 {
            out.push_str("---\n");
        }
        out.push_str(&commented(comment));
        write(&mut out, value, 0);
    }
    out
}

/// `text` as a comment.
pub fn commented(text: &str) -> String {
    text.lines().map(|line| format!("# {line}").trim_end().to_owned() + "\n").collect()
}

fn write(out: &mut String, value: &Value, depth: usize) {
    let indent = " ".repeat(depth * INDENT);
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                write_member(out, &format!("{indent}{}:", key_text(key)), value, depth + 1);
            }
        }
        Value::Array(list) => {
            for value in list {
                write_item(out, value, depth);
            }
        }
        scalar => {
            out.push_str(&format!("{indent}{scalar}\n"));
        }
    }
}

/// An item of a list; the first member of an object stands beside the dash.
fn write_item(out: &mut String, value: &Value, depth: usize) {
    let indent = " ".repeat(depth * INDENT);
    match value {
        Value::Object(map) if !map.is_empty() => {
            let mut members = String::new();
            write(&mut members, value, depth + 1);
            out.push_str(&format!("{indent}- {}", members.trim_start_matches(' ')));
        }
        value => write_member(out, &format!("{indent}-"), value, depth + 1),
    }
}

fn write_member(out: &mut String, lead: &str, value: &Value, depth: usize) {
    let has_members = match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    };
    if has_members {
        out.push_str(lead);
        out.push('\n');
        write(out, value, depth);
        return;
    }
    match value {
        Value::String(text) if is_block(text) => {
            let indent = " ".repeat(depth * INDENT);
            let keeps_end = if text.ends_with('\n') { "" } else { "-" };
            out.push_str(&format!("{lead} |{keeps_end}\n"));
            for line in text.lines() {
                let line = if line.is_empty() { String::new() } else { format!("{indent}{line}") };
                out.push_str(&line);
                out.push('\n');
            }
        }
        _ => out.push_str(&format!("{lead} {value}\n")),
    }
}

/// What YAML 1.1 takes for something else than text.
const WORDS: [&str; 10] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "none"];

/// A key, quoted where YAML would take it for something else.
fn key_text(key: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/');
    let is_safe = key.bytes().all(is_plain) && key.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_word = WORDS.iter().any(|word| key.eq_ignore_ascii_case(word));
    if is_safe && !is_word { key.to_owned() } else { format!("'{}'", key.replace('\'', "''")) }
}

/// Whether a literal block says exactly `text`: YAML would take more than one line end at the end, white space at the
/// beginning and other control characters for something else.
fn is_block(text: &str) -> bool {
    let has_lines = text.trim_end_matches('\n').contains('\n') && !text.ends_with("\n\n");
    let is_plain = |c: char| {
        c == '\n' || (!c.is_control() && !matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}'))
    };
    has_lines && !text.starts_with([' ', '\n']) && text.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn says_what_the_value_says() {
        let value = json!({
            "a": {"@type": "x", "b c": [1, true, null, {}, [], "yes", "a: b", "- ", "\"'\\"]},
            "0": {"provider/openai@12": [[1, 2], {"n": {"m": 0.5}}]},
            "lines": ["{\n  \"a\": 1\n}", "a\nb\n", "a\n\n b", "\na", " a\nb", "a\n\n", "a\tb\nc", ""],
            "on": "off", "it's": "~",
        });
        let written = text(&value);
        let read: Value = serde_saphyr::from_str(&written).unwrap();
        assert_eq!(read, value, "{written}");
        insta::assert_snapshot!(written);
    }

    #[test]
    fn documents_are_parted_and_told_apart() {
        let (first, second) = (json!({"a": 1}), json!({"b": 2}));
        let written = stream([("First\n\nof two", &first), ("", &second)]);
        assert_eq!(written, "# First\n#\n# of two\na: 1\n---\nb: 2\n");
    }
}
