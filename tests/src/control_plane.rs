//! The control plane as a process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::client::{Gateway, Reply};
use crate::config::Config;
use crate::environment;
use crate::process::Process;
use crate::wait::{PATIENCE, eventually};

/// How a model is, as `/status` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelState {
    /// `ready`, `error` or `probing`.
    pub state: String,
    /// Why it is not ready.
    pub reason: Option<String>,
    /// When it is tried again, where it rests.
    pub retry_in: Option<Duration>,
    /// How often in a row it was given up.
    pub trips: u64,
}

impl ModelState {
    fn of(model: &Value) -> Self {
        let text = |key: &str| model[key].as_str().map(str::to_owned);
        Self {
            state: text("state").unwrap_or_default(),
            reason: text("reason"),
            retry_in: model["retryInMs"].as_u64().map(Duration::from_millis),
            trips: model["trips"].as_u64().unwrap_or(0),
        }
    }
}

/// A control plane; killed when dropped.
#[derive(Debug)]
pub struct ControlPlane {
    name: String,
    folder: PathBuf,
    config: PathBuf,
    filter: PathBuf,
    log_filter: String,
    variables: Vec<(String, String)>,
    process: Process,
    http: String,
    xds: String,
}

impl ControlPlane {
    /// `log_filter` says what it logs, `variables` what its environment has beside that of the test.
    pub(crate) async fn start(
        name: &str,
        folder: &Path,
        config: &Path,
        log_filter: &str,
        variables: &[(String, String)],
    ) -> Self {
        let filter = environment::filter();
        let mut process = launch(name, folder, config, &filter, log_filter, variables);
        let (http, xds) = addresses(&mut process).await;
        let (folder, config, log_filter) = (folder.to_owned(), config.to_owned(), log_filter.to_owned());
        let (name, variables) = (name.to_owned(), variables.to_vec());
        Self { name, folder, config, filter, log_filter, variables, process, http, xds }
    }

    /// `HOST:PORT` of xDS and sync.
    pub fn xds(&self) -> &str {
        &self.xds
    }

    /// Its public API.
    pub fn api(&self) -> Gateway {
        Gateway::new(&self.http)
    }

    /// `/status`.
    pub async fn status(&self) -> Value {
        self.api().get("/status").await.json()
    }

    /// How each model is, by `provider:model`; empty where `/status` does not tell.
    pub async fn models(&self) -> BTreeMap<String, ModelState> {
        let status = self.status().await;
        let models = status["models"].as_array().cloned().unwrap_or_default();
        let name = |model: &Value| model["model"].as_str().unwrap_or_default().to_owned();
        models.iter().map(|model| (name(model), ModelState::of(model))).collect()
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Tells it to end in order.
    pub fn terminate(&self) {
        self.process.signal("TERM");
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) {
        let status = self.process.ended(PATIENCE).await;
        assert!(status.success(), "{status}");
    }

    /// Halts it, so that it answers nothing, until [`resume`](Self::resume).
    pub async fn pause(&self) {
        self.process.pause().await;
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.process.resume();
    }

    /// Ends it, if it still runs, and starts it anew on the same ports, so that gateways find it again.
    pub async fn restart(&mut self, config: &mut Config) {
        self.kill();
        let port = |address: &str| address.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
        config
            .set("controlPlane.port", port(&self.http))
            .set("controlPlane.xdsPort", port(&self.xds))
            .write();
        self.process =
            launch(&self.name, &self.folder, &self.config, &self.filter, &self.log_filter, &self.variables);
        let (http, xds) = addresses(&mut self.process).await;
        assert_eq!((&http, &xds), (&self.http, &self.xds), "the control plane is back on its ports");
    }

    /// As [`restart`](Self::restart), with another build of the filter.
    pub async fn upgrade(&mut self, config: &mut Config, filter: &Path) {
        filter.clone_into(&mut self.filter);
        self.restart(config).await;
    }

    /// Waits until `count` gateways have acknowledged everything they were sent.
    pub async fn wait_for_gateways(&self, count: usize) {
        eventually("all gateways acknowledge the configuration", PATIENCE, async || {
            let status = self.status().await;
            let gateways = status["gateways"].as_array().cloned().unwrap_or_default();
            let settled = gateways.iter().filter(|gateway| is_settled(gateway)).count();
            if settled == count && gateways.len() == count { Ok(()) } else { Err(status) }
        })
        .await;
    }

    /// The version of the filter's configuration that each gateway has acknowledged; `None` while another is under way.
    pub(crate) async fn filter_versions(&self) -> Vec<Option<String>> {
        let status = self.status().await;
        let gateways = status["gateways"].as_array().cloned().unwrap_or_default();
        let version = |gateway: &Value| {
            let acknowledged = gateway["resources"]["filter"]["acknowledged"].as_str();
            acknowledged.filter(|_| is_settled(gateway)).map(str::to_owned)
        };
        gateways.iter().map(version).collect()
    }

    /// Waits until a session remembers `turns` turns; returns its history.
    pub async fn wait_for_turns(&self, session: &str, turns: usize) -> Vec<Value> {
        let path = format!("/api/v1/sessions/{session}");
        eventually(&format!("session {session} has {turns} turns"), PATIENCE, async || {
            let reply: Reply = self.api().get(&path).await;
            let history = reply.json()["history"].as_array().cloned().unwrap_or_default();
            if history.len() == turns { Ok(history) } else { Err(reply.text()) }
        })
        .await
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

/// What `ai-warp` with these arguments prints to stdout.
///
/// # Panics
/// Where it fails.
pub fn cli(arguments: &[&str]) -> String {
    let output =
        Command::new(environment::control_plane()).args(arguments).output().expect("cannot run ai-warp");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("ai-warp prints UTF-8")
}

/// Whether a gateway of `/status` has its filter configuration, and has acknowledged all that it was sent.
fn is_settled(gateway: &Value) -> bool {
    let resources = gateway["resources"].as_object().cloned().unwrap_or_default();
    resources.contains_key("filter")
        && resources.values().all(|progress| progress["sent"] == progress["acknowledged"])
}

fn launch(
    name: &str,
    folder: &Path,
    config: &Path,
    filter: &Path,
    log_filter: &str,
    variables: &[(String, String)],
) -> Process {
    let mut command = Command::new(environment::control_plane());
    command
        .args(["serve", "--announce", "--config"])
        .arg(config)
        .arg("--filter")
        .arg(filter)
        .args(environment::client_if_any().into_iter().flat_map(|client| ["--client".into(), client]))
        .env("AI_WARP_LOG", log_filter)
        .envs(variables.iter().cloned());
    Process::start(name, folder, &mut command)
}

async fn addresses(process: &mut Process) -> (String, String) {
    let announced = process.announcement().await;
    let address = |name: &str| announced[name].as_str().expect("an address is announced").to_owned();
    (address("http"), address("xds"))
}
