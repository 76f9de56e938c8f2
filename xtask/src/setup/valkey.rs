//! A real Valkey for the tests: `$VALKEY_SERVER`, or the one on `PATH`, or Debian's packages.
//!
//! bookworm has it in its backports only. What it needs of libraries, and this machine lacks, comes along ([`super::apt`]).

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::apt::PrivateApt;
use super::{cache_dir, work_dir};
use crate::process;
use crate::versions::{Valkey, Version};

const INSTALL_YOURSELF: &str = "install Valkey yourself and set VALKEY_SERVER to its valkey-server";

/// Runs the unpacked server with the libraries unpacked beside it. `exec`, so that signals reach the server itself.
const LAUNCHER: &str = r#"#!/bin/sh
root=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
for folder in "$root"/usr/lib/*-linux-gnu* "$root"/lib/*-linux-gnu*; do
    [ -d "$folder" ] && LD_LIBRARY_PATH="$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
done
export LD_LIBRARY_PATH
exec "$root/usr/bin/valkey-server" "$@"
"#;

/// The path of a Valkey server that is new enough, unpacking Debian's if there is none.
pub(super) fn ensure(pinned: &Valkey) -> Result<PathBuf> {
    let minimum = Version::parse(&pinned.major.to_string()).context("versions.toml: valkey.major")?;

    if let Some(chosen) = std::env::var_os("VALKEY_SERVER").filter(|value| !value.is_empty()) {
        let chosen = std::path::absolute(&chosen).context("VALKEY_SERVER")?;
        let version = version_of(&chosen).context("VALKEY_SERVER")?;
        if version < minimum {
            bail!("VALKEY_SERVER is {} {version}, but {minimum} or newer is needed", chosen.display());
        }
        return Ok(chosen);
    }

    if let Some(found) = process::on_path("valkey-server") {
        match version_of(&found) {
            Ok(version) if version >= minimum => return Ok(found),
            Ok(version) => eprintln!("setup: not using {} {version}: too old", found.display()),
            Err(error) => eprintln!("setup: not using {}: {error:#}", found.display()),
        }
    }

    let folder = cache_dir()?.join(format!("valkey-{}", pinned.major));
    let cached = folder.join("valkey-server");
    // Also unpack anew when it no longer runs: a library it took from the machine may have been removed since.
    if version_of(&cached).is_err() {
        eprintln!("setup: unpacking Valkey to {}", folder.display());
        install(&folder)?;
    }
    let version = version_of(&cached)?;
    if version < minimum {
        bail!(
            "this distribution's Valkey is {version}, but {minimum} or newer is needed: {INSTALL_YOURSELF}"
        );
    }
    Ok(cached)
}

/// What `valkey-server --version` says, which also shows that it runs here at all.
fn version_of(binary: &Path) -> Result<Version> {
    let output = process::capture(Command::new(binary).arg("--version"))?;
    Version::of_valkey(&output).with_context(|| {
        format!("{} --version printed no Valkey version: {}", binary.display(), output.trim())
    })
}

/// Downloads the packages, unpacks them in a work folder and moves that to `target`.
fn install(target: &Path) -> Result<()> {
    if process::on_path("apt-get").is_none() || process::on_path("dpkg-deb").is_none() {
        bail!("no Valkey, and no apt to get it with: {INSTALL_YOURSELF}");
    }
    let work = work_dir()?;
    let apt = PrivateApt::new(work.path())?;
    process::run(apt.command().args(["-qq", "update"])).context("cannot read the package lists")?;
    let mut download = apt.command();
    download.args(["-qq", "install", "--yes", "--download-only", "--no-install-recommends", "--reinstall"]);
    process::run(download.args(["valkey-server", "valkey-tools"]))
        .with_context(|| format!("this distribution seems to have no Valkey package: {INSTALL_YOURSELF}"))?;

    let unpacked = work.path().join("unpacked");
    std::fs::create_dir(&unpacked).context("cannot create a work folder")?;
    for package in apt.archives()? {
        process::run(Command::new("dpkg-deb").arg("-x").arg(package).arg(&unpacked))?;
    }
    let launcher = unpacked.join("valkey-server");
    std::fs::write(&launcher, LAUNCHER).context("cannot write the launcher")?;
    std::fs::set_permissions(&launcher, std::fs::Permissions::from_mode(0o755))
        .context("cannot make the launcher executable")?;

    if target.exists() {
        std::fs::remove_dir_all(target).with_context(|| format!("cannot replace {}", target.display()))?;
    }
    match std::fs::rename(&unpacked, target) {
        // A setup running beside this one was faster; its result is as good.
        Err(_) if target.join("valkey-server").is_file() => Ok(()),
        result => result.with_context(|| format!("cannot write {}", target.display())),
    }
}
