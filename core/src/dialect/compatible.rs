//! The services that are compatible with chat completions: what each of them does its own way, one row a service.
//!
//! Sources: the services' API references and SDKs, and recorded answers, as of November 2026.

use super::Support;
use super::openai::OpenAi;
use crate::chat::{Effort, Feature, Options};

const BUDGET: (Feature, &str) = (Feature::ThinkingBudget, "`reasoning_effort`");

/// DeepSeek: text alone; thinks by default, and wants its reasoning back with the calls of tools.
pub(super) static DEEPSEEK: OpenAi = OpenAi {
    reasoning: Some("reasoning_content"),
    thinks_unless_told: true,
    efforts: &[Effort::Low, Effort::High, Effort::Max],
    refuses: |_, feature, options| feature == Feature::Logprobs && options.effort != Some(Effort::None),
    fields: Some(&["thinking"]),
    support: Support {
        translated: &[BUDGET],
        dropped: &[Feature::TopK, Feature::Seed, Feature::LogitBias, Feature::SequentialTools, Feature::User],
        refused: &[Feature::Choices, Feature::ImageData, Feature::ImageUrl, Feature::JsonSchema],
    },
    ..OpenAi::PLAIN
};

/// Mistral: takes no field it does not know, and only short ids; content may be a list of texts and thoughts.
pub(super) static MISTRAL: OpenAi = OpenAi {
    embeds: true,
    dimensions: "output_dimension",
    seed: "random_seed",
    any_tool: "any",
    stream_options: false,
    short_call_ids: true,
    needs_parameters: true,
    max_temperature: Some(1.5),
    is_exact: false,
    efforts: NONE_AND_THREE,
    fields: Some(&["guardrails", "metadata", "prediction", "prompt_cache_key", "prompt_mode", "safe_prompt"]),
    support: Support {
        translated: &[BUDGET],
        dropped: &[
            Feature::TopK,
            Feature::LogitBias,
            Feature::Logprobs,
            Feature::User,
            Feature::Names,
            Feature::Reasoning,
        ],
        refused: &[],
    },
    ..OpenAi::PLAIN
};

/// Groq: one answer at a time; takes no field it does not know.
pub(super) static GROQ: OpenAi = OpenAi {
    max_tokens: "max_completion_tokens",
    efforts: NONE_AND_THREE,
    refuses: groq_refuses,
    fields: Some(&[
        "citation_options",
        "compound_custom",
        "disable_tool_validation",
        "documents",
        "exclude_domains",
        "include_domains",
        "include_reasoning",
        "metadata",
        "reasoning_format",
        "search_settings",
        "service_tier",
        "store",
    ]),
    support: Support {
        translated: &[BUDGET],
        dropped: &[
            Feature::TopK,
            Feature::PresencePenalty,
            Feature::FrequencyPenalty,
            Feature::LogitBias,
            Feature::Logprobs,
            Feature::Names,
            Feature::Reasoning,
        ],
        refused: &[Feature::Choices],
    },
    ..OpenAi::PLAIN
};

/// Only some of Groq's models think, and each kind by words of its own.
fn groq_refuses(model: &str, feature: Feature, options: &Options) -> bool {
    let is = |families: &[&str]| families.iter().any(|family| model.contains(family));
    matches!(feature, Feature::Effort | Feature::ThinkingBudget)
        && match options.effort {
            Some(Effort::None) => !is(&["qwen"]),
            _ => is(&["qwen", "llama", "kimi", "compound", "gemma", "allam"]),
        }
}

/// xAI: counts reasoning beside the output; models that think refuse penalties and stops, and few are told how much.
pub(super) static XAI: OpenAi = OpenAi {
    reasoning_beside_output: true,
    efforts: NONE_AND_THREE,
    refuses: xai_refuses,
    fields: Some(&["deferred", "search_parameters", "service_tier", "web_search_options"]),
    support: Support {
        translated: &[BUDGET],
        dropped: &[Feature::TopK, Feature::LogitBias, Feature::Reasoning],
        refused: &[],
    },
    ..OpenAi::PLAIN
};

fn xai_refuses(model: &str, feature: Feature, _: &Options) -> bool {
    let is = |family: &str| model.starts_with(family);
    let never_thinks =
        is("grok-2") || (is("grok-3") && !is("grok-3-mini")) || model.contains("non-reasoning");
    match feature {
        Feature::PresencePenalty | Feature::FrequencyPenalty | Feature::Stop => !never_thinks,
        Feature::Effort | Feature::ThinkingBudget => {
            // From Grok 4.3 on, models are told; of 4.20 there is one of each kind.
            let is_first_of_4 = is("grok-4") && !is("grok-4.");
            never_thinks || is_first_of_4 || is("grok-code") || model.contains("-reasoning")
        }
        _ => false,
    }
}

