//! `.env` files: `KEY=VALUE` lines, with comments and quotes. No expansion, so a key with a `$` in it stays whole.

use std::collections::BTreeMap;

/// Reads the variables of a `.env` file. Lines that assign nothing are skipped; a later line wins.
pub(super) fn parse(text: &str) -> BTreeMap<String, String> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    if line.starts_with('#') {
        return None;
    }
    let (name, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
    let name = name.trim();
    let usable = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    usable.then(|| (name.to_owned(), unquote(value.trim())))
}

fn unquote(value: &str) -> String {
    for quote in ['"', '\''] {
        if let Some((inner, _comment)) = value.strip_prefix(quote).and_then(|rest| rest.split_once(quote)) {
            return inner.to_owned();
        }
    }
    // An unquoted value ends where a comment begins; a `#` within a word is part of it.
    let end = value.find(" #").or_else(|| value.find("\t#")).unwrap_or(value.len());
    let value = value.get(..end).unwrap_or(value);
    if value.starts_with('#') { String::new() } else { value.trim_end().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_spelling() {
        for (line, expected) in [
            ("A=1", Some(("A", "1"))),
            ("  export A = 1  ", Some(("A", "1"))),
            ("A=\"x # y\" # z", Some(("A", "x # y"))),
            ("A='x=\"y'", Some(("A", "x=\"y"))),
            ("A=x#y # comment", Some(("A", "x#y"))),
            ("A=", Some(("A", ""))),
            ("A= # nothing yet", Some(("A", ""))),
            ("A=\"unclosed", Some(("A", "\"unclosed"))),
            ("# A=1", None),
            ("", None),
            ("just words", None),
            ("=1", None),
            ("A-B=1", None),
        ] {
            let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
            assert_eq!(parse_line(line), expected, "{line}");
        }
    }

    #[test]
    fn the_last_line_wins() {
        assert_eq!(parse("A=1\r\nB=2\nA=3\n")["A"], "3");
    }
}
