//! The configuration reference names every key that the schema has.
#![expect(clippy::unwrap_used, reason = "a failed expectation of a test is a panic")]

use ai_warp_core::config::Config;
use serde_json::Value;

/// The paths of all keys below `schema`, as the reference writes them.
fn keys(root: &Value, schema: &Value, path: &str, found: &mut Vec<String>) {
    let schema = match schema["$ref"].as_str() {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    };
    for (key, value) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        keys(root, value, &path, found);
        found.push(path);
    }
    if schema["additionalProperties"].is_object() {
        keys(root, &schema["additionalProperties"], &format!("{path}.<name>"), found);
    }
    for variant in schema["anyOf"].as_array().into_iter().flatten() {
        keys(root, variant, path, found);
    }
    if schema["items"].is_object() {
        keys(root, &schema["items"], &format!("{path}[]"), found);
    }
}

#[test]
fn the_reference_has_every_key() {
    let schema = schemars::schema_for!(Config).to_value();
    let mut found = Vec::new();
    keys(&schema, &schema, "", &mut found);
    assert!(found.len() > 40, "the schema was not read: {found:?}");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
    let reference = std::fs::read_to_string(path).unwrap();
    // A section is named by what is in it, and a group of keys may share the row of their parent.
    let has_row = |key: &str| reference.contains(&format!("`{key}`"));
    let is_section = |key: &str| found.iter().any(|deeper| deeper.starts_with(&format!("{key}.")));
    let is_named = |key: &String| {
        has_row(key) || is_section(key) || key.rsplit_once('.').is_some_and(|(parent, _)| has_row(parent))
    };
    let missing: Vec<_> = found.iter().filter(|key| !is_named(key)).collect();
    assert!(missing.is_empty(), "docs/configuration.md does not name {missing:?}");
}
