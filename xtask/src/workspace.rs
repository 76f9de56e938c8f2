//! Where things are: the repository's root, its state folder, and what cargo says of its packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process;

/// The repository this xtask belongs to.
pub(crate) struct Workspace {
    /// The folder of the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
}

/// The part of `cargo metadata` that is used here.
#[derive(Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) target_directory: PathBuf,
}

#[derive(Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) dependencies: Vec<Dependency>,
}

/// A direct dependency, of whichever kind (normal, dev or build).
#[derive(Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
}

impl Workspace {
    /// Finds the root from this package's own folder, which cargo tells at run time.
    pub(crate) fn locate() -> Result<Self> {
        let package = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = package.parent().context("the xtask package has no parent folder")?;
        Ok(Self { root: root.to_owned() })
    }

    /// Where `up` keeps process ids, logs and generated files. Removed by `down`.
    pub(crate) fn state_dir(&self) -> PathBuf {
        self.root.join(".ai-warp")
    }

    /// The workspace's own packages and the target folder. Reads manifests only; builds and fetches nothing.
    pub(crate) fn metadata(&self) -> Result<Metadata> {
        let mut cargo = self.cargo();
        cargo.args(["metadata", "--no-deps", "--format-version", "1"]);
        let json = process::capture(&mut cargo)?;
        serde_json::from_str(&json).context("cargo metadata printed something unexpected")
    }

    /// The cargo that runs us, in the root.
    pub(crate) fn cargo(&self) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(&self.root);
        command
    }

    /// `path` as a person in the root would write it.
    pub(crate) fn display<'a>(&self, path: &'a Path) -> std::path::Display<'a> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }
}
