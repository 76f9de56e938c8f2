//! The base URL of a provider, taken apart once so that nothing on the data path parses a URL.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A provider's base URL: `http[s]://host[:port][/path]`, without query or fragment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BaseUrl {
    /// Whether the provider is reached over TLS (`https`).
    pub tls: bool,
    /// Host name or IP address, without brackets.
    pub host: String,
    /// TCP port; 443 or 80 where the URL names none.
    pub port: u16,
    /// Path prefix without a trailing slash; empty for the root.
    pub path: String,
}

/// Why a base URL is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; a base URL looks like \"https://api.openai.com/v1\"")]
pub struct BaseUrlError(&'static str);

impl BaseUrl {
    /// Takes `url` apart.
    ///
    /// # Errors
    /// [`BaseUrlError`] with the first thing that is wrong.
    pub fn parse(url: &str) -> Result<Self, BaseUrlError> {
        let (tls, rest) = if let Some(rest) = url.strip_prefix("https://") {
            (true, rest)
        } else if let Some(rest) = url.strip_prefix("http://") {
            (false, rest)
        } else {
            return Err(BaseUrlError("must start with http:// or https://"));
        };
        if rest.contains(['?', '#', '@']) || rest.bytes().any(|b| b <= b' ' || b == 0x7f) {
            return Err(BaseUrlError("must have no query, fragment, user or white space"));
        }
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        let (host, port) = split_authority(authority)?;
        if host.is_empty() {
            return Err(BaseUrlError("has no host"));
        }
        let port = match port {
            None if tls => 443,
            None => 80,
            Some(text) => match text.parse() {
                Ok(0) | Err(_) => return Err(BaseUrlError("has a port outside 1 to 65535")),
                Ok(port) => port,
            },
        };
        Ok(Self { tls, host: host.to_owned(), port, path: path.trim_end_matches('/').to_owned() })
    }

    /// The value of `:authority`: the host, with the port where it is not the scheme's own.
    pub fn authority(&self) -> String {
        let own_port = if self.tls { 443 } else { 80 };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == own_port { host } else { format!("{host}:{}", self.port) }
    }

    /// The host as an address, where it is one and needs no DNS.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

fn split_authority(authority: &str) -> Result<(&str, Option<&str>), BaseUrlError> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or(BaseUrlError("has an unclosed ["))?;
        if host.parse::<std::net::Ipv6Addr>().is_err() {
            return Err(BaseUrlError("has brackets around something that is no IPv6 address"));
        }
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if after.is_empty() => Ok((host, None)),
            None => Err(BaseUrlError("has text after the ]")),
        };
    }
    match authority.split_once(':') {
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((authority, None)),
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", if self.tls { "https" } else { "http" }, self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_urls_apart_and_puts_them_together_again() {
        for (url, host, port, path) in [
            ("https://api.openai.com/v1", "api.openai.com", 443, "/v1"),
            ("https://api.deepseek.com/", "api.deepseek.com", 443, ""),
            ("http://127.0.0.1:8000/openai/v1/", "127.0.0.1", 8000, "/openai/v1"),
            ("http://[::1]:9/x", "::1", 9, "/x"),
        ] {
            let parsed = BaseUrl::parse(url).unwrap();
            assert_eq!(
                (parsed.host.as_str(), parsed.port, parsed.path.as_str()),
                (host, port, path),
                "{url}"
            );
            assert_eq!(parsed.to_string(), url.trim_end_matches('/'));
        }
    }

    #[test]
    fn refuses_what_is_no_base_url() {
        for url in [
            "",
            "api.openai.com",
            "ftp://x",
            "https://",
            "https://:443",
            "http://h:0",
            "http://h:99999",
            "http://h?x=1",
            "http://u:p@h",
            "http://h /x",
            "http://[::1",
            "http://[x]:1",
            "http://[::1]x",
        ] {
            assert!(BaseUrl::parse(url).is_err(), "{url}");
        }
    }
}
