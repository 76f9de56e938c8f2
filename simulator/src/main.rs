//! The simulator as a process, for benchmarks, for the quick start, and for tests written in other languages.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use ai_warp_simulator::{DEFAULT_API_KEY, Options, Provider, Simulator, Tls};
use anyhow::Context;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

/// A stand-in for model providers: as strict as they are, failing on demand.
///
/// Prints one line when it is ready, {"address":"HOST:PORT"}, and stops on SIGTERM or SIGINT. Each provider has a path
/// of its own that begins with its name: /openai/v1, /deepseek, /gemini/v1beta, /anthropic, /azure, /mistral/v1 and so
/// on. Faults are asked for by the model name: "down", or "any~status=503~delay=200". TOKIO_WORKER_THREADS limits the
/// threads used.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Credential every provider accepts, unless --provider-key names its own.
    #[arg(long, value_name = "KEY", default_value = DEFAULT_API_KEY)]
    api_key: String,
    /// Credential of one provider, instead of --api-key. May be repeated.
    #[arg(long, value_name = "PROVIDER=KEY", value_parser = provider_key)]
    provider_key: Vec<(Provider, String)>,
    /// Keep no record of requests: for benchmarks.
    #[arg(long)]
    no_record: bool,
    /// Certificate chain (PEM): speak TLS on the port.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    // Before the ready line, so that a signal right after it is not missed.
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let simulator = Simulator::start(options(arguments)).await?;
    println!("{}", serde_json::json!({ "address": simulator.address() }));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

fn options(arguments: Arguments) -> Options {
    let mut keys: HashMap<Provider, Vec<String>> = HashMap::new();
    for (provider, key) in arguments.provider_key {
        keys.entry(provider).or_default().push(key);
    }
    let tls = arguments.tls_cert.zip(arguments.tls_key).map(|(certificate, key)| Tls { certificate, key });
    Options { listen: arguments.listen, api_key: arguments.api_key, keys, record: !arguments.no_record, tls }
}

fn provider_key(argument: &str) -> Result<(Provider, String), String> {
    let (provider, key) = argument.split_once('=').ok_or("expected PROVIDER=KEY")?;
    let provider = provider.parse::<Provider>().map_err(|error| error.to_string())?;
    Ok((provider, key.to_owned()))
}
