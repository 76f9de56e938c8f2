//! The deterministic answer: what the model "says", independent of any wire format.
//!
//! The text echoes what the provider understood of the request, so that a test sees with one assertion whether roles,
//! history and parameters survived the translation.

use serde_json::Value;

use crate::base64;
use crate::command::{Command, NO_ARGUMENTS, json_text};
use crate::fault::Faults;
use crate::provider::Provider;

/// Characters per chunk for texts that are echoed exactly.
const TEXT_CHUNK_CHARS: usize = 5;
/// Bytes per chunk of an answer asked for by size alone.
const BYTES_CHUNK: usize = 4096;
/// The most words `!words` gives.
const WORDS_MAX: usize = 1_000_000;
/// The reasoning before the answer, when the `thoughts` flag asks for it.
const THOUGHTS: [&str; 3] = ["Let me", " think", " about it."];

/// A request as its provider understood it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Prompt {
    pub(crate) model: String,
    /// All system texts, joined by newlines.
    pub(crate) system: Option<String>,
    /// User, assistant and tool messages before the last user message.
    pub(crate) history: usize,
    /// Text of the last user message.
    pub(crate) text: String,
    /// Words in all messages.
    pub(crate) words: usize,
    /// As written in the request.
    pub(crate) temperature: Option<String>,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) stream: bool,
    /// OpenAI: a usage chunk at the end of the stream is wanted.
    pub(crate) include_usage: bool,
    /// vLLM: every chunk tells the usage so far.
    pub(crate) continuous_usage: bool,
    /// OpenAI: chunks carry padding.
    pub(crate) obfuscation: bool,
    /// Names of the declared tools.
    pub(crate) tools: Vec<String>,
    pub(crate) tool_choice: ToolChoice,
    /// Only one tool call is wanted at a time.
    pub(crate) single_call: bool,
    /// Name and text of each tool result, in the order of the calls, when the request ends with tool results.
    pub(crate) results: Vec<(String, String)>,
    /// Images of the user as the echo names them: `image/png:LEN` or `url:THEURL`.
    pub(crate) images: Vec<String>,
    /// JSON is wanted.
    pub(crate) json: Option<JsonOutput>,
    /// How many answers are wanted; 0 stands for 1.
    pub(crate) choices: usize,
    /// OpenAI: log probabilities are wanted, with so many alternatives.
    pub(crate) logprobs: Option<usize>,
}

/// Whether the model may call tools, or must.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ToolChoice {
    #[default]
    Auto,
    None,
    /// Some tool must be called.
    Any,
    /// This tool must be called.
    Named(String),
}

/// JSON that is wanted instead of free text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum JsonOutput {
    /// Any object.
    Object,
    /// What this JSON Schema describes.
    Schema(Value),
}

/// A tool call of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ToolCall {
    pub(crate) name: String,
    /// In the provider's pattern; a wire without ids leaves it out.
    pub(crate) id: String,
    /// JSON text, exactly as asked for; empty for a call without arguments.
    pub(crate) arguments: String,
}

impl ToolCall {
    /// The arguments as JSON text, `{}` where there are none.
    pub(crate) fn json(&self) -> &str {
        if self.arguments.is_empty() { NO_ARGUMENTS } else { &self.arguments }
    }

    /// The arguments in the fragments in which a stream passes them; none where there are none.
    pub(crate) fn fragments(&self) -> Vec<String> {
        by_chars(&self.arguments, TEXT_CHUNK_CHARS)
    }
}

/// Why the model stopped; each wire format has its own word for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Finish {
    #[default]
    Stop,
    Length,
    ToolCalls,
    ContentFilter,
    /// The provider's word, given by the request.
    Verbatim(String),
    /// None is given.
    Absent,
}

/// What the model says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Reasoning, in chunks; usually none.
    pub(crate) thoughts: Vec<String>,
    /// The text, in chunks.
    pub(crate) chunks: Vec<String>,
    /// After the text.
    pub(crate) tool_calls: Vec<ToolCall>,
    /// How often the answer is given; each but the first says so at its end.
    pub(crate) choices: usize,
    pub(crate) finish: Finish,
    pub(crate) usage: Usage,
    /// Gemini: the prompt was blocked, there is no candidate at all.
    pub(crate) prompt_blocked: bool,
    /// Fields that no documentation knows are added.
    pub(crate) extra: bool,
}

/// Tokens, where one word counts as one token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) prompt: usize,
    /// Of these, those read from a cache.
    pub(crate) cached: usize,
    /// Without reasoning.
    pub(crate) answer: usize,
    pub(crate) reasoning: usize,
}

