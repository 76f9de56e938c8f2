//! The deterministic answer: what the model "says", independent of any wire format.
//!
//! The text echoes what the provider understood of the request, so that a test sees with one assertion whether roles,
//! history and parameters survived the translation.

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
    /// OpenAI: chunks carry padding.
    pub(crate) obfuscation: bool,
}

/// Why the model stopped; each wire format has its own word for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    Stop,
    Length,
    ContentFilter,
    /// The provider's word, given by the request.
    Verbatim(String),
    /// None is given.
    Absent,
}

/// What the model says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Reasoning, in chunks; usually none.
    pub(crate) thoughts: Vec<String>,
    /// The text, in chunks.
    pub(crate) chunks: Vec<String>,
    pub(crate) finish: Finish,
    pub(crate) usage: Usage,
    /// Gemini: the prompt was blocked, there is no candidate at all.
    pub(crate) prompt_blocked: bool,
}

/// Tokens, where one word counts as one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) prompt: usize,
    /// Without reasoning.
    pub(crate) answer: usize,
    pub(crate) reasoning: usize,
}

impl Answer {
    /// Answers a prompt; `body` is the request as received, for `!echo-json`.
    pub(crate) fn new(provider: Provider, prompt: &Prompt, faults: &Faults, body: &[u8]) -> Answer {
        let (mut chunks, limited) = chunks(provider, prompt, faults, body);
        let cut = limited && prompt.max_tokens.is_some_and(|max| cut_after_words(&mut chunks, max));
        let finish = match (&faults.finish, faults.no_finish, faults.content_filter) {
            (Some(finish), ..) => Finish::Verbatim(finish.clone()),
            (None, true, _) => Finish::Absent,
            (None, false, true) => Finish::ContentFilter,
            (None, false, false) if cut => Finish::Length,
            (None, false, false) => Finish::Stop,
        };
        let thoughts: Vec<String> =
            if faults.thoughts { THOUGHTS.map(str::to_owned).to_vec() } else { Vec::new() };
        let usage = Usage {
            prompt: prompt.words,
            answer: count_words(&chunks.concat()),
            reasoning: count_words(&thoughts.concat()),
        };
        Answer { thoughts, chunks, finish, usage, prompt_blocked: faults.prompt_blocked }
    }

    pub(crate) fn text(&self) -> String {
        self.chunks.concat()
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
    (by_words(&echo(provider, prompt)), true)
}

fn echo(provider: Provider, prompt: &Prompt) -> String {
    let Prompt { model, text, history, .. } = prompt;
    let system = prompt.system.as_deref().unwrap_or("-");
    let temperature = prompt.temperature.as_deref().unwrap_or("-");
    let max = prompt.max_tokens.map_or("-".to_owned(), |max| max.to_string());
    format!(
        "{provider}/{model}: {text} [system={system}] [history={history}] [temperature={temperature}] [max={max}]"
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
        Answer::new(Provider::OpenAi, &prompt, &Faults::parse("m", Some(flags)).unwrap(), b"{\"a\": 1}")
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
        let answer = Answer::new(Provider::Gemini, &prompt, &Faults::default(), b"");
        let expected = "gemini/m: hello there [system=be brief] [history=2] [temperature=0.5] [max=100]";
        assert_eq!(answer.text(), expected);
        assert_eq!(answer.chunks.first().unwrap(), "gemini/m:");
        assert_eq!(answer.chunks.get(1).unwrap(), " hello");
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
    fn texts_are_cut_at_character_boundaries() {
        assert_eq!(by_chars("äöüßéà🦀", 5), ["äöüßé", "à🦀"]);
        assert_eq!(by_words(" a  bc d"), [" a", "  bc", " d"]);
    }
}
