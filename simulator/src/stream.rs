//! From an answer to a script: which bytes leave when, and where it all goes wrong.
//!
//! A script is data. [`crate::body`] plays it on a connection, so every decision about framing, splitting and faults
//! is made, and tested, here without a socket.

use std::time::Duration;

use bytes::Bytes;

use crate::event_stream;
use crate::fault::{Break, Faults, LineEnd};
use crate::record::Outcome;
use crate::split::split;
use crate::wire::{Event, Events, bedrock};

/// Waited before a connection is closed on purpose, so that what was written before has left. HTTP/2 would otherwise
/// drop frames that are still queued for a stream that is reset.
const ABORT_PAUSE: Duration = Duration::from_millis(5);
/// Blank lines DeepSeek sends before a whole answer that takes long.
const KEEP_ALIVE_LINES: usize = 3;
/// Waited after each of them, so that they leave one by one.
const KEEP_ALIVE_PAUSE: Duration = Duration::from_millis(1);

/// One thing to do with the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Writes bytes; `chunks` content chunks end within them.
    Write { bytes: Bytes, chunks: usize },
    /// Lets everything written so far leave.
    Flush,
    /// Waits.
    Pause(Duration),
    /// Waits for the model's gate.
    Gate,
    /// Waits forever.
    Stall,
    /// Closes the connection (HTTP/1.1) or resets the stream (HTTP/2).
    Abort,
}

/// The steps of one response body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Script {
    pub(crate) steps: Vec<Step>,
    /// The `content-length` announced, whatever is then sent.
    pub(crate) length: Option<u64>,
    /// What is recorded when the script was played to its end.
    pub(crate) outcome: Outcome,
}

/// How events are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Server-sent events with these line ends, unless a fault says otherwise.
    Sse(LineEnd),
    /// Elements of one JSON array, as Gemini streams without `alt=sse`.
    Array,
    /// Binary frames with a checksum, as Bedrock streams.
    EventStream,
}

impl Script {
    /// One text, nothing special: errors, lists, the plain answer.
    pub(crate) fn plain(text: String, outcome: Outcome) -> Script {
        let bytes = Bytes::from(text);
        let length = Some(bytes.len() as u64);
        let chunks = usize::from(outcome == Outcome::Answered);
        let steps = if bytes.is_empty() { Vec::new() } else { vec![Step::Write { bytes, chunks }] };
        Script { steps, length, outcome }
    }

    /// A whole answer; `error` is the provider's error text, `blank_lines` says whether it keeps connections alive
    /// with blank lines.
    pub(crate) fn whole(text: String, error: String, blank_lines: bool, faults: &Faults) -> Script {
        let Some(broken) = faults.broken else {
            let mut script = Script::plain(text, Outcome::Answered);
            if faults.keep_alive && blank_lines {
                let line = [write("\n".to_owned(), 0), Step::Flush, Step::Pause(KEEP_ALIVE_PAUSE)];
                let lines = std::iter::repeat_n(line, KEEP_ALIVE_LINES).flatten();
                script.steps.splice(0..0, lines);
                script.length = None;
            }
            script.steps = split(script.steps, faults.split);
            return script;
        };
        let length = Some(text.len() as u64);
        let half = || write(text.chars().take(text.chars().count() / 2).collect(), 0);
        let abort = [Step::Flush, Step::Pause(ABORT_PAUSE), Step::Abort];
        let (steps, length) = match broken {
            Break::CutHeaders => (abort.to_vec(), length),
            Break::StallHeaders => (vec![Step::Flush, Step::Stall], length),
            Break::Cut(_) => ([vec![half()], abort.to_vec()].concat(), length),
            Break::CutEvent(_) => ([vec![half()], abort.to_vec()].concat(), None),
            Break::Stall(_) | Break::StallEvent(_) => (vec![half(), Step::Flush, Step::Stall], length),
            Break::EarlyEnd(_) => (vec![half()], None),
            Break::Malformed(_) | Break::BadChecksum(_) => {
                return Script::plain(malformed(&text), Outcome::Faulted);
            }
            Break::ErrorEvent(_) => return Script::plain(error, Outcome::Faulted),
        };
        Script { steps: split(steps, faults.split), length, outcome: Outcome::Faulted }
    }

    /// A streamed answer.
    pub(crate) fn stream(events: Events, framing: Framing, faults: &Faults) -> Script {
        let outcome = if faults.broken.is_some() { Outcome::Faulted } else { Outcome::Answered };
        let mut writer = Writer::new(framing, faults);
        writer.play(events);
        Script { steps: split(writer.steps, faults.split), length: None, outcome }
    }
}

