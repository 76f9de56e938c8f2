//! What `buildClient` was given: where the gateway is, and how patient the client is.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

use crate::error::{ClientError, INVALID_OPTIONS};
use crate::reconnect::Reconnect;

/// Longest wait for a response to begin, and between two pieces of it.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// Longest `timeout`: what timers of JavaScript can count, in milliseconds.
const MAX_TIMEOUT_MILLIS: f64 = i32::MAX as f64;

/// Most bytes of a whole answer, or of one event of a stream. The last event repeats the whole answer.
pub const MAX_RESPONSE_BYTES: usize = 64 << 20;

/// The options that are data.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// Where the gateway is, without what its paths begin with.
    url: String,
    #[serde(default = "prompt_path")]
    prompt_path: String,
    #[serde(default = "stream_path")]
    stream_path: String,
    #[serde(default = "sessions_path")]
    sessions_path: String,
    /// The response header with the session.
    #[serde(default = "session_header")]
    pub session_header: String,
    #[serde(default)]
    timeout: Option<f64>,
    /// How to come back to broken streams; `None` if not at all.
    #[serde(default = "by_default", deserialize_with = "or_false")]
    pub reconnect: Option<Reconnect>,
}

fn prompt_path() -> String {
    "/api/v1/prompt".to_owned()
}

fn stream_path() -> String {
    "/api/v1/stream".to_owned()
}

fn sessions_path() -> String {
    "/api/v1/sessions".to_owned()
}

fn session_header() -> String {
    "x-session-id".to_owned()
}

#[expect(clippy::unnecessary_wraps, reason = "serde wants the field's type")]
fn by_default() -> Option<Reconnect> {
    Some(Reconnect::default())
}

/// `false`, `true` for the defaults, or the policy.
fn or_false<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Reconnect>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        Switch(bool),
        Policy(Reconnect),
    }
    Ok(match Given::deserialize(deserializer)? {
        Given::Switch(on) => on.then(Reconnect::default),
        Given::Policy(policy) => Some(policy),
    })
}

impl Config {
    /// Reads the options from JSON.
    ///
    /// # Errors
    /// [`INVALID_OPTIONS`].
    pub fn read(json: &str) -> Result<Self, ClientError> {
        let config: Self = serde_json::from_str(json)
            .map_err(|error| ClientError::new(INVALID_OPTIONS, format!("buildClient: {error}")))?;
        if config.timeout.is_some_and(|millis| millis <= 0.0) {
            return Err(ClientError::new(
                INVALID_OPTIONS,
                "buildClient: timeout must be more than 0 milliseconds",
            ));
        }
        Ok(config)
    }

    /// Where prompts or streams are asked.
    pub fn endpoint(&self, streaming: bool) -> String {
        self.at(if streaming { &self.stream_path } else { &self.prompt_path })
    }

    /// Where a session is.
    ///
    /// # Errors
    /// [`INVALID_OPTIONS`] for what would be another path than that of a session.
    pub fn session(&self, id: &str) -> Result<String, ClientError> {
        if matches!(id, "" | "." | "..") {
            return Err(ClientError::new(INVALID_OPTIONS, format!("sessions: `{id}` is no session")));
        }
        let mut url = self.at(&self.sessions_path);
        url.push('/');
        for byte in id.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => url.push(byte.into()),
                _ => url.push_str(&format!("%{byte:02X}")),
            }
        }
        Ok(url)
    }

    /// Longest wait for a response to begin, and between two pieces of it.
    pub fn timeout(&self) -> Duration {
        self.timeout.map_or(DEFAULT_TIMEOUT, |millis| {
            Duration::from_secs_f64(millis.min(MAX_TIMEOUT_MILLIS) / 1_000.0)
        })
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url.strip_suffix('/').unwrap_or(&self.url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_as_ai_warps_client_has_it() {
        let config = Config::read(r#"{"url":"http://gateway:3042/"}"#).unwrap();
        assert_eq!(config.endpoint(true), "http://gateway:3042/api/v1/stream");
        assert_eq!(config.endpoint(false), "http://gateway:3042/api/v1/prompt");
        assert_eq!(config.session("a/b ü").unwrap(), "http://gateway:3042/api/v1/sessions/a%2Fb%20%C3%BC");
        assert_eq!(config.session_header, "x-session-id");
        assert_eq!((config.timeout(), config.reconnect), (DEFAULT_TIMEOUT, Some(Reconnect::default())));
    }

    #[test]
    fn what_is_said_counts() {
        let json = r#"{"url":"","promptPath":"/p","streamPath":"/s","sessionsPath":"/x","timeout":1500.5,
                       "reconnect":{"maxAttempts":2},"logger":{}}"#;
        let config = Config::read(json).unwrap();
        assert_eq!(
            [config.endpoint(false), config.endpoint(true), config.session("1").unwrap()],
            ["/p", "/s", "/x/1"]
        );
        assert_eq!(config.timeout(), Duration::from_micros(1_500_500));
        assert_eq!(config.reconnect, Some(Reconnect { max_attempts: 2, ..Reconnect::default() }));
        let reconnect =
            |value| Config::read(&format!(r#"{{"url":"","reconnect":{value}}}"#)).unwrap().reconnect;
        assert_eq!((reconnect("false"), reconnect("true")), (None, Some(Reconnect::default())));
        let forever = Config::read(r#"{"url":"","timeout":1e300}"#).unwrap();
        assert_eq!(forever.timeout().as_millis(), 2_147_483_647, "more than that, and timers fire at once");
    }

    #[test]
    fn what_would_be_another_path_is_no_session() {
        let config = Config::read(r#"{"url":""}"#).unwrap();
        for id in ["", ".", ".."] {
            assert_eq!(config.session(id).unwrap_err().code, INVALID_OPTIONS, "{id}");
        }
        for id in ["...", "a.b", ".a"] {
            assert_eq!(config.session(id).unwrap(), format!("/api/v1/sessions/{id}"));
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for json in [
            "{}",
            r#"{"url":7}"#,
            r#"{"url":"","timeout":0}"#,
            r#"{"url":"","timeout":-1}"#,
            r#"{"url":"","timeout":"1s"}"#,
            r#"{"url":"","reconnect":{"maxAttempts":-1}}"#,
            r#"{"url":"","reconnect":{"attempts":1}}"#,
        ] {
            assert_eq!(Config::read(json).unwrap_err().code, INVALID_OPTIONS, "{json}");
        }
    }
}
