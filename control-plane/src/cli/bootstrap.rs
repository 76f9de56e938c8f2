//! `ai-warp bootstrap`: what an Envoy starts with.

use std::path::PathBuf;

use super::link::LinkArgs;
use super::{Failure, print};
use crate::bootstrap::{BootstrapOptions, render};
use crate::host_port::HostPort;

/// Name of a gateway on a machine that does not tell its own.
const DEFAULT_NODE_ID: &str = "ai-warp-gateway";

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: envoy --config-yaml \"$(ai-warp bootstrap --control-plane cp:18001)\"")]
pub(super) struct Args {
    /// Where the control plane's xDS port is (`controlPlane.xdsPort`); several times for several control planes
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:18001")]
    control_plane: Vec<HostPort>,
    #[command(flatten)]
    link: LinkArgs,
    /// Where Envoy's admin interface listens
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9901")]
    admin: HostPort,
    /// Port of this gateway's listener, instead of the configuration's `server.port`
    #[arg(long, value_name = "N")]
    port: Option<u16>,
    /// Port where this gateway lets in streams that the control plane opens, instead of the configuration's `streams.port`
    #[arg(long, value_name = "N")]
    stream_port: Option<u16>,
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
            link: self.link.into_link(self.control_plane),
            admin: self.admin,
            port: self.port,
            stream_port: self.stream_port,
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
    use crate::bootstrap::{LinkTls, TokenSource};
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
        assert_eq!(defaults.link.control_planes[0].to_string(), "127.0.0.1:18001");
        assert_eq!((defaults.link.token, defaults.link.tls), (None, None));
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
        let refused = |arguments: &[&str]| {
            Cli::try_parse_from(["ai-warp", "bootstrap"].iter().chain(arguments)).is_err()
        };
        assert!(refused(&["--admin", "nonsense"]));
        assert!(refused(&["--xds-token-file", "/t", "--xds-token-env", "T"]));
        assert!(refused(&["--xds-certificate", "/c", "--xds-key", "/k"]), "without an authority");
    }

    #[test]
    fn the_link_may_be_guarded_and_lead_to_several() {
        let arguments = "--control-plane a:1 --control-plane b:2 --xds-token-env T --xds-ca /ca --xds-certificate /c \
                         --xds-key /k";
        let link = options(&arguments.split_whitespace().collect::<Vec<_>>()).link;
        assert_eq!(link.control_planes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a:1", "b:2"]);
        assert_eq!(link.token, Some(TokenSource::Env("T".to_owned())));
        let identity = Some(("/c".into(), "/k".into()));
        assert_eq!(link.tls, Some(LinkTls { ca: "/ca".into(), server_name: "a".to_owned(), identity }));
    }
}
