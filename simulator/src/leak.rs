//! What a gateway must not let through to a provider.
//!
//! The names found are part of the record, never their values.

use http::{HeaderMap, HeaderName};

use crate::provider::Provider;

/// Headers that carry a credential for somebody.
const CREDENTIAL_HEADERS: [&str; 5] =
    ["authorization", "x-goog-api-key", "api-key", "x-api-key", "proxy-authorization"];
/// Envoy's own headers that say nothing about the client or the gateway's inside.
const HARMLESS_ENVOY_HEADERS: [&str; 2] = ["x-envoy-attempt-count", "x-envoy-expected-rq-timeout-ms"];

/// Names of what leaked into a request to `provider`.
pub(crate) fn find(provider: Option<Provider>, headers: &HeaderMap, query: Option<&str>) -> Vec<String> {
    let own = provider.map(Provider::credential_header);
    let mut leaks: Vec<String> =
        headers.keys().filter(|name| is_leak(name, own)).map(|name| name.as_str().to_owned()).collect();
    if let Some(own) = own.filter(|own| headers.get_all(*own).iter().count() > 1) {
        leaks.push(format!("{own} (repeated)"));
    }
    if query.is_some_and(|query| query.split('&').any(|pair| pair.starts_with("key="))) {
        leaks.push("query: key".to_owned());
    }
    leaks
}

fn is_leak(name: &HeaderName, own: Option<&str>) -> bool {
    let name = name.as_str();
    (CREDENTIAL_HEADERS.contains(&name) && Some(name) != own)
        || name == "cookie"
        || name.starts_with("x-ai-warp-")
        || (name.starts_with("x-envoy-") && !HARMLESS_ENVOY_HEADERS.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaks(provider: Provider, names: &[&'static str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for name in names {
            headers.append(HeaderName::from_static(name), "x".parse().unwrap());
        }
        find(Some(provider), &headers, None)
    }

    #[test]
    fn only_what_belongs_to_the_provider_passes() {
        let harmless = ["authorization", "accept", "x-envoy-attempt-count", "x-request-id"];
        assert!(leaks(Provider::OpenAi, &harmless).is_empty());
        assert_eq!(leaks(Provider::Gemini, &["authorization", "x-goog-api-key"]), ["authorization"]);
        assert_eq!(leaks(Provider::DeepSeek, &["x-goog-api-key"]), ["x-goog-api-key"]);
        assert_eq!(leaks(Provider::OpenAi, &["cookie", "x-envoy-original-path"]).len(), 2);
        assert_eq!(leaks(Provider::OpenAi, &["x-ai-warp-session"]), ["x-ai-warp-session"]);
        assert_eq!(
            leaks(Provider::OpenAi, &["authorization", "authorization"]),
            ["authorization (repeated)"]
        );
        assert_eq!(find(Some(Provider::Gemini), &HeaderMap::new(), Some("alt=sse&key=k")), ["query: key"]);
    }
}
