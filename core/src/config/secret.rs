//! References to secrets. The configuration names where a key is; it is read only by the control plane.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Where a secret comes from. `Debug` never shows a value.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The value itself, as written in the file. Meant for local trials.
    Literal(String),
    /// The environment variable of this name: `${NAME}`, `{NAME}` or `{env: NAME}`.
    Env(String),
    /// The content of this file, without surrounding white space: `{file: PATH}`.
    File(PathBuf),
}

/// Why a secret could not be read. Names the place, never the value.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The environment variable is not set.
    #[error("environment variable {0} is not set")]
    EnvMissing(String),
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    File {
        /// The file that was named.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Secret {
    /// Reads the secret with the given sources; `None` where it is empty, which means "no secret".
    ///
    /// # Errors
    /// [`SecretError`] where the variable is not set or the file cannot be read.
    pub fn resolve(
        &self,
        env: impl Fn(&str) -> Option<String>,
        read: impl Fn(&Path) -> std::io::Result<String>,
    ) -> Result<Option<String>, SecretError> {
        let value = match self {
            Self::Literal(value) => value.clone(),
            Self::Env(name) => env(name).ok_or_else(|| SecretError::EnvMissing(name.clone()))?,
            Self::File(path) => {
                read(path).map_err(|source| SecretError::File { path: path.clone(), source })?
            }
        };
        let value = value.trim();
        Ok((!value.is_empty()).then(|| value.to_owned()))
    }

    fn from_text(text: &str) -> Self {
        let name = text
            .strip_prefix("${")
            .or_else(|| text.strip_prefix('{'))
            .and_then(|rest| rest.strip_suffix('}'))
            .filter(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
        match name {
            Some(name) => Self::Env(name.to_owned()),
            None => Self::Literal(text.to_owned()),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(_) => f.write_str("Literal(hidden)"),
            Self::Env(name) => f.debug_tuple("Env").field(name).finish(),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        enum Reference {
            Env(String),
            File(PathBuf),
        }

        struct SecretVisitor;

        impl<'de> Visitor<'de> for SecretVisitor {
            type Value = Secret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a secret: \"${NAME}\", {env: NAME} or {file: PATH}")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
                Ok(Secret::from_text(text))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Secret, A::Error> {
                Ok(match Reference::deserialize(MapAccessDeserializer::new(map))? {
                    Reference::Env(name) => Secret::Env(name),
                    Reference::File(path) => Secret::File(path),
                })
            }
        }

        deserializer.deserialize_any(SecretVisitor)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A secret: \"${NAME}\" or {env: NAME} reads an environment variable, {file: PATH} a file.",
            "oneOf": [
                {"type": "string"},
                {"type": "object", "properties": {"env": {"type": "string"}}, "required": ["env"], "additionalProperties": false},
                {"type": "object", "properties": {"file": {"type": "string"}}, "required": ["file"], "additionalProperties": false}
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_its_source_in_every_spelling() {
        for (json, expected) in [
            (r#""${OPENAI_API_KEY}""#, Secret::Env("OPENAI_API_KEY".into())),
            (r#""{OPENAI_API_KEY}""#, Secret::Env("OPENAI_API_KEY".into())),
            (r#"{"env":"KEY"}"#, Secret::Env("KEY".into())),
            (r#"{"file":"/run/key"}"#, Secret::File("/run/key".into())),
            (r#""sk-plain""#, Secret::Literal("sk-plain".into())),
        ] {
            assert_eq!(serde_json::from_str::<Secret>(json).unwrap(), expected, "{json}");
        }
        assert!(serde_json::from_str::<Secret>(r#"{"vault":"x"}"#).is_err());
    }

    #[test]
    fn resolves_trimmed_and_treats_empty_as_none() {
        let env = |name: &str| (name == "KEY").then(|| " sk-1\n".to_owned());
        let read = |_: &Path| Ok(String::new());
        assert_eq!(Secret::Env("KEY".into()).resolve(env, read).unwrap().as_deref(), Some("sk-1"));
        assert_eq!(Secret::File("/empty".into()).resolve(env, read).unwrap(), None);
        let missing = Secret::Env("OTHER".into()).resolve(env, read).unwrap_err();
        assert_eq!(missing.to_string(), "environment variable OTHER is not set");
    }

    #[test]
    fn debug_hides_the_value() {
        assert!(!format!("{:?}", Secret::Literal("sk-plain".into())).contains("sk-plain"));
    }
}
