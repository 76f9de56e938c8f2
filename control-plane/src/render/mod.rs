//! `ai-warp render`: an `ai-warp.yaml` as configuration for Envoys that somebody else runs.
//!
//! What is rendered is what xDS would say: the resources are built by the same code, written as YAML, and put where each
//! target expects them, one file per target. Nothing here talks to anyone.

mod envoy;
mod envoy_gateway;
mod fragment;
mod istio;
mod kubernetes;
mod message;
mod secrets;
mod settled;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use ai_warp_core::config::{Access, Gateway, StorageType};
use ai_warp_core::plugin::{CONTROL_PLANE_CLUSTER, SYNC_CLUSTER};
use serde_json::{Value, json};

use crate::bootstrap::{self, BootstrapOptions, Link};
use crate::config::Loaded;
use crate::filter_code::FilterCode;
use crate::host_port::HostPort;
use crate::xds::resources::{Inputs, NodeTraits, build, naming};

use self::secrets::SecretFiles;
use self::settled::Settled;

pub use self::secrets::{Holds, SecretFile};

/// The image of Envoy that gateways on Kubernetes run, unless another is named.
pub const ENVOY_IMAGE: &str = "envoyproxy/envoy:v1.40.0";

/// What is rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Target {
    /// The whole configuration of an Envoy
    Envoy,
    /// What to paste into the configuration of an Envoy
    EnvoyFragment,
    /// EnvoyFilters for a gateway or sidecars of Istio
    Istio,
    /// An EnvoyPatchPolicy for a Gateway of Envoy Gateway
    EnvoyGateway,
    /// A control plane and gateways of their own on Kubernetes
    Kubernetes,
}

/// Which proxies of a mesh are configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Context {
    /// A gateway: for clients from outside
    Gateway,
    /// The sidecars of workloads: for what these ask
    Sidecar,
}

/// How it is rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderOptions {
    /// What is rendered.
    pub target: Target,
    /// Where the gateway listens, in place of the configuration's `server`.
    pub listen: Option<HostPort>,
    /// Where Envoy's admin interface listens.
    pub admin: HostPort,
    /// The filter, as Envoy sees it on its disk.
    pub filter: PathBuf,
    /// Where Envoy finds its secrets.
    pub secrets_dir: PathBuf,
    /// The way to a control plane; without one there are no sessions, and limits are each Envoy's own.
    pub link: Option<Link>,
    /// Name of the Envoy, or of what is made on Kubernetes.
    pub name: String,
    /// The Kubernetes namespace.
    pub namespace: String,
    /// Which proxies are configured (Istio).
    pub context: Context,
    /// Labels of the proxies that are configured (Istio), each with its value.
    pub workload: Vec<(String, String)>,
    /// Name of the virtual host that gets the routes (Istio, Envoy Gateway).
    pub virtual_host: Option<String>,
    /// Name of the Gateway, and of its listener (Envoy Gateway).
    pub gateway: Option<String>,
    /// Image of the control plane, which carries the filter as well (Kubernetes).
    pub image: String,
    /// Image of Envoy (Kubernetes).
    pub envoy_image: String,
    /// Gateways (Kubernetes).
    pub replicas: u32,
}

