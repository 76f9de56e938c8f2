//! The processes of one `up`: started, recorded, watched, stopped.
//!
//! Each process has its own process group, so that a Ctrl-C at the terminal reaches xtask alone, which then stops
//! them in order; its stdout goes to `NAME.out` and its stderr to `NAME.log` in the state folder.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::process::{self, POLL, ProcessId};
use crate::state::{self, Addresses, Request, Running, State};

/// How many of a log's last lines a failure shows.
const SHOWN_LOG_LINES: usize = 20;

/// Ctrl-C, SIGTERM or a closed terminal ended a wait. Not a failure of the stack.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// The processes, and the folder they are recorded in.
pub(crate) struct Stack {
    folder: PathBuf,
    state: State,
    /// Beside `state.processes`, in the same order.
    children: Vec<Child>,
    interrupted: Arc<AtomicBool>,
}

impl Stack {
    /// An empty stack with a fresh state folder. From here on signals no longer end xtask; waits notice them.
    pub(crate) fn new(folder: PathBuf, request: Request) -> Result<Self> {
        state::remove(&folder)?;
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&interrupted)).context("cannot handle signals")?;
        }
        let state = State { supervisor: ProcessId::own(), request, processes: Vec::new(), addresses: None };
        state.save(&folder)?;
        Ok(Self { folder, state, children: Vec::new(), interrupted })
    }

    /// A file in the state folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Starts a process and records it.
    pub(crate) fn start(&mut self, name: &str, command: &mut Command) -> Result<()> {
        eprintln!("starting {name}");
        let create =
            |path: PathBuf| File::create(&path).with_context(|| format!("cannot create {}", path.display()));
        command
            .stdin(Stdio::null())
            .stdout(create(self.output(name))?)
            .stderr(create(self.log(name))?)
            .process_group(0);
        let child =
            command.spawn().with_context(|| format!("cannot start {name}: {}", process::shown(command)))?;
        let id = ProcessId::of(child.id());
        self.children.push(child);
        let Some(id) = id else {
            bail!("{name} ended as it started{}", self.last_lines(name));
        };
        self.state.processes.push(Running { name: name.to_owned(), id });
        self.state.save(&self.folder)
    }

    /// Tries until `attempt` succeeds. Ends early when a process has died or a signal came; at the limit the error
    /// says what the last try said and shows the log of `name`, the process waited for.
    pub(crate) fn wait<T>(
        &mut self,
        name: &str,
        what: &str,
        limit: Duration,
        mut attempt: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + limit;
        loop {
            self.check()?;
            match attempt() {
                Ok(value) => return Ok(value),
                Err(error) if Instant::now() >= deadline => {
                    bail!("{name}: {what}: not within {limit:?}: {error:#}{}", self.last_lines(name));
                }
                Err(_) => sleep(POLL),
            }
        }
    }

    /// Waits for the JSON line by which a process tells its addresses.
    pub(crate) fn announcement<T: DeserializeOwned>(&mut self, name: &str, limit: Duration) -> Result<T> {
        let output = self.output(name);
        self.wait(name, "to announce its addresses", limit, || {
            let text = fs::read_to_string(&output)?;
            let complete = text.rsplit_once('\n').map_or("", |(lines, _)| lines);
            complete.lines().find_map(|line| serde_json::from_str(line).ok()).context("no announcement yet")
        })
    }

    /// Watches until a signal comes (`Ok`) or a process dies (an error that says which).
    pub(crate) fn watch(&mut self) -> Result<()> {
        loop {
            match self.check() {
                Ok(()) => sleep(POLL),
                Err(error) if error.is::<Interrupted>() => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Records that all is ready.
    pub(crate) fn ready(&mut self, addresses: Addresses) -> Result<()> {
        self.state.addresses = Some(addresses);
        self.state.save(&self.folder)
    }

    /// Leaves the processes running, without us.
    pub(crate) fn detach(mut self) -> Result<()> {
        self.state.supervisor = None;
        self.state.save(&self.folder)
    }

    /// Stops everything and forgets it. The logs stay if `keep_logs`.
    pub(crate) fn stop(mut self, keep_logs: bool) -> Result<()> {
        self.state.stop_all();
        for child in &mut self.children {
            // All are gone; this only collects their exit statuses.
            let _ = child.wait();
        }
        if keep_logs {
            let file = self.file("state.json");
            return fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()));
        }
        state::remove(&self.folder)
    }

    /// An error if a signal came or a process has died.
    fn check(&mut self) -> Result<()> {
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(Interrupted.into());
        }
        for (child, process) in self.children.iter_mut().zip(&self.state.processes) {
            let ended = child.try_wait().with_context(|| format!("cannot watch {}", process.name))?;
            if let Some(status) = ended {
                let name = process.name.clone();
                bail!("{name} died ({status}){}", self.last_lines(&name));
            }
        }
        Ok(())
    }

    fn output(&self, name: &str) -> PathBuf {
        self.file(&format!("{}.out", name.replace(' ', "-")))
    }

    fn log(&self, name: &str) -> PathBuf {
        self.file(&format!("{}.log", name.replace(' ', "-")))
    }

    /// The end of the process's log, as the end of a message; of its output, if it logged nothing.
    fn last_lines(&self, name: &str) -> String {
        for file in [self.log(name), self.output(name)] {
            let lines = tail(&file, SHOWN_LOG_LINES);
            if !lines.is_empty() {
                return format!("\nthe last lines of {}:\n{lines}", file.display());
            }
        }
        String::from("\nit logged nothing")
    }
}

