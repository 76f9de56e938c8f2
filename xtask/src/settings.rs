//! Which configuration `up` runs with, and what has to be known of it: ports, whether any provider has a key,
//! and whether there is a console.
//!
//! xtask does not read the configuration's YAML. It asks `ai-warp validate --json`, so that there is one reader of
//! that format, and one that reports its mistakes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::process;

/// What `ai-warp validate --json` tells.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    pub(crate) server: Server,
    pub(crate) control_plane: ControlPlane,
    /// Where each Envoy lets in streams that the control plane opens; nowhere, where streams end with their clients.
    pub(crate) streams: Option<Streams>,
    #[serde(default)]
    pub(crate) console: Console,
    pub(crate) providers: BTreeMap<String, Provider>,
    /// Where the gateway takes prompts.
    #[serde(default = "default_prompt_path")]
    pub(crate) prompt_path: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Server {
    pub(crate) hostname: String,
    pub(crate) port: u16,
    pub(crate) admin_port: u16,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ControlPlane {
    pub(crate) hostname: String,
    pub(crate) port: u16,
    pub(crate) xds_port: u16,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Console {
    pub(crate) enabled: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Streams {
    pub(crate) hostname: String,
    pub(crate) port: u16,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Provider {
    pub(crate) has_key: bool,
}

fn default_prompt_path() -> String {
    "/api/v1/prompt".to_owned()
}

impl Settings {
    /// The demo's, when no configuration says otherwise.
    pub(crate) fn demo() -> Self {
        let hostname = || "127.0.0.1".to_owned();
        Self {
            server: Server { hostname: hostname(), port: 3042, admin_port: 9901 },
            control_plane: ControlPlane { hostname: hostname(), port: 18000, xds_port: 18001 },
            streams: Some(Streams { hostname: hostname(), port: 3142 }),
            console: Console { enabled: true },
            providers: BTreeMap::new(),
            prompt_path: default_prompt_path(),
        }
    }

    /// Asks the control plane's binary; a wrong configuration is an error with all that `validate` says of it.
    pub(crate) fn of(binary: &Path, config: &Path) -> Result<Self> {
        let mut validate = Command::new(binary);
        validate.args(["validate", "--json", "--config"]).arg(config);
        let json = process::capture(&mut validate)?;
        serde_json::from_str(&json).with_context(|| {
            format!("`{}` printed something unexpected: {}", process::shown(&validate), json.trim())
        })
    }

    pub(crate) fn has_key(&self) -> bool {
        self.providers.values().any(|provider| provider.has_key)
    }
}

/// The configuration file to run with, absolute: the one asked for, else `ai-warp.yaml` here, else none.
pub(crate) fn find(asked: Option<&Path>) -> Result<Option<PathBuf>> {
    let here = Path::new("ai-warp.yaml");
    let chosen = match asked {
        Some(path) if !path.is_file() => bail!("--config {}: no such file", path.display()),
        Some(path) => path,
        None if here.is_file() => here,
        None => return Ok(None),
    };
    std::path::absolute(chosen).map(Some).with_context(|| format!("cannot resolve {}", chosen.display()))
}

/// The demo's configuration: every provider is the simulator at `simulator` (`host:port`).
pub(crate) fn demo_config(settings: &Settings, simulator: &str) -> String {
    let Server { hostname, port, admin_port } = &settings.server;
    let control_plane = &settings.control_plane;
    let streams = settings.streams.as_ref().map_or_else(
        || "{resumable: false}".to_owned(),
        |streams| format!("{{hostname: \"{}\", port: {}}}", streams.hostname, streams.port),
    );
    let (api_host, api_port, xds_port) =
        (&control_plane.hostname, control_plane.port, control_plane.xds_port);
    format!(
        r#"# Made by `cargo xtask up`: every provider is the simulator, so no key is needed.
server: {{hostname: "{hostname}", port: {port}, adminPort: {admin_port}}}
controlPlane: {{hostname: "{api_host}", port: {api_port}, xdsPort: {xds_port}}}
providers:
  openai:   {{baseUrl: "http://{simulator}/openai/v1", apiKey: sim-key}}
  deepseek: {{baseUrl: "http://{simulator}/deepseek", apiKey: sim-key}}
  gemini:   {{baseUrl: "http://{simulator}/gemini/v1beta", apiKey: sim-key}}
models:
  - {{provider: openai, model: gpt-5-mini}}
  - {{provider: deepseek, model: deepseek-chat}}
  - {{provider: gemini, model: gemini-2.5-flash}}
  # The simulator's fault models, to watch a fallback: ask for models ["openai:down", "gemini:ok"].
  - {{provider: openai, model: down}}
  - {{provider: gemini, model: ok}}
storage: {{type: memory}}
streams: {streams}
console: {{enabled: true}}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_from_what_validate_prints() {
        let json = r#"{"server":{"hostname":"0.0.0.0","port":0,"adminPort":1},
            "controlPlane":{"hostname":"h","port":2,"xdsPort":3},
            "console":{"enabled":true},
            "providers":{"openai":{"hasKey":false},"gemini":{"hasKey":true}},"models":["openai:x"]}"#;
        let settings: Settings = serde_json::from_str(json).unwrap();
        assert!(settings.has_key() && settings.console.enabled);
        assert_eq!((settings.server.admin_port, settings.control_plane.xds_port), (1, 3));
        assert_eq!(settings.prompt_path, "/api/v1/prompt");
        assert!(!Settings::demo().has_key());
    }

    #[test]
    fn the_demo_config_keeps_the_ports_and_names_the_simulator() {
        let text = demo_config(&Settings::demo(), "127.0.0.1:5");
        assert!(text.contains("port: 3042, adminPort: 9901}"), "{text}");
        assert!(text.contains("\"http://127.0.0.1:5/gemini/v1beta\""), "{text}");
    }
}