impl Answer {
    /// Answers a prompt; `body` is the request as received, for `!echo-json`, `serial` the number of the answer, for
    /// the ids of tool calls.
    pub(crate) fn new(
        provider: Provider,
        prompt: &Prompt,
        faults: &Faults,
        body: &[u8],
        serial: u64,
    ) -> Answer {
        let command = Command::of(prompt).filter(|_| prompt.results.is_empty() && !faults.gives_text());
        let (mut chunks, limited) = match &command {
            Some(command) => (by_chars(command.text, TEXT_CHUNK_CHARS), true),
            None => chunks(provider, prompt, faults, body),
        };
        let tool_calls: Vec<ToolCall> = command
            .iter()
            .flat_map(|command| command.calls.iter().enumerate())
            .map(|(index, (name, arguments))| ToolCall {
                name: (*name).to_owned(),
                id: call_id(provider, serial, index),
                arguments: (*arguments).to_owned(),
            })
            .collect();
        let cut = limited && prompt.max_tokens.is_some_and(|max| cut_after_words(&mut chunks, max));
        let finish = match (&faults.finish, faults.no_finish, faults.content_filter) {
            (Some(finish), ..) => Finish::Verbatim(finish.clone()),
            (None, true, _) => Finish::Absent,
            (None, false, true) => Finish::ContentFilter,
            (None, false, false) if cut => Finish::Length,
            (None, false, false) if !tool_calls.is_empty() => Finish::ToolCalls,
            (None, false, false) => Finish::Stop,
        };
        let tool_calls = if cut { Vec::new() } else { tool_calls };
        let thoughts: Vec<String> =
            if faults.thoughts { THOUGHTS.map(str::to_owned).to_vec() } else { Vec::new() };
        let choices = prompt.choices.max(1);
        let mut answer = Answer { thoughts, chunks, tool_calls, choices, finish, ..Answer::default() };
        let called: usize = answer.tool_calls.iter().map(|call| 1 + count_words(&call.arguments)).sum();
        let said: usize = (0..choices).map(|choice| count_words(&answer.choice_text(choice))).sum();
        answer.usage = Usage {
            prompt: prompt.words,
            cached: faults.cached.unwrap_or(0).min(prompt.words),
            answer: said + called * choices,
            reasoning: count_words(&answer.thoughts.concat()),
        };
        answer.prompt_blocked = faults.prompt_blocked;
        answer.extra = faults.extra;
        answer
    }

    pub(crate) fn text(&self) -> String {
        self.chunks.concat()
    }

    /// The chunks of one of several choices: all but the first say which one they are.
    pub(crate) fn choice_chunks(&self, choice: usize) -> Vec<String> {
        self.chunks.iter().cloned().chain(self.choice_mark(choice)).collect()
    }

    /// The text of one of several choices.
    pub(crate) fn choice_text(&self, choice: usize) -> String {
        let mut text = self.text();
        text.extend(self.choice_mark(choice));
        text
    }

    fn choice_mark(&self, choice: usize) -> Option<String> {
        (choice > 0 && !self.chunks.is_empty()).then(|| format!(" #{}", choice + 1))
    }
}

/// The id of a tool call, in the pattern of the provider; different in every answer.
fn call_id(provider: Provider, serial: u64, index: usize) -> String {
    match provider {
        Provider::Anthropic => format!("toolu_simulator{serial:06}x{index}"),
        Provider::Bedrock => format!("tooluse_simulator{serial:06}x{index}"),
        // Exactly nine letters or digits.
        Provider::Mistral => format!("s{:06}x{}", serial % 1_000_000, index % 10),
        Provider::Vllm => format!("chatcmpl-tool-simulator{serial:06}x{index}"),
        _ => format!("call_simulator{serial:06}x{index}"),
    }
}

/// An image sent along, as the echo names it; `None` when the data is no base64.
pub(crate) fn image_of_data(media_type: &str, data: &str) -> Option<String> {
    Some(format!("{media_type}:{}", base64::decode(data)?.len()))
}

/// An image named by its address, as the echo names it; `None` for a broken `data:` URL.
pub(crate) fn image_of_url(url: &str) -> Option<String> {
    match url.strip_prefix("data:") {
        Some(data) => {
            let (media_type, data) = data.split_once(";base64,")?;
            image_of_data(media_type, data)
        }
        None => Some(format!("url:{url}")),
    }
}

/// Words of a text, the unit of all token counts here.
pub(crate) fn count_words(text: &str) -> usize {
    text.split_whitespace().count()
}

