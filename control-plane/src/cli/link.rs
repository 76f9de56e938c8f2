//! How an Envoy reaches the control plane, as it is said on the command line.

use std::path::PathBuf;

use crate::bootstrap::{Link, LinkTls, TokenSource};
use crate::host_port::HostPort;

#[derive(Debug, clap::Args)]
pub(super) struct LinkArgs {
    /// File with one of `controlPlane.xdsTokens`, as this Envoy sees it on disk
    #[arg(long, value_name = "PATH", conflicts_with = "xds_token_env")]
    xds_token_file: Option<PathBuf>,
    /// Variable with one of `controlPlane.xdsTokens`, in this Envoy's environment
    #[arg(long, value_name = "NAME")]
    xds_token_env: Option<String>,
    /// Authorities (PEM) that sign for `controlPlane.xdsTls`, as this Envoy sees them on disk: the port speaks TLS
    #[arg(long, value_name = "PATH")]
    xds_ca: Option<PathBuf>,
    /// The name in the control plane's certificate [default: the host of --control-plane]
    #[arg(long, value_name = "NAME", requires = "xds_ca")]
    xds_server_name: Option<String>,
    /// Certificate (PEM) that this gateway shows to the control plane, as it sees it on disk
    #[arg(long, value_name = "PATH", requires_all = ["xds_ca", "xds_key"])]
    xds_certificate: Option<PathBuf>,
    /// The private key (PEM) of that certificate
    #[arg(long, value_name = "PATH", requires = "xds_certificate")]
    xds_key: Option<PathBuf>,
}

impl LinkArgs {
    /// The way to `control_planes`.
    pub(super) fn into_link(self, control_planes: Vec<HostPort>) -> Link {
        let host = control_planes.first().map(|at| at.host.clone());
        let server_name = self.xds_server_name.or(host).unwrap_or_default();
        let identity = self.xds_certificate.zip(self.xds_key);
        let tls = self.xds_ca.map(|ca| LinkTls { ca, server_name, identity });
        let from_env = self.xds_token_env.map(TokenSource::Env);
        let token = self.xds_token_file.map(TokenSource::File).or(from_env);
        Link { control_planes, token, tls }
    }
}
