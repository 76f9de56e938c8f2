//! `logging`, `tracing` and prices.

use super::Problems;
use crate::config::schema::{PriceConfig, TracingConfig};
use crate::config::{BaseUrl, Config, Decimal, Logging, OtlpProtocol, Price, Tracing};

/// Name of the cluster that leads to the collector.
const OTLP_CLUSTER: &str = "ai-warp/otlp";

/// Where collectors take spans over HTTP.
const OTLP_PATH: &str = "/v1/traces";

/// Highest price of a million tokens: far above any, and low enough for sums of whole numbers.
const HIGHEST_PRICE: Decimal = Decimal::whole(100_000);

pub(super) fn logging(config: &Config) -> Logging {
    Logging { access: config.logging.access, content: config.logging.content }
}

/// `tracing`, as far as it is right.
pub(super) fn tracing(config: &Config, problems: &mut Problems) -> Option<Tracing> {
    let TracingConfig { otlp, sampling, service_name } = config.tracing.as_ref()?;
    if *sampling > Decimal::whole(100) {
        problems.add("tracing.sampling", "must be 0 to 100");
    }
    if service_name.is_empty() || service_name.chars().any(char::is_control) {
        problems.add("tracing.serviceName", "must be a name");
    }
    for (name, value) in &otlp.headers {
        let path = format!("tracing.otlp.headers.{name}");
        problems.check_header(&path, name, value);
        if value.contains('%') {
            problems.add(path, "holds a '%', which Envoy takes for a command");
        }
    }
    let mut endpoint = match BaseUrl::parse(&otlp.endpoint) {
        Ok(endpoint) => endpoint,
        Err(error) => {
            problems.add("tracing.otlp.endpoint", error.to_string());
            return None;
        }
    };
    match otlp.protocol {
        OtlpProtocol::Grpc if !endpoint.path.is_empty() => {
            problems.add("tracing.otlp.endpoint", "has a path, of which gRPC has no use");
        }
        OtlpProtocol::Http if endpoint.path.is_empty() => endpoint.path = OTLP_PATH.to_owned(),
        OtlpProtocol::Grpc | OtlpProtocol::Http => {}
    }
    let lower = |(name, value): (&String, &String)| (name.to_ascii_lowercase(), value.clone());
    Some(Tracing {
        endpoint,
        protocol: otlp.protocol,
        headers: otlp.headers.iter().map(lower).collect(),
        sampling: *sampling,
        service_name: service_name.clone(),
        cluster: OTLP_CLUSTER.to_owned(),
    })
}

/// The price of a token is that of a million in a unit a million times smaller.
pub(super) fn price(path: &str, price: &PriceConfig, problems: &mut Problems) -> Price {
    let PriceConfig { input, output, cached_input, cache_write } = *price;
    let named = [
        ("input", Some(input)),
        ("output", Some(output)),
        ("cachedInput", cached_input),
        ("cacheWrite", cache_write),
    ];
    for (name, _) in named.into_iter().filter(|(_, price)| price.is_some_and(|price| price > HIGHEST_PRICE)) {
        problems.add(format!("{path}.{name}"), format!("must be at most {HIGHEST_PRICE}"));
    }
    Price {
        input: input.millionths(),
        output: output.millionths(),
        cached_input: cached_input.unwrap_or(input).millionths(),
        cache_write: cache_write.unwrap_or(input).millionths(),
    }
}
