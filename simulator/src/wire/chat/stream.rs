//! A chat completion as stream events, by the habits of its provider.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::calls;
use super::dialect::{Habits, Reasoning, StreamUsage};
use super::parts::{filter_results, logprobs, native_finish, prompt_filter_results};
use crate::answer::{Answer, Finish, Prompt, Usage, count_words};
use crate::wire::{Event, Events, Stamp, text};

/// The answer as a stream; `error` is what it ends with when it fails.
pub(super) fn events(
    habits: &Habits,
    prompt: &Prompt,
    answer: &Answer,
    stamp: &Stamp,
    error: Event,
) -> Events {
    let id = (habits.id)(stamp.serial);
    let sent = Usage { answer: 0, reasoning: 0, ..answer.usage };
    let mut writer = Writer { habits, prompt, answer, created: stamp.created, id, padding: 0, sent };
    let head = writer.head();
    let mut content = writer.content();
    let mut tail = writer.finish(&mut content);
    tail.extend(writer.usage());
    Events {
        head,
        content: content.into_iter().map(|chunk| Event::from(text(&chunk))).collect(),
        tail,
        done: Some("[DONE]"),
        error,
        comment: habits.comment,
        done_after_error: habits.done_after_error,
    }
}

struct Writer<'a> {
    habits: &'a Habits,
    prompt: &'a Prompt,
    answer: &'a Answer,
    created: u64,
    id: String,
    /// Counts chunks.
    padding: usize,
    /// What usage has grown to.
    sent: Usage,
}

/// A stream chunk.
#[derive(Serialize)]
struct Chunk<'a> {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'static str>,
    object: &'a str,
    created: u64,
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_fingerprint: Option<&'static str>,
    choices: Vec<Choice<'a>>,
    /// `null` is not the same as absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x_groq: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_filter_results: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    obfuscation: Option<String>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    delta: Delta,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<Value>,
    finish_reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    native_finish_reason: Option<Option<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_reason: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_filter_results: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_filter_offsets: Option<Value>,
}

/// A delta. Content has its own variant because there are many of them and they must be cheap.
#[derive(Serialize)]
#[serde(untagged)]
enum Delta {
    Content { content: String },
    RoleAndContent { role: &'static str, content: String },
    Other(Value),
}

impl<'a> Writer<'a> {
    /// What comes before the content: filters, the role, reasoning.
    fn head(&mut self) -> Vec<Event> {
        let mut head = Vec::new();
        if self.habits.filters {
            head.push(Event::from(text(&Chunk {
                id: String::new(),
                object: "",
                created: 0,
                model: "",
                system_fingerprint: None,
                service_tier: None,
                prompt_filter_results: Some(prompt_filter_results()),
                ..self.bare(Vec::new())
            })));
        }
        let thinks = !self.answer.thoughts.is_empty() && self.habits.reasoning != Reasoning::Hidden;
        for index in (0..self.answer.choices).filter(|_| !self.habits.role_in_each) {
            let chunk = self.chunk(index, Delta::Other(self.role(thinks)), None);
            head.push(Event::from(text(&chunk)));
        }
        if let (Some(first), true) = (head.first_mut(), self.habits.x_groq) {
            // The first chunk alone names the request.
            let chunk = serde_json::from_str(&first.data).unwrap_or_default();
            let Value::Object(mut chunk) = chunk else { return head };
            chunk.insert("x_groq".to_owned(), json!({ "id": self.id }));
            first.data = text(&chunk);
        }
        for thought in self.answer.thoughts.iter().filter(|_| thinks) {
            self.sent.reasoning += count_words(thought);
            let delta = self.thought(thought);
            head.push(Event::from(text(&self.chunk(0, Delta::Other(delta), None))));
        }
        head
    }

