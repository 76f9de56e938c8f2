//! Building what the verbs run: the control plane, the simulator and the filter.
//!
//! The filter is always built with the `wasm` profile. A debug build of it is several times slower, and Envoy would
//! measure and time out differently with it than with the one that ships.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::process;
use crate::versions::Versions;
use crate::workspace::Workspace;

/// How the native binaries are built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    Dev,
    Release,
}

/// The files a verb runs.
pub(crate) struct Artifacts {
    /// The control plane, `ai-warp`.
    pub(crate) control_plane: PathBuf,
    pub(crate) simulator: PathBuf,
    /// The filter as Envoy loads it.
    pub(crate) filter: PathBuf,
}

/// The variables that name built files; `test` and `bench` set them, `up` also reads them.
const CONTROL_PLANE: &str = "AI_WARP_BIN";
const SIMULATOR: &str = "AI_WARP_SIMULATOR";
const FILTER: &str = "AI_WARP_FILTER";

impl Artifacts {
    /// Builds all three; cargo decides what there is to do.
    pub(crate) fn build(workspace: &Workspace, profile: Profile) -> Result<Self> {
        build_filter(workspace)?;
        let mut cargo = workspace.cargo();
        cargo.args(["build", "--package", "ai-warp", "--package", "ai-warp-simulator", "--bins"]);
        if profile == Profile::Release {
            cargo.arg("--release");
        }
        process::run(&mut cargo)?;
        Self::built(workspace, profile)
    }

    /// What the environment names, if it names all three. So a test that drives `up` needs no second build, and a
    /// packaged build can be tried as it is.
    pub(crate) fn from_environment() -> Result<Option<Self>> {
        let path = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let (Some(control_plane), Some(simulator), Some(filter)) =
            (path(CONTROL_PLANE), path(SIMULATOR), path(FILTER))
        else {
            return Ok(None);
        };
        let artifacts = Self { control_plane, simulator, filter };
        for (name, path) in artifacts.variables() {
            if !path.is_file() {
                bail!("{name} is {}, which is no file", path.display());
            }
        }
        Ok(Some(artifacts))
    }

    /// Name and value of the variables by which tests and benchmarks find the files.
    pub(crate) fn variables(&self) -> [(&'static str, &PathBuf); 3] {
        [(CONTROL_PLANE, &self.control_plane), (SIMULATOR, &self.simulator), (FILTER, &self.filter)]
    }

    fn built(workspace: &Workspace, profile: Profile) -> Result<Self> {
        let target = workspace.metadata()?.target_directory;
        let binaries = target.join(match profile {
            Profile::Dev => "debug",
            Profile::Release => "release",
        });
        let wasm_target = Versions::pinned()?.rust.wasm_target;
        Ok(Self {
            control_plane: binaries.join("ai-warp"),
            simulator: binaries.join("ai-warp-simulator"),
            filter: target.join(wasm_target).join("wasm").join("ai_warp_filter.wasm"),
        })
    }
}

fn build_filter(workspace: &Workspace) -> Result<()> {
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--package", "ai-warp-filter", "--profile", "wasm", "--target"]);
    process::run(cargo.arg(Versions::pinned()?.rust.wasm_target))
}