/// Why something cannot be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// A message whose fields are not known here.
    #[error("Envoy's message {0} is not known here")]
    UnknownMessage(String),
    /// A message that is not what it says.
    #[error("Envoy's message {name} cannot be written: {problem}")]
    Message {
        /// Its name.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// Something is to be asked for that nobody would answer.
    #[error("the configuration refers to {0:?}, which is not there")]
    Dangling(String),
    /// Something that nobody but the control plane can answer.
    #[error("this configuration needs a control plane (--control-plane): {0} calls it")]
    NeedsControlPlane(String),
    /// Two endpoints would have one file.
    #[error("the keys of {one} and {other} would be in one file; rename one of them")]
    SameFile {
        /// One endpoint.
        one: String,
        /// The other.
        other: String,
    },
    /// A secret that pods would not have.
    #[error("{path}: on Kubernetes secrets come from environment variables; write \"${{NAME}}\"")]
    NotFromEnvironment {
        /// Where it stands.
        path: String,
    },
    /// The target cannot do without an option.
    #[error("{0}")]
    Missing(&'static str),
    /// A file cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// One document of what was rendered.
#[derive(Debug, Clone)]
pub struct Document {
    /// A name for its file, without ending.
    pub name: String,
    /// What to do with it.
    pub comment: String,
    /// What it says.
    pub value: Value,
}

/// What was rendered.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// The documents, in the order in which they are applied.
    pub documents: Vec<Document>,
    /// The files with secrets that Envoy expects.
    pub secret_files: Vec<SecretFile>,
    /// What is not as it would be with a control plane.
    pub warnings: Vec<String>,
}

/// Renders `loaded`, which was read from `text`. Its secrets need not be known.
///
/// # Errors
/// [`RenderError`] where the target cannot say what the configuration means.
pub fn render(loaded: &Loaded, text: &str, options: &RenderOptions) -> Result<Rendered, RenderError> {
    if options.target == Target::Kubernetes {
        return kubernetes::render(loaded, text, options);
    }
    let parts = Parts::of(loaded, options)?;
    let documents = match options.target {
        Target::Envoy => envoy::documents(&parts),
        Target::EnvoyFragment => fragment::documents(&parts)?,
        Target::Istio => istio::documents(&parts)?,
        Target::EnvoyGateway => envoy_gateway::documents(&parts)?,
        Target::Kubernetes => Vec::new(),
    };
    let secret_files = parts.files.iter().cloned().collect();
    Ok(Rendered { documents, secret_files, warnings: parts.warnings })
}

/// Writes the files with the secrets of `loaded` into `folder`, for an Envoy that was rendered with `options`. Returns what
/// could not be written, for its secret is not known.
///
/// # Errors
/// [`RenderError`] where a file cannot be written.
pub fn write_secrets(
    loaded: &Loaded,
    options: &RenderOptions,
    folder: &Path,
) -> Result<Vec<SecretFile>, RenderError> {
    let (_, files) = secrets::plan(&loaded.config, &loaded.gateway, options)?;
    let unknown = secrets::write(&files, &loaded.secrets, folder);
    let unknown = unknown.map_err(|source| RenderError::Write { path: folder.to_owned(), source })?;
    Ok(unknown.into_iter().cloned().collect())
}

/// What every target puts together in its own way.
struct Parts<'a> {
    options: &'a RenderOptions,
    settled: Settled,
    files: SecretFiles,
    /// The bootstrap of an Envoy that has all the rest from elsewhere.
    bootstrap: Value,
    warnings: Vec<String>,
}

impl<'a> Parts<'a> {
    fn of(loaded: &Loaded, options: &'a RenderOptions) -> Result<Self, RenderError> {
        let filter =
            FilterCode { path: options.filter.clone(), sha256: String::new(), bytes: Vec::new().into() };
        let mut warnings = Vec::new();
        let gateway = match options.link {
            // The control plane calls them by these names, whatever it is configured with.
            Some(_) => loaded.gateway.clone().without_streams(),
            None => naming::by_content(&alone(loaded, &mut warnings), &filter),
        };
        let (destinations, files) = secrets::plan(&loaded.config, &gateway, options)?;
        if gateway.auth.as_ref().is_some_and(|auth| auth.webhook.is_some()) {
            return Err(RenderError::Missing(
                "auth.webhook: is not rendered yet; use auth.jwt or auth.apiKeys, or a gateway with a bootstrap of ours",
            ));
        }
        let mut server = loaded.config.server.clone();
        if let Some(listen) = &options.listen {
            server.hostname.clone_from(&listen.host);
            server.port = listen.port;
        }
        if options.target != Target::Envoy {
            warnings.extend(of_another_listener(loaded));
            // Its policy would be the virtual host's, and its preflights those of other sites.
            server.cors = None;
        }
        let own_tls = server.tls.as_ref().filter(|_| options.target == Target::Envoy);
        let tls = own_tls.map(secrets::stand_in_identity);
        let inputs = Inputs {
            gateway: &gateway,
            server: &server,
            stream_address: loaded.config.stream_address(),
            tls: tls.as_ref(),
            destinations: &destinations,
            inherited: &[],
            filter: &filter,
            token_keys: loaded.secrets.token_keys.as_ref(),
        };
        let (bootstrap, filters_from) = bootstrap_of(options);
        let path = options.filter.to_string_lossy().into_owned();
        let resources = build(inputs, &NodeTraits { filter_path: Some(path), ..NodeTraits::default() });
        let settled = settled::settle(&resources, &files, filters_from.as_ref())?;
        Ok(Self { options, settled, files, bootstrap, warnings })
    }

    /// The secrets of the bootstrap: the token for the control plane, where one is shown.
    fn bootstrap_secrets(&self) -> Option<&Value> {
        let secrets = self.bootstrap.pointer("/static_resources/secrets")?;
        secrets.as_array().is_some_and(|secrets| !secrets.is_empty()).then_some(secrets)
    }

    /// The clusters of the control plane, where there is one, and all others.
    fn clusters(&self) -> Vec<Value> {
        let of_bootstrap = self.bootstrap.pointer("/static_resources/clusters").and_then(Value::as_array);
        of_bootstrap.into_iter().flatten().chain(&self.settled.clusters).cloned().collect()
    }
}

/// What a listener that is somebody else's does not get from here.
fn of_another_listener(loaded: &Loaded) -> Vec<String> {
    let config = &loaded.config;
    let not_ours = [
        (
            config.server.tls.is_some(),
            "server.tls: the listener is not the gateway's own here, nor is its TLS",
        ),
        (
            config.server.cors.is_some(),
            "server.cors: is not rendered into a listener of others; say it where that is configured",
        ),
        (
            config.tracing.is_some(),
            "tracing: requests are traced as the listener's own configuration says, attempts are not told apart",
        ),
    ];
    not_ours.into_iter().filter(|(is_there, _)| *is_there).map(|(_, text)| text.to_owned()).collect()
}

