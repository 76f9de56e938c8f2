//! `server`, `controlPlane` and `console`: nothing is open to a network by accident.

use super::Problems;
use crate::config::{Config, CorsConfig};

/// The origin that stands for all of them.
const ANY_ORIGIN: &str = "*";

/// Checks these sections.
pub(super) fn check(config: &Config, problems: &mut Problems) {
    if let Some(cors) = &config.server.cors {
        check_cors(cors, problems);
    }
    let at = &config.control_plane;
    let is_mutual = at.xds_tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
    if !at.is_loopback() && at.xds_tokens.is_empty() && !is_mutual {
        problems.add(
            "controlPlane.hostname",
            "opens the xDS port, which gives away API keys, to a network; set controlPlane.xdsTokens, or \
             controlPlane.xdsTls with clientCa, or bind 127.0.0.1",
        );
    }
    if let Err(error) = config.console.gateway(&config.server) {
        problems.add("console.gateway", error.to_string());
    }
}

fn check_cors(cors: &CorsConfig, problems: &mut Problems) {
    if cors.origins.is_empty() {
        problems.add("server.cors.origins", "is empty; name origins, such as \"https://app.example.com\"");
    }
    for (index, origin) in cors.origins.iter().enumerate() {
        if origin != ANY_ORIGIN && !is_origin(origin) {
            problems.add(
                format!("server.cors.origins[{index}]"),
                "is no origin, such as \"https://app.example.com\" (no path), nor \"*\"",
            );
        }
    }
    if cors.credentials && cors.origins.iter().any(|origin| origin == ANY_ORIGIN) {
        problems.add(
            "server.cors.credentials",
            "would let every page use its visitors' cookies; name the origins",
        );
    }
    problems.check_time("server.cors.maxAge", cors.max_age, 0..=86_400_000);
}

/// `scheme://host[:port]`, as browsers send it.
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return false };
    let is_scheme = !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    let is_host = !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.:[]".contains(&b));
    is_scheme && is_host
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, compile};

    fn problems(sections: &str) -> Vec<String> {
        let config: Config = serde_json::from_str(&format!(
            r#"{{"providers": {{"openai": {{}}}}, "models": ["openai:m"], {sections}}}"#
        ))
        .unwrap();
        let problems = compile(&config).err().unwrap_or_default();
        problems.into_iter().map(|problem| problem.path).collect()
    }

    #[test]
    fn the_xds_port_is_open_to_a_network_only_with_protection() {
        let tls = r#"{"certificate": "c", "privateKey": "k""#;
        for (at, expected) in [
            (r#""hostname": "0.0.0.0""#.to_owned(), vec!["controlPlane.hostname"]),
            (r#""hostname": "control-plane""#.to_owned(), vec!["controlPlane.hostname"]),
            (format!(r#""hostname": "::", "xdsTls": {tls}}}"#), vec!["controlPlane.hostname"]),
            (format!(r#""hostname": "::", "xdsTls": {tls}, "clientCa": "ca"}}"#), vec![]),
            (r#""hostname": "0.0.0.0", "xdsTokens": ["${T}"]"#.to_owned(), vec![]),
            (r#""hostname": "localhost""#.to_owned(), vec![]),
            (r#""hostname": "::1""#.to_owned(), vec![]),
        ] {
            assert_eq!(problems(&format!(r#""controlPlane": {{{at}}}"#)), expected, "{at}");
        }
    }

    #[test]
    fn the_console_s_gateway_is_a_url() {
        assert_eq!(problems(r#""console": {"enabled": true, "gateway": "http://10.0.0.7:3042"}"#), [""; 0]);
        assert_eq!(problems(r#""console": {"gateway": "10.0.0.7:3042"}"#), ["console.gateway"]);
    }

    #[test]
    fn origins_are_what_browsers_send() {
        let cors = |text: &str| problems(&format!(r#""server": {{"cors": {text}}}"#));
        assert_eq!(cors(r#"{"origins": ["https://a.example", "http://[::1]:80", "*"]}"#), [""; 0]);
        assert_eq!(cors(r#"{"origins": []}"#), ["server.cors.origins"]);
        assert_eq!(
            cors(r#"{"origins": ["https://a/b", "A"], "maxAge": "2d"}"#),
            ["server.cors.origins[0]", "server.cors.origins[1]", "server.cors.maxAge",]
        );
        assert_eq!(cors(r#"{"origins": ["*"], "credentials": true}"#), ["server.cors.credentials"]);
    }
}
