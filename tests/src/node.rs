//! The client's package, tried by Node: its test runner, and the TypeScript compiler.
//!
//! The scripts are in `client/test`, beside what they test. The same checks run in a browser, see [`client_page`].

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use crate::environment;
use crate::process::Process;
use crate::upstream::{AnsweredWithHeaders, Seen, Upstream};

/// Deadline of a run. A passing one takes seconds, but a machine may be busy with other tests.
const DEADLINE: Duration = Duration::from_secs(120);

/// How the compiler is to look: as strictly as it can, and as Node and bundlers would find the package.
const TSCONFIG: &str = r#"{
    "compilerOptions": {
        "strict": true, "exactOptionalPropertyTypes": false, "noUncheckedIndexedAccess": true, "noEmit": true,
        "target": "es2022", "module": "nodenext", "lib": ["es2023", "dom", "dom.iterable"], "types": []
    },
    "include": ["*.ts"]
}"#;

/// The scripts beside the client.
fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../client/test")
}

/// Runs a script of the client's with Node's test runner, and expects all of its checks to pass; their names. `place` is
/// handed on as `AI_WARP_PLACE`.
///
/// # Panics
/// Where a check fails; with what Node printed.
pub async fn node_checks(script: &str, place: Option<&str>) -> Vec<String> {
    let mut command = Command::new(environment::node());
    command.args(["--test", "--test-reporter=tap"]).arg(scripts().join(script));
    command.env("AI_WARP_CLIENT", environment::client()).envs(place.map(|place| ("AI_WARP_PLACE", place)));
    let (status, output) = run("node", &mut command).await;
    let lines = output.lines().filter_map(|line| line.strip_prefix("ok ")?.split_once(" - "));
    let passed: Vec<String> = lines.map(|(_, name)| name.to_owned()).collect();
    assert!(status.success(), "{script} ended with {status}, {} passed:\n{output}", passed.len());
    passed
}

/// Compiles the usage files of the client's types. Where there is no compiler it says so.
///
/// # Panics
/// With what the compiler complains of.
pub async fn expect_types() {
    let compiler = match environment::typescript() {
        Ok(compiler) => compiler,
        Err(reason) => {
            // Nobody is left to tell where stderr is closed.
            let _ = writeln!(std::io::stderr(), "types are not checked: {reason}");
            return;
        }
    };
    let folder = tempfile::Builder::new().prefix("ai-warp-types-").tempdir().expect("no temporary folder");
    let modules = folder.path().join("node_modules");
    fs::create_dir(&modules).expect("cannot create a folder");
    std::os::unix::fs::symlink(environment::client(), modules.join("ai-warp-client")).expect("cannot link");
    fs::write(folder.path().join("tsconfig.json"), TSCONFIG).expect("cannot write");
    fs::write(folder.path().join("package.json"), r#"{"type": "module"}"#).expect("cannot write");
    for entry in fs::read_dir(scripts().join("types")).expect("the usage files are there") {
        let file = entry.expect("the usage files can be listed").path();
        fs::copy(&file, folder.path().join(file.file_name().expect("a file has a name")))
            .expect("cannot copy");
    }
    let mut command = Command::new(environment::node());
    command.arg(compiler).arg("--project").arg(folder.path());
    let (status, output) = run("tsc", &mut command).await;
    assert!(status.success(), "{output}");
}

async fn run(name: &str, command: &mut Command) -> (ExitStatus, String) {
    let folder = tempfile::Builder::new().prefix("ai-warp-node-").tempdir().expect("no temporary folder");
    // Node's test runner tells its children by it that they are its children.
    command.env_remove("NODE_TEST_CONTEXT").env_remove("NODE_OPTIONS");
    let mut process = Process::start(name, folder.path(), command);
    let status = process.ended(DEADLINE).await;
    (status, process.all_output())
}

/// A server with the page that runs all of the client's checks in a browser, at `/`. Its scripts may connect to `gateways`
/// (`HOST:PORT`) and to nobody else, and there is no other source.
pub async fn client_page(gateways: &[&str]) -> Upstream {
    let to: Vec<String> = gateways.iter().map(|address| format!("http://{address}")).collect();
    let policy =
        format!("default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src {}", to.join(" "));
    let package = environment::client();
    Upstream::start_with_headers(move |seen| answer(seen, &package, &policy)).await
}

fn answer(seen: &Seen, package: &Path, policy: &str) -> AnsweredWithHeaders {
    let path = seen.path.split('?').next().unwrap_or_default();
    let file = match path.split('/').collect::<Vec<_>>().as_slice() {
        ["", ""] => scripts().join("page.html"),
        ["", "client", name] => package.join(name),
        ["", "test", name] => scripts().join(name),
        _ => PathBuf::new(),
    };
    let kind = match file.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html",
        Some("js" | "mjs") => "text/javascript",
        _ => return (404, Vec::new(), String::new()),
    };
    match fs::read_to_string(&file) {
        Ok(text) => {
            let headers =
                vec![("content-type", kind.to_owned()), ("content-security-policy", policy.to_owned())];
            (200, headers, text)
        }
        Err(_) => (404, Vec::new(), String::new()),
    }
}
