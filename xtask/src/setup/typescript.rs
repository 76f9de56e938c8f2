//! The TypeScript compiler, which checks the types of the client's package: by npm, into the cache.
//!
//! Only where the npm registry cannot be reached is that check skipped.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::{Found, cache_dir, work_dir};
use crate::process;
use crate::versions::TypeScript;

/// The npm package.
const PACKAGE: &str = "typescript";

/// The path of the pinned compiler, installing it if it is not there.
pub(super) fn ensure(pinned: &TypeScript) -> Result<Found> {
    let folder = cache_dir()?.join(format!("{PACKAGE}-{}", pinned.version));
    let script = folder.join("node_modules/typescript/lib/tsc.js");
    if script.is_file() {
        return Ok(Found::At(script));
    }
    eprintln!("setup: installing TypeScript {} to {}", pinned.version, folder.display());
    let work = work_dir()?;
    let fresh = work.path().join(PACKAGE);
    std::fs::create_dir(&fresh).context("cannot create a work folder")?;
    let wanted = format!("{PACKAGE}@{}", pinned.version);
    let mut npm = npm(&fresh)?;
    npm.args(["install", "--ignore-scripts", "--no-save", "--no-package-lock", "--no-audit", "--no-fund"]);
    if let Err(error) = process::run(npm.arg(&wanted)) {
        // A registry that tells of the package can be reached: something else is wrong.
        if process::capture(self::npm(&fresh)?.args(["view", PACKAGE, "version"])).is_ok() {
            return Err(error);
        }
        return Ok(Found::Skipped("the npm registry cannot be reached".into()));
    }
    match std::fs::rename(&fresh, &folder) {
        // A setup running beside this one was faster; its result is as good.
        Err(_) if script.is_file() => {}
        result => result.with_context(|| format!("cannot write {}", folder.display()))?,
    }
    Ok(Found::At(script))
}

/// `npm` in a folder, telling only what matters.
fn npm(folder: &Path) -> Result<Command> {
    let npm = process::on_path("npm").context("install npm, which comes with Node")?;
    let mut command = Command::new(npm);
    command.args(["--loglevel=error", "--fetch-retries=2"]).arg("--prefix").arg(folder).current_dir(folder);
    Ok(command)
}
