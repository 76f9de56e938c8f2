//! The processes: one simulator, a plain Envoy in front of it, and two gateways.
//!
//! All are release builds, started as the end-to-end tests start them. They are idle while it is not their turn.

use std::path::PathBuf;
use std::process::Command;

use ai_warp_tests::{Envoy, Process, Stack};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cpu::Clocks;
use crate::variant::{Through, Variant};

/// Largest rate the configuration accepts: what is measured is the road, not its limit.
const UNLIMITED: u32 = u32::MAX;

/// The processes; ended when dropped.
pub(crate) struct Rig {
    plain: Envoy,
    stateless: Stack,
    sessions: Stack,
    _simulator: Process,
    _folder: TempDir,
}

impl Rig {
    /// Starts everything that `variants` need, and waits until it serves.
    pub(crate) async fn start(variants: &[Variant]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("ai-warp-bench-").tempdir()?;
        let mut command = Command::new(simulator_binary()?);
        command.arg("--no-record").env("TOKIO_WORKER_THREADS", "1");
        let mut simulator = Process::start("simulator", folder.path(), &mut command);
        let announced = simulator.announcement().await;
        let address =
            announced.get("address").and_then(Value::as_str).context("the simulator announces no address")?;
        let plain = Envoy::start_plain(folder.path(), "plain-envoy", &plain_envoy(address)?).await;
        Ok(Self {
            plain,
            stateless: gateway("none", address, variants).await,
            sessions: gateway("memory", address, variants).await,
            _simulator: simulator,
            _folder: folder,
        })
    }

    /// `HOST:PORT` that clients ask.
    pub(crate) fn address(&self, through: Through) -> &str {
        match through {
            Through::Plain => self.plain.gateway().address(),
            Through::Stateless => self.stateless.gateway().address(),
            Through::Sessions => self.sessions.gateway().address(),
        }
    }

    /// The clocks of the processes behind that address, the simulator's not among them.
    pub(crate) fn clocks(&self, through: Through) -> Result<Clocks> {
        let of =
            |stack: &Stack| Clocks::of(stack.envoy().process_id(), Some(stack.control_plane.process_id()));
        match through {
            Through::Plain => Clocks::of(self.plain.process_id(), None),
            Through::Stateless => of(&self.stateless),
            Through::Sessions => of(&self.sessions),
        }
    }
}

fn simulator_binary() -> Result<PathBuf> {
    let path = std::env::var_os("AI_WARP_SIMULATOR").map(PathBuf::from);
    path.context("AI_WARP_SIMULATOR is not set; run `cargo xtask bench`")
}

async fn gateway(storage: &str, simulator: &str, variants: &[Variant]) -> Stack {
    let base_url = format!("http://{simulator}/openai/v1");
    let mut models: Vec<String> =
        variants.iter().map(|variant| format!("openai:{}", variant.model)).collect();
    models.sort();
    models.dedup();
    Stack::builder()
        .models(models)
        .storage(storage)
        .resumable()
        // All connections are one consumer.
        .set("streams.maxPerConsumer", 1_000_000)
        // What is kept of ended streams is a matter of memory, not of CPU.
        .set("streams.keep", "1s")
        .set("providers.openai.baseUrl", base_url)
        .set("limits.rate", json!({"max": UNLIMITED, "timeWindow": "1s"}))
        // What a production control plane logs.
        .control_plane_log("info")
        .start()
        .await
}

/// The least Envoy that does the same work: HTTP/1.1 on both sides, one route, the router filter, no access log.
fn plain_envoy(simulator: &str) -> Result<Value> {
    let (host, port) = simulator.rsplit_once(':').context("an address without a port")?;
    let port: u16 = port.parse().context("a port that is none")?;
    let socket = |host: &str, port: u16| json!({"socket_address": {"address": host, "port_value": port}});
    let connection_manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "plain",
        "route_config": {"virtual_hosts": [{
            "name": "plain",
            "domains": ["*"],
            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "simulator", "timeout": "0s"}}],
        }]},
        "http_filters": [{
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
        }],
    });
    Ok(json!({
        "admin": {"address": socket("127.0.0.1", 0)},
        "static_resources": {
            "listeners": [{
                // The name that the harness looks for.
                "name": "gateway",
                "address": socket("127.0.0.1", 0),
                "filter_chains": [{"filters": [{
                    "name": "envoy.filters.network.http_connection_manager",
                    "typed_config": connection_manager,
                }]}],
            }],
            "clusters": [{
                "name": "simulator",
                "load_assignment": {
                    "cluster_name": "simulator",
                    "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket(host, port)}}]}],
                },
            }],
        },
    }))
}
