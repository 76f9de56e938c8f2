//! The binary as people and scripts use it: outputs, exit codes, signals.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};

/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

const CONFIG: &str = "providers:\n  openai: {apiKey: \"${OPENAI_API_KEY}\"}\n  local: {dialect: openai, baseUrl: \"http://127.0.0.1:1/v1\"}\n\
                      models: [\"openai:m\", \"local:n\"]\ncontrolPlane: {port: 0, xdsPort: 0}\n";

fn ai_warp(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ai-warp"));
    command
        .current_dir(dir)
        .args(arguments)
        .env_remove("OPENAI_API_KEY")
        .env_remove("AI_WARP_LOG")
        .stdin(Stdio::null());
    command
}

fn run(dir: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = ai_warp(dir, arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn help_is_an_answer_and_a_wrong_flag_a_usage_error() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in [&["--help"][..], &["--version"], &["serve", "--help"], &["init", "--help"]] {
        let (code, stdout, _) = run(dir.path(), arguments);
        assert_eq!((code, stdout.is_empty()), (Some(0), false), "{arguments:?}");
    }
    for arguments in [
        &[][..],
        &["nonsense"],
        &["serve"],
        &["validate", "--jsn"],
        &["init", "--port", "0"],
        &["init", "--yes"],
    ] {
        let (code, stdout, stderr) = run(dir.path(), arguments);
        assert_eq!((code, stdout.is_empty(), stderr.is_empty()), (Some(64), true, false), "{arguments:?}");
    }
}

#[test]
fn validate_tells_what_a_configuration_means() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ai-warp.yaml"), CONFIG).unwrap();
    let (code, stdout, stderr) = run(dir.path(), &["validate", "--json"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("warning: providers.openai.apiKey"), "{stderr}");
    assert_eq!(
        serde_json::from_str::<Value>(&stdout).unwrap(),
        json!({
            "server": {"hostname": "127.0.0.1", "port": 3042, "adminPort": 9901},
            "controlPlane": {"hostname": "127.0.0.1", "port": 0, "xdsPort": 0},
            "streams": {"hostname": "127.0.0.1", "port": 3142},
            "console": {"enabled": false},
            "providers": {
                "local": {
                    "hasKey": false,
                    "endpoints": [{"name": "local", "baseUrl": "http://127.0.0.1:1/v1", "hasKey": false}],
                },
                "openai": {
                    "hasKey": false,
                    "endpoints": [{"name": "openai", "baseUrl": "https://api.openai.com/v1", "hasKey": false}],
                },
            },
            "models": ["openai:m", "local:n"],
            "routes": ["default"],
            "storage": "memory",
        })
    );
    std::fs::write(dir.path().join(".env"), "OPENAI_API_KEY=sk-secret").unwrap();
    let (_, stdout, stderr) = run(dir.path(), &["validate", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&stdout).unwrap()["providers"]["openai"]["hasKey"], true);
    assert!(!stdout.contains("sk-secret") && stderr.is_empty(), "{stderr}");
    let (_, stdout, _) = run(dir.path(), &["validate"]);
    assert_eq!(stdout, "ai-warp.yaml is valid: 2 providers, 2 models, storage memory\n");
}

#[test]
fn a_wrong_configuration_is_refused_with_every_reason_before_anything_is_bound() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ai-warp.yaml"), "providers: {}\nmodels:\n  - nocolon\nlimts: {}\n")
        .unwrap();
    for arguments in [&["validate"][..], &["serve", "--filter", "f.wasm", "--announce"]] {
        let (code, stdout, stderr) = run(dir.path(), arguments);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
        for reason in
            ["(line 1)", "models[0]", "(line 3)", "limts: unknown key, did you mean \"limits\"? (line 4)"]
        {
            assert!(stderr.contains(reason), "{reason} is not in:\n{stderr}");
        }
    }
    let (code, _, stderr) = run(dir.path(), &["validate", "--config", "absent.yaml"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("absent.yaml"), "{stderr}");
}

#[test]
fn init_writes_once_what_validate_accepts() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = [
        "init",
        "--provider",
        "gemini",
        "--provider",
        "openai",
        "--gemini-api-key",
        "g-1",
        "--keys-from-env",
        "--port",
        "8080",
        "--valkey",
        "cache:6380",
        "--output",
        "new/folder",
    ];
    let output = ai_warp(dir.path(), &arguments).env("OPENAI_API_KEY", "sk-1").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    let folder = dir.path().join("new/folder");
    let env = std::fs::read_to_string(folder.join(".env")).unwrap();
    assert!(env.contains("GEMINI_API_KEY=\"g-1\"\nOPENAI_API_KEY=\"sk-1\"\n"), "{env}");
    assert_eq!(std::fs::metadata(folder.join(".env")).unwrap().permissions().mode() & 0o777, 0o600);

    let (code, stdout, stderr) = run(&folder, &["validate", "--json"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let summary: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&summary["server"]["port"], &summary["storage"]), (&json!(8080), &json!("valkey")));
    assert_eq!(summary["providers"]["gemini"]["hasKey"], true);

    let (code, _, stderr) = run(&folder, &["init", "--provider", "openai", "--yes"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("--force"), "{stderr}");
    let (code, _, stderr) = run(&folder, &["init", "--provider", "openai", "--yes", "--force"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("no key for OpenAI"), "{stderr}");
}

#[test]
fn schema_is_json() {
    let (code, stdout, _) = run(Path::new("."), &["schema"]);
    assert_eq!(code, Some(0));
    assert!(serde_json::from_str::<Value>(&stdout).unwrap()["properties"]["providers"].is_object());
}

/// A served control plane; ends with the test.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn serve_announces_its_ports_and_ends_in_order_on_either_signal() {
    for signal in ["-TERM", "-INT"] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ai-warp.yaml"), CONFIG).unwrap();
        std::fs::write(dir.path().join("f.wasm"), b"\0asm\x01\0\0\0").unwrap();
        let arguments = ["serve", "--filter", "f.wasm", "--announce", "--log-format", "json"];
        let child =
            ai_warp(dir.path(), &arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut served = Served(child);
        let (stdout, mut stderr) = (served.0.stdout.take().unwrap(), served.0.stderr.take().unwrap());
        let (announced_tx, announced) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).unwrap();
            announced_tx.send(line).unwrap();
        });
        let (log_tx, log) = mpsc::channel();
        std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            log_tx.send(text).unwrap();
        });
        let line = announced.recv_timeout(PATIENCE).unwrap();
        let addresses: Value = serde_json::from_str(&line).unwrap();
        for port in ["http", "xds"] {
            let address: std::net::SocketAddr = addresses[port].as_str().unwrap().parse().unwrap();
            assert_ne!(address.port(), 0);
            std::net::TcpStream::connect_timeout(&address, PATIENCE).unwrap();
        }
        let killed = Command::new("kill").args([signal, &served.0.id().to_string()]).status().unwrap();
        assert!(killed.success());
        // The log ends when the process does.
        let log = log.recv_timeout(PATIENCE).unwrap();
        assert!(served.0.wait().unwrap().success(), "{log}");
        let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
        assert_eq!(last["message"], "stopped; every request was answered", "{log}");
    }
}

