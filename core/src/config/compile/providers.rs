//! `providers`: presets filled in, each endpoint with a URL, a name and clusters of its own.

use std::collections::BTreeMap;

use super::{Problems, access};
use crate::config::schema::{WrittenEndpoint, written_endpoints};
use crate::config::{DialectName, Endpoint, Provider, ProviderConfig};

/// Most endpoints of one provider: each is three clusters of Envoy, and a state of each of its models.
const MOST_ENDPOINTS: usize = 64;

/// Largest weight, of an endpoint or of a model in a route.
pub(super) const LARGEST_WEIGHT: u32 = 1_000;

/// Compiles the providers, as far as they are right.
pub(super) fn compile(configs: &BTreeMap<String, ProviderConfig>, problems: &mut Problems) -> Vec<Provider> {
    if configs.is_empty() {
        problems
            .add("providers", "is empty; name at least one, such as openai: {apiKey: \"${OPENAI_API_KEY}\"}");
    }
    configs.iter().filter_map(|(name, config)| provider(name, config, problems)).collect()
}

fn provider(name: &str, config: &ProviderConfig, problems: &mut Problems) -> Option<Provider> {
    let path = format!("providers.{name}");
    problems.check_name(&path, "a provider's", name);
    let dialect = config.dialect.or_else(|| DialectName::of(name));
    if dialect.is_none() {
        let known = DialectName::ALL.map(DialectName::name).join(", ");
        problems.add(
            format!("{path}.dialect"),
            format!("is missing; one of {known} (only providers of these names know theirs)"),
        );
    }
    check_headers(&path, &config.headers, problems);
    check_list(&path, config, problems);
    let written = written_endpoints(name, config);
    let count = written.len();
    let mut names: Vec<String> = Vec::with_capacity(count);
    let mut endpoints = Vec::with_capacity(count);
    for one in written {
        if names.contains(&one.own_name) {
            problems.add(&one.path, format!("the name \"{}\" is taken by another endpoint", one.own_name));
        }
        names.push(one.own_name.clone());
        endpoints.extend(endpoint(one, config, dialect, problems));
    }
    // A wrong endpoint has been reported; without all of them, the models' targets would be others.
    let is_whole = !endpoints.is_empty() && endpoints.len() == count;
    Some(Provider { name: name.to_owned(), dialect: dialect?, endpoints }).filter(|_| is_whole)
}

/// Checks `endpoints` as a whole: how many they are, and that nothing is said twice.
fn check_list(path: &str, config: &ProviderConfig, problems: &mut Problems) {
    let Some(endpoints) = &config.endpoints else { return };
    if endpoints.is_empty() {
        problems.add(format!("{path}.endpoints"), "is empty; leave it out, or list at least one");
    }
    if endpoints.len() > MOST_ENDPOINTS {
        problems.add(format!("{path}.endpoints"), format!("has more than {MOST_ENDPOINTS} entries"));
    }
    for (key, is_there) in [
        ("baseUrl", config.base_url.is_some()),
        ("apiKey", config.api_key.is_some()),
        ("apiVersion", config.api_version.is_some()),
        ("aws", config.aws.is_some()),
        ("gcp", config.gcp.is_some()),
        ("caFile", config.ca_file.is_some()),
    ] {
        if is_there {
            problems.add(format!("{path}.{key}"), "cannot stand beside endpoints; move it into each of them");
        }
    }
}

fn endpoint(
    written: WrittenEndpoint,
    provider: &ProviderConfig,
    dialect: Option<DialectName>,
    problems: &mut Problems,
) -> Option<Endpoint> {
    let WrittenEndpoint { own_name, name, path, config } = written;
    // The name of a provider that is its own endpoint has been checked.
    if provider.endpoints.is_some() {
        problems.check_name(format!("{path}.name"), "an endpoint's", &own_name);
        check_headers(&path, &config.headers, problems);
        problems.check_number(format!("{path}.weight"), config.weight.into(), 1..=LARGEST_WEIGHT.into());
    }
    access::check(&path, dialect, &config, problems);
    let base_url = access::base_url(&path, dialect, &config, problems)?;
    Some(Endpoint {
        cluster: format!("provider/{name}"),
        stream_cluster: format!("provider/{name}/stream"),
        hop_cluster: format!("provider/{name}/hop"),
        weight: config.weight,
        base_url,
        access: access::access(dialect, &config),
        api_version: config.api_version,
        headers: merged(&provider.headers, config.headers),
        ca_file: config.ca_file,
        name,
    })
}

fn check_headers(path: &str, headers: &BTreeMap<String, String>, problems: &mut Problems) {
    for (header, value) in headers {
        problems.check_header(&format!("{path}.headers.{header}"), header, value);
    }
}

/// The endpoint's headers, and those of the provider it does not set itself. The case of a name does not matter.
fn merged(general: &BTreeMap<String, String>, own: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let is_own = |name: &str| own.keys().any(|known| known.eq_ignore_ascii_case(name));
    let inherited = general.iter().filter(|(name, _)| !is_own(name));
    let mut headers: BTreeMap<_, _> = inherited.map(|(name, value)| (name.clone(), value.clone())).collect();
    headers.extend(own);
    headers
}
