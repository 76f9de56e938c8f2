//! The fault grammar: what a model name, or the `x-simulator` header, asks the simulator to do.
//!
//! A model is `NAME~flag~flag=value...`; the header is `flag;flag=value`. Some whole names are aliases of flags, so
//! a test reads `down` and not `m~status=503`. Flags of the header are applied after those of the model. A flag that
//! is not understood is an error: a misspelt fault that does nothing would let a test pass for the wrong reason.

use std::time::Duration;

/// Content chunks that the aliases of a mid-stream fault let through first.
const ALIAS_CHUNKS: usize = 3;
/// `retry-after` of a 429, in seconds, unless the flag says otherwise.
const RETRY_AFTER_SECONDS: &str = "7";
/// What `retry-after` and `retry-info` are set to for a provider that says nothing of when to come back.
pub(crate) const NO_WAIT: &str = "none";
/// Status of the HTML page, unless the flag says otherwise.
const HTML_STATUS: u16 = 502;
/// The largest answer `bytes` may ask for: enough for every buffer limit, too little to exhaust a machine.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The most chunks `chunks` may ask for.
const ANSWER_CHUNKS_MAX: usize = 1_000_000;

/// Names that stand for flags, for tests and for the documentation.
pub const ALIASES: &[(&str, &str)] = &[
    ("ok", ""),
    ("down", "status=503"),
    ("limited", "status=429"),
    ("quota", "quota"),
    ("bad", "status=400"),
    ("unprocessable", "status=422"),
    ("unauthorized", "status=401"),
    ("missing", "unknown-model"),
    ("slow", "stall"),
    ("reset", "reset"),
    ("garbage", "malformed"),
    ("empty", "empty"),
    ("error-event", "error-event=0"),
    ("late-error", "error-event=3"),
    ("cut", "cut=3"),
    ("stall-stream", "stall=3"),
    ("early-end", "early-end=3"),
    ("flaky", "flaky"),
    ("html", "html"),
    ("overloaded", "status=529"),
];

/// What happens instead of an answer, before any body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refuse {
    /// The provider's own error for this status.
    Status(u16),
    /// The provider does not know the model.
    UnknownModel,
    /// 429 because the money is gone.
    Quota,
    /// The HTML page of a content delivery network, with this status.
    Html(u16),
    /// The connection (HTTP/1.1) or stream (HTTP/2) is reset before the headers.
    Reset,
    /// Nothing is ever answered.
    Stall,
}

/// What goes wrong within a 200 answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Break {
    /// The connection closes right after the headers.
    CutHeaders,
    /// Nothing comes after the headers, and the connection stays open.
    StallHeaders,
    /// The connection closes after this many content chunks.
    Cut(usize),
    /// The connection closes in the middle of the event that holds the content chunk after so many.
    CutEvent(usize),
    /// Nothing more comes after this many content chunks.
    Stall(usize),
    /// Nothing more comes in the middle of the event that holds the content chunk after so many.
    StallEvent(usize),
    /// An event with broken JSON after this many content chunks, and then the rest.
    Malformed(usize),
    /// Bedrock: a frame with a wrong checksum after this many content chunks, and then the rest.
    BadChecksum(usize),
    /// An error event, and then the end, after this many content chunks.
    ErrorEvent(usize),
    /// The body ends cleanly, but incomplete, after this many content chunks.
    EarlyEnd(usize),
}

/// Line ends of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineEnd {
    Lf,
    CrLf,
    Cr,
}

/// How the wire bytes are cut into writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Split {
    Every(usize),
    Random(u64),
}

/// Failures that depend on how often the model was asked before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    /// The first `n` requests get 503.
    FailFirst(u64),
    /// Requests 1, 3, 5, ... get 500.
    Flaky,
}

