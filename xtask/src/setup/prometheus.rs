//! Prometheus and its promtool, which look at the metrics in the tests: `$PROMTOOL`, or Debian's package.
//!
//! Only where Debian cannot be reached are those checks skipped.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::apt::PrivateApt;
use super::{Found, cache_dir, chosen, work_dir};
use crate::process;

/// The package, whose programs need no library.
const PACKAGE: &str = "prometheus";

/// The path of promtool, unpacking Debian's if there is none.
pub(super) fn ensure() -> Result<Found> {
    if let Some(program) = chosen("PROMTOOL", "promtool")? {
        return Ok(Found::At(program));
    }
    let folder = cache_dir()?.join(PACKAGE);
    let cached = folder.join("usr/bin/promtool");
    if runs(&cached) {
        return Ok(Found::At(cached));
    }
    eprintln!("setup: unpacking Prometheus to {}", folder.display());
    let work = work_dir()?;
    let package = match download(work.path()) {
        Ok(package) => package,
        Err(error) => {
            return Ok(Found::Skipped(format!("Debian's packages cannot be had: {error:#}").into()));
        }
    };
    let unpacked = work.path().join("unpacked");
    process::run(Command::new("dpkg-deb").arg("-x").arg(package).arg(&unpacked))?;
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot replace {}", folder.display()))?;
    }
    match std::fs::rename(&unpacked, &folder) {
        // A setup running beside this one was faster; its result is as good.
        Err(_) if runs(&cached) => {}
        result => result.with_context(|| format!("cannot write {}", folder.display()))?,
    }
    process::capture(Command::new(&cached).arg("--version"))?;
    Ok(Found::At(cached))
}

fn runs(promtool: &Path) -> bool {
    process::capture(Command::new(promtool).arg("--version")).is_ok()
}

/// Downloads the package alone: all it depends on is for running it as a service.
fn download(work: &Path) -> Result<PathBuf> {
    let apt = PrivateApt::new(work)?;
    process::run(apt.command().args(["-qq", "update"])).context("cannot read the package lists")?;
    process::run(apt.command().args(["-qq", "download", PACKAGE]).current_dir(work))?;
    let entries = std::fs::read_dir(work).context("cannot list the packages")?;
    let mut paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    paths
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .context("apt downloaded nothing")
}
