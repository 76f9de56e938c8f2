//! Installing what is missing, and only that.
//!
//! Each piece looks first (an environment variable, `PATH`, the cache), says what it is about to do, and puts its
//! result in place by a rename, so that an interrupted or a parallel setup leaves either nothing or all of it.
//! Nothing outside the cache folder is changed, but for the Rust target, which rustup keeps.

mod envoy;
mod valkey;
mod wasm_target;

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::versions::Versions;

/// Something a verb cannot do without.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    WasmTarget,
    Envoy,
    Valkey,
}

/// Where the installed programs are; `None` for one that was not asked for.
#[derive(Default)]
pub(crate) struct Tools {
    pub(crate) envoy: Option<PathBuf>,
    pub(crate) valkey: Option<PathBuf>,
}

impl Tools {
    /// The Envoy binary; an error if setup was not asked for one, which is a mistake in the verb.
    pub(crate) fn envoy(&self) -> Result<&PathBuf> {
        self.envoy.as_ref().context("this verb did not set up Envoy")
    }

    /// Name and value of the variables by which tests and benchmarks find the programs.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&'static str, &PathBuf)> {
        let all = [("AI_WARP_ENVOY", &self.envoy), ("AI_WARP_VALKEY", &self.valkey)];
        all.into_iter().filter_map(|(name, path)| path.as_ref().map(|path| (name, path)))
    }
}

/// Installs what is missing of `needs`.
pub(crate) fn install(needs: &[Need]) -> Result<Tools> {
    let versions = Versions::pinned()?;
    let mut tools = Tools::default();
    for need in needs {
        match need {
            Need::WasmTarget => {
                wasm_target::ensure(&versions.rust.wasm_target).context("the wasm target")?;
            }
            Need::Envoy => tools.envoy = Some(envoy::ensure(&versions.envoy).context("Envoy")?),
            Need::Valkey => tools.valkey = Some(valkey::ensure(&versions.valkey).context("Valkey")?),
        }
    }
    Ok(tools)
}

/// The cache folder, created: `$AI_WARP_CACHE`, else `$XDG_CACHE_HOME/ai-warp`, else `~/.cache/ai-warp`.
fn cache_dir() -> Result<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = variable("AI_WARP_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("ai-warp")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/ai-warp")))
        .context("no place for downloads: set AI_WARP_CACHE to a folder, or HOME")?;
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    std::path::absolute(&folder).with_context(|| format!("cannot resolve {}", folder.display()))
}

/// A folder inside the cache for work in progress, removed when dropped. On the same file system as its result, so
/// that a rename is atomic.
fn work_dir() -> Result<tempfile::TempDir> {
    let cache = cache_dir()?;
    let made = tempfile::Builder::new().prefix("work-").tempdir_in(&cache);
    made.with_context(|| format!("cannot write to the cache folder {}", cache.display()))
}