    fn role(&self, thinks: bool) -> Value {
        let calls_only = !self.answer.tool_calls.is_empty() && self.answer.chunks.is_empty();
        let mut delta = Map::new();
        let mut put = |name: &str, value: Value| delta.insert(name.to_owned(), value);
        put("role", "assistant".into());
        match self.habits.reasoning {
            Reasoning::Field(name) if thinks => {
                put("content", Value::Null);
                put(name, "".into());
            }
            _ if calls_only && !self.habits.empty_content => {
                put("content", Value::Null);
            }
            _ => {
                put("content", "".into());
            }
        }
        if self.habits.refusals {
            put("refusal", Value::Null);
        }
        delta.into()
    }

    fn thought(&self, thought: &str) -> Value {
        let mut delta = Map::new();
        let mut put = |name: &str, value: Value| delta.insert(name.to_owned(), value);
        if self.habits.role_in_each {
            put("role", "assistant".into());
        }
        match self.habits.reasoning {
            Reasoning::Field(name) => {
                put("content", if self.habits.role_in_each { "".into() } else { Value::Null });
                put(name, thought.into());
            }
            Reasoning::Parts => {
                let parts =
                    json!([{ "type": "thinking", "thinking": [{ "type": "text", "text": thought }] }]);
                put("content", parts);
            }
            Reasoning::Hidden => {}
        }
        delta.into()
    }

    /// The text of all choices in turns, and then the tool calls.
    fn content(&mut self) -> Vec<Chunk<'a>> {
        let mut texts: Vec<_> =
            (0..self.answer.choices).map(|index| self.answer.choice_chunks(index).into_iter()).collect();
        let mut chunks = Vec::with_capacity(self.answer.chunks.len());
        loop {
            let before = chunks.len();
            for (index, text) in texts.iter_mut().enumerate() {
                chunks.extend(text.next().map(|content| self.content_chunk(index, content)));
            }
            if chunks.len() == before {
                break;
            }
        }
        for index in 0..self.answer.choices {
            for delta in calls::deltas(self.habits, self.answer) {
                chunks.push(self.chunk(index, Delta::Other(delta), None));
            }
        }
        chunks
    }

