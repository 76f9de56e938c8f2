//! From a tree of values to [`Config`]: serde's complaints turned into sentences for people.
//!
//! Serde stops at the first thing that is wrong. An unknown key is no reason to stop, so it is noted, taken out, and
//! the rest is read again: a file with three typos is told of three typos.

use ai_warp_core::config::Config;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use super::ConfigProblem;
use super::tree::Tree;

/// Most unknown keys reported at once.
const MAX_UNKNOWN_KEYS: usize = 50;

/// Largest number of edits between a typo and the key it is taken for.
const MAX_TYPO_DISTANCE: usize = 2;

/// Keys whose values are secrets; what stands there is never repeated in a message.
const SECRET_KEYS: [&str; 11] = [
    "apiKey",
    "password",
    "accessKeyId",
    "secretAccessKey",
    "sessionToken",
    "serviceAccount",
    "privateKey",
    "apiTokens",
    "xdsTokens",
    "secret",
    "publicKey",
];

/// Reads the configuration, as far as its shape allows, and everything that is wrong with its shape.
pub(super) fn read(tree: &Tree) -> (Option<Config>, Vec<ConfigProblem>) {
    let mut value = tree.value.clone();
    let mut problems = Vec::new();
    loop {
        let error = match serde_path_to_error::deserialize::<_, Config>(&value) {
            Ok(config) => return (Some(config), problems),
            Err(error) => error,
        };
        let (path, message) = (error.path(), error.inner().to_string());
        let complaint = Complaint::parse(&message);
        let at = match &complaint {
            Complaint::Missing(field) => join(path, field),
            _ => shown(path),
        };
        let problem = match secret_place(&at) {
            Some(place) => ConfigProblem {
                path: place.to_owned(),
                text: "must be \"${NAME}\", {env: NAME} or {file: PATH} (quote a literal value)".to_owned(),
                line: tree.line(place),
            },
            None => ConfigProblem { text: complaint.text(), line: tree.line(&at), path: at },
        };
        let removed = matches!(complaint, Complaint::UnknownKey { .. }) && remove(&mut value, path);
        problems.push(problem);
        if !removed || problems.len() >= MAX_UNKNOWN_KEYS {
            return (None, problems);
        }
    }
}

/// What serde says, taken apart. The messages are those of `serde::de::Error`'s provided constructors.
enum Complaint<'a> {
    UnknownKey { key: &'a str, expected: Vec<&'a str> },
    UnknownVariant { variant: &'a str, expected: Vec<&'a str> },
    Missing(&'a str),
    Other(&'a str),
}

impl<'a> Complaint<'a> {
    fn parse(message: &'a str) -> Self {
        // Names stand between backquotes: the culprit first, then what would be valid.
        let mut quoted = message.split('`').skip(1).step_by(2);
        let first = quoted.next();
        match first {
            Some(key) if message.starts_with("unknown field ") => {
                Self::UnknownKey { key, expected: quoted.collect() }
            }
            Some(variant) if message.starts_with("unknown variant ") => {
                Self::UnknownVariant { variant, expected: quoted.collect() }
            }
            Some(field) if message.starts_with("missing field ") => Self::Missing(field),
            _ => Self::Other(message),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::UnknownKey { key, expected } => match nearest(key, expected) {
                Some(near) => format!("unknown key, did you mean \"{near}\"?"),
                None if expected.is_empty() => "unknown key".to_owned(),
                None => format!("unknown key; there is {}", expected.join(", ")),
            },
            Self::UnknownVariant { variant, expected } => match nearest(variant, expected) {
                Some(near) => format!("there is no \"{variant}\", did you mean \"{near}\"?"),
                None => format!("there is no \"{variant}\"; one of {}", expected.join(", ")),
            },
            Self::Missing(_) => "is missing".to_owned(),
            Self::Other(message) => match message.strip_prefix("invalid type: ") {
                Some(rest) if rest.starts_with("null, ") => rest.replacen("null, ", "has no value, ", 1),
                // The text itself is left out: it may be a key in the wrong place.
                Some(rest) if rest.starts_with("string ") => match rest.rsplit_once("\", ") {
                    Some((_, expected)) => format!("is a string, {expected}"),
                    None => "must be no string".to_owned(),
                },
                _ => (*message).to_owned(),
            },
        }
    }
}

/// The candidate a typo most likely stands for.
fn nearest<'a>(typo: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let typo = typo.to_lowercase();
    candidates
        .iter()
        .map(|candidate| (strsim::osa_distance(&typo, &candidate.to_lowercase()), *candidate))
        .filter(|(distance, candidate)| *distance <= MAX_TYPO_DISTANCE.min(candidate.len() / 2))
        .min()
        .map(|(_, candidate)| candidate)
}