/// The whole text in chunks, and whether the token limit applies to it.
fn chunks(provider: Provider, prompt: &Prompt, faults: &Faults, body: &[u8]) -> (Vec<String>, bool) {
    if faults.empty {
        return (Vec::new(), false);
    }
    if let Some(text) = &faults.text {
        return (by_chars(text, TEXT_CHUNK_CHARS), false);
    }
    if let Some(bytes) = faults.bytes {
        let piece = faults.chunks.map_or(BYTES_CHUNK, |count| bytes.div_ceil(count.max(1)).max(1));
        return (by_chars(&"x".repeat(bytes), piece), false);
    }
    if let Some(count) = faults.chunks {
        return ((1..=count).map(|n| format!("c{n} ")).collect(), true);
    }
    if !prompt.results.is_empty() {
        let result = |(name, text): &(String, String)| format!("{name}={text}");
        let results: Vec<String> = prompt.results.iter().map(result).collect();
        return (by_words(&format!("results: {}", results.join("; "))), true);
    }
    if let Some(rest) = prompt.text.strip_prefix("!text ") {
        return (by_chars(rest, TEXT_CHUNK_CHARS), true);
    }
    if prompt.text == "!echo-json" {
        return (by_chars(&String::from_utf8_lossy(body), TEXT_CHUNK_CHARS), false);
    }
    if let Some(count) = prompt.text.strip_prefix("!words ").and_then(|n| n.trim().parse::<usize>().ok()) {
        let word = |n| if n == 1 { "word1".to_owned() } else { format!(" word{n}") };
        return ((1..=count.min(WORDS_MAX)).map(word).collect(), true);
    }
    if let Some(json) = &prompt.json {
        return (by_chars(&json_text(json), TEXT_CHUNK_CHARS), true);
    }
    (by_words(&echo(provider, prompt)), true)
}

fn echo(provider: Provider, prompt: &Prompt) -> String {
    let Prompt { model, text, history, .. } = prompt;
    let system = prompt.system.as_deref().unwrap_or("-");
    let temperature = prompt.temperature.as_deref().unwrap_or("-");
    let max = prompt.max_tokens.map_or("-".to_owned(), |max| max.to_string());
    let list = |name: &str, items: &[String]| match items {
        [] => String::new(),
        items => format!(" [{name}={}]", items.join(",")),
    };
    let (tools, images) = (list("tools", &prompt.tools), list("images", &prompt.images));
    format!(
        "{provider}/{model}: {text} [system={system}] [history={history}] [temperature={temperature}] [max={max}]\
         {tools}{images}"
    )
}

/// One chunk per word; all but the first start with the space before it, as model tokens do.
fn by_words(text: &str) -> Vec<String> {
    let mut chunks: Vec<String> = Vec::new();
    let mut in_word = false;
    for character in text.chars() {
        match chunks.last_mut() {
            Some(chunk) if !(character.is_whitespace() && in_word) => chunk.push(character),
            _ => chunks.push(character.to_string()),
        }
        in_word = !character.is_whitespace();
    }
    chunks
}

fn by_chars(text: &str, size: usize) -> Vec<String> {
    let mut rest = text;
    let mut chunks = Vec::with_capacity(text.len() / size + 1);
    while !rest.is_empty() {
        let end = rest.char_indices().nth(size).map_or(rest.len(), |(index, _)| index);
        let (chunk, tail) = rest.split_at(end);
        chunks.push(chunk.to_owned());
        rest = tail;
    }
    chunks
}