/// What an error response says of when to come back, in each of the ways providers have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Waits {
    /// `retry-after`; [`NO_WAIT`] for none, even with a 429.
    pub(crate) retry_after: Option<String>,
    /// `retry-after-ms`.
    pub(crate) retry_after_ms: Option<String>,
    /// `x-ratelimit-reset-requests`, with no requests remaining.
    pub(crate) reset_requests: Option<String>,
    /// `x-ratelimit-reset-tokens`, with no tokens remaining.
    pub(crate) reset_tokens: Option<String>,
    /// Gemini: `RetryInfo.retryDelay` of a 429; [`NO_WAIT`] for none.
    pub(crate) retry_info: Option<String>,
}

/// Everything asked for; the default is a plain answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    pub(crate) refuse: Option<Refuse>,
    pub(crate) broken: Option<Break>,
    pub(crate) counted: Option<Counted>,
    /// The one credential whose requests fail; all others are answered.
    pub(crate) only_key: Option<String>,
    pub(crate) waits: Waits,
    pub(crate) array_error: bool,
    /// Status of the error that an error event stands for; the provider's own server error where there is none.
    pub(crate) event_status: Option<u16>,
    pub(crate) content_type: Option<String>,
    /// Answers as a stream where none was asked for, and whole where one was.
    pub(crate) other_mode: bool,
    pub(crate) delay: Option<Duration>,
    pub(crate) chunk_delay: Option<Duration>,
    pub(crate) gate: bool,
    pub(crate) keep_alive: bool,
    pub(crate) line_end: Option<LineEnd>,
    pub(crate) no_space: bool,
    pub(crate) no_done: bool,
    pub(crate) no_final_blank: bool,
    pub(crate) split: Option<Split>,
    pub(crate) empty: bool,
    pub(crate) text: Option<String>,
    pub(crate) bytes: Option<usize>,
    pub(crate) chunks: Option<usize>,
    pub(crate) thoughts: bool,
    pub(crate) finish: Option<String>,
    pub(crate) content_filter: bool,
    pub(crate) prompt_blocked: bool,
    pub(crate) no_finish: bool,
    /// Prompt tokens that are reported as read from a cache.
    pub(crate) cached: Option<usize>,
    /// Answers carry fields that no documentation knows.
    pub(crate) extra: bool,
}

/// A flag that cannot be followed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// The flag does not exist.
    #[error("simulator: unknown flag {0:?}")]
    Unknown(String),
    /// The flag exists, its value is wrong.
    #[error("simulator: flag {flag:?}: {value:?} is not {expected}")]
    Value {
        /// The flag.
        flag: String,
        /// The value given; empty when there was none.
        value: String,
        /// What would be valid.
        expected: &'static str,
    },
}

impl Waits {
    /// The `retry-after` header of an error with this status; `None` for none.
    pub(crate) fn retry_after(&self, status: u16) -> Option<&str> {
        let stated = self.retry_after.as_deref();
        stated.or_else(|| (status == 429).then_some(RETRY_AFTER_SECONDS)).filter(|value| *value != NO_WAIT)
    }

    /// The delay of Gemini's `RetryInfo`; `None` for none. Unless told otherwise it is what `retry-after` says, where
    /// that is a number of seconds.
    pub(crate) fn retry_info(&self) -> Option<String> {
        if let Some(delay) = &self.retry_info {
            return Some(delay.clone()).filter(|delay| delay != NO_WAIT);
        }
        let seconds = self.retry_after(429)?;
        let is_number = seconds.parse::<f64>().is_ok();
        Some(format!("{}s", if is_number { seconds } else { RETRY_AFTER_SECONDS }))
    }
}

impl Faults {
    /// Reads the flags of a model name and of the `x-simulator` header.
    pub(crate) fn parse(model: &str, header: Option<&str>) -> Result<Faults, FaultError> {
        let mut faults = Faults::default();
        let mut parts = model.split('~');
        let name = parts.next().unwrap_or_default();
        if let Some((_, flags)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
            faults.apply_all(flags.split(';'))?;
        }
        faults.apply_all(parts)?;
        faults.apply_all(header.unwrap_or_default().split(';'))?;
        Ok(faults)
    }

