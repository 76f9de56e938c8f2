//! The request of `generateContent`.

use serde::Serialize;

use super::contents::{self, WirePart};
use super::{Thinking, name_of};
use crate::chat::{Effort, Output, Schema, Tool, ToolChoice};
use crate::dialect::Call;
use crate::json::{Json, ObjectWriter};

/// Seeds are positive numbers of so many bits.
const SEED_BITS: u32 = 31;

/// The least that Gemini 2.5 Pro thinks: it cannot be told not to.
const PRO_LEAST: u32 = 128;

/// The most tokens that Gemini 2.5 Pro, and that its smaller kin may think.
const PRO_MOST: u32 = 32_768;
const MOST: u32 = 24_576;

/// Writes the body.
pub(super) fn write(call: &Call<'_>) -> Vec<u8> {
    let (chat, options) = (call.chat, call.options);
    let mut out = Vec::with_capacity(256 + chat.text_len());
    let mut body = ObjectWriter::new(&mut out);
    write_contents(call, &mut body);
    if !options.tools.is_empty() {
        body.field("tools", &[Declarations::of(&options.tools)]);
        body.some("toolConfig", options.tool_choice.as_ref().map(ToolConfig::of).as_ref());
    }
    write_config(call, &mut body);
    body.end();
    out
}

/// What is said, and the instructions above it.
fn write_contents(call: &Call<'_>, body: &mut ObjectWriter<'_>) {
    let system = call.chat.system().filter(|text| !text.is_empty());
    let turns = contents::turns(call.chat, Thinking::of(call.model) == Thinking::Level);
    match system.as_deref() {
        // There must be a turn: with nothing said, the instructions are it.
        Some(text) if turns.is_empty() => body.field("contents", &contents::only(text)),
        _ => {
            body.field("contents", &turns);
            let instruction = system.as_deref().map(|text| Instruction { parts: [WirePart::text(text)] });
            body.some("systemInstruction", instruction.as_ref());
        }
    }
}

#[derive(Serialize)]
struct Instruction<'a> {
    parts: [WirePart<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Declarations<'a> {
    function_declarations: Vec<Declaration<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Declaration<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    /// The only field for schemas that takes all of JSON Schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters_json_schema: Option<&'a Json>,
}

impl<'a> Declarations<'a> {
    fn of(tools: &'a [Tool]) -> Self {
        let declare = |tool: &'a Tool| Declaration {
            name: &tool.name,
            description: tool.description.as_deref(),
            parameters_json_schema: tool.parameters.as_ref(),
        };
        Self { function_declarations: tools.iter().map(declare).collect() }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolConfig<'a> {
    function_calling_config: CallingConfig<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CallingConfig<'a> {
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_function_names: Option<[&'a str; 1]>,
}

impl<'a> ToolConfig<'a> {
    fn of(choice: &'a ToolChoice) -> Self {
        let (mode, allowed_function_names) = match choice {
            ToolChoice::Auto => ("AUTO", None),
            ToolChoice::None => ("NONE", None),
            ToolChoice::Required => ("ANY", None),
            ToolChoice::Named(name) => ("ANY", Some([name.as_str()])),
        };
        Self { function_calling_config: CallingConfig { mode, allowed_function_names } }
    }
}

fn write_config(call: &Call<'_>, body: &mut ObjectWriter<'_>) {
    let options = call.options;
    let mut written = Vec::new();
    let mut config = ObjectWriter::new(&mut written);
    config.some("temperature", options.temperature.as_ref());
    config.some("topP", options.top_p.as_ref());
    config.some("topK", options.top_k.as_ref());
    config.some("maxOutputTokens", call.max_tokens.as_ref());
    if !options.stop.is_empty() {
        config.field("stopSequences", &options.stop);
    }
    config.some("seed", options.seed.map(|seed| seed.rem_euclid(1 << SEED_BITS)).as_ref());
    config.some("presencePenalty", options.presence_penalty.as_ref());
    config.some("frequencyPenalty", options.frequency_penalty.as_ref());
    if options.output != Output::Text {
        config.field("responseMimeType", &"application/json");
    }
    if let Output::Schema(Schema { schema, .. }) = &options.output {
        config.field("responseJsonSchema", schema);
    }
    write_thinking(call, &mut config);
    config.end();
    if written != b"{}" {
        body.key("generationConfig").extend_from_slice(&written);
    }
}

fn write_thinking(call: &Call<'_>, config: &mut ObjectWriter<'_>) {
    let Some(much) = how_much(call) else { return };
    let mut thinking = ObjectWriter::new(config.key("thinkingConfig"));
    match much {
        Much::Level(level) => thinking.field("thinkingLevel", &level),
        Much::Budget(budget) => thinking.field("thinkingBudget", &budget),
    }
    let options = call.options;
    if options.effort != Some(Effort::None) && options.thinking_budget != Some(0) {
        thinking.field("includeThoughts", &true);
    }
    thinking.end();
}

enum Much {
    Level(&'static str),
    Budget(u32),
}

fn how_much(call: &Call<'_>) -> Option<Much> {
    let options = call.options;
    let budget = options.thinking_budget;
    let effort = if budget == Some(0) { Some(Effort::None) } else { options.effort_or_budget() }?;
    let is_pro = name_of(call.model).contains("-pro");
    match Thinking::of(call.model) {
        Thinking::Unknown => None,
        Thinking::Level => Some(Much::Level(match effort {
            Effort::None | Effort::Minimal if !is_pro => "MINIMAL",
            Effort::None | Effort::Minimal | Effort::Low => "LOW",
            Effort::Medium => "MEDIUM",
            // No model of today takes more.
            Effort::High | Effort::Xhigh | Effort::Max => "HIGH",
        })),
        Thinking::Budget => {
            let tokens = budget.unwrap_or(match effort {
                Effort::None => 0,
                Effort::Minimal | Effort::Low => 1_024,
                Effort::Medium => 8_192,
                Effort::High => MOST,
                Effort::Xhigh | Effort::Max => PRO_MOST,
            });
            let (least, most) = if is_pro { (PRO_LEAST, PRO_MOST) } else { (0, MOST) };
            Some(Much::Budget(tokens.clamp(least, most)))
        }
    }
}
