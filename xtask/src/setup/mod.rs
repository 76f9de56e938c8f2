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

use std::ffi::OsStr;
use std::path::PathBuf;

use anyhow::{Context, Result};

use self::chromium::Browser;
use self::prometheus::Promtool;
use self::sdks::Installed;
use self::typescript::Compiler;
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

/// Where the installed programs are; `None` for one that was not asked for.
#[derive(Default)]
pub(crate) struct Tools {
    pub(crate) envoy: Option<PathBuf>,
    pub(crate) valkey: Option<PathBuf>,
    sdks: Option<Installed>,
    promtool: Option<Promtool>,
    browser: Option<Browser>,
    node: Option<PathBuf>,
    typescript: Option<Compiler>,
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
        let sdks = self.sdks.as_ref().map(|sdks| match sdks {
            Installed::Python(python) => ("AI_WARP_SDK_PYTHON", python.as_os_str()),
            Installed::Skipped(reason) => ("AI_WARP_SDK_SKIPPED", reason.as_os_str()),
        });
        let promtool = self.promtool.as_ref().map(|promtool| match promtool {
            Promtool::At(path) => ("AI_WARP_PROMTOOL", path.as_os_str()),
            Promtool::Skipped(reason) => ("AI_WARP_PROMTOOL_SKIPPED", reason.as_os_str()),
        });
        let browser = self.browser.as_ref().map(|browser| match browser {
            Browser::At(path) => ("AI_WARP_CHROMIUM", path.as_os_str()),
            Browser::Skipped(reason) => ("AI_WARP_CHROMIUM_SKIPPED", reason.as_os_str()),
        });
        let typescript = self.typescript.as_ref().map(|compiler| match compiler {
            Compiler::At(path) => ("AI_WARP_TYPESCRIPT", path.as_os_str()),
            Compiler::Skipped(reason) => ("AI_WARP_TYPESCRIPT_SKIPPED", reason.as_os_str()),
        });
        programs.into_iter().chain([sdks, promtool, browser, typescript]).flatten()
    }

    /// Why metrics are not looked at with promtool, if they are not.
    pub(crate) fn promtool_skipped(&self) -> Option<&OsStr> {
        match &self.promtool {
            Some(Promtool::Skipped(reason)) => Some(reason),
            Some(Promtool::At(_)) | None => None,
        }
    }

    /// Why what runs in a browser is not tested, if it is not.
    pub(crate) fn browser_skipped(&self) -> Option<&OsStr> {
        match &self.browser {
            Some(Browser::Skipped(reason)) => Some(reason),
            Some(Browser::At(_)) | None => None,
        }
    }

    /// Why the types of the client's package are not checked, if they are not.
    pub(crate) fn typescript_skipped(&self) -> Option<&OsStr> {
        match &self.typescript {
            Some(Compiler::Skipped(reason)) => Some(reason),
            Some(Compiler::At(_)) | None => None,
        }
    }

    /// Why the tests that speak with SDKs are skipped, if they are.
    pub(crate) fn sdks_skipped(&self) -> Option<&OsStr> {
        match &self.sdks {
            Some(Installed::Skipped(reason)) => Some(reason),
            Some(Installed::Python(_)) | None => None,
        }
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
        let python = Installed::Python("/p".into());
        assert_eq!(told(Some(python)), (vec![("AI_WARP_SDK_PYTHON", "/p".to_owned())], false));
        let skipped = Installed::Skipped("why".into());
        assert_eq!(told(Some(skipped)), (vec![("AI_WARP_SDK_SKIPPED", "why".to_owned())], true));
    }
}
