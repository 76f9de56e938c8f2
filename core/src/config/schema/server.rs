//! `server` and `controlPlane`: who listens where, and who may come in there.

use serde::Deserialize;

use crate::config::{Secret, TimeWindow};

/// `server`: the gateway's listener.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ServerConfig {
    /// Address the gateway binds.
    pub hostname: String,
    /// Port the gateway binds; an Envoy's bootstrap may say another.
    pub port: u16,
    /// Port of Envoy's admin interface, for those who start Envoy.
    pub admin_port: u16,
    /// Serves TLS in place of plain text. `clientCa` makes it mutual.
    pub tls: Option<TlsConfig>,
    /// Lets pages of other origins call the gateway from browsers.
    pub cors: Option<CorsConfig>,
}

/// `controlPlane`: the control plane's listeners.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ControlPlaneConfig {
    /// Address both ports of the control plane bind; one that a network can reach needs `xdsTokens`, or `xdsTls` with
    /// `clientCa`.
    pub hostname: String,
    /// Port of the sessions API, `/status`, `/metrics`, `/ready` and `/live`.
    pub port: u16,
    /// Port of xDS and sync, for gateways alone.
    pub xds_port: u16,
    /// Secrets of 16 characters or more: any of them, as `authorization: Bearer TOKEN`, opens the sessions API and
    /// `/status`; without any these are open on loopback, and closed elsewhere.
    pub api_tokens: Vec<Secret>,
    /// Secrets of 16 characters or more: any of them opens the xDS port to a gateway (`ai-warp bootstrap --xds-token-file` or
    /// `--xds-token-env`); several, while one takes the place of another.
    pub xds_tokens: Vec<Secret>,
    /// Serves TLS on the xDS port. `clientCa` makes it mutual.
    pub xds_tls: Option<TlsConfig>,
}

/// A certificate to serve, all of it PEM. Read anew when a file changes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TlsConfig {
    /// The certificate, and after it those that lead to its authority.
    pub certificate: Secret,
    /// Its private key.
    pub private_key: Secret,
    /// Authorities of client certificates: clients without one are refused.
    pub client_ca: Option<Secret>,
}

/// `server.cors`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CorsConfig {
    /// Origins whose pages may call the gateway from browsers, such as `https://app.example.com`; `*` is any.
    pub origins: Vec<String>,
    /// Whether browsers may send cookies; not with `*`.
    #[serde(default)]
    pub credentials: bool,
    /// How long a browser may remember the permission; at most 1d.
    #[serde(default = "default_cors_max_age")]
    pub max_age: TimeWindow,
}

fn default_cors_max_age() -> TimeWindow {
    TimeWindow::from_secs(600)
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self { hostname: "127.0.0.1".to_owned(), port: 3042, admin_port: 9901, tls: None, cors: None }
    }
}

impl Default for ControlPlaneConfig {
    fn default() -> Self {
        Self {
            hostname: "127.0.0.1".to_owned(),
            port: 18_000,
            xds_port: 18_001,
            api_tokens: Vec::new(),
            xds_tokens: Vec::new(),
            xds_tls: None,
        }
    }
}

impl ControlPlaneConfig {
    /// Whether nobody but this machine can reach the ports.
    pub fn is_loopback(&self) -> bool {
        let address: Result<std::net::IpAddr, _> = self.hostname.parse();
        address.map_or(self.hostname == "localhost", |address| address.is_loopback())
    }
}
