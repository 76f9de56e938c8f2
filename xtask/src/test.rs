//! `test`: everything CI checks, cheapest first, so that a mistake shows as early as it can.
//!
//! With a filter it is the inner loop instead: no lints, only the build and the tests whose name matches.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::artifacts::{Artifacts, Profile};
use crate::setup::{self, Need, Tools};
use crate::versions::Versions;
use crate::workspace::Workspace;
use crate::{client, process, tidy};

/// What to test.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leave out the end-to-end tests, and with them Envoy, Valkey and the SDKs.
    #[arg(long)]
    skip_e2e: bool,
    /// Run only the tests whose name contains this, without the lints.
    filter: Option<String>,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let started = Instant::now();
    let needs: &[Need] = if args.skip_e2e { &[Need::WasmTarget] } else { &Need::ALL };
    let tools = step("setup", || setup::install(needs))?;
    if args.filter.is_none() {
        lint(workspace)?;
    }
    let artifacts = step("build", || Artifacts::build(workspace, Profile::Dev))?;
    let package = if args.skip_e2e { None } else { Some(step("client", || client::build(workspace))?) };
    let counts = step("tests", || cargo_test(workspace, args, &tools, &artifacts, package.as_deref()))?;
    eprintln!("all of it took {:.1} s", started.elapsed().as_secs_f64());
    if let Some(reason) = tools.sdks_skipped() {
        // Again, and last: it was printed before thousands of other lines.
        eprintln!("SDK tests were skipped: {}", reason.display());
    }
    if let Some(reason) = tools.promtool_skipped() {
        eprintln!("promtool was not run: {}", reason.display());
    }
    if let Some(reason) = tools.browser_skipped() {
        eprintln!("browser tests were skipped: {}", reason.display());
    }
    if let Some(reason) = tools.typescript_skipped() {
        eprintln!("the types of the client's package were not checked: {}", reason.display());
    }
    // cargo prints a summary per crate; this one is of them all.
    println!("{} passed, {} failed, {} skipped", counts.passed, counts.failed, counts.ignored);
    if counts.passed == 0 {
        match &args.filter {
            Some(filter) => bail!("no test's name contains `{filter}`"),
            None => bail!("no test ran"),
        }
    }
    Ok(())
}

fn lint(workspace: &Workspace) -> Result<()> {
    step("format", || {
        process::run(workspace.cargo().args(["fmt", "--all", "--check"]))
            .context("run `cargo fmt --all` and look at what it changed")
    })?;
    step("repository rules", || tidy::run(workspace))?;
    step("clippy", || {
        let scope = ["clippy", "--workspace", "--all-targets"];
        process::run(workspace.cargo().args(scope).args(["--", "-D", "warnings"]))
    })?;
    step("clippy for wasm", || {
        let scope = ["clippy", "--package", "ai-warp-core", "--package", "ai-warp-filter", "--target"];
        let target = Versions::pinned()?.rust.wasm_target;
        process::run(workspace.cargo().args(scope).arg(target).args(["--", "-D", "warnings"]))
    })?;
    step("clippy for browsers", || {
        let target = Versions::pinned()?.rust.client_target;
        let scope = ["clippy", "--package", "ai-warp-client", "--target", &target];
        process::run(workspace.cargo().args(scope).args(["--", "-D", "warnings"]))
    })
}

/// Runs one named step and tells how long it took.
fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("==> {name}");
    let started = Instant::now();
    let result = work().with_context(|| format!("step `{name}`"))?;
    eprintln!("    {name}: {:.1} s", started.elapsed().as_secs_f64());
    Ok(result)
}

/// The sums of cargo's per-crate summaries.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Counts {
    /// Adds the counts of a line like `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
    fn add_line(&mut self, line: &str) {
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for part in counts.split("; ") {
            let Some((number, what)) = part.split_once(' ') else { continue };
            let number: u64 = number.parse().unwrap_or(0);
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

fn cargo_test(
    workspace: &Workspace,
    args: &Args,
    tools: &Tools,
    artifacts: &Artifacts,
    client: Option<&Path>,
) -> Result<Counts> {
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--workspace"]);
    if args.skip_e2e {
        cargo.args(["--exclude", "ai-warp-tests"]);
    }
    if args.filter.is_none() {
        // One run tells all failures.
        cargo.arg("--no-fail-fast");
    }
    cargo.args(args.filter.iter());
    cargo.envs(artifacts.variables()).envs(tools.variables());
    cargo.envs(client.map(|folder| (client::CLIENT, folder)));
    stream_and_count(&mut cargo)
}

/// Runs `cargo test` with its output shown as it comes.
fn stream_and_count(cargo: &mut Command) -> Result<Counts> {
    let shown = process::shown(cargo);
    let mut child = cargo
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run `{shown}`"))?;
    let mut counts = Counts::default();
    let stdout = child.stdout.take().context("cargo test has no stdout")?;
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.with_context(|| format!("cannot read the output of `{shown}`"))?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        counts.add_line(&line);
    }
    let status = child.wait().with_context(|| format!("cannot wait for `{shown}`"))?;
    if !status.success() {
        println!("{} passed, {} failed, {} skipped", counts.passed, counts.failed, counts.ignored);
        bail!("`{shown}` failed ({status})");
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_summaries_add_up() {
        let mut counts = Counts::default();
        for line in [
            "running 4 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 9 filtered out; finished in 0.01s",
        ] {
            counts.add_line(line);
        }
        assert_eq!(counts, Counts { passed: 5, failed: 1, ignored: 1 });
    }
}
