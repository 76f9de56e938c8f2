//! The providers' official Python SDKs, run as programs run them: what they make of an answer is the last word on it.
//!
//! The scripts are in `tests/sdk`. One process of them asks any number of servers, as starting Python and loading an
//! SDK takes longer than most of its questions. Each check that passes is told by name, and the names are compared with
//! a table of the test: so a script that does nothing fails.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::environment;
use crate::process::Process;

/// Deadline of a run. A passing one takes seconds, but a machine may be busy with other tests.
const DEADLINE: Duration = Duration::from_secs(120);

/// Runs the scripts' checks for these servers, and expects every one of them to pass.
///
/// Where the SDKs could not be installed it says so, and expects nothing.
///
/// # Panics
/// Where a check fails, is missing, or is not in the table of `scripts`; with what the scripts printed.
pub async fn expect_checks(scripts: &[(&str, &[&str])], targets: &[SdkTarget]) {
    let python = match environment::sdk_python() {
        Ok(python) => python,
        Err(reason) => return tell_skipped(&reason),
    };
    assert!(!targets.is_empty(), "there is no server to ask");
    let folder = tempfile::Builder::new().prefix("ai-warp-sdk-").tempdir().expect("no temporary folder");
    let plan = folder.path().join("plan.json");
    let wanted: Vec<&Value> = targets.iter().map(|target| &target.plan).collect();
    std::fs::write(&plan, json!({"targets": wanted}).to_string()).expect("cannot write the plan");

    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk/run.py")).arg(&plan);
    std::env::vars_os().filter(|(name, _)| changes_sdks(name)).for_each(|(name, _)| {
        command.env_remove(name);
    });
    // Nothing is written beside the scripts.
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUTF8", "1");
    let mut process = Process::start("sdk", folder.path(), &mut command);
    let status = process.ended(DEADLINE).await;
    let output = process.all_output();
    let passed: BTreeSet<&str> = output.lines().filter_map(|line| line.strip_prefix("ok ")).collect();
    if !status.success() {
        let told: Vec<&str> = output.lines().filter(|line| !line.starts_with("ok ")).collect();
        panic!("the SDK's checks ended with {status}, {} passed:\n{}", passed.len(), told.join("\n"));
    }
    let expected: Vec<String> = targets.iter().flat_map(|target| target.checks(scripts)).collect();
    let expected: BTreeSet<&str> = expected.iter().map(String::as_str).collect();
    let missing: Vec<_> = expected.difference(&passed).collect();
    let unknown: Vec<_> = passed.difference(&expected).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "missing: {missing:?}, not in the table: {unknown:?}");
}

/// Whether a variable of this machine would change where an SDK asks, or as whom.
fn changes_sdks(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_ascii_uppercase();
    let of_sdk = ["OPENAI_", "AZURE_", "ANTHROPIC_", "GOOGLE_", "GEMINI_", "GENAI_"];
    name.ends_with("_PROXY") || of_sdk.iter().any(|prefix| name.starts_with(prefix))
}

/// Written past the capture of the test's output: a skipped test must be seen.
fn tell_skipped(reason: &str) {
    let name = std::thread::current().name().unwrap_or("an SDK test").to_owned();
    // Nobody is left to tell where stderr is closed.
    let _ = writeln!(std::io::stderr(), "SDK test skipped: {name}: {reason}");
}

/// A server that speaks an SDK's API, and the scripts to run against it. `tests/sdk/checks.py` says what each value is.
#[derive(Debug, Clone)]
pub struct SdkTarget {
    name: String,
    scripts: Vec<&'static str>,
    plan: Value,
}

impl SdkTarget {
    /// A server at `base_url`, behind which `provider` answers. `name` has no spaces.
    pub fn new(name: &str, base_url: &str, provider: &str, scripts: &[&'static str]) -> Self {
        let plan = json!({
            "name": name,
            "base_url": base_url,
            "api_key": ai_warp_simulator::DEFAULT_API_KEY,
            "provider": provider,
            "scripts": scripts,
        });
        Self { name: name.to_owned(), scripts: scripts.to_vec(), plan }
    }

    /// Sets another value of the plan.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.plan[key] = value.into();
        self
    }

    /// `TARGET SCRIPT.CHECK` of every check that must pass.
    fn checks(&self, scripts: &[(&str, &[&str])]) -> Vec<String> {
        let checks = |script: &&'static str| {
            let (_, checks) = scripts
                .iter()
                .find(|(name, _)| name == script)
                .unwrap_or_else(|| panic!("the table has no {script}"));
            checks.iter().map(|check| format!("{} {script}.{check}", self.name)).collect::<Vec<_>>()
        };
        self.scripts.iter().flat_map(checks).collect()
    }
}
