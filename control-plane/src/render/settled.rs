//! What an Envoy is told, with nothing left to ask for.
//!
//! The resources are those of xDS, built by the same code. They refer to each other by "ask for it on this stream": here the
//! routes and filters that are meant are put in place, and secrets become files. This is done where such a reference stands,
//! whatever filter it belongs to; one that has no answer is an error.

use ai_warp_core::plugin::{CONTROL_PLANE_CLUSTER, SYNC_CLUSTER};
use serde_json::{Map, Value, json};

use super::secrets::SecretFiles;
use super::{RenderError, message};
use crate::xds::resources::{Kind, LISTENER, Resources};

/// Everything an Envoy is told.
#[derive(Debug, Clone)]
pub(super) struct Settled {
    /// The gateway's listener.
    pub(super) gateway: Value,
    /// The other listeners: the one of the hop.
    pub(super) others: Vec<Value>,
    /// The clusters.
    pub(super) clusters: Vec<Value>,
}

/// Puts in place what `resources` refer to, and files for secrets. The gateway's own filter comes from `control_plane`, where
/// there is one; until that answers, it is as it was rendered.
pub(super) fn settle(
    resources: &Resources,
    files: &SecretFiles,
    control_plane: Option<&Value>,
) -> Result<Settled, RenderError> {
    let settler = Settler { resources, files, control_plane };
    let all = |kind| -> Result<Vec<Value>, RenderError> {
        resources.of(kind).iter().map(|resource| settler.settle(message::json(&resource.body)?)).collect()
    };
    let mut gateway = None;
    let mut others = Vec::new();
    for listener in all(Kind::Listener)? {
        if listener.get("name").and_then(Value::as_str) == Some(LISTENER) {
            gateway = Some(listener);
        } else {
            others.push(listener);
        }
    }
    let gateway = gateway.ok_or_else(|| RenderError::Dangling(LISTENER.to_owned()))?;
    let settled = Settled { gateway, others, clusters: all(Kind::Cluster)? };
    if control_plane.is_none() {
        let calls = [&settled.gateway].into_iter().chain(&settled.others).chain(&settled.clusters);
        if let Some(path) = calls.filter_map(call_to_control_plane).next() {
            return Err(RenderError::NeedsControlPlane(path));
        }
    }
    Ok(settled)
}

struct Settler<'a> {
    resources: &'a Resources,
    files: &'a SecretFiles,
    control_plane: Option<&'a Value>,
}

