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
    // A row may stand for what is below it.
    let is_named = |key: &String| {
        let parts: Vec<&str> = key.split('.').collect();
        (1..=parts.len())
            .any(|n| reference.contains(&format!("`{}`", parts[..n].join("."))) && n + 1 >= parts.len())
            || found.iter().any(|deeper| deeper.starts_with(&format!("{key}.")))
    };
    let missing: Vec<_> = found.iter().filter(|key| !is_named(key)).collect();
    assert!(missing.is_empty(), "docs/configuration.md does not name {missing:?}");
}
