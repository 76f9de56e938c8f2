//! The client package, as `cargo xtask client` builds it: given by its folder, as the filter is by its file, so that this binary can
//! be built without it. Read once, at the start.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use axum::body::Bytes;
use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;

use super::files::{etag, serve};
use crate::http::AppState;
use crate::http::error::{ApiError, not_found};

/// Most files of a package: it has about ten.
const MAX_FILES: usize = 100;

/// Largest package, in bytes: it has less than one MiB.
const MAX_BYTES: u64 = 16 << 20;

/// The module that a page imports.
const ENTRY: &str = "index.js";

/// What of a package pages load, by the ending of its name.
const KINDS: [(&str, &str); 2] = [("js", "text/javascript; charset=utf-8"), ("wasm", "application/wasm")];

/// The files of the package by their names.
#[derive(Debug, Default)]
pub struct ClientFiles(BTreeMap<String, ClientFile>);

#[derive(Debug)]
struct ClientFile {
    kind: &'static str,
    etag: String,
    bytes: Bytes,
}

/// Why a folder is no client package.
#[derive(Debug, thiserror::Error)]
pub enum ClientFilesError {
    /// It cannot be read.
    #[error("cannot read the client package: {path}: {source}")]
    Read {
        /// The folder, or a file in it.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is something else.
    #[error("{0} is no client package: it has no {ENTRY}; `cargo xtask client` builds one")]
    NoEntry(PathBuf),
    /// It is too large to be one.
    #[error("{0} is no client package: it has more than {MAX_FILES} files or {MAX_BYTES} bytes")]
    TooLarge(PathBuf),
}

impl ClientFiles {
    /// Reads the package in `folder`.
    ///
    /// # Errors
    /// [`ClientFilesError`] where there is none.
    pub fn read(folder: &Path) -> Result<Self, ClientFilesError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            |source| ClientFilesError::Read { path, source }
        };
        let (mut files, mut bytes_left) = (BTreeMap::new(), MAX_BYTES);
        for entry in std::fs::read_dir(folder).map_err(failed(folder))? {
            let path = entry.map_err(failed(folder))?.path();
            let (Some(name), Some(kind)) = (path.file_name().and_then(OsStr::to_str), kind(&path)) else {
                continue;
            };
            let size = std::fs::metadata(&path).map_err(failed(&path))?.len();
            bytes_left =
                bytes_left.checked_sub(size).ok_or_else(|| ClientFilesError::TooLarge(folder.to_owned()))?;
            let bytes = std::fs::read(&path).map_err(failed(&path))?;
            files.insert(name.to_owned(), ClientFile { kind, etag: etag(&bytes), bytes: bytes.into() });
            if files.len() > MAX_FILES {
                return Err(ClientFilesError::TooLarge(folder.to_owned()));
            }
        }
        if files.contains_key(ENTRY) {
            Ok(Self(files))
        } else {
            Err(ClientFilesError::NoEntry(folder.to_owned()))
        }
    }

    /// Whether there is a package.
    pub fn is_there(&self) -> bool {
        !self.0.is_empty()
    }
}

fn kind(path: &Path) -> Option<&'static str> {
    let ending = path.extension().and_then(OsStr::to_str)?;
    KINDS.into_iter().find_map(|(known, kind)| (known == ending).then_some(kind))
}

pub(super) async fn file(
    State(state): State<AppState>,
    UrlPath(name): UrlPath<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    match state.0.console.client.0.get(&name) {
        Some(file) => Ok(serve(&headers, file.kind, &file.etag, file.bytes.clone())),
        None => Err(not_found(uri).await),
    }
}
