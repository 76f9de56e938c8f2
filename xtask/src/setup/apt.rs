//! Debian's packages without installing them: downloaded and unpacked into the cache.
//!
//! No root, no change to the machine's package sources, and above all no started service. A private apt state does that: apt
//! still resolves against what is installed, so only what this machine lacks comes along.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

/// apt with its own sources, lists and archives, and the machine's installed packages.
pub(super) struct PrivateApt {
    folder: PathBuf,
}

impl PrivateApt {
    /// With its state in `folder`.
    pub(super) fn new(folder: &Path) -> Result<Self> {
        for sub in ["lists/partial", "archives/partial"] {
            std::fs::create_dir_all(folder.join(sub)).context("cannot create a work folder")?;
        }
        std::fs::write(folder.join("sources.list"), sources()?)
            .context("cannot write the package sources")?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// `apt-get` with that state.
    pub(super) fn command(&self) -> Command {
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

    /// The packages that were downloaded for an installation.
    pub(super) fn archives(&self) -> Result<Vec<PathBuf>> {
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
        bail!("apt has no source for {codename}");
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