/// The last `count` lines of a file, indented; empty if it cannot be read.
fn tail(file: &Path, count: usize) -> String {
    let bytes = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let mut last: Vec<&str> = text.lines().rev().take(count).collect();
    last.reverse();
    last.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(folder: &Path) -> Stack {
        let request = Request { config: None, demo: true, envoys: 1 };
        Stack::new(folder.join("state"), request).unwrap()
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_dead_process_is_named_with_its_log_and_the_rest_is_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let mut stack = stack(folder.path());
        stack.start("long lived", &mut shell("exec sleep 60")).unwrap();
        let long_lived = ProcessId::of(stack.children[0].id()).unwrap();
        stack.start("faulty", &mut shell("sleep 0.1; echo port taken >&2; exit 7")).unwrap();
        let error = stack.watch().unwrap_err().to_string();
        assert!(
            error.contains("faulty died") && error.contains("7") && error.contains("port taken"),
            "{error}"
        );
        stack.stop(true).unwrap();
        assert!(!long_lived.is_alive());
        assert!(folder.path().join("state/faulty.log").exists());
        assert!(State::load(&folder.path().join("state")).unwrap().is_none());
    }

    #[test]
    fn an_announcement_is_found_between_other_lines() {
        let folder = tempfile::tempdir().unwrap();
        let mut stack = stack(folder.path());
        let script = r#"echo starting; echo '{"address":"127.0.0.1:5"}'; exec sleep 60"#;
        stack.start("simulator", &mut shell(script)).unwrap();
        let found: std::collections::BTreeMap<String, String> =
            stack.announcement("simulator", Duration::from_secs(10)).unwrap();
        assert_eq!(found["address"], "127.0.0.1:5");
        stack.stop(false).unwrap();
        assert!(!folder.path().join("state").exists());
    }

    #[test]
    fn a_wait_ends_at_its_limit_with_the_last_reason() {
        let folder = tempfile::tempdir().unwrap();
        let mut stack = stack(folder.path());
        let attempt = || -> Result<()> { bail!("connection refused") };
        let error = stack.wait("envoy 1", "to listen", POLL, attempt).unwrap_err().to_string();
        assert!(error.contains("envoy 1: to listen") && error.contains("connection refused"), "{error}");
    }
}
