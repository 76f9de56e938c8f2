//! The fields of a request body, taken one by one: an error then names its field, and what is left is what the gateway
//! has no word for.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::chat::Part;
use crate::error::{ErrorCode, GatewayError};

/// Longest message about a request that is not valid, in bytes: it may quote what the client sent.
const MAX_MESSAGE: usize = 500;

/// Most fields of one object. No API has nearly as many, and each is looked for among all.
const MAX_FIELDS: usize = 256;

/// Most names of fields that are told of one request.
const MAX_UNREAD: usize = 32;

/// Names of fields inside of messages, tools and the like that the canonical chat has no word for, each once.
#[derive(Debug, Default)]
pub(super) struct Unread(Vec<String>);

impl Unread {
    /// Notes what is left of an object: `path` leads to it, as `messages.content`. What is null or an empty list says
    /// nothing.
    pub(super) fn note(&mut self, path: &str, rest: Fields<'_>) {
        for (name, value) in rest.0 {
            if matches!(value.get(), "null" | "[]") || self.0.len() == MAX_UNREAD {
                continue;
            }
            let name = format!("{path}.{name}");
            if !self.0.contains(&name) {
                self.0.push(name);
            }
        }
    }

    /// The names.
    pub(super) fn into_names(self) -> Vec<String> {
        self.0
    }
}

/// An object whose values are not read yet.
#[derive(Debug)]
pub(super) struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// Reads an object.
    pub(super) fn parse(body: &'a str) -> Result<Self, GatewayError> {
        serde_json::from_str(body).map_err(|error| {
            invalid(if error.is_data() {
                format!("the request is not valid: {error}")
            } else {
                format!("the request body is not valid JSON: {error}")
            })
        })
    }

    /// Takes the field `name`; `None` where it is missing or null.
    ///
    /// # Errors
    /// `OPTION_ERROR` about this field where it is no `T`.
    pub(super) fn take<T: Deserialize<'a>>(&mut self, name: &str) -> Result<Option<T>, GatewayError> {
        let Some(at) = self.0.iter().position(|(known, _)| known == name) else { return Ok(None) };
        let (_, value) = self.0.swap_remove(at);
        read_as(name, value.get())
    }

    /// Takes the field `name` if it is a `T`, and else leaves it among those that are not known here.
    pub(super) fn take_known<T: Deserialize<'a>>(&mut self, name: &str) -> Option<T> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        let known = serde_json::from_str(self.0.get(at)?.1.get()).ok()?;
        self.0.swap_remove(at);
        Some(known)
    }

    /// The same for one that must be there.
    pub(super) fn require<T: Deserialize<'a>>(&mut self, name: &str) -> Result<T, GatewayError> {
        self.take(name)?.ok_or_else(|| invalid_field(name, format!("{name} is missing")))
    }

    /// Where the value of each field is in `body`, of which this was read.
    pub(super) fn places(&self, body: &str) -> Vec<(String, Range<usize>)> {
        let start = body.as_ptr() as usize;
        let place = |(name, value): &(Cow<'a, str>, &'a RawValue)| {
            let at = (value.get().as_ptr() as usize).saturating_sub(start);
            (name.clone().into_owned(), at..at + value.get().len())
        };
        self.0.iter().map(place).collect()
    }

    /// Passes over fields that clients send back as they got them, and that say nothing.
    pub(super) fn pass_over(&mut self, names: &[&str]) {
        self.0.retain(|(known, _)| !names.contains(&known.as_ref()));
    }

    /// The names of what was not taken.
    pub(super) fn rest(self) -> Vec<String> {
        self.0
            .into_iter()
            .filter(|(_, value)| value.get() != "null")
            .map(|(name, _)| name.into_owned())
            .collect()
    }
}

