//! `ai-warp bootstrap`: what an Envoy starts with.

use std::path::PathBuf;

use super::{Failure, print};
use crate::bootstrap::{BootstrapOptions, render};
use crate::host_port::HostPort;

/// Name of a gateway on a machine that does not tell its own.
const DEFAULT_NODE_ID: &str = "ai-warp-gateway";

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: envoy --config-yaml \"$(ai-warp bootstrap --control-plane cp:18001)\"")]
pub(super) struct Args {
    /// Where the control plane's xDS port is (`controlPlane.xdsPort`)
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:18001")]
    control_plane: HostPort,
    /// Where Envoy's admin interface listens
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9901")]
    admin: HostPort,
    /// Port of this gateway's listener, instead of the configuration's `server.port`
    #[arg(long, value_name = "N")]
    port: Option<u16>,
    /// The filter as this Envoy sees it on disk, instead of the control plane's path
    #[arg(long, value_name = "PATH")]
    filter: Option<PathBuf>,
    /// Name of this gateway in the fleet [default: the host's name and the process id]
    #[arg(long, value_name = "ID")]
    node_id: Option<String>,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    print(&render(&args.into_options()))
}

impl Args {
    fn into_options(self) -> BootstrapOptions {
        BootstrapOptions {
            control_plane: self.control_plane,
            admin: self.admin,
            port: self.port,
            filter: self.filter,
            node_id: self.node_id.filter(|id| !id.is_empty()).unwrap_or_else(default_node_id),
        }
    }
}

fn default_node_id() -> String {
    let name = std::env::var("HOSTNAME").ok().or_else(|| std::fs::read_to_string("/etc/hostname").ok());
    match name.as_deref().map(str::trim) {
        Some(name) if !name.is_empty() => format!("{name}-{}", std::process::id()),
        _ => DEFAULT_NODE_ID.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn options(arguments: &[&str]) -> BootstrapOptions {
        match Cli::try_parse_from(["ai-warp", "bootstrap"].iter().chain(arguments)).unwrap().command {
            Command::Bootstrap(args) => args.into_options(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn has_defaults_for_one_machine_and_flags_for_the_rest() {
        let defaults = options(&[]);
        assert_eq!(defaults.control_plane.to_string(), "127.0.0.1:18001");
        assert_eq!(defaults.admin.to_string(), "127.0.0.1:9901");
        assert_eq!((defaults.port, defaults.filter), (None, None));
        assert!(!defaults.node_id.is_empty());

        let arguments = [
            "--control-plane",
            "cp:1",
            "--admin",
            "[::1]:2",
            "--port",
            "3",
            "--filter",
            "/f",
            "--node-id",
            "n",
        ];
        let given = options(&arguments);
        assert_eq!(given.admin.to_string(), "[::1]:2");
        assert_eq!((given.port, given.filter, given.node_id.as_str()), (Some(3), Some("/f".into()), "n"));
        assert!(Cli::try_parse_from(["ai-warp", "bootstrap", "--admin", "nonsense"]).is_err());
    }
}
