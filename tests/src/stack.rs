//! Everything one test needs, started together and ended together.

use std::time::Duration;

use ai_warp_simulator::{Options as SimulatorOptions, Simulator};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::client::{Gateway, Reply};
use crate::config::Config;
use crate::control_plane::ControlPlane;
use crate::envoy::{self, Envoy};
use crate::events::EventStream;
use crate::valkey::Valkey;
use crate::wait::{PATIENCE, eventually};

/// Stacks alive at once. More would only make each other slow.
const STACKS: u32 = 4;

/// How many of the simulator's last requests a failed test shows.
const SHOWN_REQUESTS: usize = 10;

static SLOTS: Semaphore = Semaphore::const_new(STACKS as usize);

/// How soon a changed configuration is in force.
pub(crate) const APPLIED_WITHIN: Duration = Duration::from_secs(1);

type ConfigChange = Box<dyn FnOnce(&mut Config) + Send>;

/// Says what a stack is made of.
#[must_use = "a builder does nothing until `start`"]
pub struct Builder {
    simulator: SimulatorOptions,
    changes: Vec<ConfigChange>,
    every_provider: bool,
    valkey: bool,
    control_planes: usize,
    bootstrap: Vec<String>,
    envoys: usize,
    concurrency: usize,
    log_level: String,
    control_plane_log: String,
    remote_code: bool,
    variables: Vec<(String, String)>,
    slots: u32,
}

impl Builder {
    /// The models, in the order in which they are tried.
    pub fn models<I: IntoIterator>(self, models: I) -> Self
    where
        I::Item: Into<Value>,
    {
        let models: Vec<Value> = models.into_iter().map(Into::into).collect();
        self.set("models", models)
    }

    /// A value of the configuration, at a path such as `limits.retry.max`.
    pub fn set(self, path: &str, value: impl Into<Value>) -> Self {
        let (path, value) = (path.to_owned(), value.into());
        self.configure(move |config| {
            config.set(&path, value);
        })
    }

    /// All simulated providers, not only three, and of each the models that tests of them ask for.
    pub fn every_provider(mut self) -> Self {
        self.every_provider = true;
        self
    }

    /// Where sessions are kept. `valkey` starts one.
    pub fn storage(mut self, kind: &str) -> Self {
        self.valkey = kind == "valkey";
        self.set("storage.type", kind)
    }

    /// Streams survive their clients.
    pub fn resumable(self) -> Self {
        self.set("streams.resumable", true)
    }

    /// Any other change of the configuration.
    pub fn configure(mut self, change: impl FnOnce(&mut Config) + Send + 'static) -> Self {
        self.changes.push(Box::new(change));
        self
    }

    /// How many control planes there are (default: one). Every Envoy knows them all.
    pub fn control_planes(mut self, control_planes: usize) -> Self {
        self.control_planes = control_planes;
        self
    }

