//! What is running, written down in `.ai-warp/state.json` as it starts.
//!
//! The file is rewritten (by a rename) after every start, before anything waits, so that even an xtask that was
//! killed leaves a record by which `down` finds every process.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use crate::process::{ProcessId, STOP_DEADLINE};
use crate::workspace::Workspace;

/// The whole record.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct State {
    /// The `cargo xtask up` that watches the processes; none once `--detach` has returned.
    pub(crate) supervisor: Option<ProcessId>,
    /// What was asked for, to tell a second `up` for the same from one for something else.
    pub(crate) request: Request,
    /// In the order started.
    pub(crate) processes: Vec<Running>,
    /// Known once ready.
    pub(crate) addresses: Option<Addresses>,
}

/// The settings of an `up` that make one stack different from another.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Request {
    /// `None`: the demo configuration.
    pub(crate) config: Option<PathBuf>,
    pub(crate) demo: bool,
    pub(crate) envoys: u16,
}

/// One started process.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Running {
    /// As a person calls it: "control plane", "envoy 1".
    pub(crate) name: String,
    pub(crate) id: ProcessId,
}

/// Where the ready stack answers; base URLs without a slash at the end. What `--detach` prints.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Addresses {
    pub(crate) gateways: Vec<String>,
    pub(crate) admin: Vec<String>,
    pub(crate) control_plane: String,
}

impl State {
    /// The record in `folder`, if there is one.
    pub(crate) fn load(folder: &Path) -> Result<Option<Self>> {
        let file = folder.join("state.json");
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
        };
        let state = serde_json::from_str(&text);
        state.map(Some).with_context(|| {
            format!(
                "{} is damaged; stop what may still run by hand and remove {}",
                file.display(),
                folder.display()
            )
        })
    }

    /// Writes the record to `folder`.
    pub(crate) fn save(&self, folder: &Path) -> Result<()> {
        let (file, draft) = (folder.join("state.json"), folder.join("state.json.new"));
        let write = || fs::write(&draft, serde_json::to_string_pretty(self)?).map_err(anyhow::Error::from);
        write()
            .and_then(|()| Ok(fs::rename(&draft, &file)?))
            .with_context(|| format!("cannot write {}", file.display()))
    }

    pub(crate) fn all_alive(&self) -> bool {
        self.processes.iter().all(|process| process.id.is_alive())
    }

    /// Stops every process, the last started first: an Envoy goes before the control plane it listens to.
    pub(crate) fn stop_all(&self) {
        let deadline = Instant::now() + STOP_DEADLINE;
        for process in self.processes.iter().rev() {
            if process.id.is_alive() {
                eprintln!("stopping {}", process.name);
                if !process.id.stop(deadline) {
                    eprintln!("{} did not stop within {STOP_DEADLINE:?} and was killed", process.name);
                }
            }
        }
    }
}

/// Removes the state folder; nothing to do if there is none.
pub(crate) fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Held by whoever starts, watches or stops the stack, so that two never do at once. Freed by the kernel when the
/// holder ends, however it ends.
pub(crate) struct Lock(#[expect(dead_code, reason = "held, never read")] Flock<File>);

impl Lock {
    /// Takes the lock, or fails at once if someone has it.
    pub(crate) fn take(workspace: &Workspace) -> Result<Self> {
        // A file that is always there: a lock file of its own would have to outlive the folder `down` removes.
        let path = workspace.root.join("versions.toml");
        let file = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Self(lock)),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
                bail!("another `cargo xtask up` or `down` is at work in this repository")
            }
            Err((_, error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_record_is_loaded_and_a_missing_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        assert!(State::load(folder.path()).unwrap().is_none());
        let request = Request { config: None, demo: true, envoys: 2 };
        let id = ProcessId::own().unwrap();
        let processes = vec![Running { name: "control plane".into(), id }];
        let state = State { supervisor: None, request: request.clone(), processes, addresses: None };
        state.save(folder.path()).unwrap();
        let loaded = State::load(folder.path()).unwrap().unwrap();
        assert!(loaded.request == request && loaded.all_alive());
    }

    #[test]
    fn a_damaged_record_names_its_file() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("state.json"), "{").unwrap();
        let error = State::load(folder.path()).map(drop).unwrap_err().to_string();
        assert!(error.contains("state.json is damaged"), "{error}");
    }
}
