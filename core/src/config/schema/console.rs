//! `console`: the page for people, at the control plane's public port.

use serde::Deserialize;

use super::ServerConfig;
use crate::config::{BaseUrl, BaseUrlError};

/// `console`.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ConsoleConfig {
    /// Whether it is served, at `/console` of `controlPlane.port`. What it shows asks for `controlPlane.apiTokens` as `/status`
    /// does.
    pub enabled: bool,
    /// The gateway that its prompts go to, by way of the control plane, such as `http://127.0.0.1:3042`.
    /// (default: that of `server`, on this machine)
    pub gateway: Option<String>,
}

impl ConsoleConfig {
    /// Where prompts go; `None` where nobody says, because the gateway of `server` has any free port.
    ///
    /// # Errors
    /// [`BaseUrlError`] where `gateway` is no URL.
    pub fn gateway(&self, server: &ServerConfig) -> Result<Option<BaseUrl>, BaseUrlError> {
        match &self.gateway {
            Some(url) => BaseUrl::parse(url).map(Some),
            None if server.port == 0 => Ok(None),
            None => Ok(Some(BaseUrl {
                tls: server.tls.is_some(),
                // What is bound to every address is reached by this machine's own.
                host: match server.hostname.as_str() {
                    "0.0.0.0" => "127.0.0.1".to_owned(),
                    "::" => "::1".to_owned(),
                    host => host.to_owned(),
                },
                port: server.port,
                path: String::new(),
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_go_to_the_gateway_of_the_server_unless_another_is_named() {
        for (console, server, expected) in [
            ("{}", "{}", Some("127.0.0.1:3042")),
            ("{}", r#"{"hostname": "::", "port": 1}"#, Some("[::1]:1")),
            ("{}", r#"{"hostname": "0.0.0.0", "port": 2}"#, Some("127.0.0.1:2")),
            ("{}", r#"{"port": 0}"#, None),
            (r#"{"gateway": "https://ai.example"}"#, r#"{"port": 0}"#, Some("ai.example")),
        ] {
            let console: ConsoleConfig = serde_json::from_str(console).unwrap();
            let server: ServerConfig = serde_json::from_str(server).unwrap();
            let gateway = console.gateway(&server).unwrap();
            assert_eq!(gateway.map(|gateway| gateway.authority()).as_deref(), expected);
        }
        let console = ConsoleConfig { enabled: true, gateway: Some("ai.example".to_owned()) };
        assert!(console.gateway(&ServerConfig::default()).is_err());
    }
}
