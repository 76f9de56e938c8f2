//! What the Claude models can do and how they are made to think, told by their names: alike at Anthropic and Bedrock.
//!
//! Sources: Anthropic's pages on extended and adaptive thinking, on effort and on what each model changed, as of
//! November 2026.

use serde::Serialize;

use super::Call;
use super::gemini::SIGNATURE_MARK;
use crate::chat::{Chat, Effort, Feature, Message, Options, Part, Reasoning, Role, ToolChoice};

/// Most tokens to generate where nobody says: Anthropic wants to be told.
const DEFAULT_MAX_TOKENS: u32 = 4_096;

/// The smallest budget for thinking there is.
const MIN_BUDGET: u32 = 1_024;

/// A budget above which models do not think better.
const MAX_BUDGET: u32 = 24_576;

/// Room for the thoughts of models that decide themselves how much to think.
const USUAL_BUDGET: u32 = 16_384;

/// The version in a model's name, such as (4, 7); `None` where it has none. Models without one are taken to be new.
type Version = Option<(u32, u32)>;

/// How models are told to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// They cannot.
    No,
    /// For so many tokens.
    Budget,
    /// As they see fit, with so much effort.
    Adaptive,
}

/// The `thinking` of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Thinking {
    /// Not at all.
    Disabled,
    /// As the model sees fit.
    Adaptive,
    /// For so many tokens.
    Enabled { budget_tokens: u32 },
}

/// How a model is to think.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Thoughts {
    pub(super) thinking: Option<Thinking>,
    /// The word for its effort, where it takes one.
    pub(super) effort: Option<&'static str>,
}

/// The version in `model`, such as `claude-opus-4-7` or `eu.anthropic.claude-3-5-haiku-20241022-v1:0`.
fn version(model: &str) -> Version {
    let (_, name) = model.split_once("claude-")?;
    // What is longer is a date.
    let number = |part: &str| part.parse::<u32>().ok().filter(|number| *number < 100);
    let mut parts = name.split(['-', '.', ':', '@', '/']).skip_while(|part| number(part).is_none());
    let major = parts.next().and_then(number)?;
    Some((major, parts.next().and_then(number).unwrap_or(0)))
}

fn is_before(version: Version, other: (u32, u32)) -> bool {
    version.is_some_and(|version| version < other)
}

fn is_from(version: Version, other: (u32, u32)) -> bool {
    version.is_some_and(|version| version >= other)
}

fn manner(version: Version) -> Manner {
    if is_before(version, (3, 7)) {
        Manner::No
    } else if is_before(version, (4, 6)) {
        Manner::Budget
    } else {
        Manner::Adaptive
    }
}

/// Whether the model keeps to schemas of tools, and can be told to.
pub(super) fn is_strict(model: &str) -> bool {
    !is_before(version(model), (4, 5))
}

/// Whether the model takes `thinking` of this type.
pub(super) fn takes_thinking(model: &str, kind: &str) -> bool {
    let version = version(model);
    match kind {
        "adaptive" => manner(version) == Manner::Adaptive,
        "enabled" => manner(version) != Manner::No && !is_from(version, (4, 7)),
        _ => true,
    }
}

/// Whether the model takes a word for its effort.
pub(super) fn takes_effort(model: &str) -> bool {
    manner(version(model)) == Manner::Adaptive || model.contains("opus-4-5")
}

/// Whether the model takes an earlier thought back: signed ones alone.
pub(super) fn takes_thought(model: &str, thought: &Reasoning) -> bool {
    manner(version(model)) != Manner::No && is_signed(thought)
}

/// Whether it is signed, and not by Gemini.
fn is_signed(thought: &Reasoning) -> bool {
    let is_own = |signature: &String| !signature.starts_with(SIGNATURE_MARK);
    thought.signature.as_ref().is_some_and(is_own) || thought.redacted.is_some()
}