impl Settler<'_> {
    fn settle(&self, value: Value) -> Result<Value, RenderError> {
        match value {
            Value::Array(list) => {
                Ok(Value::Array(list.into_iter().map(|value| self.settle(value)).collect::<Result<_, _>>()?))
            }
            Value::Object(map) => self.settle_object(map),
            scalar => Ok(scalar),
        }
    }

    fn settle_object(&self, map: Map<String, Value>) -> Result<Value, RenderError> {
        let name = map.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut settled = Map::new();
        for (key, value) in map {
            match key.as_str() {
                "rds" if is_asked_for(&value) => {
                    let routes = value.get("route_config_name").and_then(Value::as_str).unwrap_or_default();
                    settled.insert("route_config".to_owned(), self.resource(Kind::Route, routes)?);
                }
                "config_discovery" if is_asked_for(&value) => {
                    let (key, value) = self.filter(&name, value)?;
                    settled.insert(key, value);
                }
                "sds_config" if value.get("ads").is_some() => {
                    let file = self.files.of(&name).ok_or_else(|| RenderError::Dangling(name.clone()))?;
                    settled.insert("name".to_owned(), file.secret.clone().into());
                    settled.insert(key, file.source());
                }
                "remote_jwks" if self.control_plane.is_none() && is_ours(&value) => {
                    let file = self.files.token_keys().ok_or_else(|| RenderError::Dangling(key.clone()))?;
                    settled.insert("local_jwks".to_owned(), json!({"filename": file.path}));
                }
                "ads" => return Err(RenderError::Dangling(name)),
                _ => _ = settled.insert(key, self.settle(value)?),
            }
        }
        self.add_prefix(&mut settled);
        Ok(Value::Object(settled))
    }

    fn resource(&self, kind: Kind, name: &str) -> Result<Value, RenderError> {
        let found = self.resources.of(kind).iter().find(|resource| resource.name == name);
        let found = found.ok_or_else(|| RenderError::Dangling(name.to_owned()))?;
        self.settle(message::json(&found.body)?)
    }

    /// The filter of this name in place of the question for it.
    fn filter(&self, name: &str, question: Value) -> Result<(String, Value), RenderError> {
        if let Some(file) = self.files.of(name) {
            let mut filter = self.resource(Kind::Signer, name)?;
            let config = filter.get_mut("typed_config").map(Value::take).unwrap_or_default();
            return Ok(("typed_config".to_owned(), with_credentials_of(config, file.credentials())));
        }
        let mut filter = self.resource(Kind::Extension, name)?;
        let config = filter.get_mut("typed_config").map(Value::take).unwrap_or_default();
        let Some(control_plane) = self.control_plane else { return Ok(("typed_config".to_owned(), config)) };
        let mut question = question;
        if let Some(question) = question.as_object_mut() {
            question.insert("config_source".to_owned(), control_plane.clone());
            question.insert("default_config".to_owned(), config);
        }
        Ok(("config_discovery".to_owned(), question))
    }

    /// A file holds the key as the provider gave it; what stands before it in the header is said here.
    fn add_prefix(&self, settled: &mut Map<String, Value>) {
        let secret = settled.get("credential").and_then(|credential| credential.get("name"));
        let file = secret.and_then(Value::as_str).and_then(|name| self.files.named(name));
        if let Some(prefix) = file.map(|file| file.prefix).filter(|prefix| !prefix.is_empty()) {
            settled.insert("header_value_prefix".to_owned(), prefix.into());
        }
    }
}

/// Whether keys of tokens are fetched from the control plane.
fn is_ours(remote_keys: &Value) -> bool {
    remote_keys.pointer("/http_uri/cluster").and_then(Value::as_str) == Some(SYNC_CLUSTER)
}

/// Where `value` would call the control plane, as `a.b.c`.
pub(super) fn call_to_control_plane(value: &Value) -> Option<String> {
    let inside =
        |name: &str, value: &Value| call_to_control_plane(value).map(|path| format!("{name}.{path}"));
    match value {
        Value::Object(map) => map.iter().find_map(|(key, value)| match value.as_str() {
            Some(CONTROL_PLANE_CLUSTER | SYNC_CLUSTER) => Some(key.clone()),
            _ => inside(key, value),
        }),
        Value::Array(list) => {
            list.iter().enumerate().find_map(|(index, value)| inside(&index.to_string(), value))
        }
        _ => None,
    }
}

/// Whether a configuration is to be asked for on the stream of all others.
fn is_asked_for(value: &Value) -> bool {
    value.get("config_source").is_some_and(|source| source.get("ads").is_some())
}

/// The signer `config` with another source of its keys.
fn with_credentials_of(mut config: Value, provider: Value) -> Value {
    if let Some(config) = config.as_object_mut() {
        config.insert("credential_provider".to_owned(), provider);
    }
    config
}

/// The connection manager of a listener, to be changed.
pub(super) fn connection_manager(listener: &mut Value) -> Option<&mut Map<String, Value>> {
    let chains = listener.get_mut("filter_chains")?.as_array_mut()?;
    let filters = chains.first_mut()?.get_mut("filters")?.as_array_mut()?;
    let is_manager = |filter: &&mut Value| {
        filter.get("name") == Some(&json!("envoy.filters.network.http_connection_manager"))
    };
    filters.iter_mut().find(is_manager)?.get_mut("typed_config")?.as_object_mut()
}
