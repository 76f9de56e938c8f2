//! What the tests of several formats share: answers of every kind, and what a reply makes of them.

use uuid::Uuid;

use super::{About, Reply, Request, Source, Whole};
use crate::chat::{Answer, Collector, Delta, Finish, Usage};
use crate::exchange::TurnIds;
use crate::sse::Event;
use crate::task::Conversation;

/// The conversation that a request asks to go on with.
pub(super) fn conversation(request: Request) -> Conversation {
    request.task.into_conversation()
}

/// An exchange with a stored turn.
pub(super) fn about() -> About<'static> {
    let ids = TurnIds { session: Uuid::from_u128(1), turn: Uuid::from_u128(2), parent: None };
    About {
        id: Uuid::from_u128(7),
        created_secs: 1_700_000_000,
        model: "some-model",
        ids: Some(ids),
        stored: None,
    }
}

/// An answer as a stream.
pub(super) struct Streamed {
    pub(super) name: &'static str,
    pub(super) deltas: Vec<Delta<'static>>,
    pub(super) finish: Finish,
    pub(super) usage: Option<Usage>,
}

impl Streamed {
    fn new(name: &'static str, finish: Finish, deltas: Vec<Delta<'static>>) -> Self {
        Self { name, deltas, finish, usage: None }
    }

    /// The same at once.
    pub(super) fn answer(&self) -> Answer {
        let mut said = Collector::default();
        for delta in &self.deltas {
            said.add(delta);
        }
        Answer { parts: said.into_parts(), finish: self.finish, usage: self.usage }
    }
}

fn call(index: u32, id: &'static str, name: &'static str) -> Delta<'static> {
    Delta::ToolCall { index, id: id.into(), name: name.into(), signature: None }
}

fn arguments(index: u32, json: &'static str) -> Delta<'static> {
    Delta::Arguments { index, json: json.into() }
}

/// Answers of every kind.
pub(super) fn answers() -> Vec<Streamed> {
    let text = |text: &'static str| Delta::Text(text.into());
    let thought = |text: &'static str| Delta::Reasoning(text.into());
    let signature = |text: &'static str| Delta::Signature(text.into());
    let usage = Usage { input: 100, output: 20, cached: 60, cache_write: 30, reasoning: 5 };
    vec![
        Streamed {
            usage: Some(usage),
            ..Streamed::new(
                "text",
                Finish::Stop,
                vec![text("He said\n"), text(""), text("\"hi\" 世界"), Delta::Finish(Finish::Stop)],
            )
        },
        Streamed::new(
            "thoughts, signed and not, and one that is encrypted",
            Finish::Stop,
            vec![
                thought("First "),
                thought("this."),
                signature("c2ln"),
                signature("bmF0"),
                thought("Then that."),
                Delta::Redacted("c2VjcmV0".into()),
                signature("aGlkZGVu"),
                text("Done."),
            ],
        ),
        Streamed::new(
            "calls one after the other, one without arguments",
            Finish::ToolCalls,
            vec![
                text("Let me look."),
                call(0, "call_a", "weather"),
                arguments(0, "{ \"city\": "),
                arguments(0, "\"Rome {\" }"),
                call(1, "call_b", "now"),
                arguments(1, ""),
                call(2, "call_c", "add"),
                arguments(2, "{\"a\":1.0}"),
            ],
        ),
        Streamed::new(
            "calls in turns, and text behind them",
            Finish::ToolCalls,
            vec![
                call(0, "call_a", "one"),
                arguments(0, "{\"a\":"),
                call(1, "call_b", "two"),
                arguments(1, "{\"b\":"),
                arguments(0, "1}"),
                arguments(1, "2"),
                text("and"),
                arguments(1, "}"),
                text(" more"),
            ],
        ),
        Streamed::new(
            "a call of Gemini",
            Finish::ToolCalls,
            vec![
                Delta::ToolCall {
                    index: 0,
                    id: "call_g".into(),
                    name: "look".into(),
                    signature: Some("c2ln".into()),
                },
                arguments(0, "{\"at\":\"x\"}"),
            ],
        ),
        Streamed::new(
            "a refusal",
            Finish::Stop,
            vec![Delta::Refusal("I will ".into()), Delta::Refusal("not.".into())],
        ),
        Streamed::new("cut by the limit", Finish::Length, vec![text("Once upon")]),
        Streamed::new("withheld", Finish::ContentFilter, Vec::new()),
    ]
}

/// What `reply` writes of the whole answer.
pub(super) fn whole(reply: &dyn Reply, answer: &Streamed) -> String {
    match reply.whole(&about(), &answer.answer(), Source::Foreign, b"") {
        Whole::Written(body) => String::from_utf8(body).unwrap(),
        Whole::Native => panic!("not written"),
    }
}

/// What it writes of the stream.
pub(super) fn stream(reply: &mut dyn Reply, answer: &Streamed) -> String {
    let mut out = Vec::new();
    for delta in &answer.deltas {
        let event = Event { name: b"", data: b"{}", ..Event::default() };
        reply.event(&about(), event, std::slice::from_ref(delta), Source::Foreign, &mut out);
    }
    reply.end(&about(), &answer.answer(), &mut out);
    String::from_utf8(out).unwrap()
}

/// The events of a stream: their names, and their data.
pub(super) fn events(stream: &str) -> Vec<(String, serde_json::Value)> {
    let mut events = Vec::new();
    let mut decoder = crate::sse::Decoder::new(1 << 20);
    let pushed: Result<(), crate::sse::TooLarge> = decoder.push(stream.as_bytes(), |event| {
        let name = String::from_utf8(event.name.to_vec()).unwrap();
        events.push((name, serde_json::from_slice(event.data).unwrap()));
        Ok(())
    });
    pushed.unwrap();
    events
}

/// All answers, as `reply` writes them whole and as streams.
pub(super) fn written<R: Reply>(reply: impl Fn() -> R) -> String {
    let each = answers().into_iter().map(|answer| {
        let (whole, stream) = (whole(&reply(), &answer), stream(&mut reply(), &answer));
        format!("=== {}\n{whole}\n--- streamed\n{stream}", answer.name)
    });
    each.collect()
}
