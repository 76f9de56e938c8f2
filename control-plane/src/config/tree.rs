//! YAML as a tree of values that remembers on which line each one stands.
//!
//! Serde alone loses the place of a value once it is part of a struct. So the file is first read into plain JSON
//! values together with an index from path (`models[2].limits`) to line; whoever finds something wrong later, serde or
//! the compiler, names the path and gets the line from here. JSON is YAML, so one reader serves both.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::Spanned;

use super::ConfigProblem;

/// A file's values and where they stand.
#[derive(Debug)]
pub(super) struct Tree {
    /// The values; an empty file is an empty object.
    pub(super) value: Value,
    lines: BTreeMap<String, u64>,
}

impl Tree {
    /// Reads YAML.
    pub(super) fn parse(text: &str) -> Result<Self, ConfigProblem> {
        // YAML 1.1 takes a model named `y` for true; YAML 1.2 does not.
        let options = serde_saphyr::options! { strict_booleans: true };
        let root: Spanned<Node> = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
            let line = error.location().map(|location| location.line());
            // The line is told once, by us.
            let message = error.without_snippet().to_string();
            let text = message.split(" at line ").next().unwrap_or(&message);
            ConfigProblem { path: String::new(), text: format!("is no YAML: {text}"), line }
        })?;
        let mut lines = BTreeMap::new();
        let value = match flatten(root, String::new(), &mut lines) {
            Value::Null => Value::Object(serde_json::Map::new()),
            value => value,
        };
        Ok(Self { value, lines })
    }

    /// The line of `path`, or of the nearest thing around it that the file has.
    pub(super) fn line(&self, path: &str) -> Option<u64> {
        let mut path = path;
        while !path.is_empty() {
            if let Some(line) = self.lines.get(path) {
                return Some(*line);
            }
            path = path.rfind(['.', '[']).and_then(|end| path.get(..end)).unwrap_or("");
        }
        None
    }
}

/// Moves `node` to a JSON value and notes the line of everything below it under its path.
fn flatten(node: Spanned<Node>, path: String, lines: &mut BTreeMap<String, u64>) -> Value {
    // A key's line was noted by its map: it is where people look, also when the value begins on the next line.
    lines.entry(path.clone()).or_insert_with(|| node.referenced.line());
    match node.value {
        Node::Leaf(value) => value,
        Node::Sequence(items) => items
            .into_iter()
            .enumerate()
            .map(|(index, item)| flatten(item, format!("{path}[{index}]"), lines))
            .collect(),
        Node::Mapping(entries) => {
            let mut object = serde_json::Map::new();
            for (key, node) in entries {
                let below = if path.is_empty() { key.value.clone() } else { format!("{path}.{}", key.value) };
                lines.insert(below.clone(), key.referenced.line());
                object.insert(key.value, flatten(node, below, lines));
            }
            Value::Object(object)
        }
    }
}

enum Node {
    Leaf(Value),
    Sequence(Vec<Spanned<Node>>),
    Mapping(Vec<(Spanned<String>, Spanned<Node>)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NodeVisitor;

        impl<'de> Visitor<'de> for NodeVisitor {
            type Value = Node;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping, a sequence or a scalar")
            }

            fn visit_unit<E: Error>(self) -> Result<Node, E> {
                Ok(Node::Leaf(Value::Null))
            }

            fn visit_none<E: Error>(self) -> Result<Node, E> {
                Ok(Node::Leaf(Value::Null))
            }

            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
                Node::deserialize(deserializer)
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
                Ok(Node::Leaf(value.into()))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
                Ok(Node::Leaf(value.into()))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
                Ok(Node::Leaf(value.into()))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
                Ok(Node::Leaf(value.into()))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
                Ok(Node::Leaf(value.into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = access.next_element()? {
                    items.push(item);
                }
                Ok(Node::Sequence(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = access.next_entry()? {
                    entries.push(entry);
                }
                Ok(Node::Mapping(entries))
            }
        }

        deserializer.deserialize_any(NodeVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_line_of_everything() {
        let tree =
            Tree::parse("# head\na:\n  - b: 1\n    c: [x,\n        y]\n\n  - \"text\"\nd: {e: ~}\n").unwrap();
        for (path, line) in [
            ("a", 2),
            ("a[0]", 3),
            ("a[0].b", 3),
            ("a[0].c", 4),
            ("a[0].c[1]", 5),
            ("a[1]", 7),
            ("d.e", 8),
            // What is missing is looked for around its place.
            ("a[0].z", 3),
            ("d.e.f.g", 8),
            ("a[1].provider", 7),
        ] {
            assert_eq!(tree.line(path), Some(line), "{path}");
        }
        assert_eq!(tree.line("nowhere"), None);
        assert_eq!(
            tree.value,
            serde_json::json!({"a": [{"b": 1, "c": ["x", "y"]}, "text"], "d": {"e": null}})
        );
    }

    #[test]
    fn reads_json_and_nothing_at_all() {
        assert_eq!(Tree::parse("{\"a\": [1,\n 2]}").unwrap().line("a[1]"), Some(2));
        for text in ["", "# nothing\n", "~"] {
            assert_eq!(Tree::parse(text).unwrap().value, serde_json::json!({}), "{text:?}");
        }
    }

    #[test]
    fn says_on_which_line_it_stops_being_yaml() {
        for (text, line) in
            [("a: 1\na: 2\n", 2), ("a: [1\nb: 2\n", 2), ("a:\n\tb: 1", 2), ("a: 1\n---\nb: 1\n", 3)]
        {
            let problem = Tree::parse(text).unwrap_err();
            assert_eq!(problem.line, Some(line), "{text:?}: {problem}");
            assert!(
                problem.text.starts_with("is no YAML: ") && !problem.text.contains("at line"),
                "{problem}"
            );
        }
    }
}
