//! A control plane and gateways of their own on Kubernetes.
//!
//! The gateways have everything from the control plane, the filter's code included, so there is nothing to copy and nothing to
//! mount. Keys stay in a Secret that somebody else makes: the configuration names environment variables, and the control
//! plane has them from there.

mod gateway;
mod service;

use ai_warp_core::config::{Config, Secret, StorageType};
use serde_json::{Value, json};

use super::{Document, RenderError, RenderOptions, Rendered};
use crate::config::Loaded;
use crate::yaml;

/// The user that the processes run as: of the control plane's image, and of Envoy's.
const CONTROL_PLANE_USER: u32 = 10_001;
const ENVOY_USER: u32 = 101;

/// The variable with the token for the xDS port, where the configuration names none: 16 characters or more.
const XDS_TOKEN: &str = "AI_WARP_XDS_TOKEN";

/// What all documents are made of.
struct Plan<'a> {
    options: &'a RenderOptions,
    loaded: &'a Loaded,
    /// The environment variables with secrets.
    variables: Vec<String>,
}

/// Renders `loaded`, which was read from `text`.
pub(super) fn render(loaded: &Loaded, text: &str, options: &RenderOptions) -> Result<Rendered, RenderError> {
    let (server, control_plane) = (&loaded.config.server, &loaded.config.control_plane);
    if [server.port, control_plane.port, control_plane.xds_port].contains(&0) {
        return Err(RenderError::Missing(
            "server.port and the ports of controlPlane: others must know them, so not 0",
        ));
    }
    if control_plane.xds_tls.is_some() {
        return Err(RenderError::Missing(
            "controlPlane.xdsTls: is not rendered; gateways show a token, in a network of pods",
        ));
    }
    let plan = Plan { options, loaded, variables: variables(&loaded.config)? };
    let config = configuration(text)?;
    let first = Document { comment: plan.head(), ..plan.config_map("config", "ai-warp.yaml", &config) };
    let mut documents = vec![first];
    documents.extend(service::documents(&plan));
    documents.extend(gateway::documents(&plan));
    Ok(Rendered { documents, secret_files: Vec::new(), warnings: warnings(loaded) })
}

fn warnings(loaded: &Loaded) -> Vec<String> {
    let mut warnings = Vec::new();
    if loaded.config.storage.kind == StorageType::Memory {
        warnings.push(
            "storage.type: with memory there is one control plane, and sessions end with it; use valkey"
                .to_owned(),
        );
    }
    let files = loaded.gateway.providers.iter().flat_map(|provider| &provider.endpoints);
    for endpoint in files.filter(|endpoint| endpoint.ca_file.is_some()) {
        warnings.push(format!("{}: its caFile must be mounted into the gateways", endpoint.name));
    }
    warnings
}

/// The variables that the secrets of `config` come from.
fn variables(config: &Config) -> Result<Vec<String>, RenderError> {
    let of_endpoints = config.endpoint_secrets().map(|secret| (secret.path, secret.secret));
    let valkey =
        config.storage.valkey.password.clone().filter(|_| config.storage.kind == StorageType::Valkey);
    let of_valkey = valkey.map(|secret| ("storage.valkey.password".to_owned(), secret));
    let named = |path: &str, secret: &Secret| (path.to_owned(), secret.clone());
    let at = &config.control_plane;
    let tokens = at.api_tokens.iter().map(|token| named("controlPlane.apiTokens", token));
    let tokens = tokens.chain(at.xds_tokens.iter().map(|token| named("controlPlane.xdsTokens", token)));
    let tls = config.server.tls.iter().flat_map(|tls| {
        [&tls.certificate, &tls.private_key]
            .into_iter()
            .chain(&tls.client_ca)
            .map(|part| named("server.tls", part))
    });
    let jwt = config.auth.iter().flat_map(|auth| &auth.jwt);
    let keys = jwt.flat_map(|jwt| {
        let keys = [("auth.jwt.secret", &jwt.secret), ("auth.jwt.publicKey", &jwt.public_key)];
        keys.into_iter().filter_map(|(path, key)| Some(named(path, key.as_ref()?)))
    });
    let mut variables = Vec::new();
    for (path, secret) in of_endpoints.chain(of_valkey).chain(tokens).chain(tls).chain(keys) {
        match secret {
            Secret::Env(name) => variables.push(name),
            Secret::Literal(_) | Secret::File(_) => return Err(RenderError::NotFromEnvironment { path }),
        }
    }
    variables.push(xds_token(config));
    variables.sort();
    variables.dedup();
    Ok(variables)
}

/// The variable with the token that gateways show to the control plane.
fn xds_token(config: &Config) -> String {
    let configured = config.control_plane.xds_tokens.iter().find_map(|token| match token {
        Secret::Env(name) => Some(name.clone()),
        Secret::Literal(_) | Secret::File(_) => None,
    });
    configured.unwrap_or_else(|| XDS_TOKEN.to_owned())
}

