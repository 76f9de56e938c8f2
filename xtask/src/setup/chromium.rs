//! A browser for the tests of what runs in one: `$CHROMIUM`, or the one on `PATH`, or Debian's package.
//!
//! What it needs of libraries, and this machine lacks, comes along ([`super::apt`]); so do two fonts, without which pages have no
//! text and screenshots differ from machine to machine. Only where Debian cannot be reached are those tests skipped.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::apt::PrivateApt;
use super::{Found, cache_dir, chosen, work_dir};
use crate::process;

/// The browser and the fonts that [`FONTS`] names.
const PACKAGES: [&str; 3] = ["chromium", "fonts-dejavu-core", "fonts-inter-variable"];

/// Runs the unpacked browser with the libraries unpacked beside it. `exec`, so that signals reach the browser itself.
const LAUNCHER: &str = r#"#!/bin/sh
root=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
for folder in "$root"/usr/lib/*-linux-gnu* "$root"/usr/lib/*-linux-gnu*/pulseaudio; do
    [ -d "$folder" ] && LD_LIBRARY_PATH="$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
done
FONTCONFIG_FILE=$root/fonts.conf
export LD_LIBRARY_PATH FONTCONFIG_FILE
exec "$root/usr/lib/chromium/chromium" "$@"
"#;

/// The unpacked fonts, and which of them is meant by a kind of font.
const FONTS: &str = r#"<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir prefix="relative">usr/share/fonts</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
  <alias binding="strong"><family>sans-serif</family><prefer><family>Inter</family><family>Inter Variable</family></prefer></alias>
  <alias binding="strong"><family>system-ui</family><prefer><family>Inter</family><family>Inter Variable</family></prefer></alias>
  <alias binding="strong"><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
</fontconfig>
"#;

/// The path of Chromium, unpacking Debian's if there is none.
pub(super) fn ensure() -> Result<Found> {
    if let Some(program) = chosen("CHROMIUM", "chromium")? {
        return Ok(Found::At(program));
    }
    let folder = cache_dir()?.join("chromium");
    let cached = folder.join("chromium");
    // Also unpack anew when it no longer runs: a library it took from the machine may have been removed since.
    if runs(&cached) {
        return Ok(Found::At(cached));
    }
    eprintln!("setup: unpacking Chromium to {}", folder.display());
    let work = work_dir()?;
    let apt = PrivateApt::new(work.path())?;
    // By itself apt goes on with what lists it has, be it none, and fails at the packages.
    let mut update = apt.command();
    if let Err(error) = process::run(update.args(["-qq", "-o", "APT::Update::Error-Mode=any", "update"])) {
        return Ok(Found::Skipped(format!("Debian's package lists cannot be read: {error:#}").into()));
    }
    let mut download = apt.command();
    download.args(["-qq", "install", "--yes", "--download-only", "--no-install-recommends", "--reinstall"]);
    process::run(download.args(PACKAGES)).context("cannot download Chromium")?;
    let unpacked = work.path().join("unpacked");
    for package in apt.archives()? {
        process::run(Command::new("dpkg-deb").arg("-x").arg(package).arg(&unpacked))?;
    }
    std::fs::write(unpacked.join("fonts.conf"), FONTS).context("cannot write the list of fonts")?;
    let launcher = unpacked.join("chromium");
    std::fs::write(&launcher, LAUNCHER).context("cannot write the launcher")?;
    std::fs::set_permissions(&launcher, std::fs::Permissions::from_mode(0o755))
        .context("cannot make the launcher executable")?;
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

fn runs(browser: &Path) -> bool {
    process::capture(Command::new(browser).arg("--version")).is_ok()
}