    /// Further arguments of `ai-warp bootstrap`.
    pub fn bootstrap<I: IntoIterator>(mut self, arguments: I) -> Self
    where
        I::Item: Into<String>,
    {
        self.bootstrap.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// How many Envoys there are (default: one).
    pub fn envoys(mut self, envoys: usize) -> Self {
        self.envoys = envoys;
        self
    }

    /// Worker threads of each Envoy (default: one).
    pub fn workers(mut self, concurrency: usize) -> Self {
        self.concurrency = concurrency;
        self
    }

    /// Envoy's log level (default: info).
    pub fn envoy_log_level(mut self, level: &str) -> Self {
        level.clone_into(&mut self.log_level);
        self
    }

    /// What the control plane logs (default: debug, which costs time).
    pub fn control_plane_log(mut self, filter: &str) -> Self {
        filter.clone_into(&mut self.control_plane_log);
        self
    }

    /// An environment variable of the control plane and of every Envoy.
    pub fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// Envoy gets the filter from the control plane.
    pub fn remote_code(mut self) -> Self {
        self.remote_code = true;
        self
    }

    /// How the simulator is started.
    pub fn simulator(mut self, options: SimulatorOptions) -> Self {
        self.simulator = options;
        self
    }

    /// No other stack runs beside this one: for tests that measure.
    pub fn alone(mut self) -> Self {
        self.slots = STACKS;
        self
    }

    /// Starts everything and waits until it serves.
    pub async fn start(self) -> Stack {
        let slots = SLOTS.acquire_many(self.slots).await.expect("nobody closes the slots");
        let folder = tempfile::Builder::new().prefix("ai-warp-e2e-").tempdir().expect("no temporary folder");
        let simulator = Simulator::start(self.simulator).await.expect("the simulator starts");
        let mut config = Config::new(folder.path().join("ai-warp.yaml"), &simulator);
        if self.every_provider {
            config.add_every_provider(&simulator);
        }
        let valkey = if self.valkey { Some(Valkey::start(folder.path()).await) } else { None };
        if let Some(valkey) = &valkey {
            config.set("storage.valkey.port", valkey.port());
        }
        for change in self.changes {
            change(&mut config);
        }
        config.write();
        let start = async |number: usize| {
            let name =
                if number == 1 { "control-plane".to_owned() } else { format!("control-plane-{number}") };
            let (log, variables) = (&self.control_plane_log, &self.variables);
            ControlPlane::start(&name, folder.path(), config.path(), log, variables).await
        };
        let control_plane = start(1).await;
        let mut other_control_planes = Vec::new();
        for number in 2..=self.control_planes {
            other_control_planes.push(start(number).await);
        }
        let every = [&control_plane].into_iter().chain(&other_control_planes);
        let xds: Vec<String> = every.map(|control_plane| control_plane.xds().to_owned()).collect();
        let options = |number| envoy::Options {
            name: format!("envoy-{number}"),
            xds: xds.clone(),
            bootstrap: self.bootstrap.clone(),
            port: 0,
            concurrency: self.concurrency,
            log_level: self.log_level.clone(),
            remote_code: self.remote_code,
            variables: self.variables.clone(),
        };
        let envoys = (1..=self.envoys).map(|number| Envoy::launch(folder.path(), &options(number))).collect();
        let mut stack = Stack {
            envoys,
            control_plane,
            other_control_planes,
            valkey,
            simulator,
            config,
            folder,
            _slots: slots,
        };
        for envoy in &mut stack.envoys {
            envoy.wait_until_ready().await;
        }
        stack
    }
}

/// A running stack; ended when dropped.
pub struct Stack {
    /// The gateways.
    pub envoys: Vec<Envoy>,
    /// The control plane.
    pub control_plane: ControlPlane,
    /// Those beside it.
    pub other_control_planes: Vec<ControlPlane>,
    /// The store, where it is Valkey.
    pub valkey: Option<Valkey>,
    /// The providers.
    pub simulator: Simulator,
    /// The configuration file.
    pub config: Config,
    /// The folder of this test.
    pub folder: TempDir,
    _slots: SemaphorePermit<'static>,
}

impl Stack {
    /// One Envoy with one worker, three simulated providers with the model `openai:ok`, no retries, sessions in
    /// memory; unless said otherwise.
    pub fn builder() -> Builder {
        Builder {
            simulator: SimulatorOptions::default(),
            changes: Vec::new(),
            every_provider: false,
            valkey: false,
            control_planes: 1,
            bootstrap: Vec::new(),
            envoys: 1,
            concurrency: 1,
            log_level: "info".to_owned(),
            control_plane_log: "debug,h2=info,hyper=info,tower=info".to_owned(),
            remote_code: false,
            variables: Vec::new(),
            slots: 1,
        }
    }

    /// The first Envoy.
    pub fn envoy(&self) -> &Envoy {
        &self.envoys[0]
    }

    /// The first gateway.
    pub fn gateway(&self) -> &Gateway {
        self.envoy().gateway()
    }

    /// Asks the first gateway's prompt endpoint.
    pub async fn prompt(&self, body: Value) -> Reply {
        self.gateway().prompt(body).await
    }