/// The configuration `text` for a pod, which others must reach.
fn configuration(text: &str) -> Result<String, RenderError> {
    let mut config: Value = serde_saphyr::from_str(text)
        .map_err(|_| RenderError::Missing("the configuration can be read, and then it cannot"))?;
    if let Some(config) = config.as_object_mut() {
        for name in ["server", "controlPlane"] {
            let section = config.entry(name).or_insert(Value::Null);
            if section.is_null() {
                *section = json!({});
            }
            if let Some(section) = section.as_object_mut() {
                section.insert("hostname".to_owned(), "0.0.0.0".into());
                if name == "controlPlane" && !section.contains_key("xdsTokens") {
                    section.insert("xdsTokens".to_owned(), json!([format!("${{{XDS_TOKEN}}}")]));
                }
            }
        }
    }
    Ok(yaml::text(&config))
}

/// An environment variable out of the Secret `secret`.
fn from_secret(name: &str, secret: &str) -> Value {
    json!({"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": name}}})
}

/// A part of what is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    ControlPlane,
    Gateway,
}

impl Part {
    const fn suffix(self) -> &'static str {
        match self {
            Self::ControlPlane => "control-plane",
            Self::Gateway => "gateway",
        }
    }

    const fn user(self) -> u32 {
        match self {
            Self::ControlPlane => CONTROL_PLANE_USER,
            Self::Gateway => ENVOY_USER,
        }
    }
}

impl Plan<'_> {
    fn head(&self) -> String {
        let RenderOptions { name, namespace, image, envoy_image, .. } = self.options;
        let secret = self.name("secrets");
        let keys = match self.variables.as_slice() {
            [] => "No secret is needed.".to_owned(),
            variables => {
                let literals: Vec<String> =
                    variables.iter().map(|name| format!("--from-literal={name}=...")).collect();
                format!(
                    "To be there before: the Secret {secret}, with a key for each variable of the configuration:\n  \
                     kubectl -n {namespace} create secret generic {secret} {}",
                    literals.join(" ")
                )
            }
        };
        format!(
            "AI Warp on Kubernetes (1.25 or newer): {name}. Written by `ai-warp render --target kubernetes`.\n{keys}\n\
             Images: {image} and {envoy_image}."
        )
    }

    /// The name of something that belongs to it.
    fn name(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.options.name)
    }

    fn labels(&self, part: Part) -> Value {
        json!({
            "app.kubernetes.io/name": "ai-warp",
            "app.kubernetes.io/instance": self.options.name,
            "app.kubernetes.io/component": part.suffix(),
        })
    }

    fn metadata(&self, name: &str) -> Value {
        json!({
            "name": name,
            "namespace": self.options.namespace,
            "labels": {
                "app.kubernetes.io/name": "ai-warp",
                "app.kubernetes.io/instance": self.options.name,
                "app.kubernetes.io/version": env!("CARGO_PKG_VERSION"),
            },
        })
    }

    /// A document named after its kind and itself.
    fn document(&self, comment: &str, value: Value) -> Document {
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let name = format!("{}-{}", text("/kind"), text("/metadata/name")).to_ascii_lowercase();
        Document { name, comment: comment.to_owned(), value }
    }

    fn config_map(&self, suffix: &str, file: &str, text: &str) -> Document {
        let value = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": self.metadata(&self.name(suffix)),
            "data": {file: text},
        });
        self.document("", value)
    }

    /// A Deployment of `pod` (its containers, its volumes and so on).
    fn deployment(&self, part: Part, replicas: u32, strategy: Value, pod: Value) -> Document {
        let mut spec = json!({
            "automountServiceAccountToken": false,
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": part.user(),
                "runAsGroup": part.user(),
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "topologySpreadConstraints": [{
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": self.labels(part)},
            }],
        });
        if let (Some(spec), Value::Object(pod)) = (spec.as_object_mut(), pod) {
            spec.extend(pod);
        }
        let value = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": self.metadata(&self.name(part.suffix())),
            "spec": {
                "replicas": replicas,
                "strategy": strategy,
                "selector": {"matchLabels": self.labels(part)},
                "template": {"metadata": {"labels": self.labels(part)}, "spec": spec},
            },
        });
        self.document("", value)
    }

    fn service(&self, part: Part, ports: Value) -> Document {
        let value = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": self.metadata(&self.name(part.suffix())),
            "spec": {"selector": self.labels(part), "ports": ports},
        });
        self.document("", value)
    }

    fn disruption_budget(&self, part: Part) -> Document {
        let value = json!({
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": self.metadata(&self.name(part.suffix())),
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": self.labels(part)}},
        });
        self.document("", value)
    }

    fn network_policy(&self, part: Part, comment: &str, ingress: Value) -> Document {
        let value = json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": self.metadata(&self.name(part.suffix())),
            "spec": {
                "podSelector": {"matchLabels": self.labels(part)},
                "policyTypes": ["Ingress"],
                "ingress": ingress,
            },
        });
        self.document(comment, value)
    }
}

/// A new pod serves before an old one ends.
fn one_by_one() -> Value {
    json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}})
}

/// What no container of ours needs.
fn confined() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"]},
    })
}

/// A question by HTTP that tells how a container is.
fn probe(path: &str, port: &str, period_seconds: u32, failures: u32) -> Value {
    json!({
        "httpGet": {"path": path, "port": port},
        "periodSeconds": period_seconds,
        "failureThreshold": failures,
    })
}
