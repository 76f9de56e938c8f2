//! `client`: builds the npm package of the client.
//!
//! The generator of its JavaScript is a crate of its own (`client/package`), run here: this program stays quick to compile.

use std::path::PathBuf;

use anyhow::Result;

use crate::process;
use crate::setup::{self, Need};
use crate::versions::Versions;
use crate::workspace::Workspace;

/// The variable that names the built package; `test` sets it, `up` also reads it.
pub(crate) const CLIENT: &str = "AI_WARP_CLIENT";

/// The cargo profile of its WebAssembly.
const PROFILE: &str = "browser";

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    setup::install(&[Need::WasmTarget])?;
    let package = build(workspace)?;
    println!("{}", package.display());
    Ok(())
}

/// The folder that `AI_WARP_CLIENT` names, if it does.
pub(crate) fn from_environment() -> Option<PathBuf> {
    std::env::var_os(CLIENT).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Builds the package; its folder.
pub(crate) fn build(workspace: &Workspace) -> Result<PathBuf> {
    let target = Versions::pinned()?.rust.client_target;
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--package", "ai-warp-client", "--lib", "--profile", PROFILE, "--target", &target]);
    process::run(&mut cargo)?;

    let folder = workspace.metadata()?.target_directory;
    let package = folder.join("client");
    let mut generator = workspace.cargo();
    generator.args(["run", "--quiet", "--package", "ai-warp-client-package", "--", "--module"]);
    generator.arg(folder.join(&target).join(PROFILE).join("ai_warp_client.wasm"));
    generator.arg("--repository").arg(&workspace.root).arg("--out").arg(&package);
    process::run(&mut generator)?;
    Ok(package)
}
