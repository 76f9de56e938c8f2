//! What a user text tells the model to do with tools: `!call` and `!say`.
//!
//! `!call NAME {json} ;; NAME {json}` asks for calls, `!say TEXT ;; call NAME {json}` for a text first. The JSON is
//! passed on as it is written, byte for byte, so that a test sees whether a gateway rewrote it. Arguments cannot
//! contain the separator.

use serde_json::{Map, Value, json};

use crate::answer::{JsonOutput, Prompt, ToolChoice};

/// Between the parts of a command.
const SEPARATOR: &str = " ;; ";
/// What a call without arguments passes where a wire wants text.
pub(crate) const NO_ARGUMENTS: &str = "{}";

/// What a command asks for: a text, and then calls by name and arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Command<'a> {
    pub(crate) text: &'a str,
    pub(crate) calls: Vec<(&'a str, &'a str)>,
}

impl<'a> Command<'a> {
    /// The tool calls a prompt leads to: those its text asks for, where all of them are allowed, or else the one that
    /// the tool choice forces.
    pub(crate) fn of(prompt: &'a Prompt) -> Option<Command<'a>> {
        let allowed: &[String] = match &prompt.tool_choice {
            ToolChoice::None => return None,
            ToolChoice::Auto | ToolChoice::Any => &prompt.tools,
            ToolChoice::Named(name) => std::slice::from_ref(name),
        };
        let may_call = |(name, _): &(&str, &str)| {
            allowed.iter().any(|tool| tool == name) && prompt.tools.iter().any(|tool| tool == name)
        };
        let asked = Command::parse(&prompt.text).filter(|command| command.calls.iter().all(may_call));
        let forced = || {
            let is_forced = prompt.tool_choice != ToolChoice::Auto;
            let name = allowed.first().filter(|_| is_forced)?;
            Some(Command { text: "", calls: vec![(name, "")] })
        };
        let mut command = asked.or_else(forced)?;
        if prompt.single_call {
            command.calls.truncate(1);
        }
        Some(command)
    }

    fn parse(text: &'a str) -> Option<Command<'a>> {
        let (text, calls) = match text.strip_prefix("!say ") {
            Some(rest) => rest.split_once(SEPARATOR)?,
            None => ("", text.strip_prefix('!')?),
        };
        let calls = calls.strip_prefix("call ")?.split(SEPARATOR).map(call).collect();
        Some(Command { text, calls })
    }
}

/// A call as name and arguments, the word `call` before it left out.
fn call(text: &str) -> (&str, &str) {
    let text = text.strip_prefix("call ").unwrap_or(text);
    text.split_once(' ').unwrap_or((text, ""))
}

/// The JSON text a model gives that must answer in JSON.
pub(crate) fn json_text(output: &JsonOutput) -> String {
    let JsonOutput::Schema(schema) = output else { return r#"{"ok":true}"#.to_owned() };
    let properties = schema.get("properties").and_then(Value::as_object);
    let fields: Map<_, _> =
        properties.into_iter().flatten().map(|(name, property)| (name.clone(), sample(property))).collect();
    Value::Object(fields).to_string()
}

/// A value that a property's schema allows.
fn sample(schema: &Value) -> Value {
    let first = |name: &str| schema.get(name).and_then(|value| value.get(0)).cloned();
    if let Some(value) = first("enum") {
        return value;
    }
    let kind = schema.get("type").cloned().map(|kind| kind.get(0).cloned().unwrap_or(kind));
    match kind.as_ref().and_then(Value::as_str).map(str::to_ascii_lowercase).as_deref() {
        Some("integer") => 7.into(),
        Some("number") => 1.5.into(),
        Some("boolean") => true.into(),
        Some("array") => json!([]),
        Some("object") => json!({}),
        Some("null") => Value::Null,
        _ => "text".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(text: &str, tool_choice: ToolChoice) -> Prompt {
        let tools = vec!["ping".to_owned(), "get_weather".to_owned()];
        Prompt { text: text.to_owned(), tools, tool_choice, ..Prompt::default() }
    }

    #[test]
    fn calls_are_made_of_declared_tools_alone() {
        let named = |name: &str| ToolChoice::Named(name.to_owned());
        let city = r#"{"city":  "Paris"}"#;
        let asks = format!("!call get_weather {city} ;; ping");
        let says = format!("!say One moment. ;; call get_weather {city}");
        let table = [
            (asks.as_str(), ToolChoice::Auto, Some(("", vec![("get_weather", city), ("ping", "")]))),
            (&says, ToolChoice::Any, Some(("One moment.", vec![("get_weather", city)]))),
            (&asks, ToolChoice::None, None),
            (&asks, named("ping"), Some(("", vec![("ping", "")]))),
            ("!call ping", named("ping"), Some(("", vec![("ping", "")]))),
            ("!call other", ToolChoice::Auto, None),
            ("!call other", ToolChoice::Any, Some(("", vec![("ping", "")]))),
            ("hi", named("get_weather"), Some(("", vec![("get_weather", "")]))),
            ("hi", ToolChoice::Auto, None),
            ("!say hi", ToolChoice::Auto, None),
        ];
        for (text, choice, expected) in table {
            let expected = expected.map(|(text, calls)| Command { text, calls });
            assert_eq!(Command::of(&prompt(text, choice.clone())), expected, "{text} {choice:?}");
        }
        let single = Prompt { single_call: true, ..prompt(&asks, ToolChoice::Auto) };
        assert_eq!(Command::of(&single).unwrap().calls, [("get_weather", city)]);
    }

    #[test]
    fn json_has_every_property_in_the_order_of_the_schema() {
        let schema = json!({ "type": "object", "properties": {
            "z": { "type": "string" }, "count": { "type": "integer" }, "a": { "type": ["number", "null"] },
            "is": { "type": "boolean" }, "list": { "type": "ARRAY" }, "map": { "type": "object" },
            "one": { "enum": ["x", "y"] },
        } });
        let expected = r#"{"z":"text","count":7,"a":1.5,"is":true,"list":[],"map":{},"one":"x"}"#;
        assert_eq!(json_text(&JsonOutput::Schema(schema)), expected);
        assert_eq!(json_text(&JsonOutput::Object), r#"{"ok":true}"#);
    }
}