    fn content_chunk(&mut self, index: usize, content: String) -> Chunk<'a> {
        self.sent.answer = (self.sent.answer + count_words(&content)).min(self.answer.usage.answer);
        let logprobs = self.prompt.logprobs.map(|count| logprobs(std::slice::from_ref(&content), count));
        let beside = self.habits.text_beside.then(|| content.clone());
        let delta = if self.habits.role_in_each {
            Delta::RoleAndContent { role: "assistant", content }
        } else {
            Delta::Content { content }
        };
        let mut chunk = self.chunk(index, delta, None);
        if let Some(choice) = chunk.choices.first_mut() {
            choice.logprobs = logprobs;
            choice.text = beside;
            choice.content_filter_results = self.habits.filters.then(filter_results);
        }
        chunk
    }

    /// The finish of each choice: a chunk of its own, or put into the last content of the choice.
    fn finish(&mut self, content: &mut [Chunk<'a>]) -> Vec<Event> {
        self.sent = self.answer.usage;
        let stops = self.habits.stops_after_calls && self.answer.finish == Finish::ToolCalls;
        let finish = if stops { &Finish::Stop } else { &self.answer.finish };
        let Some(finish) = (self.habits.finish)(finish) else { return Vec::new() };
        let mut tail: Vec<Event> = self.late_filters().into_iter().collect();
        for index in 0..self.answer.choices {
            let last = content
                .iter_mut()
                .rev()
                .filter(|_| self.habits.finish_with_content)
                .find(|chunk| chunk.choices.iter().any(|choice| choice.index == index));
            if let Some(last) = last {
                self.end(last, finish);
                continue;
            }
            let delta = match (self.habits.role_in_each, self.habits.refusals) {
                (true, _) => json!({ "role": "assistant", "content": "" }),
                (false, true) => json!({}),
                (false, false) => json!({ "content": "" }),
            };
            let mut chunk = self.chunk(index, Delta::Other(delta), Some(finish));
            self.end(&mut chunk, finish);
            tail.push(Event::from(text(&chunk)));
        }
        tail
    }

    /// What content filters say that look at the text after it was sent: a chunk without any delta.
    fn late_filters(&mut self) -> Option<Event> {
        if !self.habits.filters || self.answer.chunks.is_empty() {
            return None;
        }
        let mut chunk = self.chunk(0, Delta::Other(json!({})), None);
        for choice in &mut chunk.choices {
            choice.content_filter_results = Some(filter_results());
            choice.content_filter_offsets =
                Some(json!({ "check_offset": 0, "start_offset": 0, "end_offset": 1 }));
        }
        Some(Event::from(text(&chunk)))
    }

    /// Makes a chunk the last one of its choice.
    fn end(&self, chunk: &mut Chunk<'a>, finish: &'a str) {
        for choice in &mut chunk.choices {
            choice.finish_reason = Some(finish);
            choice.native_finish_reason = self.habits.native_finish.then(|| native_finish(Some(finish)));
            choice.content_filter_results = self.habits.filters.then(|| json!({}));
        }
        if self.habits.stream_usage == StreamUsage::WithFinish {
            chunk.usage = Some(self.counts());
        }
        if self.habits.x_groq {
            chunk.x_groq = Some(json!({ "id": self.id, "usage": self.counts() }));
        }
    }

    /// The chunk that tells the usage alone.
    fn usage(&mut self) -> Option<Event> {
        let choices = match self.habits.stream_usage {
            StreamUsage::OnRequest if self.prompt.include_usage => Vec::new(),
            StreamUsage::Always => {
                let delta = json!({ "role": "assistant", "content": "" });
                self.chunk(0, Delta::Other(delta), None).choices
            }
            _ => return None,
        };
        self.padding = 0;
        let chunk =
            Chunk { usage: Some(self.counts()), obfuscation: self.obfuscation(), ..self.bare(choices) };
        Some(Event::from(text(&chunk)))
    }

    fn counts(&self) -> Value {
        (self.habits.usage)(&self.sent)
    }

    fn chunk(&mut self, index: usize, delta: Delta, finish: Option<&'a str>) -> Chunk<'a> {
        self.padding += 1;
        let usage = match self.habits.stream_usage {
            StreamUsage::Growing => Some(self.counts()),
            StreamUsage::OnRequest if self.prompt.continuous_usage => Some(self.counts()),
            StreamUsage::OnRequest if self.prompt.include_usage => Some(Value::Null),
            _ => None,
        };
        let choice = Choice {
            index,
            text: None,
            delta,
            logprobs: None,
            finish_reason: finish,
            native_finish_reason: self.habits.native_finish.then_some(None),
            stop_reason: self.habits.stop_reason.then_some(Value::Null),
            content_filter_results: None,
            content_filter_offsets: None,
        };
        Chunk { usage, obfuscation: self.obfuscation(), ..self.bare(vec![choice]) }
    }

    fn bare(&self, choices: Vec<Choice<'a>>) -> Chunk<'a> {
        Chunk {
            id: self.id.clone(),
            provider: self.habits.served_by,
            object: "chat.completion.chunk",
            created: self.created,
            model: &self.prompt.model,
            service_tier: self.habits.service_tier,
            system_fingerprint: self.habits.fingerprint,
            choices,
            usage: None,
            x_groq: None,
            prompt_filter_results: None,
            obfuscation: None,
        }
    }

    fn obfuscation(&self) -> Option<String> {
        (self.habits.pads && self.prompt.obfuscation).then(|| obfuscation(self.padding))
    }
}

/// Padding as OpenAI adds it against guessing tokens from packet sizes; ours is the same on every run.
fn obfuscation(chunk: usize) -> String {
    const LETTERS: &str = "kT3vQz9LmXa7Rf";
    LETTERS.chars().cycle().skip(chunk % LETTERS.len()).take(2 + chunk * 5 % 12).collect()
}