    /// What is left of the faults for a request with this credential.
    pub(crate) fn for_credential(self, credential: Option<&str>) -> Faults {
        if self.only_key.is_none() || self.only_key.as_deref() == credential {
            return self;
        }
        Faults { refuse: None, broken: None, counted: None, ..self }
    }

    /// Whether the text of the answer is chosen by a flag, whatever the prompt says.
    pub(crate) fn gives_text(&self) -> bool {
        self.empty || self.text.is_some() || self.bytes.is_some() || self.chunks.is_some()
    }

    fn apply_all<'a>(&mut self, flags: impl Iterator<Item = &'a str>) -> Result<(), FaultError> {
        flags.map(str::trim).filter(|flag| !flag.is_empty()).try_for_each(|flag| self.apply(flag))
    }

    fn apply(&mut self, flag: &str) -> Result<(), FaultError> {
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (flag, None),
        };
        let given = Given { flag: name, value };
        match name {
            "status" => self.refuse = Some(Refuse::Status(given.number_in(300, 599)?)),
            "unknown-model" => self.refuse = Some(Refuse::UnknownModel),
            "quota" => self.refuse = Some(Refuse::Quota),
            "html" => self.refuse = Some(Refuse::Html(given.number_in_or(200, 599, HTML_STATUS)?)),
            "reset" => self.refuse = Some(Refuse::Reset),
            "stall" if value.is_none() => self.refuse = Some(Refuse::Stall),
            "stall" => self.broken = Some(Break::Stall(given.number()?)),
            "cut" => self.broken = Some(Break::Cut(given.number_or(ALIAS_CHUNKS)?)),
            "cut-event" => self.broken = Some(Break::CutEvent(given.number_or(ALIAS_CHUNKS)?)),
            "stall-event" => self.broken = Some(Break::StallEvent(given.number_or(ALIAS_CHUNKS)?)),
            "cut-headers" => self.broken = Some(Break::CutHeaders),
            "stall-headers" => self.broken = Some(Break::StallHeaders),
            "malformed" => self.broken = Some(Break::Malformed(given.number_or(0)?)),
            "bad-crc" => self.broken = Some(Break::BadChecksum(given.number_or(0)?)),
            "error-event" => self.broken = Some(Break::ErrorEvent(given.number_or(0)?)),
            "early-end" => self.broken = Some(Break::EarlyEnd(given.number_or(ALIAS_CHUNKS)?)),
            "fail-first" => self.counted = Some(Counted::FailFirst(given.number()?)),
            "only-key" => self.only_key = Some(given.text()?.to_owned()),
            "flaky" => self.counted = Some(Counted::Flaky),
            "retry-after" => self.waits.retry_after = Some(given.text()?.to_owned()),
            "retry-after-ms" => self.waits.retry_after_ms = Some(given.text()?.to_owned()),
            "reset-requests" => self.waits.reset_requests = Some(given.text()?.to_owned()),
            "reset-tokens" => self.waits.reset_tokens = Some(given.text()?.to_owned()),
            "retry-info" => self.waits.retry_info = Some(given.text()?.to_owned()),
            "array-error" => self.array_error = true,
            "event-status" => self.event_status = Some(given.number_in(400, 599)?),
            "content-type" => self.content_type = Some(given.header_value()?),
            "other-mode" => self.other_mode = true,
            "delay" => self.delay = Some(Duration::from_millis(given.number()?)),
            "chunk-delay" => self.chunk_delay = Some(Duration::from_millis(given.number()?)),
            "gate" => self.gate = true,
            "keep-alive" => self.keep_alive = true,
            "lf" => self.line_end = Some(LineEnd::Lf),
            "crlf" => self.line_end = Some(LineEnd::CrLf),
            "cr" => self.line_end = Some(LineEnd::Cr),
            "no-space" => self.no_space = true,
            "no-done" => self.no_done = true,
            "no-final-blank" => self.no_final_blank = true,
            "split" => self.split = Some(Split::Every(given.number_in(1, usize::MAX)?)),
            "split-random" => self.split = Some(Split::Random(given.number()?)),
            "empty" => self.empty = true,
            "text" => self.text = Some(given.percent_decoded()?),
            "bytes" => self.bytes = Some(given.number_in(0, ANSWER_BYTES_MAX)?),
            "chunks" => self.chunks = Some(given.number_in(0, ANSWER_CHUNKS_MAX)?),
            "thoughts" => self.thoughts = true,
            "finish" => self.finish = Some(given.text()?.to_owned()),
            "content-filter" => self.content_filter = true,
            "prompt-blocked" => self.prompt_blocked = true,
            "no-finish" => self.no_finish = true,
            "cached" => self.cached = Some(given.number()?),
            "extra" => self.extra = true,
            _ => return Err(FaultError::Unknown(name.to_owned())),
        }
        Ok(())
    }
}