/// The part of `path` up to a key whose value is a secret.
fn secret_place(path: &str) -> Option<&str> {
    SECRET_KEYS.iter().find_map(|key| {
        let start = path.find(&format!(".{key}"))?;
        let end = start + 1 + key.len();
        let ends_there = matches!(path.as_bytes().get(end), None | Some(b'.' | b'['));
        path.get(..end).filter(|_| ends_there)
    })
}

/// The path as people write it; empty for the root.
fn shown(path: &Path) -> String {
    if path.iter().next().is_none() { String::new() } else { path.to_string() }
}

fn join(path: &Path, field: &str) -> String {
    let path = shown(path);
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

/// Takes the key at the end of `path` out of `value`; whether it was there.
fn remove(value: &mut Value, path: &Path) -> bool {
    let mut at = value;
    let mut segments = path.iter().peekable();
    while let Some(segment) = segments.next() {
        let next = match (segment, &mut *at) {
            (Segment::Map { key }, Value::Object(object)) if segments.peek().is_none() => {
                return object.remove(key).is_some();
            }
            (Segment::Map { key }, Value::Object(object)) => object.get_mut(key),
            (Segment::Seq { index }, Value::Array(items)) => items.get_mut(*index),
            _ => None,
        };
        let Some(next) = next else { return false };
        at = next;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(yaml: &str) -> Vec<String> {
        read(&Tree::parse(yaml).unwrap()).1.iter().map(ToString::to_string).collect()
    }

    const GOOD: &str = "providers:\n  openai: {apiKey: \"${K}\"}\nmodels: [\"openai:m\"]\n";

    #[test]
    fn a_good_shape_has_no_problem() {
        let (config, problems) = read(&Tree::parse(GOOD).unwrap());
        assert!(config.is_some() && problems.is_empty());
    }

    #[test]
    fn reports_every_typo_with_path_suggestion_and_line() {
        let yaml = "providers:\n  openai: {apikey: k}\nmodels:\n  - openai:m\n  - provider: openai\n    model: n\n\
                    \x20   limits:\n      rat: {max: 1}\nlimts: {}\ncompletelyWrong: 1\n";
        assert_eq!(
            problems(yaml),
            [
                "providers.openai.apikey: unknown key, did you mean \"apiKey\"? (line 2)",
                "models[1].limits.rat: unknown key, did you mean \"rate\"? (line 8)",
                "limts: unknown key, did you mean \"limits\"? (line 9)",
                "completelyWrong: unknown key; there is server, controlPlane, console, providers, models, routes, limits, \
                 auth, clientLimits, breaker, restore, storage, streams, logging, tracing, promptPath, streamPath, \
                 headerSessionIdName (line 10)",
            ]
        );
    }

    #[test]
    fn turns_serdes_words_into_sentences() {
        for (extra, expected) in [
            (
                "storage: {type: memry}",
                "storage.type: there is no \"memry\", did you mean \"memory\"? (line 4)",
            ),
            ("storage: {type: s3}", "storage.type: there is no \"s3\"; one of none, memory, valkey (line 4)"),
            ("server: {port: 70000}", "server.port: invalid value: integer `70000`, expected u16 (line 4)"),
            ("limits:", "limits: has no value, expected struct LimitsConfig (line 4)"),
            ("storage: sk-1", "storage: is a string, expected struct StorageConfig (line 4)"),
            ("limits: {rate: {max: 1}}", "limits.rate.timeWindow: is missing (line 4)"),
            (
                "routes: [{name: r, models: [{modl: \"openai:m\"}]}]",
                "routes[0].models[0].modl: unknown key, did you mean \"model\"? (line 4)\n\
                 routes[0].models[0].model: is missing (line 4)",
            ),
            (
                "routes: [{name: r, strategy: leastbusy}]",
                "routes[0].strategy: there is no \"leastbusy\", did you mean \"leastBusy\"? (line 4)",
            ),
            (
                "limits: {onUnavailable: block}",
                "limits.onUnavailable: there is no \"block\"; one of allow, deny (line 4)",
            ),
        ] {
            assert_eq!(problems(&format!("{GOOD}{extra}\n")).join("\n"), expected, "{extra}");
        }
        assert_eq!(problems("models: []"), ["providers: is missing"]);
    }

    #[test]
    fn never_repeats_what_stands_where_a_secret_belongs() {
        for secret in ["12345678", "[12345678]", "{12345678: ~}", "{env: {12345678: 1}}"] {
            for yaml in [
                format!("providers: {{openai: {{apiKey: {secret}}}}}\nmodels: []"),
                format!("providers: {{openai: {{endpoints: [{{apiKey: {secret}}}]}}}}\nmodels: []"),
                format!("{GOOD}storage: {{valkey: {{password: {secret}}}}}"),
                format!("{GOOD}auth: {{jwt: {{secret: {secret}}}}}"),
                format!("{GOOD}auth: {{jwt: {{publicKey: {secret}}}}}"),
            ] {
                let found = problems(&yaml).join("\n");
                assert!(found.contains("must be") && !found.contains("123"), "{yaml}: {found}");
            }
        }
    }
}
