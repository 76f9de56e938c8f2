//! The command line: what can be asked, how it is answered, and with which exit code.
//!
//! Exit codes: 0 done, 1 failed, 2 the configuration is not usable, 64 the command line is not usable (the `EX_USAGE`
//! of sysexits). Results go to stdout, everything else to stderr.

mod bootstrap;
mod init;
mod keys;
mod link;
mod logging;
mod render;
mod schema;
mod serve;
mod validate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Exit code where something else went wrong.
const EXIT_FAILED: u8 = 1;
/// Exit code where the configuration is not usable.
const EXIT_CONFIG: u8 = 2;
/// Exit code where the command line is not usable.
const EXIT_USAGE: u8 = 64;

/// The control plane of AI Warp for Envoy.
#[derive(Debug, Parser)]
#[command(name = "ai-warp", version, max_term_width = 100)]
#[command(
    after_help = "A first gateway: `ai-warp init`, then `ai-warp serve`, then Envoy with `ai-warp bootstrap`."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a configuration, by asking or by flags
    Init(init::Args),
    /// Run the control plane
    Serve(serve::Args),
    /// Check a configuration and say everything that is wrong with it
    Validate(validate::Args),
    /// Print the bootstrap configuration an Envoy starts with
    Bootstrap(bootstrap::Args),
    /// Make API keys for clients
    #[command(subcommand)]
    Keys(keys::Command),
    /// Write configuration for Envoys that somebody else runs: a plain Envoy, Istio, Envoy Gateway, Kubernetes
    Render(Box<render::Args>),
    /// Print the JSON Schema of the configuration
    Schema,
}

/// A failed command.
#[derive(Debug)]
struct Failure {
    exit: u8,
    message: String,
}

impl Failure {
    fn failed(error: impl ToString) -> Self {
        Self { exit: EXIT_FAILED, message: error.to_string() }
    }

    fn config(error: impl ToString) -> Self {
        Self { exit: EXIT_CONFIG, message: error.to_string() }
    }

    fn usage(error: impl ToString) -> Self {
        Self { exit: EXIT_USAGE, message: error.to_string() }
    }
}

/// Does what the command line of this process says.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers; a closed pipe is nothing to complain about.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let result = match cli.command {
        Command::Init(args) => init::run(args),
        Command::Serve(args) => serve::run(&args),
        Command::Validate(args) => validate::run(&args),
        Command::Bootstrap(args) => bootstrap::run(args),
        Command::Keys(command) => keys::run(&command),
        Command::Render(args) => render::run(*args),
        Command::Schema => schema::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("ai-warp: {}", failure.message);
            ExitCode::from(failure.exit)
        }
    }
}

/// Writes a result to stdout.
fn print(text: &str) -> Result<(), Failure> {
    use std::io::Write as _;

    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(Failure::failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}
