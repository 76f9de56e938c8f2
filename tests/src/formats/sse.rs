//! Server-sent events as a strict client reads them, after the fact.

use serde_json::Value;

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerEvent {
    /// `event`; empty where there is none.
    pub name: String,
    /// `data`; a text where it is no JSON, such as `[DONE]`.
    pub data: Value,
}

/// The events of a whole body.
///
/// # Panics
/// Where the body is anything but complete events.
#[track_caller]
pub fn server_events(body: &str) -> Vec<ServerEvent> {
    assert!(body.is_empty() || body.ends_with("\n\n"), "half an event at the end: {body:?}");
    body.split("\n\n").filter(|block| !block.is_empty()).map(parse).collect()
}

#[track_caller]
fn parse(block: &str) -> ServerEvent {
    let (mut name, mut data) = (String::new(), Vec::new());
    for line in block.lines() {
        match line.split_once(": ") {
            Some(("event", value)) => name = value.to_owned(),
            Some(("data", value)) => data.push(value),
            Some(("id", _)) => {}
            _ => panic!("no line of an event: {line:?} in {block:?}"),
        }
    }
    let data = data.join("\n");
    ServerEvent { name, data: serde_json::from_str(&data).unwrap_or(Value::String(data)) }
}