/// Cuts after `max` words; returns whether something was cut.
fn cut_after_words(chunks: &mut Vec<String>, max: u64) -> bool {
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    let (mut words, mut in_word) = (0, false);
    for (index, chunk) in chunks.iter_mut().enumerate() {
        for (position, character) in chunk.char_indices() {
            let starts_word = !character.is_whitespace() && !in_word;
            if starts_word && words == max {
                let kept = chunk.get(..position).unwrap_or_default().trim_end().to_owned();
                *chunk = kept;
                chunks.truncate(index + 1);
                chunks.retain(|chunk| !chunk.is_empty());
                return true;
            }
            words += usize::from(starts_word);
            in_word = !character.is_whitespace();
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str, max_tokens: Option<u64>, flags: &str) -> Answer {
        let prompt =
            Prompt { model: "m".into(), text: text.into(), words: 2, max_tokens, ..Prompt::default() };
        Answer::new(Provider::OpenAi, &prompt, &Faults::parse("m", Some(flags)).unwrap(), b"{\"a\": 1}", 1)
    }

    #[test]
    fn the_echo_names_everything_that_was_understood() {
        let prompt = Prompt {
            model: "m".into(),
            system: Some("be brief".into()),
            history: 2,
            text: "hello there".into(),
            temperature: Some("0.5".into()),
            max_tokens: Some(100),
            ..Prompt::default()
        };
        let answer = Answer::new(Provider::Gemini, &prompt, &Faults::default(), b"", 1);
        let expected = "gemini/m: hello there [system=be brief] [history=2] [temperature=0.5] [max=100]";
        assert_eq!(answer.text(), expected);
        assert_eq!(answer.chunks.first().unwrap(), "gemini/m:");
        assert_eq!(answer.chunks.get(1).unwrap(), " hello");
    }

    #[test]
    fn the_echo_names_tools_and_images_where_there_are_some() {
        let prompt = Prompt {
            model: "m".into(),
            text: "hi".into(),
            tools: vec!["a".into(), "b".into()],
            images: vec!["image/png:3".into()],
            ..Prompt::default()
        };
        let answer = Answer::new(Provider::Xai, &prompt, &Faults::default(), b"", 1);
        assert!(answer.text().ends_with(" [max=-] [tools=a,b] [images=image/png:3]"), "{}", answer.text());
    }

    #[test]
    fn tool_results_are_told_and_tools_are_called() {
        let prompt = Prompt {
            text: "!call a {\"x\":  1} ;; b".into(),
            tools: vec!["a".into(), "b".into()],
            words: 5,
            ..Prompt::default()
        };
        let calls = Answer::new(Provider::Mistral, &prompt, &Faults::default(), b"", 12);
        assert_eq!((calls.text().as_str(), &calls.finish), ("", &Finish::ToolCalls));
        let (first, second) = (&calls.tool_calls[0], &calls.tool_calls[1]);
        assert_eq!((first.id.as_str(), first.json()), ("s000012x0", "{\"x\":  1}"));
        assert_eq!(first.fragments(), ["{\"x\":", "  1}"]);
        assert_eq!((second.json(), second.fragments().len()), ("{}", 0));
        let results = vec![("a".to_owned(), "r 1".to_owned()), ("b".to_owned(), "r2".to_owned())];
        let prompt = Prompt { results, tool_choice: ToolChoice::Any, ..prompt };
        let told = Answer::new(Provider::Mistral, &prompt, &Faults::default(), b"", 13);
        assert_eq!((told.text().as_str(), &told.finish), ("results: a=r 1; b=r2", &Finish::Stop));
    }

    #[test]
    fn further_choices_say_which_one_they_are() {
        let prompt = Prompt { text: "!words 2".into(), choices: 2, words: 3, ..Prompt::default() };
        let flags = Faults::parse("m~cached=9", None).unwrap();
        let answer = Answer::new(Provider::OpenAi, &prompt, &flags, b"", 1);
        assert_eq!([answer.choice_text(0), answer.choice_text(1)], ["word1 word2", "word1 word2 #2"]);
        assert_eq!((answer.usage.answer, answer.usage.cached), (5, 3));
    }

    #[test]
    fn commands_and_flags_choose_the_text() {
        let table = [
            ("!words 3", "", "word1 word2 word3"),
            ("!text a  b\n", "", "a  b\n"),
            ("!echo-json", "", "{\"a\": 1}"),
            ("x", "chunks=2", "c1 c2 "),
            ("x", "bytes=5", "xxxxx"),
            ("x", "text=%F0%9F%A6%80", "🦀"),
            ("x", "empty", ""),
        ];
        for (text, flags, expected) in table {
            assert_eq!(answer(text, None, flags).text(), expected, "{text} {flags}");
        }
        assert_eq!(answer("x", None, "bytes=100000;chunks=1").chunks.len(), 1);
    }

    #[test]
    fn a_limit_smaller_than_the_answer_cuts_it() {
        let cut = answer("!words 5", Some(2), "");
        assert_eq!((cut.text().as_str(), &cut.finish, cut.usage.answer), ("word1 word2", &Finish::Length, 2));
        let text = answer("!text alpha beta", Some(1), "");
        assert_eq!((text.text().as_str(), &text.finish), ("alpha", &Finish::Length));
        assert_eq!(answer("!words 5", Some(5), "").finish, Finish::Stop);
    }

    #[test]
    fn images_are_named_by_type_and_size_or_address() {
        assert_eq!(image_of_url("data:image/png;base64,Zm9v").as_deref(), Some("image/png:3"));
        assert_eq!(image_of_url("https://a/b.png").as_deref(), Some("url:https://a/b.png"));
        for broken in ["data:image/png,Zm9v", "data:image/png;base64,Zm9"] {
            assert_eq!(image_of_url(broken), None, "{broken}");
        }
    }

    #[test]
    fn texts_are_cut_at_character_boundaries() {
        assert_eq!(by_chars("äöüßéà🦀", 5), ["äöüßé", "à🦀"]);
        assert_eq!(by_words(" a  bc d"), [" a", "  bc", " d"]);
    }
}
