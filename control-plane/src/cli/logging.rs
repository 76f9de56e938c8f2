//! Where log lines go: to stderr, as text for people or JSON for machines.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use super::Failure;

/// Environment variable that says what is logged, such as `debug` or `ai_warp=debug,info`.
const LEVEL_VARIABLE: &str = "AI_WARP_LOG";

/// What is logged where the variable says nothing.
const DEFAULT_LEVEL: &str = "info";

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// Starts logging for the rest of the process.
pub(super) fn start(format: LogFormat) -> Result<(), Failure> {
    let directives = std::env::var(LEVEL_VARIABLE).unwrap_or_default();
    let directives = if directives.trim().is_empty() { DEFAULT_LEVEL } else { directives.as_str() };
    let filter = EnvFilter::try_new(directives)
        .map_err(|error| Failure::usage(format!("{LEVEL_VARIABLE}={directives}: {error}")))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(Failure::failed)
}
