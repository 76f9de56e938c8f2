//! `ai-warp render`: configuration for Envoys that somebody else runs.

use std::path::{Path, PathBuf};

use super::link::LinkArgs;
use super::{Failure, print};
use crate::config::{load, load_without_secrets, process_env};
use crate::host_port::HostPort;
use crate::render::{Context, Document, RenderOptions, Target, render, write_secrets};
use crate::yaml;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ai-warp render --target envoy --out . --write-secrets /etc/ai-warp/secrets\n  \
                  ai-warp render --target istio --namespace edge --workload-selector istio=ingressgateway\n\
                  What each target is for: docs/meshes.md."
)]
pub(super) struct Args {
    /// What to write
    #[arg(long, value_name = "TARGET", value_enum)]
    target: Target,
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "ai-warp.yaml")]
    config: PathBuf,
    /// Write a file for each document into this folder, instead of all to stdout
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Where the gateway listens, instead of the configuration's `server`
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<HostPort>,
    /// Where Envoy's admin interface listens (envoy) [default: 127.0.0.1 and `server.adminPort`]
    #[arg(long, value_name = "HOST:PORT")]
    admin: Option<HostPort>,
    /// The filter, as Envoy sees it on its disk
    #[arg(long, value_name = "PATH", default_value = "/etc/ai-warp/filter.wasm")]
    filter: PathBuf,
    /// Where Envoy finds its secrets, a file for each
    #[arg(long, value_name = "DIR", default_value = "/etc/ai-warp/secrets")]
    secrets_dir: PathBuf,
    /// Write those files into this folder, each readable by its owner alone; otherwise no secret is written anywhere
    #[arg(long, value_name = "DIR")]
    write_secrets: Option<PathBuf>,
    /// The xDS port of a control plane, for sessions and for limits of all Envoys together; several times
    /// for several control planes
    #[arg(long, value_name = "HOST:PORT")]
    control_plane: Vec<HostPort>,
    #[command(flatten)]
    link: LinkArgs,
    /// Name of the Envoy, or of what is made on Kubernetes
    #[arg(long, value_name = "NAME", default_value = "ai-warp-gateway")]
    name: String,
    /// The Kubernetes namespace (istio, envoy-gateway, kubernetes)
    #[arg(long, value_name = "NAME", default_value = "default")]
    namespace: String,
    /// Which proxies of the mesh are configured (istio)
    #[arg(long, value_enum, default_value_t = Context::Gateway)]
    context: Context,
    /// A label of the proxies that are configured; can be repeated (istio)
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    workload_selector: Vec<(String, String)>,
    /// The virtual host that gets the routes, as it is called in Envoy (istio, envoy-gateway)
    #[arg(long, value_name = "NAME")]
    virtual_host: Option<String>,
    /// The Gateway and its listener (envoy-gateway)
    #[arg(long, value_name = "GATEWAY/LISTENER")]
    gateway: Option<String>,
    /// Image of the control plane, with the filter inside (kubernetes)
    #[arg(long, value_name = "IMAGE", default_value = concat!("ai-warp/control-plane:", env!("CARGO_PKG_VERSION")))]
    image: String,
    /// Image of Envoy (kubernetes)
    #[arg(long, value_name = "IMAGE", default_value = crate::render::ENVOY_IMAGE)]
    envoy_image: String,
    /// How many gateways (kubernetes)
    #[arg(long, value_name = "N", default_value_t = 2)]
    replicas: u32,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    // Secrets are looked for only where they are written.
    let loaded = match &args.write_secrets {
        Some(_) => load(&args.config, &process_env()),
        None => load_without_secrets(&args.config),
    };
    let loaded = loaded.map_err(Failure::config)?;
    let (config, out, secrets_folder) = (args.config.clone(), args.out.clone(), args.write_secrets.clone());
    let options = args.into_options(loaded.config.server.admin_port);
    let text = std::fs::read_to_string(&config).map_err(Failure::config)?;
    let rendered = render(&loaded, &text, &options).map_err(Failure::config)?;
    for warning in rendered.warnings.iter().chain(&loaded.warnings) {
        eprintln!("warning: {warning}");
    }
    if let Some(folder) = secrets_folder {
        for file in write_secrets(&loaded, &options, &folder).map_err(Failure::failed)? {
            eprintln!("warning: {} is not written: nobody knows what belongs there", file.name());
        }
    }
    match out {
        Some(folder) => write_all(&folder, &rendered.documents),
        None => {
            let documents = rendered.documents.iter();
            print(&yaml::stream(documents.map(|document| (document.comment.as_str(), &document.value))))
        }
    }
}

impl Args {
    fn into_options(self, admin_port: u16) -> RenderOptions {
        let admin = HostPort { host: "127.0.0.1".to_owned(), port: admin_port };
        RenderOptions {
            target: self.target,
            listen: self.listen,
            admin: self.admin.unwrap_or(admin),
            filter: self.filter,
            secrets_dir: self.secrets_dir,
            link: (!self.control_plane.is_empty()).then(|| self.link.into_link(self.control_plane)),
            name: self.name,
            namespace: self.namespace,
            context: self.context,
            workload: self.workload_selector,
            virtual_host: self.virtual_host,
            gateway: self.gateway,
            image: self.image,
            envoy_image: self.envoy_image,
            replicas: self.replicas,
        }
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".to_owned()),
    }
}

/// Writes each document into a file of `folder`.
fn write_all(folder: &Path, documents: &[Document]) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(Failure::failed)?;
    for document in documents {
        let path = folder.join(format!("{}.yaml", document.name));
        let text = yaml::stream([(document.comment.as_str(), &document.value)]);
        std::fs::write(&path, text)
            .map_err(|error| Failure::failed(format!("cannot write {}: {error}", path.display())))?;
        eprintln!("{}", path.display());
    }
    Ok(())
}