    /// Asks the first gateway's streaming endpoint.
    pub async fn stream(&self, body: Value) -> EventStream {
        self.gateway().stream(body).await
    }

    /// Asks one model alone.
    pub async fn ask(&self, model: &str) -> Reply {
        self.prompt(json!({"prompt": "hi", "models": [model]})).await
    }

    /// How a model is: its state, and why it is not ready. Waits until the control plane tells of it.
    pub async fn model_state(&self, model: &str) -> (String, Option<String>) {
        eventually(&format!("/status tells of {model}"), PATIENCE, async || {
            let mut models = self.control_plane.models().await;
            let found = models.remove(model).map(|found| (found.state, found.reason));
            found.ok_or_else(|| format!("{:?}", models.keys()))
        })
        .await
    }

    /// Waits until a model is in this state for this reason, as gateways tell the control plane a moment later.
    pub async fn wait_for_model_state(&self, model: &str, state: &str, reason: Option<&str>) {
        eventually(&format!("{model} is {state} {reason:?}"), PATIENCE, async || {
            let now = self.model_state(model).await;
            let is_there = (now.0.as_str(), now.1.as_deref()) == (state, reason);
            if is_there { Ok(()) } else { Err(format!("{now:?}")) }
        })
        .await;
    }

    /// Waits until the first gateway has no request under way, see [`Envoy::wait_until_no_exchange_lives`].
    pub async fn wait_until_no_exchange_lives(&self) {
        self.envoy().wait_until_no_exchange_lives().await;
    }

    /// Changes what the filter is told, and waits until every gateway has it, a second at most.
    pub async fn reconfigure(&mut self, change: impl FnOnce(&mut Config)) {
        let control_plane = &self.control_plane;
        // A gateway serves a moment before the control plane hears that it has accepted what it serves with.
        let before = eventually("every gateway has a configuration", PATIENCE, async || {
            let versions = control_plane.filter_versions().await;
            if versions.iter().all(Option::is_some) { Ok(versions) } else { Err(format!("{versions:?}")) }
        })
        .await;
        change(&mut self.config);
        self.config.write();
        eventually("every gateway has the changed configuration", APPLIED_WITHIN, async || {
            let now = control_plane.filter_versions().await;
            let all = now.iter().zip(&before).all(|(now, before)| now.is_some() && now != before);
            if all { Ok(()) } else { Err(control_plane.status().await) }
        })
        .await;
    }

    /// Starts an Envoy beside the others and does not wait for it. `port` is its listener's.
    pub fn launch_envoy(&mut self, port: u16, remote_code: bool) {
        let options = envoy::Options {
            name: format!("envoy-{}", self.envoys.len() + 1),
            xds: vec![self.control_plane.xds().to_owned()],
            bootstrap: Vec::new(),
            port,
            concurrency: 1,
            log_level: "info".to_owned(),
            remote_code,
            variables: Vec::new(),
        };
        self.envoys.push(Envoy::launch(self.folder.path(), &options));
    }

    /// Panics with what leaked to any provider.
    #[track_caller]
    pub fn expect_no_leaks(&self) {
        for request in self.simulator.requests() {
            assert!(request.leaks.is_empty(), "leaked to a provider: {:?} in {request:?}", request.leaks);
        }
    }

    /// Models asked so far, in order, as `provider:model`.
    pub fn asked(&self) -> Vec<String> {
        let requests = self.simulator.requests();
        let id = |request: &ai_warp_simulator::RecordedRequest| {
            format!("{}:{}", request.provider.map_or("?", |provider| provider.name()), request.model)
        };
        requests.iter().map(id).collect()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        self.control_plane.print_log();
        self.other_control_planes.iter().for_each(ControlPlane::print_log);
        self.envoys.iter().for_each(Envoy::print_log);
        self.valkey.iter().for_each(Valkey::print_log);
        let requests = self.simulator.requests();
        eprintln!("--- the simulator saw {} requests, the last of them:", requests.len());
        for request in requests.iter().rev().take(SHOWN_REQUESTS).rev() {
            eprintln!("{}", request.to_json());
        }
    }
}
