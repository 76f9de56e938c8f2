//! Running programs to their end, and knowing whether one started earlier is still the same process.
//!
//! A process id alone is no identity: after `up --detach` and a reboot the number may belong to someone else. A
//! `ProcessId` therefore carries the start time the kernel reports, and a signal is sent only if both still agree.

use std::io;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// How often a wait looks again.
pub(crate) const POLL: Duration = Duration::from_millis(100);

/// How long a process has between SIGTERM and SIGKILL.
pub(crate) const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// Runs `command` to its end, its stdout shown on our stderr: our own stdout is for results only.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let stderr = io::stderr().as_fd().try_clone_to_owned().context("cannot duplicate stderr")?;
    run_inheriting(command.stdin(Stdio::null()).stdout(stderr))
}

/// Runs `command` to its end with whatever input and output it has.
pub(crate) fn run_inheriting(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status})", shown(command));
    }
    Ok(())
}

/// Runs `command` to its end and returns its stdout; a failure carries its stderr.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot run `{}`", shown(command)))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed ({}):\n{}", shown(command), output.status, stderr.trim_end());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{}` printed no UTF-8", shown(command)))
}

/// The command line as a person would type it (without quoting).
pub(crate) fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// Finds `name` on `PATH`.
pub(crate) fn on_path(name: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// One particular process: a number, and when it started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    pid: u32,
    /// In the kernel's own words (ticks since boot with the boot's id, or the date `ps` prints); only ever compared.
    started: String,
}

impl ProcessId {
    /// The identity of the process with this number, if it exists and is not a zombie.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let started = if std::path::Path::new("/proc/self/stat").exists() {
            start_from_proc(pid)?
        } else {
            start_from_ps(pid)?
        };
        Some(Self { pid, started })
    }

    /// Ours.
    pub(crate) fn own() -> Option<Self> {
        Self::of(std::process::id())
    }

    pub(crate) fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// Asks the process to stop. Does nothing if it is gone, even when its number is in use again.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Waits until the process is gone; `false` if the deadline came first.
    pub(crate) fn wait_gone(&self, deadline: Instant) -> bool {
        while self.is_alive() {
            if Instant::now() >= deadline {
                return false;
            }
            sleep(POLL / 4);
        }
        true
    }

    /// Asks, waits, and insists: SIGTERM, then SIGKILL at the deadline. Returns whether it went by itself.
    pub(crate) fn stop(&self, deadline: Instant) -> bool {
        self.terminate();
        if self.wait_gone(deadline) {
            return true;
        }
        self.signal(Signal::SIGKILL);
        self.wait_gone(Instant::now() + Duration::from_secs(5));
        false
    }

    fn signal(&self, signal: Signal) {
        // Gone between the look and the signal is as good as stopped, hence the ignored error.
        if let (true, Ok(pid)) = (self.is_alive(), i32::try_from(self.pid)) {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

/// Linux: field 22 of `/proc/PID/stat` (proc_pid_stat(5)), with the boot's id since ticks start anew at each boot.
fn start_from_proc(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses and may hold spaces and parentheses itself.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?;
    if state == "Z" || state == "X" {
        return None;
    }
    let ticks = fields.nth(18)?;
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    Some(format!("{}/{ticks}", boot.trim_end()))
}

/// Elsewhere: what `ps` says.
fn start_from_ps(pid: u32) -> Option<String> {
    let output = Command::new("ps").args(["-o", "stat=,lstart=", "-p", &pid.to_string()]).output().ok()?;
    let line = String::from_utf8(output.stdout).ok()?;
    let (state, started) = line.trim().split_once(char::is_whitespace)?;
    (!state.starts_with('Z')).then(|| started.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_number_and_start() {
        let own = ProcessId::own().unwrap();
        assert!(own.is_alive());
        let earlier = ProcessId { started: "another boot/1".into(), ..own };
        assert!(!earlier.is_alive(), "a reused number is not the same process");
    }

    #[test]
    fn a_process_that_ignores_sigterm_is_killed_at_the_deadline() {
        let mut child = Command::new("sh")
            .args(["-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
        let id = ProcessId::of(child.id()).unwrap();
        let by_itself = id.stop(Instant::now() + POLL);
        assert!(!by_itself);
        assert!(!id.is_alive(), "an unreaped zombie counts as gone");
        child.wait().unwrap();
    }

    #[test]
    fn a_failed_capture_tells_the_command_and_its_stderr() {
        let error = capture(Command::new("sh").args(["-c", "echo why >&2; exit 3"])).unwrap_err().to_string();
        assert!(error.contains("exit 3") && error.contains("why"), "{error}");
    }
}
