//! Envoy as a process, started as a user would: with what `ai-warp bootstrap` prints.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::address::Reserved;
use crate::client::Gateway;
use crate::environment;
use crate::metrics::Samples;
use crate::process::Process;
use crate::wait::{PATIENCE, eventually};

/// Name of the gateway's listener.
const LISTENER: &str = "gateway";

/// How often Envoy writes its access log, in milliseconds; 10 s where nothing is said.
const ACCESS_LOG_FLUSH_MS: &str = "50";

/// How an Envoy is started.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Name of the node and of the log.
    pub(crate) name: String,
    /// `HOST:PORT` of xDS of every control plane.
    pub(crate) xds: Vec<String>,
    /// Arguments of `ai-warp bootstrap` beside the others.
    pub(crate) bootstrap: Vec<String>,
    /// The listener's port; 0 takes a free one.
    pub(crate) port: u16,
    /// Worker threads.
    pub(crate) concurrency: usize,
    /// Envoy's log level.
    pub(crate) log_level: String,
    /// Whether it gets the filter from the control plane instead of the disk.
    pub(crate) remote_code: bool,
    /// Environment variables beside those of the test.
    pub(crate) variables: Vec<(String, String)>,
}

/// An Envoy; killed when dropped.
#[derive(Debug)]
pub struct Envoy {
    folder: PathBuf,
    options: Options,
    process: Process,
    admin_file: PathBuf,
    admin: Gateway,
    gateway: Gateway,
    /// Where the control plane opens streams, if one does.
    stream_port: Option<Reserved>,
}

impl Envoy {
    /// Starts it; [`wait_until_ready`](Self::wait_until_ready) is the caller's.
    pub(crate) fn launch(folder: &Path, options: &Options) -> Self {
        let (name, stream_port) = (&options.name, Reserved::new());
        let mut bootstrap = Command::new(environment::control_plane());
        bootstrap.args(["bootstrap", "--admin", "127.0.0.1:0", "--node-id", name]);
        bootstrap.args(["--port", &options.port.to_string()]).args(&options.bootstrap);
        bootstrap.args(["--stream-port", &stream_port.port().to_string()]);
        for control_plane in &options.xds {
            bootstrap.args(["--control-plane", control_plane]);
        }
        if !options.remote_code {
            bootstrap.arg("--filter").arg(environment::filter());
        }
        let output = bootstrap.output().expect("cannot run `ai-warp bootstrap`");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self { stream_port: Some(stream_port), ..Self::spawn(folder, options, &output.stdout) }
    }

    /// Where the control plane opens streams.
    ///
    /// # Panics
    /// Where this is no gateway of ours.
    pub fn stream_gateway(&self) -> Gateway {
        let port = self.stream_port.as_ref().expect("it is a gateway").port();
        Gateway::new(&format!("127.0.0.1:{port}"))
    }

    /// Ends it as a crash would, if it still runs.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Kills it and starts it anew, listening on the port it had. Returns when it serves.
    pub async fn restart(&mut self) {
        self.kill();
        let port = self.gateway.address().rsplit(':').next().and_then(|port| port.parse().ok());
        let options = Options { port: port.expect("an address has a port"), ..self.options.clone() };
        // What the one before told must not be taken for the new one's.
        std::fs::remove_file(&self.admin_file).expect("cannot remove a file");
        *self = Self::launch(&self.folder, &options);
        self.wait_until_ready().await;
    }

    /// Starts an Envoy without the gateway, for comparison: `bootstrap` is JSON whose listener is named like the
    /// gateway's. Waits until it serves.
    pub async fn start_plain(folder: &Path, name: &str, bootstrap: &Value) -> Self {
        Self::start_from(folder, name, bootstrap.to_string().as_bytes(), 1).await
    }

    /// Starts an Envoy with this configuration, YAML or JSON, and so many workers. Waits until it serves.
    pub async fn start_from(folder: &Path, name: &str, bootstrap: &[u8], concurrency: usize) -> Self {
        let options = Options {
            name: name.to_owned(),
            xds: Vec::new(),
            bootstrap: Vec::new(),
            port: 0,
            concurrency,
            log_level: "info".to_owned(),
            remote_code: false,
            variables: Vec::new(),
        };
        let mut envoy = Self::spawn(folder, &options, bootstrap);
        envoy.wait_until_ready().await;
        envoy
    }

