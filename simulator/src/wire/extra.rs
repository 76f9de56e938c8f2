//! The `extra` flag: fields that no documentation knows, to prove that a gateway passes on what it does not know.
//!
//! They are written into the finished JSON text, so that nothing else of it changes, not even the spelling of a
//! number in the arguments of a tool call.

use crate::provider::Provider;

const TOP: &str = r#""x_simulator":{"kept":true}"#;
const NESTED: &str = r#""x_note":"kept""#;

/// Adds the fields to a whole answer.
pub(super) fn whole(provider: Provider, text: String) -> String {
    match provider {
        Provider::Bedrock => text,
        Provider::Gemini | Provider::Vertex | Provider::Anthropic => add(&text, &[]),
        _ => add(&text, &["\"message\":{"]),
    }
}

/// Adds the fields to the data of a stream event.
pub(super) fn event(provider: Provider, data: String) -> String {
    match provider {
        Provider::Bedrock => data,
        Provider::Gemini | Provider::Vertex => add(&data, &[]),
        Provider::Anthropic => add(&data, &["\"message\":{", "\"delta\":{"]),
        _ => add(&data, &["\"delta\":{"]),
    }
}

/// Adds a field to the outermost object, and one to each object that `openings` begin. None of them can be part of a
/// JSON string, where the quotes would be escaped.
fn add(text: &str, openings: &[&str]) -> String {
    let mut marked = text.to_owned();
    for opening in openings {
        marked = insert(&marked, opening, NESTED);
    }
    match marked.strip_prefix('{') {
        Some(rest) => format!("{{{TOP}{}", separated(rest)),
        None => marked,
    }
}

fn insert(text: &str, opening: &str, field: &str) -> String {
    let mut pieces = text.split(opening);
    let mut marked = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        marked.push_str(opening);
        marked.push_str(field);
        marked.push_str(&separated(piece));
    }
    marked
}

/// What follows a field that was put first into an object.
fn separated(rest: &str) -> String {
    if rest.starts_with('}') { rest.to_owned() } else { format!(",{rest}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_added_and_nothing_else_changes() {
        let chunk = r#"{"choices":[{"delta":{}},{"delta":{"content":"\"delta\":{"}}],"n":1.0}"#;
        let expected = concat!(
            r#"{"x_simulator":{"kept":true},"choices":[{"delta":{"x_note":"kept"}},"#,
            r#"{"delta":{"x_note":"kept","content":"\"delta\":{"}}],"n":1.0}"#
        );
        assert_eq!(event(Provider::OpenAi, chunk.to_owned()), expected);
        assert_eq!(whole(Provider::Bedrock, "{}".to_owned()), "{}");
        assert_eq!(whole(Provider::Gemini, "{}".to_owned()), r#"{"x_simulator":{"kept":true}}"#);
    }
}
