//! The configuration reference is what the schema says, so that neither can be ahead of the other.
//!
//! `UPDATE_DOCS=1 cargo test -p ai-warp --test reference` writes it.
#![expect(clippy::unwrap_used, reason = "a failed expectation of a test is a panic")]

use std::collections::BTreeMap;

use ai_warp_core::config::Config;
use serde_json::Value;

/// Where the table stands in the reference.
const START: &str = "<!-- keys -->\n";
const END: &str = "<!-- /keys -->";

/// One key.
struct Row {
    path: String,
    default: String,
    meaning: String,
}

/// Collects the keys of the schema.
struct Walk<'a> {
    root: &'a Value,
    /// The shortest path of each named type: where its keys are told.
    homes: BTreeMap<&'a str, String>,
    rows: Vec<Row>,
}

impl<'a> Walk<'a> {
    fn resolve(&self, schema: &'a Value) -> (Option<&'a str>, &'a Value) {
        match schema["$ref"].as_str() {
            Some(reference) => {
                (reference.rsplit('/').next(), self.root.pointer(reference.trim_start_matches('#')).unwrap())
            }
            None => (None, schema),
        }
    }

    /// Notes where each type is told, `path` being where `schema` stands.
    fn find_homes(&mut self, schema: &'a Value, path: &str) {
        let (name, schema) = self.resolve(schema);
        if let Some(name) = name {
            let home = self.homes.entry(name).or_insert_with(|| path.to_owned());
            if depth(path) < depth(home) {
                path.clone_into(home);
            }
        }
        for (deeper, schema) in children(schema, path) {
            self.find_homes(schema, &deeper);
        }
    }

    fn find_rows(&mut self, schema: &'a Value, path: &str) {
        let (name, schema) = self.resolve(schema);
        let is_elsewhere = name.and_then(|name| self.homes.get(name)).is_some_and(|home| home != path);
        if is_elsewhere {
            return;
        }
        for (key, value) in schema["properties"].as_object().into_iter().flatten() {
            let path = join(path, key);
            self.row(&path, value);
            self.find_rows(value, &path);
        }
        for (deeper, schema) in children(schema, path) {
            if !schema.is_null() && !is_property(&deeper, path) {
                self.find_rows(schema, &deeper);
            }
        }
    }

    fn row(&mut self, path: &str, schema: &'a Value) {
        let text = schema["description"].as_str().unwrap_or_default().replace('\n', " ");
        let (text, told) = match text.rsplit_once("(default: ") {
            Some((text, default)) => (text.trim_end().to_owned(), default.trim_end_matches(')').to_owned()),
            None => (text, String::new()),
        };
        let default = match &schema["default"] {
            Value::Null => told,
            Value::Array(list) if list.is_empty() => String::new(),
            Value::Object(map) if map.is_empty() => String::new(),
            Value::String(text) if text.is_empty() => String::new(),
            Value::String(text) => format!("`{text}`"),
            other => format!("`{other}`"),
        };
        let types = std::iter::once(schema).chain(schema["anyOf"].as_array().into_iter().flatten());
        let mut homes = types.filter_map(|schema| {
            let (name, resolved) = self.resolve(schema);
            let home = self.homes.get(name?)?;
            (home != path && resolved["properties"].is_object()).then(|| format!(" As `{home}`."))
        });
        let meaning = format!("{text}{}", homes.next().unwrap_or_default()).replace('|', "\\|");
        self.rows.push(Row { path: path.to_owned(), default, meaning });
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn depth(path: &str) -> usize {
    path.split('.').count()
}

/// The schemas right below `schema`, with their paths.
fn children<'a>(schema: &'a Value, path: &str) -> Vec<(String, &'a Value)> {
    let properties = schema["properties"].as_object().into_iter().flatten();
    let mut found: Vec<_> = properties.map(|(key, value)| (join(path, key), value)).collect();
    if schema["additionalProperties"].is_object() {
        found.push((format!("{path}.<name>"), &schema["additionalProperties"]));
    }
    if schema["items"].is_object() {
        found.push((format!("{path}[]"), &schema["items"]));
    }
    found.extend(schema["anyOf"].as_array().into_iter().flatten().map(|schema| (path.to_owned(), schema)));
    found
}

fn is_property(deeper: &str, path: &str) -> bool {
    path.is_empty()
        || deeper.strip_prefix(path).is_some_and(|rest| rest.starts_with('.') && !rest.starts_with(".<"))
}

fn table() -> String {
    let schema = schemars::schema_for!(Config).to_value();
    let mut walk = Walk { root: &schema, homes: BTreeMap::new(), rows: Vec::new() };
    walk.find_homes(&schema, "");
    walk.find_rows(&schema, "");
    assert!(walk.rows.len() > 40, "the schema was not read");
    let mut table = "| key | default | meaning |\n|---|---|---|\n".to_owned();
    for Row { path, default, meaning } in &walk.rows {
        assert!(!meaning.is_empty(), "{path} has no description");
        table.push_str(&format!("| `{path}` | {default} | {meaning} |\n"));
    }
    table
}

#[test]
fn the_reference_is_what_the_schema_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
    let reference = std::fs::read_to_string(path).unwrap();
    let (before, rest) = reference.split_once(START).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let expected = format!("{before}{START}{}{END}{after}", table());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &expected).unwrap();
    } else {
        assert_eq!(
            reference, expected,
            "the reference is out of date: `UPDATE_DOCS=1 cargo test -p ai-warp --test reference` writes it"
        );
    }
}