/// A flag with its value, as written.
struct Given<'a> {
    flag: &'a str,
    value: Option<&'a str>,
}

impl<'a> Given<'a> {
    fn number<N: std::str::FromStr>(&self) -> Result<N, FaultError> {
        self.text()?.parse().map_err(|_| self.wrong("a number"))
    }

    fn number_or<N: std::str::FromStr>(&self, default: N) -> Result<N, FaultError> {
        if self.value.is_none() { Ok(default) } else { self.number() }
    }

    fn number_in<N: std::str::FromStr + PartialOrd>(&self, min: N, max: N) -> Result<N, FaultError> {
        let number = self.number()?;
        if number < min || number > max { Err(self.wrong("a number in range")) } else { Ok(number) }
    }

    fn number_in_or<N: std::str::FromStr + PartialOrd>(
        &self,
        min: N,
        max: N,
        default: N,
    ) -> Result<N, FaultError> {
        if self.value.is_none() { Ok(default) } else { self.number_in(min, max) }
    }

    fn text(&self) -> Result<&'a str, FaultError> {
        self.value.ok_or_else(|| self.wrong("a value (write flag=value)"))
    }

    fn percent_decoded(&self) -> Result<String, FaultError> {
        percent_decode(self.text()?).ok_or_else(|| self.wrong("percent-encoded UTF-8"))
    }

    fn header_value(&self) -> Result<String, FaultError> {
        let value = self.percent_decoded()?;
        match http::HeaderValue::from_str(&value) {
            Ok(_) => Ok(value),
            Err(_) => Err(self.wrong("the value of a header")),
        }
    }

    fn wrong(&self, expected: &'static str) -> FaultError {
        FaultError::Value {
            flag: self.flag.to_owned(),
            value: self.value.unwrap_or_default().to_owned(),
            expected,
        }
    }
}