/// Reads `json`, the value of the field `name`.
pub(super) fn read_as<'a, T: Deserialize<'a>>(name: &str, json: &'a str) -> Result<Option<T>, GatewayError> {
    serde_json::from_str(json).map_err(|error| {
        // The place is one within the value, which would only mislead.
        let error = error.to_string();
        let what = error.split(" at line ").next().unwrap_or_default();
        invalid_field(name, format!("{name}: {what}"))
    })
}

/// Text, or a list of parts that are not read yet: the two ways in which every format writes content.
pub(super) enum Content<'a> {
    /// A string.
    Text(String),
    /// A list.
    Parts(Vec<&'a RawValue>),
}

impl<'a> Content<'a> {
    /// Reads `json`, the value of the field `name`.
    pub(super) fn read(name: &str, json: &'a RawValue) -> Result<Self, GatewayError> {
        if json.get().starts_with('"') {
            return Ok(Self::Text(read_as(name, json.get())?.unwrap_or_default()));
        }
        Ok(Self::Parts(read_as(name, json.get())?.unwrap_or_default()))
    }

    /// The parts of `json`, the value of the field `name`, each read by `part`.
    pub(super) fn read_parts(
        name: &str,
        json: &'a RawValue,
        mut part: impl FnMut(&'a RawValue) -> Result<Part, GatewayError>,
    ) -> Result<Vec<Part>, GatewayError> {
        match Self::read(name, json)? {
            Self::Text(text) => Ok(vec![Part::Text(text)]),
            Self::Parts(parts) => {
                let read = parts.into_iter().enumerate().map(|(index, raw)| {
                    part(raw).map_err(|error| inside(name, &format!("{name}[{index}]"), &error))
                });
                read.collect()
            }
        }
    }
}

/// `error`, of something inside the field `name`: `path` leads there.
pub(super) fn inside(name: &str, path: &str, error: &GatewayError) -> GatewayError {
    invalid_field(name, format!("{path}.{}", error.message))
}

/// An error about the request as a whole.
pub(super) fn invalid(message: impl Into<String>) -> GatewayError {
    let mut message = message.into();
    message.truncate(message.floor_char_boundary(MAX_MESSAGE));
    GatewayError::new(ErrorCode::OptionError, message)
}

/// An error about a field.
pub(super) fn invalid_field(name: &str, message: impl Into<String>) -> GatewayError {
    GatewayError { param: Some(name.to_owned()), ..invalid(message) }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                #[derive(Deserialize)]
                struct Key<'a>(#[serde(borrow)] Cow<'a, str>);
                let mut fields: Self::Value = Vec::with_capacity(16);
                while let Some((Key(name), value)) = map.next_entry()? {
                    // As in most parsers, the last of several counts.
                    fields.retain(|(known, _)| *known != name);
                    if fields.len() == MAX_FIELDS {
                        let message = format!("an object has more than {MAX_FIELDS} fields");
                        return Err(de::Error::custom(message));
                    }
                    fields.push((name, value));
                }
                Ok(fields)
            }
        }

        deserializer.deserialize_map(FieldsVisitor).map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_has_so_many_fields_and_no_more() {
        let object = |count: usize| {
            let fields: Vec<String> = (0..count).map(|number| format!(r#""f{number}":1"#)).collect();
            format!("{{{}}}", fields.join(","))
        };
        assert_eq!(Fields::parse(&object(MAX_FIELDS)).unwrap().rest().len(), MAX_FIELDS);
        let error = Fields::parse(&object(MAX_FIELDS + 1)).unwrap_err();
        assert!(error.message.contains("more than 256 fields"), "{error}");
        let error = Fields::parse(r#"{"a":1,"a":}"#).unwrap_err();
        assert!(error.message.contains("not valid JSON"), "{error}");
        let mut fields = Fields::parse(r#"{"a":1,"b":null,"a":2}"#).unwrap();
        assert_eq!(fields.take::<u32>("a").unwrap(), Some(2), "the last of several counts");
        assert!(fields.rest().is_empty());
    }
}
