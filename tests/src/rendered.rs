//! Envoys that are started from what `ai-warp render` writes.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;

use ai_warp_simulator::{Options as SimulatorOptions, Simulator};
use serde_json::Value;
use tempfile::TempDir;

use crate::config::Config;
use crate::environment;
use crate::envoy::Envoy;

/// A configuration to render, and the providers it names.
#[derive(Debug)]
pub struct Rendering {
    /// The providers.
    pub simulator: Simulator,
    /// The configuration.
    pub config: Config,
    folder: TempDir,
}

impl Rendering {
    /// Three simulated providers, as [`Stack`](crate::Stack) has them.
    pub async fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("ai-warp-e2e-").tempdir().expect("no temporary folder");
        let simulator = Simulator::start(SimulatorOptions::default()).await.expect("the simulator starts");
        let config = Config::new(folder.path().join("ai-warp.yaml"), &simulator);
        Self { simulator, config, folder }
    }

    /// The folder of this test.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// See [`rendered`].
    pub fn render(&self, target: &str, arguments: &[&str]) -> (PathBuf, String) {
        rendered(&self.config, self.folder(), target, arguments)
    }

    /// A document of what was rendered.
    pub fn document(folder: &Path, name: &str) -> Value {
        let text = std::fs::read_to_string(folder.join(format!("{name}.yaml"))).expect("it was rendered");
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name} is no YAML: {error}"))
    }

    /// See [`start_rendered`].
    pub async fn start(&self, workers: usize, arguments: &[&str]) -> Started {
        start_rendered(&self.config, self.folder(), workers, arguments).await
    }

    /// Starts an Envoy with this configuration.
    pub async fn serve(&self, config: &[u8], workers: usize) -> Started {
        serve(self.folder(), config, workers).await
    }
}

/// Renders `config` for `target`, with what the Envoys of tests need; returns the folder with the documents, and what was
/// said.
pub fn rendered(config: &Config, folder: &Path, target: &str, arguments: &[&str]) -> (PathBuf, String) {
    config.write();
    let (out, secrets) = (folder.join(target), folder.join("secrets"));
    let paths = [&out, &secrets, &environment::filter(), config.path()];
    let [out_text, secrets, filter, config] =
        paths.map(|path| path.to_str().expect("paths of tests are text"));
    let own = ["--target", target, "--out", out_text, "--secrets-dir", secrets, "--filter", filter];
    let own = own.into_iter().chain(["--write-secrets", secrets, "--config", config]);
    let said = render(&own.chain(arguments.iter().copied()).collect::<Vec<_>>());
    (out, said)
}

/// Starts an Envoy from the whole configuration that is rendered.
pub async fn start_rendered(config: &Config, folder: &Path, workers: usize, arguments: &[&str]) -> Started {
    let (out, _) = rendered(config, folder, "envoy", arguments);
    serve(folder, &std::fs::read(out.join("envoy.yaml")).expect("it was rendered"), workers).await
}

/// Starts an Envoy with this configuration.
pub async fn serve(folder: &Path, config: &[u8], workers: usize) -> Started {
    Started(Envoy::start_from(folder, "rendered", config, workers).await)
}

/// An Envoy whose log is shown where its test fails.
#[derive(Debug)]
pub struct Started(Envoy);

impl Deref for Started {
    type Target = Envoy;

    fn deref(&self) -> &Envoy {
        &self.0
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.print_log();
        }
    }
}

/// Runs `ai-warp render`; returns what it said beside the result.
pub fn render(arguments: &[&str]) -> String {
    let output = Command::new(environment::control_plane()).arg("render").args(arguments).output();
    let output = output.expect("cannot run `ai-warp render`");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

/// Lets Envoy say whether it would start with `config`, and these variables in its environment.
///
/// # Panics
/// With its words, where it would not.
pub fn validate(config: &Path, variables: &[(&str, &str)]) {
    let output = Command::new(environment::envoy())
        .args(["--mode", "validate", "-c"])
        .arg(config)
        .envs(variables.iter().copied())
        .output();
    let output = output.expect("cannot run Envoy");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
