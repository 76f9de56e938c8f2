//! A child process with its output in files, killed when dropped.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::wait::{PATIENCE, eventually};

/// How many of a log's last lines a failed test shows.
const SHOWN_LINES: usize = 60;

/// How much of each of them.
const SHOWN_COLUMNS: usize = 400;

/// Time between two looks at whether a child has ended.
const POLL: Duration = Duration::from_millis(20);

/// A running child.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    out: PathBuf,
    log: PathBuf,
}

impl Process {
    /// Starts `command`, with stdout in `NAME.out` and stderr in `NAME.log` of `folder`. A log that is there already is
    /// continued.
    pub fn start(name: &str, folder: &Path, command: &mut Command) -> Self {
        let (out, log) = (folder.join(format!("{name}.out")), folder.join(format!("{name}.log")));
        let log_file = File::options().create(true).append(true).open(&log).expect("cannot create a log");
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(&out).expect("cannot create an output file"))
            .stderr(log_file)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        Self { name: name.to_owned(), child, out, log }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.id());
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux tells VmRSS");
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("VmRSS is a number");
        kilobytes * 1024
    }

    /// Waits for the first line of JSON on stdout.
    pub async fn announcement(&mut self) -> Value {
        let out = self.out.clone();
        eventually(&format!("{} announces itself", self.name), PATIENCE, || {
            let ended = self.child.try_wait().expect("a child can be asked");
            if let Some(status) = ended {
                panic!("{} ended ({status}):\n{}", self.name, self.tail());
            }
            let text = std::fs::read_to_string(&out).unwrap_or_default();
            let complete = text.rsplit_once('\n').map_or("", |(lines, _)| lines);
            let found = complete.lines().find_map(|line| serde_json::from_str(line).ok());
            std::future::ready(found.ok_or("nothing announced"))
        })
        .await
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// At the deadline.
    pub(crate) async fn ended(&mut self, deadline: Duration) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                return status;
            }
            if started.elapsed() >= deadline {
                panic!("{} did not end within {deadline:?}:\n{}", self.name, self.all_output());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Panics if the process has ended.
    pub(crate) fn expect_alive(&mut self) {
        if let Some(status) = self.child.try_wait().expect("a child can be asked") {
            panic!("{} ended ({status}):\n{}", self.name, self.tail());
        }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status();
        assert!(status.is_ok_and(|status| status.success()), "cannot send {name} to {}", self.name);
    }

    /// Halts it, until [`resume`](Self::resume).
    pub(crate) async fn pause(&self) {
        self.signal("STOP");
        // On a busy machine its threads run on for a moment.
        let tasks = format!("/proc/{}/task", self.id());
        eventually(&format!("{} is halted", self.name), PATIENCE, async || {
            let states = std::fs::read_dir(&tasks).unwrap().flatten().map(|task| {
                let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
                stat.rsplit(')').next().unwrap_or_default().trim().chars().next()
            });
            let running = states.filter(|state| *state != Some('T')).count();
            if running == 0 { Ok(()) } else { Err(format!("{running} threads run")) }
        })
        .await;
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        self.signal("CONT");
    }

    /// Ends it as a crash would: SIGKILL.
    pub(crate) fn kill(&mut self) {
        // Fails only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Everything it wrote to stderr and stdout.
    pub(crate) fn all_output(&self) -> String {
        let read = |path| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
        read(&self.log) + &read(&self.out)
    }

    /// Everything it wrote to stdout.
    pub(crate) fn output(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.out).unwrap_or_default()).into_owned()
    }

    /// The end of its log.
    pub(crate) fn tail(&self) -> String {
        let text = String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned();
        // Envoy starts with pages of what it is built with.
        let lines = text.lines().filter(|line| !line.contains("source/server/server.cc"));
        let lines: Vec<String> = lines.map(|line| line.chars().take(SHOWN_COLUMNS).collect()).collect();
        lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
    }

    /// Prints name and end of log.
    pub(crate) fn print_log(&self) {
        eprintln!("--- the end of the log of {}:\n{}", self.name, self.tail());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
