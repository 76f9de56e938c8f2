//! The filter's compiled code: read once at start, named by its hash, offered to gateways by path and by HTTP.

use std::fmt;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use axum::body::Bytes;
use sha2::{Digest, Sha256};

/// What every WebAssembly module begins with: `\0asm`.
const WASM_MAGIC: &[u8] = b"\0asm";

/// The filter's code.
#[derive(Clone)]
pub struct FilterCode {
    /// Where it was read from, absolute.
    pub path: PathBuf,
    /// SHA-256 of the bytes, 64 hexadecimal digits in lower case.
    pub sha256: String,
    /// The module.
    pub bytes: Bytes,
}

/// Why the filter cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FilterCodeError {
    /// The file cannot be read.
    #[error("cannot read the filter {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is something else.
    #[error("{0} is no WebAssembly module")]
    NotWasm(PathBuf),
}

impl FilterCode {
    /// Reads the code at `path`.
    ///
    /// # Errors
    /// [`FilterCodeError`] where there is no readable WebAssembly module.
    pub fn read(path: &Path) -> Result<Self, FilterCodeError> {
        let failed = |source| FilterCodeError::Read { path: path.to_owned(), source };
        let path = std::path::absolute(path).map_err(failed)?;
        let bytes = std::fs::read(&path).map_err(failed)?;
        if !bytes.starts_with(WASM_MAGIC) {
            return Err(FilterCodeError::NotWasm(path));
        }
        Ok(Self { path, sha256: sha256_hex(&bytes), bytes: bytes.into() })
    }
}

impl fmt::Debug for FilterCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilterCode").field("path", &self.path).field("sha256", &self.sha256).finish()
    }
}

/// SHA-256 of `bytes` in lower case hexadecimal digits.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        // Writing to a string has no way to fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_named_by_its_hash_and_must_be_wasm() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("filter.wasm");
        std::fs::write(&path, b"\0asm\x01\0\0\0").unwrap();
        let code = FilterCode::read(&path).unwrap();
        assert_eq!(code.sha256, "93a44bbb96c751218e4c00d479e4c14358122a389acca16205b1e4d0dc5f9476");
        assert_eq!(code.path, path);

        std::fs::write(&path, b"#!/bin/sh").unwrap();
        assert!(matches!(FilterCode::read(&path), Err(FilterCodeError::NotWasm(_))));
        let missing = FilterCode::read(&dir.path().join("none.wasm")).unwrap_err();
        assert!(missing.to_string().contains("none.wasm"), "{missing}");
    }
}
