//! What `cargo xtask test` tells the tests: where the programs under test are.

use std::path::PathBuf;

/// The Envoy binary.
pub(crate) fn envoy() -> PathBuf {
    path("AI_WARP_ENVOY")
}

/// The Valkey server.
pub(crate) fn valkey() -> PathBuf {
    path("AI_WARP_VALKEY")
}

/// The control plane, `ai-warp`.
pub(crate) fn control_plane() -> PathBuf {
    path("AI_WARP_BIN")
}

/// The filter's WebAssembly module.
pub fn filter() -> PathBuf {
    path("AI_WARP_FILTER")
}

/// The folder of the client package, for control planes; those of runs without one go without.
pub(crate) fn client_if_any() -> Option<PathBuf> {
    std::env::var_os("AI_WARP_CLIENT").filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The Python that has the SDKs; why there is none where they could not be installed.
pub(crate) fn sdk_python() -> Result<PathBuf, String> {
    match std::env::var("AI_WARP_SDK_SKIPPED") {
        Ok(reason) if !reason.is_empty() => Err(reason),
        _ => Ok(path("AI_WARP_SDK_PYTHON")),
    }
}

/// Prometheus' promtool; why there is none where its package could not be had.
pub(crate) fn promtool() -> Result<PathBuf, String> {
    match std::env::var("AI_WARP_PROMTOOL_SKIPPED") {
        Ok(reason) if !reason.is_empty() => Err(reason),
        _ => Ok(path("AI_WARP_PROMTOOL")),
    }
}

/// The browser; why there is none where its package could not be had.
pub(crate) fn chromium() -> Result<PathBuf, String> {
    match std::env::var("AI_WARP_CHROMIUM_SKIPPED") {
        Ok(reason) if !reason.is_empty() => Err(reason),
        _ => Ok(path("AI_WARP_CHROMIUM")),
    }
}

/// Node.
pub(crate) fn node() -> PathBuf {
    path("AI_WARP_NODE")
}

/// The folder of the client's package, which is more than a file.
pub(crate) fn client() -> PathBuf {
    let package = client_if_any().expect("AI_WARP_CLIENT is not set; run `cargo xtask test`");
    assert!(package.join("index.js").is_file(), "{} is no package of the client", package.display());
    package
}

/// The TypeScript compiler's script; why there is none where it could not be installed.
pub(crate) fn typescript() -> Result<PathBuf, String> {
    match std::env::var("AI_WARP_TYPESCRIPT_SKIPPED") {
        Ok(reason) if !reason.is_empty() => Err(reason),
        _ => Ok(path("AI_WARP_TYPESCRIPT")),
    }
}

/// A missing program is a failure and no skip: a suite that tests nothing must not be green.
fn path(variable: &str) -> PathBuf {
    let path = std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    match path {
        Some(path) if path.is_file() => path,
        Some(path) => panic!("{variable} is {}, which is no file; run `cargo xtask test`", path.display()),
        None => panic!("{variable} is not set; run `cargo xtask test`"),
    }
}
