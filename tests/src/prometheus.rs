//! A Prometheus that scrapes what a test runs, from the package that promtool is from.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::client::Gateway;
use crate::environment;
use crate::process::Process;
use crate::wait::{PATIENCE, eventually};

/// A running Prometheus; ended when dropped.
#[derive(Debug)]
pub struct Prometheus {
    api: Gateway,
    _process: Process,
}

impl Prometheus {
    /// Starts one that looks at `targets`, each `HOST:PORT` and a path, every 200 ms. `None` where there is none, which is told
    /// on stderr.
    pub async fn start(folder: &Path, targets: &[(&str, &str)]) -> Option<Self> {
        let binary = match environment::promtool().map(|promtool| promtool.with_file_name("prometheus")) {
            Ok(binary) if binary.is_file() => binary,
            Ok(binary) => {
                eprintln!("SKIPPED: there is no {}", binary.display());
                return None;
            }
            Err(reason) => {
                eprintln!("SKIPPED: Prometheus: {reason}");
                return None;
            }
        };
        let jobs: Vec<Value> = targets
            .iter()
            .enumerate()
            .map(|(number, (target, path))| {
                json!({"job_name": number.to_string(), "metrics_path": path, "static_configs": [{"targets": [target]}]})
            })
            .collect();
        let config = json!({"global": {"scrape_interval": "200ms", "scrape_timeout": "200ms"}, "scrape_configs": jobs});
        let file = folder.join("prometheus.yml");
        std::fs::write(&file, config.to_string()).expect("cannot write a configuration");
        let address = free_address();
        let mut command = Command::new(binary);
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.join("prometheus").display()));
        command.arg(format!("--web.listen-address={address}"));
        let mut process = Process::start("prometheus", folder, &mut command);
        let api = Gateway::new(&address);
        eventually("Prometheus is ready", PATIENCE, async || {
            process.expect_alive();
            let reply = api.request(reqwest::Method::GET, "/-/ready").send().await;
            if reply.is_ok_and(|reply| reply.status().is_success()) { Ok(()) } else { Err("not yet") }
        })
        .await;
        Some(Self { api, _process: process })
    }

    /// The series that a query has now, but for those that are no number.
    ///
    /// # Panics
    /// Where the query is none.
    pub async fn query(&self, query: &str) -> Vec<Value> {
        let request =
            self.api.request(reqwest::Method::POST, "/api/v1/query").body(format!("query={}", escape(query)));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let reply = crate::client::Reply::of(request).await.json();
        assert_eq!(reply["status"], "success", "{query}: {reply}");
        let series = reply["data"]["result"].as_array().cloned().unwrap_or_default();
        series.into_iter().filter(|series| series["value"][1] != "NaN").collect()
    }
}

/// Prometheus cannot tell which free port it took, so one is found for it.
fn free_address() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("no free port");
    listener.local_addr().expect("a bound listener has an address").to_string()
}

fn escape(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
