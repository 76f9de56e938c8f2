//! Node, which runs the client's tests: `$NODE`, or the one on `PATH`. It is not installed from here: every distribution has it,
//! and whoever works on the client has it already.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::versions::Version;

/// The oldest that the client's package promises to run in.
const MINIMUM: &str = "20";

/// The path of a Node that is new enough.
pub(super) fn ensure() -> Result<PathBuf> {
    let chosen = std::env::var_os("NODE").filter(|value| !value.is_empty()).map(PathBuf::from);
    let node = chosen.or_else(|| process::on_path("node"));
    let node = node.with_context(|| format!("install Node {MINIMUM} or newer, or set NODE to it"))?;
    let told = process::capture(Command::new(&node).arg("--version"))?;
    let version = told.trim().strip_prefix('v').and_then(Version::parse);
    let version = version.with_context(|| format!("{} --version printed {told}", node.display()))?;
    if Version::parse(MINIMUM).is_some_and(|minimum| version < minimum) {
        bail!("{} is Node {version}, but {MINIMUM} or newer is needed", node.display());
    }
    Ok(node)
}
