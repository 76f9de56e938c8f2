//! The Rust targets the filter and the client are compiled to.

use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// Adds `target` to the toolchain unless it is there.
pub(super) fn ensure(target: &str) -> Result<()> {
    if process::on_path("rustup").is_none() {
        return ensure_without_rustup(target);
    }
    let installed = process::capture(Command::new("rustup").args(["target", "list", "--installed"]))?;
    if installed.lines().any(|line| line.trim() == target) {
        return Ok(());
    }
    eprintln!("setup: adding the Rust target {target}");
    process::run(Command::new("rustup").args(["target", "add", target]))
}

/// A distribution's own Rust has no rustup; its standard library for the target must be there already.
fn ensure_without_rustup(target: &str) -> Result<()> {
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "target-libdir", "--target", target]);
    let folder = process::capture(&mut rustc)?;
    std::fs::metadata(folder.trim()).map(drop).with_context(|| {
        format!(
            "this Rust has no standard library for {target} (looked in {}); install it, or use rustup",
            folder.trim()
        )
    })
}
