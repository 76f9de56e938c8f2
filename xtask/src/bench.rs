//! `bench`: measures release builds, never the dev builds of `up` and `test`.

use anyhow::Result;

use crate::artifacts::{Artifacts, Profile};
use crate::process;
use crate::setup::{self, Need};
use crate::workspace::Workspace;

/// Passed through.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Arguments of the benchmark; `--help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let tools = setup::install(&[Need::WasmTarget, Need::Envoy, Need::Valkey])?;
    let artifacts = Artifacts::build(workspace, Profile::Release)?;
    let mut bench = workspace.cargo();
    bench.args(["run", "--release", "--package", "ai-warp-tests", "--bin", "ai-warp-bench", "--"]);
    bench.args(&args.arguments);
    bench.envs(artifacts.variables()).envs(tools.variables());
    // Its report is its stdout, so unlike a build's output it stays there.
    process::run_inheriting(&mut bench)
}
