//! `HOST:PORT`, as people write it on a command line.

/// A host name or address with a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// Host name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl std::str::FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) = text.rsplit_once(':').ok_or("write HOST:PORT")?;
        let port = port.parse().map_err(|_| "the port must be 0 to 65535".to_owned())?;
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        match bare {
            Some(host) if host.parse::<std::net::Ipv6Addr>().is_ok() => {
                Ok(Self { host: host.to_owned(), port })
            }
            None if !host.is_empty() && !host.contains([':', '/', '[', ']']) => {
                Ok(Self { host: host.to_owned(), port })
            }
            _ => Err("write HOST:PORT, with an IPv6 address in brackets".to_owned()),
        }
    }
}

impl std::fmt::Display for HostPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_host_and_port() {
        for (text, host, port) in
            [("127.0.0.1:18001", "127.0.0.1", 18_001), ("[::1]:0", "::1", 0), ("cp.local:1", "cp.local", 1)]
        {
            let parsed: HostPort = text.parse().unwrap();
            assert_eq!((parsed.host.as_str(), parsed.port), (host, port), "{text}");
            assert_eq!(parsed.to_string(), text);
        }
        for text in ["", "18001", ":1", "host:", "host:x", "host:70000", "::1:5", "[::1:5", "http://h:1"] {
            assert!(text.parse::<HostPort>().is_err(), "{text}");
        }
    }
}