/// OpenRouter: gives reasoning in a form that it takes back, and drops by itself what a model cannot do.
pub(super) static OPENROUTER: OpenAi = OpenAi {
    embeds: true,
    reasoning: Some("reasoning"),
    takes_state_back: true,
    efforts: &[Effort::None, Effort::Minimal, Effort::Low, Effort::Medium, Effort::High, Effort::Xhigh],
    support: Support { translated: &[BUDGET], dropped: &[], refused: &[] },
    ..OpenAi::PLAIN
};

/// Together: `logprobs` is another thing there; ends answers with a word of its own.
pub(super) static TOGETHER: OpenAi = OpenAi {
    embeds: true,
    is_exact: false,
    efforts: THREE,
    support: Support {
        translated: &[BUDGET],
        dropped: &[
            Feature::Dimensions,
            Feature::Logprobs,
            Feature::User,
            Feature::SequentialTools,
            Feature::Reasoning,
        ],
        refused: &[],
    },
    ..OpenAi::PLAIN
};

/// Fireworks: takes no field it does not know.
pub(super) static FIREWORKS: OpenAi = OpenAi {
    embeds: true,
    efforts: NONE_AND_THREE,
    fields: Some(&[
        "context_length_exceeded_behavior",
        "ignore_eos",
        "metadata",
        "min_p",
        "mirostat_lr",
        "mirostat_target",
        "perf_metrics_in_response",
        "prediction",
        "prompt_cache_key",
        "prompt_truncate_len",
        "raw_output",
        "reasoning_history",
        "repetition_penalty",
        "service_tier",
        "speculation",
        "thinking",
        "typical_p",
    ]),
    support: Support { translated: &[BUDGET], dropped: &[Feature::Reasoning], refused: &[] },
    ..OpenAi::PLAIN
};

/// Cerebras: text alone, one answer at a time; refuses penalties, and fields it does not know.
pub(super) static CEREBRAS: OpenAi = OpenAi {
    max_tokens: "max_completion_tokens",
    max_temperature: Some(1.5),
    efforts: NONE_AND_THREE,
    fields: Some(&["clear_thinking", "disable_reasoning", "prediction", "reasoning_format", "service_tier"]),
    support: Support {
        translated: &[BUDGET],
        dropped: &[
            Feature::TopK,
            Feature::PresencePenalty,
            Feature::FrequencyPenalty,
            Feature::LogitBias,
            Feature::Reasoning,
        ],
        refused: &[Feature::Choices, Feature::ImageData, Feature::ImageUrl],
    },
    ..OpenAi::PLAIN
};

/// Ollama: numbers all calls of tools 0 and ends them with `stop`; fetches no images.
pub(super) static OLLAMA: OpenAi = OpenAi {
    embeds: true,
    parses_arguments: true,
    is_exact: false,
    efforts: NONE_AND_THREE,
    support: Support {
        translated: &[BUDGET],
        dropped: &[
            Feature::TopK,
            Feature::LogitBias,
            Feature::Logprobs,
            Feature::User,
            Feature::Names,
            Feature::ForcedTool,
            Feature::SequentialTools,
            Feature::Reasoning,
        ],
        refused: &[Feature::Choices, Feature::ImageUrl],
    },
    ..OpenAi::PLAIN
};

/// vLLM: has nearly all of it, and passes over fields it does not know.
pub(super) static VLLM: OpenAi = OpenAi {
    embeds: true,
    parses_arguments: true,
    support: Support { translated: &[BUDGET], dropped: &[Feature::Reasoning], refused: &[] },
    ..OpenAi::PLAIN
};

/// llama.cpp: as vLLM, but for several answers at a time.
pub(super) static LLAMACPP: OpenAi = OpenAi {
    embeds: true,
    parses_arguments: true,
    support: Support {
        translated: &[BUDGET],
        dropped: &[Feature::Dimensions, Feature::Reasoning],
        refused: &[Feature::Choices],
    },
    ..OpenAi::PLAIN
};

/// Any other server: gets what the client sent, and its answers are mended.
pub(super) static ANY: OpenAi = OpenAi {
    embeds: true,
    is_exact: false,
    support: Support { translated: &[BUDGET], dropped: &[Feature::Reasoning], refused: &[] },
    ..OpenAi::PLAIN
};

const THREE: &[Effort] = &[Effort::Low, Effort::Medium, Effort::High];
const NONE_AND_THREE: &[Effort] = &[Effort::None, Effort::Low, Effort::Medium, Effort::High];