/// Whether the model refuses a feature, for its version or for what else is asked in `chat`.
pub(super) fn refuses(model: &str, feature: Feature, chat: &Chat) -> bool {
    let version = version(model);
    let options = &chat.options;
    match feature {
        Feature::TopP if options.temperature.is_some() && !is_before(version, (4, 1)) => true,
        Feature::Temperature | Feature::TopP | Feature::TopK if is_from(version, (4, 7)) => true,
        Feature::Temperature => options.temperature != Some(1.0) && thinks(version, chat),
        Feature::TopP => options.top_p.is_some_and(|top_p| top_p < 0.95) && thinks(version, chat),
        Feature::TopK => thinks(version, chat),
        Feature::Effort | Feature::ThinkingBudget => is_thought_wanted(options) && !may_think(version, chat),
        Feature::Reasoning => thoughts_in(&chat.messages).any(|thought| !takes_thought(model, thought)),
        _ => false,
    }
}

fn is_thought_wanted(options: &Options) -> bool {
    !matches!((options.effort, options.thinking_budget), (Some(Effort::None), _) | (None, None | Some(0)))
}

fn forces_tool(options: &Options) -> bool {
    matches!(options.tool_choice, Some(ToolChoice::Required | ToolChoice::Named(_)))
}

/// Whether what is asked about thinking can be had. With a budget it excludes a forced tool, and an earlier call of
/// tools must come with the thoughts before it.
fn may_think(version: Version, chat: &Chat) -> bool {
    match manner(version) {
        Manner::No => false,
        Manner::Adaptive => true,
        Manner::Budget => !forces_tool(&chat.options) && last_calls_have_thoughts(chat),
    }
}

fn last_calls_have_thoughts(chat: &Chat) -> bool {
    let mut answers = chat.messages.iter().rev().filter(|message| message.role == Role::Assistant);
    let calls = answers.find(|message| message.tool_calls().next().is_some());
    calls.is_none_or(|message| thoughts_in([message]).any(is_signed))
}

fn thoughts_in<'a>(messages: impl IntoIterator<Item = &'a Message>) -> impl Iterator<Item = &'a Reasoning> {
    messages.into_iter().flat_map(|message| &message.parts).filter_map(|part| match part {
        Part::Reasoning(thought) => Some(thought),
        _ => None,
    })
}

/// Whether the model will think, which excludes sampling parameters.
fn thinks(version: Version, chat: &Chat) -> bool {
    is_thought_wanted(&chat.options) && may_think(version, chat) && !forces_tool(&chat.options)
}

/// How the model is to think, of what is [not refused](refuses).
pub(super) fn thoughts(call: &Call<'_>) -> Thoughts {
    let options = call.options;
    let version = version(call.model);
    let manner = manner(version);
    if !is_thought_wanted(options) {
        let is_unwanted = options.effort.is_some() || options.thinking_budget.is_some();
        // Those whose version is unknown may be such that always think.
        let can_be_told = version.is_some() && manner != Manner::No;
        let thinking = (is_unwanted && can_be_told).then_some(Thinking::Disabled);
        return Thoughts { thinking, effort: None };
    }
    match manner {
        Manner::No => Thoughts::default(),
        Manner::Budget => Thoughts { thinking: budget(options, call.max_tokens), effort: None },
        Manner::Adaptive => Thoughts {
            thinking: (!forces_tool(options)).then_some(Thinking::Adaptive),
            effort: options.effort_or_budget().map(|effort| match effort {
                Effort::None | Effort::Minimal | Effort::Low => "low",
                Effort::Xhigh if is_before(version, (4, 7)) => "high",
                effort => effort.name(),
            }),
        },
    }
}

/// A budget that leaves room for an answer within `max_tokens`; `None` where there is no room for thoughts.
fn budget(options: &Options, max_tokens: Option<u32>) -> Option<Thinking> {
    let wanted = match (options.thinking_budget, options.effort) {
        (Some(budget), _) => budget,
        (None, Some(Effort::High)) => USUAL_BUDGET,
        (None, Some(Effort::Xhigh | Effort::Max)) => MAX_BUDGET,
        (None, Some(Effort::Medium)) => 8_192,
        (None, Some(Effort::Low)) => 2_048,
        (None, None | Some(Effort::None | Effort::Minimal)) => MIN_BUDGET,
    };
    let fitting = match max_tokens {
        Some(max_tokens) if wanted >= max_tokens => max_tokens / 2,
        _ => wanted.max(MIN_BUDGET),
    };
    (fitting >= MIN_BUDGET).then_some(Thinking::Enabled { budget_tokens: fitting })
}