#[test]
fn a_key_is_shown_once_and_its_entry_holds_none_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let (code, entry, shown) = run(dir.path(), &["keys", "create", "--consumer", "team: a", "--name", "ci"]);
    assert_eq!(code, Some(0), "{shown}");
    let key = shown.lines().last().unwrap();
    assert!(key.starts_with("aiw_") && key.len() == 47, "{shown}");
    assert!(
        !entry.contains(key) && entry.starts_with("- consumer: \"team: a\"\n  name: \"ci\"\n"),
        "{entry}"
    );
    // The entry is what the configuration takes, and what the key hashes to.
    let config = format!(
        "{CONFIG}auth:\n  apiKeys:\n{}",
        entry.replace("- ", "    - ").replace("  name", "      name")
    );
    let config = config.replace("\n  hash", "\n      hash");
    std::fs::write(dir.path().join("ai-warp.yaml"), config).unwrap();
    let (code, _, stderr) = run(dir.path(), &["validate"]);
    assert_eq!(code, Some(0), "{stderr}");
    let hashed = |key: &str| {
        let mut command = ai_warp(dir.path(), &["keys", "hash", "--consumer", "team: a", "--name", "ci"]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), key.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(hashed(&format!("{key}\n")), (Some(0), entry));
    for unusable in ["", "short\n", "two words of a key that is long\n", &"k".repeat(1_025)] {
        assert_eq!(hashed(unusable), (Some(64), String::new()), "{unusable}");
    }
    let (_, first, _) = run(dir.path(), &["keys", "create", "--consumer", "a", "--json"]);
    let (_, second, _) = run(dir.path(), &["keys", "create", "--consumer", "a", "--json"]);
    let key = |text: &str| serde_json::from_str::<Value>(text).unwrap()["key"].as_str().unwrap().to_owned();
    assert_ne!(key(&first), key(&second));
    assert_eq!(run(dir.path(), &["keys", "create", "--consumer", ""]).0, Some(64));
}
