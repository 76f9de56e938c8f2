//! From rounds to figures: medians, ratios taken round by round, and how both are shown.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cpu::CpuTime;
use crate::load::Sample;
use crate::variant::{STREAMS, Variant};

/// A variant and what its rounds gave. All durations are in microseconds.
#[derive(Debug)]
pub(crate) struct Measured<'a> {
    pub(crate) variant: &'a Variant,
    pub(crate) rounds: Vec<Round>,
}

/// What one round gave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    requests: f64,
    /// Requests per second.
    rate: f64,
    /// CPU time of Envoy per request.
    envoy_us: f64,
    /// CPU time of the control plane per request, where there is one.
    control_plane_us: Option<f64>,
    p50_us: f64,
    p99_us: f64,
    /// Half of the answers had begun by then.
    first_us: f64,
}

impl Round {
    /// The figures of a round in which at least one request was answered.
    pub(crate) fn new(mut sample: Sample, used: CpuTime) -> Self {
        sample.latencies.sort_unstable();
        sample.firsts.sort_unstable();
        let requests = sample.latencies.len() as f64;
        let percentile = |of: &[Duration], share: f64| {
            let rank = (requests * share).ceil() as usize;
            of.get(rank.saturating_sub(1)).copied().map_or(f64::NAN, micros)
        };
        Self {
            requests,
            rate: requests / sample.lasted.as_secs_f64(),
            envoy_us: micros(used.envoy) / requests,
            control_plane_us: used.control_plane.map(|used| micros(used) / requests),
            p50_us: percentile(&sample.latencies, 0.50),
            p99_us: percentile(&sample.latencies, 0.99),
            first_us: percentile(&sample.firsts, 0.50),
        }
    }
}

impl Round {
    /// CPU time of Envoy and control plane per request.
    fn all_us(&self) -> f64 {
        self.envoy_us + self.control_plane_us.unwrap_or_default()
    }
}

impl<'a> Measured<'a> {
    /// Nothing measured yet.
    pub(crate) fn new(variant: &'a Variant) -> Self {
        Self { variant, rounds: Vec::new() }
    }

    fn median(&self, figure: impl Fn(&Round) -> f64) -> f64 {
        Spread::of(self.rounds.iter().map(figure)).median
    }

    /// The figure as a multiple of `baseline`'s in the same round.
    fn ratio(&self, baseline: &Measured<'_>, figure: impl Fn(&Round) -> f64) -> Spread {
        Spread::of(self.rounds.iter().zip(&baseline.rounds).map(|(own, other)| figure(own) / figure(other)))
    }

    fn baseline<'m>(&self, all: &'m [Measured<'a>]) -> Option<&'m Measured<'a>> {
        find(all, self.variant.baseline.as_deref()?)
    }
}

/// Where the values of the rounds lie.
#[derive(Debug, Clone, Copy)]
struct Spread {
    min: f64,
    median: f64,
    max: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_unstable_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let last = values.len().saturating_sub(1);
        Self { min: at(0), median: f64::midpoint(at(last / 2), at(values.len() / 2)), max: at(last) }
    }

    fn json(self) -> Value {
        json!({"min": self.min, "median": self.median, "max": self.max})
    }

    fn times(self) -> String {
        format!("{:.2} ({:.2}-{:.2})", self.median, self.min, self.max)
    }

    fn micros(self) -> String {
        format!("{:.1} ({:.1}-{:.1})", self.median, self.min, self.max)
    }
}

/// What each further chunk of a stream costs: the longer stream less the shorter one, by the chunks between them.
struct PerChunk {
    baseline: Spread,
    own: Spread,
    ratio: Spread,
}

