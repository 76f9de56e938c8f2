//! `ai-warp serve`: the control plane, from first check to last request.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::logging::{self, LogFormat};
use super::{Failure, print};
use crate::config::process_env;
use crate::server::{Addresses, DRAIN_DEADLINE, Ending, Files, Server, StartError};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "A changed configuration is applied within a second. SIGTERM and SIGINT end the control plane \
                        in order.\nThe environment variable AI_WARP_LOG says what is logged, such as debug \
                        (default: info)."
)]
pub(super) struct Args {
    /// The configuration file; variables it names are also looked for in `.env` beside it
    #[arg(long, value_name = "FILE", default_value = "ai-warp.yaml")]
    config: PathBuf,
    /// The filter's WebAssembly module
    #[arg(long, value_name = "PATH")]
    filter: PathBuf,
    /// The folder of the client package, as `cargo xtask client` builds it: the console's playground needs it
    #[arg(long, value_name = "DIR")]
    client: Option<PathBuf>,
    /// Print {"http": ADDRESS, "xds": ADDRESS} on one line once both ports are bound
    #[arg(long)]
    announce: bool,
    /// Threads that serve; with more than one an event of a resumable stream costs more, as threads wake each other for it
    #[arg(long, value_name = "COUNT", default_value_t = NonZeroUsize::MIN)]
    threads: NonZeroUsize,
    /// How log lines look
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    logging::start(args.log_format)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(args.threads.get())
        .enable_all()
        .build()
        .map_err(Failure::failed)?;
    let result = runtime.block_on(serve(args));
    // Requests that did not make the deadline are not waited for here either.
    runtime.shutdown_background();
    result
}

async fn serve(args: &Args) -> Result<(), Failure> {
    // Signals first: one that comes while starting must not be lost.
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::failed)?;

    let files = Files { config: &args.config, filter: &args.filter, client: args.client.as_deref() };
    let server = Server::bind(files, process_env()).await.map_err(failure)?;
    let Addresses { http, xds } = server.addresses();
    tracing::info!(%http, %xds, "serving");
    if args.announce {
        print(&format!("{}\n", json!({"http": http.to_string(), "xds": xds.to_string()})))?;
    }
    let stop = async {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "stopping");
    };
    match server.run(stop).await {
        Ending::Graceful => tracing::info!("stopped; every request was answered"),
        Ending::Forced => {
            tracing::warn!(
                deadline_s = DRAIN_DEADLINE.as_secs(),
                "stopped at the deadline; requests were cut off"
            );
        }
    }
    Ok(())
}

fn failure(error: StartError) -> Failure {
    match error {
        StartError::Config(_) | StartError::Filter(_) | StartError::Client(_) | StartError::Store(_) => {
            Failure::config(error)
        }
        StartError::Bind { .. } | StartError::Metrics(_) => Failure::failed(error),
    }
}
