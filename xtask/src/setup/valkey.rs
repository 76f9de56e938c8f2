//! A real Valkey for the tests: `$VALKEY_SERVER`, or the one on `PATH`, or Debian's packages.
//!
//! Debian's packages are downloaded and unpacked into the cache, not installed: no root, no change to the machine's
//! package sources, and above all no started service. A private apt state does that: apt still resolves against what
//! is installed, so only the libraries this machine lacks come along. bookworm has Valkey in its backports only.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

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

/// apt with its own sources, lists and archives, and the machine's installed packages.
struct PrivateApt {
    folder: PathBuf,
}

impl PrivateApt {
    fn new(folder: &Path) -> Result<Self> {
        for sub in ["lists/partial", "archives/partial"] {
            std::fs::create_dir_all(folder.join(sub)).context("cannot create a work folder")?;
        }
        std::fs::write(folder.join("sources.list"), sources()?)
            .context("cannot write the package sources")?;
        Ok(Self { folder: folder.to_owned() })
    }

    fn command(&self) -> Command {
        let at = |name: &str| self.folder.join(name).display().to_string();
        let mut command = Command::new("apt-get");
        for option in [
            format!("Dir::Etc::sourcelist={}", at("sources.list")),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            format!("Dir::State::lists={}", at("lists")),
            format!("Dir::Cache={}", at("")),
            format!("Dir::Cache::archives={}", at("archives")),
            "Acquire::Languages=none".to_owned(),
            // Nothing is installed, so the machine's package lock is not ours to take (nor, without root, to open).
            "Debug::NoLocking=true".to_owned(),
            // The download user `_apt` may not reach into the cache folder.
            "APT::Sandbox::User=root".to_owned(),
        ] {
            command.arg("-o").arg(option);
        }
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    fn archives(&self) -> Result<Vec<PathBuf>> {
        let entries = std::fs::read_dir(self.folder.join("archives")).context("cannot list the packages")?;
        let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
        Ok(paths.filter(|path| path.extension().is_some_and(|extension| extension == "deb")).collect())
    }
}

/// A sources.list of this machine's own mirrors for its release, and for bookworm its backports as well.
fn sources() -> Result<String> {
    let release = std::fs::read_to_string("/etc/os-release").context("cannot tell the distribution")?;
    let id = os_release_field(&release, "ID").unwrap_or_default();
    let codename = os_release_field(&release, "VERSION_CODENAME").context("this release has no codename")?;
    let keyring = format!("/usr/share/keyrings/{id}-archive-keyring.gpg");
    let options =
        if Path::new(&keyring).exists() { format!("[signed-by={keyring}] ") } else { String::new() };

    let mut targets = Command::new("apt-get");
    targets.args(["indextargets", "--format", "$(SITE) $(RELEASE) $(COMPONENT)", "Created-By: Packages"]);
    let targets = process::capture(&mut targets)?;
    let mut text = String::new();
    for line in targets.lines() {
        let mut words = line.split(' ');
        let (Some(site), Some(suite), Some(component)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        if suite != codename {
            continue;
        }
        writeln!(text, "deb {options}{site} {suite} {component}")?;
        if suite == "bookworm" {
            writeln!(text, "deb {options}{site} {suite}-backports {component}")?;
        }
    }
    if text.is_empty() {
        bail!("apt has no source for {codename}: {INSTALL_YOURSELF}");
    }
    Ok(text)
}

/// `NAME=value` or `NAME="value"` of os-release(5).
fn os_release_field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = text.lines().filter_map(|line| line.split_once('='));
    lines.find(|(key, _)| *key == name).map(|(_, value)| value.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_release_fields_are_found_quoted_or_not() {
        let text = "PRETTY_NAME=\"Debian 12\"\nVERSION_CODENAME=bookworm\nID=debian\n";
        assert_eq!(os_release_field(text, "VERSION_CODENAME"), Some("bookworm"));
        assert_eq!(os_release_field(text, "PRETTY_NAME"), Some("Debian 12"));
        assert_eq!(os_release_field(text, "CODENAME"), None);
    }
}
