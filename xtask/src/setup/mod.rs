//! Installing what is missing, and only that.
//!
//! Each piece looks first (an environment variable, `PATH`, the cache), says what it is about to do, and puts its
//! result in place by a rename, so that an interrupted or a parallel setup leaves either nothing or all of it.
//! Nothing outside the cache folder is changed, but for the Rust target, which rustup keeps.

mod apt;
mod chromium;
mod envoy;
mod node;
mod prometheus;
mod python;
mod sdks;
mod typescript;
mod valkey;
mod wasm_target;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::process;
use crate::versions::Versions;

/// Something a verb cannot do without.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    WasmTarget,
    Envoy,
    Valkey,
    Sdks,
    Promtool,
    Chromium,
    Node,
    TypeScript,
}

impl Need {
    /// Everything that any verb needs.
    pub(crate) const ALL: [Self; 8] = [
        Self::WasmTarget,
        Self::Envoy,
        Self::Valkey,
        Self::Sdks,
        Self::Promtool,
        Self::Chromium,
        Self::Node,
        Self::TypeScript,
    ];
}

/// What became of a program that the tests can do without.
pub(crate) enum Found {
    /// Where it is.
    At(PathBuf),
    /// Why there is none, as a sentence without its full stop.
    Skipped(OsString),
}

impl Found {
    fn skipped(&self) -> Option<&OsStr> {
        match self {
            Self::Skipped(reason) => Some(reason),
            Self::At(_) => None,
        }
    }
}

/// Where the installed programs are; `None` for one that was not asked for.
#[derive(Default)]
pub(crate) struct Tools {
    pub(crate) envoy: Option<PathBuf>,
    pub(crate) valkey: Option<PathBuf>,
    sdks: Option<Found>,
    promtool: Option<Found>,
    browser: Option<Found>,
    node: Option<PathBuf>,
    typescript: Option<Found>,
}

impl Tools {
    /// The Envoy binary; an error if setup was not asked for one, which is a mistake in the verb.
    pub(crate) fn envoy(&self) -> Result<&PathBuf> {
        self.envoy.as_ref().context("this verb did not set up Envoy")
    }

    /// Name and value of the variables by which tests and benchmarks find the programs.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&'static str, &OsStr)> {
        let programs =
            [("AI_WARP_ENVOY", &self.envoy), ("AI_WARP_VALKEY", &self.valkey), ("AI_WARP_NODE", &self.node)];
        let programs = programs.map(|(name, path)| path.as_ref().map(|path| (name, path.as_os_str())));
        let optional = [
            (&self.sdks, "AI_WARP_SDK_PYTHON", "AI_WARP_SDK_SKIPPED"),
            (&self.promtool, "AI_WARP_PROMTOOL", "AI_WARP_PROMTOOL_SKIPPED"),
            (&self.browser, "AI_WARP_CHROMIUM", "AI_WARP_CHROMIUM_SKIPPED"),
            (&self.typescript, "AI_WARP_TYPESCRIPT", "AI_WARP_TYPESCRIPT_SKIPPED"),
        ];
        let optional = optional.map(|(found, at, skipped)| {
            found.as_ref().map(|found| match found {
                Found::At(path) => (at, path.as_os_str()),
                Found::Skipped(reason) => (skipped, reason.as_os_str()),
            })
        });
        programs.into_iter().chain(optional).flatten()
    }

    /// Why metrics are not looked at with promtool, if they are not.
    pub(crate) fn promtool_skipped(&self) -> Option<&OsStr> {
        self.promtool.as_ref()?.skipped()
    }

    /// Why what runs in a browser is not tested, if it is not.
    pub(crate) fn browser_skipped(&self) -> Option<&OsStr> {
        self.browser.as_ref()?.skipped()
    }

    /// Why the types of the client's package are not checked, if they are not.
    pub(crate) fn typescript_skipped(&self) -> Option<&OsStr> {
        self.typescript.as_ref()?.skipped()
    }

    /// Why the tests that speak with SDKs are skipped, if they are.
    pub(crate) fn sdks_skipped(&self) -> Option<&OsStr> {
        self.sdks.as_ref()?.skipped()
    }
}

/// Installs what is missing of `needs`.
pub(crate) fn install(needs: &[Need]) -> Result<Tools> {
    let versions = Versions::pinned()?;
    let mut tools = Tools::default();
    for need in needs {
        match need {
            Need::WasmTarget => {
                wasm_target::ensure(&versions.rust.wasm_target).context("the filter's target")?;
                wasm_target::ensure(&versions.rust.client_target).context("the client's target")?;
            }
            Need::Envoy => tools.envoy = Some(envoy::ensure(&versions.envoy).context("Envoy")?),
            Need::Valkey => tools.valkey = Some(valkey::ensure(&versions.valkey).context("Valkey")?),
            Need::Promtool => tools.promtool = Some(prometheus::ensure().context("promtool")?),
            Need::Chromium => tools.browser = Some(chromium::ensure().context("Chromium")?),
            Need::Node => tools.node = Some(node::ensure().context("Node")?),
            Need::TypeScript => {
                tools.typescript = Some(typescript::ensure(&versions.typescript).context("TypeScript")?);
            }
            Need::Sdks => tools.sdks = Some(sdks::ensure(&versions.sdks).context("the SDKs")?),
        }
    }
    Ok(tools)
}

/// A program that somebody has chosen by `variable`, or that is on the `PATH`.
fn chosen(variable: &'static str, program: &str) -> Result<Option<PathBuf>> {
    match std::env::var_os(variable).filter(|value| !value.is_empty()) {
        Some(chosen) => std::path::absolute(&chosen).context(variable).map(Some),
        None => Ok(process::on_path(program)),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_told_where_the_sdks_are_or_why_there_are_none() {
        let told = |sdks| {
            let tools = Tools { sdks, ..Tools::default() };
            let told: Vec<_> =
                tools.variables().map(|(name, value)| (name, value.display().to_string())).collect();
            (told, tools.sdks_skipped().is_some())
        };
        assert_eq!(told(None), (vec![], false));
        let python = Found::At("/p".into());
        assert_eq!(told(Some(python)), (vec![("AI_WARP_SDK_PYTHON", "/p".to_owned())], false));
        let skipped = Found::Skipped("why".into());
        assert_eq!(told(Some(skipped)), (vec![("AI_WARP_SDK_SKIPPED", "why".to_owned())], true));
    }
}