impl PerChunk {
    /// Of the streams whose names begin with `way`, over those that begin with `baseline`.
    fn of(all: &[Measured<'_>], way: &str, baseline: &str, figure: impl Fn(&Round) -> f64) -> Option<Self> {
        let [long, short] = STREAMS;
        let per_chunk = |way: &str| {
            let (long_one, short_one) =
                (find(all, &format!("{way}-{long}"))?, find(all, &format!("{way}-{short}"))?);
            let cost = |(long_one, short_one): (&Round, &Round)| {
                (figure(long_one) - figure(short_one)) / f64::from(long - short)
            };
            Some(long_one.rounds.iter().zip(&short_one.rounds).map(cost).collect::<Vec<f64>>())
        };
        let (baseline, own) = (per_chunk(baseline)?, per_chunk(way)?);
        let ratio = Spread::of(own.iter().zip(&baseline).map(|(own, other)| own / other));
        let spread = |values: Vec<f64>| Spread::of(values.into_iter());
        Some(Self { baseline: spread(baseline), own: spread(own), ratio })
    }

    /// Of Envoy's CPU, over plain Envoy.
    fn over_plain(all: &[Measured<'_>], way: &str) -> Option<Self> {
        Self::of(all, way, "A", |round| round.envoy_us)
    }

    /// Of all CPU there is to a resumable stream, over the direct road.
    fn of_resumable(all: &[Measured<'_>]) -> Option<Self> {
        Self::of(all, "R", "S", Round::all_us)
    }

    fn json(&self) -> Value {
        json!({
            "baselineCpuMicros": self.baseline.json(),
            "cpuMicros": self.own.json(),
            "ratio": self.ratio.json(),
        })
    }
}

/// How much later a resumable stream of so many chunks begins than one on the direct road, in microseconds.
fn added_first_us(all: &[Measured<'_>], chunks: u32) -> Option<Spread> {
    let (own, direct) = (find(all, &format!("R-{chunks}"))?, find(all, &format!("S-{chunks}"))?);
    let rounds = own.rounds.iter().zip(&direct.rounds);
    Some(Spread::of(rounds.map(|(own, direct)| own.first_us - direct.first_us)))
}

fn find<'m, 'a>(all: &'m [Measured<'a>], name: &str) -> Option<&'m Measured<'a>> {
    all.iter().find(|measured| measured.variant.name == name)
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// For people.
pub(crate) fn table(all: &[Measured<'_>]) -> String {
    let rounds = all.first().map_or(0, |measured| measured.rounds.len());
    let mut text = format!(
        "{:<40} {:>13} {:>18} {:>7} {:>14} {:>14} {:>7}\n",
        "", "CPU us/req", "CPU x baseline", "target", "p50 ms (x)", "p99 ms (x)", "req/s"
    );
    for measured in all {
        let variant = measured.variant;
        let baseline = measured.baseline(all);
        let cpu = baseline.map(|baseline| measured.ratio(baseline, |round| round.envoy_us).times());
        let latency = |figure: fn(&Round) -> f64| {
            let times = baseline.map(|baseline| measured.ratio(baseline, figure).median);
            let times = times.map_or(String::new(), |times| format!(" ({times:.2})"));
            format!("{:.2}{times}", measured.median(figure) / 1_000.0)
        };
        let target = variant.target.map_or(String::new(), |target| format!("<= {target}"));
        // Writing to a string has no way to fail, here and below.
        let _ = writeln!(
            text,
            "{:<40} {:>13.1} {:>18} {:>7} {:>14} {:>14} {:>7.0}",
            format!("{:<6} {}", variant.name, variant.what),
            measured.median(|round| round.envoy_us),
            cpu.unwrap_or_default(),
            target,
            latency(|round| round.p50_us),
            latency(|round| round.p99_us),
            measured.median(|round| round.rate),
        );
    }
    text.push('\n');
    for (way, what) in [("D", "unified API"), ("F", "chat completions")] {
        let Some(chunk) = PerChunk::over_plain(all, way) else { continue };
        let _ = writeln!(
            text,
            "Envoy CPU for each further chunk of a stream, {what}: plain {} us, gateway {} us, ratio {}",
            chunk.baseline.micros(),
            chunk.own.micros(),
            chunk.ratio.times(),
        );
    }
    if let Some(chunk) = PerChunk::of_resumable(all) {
        let _ = writeln!(
            text,
            "CPU of Envoy and control plane for each further chunk of a resumable stream: direct {} us, resumable {} us, \
             ratio {}",
            chunk.baseline.micros(),
            chunk.own.micros(),
            chunk.ratio.times(),
        );
    }
    for chunks in STREAMS {
        let Some(added) = added_first_us(all, chunks) else { continue };
        let _ = writeln!(
            text,
            "A resumable stream of {chunks} chunks begins later than one on the direct road by {} us",
            added.micros()
        );
    }
    for measured in all.iter().filter(|measured| measured.variant.name == "C") {
        let spread = Spread::of(measured.rounds.iter().filter_map(|round| round.control_plane_us));
        let _ = writeln!(text, "Control plane CPU per request of C: {} us", spread.micros());
    }
    let _ = writeln!(
        text,
        "\n{rounds} rounds in turn; medians of them, and of ratios the lowest and the highest. CPU is Envoy's. B, C and E are \
         compared\nwith A; D-n, F-n and S-n with A-n: the gateway with the same request through a plain Envoy; and R-n with S-n: one \
         worker each,\nto the same simulated provider. On a shared machine only the ratios mean something; times and \
         rates are what it gave."
    );
    text
}

/// For machines.
pub(crate) fn json(all: &[Measured<'_>]) -> Value {
    let variants: Vec<Value> = all
        .iter()
        .map(|measured| {
            let variant = measured.variant;
            let spread = |figure: fn(&Round) -> f64| Spread::of(measured.rounds.iter().map(figure)).json();
            let ratios = measured.baseline(all).map(|baseline| {
                let ratio = |figure: fn(&Round) -> f64| measured.ratio(baseline, figure).json();
                json!({
                    "baseline": baseline.variant.name,
                    "envoyCpu": ratio(|round| round.envoy_us),
                    "p50": ratio(|round| round.p50_us),
                    "p99": ratio(|round| round.p99_us),
                })
            });
            let control_plane = measured.rounds.iter().filter_map(|round| round.control_plane_us);
            let has_control_plane = measured.rounds.iter().any(|round| round.control_plane_us.is_some());
            json!({
                "name": variant.name,
                "what": variant.what,
                "chunks": variant.chunks,
                "requests": measured.rounds.iter().map(|round| round.requests).sum::<f64>(),
                "requestsPerSecond": spread(|round| round.rate),
                "envoyCpuMicros": spread(|round| round.envoy_us),
                "controlPlaneCpuMicros": has_control_plane.then(|| Spread::of(control_plane).json()),
                "p50Micros": spread(|round| round.p50_us),
                "p99Micros": spread(|round| round.p99_us),
                "ratios": ratios,
                "targetEnvoyCpu": variant.target,
            })
        })
        .collect();
    let per_chunk = |way: &str| PerChunk::over_plain(all, way).map(|chunk| chunk.json());
    let added = STREAMS.map(|chunks| (format!("{chunks}"), added_first_us(all, chunks).map(Spread::json)));
    json!({
        "variants": variants,
        "perFurtherChunk": {
            "unified": per_chunk("D"),
            "chatCompletions": per_chunk("F"),
            "resumable": PerChunk::of_resumable(all).map(|chunk| chunk.json()),
        },
        "resumableBeginsLaterMicros": added.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_ordered_and_its_median_lies_between_two() {
        let spread = |values: &[f64]| {
            let Spread { min, median, max } = Spread::of(values.iter().copied());
            (min, median, max)
        };
        assert_eq!(spread(&[3.0, 1.0, 2.0]), (1.0, 2.0, 3.0));
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]), (1.0, 2.5, 4.0));
        assert_eq!(spread(&[7.0]), (7.0, 7.0, 7.0));
    }

    #[test]
    fn percentiles_are_latencies_that_occurred() {
        let latencies: Vec<Duration> = (1..=200).rev().map(Duration::from_micros).collect();
        let used = CpuTime { envoy: Duration::from_millis(1), control_plane: None };
        let firsts = latencies.iter().map(|latency| *latency / 2).collect();
        let round = Round::new(Sample { latencies, firsts, lasted: Duration::from_secs(2) }, used);
        assert_eq!(round.first_us, 50.0);
        assert_eq!((round.p50_us, round.p99_us), (100.0, 198.0));
        assert_eq!((round.rate, round.envoy_us), (100.0, 5.0));
    }
}
