//! The tools of a Gemini request, and the schemas they and the answer may have.
//!
//! A schema is a subset of OpenAPI's; what JSON Schema has beyond it is an unknown name, unless it is given in a field
//! that takes real JSON Schema.

use serde_json::{Map, Value};

use super::Refusal;
use super::gemini::invalid;
use super::gemini_rules::{camel_case, get, invalid_enum, misfitting, violation};
use super::shape::{self, Kind};
use crate::answer::ToolChoice;
use crate::provider::Provider;

const TOOL_FIELDS: &[(&str, Kind)] = &[
    ("functionDeclarations", Kind::List),
    ("codeExecution", Kind::Object),
    ("computerUse", Kind::Object),
    ("enterpriseWebSearch", Kind::Object),
    ("fileSearch", Kind::Object),
    ("googleMaps", Kind::Object),
    ("googleSearch", Kind::Object),
    ("googleSearchRetrieval", Kind::Object),
    ("retrieval", Kind::Object),
    ("urlContext", Kind::Object),
];
const DECLARATION_FIELDS: &[(&str, Kind)] = &[
    ("name", Kind::Text),
    ("description", Kind::Text),
    ("behavior", Kind::Text),
    ("parameters", Kind::Object),
    ("parametersJsonSchema", Kind::Object),
    ("response", Kind::Object),
    ("responseJsonSchema", Kind::Object),
];
const SCHEMA_FIELDS: &[(&str, Kind)] = &[
    ("type", Kind::Text),
    ("format", Kind::Text),
    ("title", Kind::Text),
    ("description", Kind::Text),
    ("nullable", Kind::Bool),
    ("enum", Kind::List),
    ("items", Kind::Object),
    ("maxItems", Kind::Integer),
    ("minItems", Kind::Integer),
    ("properties", Kind::Object),
    ("required", Kind::List),
    ("minProperties", Kind::Integer),
    ("maxProperties", Kind::Integer),
    ("minLength", Kind::Integer),
    ("maxLength", Kind::Integer),
    ("pattern", Kind::Text),
    ("anyOf", Kind::List),
    ("propertyOrdering", Kind::List),
    ("minimum", Kind::Number),
    ("maximum", Kind::Number),
];
/// Fields of a schema that may hold anything.
const SCHEMA_VALUES: &[&str] = &["example", "default"];
/// What Vertex AI knows beyond that.
const VERTEX_SCHEMA_VALUES: &[&str] = &["additionalProperties", "defs", "ref"];
const TYPES: &[&str] =
    &["TYPE_UNSPECIFIED", "STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"];
const CONFIG_FIELDS: &[(&str, Kind)] = &[
    ("functionCallingConfig", Kind::Object),
    ("retrievalConfig", Kind::Object),
    ("includeServerSideToolInvocations", Kind::Bool),
];
const CALLING_FIELDS: &[(&str, Kind)] = &[
    ("mode", Kind::Text),
    ("allowedFunctionNames", Kind::List),
    ("streamFunctionCallArguments", Kind::Bool),
];
const NAME_LENGTH_MAX: usize = 64;

/// The functions of a request.
#[derive(Debug)]
pub(super) struct Tools {
    pub(super) names: Vec<String>,
    pub(super) choice: ToolChoice,
}

/// Checks the tools and how they may be called.
pub(super) fn read(
    tools: Option<&Value>,
    config: Option<&Value>,
    provider: Provider,
) -> Result<Tools, Refusal> {
    let mut names = Vec::new();
    for (index, tool) in tools.and_then(Value::as_array).into_iter().flatten().enumerate() {
        let path = format!("tools[{index}]");
        let fields = object(tool, &path)?;
        shape::check(fields, TOOL_FIELDS, camel_case).map_err(|misfit| misfitting(misfit, &path))?;
        let declarations = get(fields, "functionDeclarations").and_then(Value::as_array);
        for (position, declaration) in declarations.into_iter().flatten().enumerate() {
            let path = format!("{path}.function_declarations[{position}]");
            let name = check_declaration(object(declaration, &path)?, &path, provider)?;
            if names.contains(&name) {
                return Err(invalid(&format!("Duplicate function declaration found: {name}")));
            }
            names.push(name);
        }
    }
    let choice = choice(config, &names)?;
    Ok(Tools { names, choice })
}

fn object<'a>(value: &'a Value, path: &str) -> Result<&'a Map<String, Value>, Refusal> {
    let problem = || invalid(&format!("Invalid value at '{path}' (expected an object), {value}"));
    value.as_object().ok_or_else(problem)
}

/// The name of a declaration that keeps the rules.
fn check_declaration(fields: &Map<String, Value>, path: &str, provider: Provider) -> Result<String, Refusal> {
    shape::check(fields, DECLARATION_FIELDS, camel_case).map_err(|misfit| misfitting(misfit, path))?;
    let given = |name: &str| get(fields, name).filter(|value| !value.is_null());
    let name = given("name").and_then(Value::as_str).unwrap_or_default();
    if !is_function_name(name) {
        return Err(violation(
            &format!("{path}.name"),
            "Invalid function name. Must start with a letter or an underscore. Must be alphanumeric (a-z, A-Z, 0-9), \
             underscores (_), dots (.), colons (:), or dashes (-), with a maximum length of 64.",
        ));
    }
    if given("parameters").is_some() && given("parametersJsonSchema").is_some() {
        let problem = "only one of parameters and parameters_json_schema may be set.";
        return Err(violation(&format!("{path}.parameters"), problem));
    }
    for name in ["parameters", "response"] {
        if let Some(schema) = given(name) {
            check_schema(schema, &format!("{path}.{name}"), provider)?;
        }
    }
    let kind = given("parameters").and_then(|schema| schema.get("type")).and_then(Value::as_str);
    if kind.is_some_and(|kind| !kind.eq_ignore_ascii_case("object")) {
        let problem = "schema at top-level must be a object type.";
        return Err(violation(&format!("{path}.parameters"), problem));
    }
    Ok(name.to_owned())
}

