//! From [`Config`] to [`Gateway`]: names resolved, presets and defaults filled in, every problem reported.
//!
//! One file per section, as in the schema. A section that refers to one with a problem of its own stays silent about it, so
//! that each mistake is told once.

mod access;
mod auth;
mod limits;
mod models;
mod observability;
mod providers;
mod routes;
mod server;
mod streams;

use std::fmt;
use std::ops::RangeInclusive;

use super::{Config, Gateway, Paths, Storage, StorageType, TimeWindow};

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where, as `models[2].provider`.
    pub path: String,
    /// What is wrong, and what would be valid.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.text)
    }
}

/// Name of the cluster in which exchanges wait.
const WAITING_CLUSTER: &str = "ai-warp/waiting";

/// Compiles `config`.
///
/// # Errors
/// Every [`Problem`] found, not only the first.
pub fn compile(config: &Config) -> Result<Gateway, Vec<Problem>> {
    let mut problems = Problems::default();
    let providers = providers::compile(&config.providers, &mut problems);
    let models = models::compile(config, &providers, &mut problems);
    let routes = routes::compile(config, &models, &mut problems);
    let auth = auth::compile(config, &models, &routes, &mut problems);
    let client_limits = limits::client_limits(config, auth.is_some(), &mut problems);
    let tracing = observability::tracing(config, &mut problems);
    check_paths(config, &mut problems);
    limits::check(config, &mut problems);
    check_storage(config, &mut problems);
    server::check(config, &mut problems);
    streams::check(config, &mut problems);
    if !problems.0.is_empty() {
        return Err(problems.0);
    }
    let limits = &config.limits;
    Ok(Gateway {
        paths: Paths { prompt: config.prompt_path.clone(), stream: config.stream_path.clone() },
        session_header: config.header_session_id_name.to_ascii_lowercase(),
        providers,
        models,
        routes,
        waiting_cluster: WAITING_CLUSTER.to_owned(),
        max_request_bytes: limits.max_request_bytes as usize,
        max_response_bytes: limits.max_response_bytes as usize,
        default_max_tokens: limits.max_tokens,
        request_timeout_ms: limits.request_timeout.millis(),
        retry: limits::retry(&limits.retry),
        max_attempts: limits.max_attempts,
        total_timeout_ms: limits.total_timeout.millis(),
        breaker: limits::breaker(&config.breaker),
        auth,
        client_limits,
        on_unavailable: limits.on_unavailable,
        storage: match config.storage.kind {
            StorageType::None => None,
            StorageType::Memory | StorageType::Valkey => {
                Some(Storage { commit_timeout_ms: config.storage.commit_timeout.millis() })
            }
        },
        streams: streams::compile(config),
        logging: observability::logging(config),
        is_traced: tracing.is_some(),
        tracing,
        shared: true,
    })
}

fn check_paths(config: &Config, problems: &mut Problems) {
    for (name, path) in [("promptPath", &config.prompt_path), ("streamPath", &config.stream_path)] {
        let valid = path.starts_with('/') && path.len() > 1 && path.bytes().all(|b| b.is_ascii_graphic());
        if !valid || path.contains(['?', '#']) {
            problems.add(name, "must be a path that starts with '/', without query or fragment");
        }
    }
    if config.prompt_path == config.stream_path {
        problems.add("streamPath", "is the same as promptPath");
    }
    problems.check_header("headerSessionIdName", &config.header_session_id_name, "");
}

fn check_storage(config: &Config, problems: &mut Problems) {
    let storage = &config.storage;
    problems.check_time("storage.commitTimeout", storage.commit_timeout, 1..=60_000);
    if storage.valkey.cluster && storage.valkey.database != 0 {
        problems.add("storage.valkey.database", "must be 0 in a cluster");
    }
    if storage.max_turns_per_session == 0 {
        problems.add("storage.maxTurnsPerSession", "must be at least 1");
    }
}

/// What was found so far, and the checks that many sections share.
#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, path: impl Into<String>, text: impl Into<String>) {
        self.0.push(Problem { path: path.into(), text: text.into() });
    }

    fn check_number(&mut self, path: impl Into<String>, number: u64, valid: RangeInclusive<u64>) {
        if !valid.contains(&number) {
            self.add(path, format!("must be {} to {}", valid.start(), valid.end()));
        }
    }

    /// `valid` is in milliseconds.
    fn check_time(&mut self, path: impl Into<String>, time: TimeWindow, valid: RangeInclusive<u64>) {
        if !valid.contains(&time.millis()) {
            let [least, longest] = [*valid.start(), *valid.end()].map(TimeWindow::from_millis);
            self.add(path, format!("must be {least} to {longest}"));
        }
    }

    /// A name that may stand in the name of a cluster, or of a model's state. `what` as in "a provider's".
    fn check_name(&mut self, path: impl Into<String>, what: &str, name: &str) {
        let usable = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if name.is_empty() || !name.bytes().all(usable) {
            self.add(path, format!("{what} name is made of letters, digits, '-', '_' and '.'"));
        }
    }

    /// A header's name.
    fn check_token(&mut self, path: impl Into<String>, name: &str) {
        let usable = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(usable) {
            self.add(path, "is no valid header name");
        }
    }

    /// A header that can be added to a message.
    fn check_header(&mut self, path: &str, name: &str, value: &str) {
        /// What the gateway writes itself, or what frames a message.
        const RESERVED: [&str; 8] = [
            "host",
            "content-length",
            "transfer-encoding",
            "connection",
            "content-type",
            "accept-encoding",
            "upgrade",
            "te",
        ];
        self.check_token(path, name);
        if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
            self.add(path, "is written by the gateway itself and cannot be set");
        }
        if value.bytes().any(|b| b < b' ' && b != b'\t' || b == 0x7f) {
            self.add(path, "holds a control character");
        }
    }
}

#[cfg(test)]
mod tests;