    fn spawn(folder: &Path, options: &Options, bootstrap: &[u8]) -> Self {
        let name = &options.name;
        let config = folder.join(format!("{name}.yaml"));
        std::fs::write(&config, bootstrap).expect("cannot write the bootstrap");
        let admin_file = folder.join(format!("{name}.admin"));
        let mut command = Command::new(environment::envoy());
        command.arg("-c").arg(config).arg("--disable-hot-restart");
        command.args(["--concurrency", &options.concurrency.to_string()]);
        command.args(["-l", &options.log_level]).arg("--admin-address-path").arg(&admin_file);
        command.args(["--file-flush-interval-msec", ACCESS_LOG_FLUSH_MS]);
        command.envs(options.variables.iter().cloned());
        let process = Process::start(name, folder, &mut command);
        let gateway = Gateway::new(&format!("127.0.0.1:{}", options.port));
        Self {
            folder: folder.to_owned(),
            options: options.clone(),
            process,
            admin_file,
            admin: Gateway::new("not known yet"),
            gateway,
            stream_port: None,
        }
    }

    /// Waits until it listens and has all it needs to serve.
    pub(crate) async fn wait_until_ready(&mut self) {
        let address = eventually("Envoy tells its admin address", PATIENCE, || {
            self.process.expect_alive();
            let text = std::fs::read_to_string(&self.admin_file).unwrap_or_default();
            std::future::ready(if text.is_empty() { Err("no file yet") } else { Ok(text) })
        })
        .await;
        self.admin = Gateway::new(address.trim());
        let (admin, process) = (&self.admin, &mut self.process);
        let port = eventually("Envoy is ready", PATIENCE, async || {
            process.expect_alive();
            let ready = admin.get("/ready").await.text();
            let listeners = admin.get("/listeners?format=json").await.json();
            match (ready.trim(), listener_port(&listeners)) {
                ("LIVE", Some(port)) => Ok(port),
                _ => Err(format!("{ready} {listeners}")),
            }
        })
        .await;
        self.gateway = Gateway::new(&format!("127.0.0.1:{port}"));
    }

    /// Where it serves clients.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Its admin interface.
    pub fn admin(&self) -> &Gateway {
        &self.admin
    }

    /// A counter or gauge; 0 where it does not exist yet.
    pub async fn stat(&self, name: &str) -> u64 {
        let stats = self.admin.get(&format!("/stats?filter=^{name}$&format=json")).await.json();
        stats["stats"][0]["value"].as_u64().unwrap_or(0)
    }

    /// Its metrics for Prometheus, as text.
    pub async fn exposition(&self) -> String {
        self.admin.get("/stats/prometheus").await.text()
    }

    /// The same, taken apart.
    pub async fn metrics(&self) -> Samples {
        Samples::parse(&self.exposition().await)
    }

    /// The lines of its access log.
    ///
    /// # Panics
    /// Where one is no JSON.
    pub fn access_log(&self) -> Vec<Value> {
        let output = self.process.output();
        let lines = output.rsplit_once('\n').map_or("", |(complete, _)| complete).lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect()
    }

    /// Waits until it has told of the end of every request it got, all of them prompts, and none is left under way. The two are
    /// published together, a moment after they are so.
    pub async fn wait_until_no_exchange_lives(&self) {
        eventually("no exchange is left", PATIENCE, async || {
            let got = self.stat("http.gateway.downstream_rq_total").await;
            let told = self.sum_of_stats("wasmcustom.ai_warp_requests_total").await;
            let live = self.stat("wasmcustom.ai_warp_exchanges_live").await;
            if (told, live) == (got, 0) { Ok(()) } else { Err(format!("{told} of {got} ended, {live} live")) }
        })
        .await;
    }

    /// Waits until so many exchanges are alive, however many there were.
    pub async fn wait_until_exchanges_live(&self, count: u64) {
        eventually("so many exchanges are alive", PATIENCE, async || {
            let live = self.stat("wasmcustom.ai_warp_exchanges_live").await;
            if live == count { Ok(()) } else { Err(live) }
        })
        .await;
    }

    /// The sum of all counters whose names begin so.
    async fn sum_of_stats(&self, prefix: &str) -> u64 {
        let stats = self.admin.get(&format!("/stats?filter=^{prefix}&format=json")).await.json();
        let values = stats["stats"].as_array().into_iter().flatten();
        values.filter_map(|stat| stat["value"].as_u64()).sum()
    }

    /// Its process.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Resident memory, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        self.process.resident_bytes()
    }

    /// Everything it logged.
    pub fn log(&self) -> String {
        self.process.all_output()
    }

    pub(crate) fn print_log(&self) {
        self.process.print_log();
    }
}

fn listener_port(listeners: &Value) -> Option<u64> {
    let listeners = listeners["listener_statuses"].as_array()?;
    let gateway = listeners.iter().find(|listener| listener["name"] == LISTENER)?;
    gateway["local_address"]["socket_address"]["port_value"].as_u64()
}
