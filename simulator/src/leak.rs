//! What a gateway must not let through to a provider.
//!
//! The names found are part of the record, never their values.

use http::{HeaderMap, HeaderName};

use crate::provider::Provider;

/// Headers that carry a credential for somebody.
const CREDENTIAL_HEADERS: [&str; 6] =
    ["authorization", "x-goog-api-key", "api-key", "x-api-key", "proxy-authorization", AWS_SESSION_TOKEN];
/// Part of a signature for Bedrock, a leak everywhere else.
const AWS_SESSION_TOKEN: &str = "x-amz-security-token";
/// Envoy's own headers that say nothing about the client or the gateway's inside.
const HARMLESS_ENVOY_HEADERS: [&str; 2] = ["x-envoy-attempt-count", "x-envoy-expected-rq-timeout-ms"];

/// Names of what leaked into a request to `provider`.
pub(crate) fn find(provider: Option<Provider>, headers: &HeaderMap, query: Option<&str>) -> Vec<String> {
    // Of several headers a provider reads only the first that is there: a second one is somebody else's.
    let readable = provider.map(Provider::credential_headers).unwrap_or_default();
    let own = readable.iter().copied().find(|name| headers.contains_key(*name));
    let is_own =
        |name: &str| Some(name) == own || (name == AWS_SESSION_TOKEN && provider == Some(Provider::Bedrock));
    let mut leaks: Vec<String> = headers
        .keys()
        .map(HeaderName::as_str)
        .filter(|name| is_leak(name) && !is_own(name))
        .map(str::to_owned)
        .collect();
    if let Some(own) = own.filter(|own| headers.get_all(*own).iter().count() > 1) {
        leaks.push(format!("{own} (repeated)"));
    }
    if query.is_some_and(|query| query.split('&').any(|pair| pair.starts_with("key="))) {
        leaks.push("query: key".to_owned());
    }
    leaks
}

fn is_leak(name: &str) -> bool {
    CREDENTIAL_HEADERS.contains(&name)
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
        assert!(leaks(Provider::Anthropic, &["authorization"]).is_empty());
        assert_eq!(leaks(Provider::Anthropic, &["authorization", "x-api-key"]), ["authorization"]);
        assert!(leaks(Provider::Bedrock, &["authorization", "x-amz-security-token"]).is_empty());
        assert_eq!(leaks(Provider::Xai, &["x-amz-security-token"]), ["x-amz-security-token"]);
        assert_eq!(leaks(Provider::OpenAi, &["cookie", "x-envoy-original-path"]).len(), 2);
        assert_eq!(leaks(Provider::OpenAi, &["x-ai-warp-session"]), ["x-ai-warp-session"]);
        assert_eq!(
            leaks(Provider::OpenAi, &["authorization", "authorization"]),
            ["authorization (repeated)"]
        );
        assert_eq!(find(Some(Provider::Gemini), &HeaderMap::new(), Some("alt=sse&key=k")), ["query: key"]);
    }
}
