//! `ai-warp`: everything is in the library, where tests can reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    ai_warp::cli::main()
}