/// Decodes `%XX`; `None` when an escape is broken or the bytes are no UTF-8.
pub(crate) fn percent_decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            decoded.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(model: &str) -> Faults {
        Faults::parse(model, None).unwrap()
    }

    #[test]
    fn a_plain_name_asks_for_nothing() {
        for model in ["gpt-5", "ok", "models/gemini-2.5-pro", ""] {
            assert_eq!(parse(model), Faults::default(), "{model}");
        }
    }

    #[test]
    fn flags_are_read_in_order_and_the_header_comes_last() {
        let faults =
            Faults::parse("gpt~status=503~delay=200~chunk-delay=10", Some("status=429; gate")).unwrap();
        let expected = Faults {
            refuse: Some(Refuse::Status(429)),
            delay: Some(Duration::from_millis(200)),
            chunk_delay: Some(Duration::from_millis(10)),
            gate: true,
            ..Faults::default()
        };
        assert_eq!(faults, expected);
    }

    #[test]
    fn every_alias_parses_and_takes_more_flags() {
        for (alias, flags) in ALIASES {
            assert_eq!(parse(alias), Faults::parse("plain", Some(flags)).unwrap(), "{alias}");
            assert_eq!(parse(&format!("{alias}~delay=1")).delay, Some(Duration::from_millis(1)), "{alias}");
        }
    }

    #[test]
    fn one_credential_alone_may_fail() {
        let faults = || parse("m~status=429~cut=1~fail-first=2~delay=5~only-key=k1");
        assert_eq!(faults().for_credential(Some("k1")), faults());
        for other in [Some("k2"), None] {
            let left = faults().for_credential(other);
            assert_eq!((left.refuse, left.broken, left.counted), (None, None, None));
            assert_eq!(left.delay, Some(Duration::from_millis(5)), "it is no failure");
        }
    }

    #[test]
    fn values_have_defaults_only_where_documented() {
        let table = [
            ("m~malformed", Some(Break::Malformed(0))),
            ("m~malformed=2", Some(Break::Malformed(2))),
            ("m~cut", Some(Break::Cut(3))),
            ("m~cut=0", Some(Break::Cut(0))),
            ("m~stall=1", Some(Break::Stall(1))),
            ("m~stall", None),
            ("m~cut-headers", Some(Break::CutHeaders)),
            ("m~cut-event", Some(Break::CutEvent(3))),
            ("m~cut-event=0", Some(Break::CutEvent(0))),
            ("m~stall-event", Some(Break::StallEvent(3))),
            ("m~error-event", Some(Break::ErrorEvent(0))),
            ("m~bad-crc=1", Some(Break::BadChecksum(1))),
        ];
        for (model, broken) in table {
            assert_eq!(parse(model).broken, broken, "{model}");
        }
        assert_eq!(parse("m~stall").refuse, Some(Refuse::Stall));
        assert_eq!(parse("m~html").refuse, Some(Refuse::Html(502)));
        assert_eq!(parse("m~html=200").refuse, Some(Refuse::Html(200)));
        assert_eq!(parse("m~error-event~event-status=429").event_status, Some(429));
        assert_eq!(
            parse("m~content-type=text/plain%3B a=b").content_type.as_deref(),
            Some("text/plain; a=b")
        );
        assert_eq!(parse("m~text=%C3%A9%7Ea=b").text.as_deref(), Some("é~a=b"));
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for model in [
            "m~statsu=503",
            "m~status",
            "m~status=x",
            "m~status=200",
            "m~split=0",
            "m~text=%4",
            "m~text=%FF",
            "m~html=100",
            "m~html=x",
            "m~event-status",
            "m~event-status=200",
            "m~content-type",
            "m~content-type=a%0Ab",
            "m~retry-after-ms",
            "m~reset-requests",
            "m~retry-info",
            "m~only-key",
            "m~cached",
            "m~cached=x",
        ] {
            assert!(Faults::parse(model, None).is_err(), "{model}");
        }
    }

    #[test]
    fn every_way_to_state_a_wait_can_be_chosen_and_left_out() {
        // Flags, status, `retry-after`, `RetryInfo`.
        let table = [
            ("m", 429, Some("7"), Some("7s")),
            ("m", 503, None, Some("7s")),
            ("m~retry-after=1.5", 503, Some("1.5"), Some("1.5s")),
            (
                "m~retry-after=Wed, 21 Oct 2026 07:28:00 GMT",
                429,
                Some("Wed, 21 Oct 2026 07:28:00 GMT"),
                Some("7s"),
            ),
            ("m~retry-after=none", 429, None, None),
            ("m~retry-after=none~retry-info=33.5s", 429, None, Some("33.5s")),
            ("m~retry-info=none", 429, Some("7"), None),
        ];
        for (model, status, retry_after, retry_info) in table {
            let waits = parse(model).waits;
            assert_eq!(
                (waits.retry_after(status), waits.retry_info().as_deref()),
                (retry_after, retry_info),
                "{model} {status}"
            );
        }
        let waits = parse("m~retry-after-ms=1500~reset-requests=6m0s~reset-tokens=1s").waits;
        let stated = [&waits.retry_after_ms, &waits.reset_requests, &waits.reset_tokens];
        assert_eq!(stated.map(Option::as_deref), [Some("1500"), Some("6m0s"), Some("1s")]);
    }
}
