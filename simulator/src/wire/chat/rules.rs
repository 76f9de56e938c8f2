//! Checks a chat completion request by the table of its provider.

use serde_json::{Map, Value};

use super::complaint::{Complaint, Problem, join};
use super::dialect::{Fields, Rules};
use super::{Chat, messages, tools};
use crate::wire::Request;
use crate::wire::shape::{self, Misfit};

/// Checks a request, and returns it taken apart.
pub(super) fn check<'a>(rules: &'a Rules, request: &'a Request<'a>) -> Result<Chat<'a>, Complaint> {
    let Value::Object(fields) = request.body else {
        return Err(Complaint::kind("", "an object", request.body));
    };
    check_fields(rules, fields)?;
    let named = fields.get("model").and_then(Value::as_str);
    let model = request.path_model.or(named).filter(|model| !model.is_empty());
    let model = model.ok_or_else(|| Complaint::missing("model"))?;
    let messages = match fields.get("messages") {
        Some(Value::Array(messages)) if !messages.is_empty() => messages,
        Some(Value::Array(_)) => return Err(Complaint::new("messages", Problem::Empty)),
        _ => return Err(Complaint::missing("messages")),
    };
    let chat = Chat { rules, request, fields, messages, model };
    for (index, message) in messages.iter().enumerate() {
        messages::check(rules, message, &format!("messages[{index}]"))?;
    }
    if rules.pairs_results {
        messages::check_order(messages)?;
    }
    check_ranges(rules.ranges, fields)?;
    check_stop(&chat)?;
    tools::check(&chat)?;
    tools::check_format(&chat)?;
    check_combinations(&chat)?;
    (rules.further)(&chat)?;
    Ok(chat)
}

fn check_fields(rules: &Rules, fields: &Map<String, Value>) -> Result<(), Complaint> {
    for (name, value) in fields {
        if rules.refused.contains(&name.as_str()) {
            return Err(Complaint::new(name, Problem::Unknown));
        }
        let known = rules.fields.iter().copied().flatten().find(|(field, _)| field == name);
        match known {
            None if rules.ignores_unknown => {}
            None => return Err(Complaint::new(name, Problem::Unknown)),
            Some((_, kind)) if !value.is_null() && !kind.fits(value) => {
                return Err(Complaint::misfit(&Misfit::Type { name, kind: *kind, value }, ""));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Checks the fields of the object at `path`; those that are not listed are wrong unless the provider ignores them.
pub(super) fn check_object(
    rules: &Rules,
    object: &Map<String, Value>,
    fields: Fields,
    path: &str,
) -> Result<(), Complaint> {
    match shape::check(object, fields, str::to_owned) {
        Err(Misfit::Unknown { .. }) if rules.ignores_unknown => {
            let known = |(name, _): &(&String, &Value)| fields.iter().any(|(field, _)| field == name);
            let rest: Map<String, Value> =
                object.iter().filter(known).map(|(name, value)| (name.clone(), value.clone())).collect();
            shape::check(&rest, fields, str::to_owned).map_err(|misfit| Complaint::misfit(&misfit, path))
        }
        checked => checked.map_err(|misfit| Complaint::misfit(&misfit, path)),
    }
}

/// Checks that numbers are within their ranges.
pub(super) fn check_ranges(
    ranges: &[(&str, f64, f64)],
    fields: &Map<String, Value>,
) -> Result<(), Complaint> {
    for (name, min, max) in ranges {
        let Some(value) = fields.get(*name).filter(|value| value.is_number()) else { continue };
        let number = value.as_f64().unwrap_or(f64::NAN);
        if number < *min || number > *max {
            let problem = Problem::Range { value: value.clone(), min: *min, max: *max };
            return Err(Complaint::new(*name, problem));
        }
    }
    Ok(())
}

fn check_stop(chat: &Chat<'_>) -> Result<(), Complaint> {
    match chat.given("stop") {
        Some(stop @ Value::String(_)) if !chat.rules.stop_is_text => {
            Err(Complaint::kind("stop", "an array", stop))
        }
        Some(Value::Array(stop)) if stop.len() > chat.rules.stop_max => {
            Err(Complaint::new("stop", Problem::TooMany(chat.rules.stop_max)))
        }
        Some(Value::Array(stop)) => match stop.iter().find(|text| !text.is_string()) {
            Some(text) => Err(Complaint::kind("stop", "a string", text)),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

fn check_combinations(chat: &Chat<'_>) -> Result<(), Complaint> {
    let wrong = |path: &str, reason: &str| Err(Complaint::new(path, Problem::Combination(reason.to_owned())));
    if let Some(options) = chat.given("stream_options").and_then(Value::as_object) {
        if chat.given("stream") != Some(&Value::Bool(true)) && !chat.rules.ignores_unknown {
            let reason = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
            return wrong("stream_options", reason);
        }
        check_object(chat.rules, options, chat.rules.stream_fields, "stream_options")?;
    }
    let limits = chat.rules.limits.iter().filter(|name| chat.given(name).is_some()).count();
    if limits > 1 && !chat.rules.ignores_unknown {
        let reason = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.";
        return wrong("max_tokens", reason);
    }
    let has_alternatives = chat.given("top_logprobs").is_some() && !chat.rules.ignores_unknown;
    if has_alternatives && chat.given("logprobs") != Some(&Value::Bool(true)) {
        return wrong(
            "top_logprobs",
            "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.",
        );
    }
    let has_tools = chat.given("tools").is_some();
    for name in ["parallel_tool_calls", "tool_choice"] {
        let is_given = chat.given(name).is_some_and(|value| value != "none" && value != "auto");
        if is_given && !has_tools && !chat.rules.ignores_unknown {
            let reason = format!("Invalid value for '{name}': only allowed when 'tools' are specified.");
            return wrong(name, &reason);
        }
    }
    Ok(())
}

/// Whether every object of a schema says what a strict one must; if not, what is missing.
pub(super) fn check_strict(schema: &Value, path: &str) -> Result<(), Complaint> {
    let Value::Object(object) = schema else { return Ok(()) };
    if let Some(properties) = object.get("properties").and_then(Value::as_object) {
        let wrong = |what: &str| {
            Err(Complaint::value(path, format!("Invalid schema at '{path}': {what} in a strict schema.")))
        };
        if object.get("additionalProperties") != Some(&Value::Bool(false)) {
            return wrong("'additionalProperties' is required to be supplied and to be false");
        }
        let required = object.get("required").and_then(Value::as_array);
        let is_required =
            |name: &String| required.is_some_and(|names| names.iter().any(|known| known == name));
        if !properties.keys().all(is_required) {
            return wrong("'required' is required to be supplied and to include every key in 'properties'");
        }
        for (name, property) in properties {
            check_strict(property, &join(path, name))?;
        }
    }
    object.get("items").map_or(Ok(()), |items| check_strict(items, &join(path, "items")))
}
