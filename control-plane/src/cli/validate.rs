//! `ai-warp validate`: the checks of `serve`, without serving.

use std::path::PathBuf;

use ai_warp_core::config::{Endpoint, StorageType};
use serde_json::{Map, Value, json};

use super::{Failure, print};
use crate::config::{Loaded, load, process_env};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "ai-warp.yaml")]
    config: PathBuf,
    /// Print what the configuration means as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let loaded = load(&args.config, &process_env()).map_err(Failure::config)?;
    for warning in &loaded.warnings {
        eprintln!("warning: {warning}");
    }
    if args.json {
        return print(&format!("{}\n", summary(&loaded)));
    }
    print(&format!(
        "{} is valid: {}, {}, storage {}\n",
        args.config.display(),
        count(loaded.gateway.providers.len(), "provider"),
        count(loaded.gateway.models.len(), "model"),
        storage(&loaded),
    ))
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

fn storage(loaded: &Loaded) -> &'static str {
    match loaded.config.storage.kind {
        StorageType::None => "none",
        StorageType::Memory => "memory",
        StorageType::Valkey => "valkey",
    }
}

fn summary(loaded: &Loaded) -> Value {
    let (server, control_plane) = (&loaded.config.server, &loaded.config.control_plane);
    let providers: Map<String, Value> = loaded
        .gateway
        .providers
        .iter()
        .map(|provider| {
            let has_key = |endpoint: &Endpoint| loaded.has_credential(endpoint);
            let endpoints: Vec<_> = provider
                .endpoints
                .iter()
                .map(|endpoint| {
                    let base_url = endpoint.base_url.to_string();
                    json!({"name": endpoint.name, "baseUrl": base_url, "hasKey": has_key(endpoint)})
                })
                .collect();
            // Whether anything can be asked of it.
            let any_key = provider.endpoints.iter().any(has_key);
            (provider.name.clone(), json!({"hasKey": any_key, "endpoints": endpoints}))
        })
        .collect();
    let models: Vec<_> = loaded.gateway.models.iter().map(|model| &model.id).collect();
    let routes: Vec<_> = loaded.gateway.routes.iter().map(|route| &route.name).collect();
    json!({
        "server": {"hostname": server.hostname, "port": server.port, "adminPort": server.admin_port},
        "controlPlane": {
            "hostname": control_plane.hostname,
            "port": control_plane.port,
            "xdsPort": control_plane.xds_port,
        },
        "streams": loaded.gateway.streams.as_ref().map(|streams| {
            json!({"hostname": loaded.config.stream_address(), "port": streams.port})
        }),
        "console": {"enabled": loaded.config.console.enabled},
        "providers": providers,
        "models": models,
        "routes": routes,
        "storage": storage(loaded),
    })
}