/// Collects the steps of a stream.
struct Writer<'a> {
    faults: &'a Faults,
    framing: Framing,
    line_end: &'static str,
    /// Told before the first event.
    comment: Option<&'static str>,
    started: bool,
    steps: Vec<Step>,
}

impl<'a> Writer<'a> {
    fn new(framing: Framing, faults: &'a Faults) -> Writer<'a> {
        let default = if let Framing::Sse(line_end) = framing { line_end } else { LineEnd::CrLf };
        let line_end = match faults.line_end.unwrap_or(default) {
            LineEnd::Lf => "\n",
            LineEnd::CrLf => "\r\n",
            LineEnd::Cr => "\r",
        };
        Writer { faults, framing, line_end, comment: None, started: false, steps: Vec::new() }
    }

    fn play(&mut self, events: Events) {
        let Events { head, content, tail, done, error, comment, done_after_error } = events;
        self.comment = comment;
        let breaks_after = match self.faults.broken {
            None => None,
            Some(Break::CutHeaders | Break::StallHeaders) => Some(0),
            Some(Break::Cut(n) | Break::Stall(n) | Break::EarlyEnd(n)) => Some(n),
            Some(Break::CutEvent(n) | Break::StallEvent(n)) => Some(n),
            Some(Break::Malformed(n) | Break::BadChecksum(n) | Break::ErrorEvent(n)) => Some(n),
        };
        let head_is_sent = !matches!(
            self.faults.broken,
            Some(Break::CutHeaders | Break::StallHeaders)
                | Some(Break::Malformed(0) | Break::BadChecksum(0) | Break::ErrorEvent(0))
        );
        if head_is_sent {
            head.iter().for_each(|event| self.event(event, 0));
        }
        let sent = breaks_after.map_or(content.len(), |n| n.min(content.len()));
        self.content(content.get(..sent).unwrap_or_default());
        match self.faults.broken {
            Some(Break::CutHeaders | Break::Cut(_)) => {
                return self.steps.extend([Step::Flush, Step::Pause(ABORT_PAUSE), Step::Abort]);
            }
            Some(Break::CutEvent(_)) => {
                self.half_event(content.get(sent).or(tail.first()).unwrap_or(&error));
                return self.steps.extend([Step::Flush, Step::Pause(ABORT_PAUSE), Step::Abort]);
            }
            Some(Break::StallEvent(_)) => {
                self.half_event(content.get(sent).or(tail.first()).unwrap_or(&error));
                return self.steps.extend([Step::Flush, Step::Stall]);
            }
            Some(Break::StallHeaders | Break::Stall(_)) => {
                return self.steps.extend([Step::Flush, Step::Stall]);
            }
            Some(Break::EarlyEnd(_)) => return,
            Some(Break::ErrorEvent(_)) => {
                self.event(&error, 0);
                return self.end(done.filter(|_| done_after_error && !self.faults.no_done));
            }
            Some(Break::Malformed(_) | Break::BadChecksum(_)) => {
                self.broken_event(content.get(sent).or(tail.first()).unwrap_or(&error));
                if !head_is_sent {
                    head.iter().for_each(|event| self.event(event, 0));
                }
                self.content(content.get(sent..).unwrap_or_default());
            }
            None => {}
        }
        tail.iter().for_each(|event| self.event(event, 0));
        self.end(done.filter(|_| !self.faults.no_done));
    }

    fn content(&mut self, events: &[Event]) {
        for event in events {
            let is_first = !self.steps.iter().any(|step| matches!(step, Step::Write { chunks: 1, .. }));
            if let (false, Some(delay)) = (is_first, self.faults.chunk_delay) {
                self.steps.push(Step::Pause(delay));
            }
            self.event(event, 1);
            if is_first && self.faults.gate {
                self.steps.push(Step::Gate);
            }
        }
    }

    fn event(&mut self, event: &Event, chunks: usize) {
        let bytes = self.framed(event);
        self.steps.extend([Step::Write { bytes, chunks }, Step::Flush]);
    }

    /// An event that cannot be read: its checksum is wrong, where there is one and it is asked for, or its JSON.
    fn broken_event(&mut self, event: &Event) {
        if self.framing == Framing::EventStream && matches!(self.faults.broken, Some(Break::BadChecksum(_))) {
            let bytes = event_stream::corrupted(&self.framed(event));
            return self.steps.extend([Step::Write { bytes, chunks: 0 }, Step::Flush]);
        }
        self.event(&Event { data: malformed(&event.data), ..event.clone() }, 0);
    }

    /// The first half of an event, cut between characters where it is text.
    fn half_event(&mut self, event: &Event) {
        let framed = self.framed(event);
        let half = match std::str::from_utf8(&framed) {
            Ok(text) if self.framing != Framing::EventStream => {
                text.chars().take(text.chars().count() / 2).map(char::len_utf8).sum()
            }
            _ => framed.len() / 2,
        };
        self.steps.push(Step::Write { bytes: framed.slice(..half), chunks: 0 });
    }

    fn framed(&mut self, event: &Event) -> Bytes {
        let started = std::mem::replace(&mut self.started, true);
        match self.framing {
            Framing::Array if started => Bytes::from(format!(",\r\n{}", event.data)),
            Framing::Array => Bytes::from(format!("[{}", event.data)),
            Framing::Sse(_) => Bytes::from(self.sse(event)),
            Framing::EventStream => bedrock::frame(event),
        }
    }

    fn sse(&mut self, event: &Event) -> String {
        let end = self.line_end;
        let keep_alive = self.faults.keep_alive.then_some("keep-alive");
        let comments: String = [self.comment.take(), keep_alive]
            .into_iter()
            .flatten()
            .map(|comment| format!(": {comment}{end}{end}"))
            .collect();
        let space = if self.faults.no_space { "" } else { " " };
        let name = event.name.map(|name| format!("event:{space}{name}{end}")).unwrap_or_default();
        format!("{comments}{name}data:{space}{}{end}{end}", event.data)
    }

    /// The sentinel or closing bracket, and the last blank line taken back if that is asked for.
    fn end(&mut self, done: Option<&'static str>) {
        match (self.framing, done) {
            (Framing::Array, _) => {
                let text = if self.started { "]" } else { "[]" };
                self.steps.push(write(text.to_owned(), 0));
            }
            (Framing::Sse(_), Some(done)) => self.event(&Event::from(done.to_owned()), 0),
            (Framing::Sse(_), None) | (Framing::EventStream, _) => {}
        }
        if self.faults.no_final_blank
            && self.framing != Framing::EventStream
            && let Some(Step::Write { bytes, .. }) =
                self.steps.iter_mut().rev().find(|step| matches!(step, Step::Write { .. }))
        {
            bytes.truncate(bytes.len().saturating_sub(self.line_end.len()));
        }
        // Nothing follows that would have to wait for this.
        if self.steps.last() == Some(&Step::Flush) {
            self.steps.pop();
        }
    }
}

fn write(text: String, chunks: usize) -> Step {
    Step::Write { bytes: Bytes::from(text), chunks }
}

/// The text with a stray brace in front: no JSON parser accepts it.
fn malformed(text: &str) -> String {
    format!("{{{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LF: Framing = Framing::Sse(LineEnd::Lf);

    fn events() -> Events {
        let list = |texts: &[&str]| texts.iter().map(|text| Event::from((*text).to_owned())).collect();
        Events {
            head: list(&["{h}"]),
            content: list(&["{1}", "{2}", "{3}", "{4}"]),
            tail: list(&["{t}"]),
            done: Some("[DONE]"),
            error: Event::from("{e}".to_owned()),
            ..Events::default()
        }
    }

    fn script(framing: Framing, flags: &str) -> Script {
        Script::stream(events(), framing, &Faults::parse("m", Some(flags)).unwrap())
    }

    /// The bytes written, with a letter in brackets for every wait.
    fn wire(script: &Script) -> String {
        let step = |step: &Step| match step {
            Step::Write { bytes, .. } => String::from_utf8_lossy(bytes).into_owned(),
            Step::Flush | Step::Pause(_) => String::new(),
            Step::Gate => "<gate>".to_owned(),
            Step::Stall => "<stall>".to_owned(),
            Step::Abort => "<abort>".to_owned(),
        };
        script.steps.iter().map(step).collect()
    }

    #[test]
    fn framing_follows_the_flags() {
        let table = [
            (
                "",
                "data: {h}\n\ndata: {1}\n\ndata: {2}\n\ndata: {3}\n\ndata: {4}\n\ndata: {t}\n\ndata: [DONE]\n\n",
            ),
            ("early-end=1", "data: {h}\n\ndata: {1}\n\n"),
            ("early-end=0;crlf", "data: {h}\r\n\r\n"),
            ("early-end=0;cr", "data: {h}\r\r"),
            ("early-end=0;no-space", "data:{h}\n\n"),
            ("early-end=0;keep-alive", ": keep-alive\n\ndata: {h}\n\n"),
            ("error-event=0", "data: {e}\n\n"),
            ("error-event=1", "data: {h}\n\ndata: {1}\n\ndata: {e}\n\n"),
            ("error-event=0;no-final-blank", "data: {e}\n"),
            ("cut=1", "data: {h}\n\ndata: {1}\n\n<abort>"),
            ("cut=0", "data: {h}\n\n<abort>"),
            ("cut-headers", "<abort>"),
            ("cut-event=1", "data: {h}\n\ndata: {1}\n\ndata:<abort>"),
            ("cut-event=0", "data: {h}\n\ndata:<abort>"),
            ("stall-event=0", "data: {h}\n\ndata:<stall>"),
            // With no content left it is what comes after the content.
            ("cut-event=9", "data: {h}\n\ndata: {1}\n\ndata: {2}\n\ndata: {3}\n\ndata: {4}\n\ndata:<abort>"),
            ("stall-headers", "<stall>"),
            ("stall=0", "data: {h}\n\n<stall>"),
            ("gate;stall=2", "data: {h}\n\ndata: {1}\n\n<gate>data: {2}\n\n<stall>"),
        ];
        for (flags, expected) in table {
            assert_eq!(wire(&script(LF, flags)), expected, "{flags}");
        }
        let malformed = wire(&script(LF, "malformed=1;no-done"));
        assert!(
            malformed.starts_with("data: {h}\n\ndata: {1}\n\ndata: {{2}\n\ndata: {2}\n\n"),
            "{malformed}"
        );
        assert!(malformed.ends_with("data: {t}\n\n"), "{malformed}");
    }

    #[test]
    fn names_comments_and_the_end_after_an_error_are_those_of_the_provider() {
        let named = Event { name: Some("ping"), data: "{p}".to_owned() };
        let events =
            Events { head: vec![named], comment: Some("PROCESSING"), done_after_error: true, ..events() };
        let stream = |flags: &str| {
            wire(&Script::stream(events.clone(), LF, &Faults::parse("m", Some(flags)).unwrap()))
        };
        assert_eq!(
            stream("error-event=1"),
            ": PROCESSING\n\nevent: ping\ndata: {p}\n\ndata: {1}\n\ndata: {e}\n\ndata: [DONE]\n\n"
        );
        assert_eq!(stream("early-end=0;no-space"), ": PROCESSING\n\nevent:ping\ndata:{p}\n\n");
    }

    #[test]
    fn without_sse_the_events_are_one_array() {
        assert_eq!(wire(&script(Framing::Array, "")), "[{h},\r\n{1},\r\n{2},\r\n{3},\r\n{4},\r\n{t}]");
    }

    #[test]
    fn split_pieces_have_the_size_asked_for_and_lose_nothing() {
        let whole = wire(&script(LF, ""));
        for flags in ["split=1", "split=7", "split=100000", "split-random=1", "split-random=2"] {
            let script = script(LF, flags);
            assert_eq!(wire(&script), whole, "{flags}");
            let sizes: Vec<usize> = script
                .steps
                .iter()
                .filter_map(
                    |step| if let Step::Write { bytes, .. } = step { Some(bytes.len()) } else { None },
                )
                .collect();
            let chunks: usize = script
                .steps
                .iter()
                .map(|step| if let Step::Write { chunks, .. } = step { *chunks } else { 0 })
                .sum();
            assert_eq!(chunks, 4, "{flags}");
            match flags {
                "split=7" => assert!(sizes.iter().rev().skip(1).all(|size| *size == 7)),
                "split=100000" => assert_eq!(sizes.len(), 1),
                _ => assert!(sizes.iter().all(|size| (1..=40).contains(size))),
            }
        }
    }

    #[test]
    fn a_whole_answer_breaks_half_way() {
        let whole = |flags| {
            Script::whole("0123456789".into(), "{e}".into(), true, &Faults::parse("m", Some(flags)).unwrap())
        };
        let table = [
            ("", "0123456789", Some(10)),
            ("cut", "01234<abort>", Some(10)),
            ("cut-event", "01234<abort>", None),
            ("stall=1", "01234<stall>", Some(10)),
            ("stall-event", "01234<stall>", Some(10)),
            ("early-end", "01234", None),
            ("error-event", "{e}", Some(3)),
            ("malformed", "{0123456789", Some(11)),
            ("keep-alive", "\n\n\n0123456789", None),
            ("split=3", "0123456789", Some(10)),
        ];
        for (flags, expected, length) in table {
            let script = whole(flags);
            assert_eq!((wire(&script).as_str(), script.length), (expected, length), "{flags}");
        }
    }
}
