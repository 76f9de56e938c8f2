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
    /// 502 with the HTML page of a content delivery network.
    Html,
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
    /// Nothing more comes after this many content chunks.
    Stall(usize),
    /// An event with broken JSON after this many content chunks, and then the rest.
    Malformed(usize),
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

/// Everything asked for; the default is a plain answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    pub(crate) refuse: Option<Refuse>,
    pub(crate) broken: Option<Break>,
    pub(crate) counted: Option<Counted>,
    pub(crate) retry_after: Option<String>,
    pub(crate) array_error: bool,
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

    /// The `retry-after` value of a 429.
    pub(crate) fn retry_after(&self) -> &str {
        self.retry_after.as_deref().unwrap_or(RETRY_AFTER_SECONDS)
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
            "html" => self.refuse = Some(Refuse::Html),
            "reset" => self.refuse = Some(Refuse::Reset),
            "stall" if value.is_none() => self.refuse = Some(Refuse::Stall),
            "stall" => self.broken = Some(Break::Stall(given.number()?)),
            "cut" => self.broken = Some(Break::Cut(given.number_or(ALIAS_CHUNKS)?)),
            "cut-headers" => self.broken = Some(Break::CutHeaders),
            "stall-headers" => self.broken = Some(Break::StallHeaders),
            "malformed" => self.broken = Some(Break::Malformed(given.number_or(0)?)),
            "error-event" => self.broken = Some(Break::ErrorEvent(given.number_or(0)?)),
            "early-end" => self.broken = Some(Break::EarlyEnd(given.number_or(ALIAS_CHUNKS)?)),
            "fail-first" => self.counted = Some(Counted::FailFirst(given.number()?)),
            "flaky" => self.counted = Some(Counted::Flaky),
            "retry-after" => self.retry_after = Some(given.text()?.to_owned()),
            "array-error" => self.array_error = true,
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

    fn text(&self) -> Result<&'a str, FaultError> {
        self.value.ok_or_else(|| self.wrong("a value (write flag=value)"))
    }

    fn percent_decoded(&self) -> Result<String, FaultError> {
        percent_decode(self.text()?).ok_or_else(|| self.wrong("percent-encoded UTF-8"))
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
    fn values_have_defaults_only_where_documented() {
        let table = [
            ("m~malformed", Some(Break::Malformed(0))),
            ("m~malformed=2", Some(Break::Malformed(2))),
            ("m~cut", Some(Break::Cut(3))),
            ("m~cut=0", Some(Break::Cut(0))),
            ("m~stall=1", Some(Break::Stall(1))),
            ("m~stall", None),
            ("m~cut-headers", Some(Break::CutHeaders)),
            ("m~error-event", Some(Break::ErrorEvent(0))),
        ];
        for (model, broken) in table {
            assert_eq!(parse(model).broken, broken, "{model}");
        }
        assert_eq!(parse("m~stall").refuse, Some(Refuse::Stall));
        assert_eq!(parse("m~text=%C3%A9%7Ea=b").text.as_deref(), Some("é~a=b"));
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for model in
            ["m~statsu=503", "m~status", "m~status=x", "m~status=200", "m~split=0", "m~text=%4", "m~text=%FF"]
        {
            assert!(Faults::parse(model, None).is_err(), "{model}");
        }
    }
}
