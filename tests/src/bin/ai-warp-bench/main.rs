//! What the gateway costs: CPU and latency of a request through it, as multiples of the same request through a plain
//! Envoy, measured in one run on one machine.
//!
//! Absolute numbers of a shared machine mean little, and numbers of two different runs cannot be compared at all. So
//! every figure that counts here is a ratio, taken round by round between two loads that ran seconds apart, and shown
//! with its spread. CPU is the time the kernel charged to the Envoy process, so it does not matter what else keeps the
//! machine busy as much as it would for wall time.
//!
//! Start it with `cargo xtask bench`, which builds release binaries and says where they are. What is compared is in
//! [`variant`], the processes are [`rig`]'s, the clients [`load`]'s, and the figures [`report`]'s.

mod cpu;
mod load;
mod report;
mod rig;
mod variant;

use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::load::{Load, Pace};
use crate::report::{Measured, Round};
use crate::rig::Rig;

/// CPU and latency of requests through the gateway, as multiples of the same requests through a plain Envoy.
///
/// Compared, each with one Envoy worker and the same simulated provider, over loopback:
///
///   A             plain Envoy: one route, one cluster, the router filter; the client speaks the provider's API
///   B             the gateway without sessions (storage: none)
///   C             the gateway with sessions (storage: memory): every prompt is a turn, stored before the answer ends
///   plain Envoy, streamed answers of 100 and of 5 content chunks
///   D-100, D-5    the gateway without sessions, the same streams
///   E             as B, but the client speaks chat completions
///   F-100, F-5    as D-100 and D-5, but the client speaks chat completions
///   S-100, S-5    the gateway with sessions, the same streams as D-100 and D-5
///   the same, as streams that can be resumed; compared with S-100 and S-5
///
/// The variants take turns, round by round, and ratios are taken within a round. Only the ratios mean something on a
/// shared machine: the CPU times, latencies and rates beside them are what this machine happened to give.
#[derive(Debug, Parser)]
#[command(name = "ai-warp-bench", version, verbatim_doc_comment)]
struct Arguments {
    /// Rounds that count. One more, shorter, goes before them and does not.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// How long each variant is loaded in each round.
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    seconds_per_round: Duration,
    /// Keep-alive connections. Each sends its next request when it has the answer to the last.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    connections: u16,
    /// Requests per second over all connections, at most; without it as many as there are answers.
    #[arg(long, value_name = "PER_SECOND", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Pause between the chunks of a stream. Models take longer; without a pause many chunks arrive as one piece.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 1)]
    chunk_delay: u32,
    /// Only these variants (repeatable, or separated by commas); a baseline comes with what needs it.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Writes the report as JSON.
    #[arg(long)]
    json: bool,
}

/// Shortest warm-up. What has to warm up are connection pools, and V8, which compiles the filter in tiers.
const WARM_UP: Duration = Duration::from_secs(1);

/// One thread: the client must not take more of the machine than it needs.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    // Either way the processes end with the rig, which is dropped with the future.
    tokio::select! {
        done = run(&arguments) => done,
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        _ = terminate.recv() => bail!("terminated"),
    }
}

async fn run(arguments: &Arguments) -> Result<()> {
    let variants = variant::chosen(arguments.chunk_delay, &arguments.only)?;
    eprintln!("bench: starting the simulator, a plain Envoy and two gateways");
    let rig = Rig::start(&variants).await?;
    let mut lanes = Vec::new();
    for variant in &variants {
        let opened = Load::connect(rig.address(variant.through), variant, arguments.connections).await;
        let load = opened.with_context(|| variant.to_string())?;
        lanes.push(Lane { measured: Measured::new(variant), load });
    }
    let pace = arguments.rate.map_or(Pace::Closed, Pace::PerSecond);
    let warm_up = WARM_UP.min(arguments.seconds_per_round);
    eprintln!("bench: warming up");
    for lane in &mut lanes {
        lane.round(&rig, pace, warm_up).await?;
    }
    for number in 1..=arguments.rounds {
        eprintln!("bench: round {number} of {}", arguments.rounds);
        // There and back: no variant always follows the same one.
        for index in 0..lanes.len() {
            let index = if number % 2 == 0 { lanes.len() - 1 - index } else { index };
            let Some(lane) = lanes.get_mut(index) else { continue };
            let round = lane.round(&rig, pace, arguments.seconds_per_round).await?;
            lane.measured.rounds.push(round);
        }
    }
    let measured: Vec<Measured<'_>> = lanes.into_iter().map(|lane| lane.measured).collect();
    if arguments.json {
        println!("{:#}", report::json(&measured));
    } else {
        print!("{}", report::table(&measured));
    }
    Ok(())
}

/// A variant on its way through the rounds. Its connections stay open between them.
struct Lane<'a> {
    measured: Measured<'a>,
    load: Load,
}

impl Lane<'_> {
    async fn round(&mut self, rig: &Rig, pace: Pace, duration: Duration) -> Result<Round> {
        let variant = self.measured.variant;
        let clocks = rig.clocks(variant.through)?;
        let before = clocks.read()?;
        let sample = self.load.run(pace, duration).await.with_context(|| variant.to_string())?;
        let used = clocks.read()?.since(before);
        if sample.latencies.is_empty() {
            bail!("{variant}: no request was finished within {duration:?}; give it more time");
        }
        Ok(Round::new(sample, used))
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected seconds, such as 2 or 0.5".to_owned())?;
    if !(0.1..=3_600.0).contains(&seconds) {
        return Err("expected 0.1 to 3600 seconds".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}