/// The gateway of an Envoy without control plane, and what it does without.
fn alone(loaded: &Loaded, warnings: &mut Vec<String>) -> Gateway {
    if loaded.config.storage.kind != StorageType::None {
        warnings.push("storage: without a control plane there are no sessions (--control-plane)".to_owned());
    }
    let endpoints = loaded.gateway.providers.iter().flat_map(|provider| &provider.endpoints);
    for endpoint in endpoints {
        if matches!(endpoint.access, Access::GoogleServiceAccount | Access::GoogleMetadata) {
            let name = &endpoint.name;
            warnings.push(format!(
                "{name}: nobody renews its access token; put a fresh one into its file before an hour is over"
            ));
        }
    }
    Gateway { storage: None, shared: false, ..loaded.gateway.clone().without_streams() }
}

/// The bootstrap without anything that is asked for, and without clusters of a control plane that is not there; and where the
/// filters come from, if that is the control plane: the same that answers for all of xDS.
fn bootstrap_of(options: &RenderOptions) -> (Value, Option<Value>) {
    let nowhere = Link { control_planes: Vec::new(), token: None, tls: None };
    let mut bootstrap = bootstrap::value(&BootstrapOptions {
        link: options.link.clone().unwrap_or(nowhere),
        admin: options.admin.clone(),
        port: None,
        stream_port: None,
        filter: options.link.as_ref().map(|_| options.filter.clone()),
        node_id: options.name.clone(),
    });
    let asked = bootstrap.as_object_mut().and_then(|fields| fields.shift_remove("dynamic_resources"));
    let ads = asked.as_ref().and_then(|asked| asked.get("ads_config")).filter(|_| options.link.is_some());
    let filters_from = ads.map(|ads| {
        json!({
            "api_config_source": ads,
            // So long an Envoy that starts waits for it; then it begins with what was rendered.
            "initial_fetch_timeout": "5s",
            "resource_api_version": "V3",
        })
    });
    if options.link.is_none()
        && let Some(clusters) =
            bootstrap.pointer_mut("/static_resources/clusters").and_then(Value::as_array_mut)
    {
        let of_control_plane = [CONTROL_PLANE_CLUSTER, SYNC_CLUSTER].map(|name| json!(name));
        clusters.retain(|cluster| !of_control_plane.iter().any(|name| cluster.get("name") == Some(name)));
    }
    (bootstrap, filters_from)
}

/// What has to be there before the Envoy starts, for people.
fn needs(parts: &Parts<'_>) -> String {
    let options = parts.options;
    let mut lines = vec![format!("It needs the filter at {}.", options.filter.display())];
    for file in parts.files.iter() {
        let what = match file.holds {
            Holds::Key => "the API key of",
            Holds::Token => "a fresh access token for",
            Holds::AwsKeys => "the access keys of",
            Holds::TokenKeys => "the keys (JWKS) that tokens are checked with, of",
            Holds::Certificate => "the certificate and key of",
            Holds::ClientCa => "the authorities of clients of",
        };
        lines.push(format!("It needs {} with {what} {}.", file.path.display(), file.owner));
    }
    lines.extend(match &options.link {
        Some(link) => {
            let addresses: Vec<String> = link.control_planes.iter().map(HostPort::to_string).collect();
            let address = addresses.join(", ");
            vec![format!("Sessions, limits and changes of models, routes and limits come from the control plane at {address}.")]
        }
        None => vec!["There is no control plane: no sessions, and limits hold for each Envoy.".to_owned()],
    });
    lines.join("\n")
}

/// Name of the Secret with the files of [`SecretFiles`], on Kubernetes.
fn secret_name(parts: &Parts<'_>) -> String {
    format!("{}-secrets", parts.options.name)
}

/// How the files get to the proxies on Kubernetes, for people.
fn secret_for_kubernetes(parts: &Parts<'_>) -> String {
    let (secret, options) = (secret_name(parts), parts.options);
    let files: Vec<String> = parts.files.iter().map(|file| format!("--from-file={}", file.name())).collect();
    if files.is_empty() {
        return "No secret is needed.".to_owned();
    }
    let mut text = format!(
        "The Secret {secret} is mounted at {}, the files in it are what `--write-secrets DIR` writes:\n  \
         kubectl -n {} create secret generic {secret} {}",
        options.secrets_dir.display(),
        options.namespace,
        files.join(" ")
    );
    for file in parts.files.iter() {
        text.push_str(&format!("\n{}:\n", file.name()));
        text.extend(file.template().lines().map(|line| format!("  {line}\n")));
        text.truncate(text.trim_end().len());
    }
    text
}