fn is_function_name(name: &str) -> bool {
    let starts = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
    starts && name.len() <= NAME_LENGTH_MAX && name.bytes().all(fits)
}

/// Checks a schema of the OpenAPI subset, and all schemas in it.
pub(super) fn check_schema(schema: &Value, path: &str, provider: Provider) -> Result<(), Refusal> {
    let fields = object(schema, path)?;
    let is_value = |name: &str| {
        let own = provider == Provider::Vertex && VERTEX_SCHEMA_VALUES.contains(&name);
        own || SCHEMA_VALUES.contains(&name)
    };
    let typed: Map<String, Value> = fields
        .iter()
        .filter(|(name, _)| !is_value(&camel_case(name)))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    shape::check(&typed, SCHEMA_FIELDS, camel_case).map_err(|misfit| misfitting(misfit, path))?;
    let given = |name: &str| get(fields, name).filter(|value| !value.is_null());
    let kind = given("type").and_then(Value::as_str).map(str::to_ascii_uppercase);
    if let Some(kind) = kind.as_deref().filter(|kind| !TYPES.contains(kind)) {
        return Err(invalid_enum(&format!("{path}.type"), "Type", kind));
    }
    if kind.as_deref() == Some("ARRAY") && given("items").is_none() {
        return Err(violation(&format!("{path}.items"), "missing field."));
    }
    let values = given("enum").and_then(Value::as_array);
    if values.is_some_and(|values| !values.iter().all(Value::is_string)) {
        return Err(invalid_enum(&format!("{path}.enum"), "TYPE_STRING", "not a string"));
    }
    let format = given("format").and_then(Value::as_str);
    if kind.as_deref() == Some("STRING") && format.is_some_and(|name| !["enum", "date-time"].contains(&name))
    {
        let problem = "only 'enum' and 'date-time' are supported for STRING type";
        return Err(violation(&format!("{path}.format"), problem));
    }
    for (name, property) in given("properties").and_then(Value::as_object).into_iter().flatten() {
        check_schema(property, &format!("{path}.properties[{name}]"), provider)?;
    }
    for name in given("required").and_then(Value::as_array).into_iter().flatten() {
        let properties = given("properties").and_then(Value::as_object);
        if properties.is_none_or(|known| name.as_str().is_none_or(|name| !known.contains_key(name))) {
            return Err(violation(&format!("{path}.required"), "property is not defined"));
        }
    }
    let options = given("anyOf").and_then(Value::as_array).into_iter().flatten();
    options
        .chain(given("items"))
        .try_for_each(|schema| check_schema(schema, &format!("{path}.items"), provider))
}

/// Whether the model may call functions, or must.
fn choice(config: Option<&Value>, names: &[String]) -> Result<ToolChoice, Refusal> {
    let Some(config) = config else { return Ok(ToolChoice::Auto) };
    let fields = object(config, "tool_config")?;
    shape::check(fields, CONFIG_FIELDS, camel_case).map_err(|misfit| misfitting(misfit, "tool_config"))?;
    let Some(calling) = get(fields, "functionCallingConfig").and_then(Value::as_object) else {
        return Ok(ToolChoice::Auto);
    };
    let path = "tool_config.function_calling_config";
    shape::check(calling, CALLING_FIELDS, camel_case).map_err(|misfit| misfitting(misfit, path))?;
    let mode = get(calling, "mode").and_then(Value::as_str).unwrap_or("MODE_UNSPECIFIED");
    let allowed = get(calling, "allowedFunctionNames").and_then(Value::as_array);
    let allowed: Vec<&str> = allowed.into_iter().flatten().filter_map(Value::as_str).collect();
    let choice = match mode.to_ascii_uppercase().as_str() {
        "MODE_UNSPECIFIED" | "AUTO" => ToolChoice::Auto,
        "NONE" => ToolChoice::None,
        "ANY" => match allowed.as_slice() {
            [] => ToolChoice::Any,
            [name, ..] => ToolChoice::Named((*name).to_owned()),
        },
        "VALIDATED" => ToolChoice::Auto,
        _ => return Err(invalid_enum(&format!("{path}.mode"), "Mode", mode)),
    };
    if !allowed.is_empty() && !["ANY", "VALIDATED"].contains(&mode.to_ascii_uppercase().as_str()) {
        let problem = "allowed_function_names should be set only when function calling mode is ANY.";
        return Err(violation(&format!("{path}.allowed_function_names"), problem));
    }
    if let Some(unknown) = allowed.iter().find(|name| !names.iter().any(|known| known == **name)) {
        let problem = format!("{unknown} is not a declared function.");
        return Err(violation(&format!("{path}.allowed_function_names"), &problem));
    }
    if choice == ToolChoice::Any && names.is_empty() {
        return Err(invalid("Function calling config is set without function_declarations."));
    }
    Ok(choice)
}