/// Most tokens to generate: those asked for, or what is usual beside the budget for thinking.
pub(super) fn max_tokens(call: &Call<'_>, thoughts: &Thoughts) -> u32 {
    call.max_tokens.unwrap_or(match thoughts.thinking {
        Some(Thinking::Enabled { budget_tokens }) => DEFAULT_MAX_TOKENS.saturating_add(budget_tokens),
        Some(Thinking::Adaptive) => DEFAULT_MAX_TOKENS + USUAL_BUDGET,
        Some(Thinking::Disabled) | None => DEFAULT_MAX_TOKENS,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_off_names() {
        for (name, expected) in [
            ("claude-opus-4-7", Some((4, 7))),
            ("claude-opus-5", Some((5, 0))),
            ("claude-sonnet-4-20250514", Some((4, 0))),
            ("claude-3-5-haiku-20241022", Some((3, 5))),
            ("claude-3-7-sonnet-latest", Some((3, 7))),
            ("claude-2.1", Some((2, 1))),
            ("eu.anthropic.claude-haiku-4-5-20251001-v1:0", Some((4, 5))),
            ("arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-opus-4-6-v1", Some((4, 6))),
            ("claude-mythos-preview", None),
            ("amazon.nova-pro-v1:0", None),
        ] {
            assert_eq!(version(name), expected, "{name}");
        }
    }

    fn thoughts_of(model: &str, options: Options, max_tokens: Option<u32>) -> Thoughts {
        let chat = Chat { options, ..Chat::default() };
        let call =
            Call { model, chat: &chat, options: &chat.options, max_tokens, stream: false, api_version: None };
        thoughts(&call)
    }

    #[test]
    fn each_family_is_told_to_think_in_its_own_words() {
        let effort = |effort| Options { effort: Some(effort), ..Options::default() };
        let budget = |tokens| Options { thinking_budget: Some(tokens), ..Options::default() };
        let enabled = |budget_tokens| Some(Thinking::Enabled { budget_tokens });
        let forced = Options { tool_choice: Some(ToolChoice::Required), ..effort(Effort::High) };
        for (model, options, max_tokens, thinking, word) in [
            ("claude-3-5-haiku-20241022", effort(Effort::High), None, None, None),
            ("claude-sonnet-4-5", effort(Effort::High), None, enabled(16_384), None),
            ("claude-sonnet-4-5", effort(Effort::None), None, Some(Thinking::Disabled), None),
            ("claude-sonnet-4-5", budget(100), None, enabled(1_024), None),
            ("claude-sonnet-4-5", budget(9_000), Some(10_000), enabled(9_000), None),
            ("claude-sonnet-4-5", budget(10_000), Some(10_000), enabled(5_000), None),
            ("claude-sonnet-4-5", budget(10_000), Some(2_000), None, None),
            ("claude-opus-4-6", effort(Effort::Xhigh), None, Some(Thinking::Adaptive), Some("high")),
            ("claude-opus-4-7", effort(Effort::Xhigh), None, Some(Thinking::Adaptive), Some("xhigh")),
            ("claude-opus-4-7", budget(20_000), None, Some(Thinking::Adaptive), Some("high")),
            ("claude-opus-4-7", effort(Effort::Minimal), None, Some(Thinking::Adaptive), Some("low")),
            ("claude-opus-4-7", forced, None, None, Some("high")),
            ("claude-opus-4-7", Options::default(), None, None, None),
            ("claude-mythos-preview", effort(Effort::None), None, None, None),
        ] {
            let expected = Thoughts { thinking, effort: word };
            assert_eq!(thoughts_of(model, options.clone(), max_tokens), expected, "{model} {options:?}");
        }
    }
}
