//! What a client of Anthropic Messages wrote itself: passed on as it is, but for what the gateway decides, which is the
//! model, its limits, what a route sets, and what this model cannot do.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{write_tool_choice, write_tools};
use crate::chat::{Effort, Output};
use crate::dialect::claude::{self, Thinking, Thoughts};
use crate::dialect::{Call, Wire};
use crate::json::ObjectWriter;
use crate::native::Native;

/// A call and how its client wrote it.
pub(super) struct NativeCall<'a> {
    call: &'a Call<'a>,
    native: &'a Native,
}

/// The call, where its client speaks the format.
pub(super) fn of<'a>(call: &'a Call<'_>) -> Option<NativeCall<'a>> {
    let native = call.chat.native.as_ref().filter(|native| native.wire() == Wire::Anthropic)?;
    Some(NativeCall { call, native })
}

impl<'a> NativeCall<'a> {
    /// The system's words and the messages; `None` where the gateway has changed them.
    pub(super) fn messages(&self) -> Option<(Option<&'a str>, &'a str)> {
        let messages = self.get("messages").filter(|_| !self.call.chat.is_edited)?;
        Some((self.get("system"), messages))
    }

    /// Writes all but the messages and the plain options.
    pub(super) fn write(&self, thoughts: &Thoughts, body: &mut ObjectWriter<'_>) {
        let (said, options) = (&self.call.chat.options, self.call.options);
        match self.get("tools").filter(|_| options.tools.is_empty() == said.tools.is_empty()) {
            Some(tools) => body.raw("tools", tools),
            None => write_tools(self.call, body),
        }
        let keeps_choice = options.tool_choice == said.tool_choice
            && options.parallel_tool_calls == said.parallel_tool_calls
            && options.tools.is_empty() == said.tools.is_empty();
        match self.get("tool_choice").filter(|_| keeps_choice) {
            Some(choice) => body.raw("tool_choice", choice),
            None => write_tool_choice(options, body),
        }
        self.write_thinking(thoughts, body);
        self.write_output(thoughts, body);
        if let Some(metadata) = self.get("metadata").filter(|_| options.user == said.user) {
            body.raw("metadata", metadata);
        }
        for name in &options.unknown {
            if let Some(value) = self.get(name) {
                body.raw(name, value);
            }
        }
    }

    fn write_thinking(&self, thoughts: &Thoughts, body: &mut ObjectWriter<'_>) {
        let options = self.call.options;
        let is_budget = self.manner().as_deref() == Some("enabled");
        let is_put_off = options.effort == Some(Effort::None) && self.is_effort_of_route();
        match (self.get("thinking"), thoughts.thinking) {
            // The budget was left out, or a route set something else in its place.
            (Some(_), thinking) if is_put_off || (is_budget && options.thinking_budget.is_none()) => {
                body.some("thinking", thinking.as_ref());
            }
            // A lower limit of tokens may leave no room for the budget.
            (Some(_), thinking @ (Some(Thinking::Enabled { .. }) | None)) if self.is_limited() => {
                body.some("thinking", thinking.as_ref());
            }
            (Some(thinking), _) if self.is_manner_of_model() => body.raw("thinking", thinking),
            (Some(_), thinking) => body.some("thinking", thinking.as_ref()),
            // The client's own effort says nothing of thinking; a route's asks for it.
            (None, thinking) if self.is_effort_of_route() => body.some("thinking", thinking.as_ref()),
            (None, _) => {}
        }
    }

    /// The `type` of the client's `thinking`.
    fn manner(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Typed {
            r#type: String,
        }
        let thinking: Typed = serde_json::from_str(self.get("thinking")?).ok()?;
        Some(thinking.r#type)
    }

    fn is_manner_of_model(&self) -> bool {
        self.manner().is_some_and(|manner| claude::takes_thinking(self.call.model, &manner))
    }

    /// Whether a budget was asked for, and fewer tokens may be generated than the client said.
    fn is_limited(&self) -> bool {
        let said: Option<u32> = self.get("max_tokens").and_then(|said| serde_json::from_str(said).ok());
        self.call.options.thinking_budget.is_some()
            && said.zip(self.call.max_tokens).is_some_and(|(said, limit)| limit < said)
    }

    /// The effort in the client's own words.
    fn effort(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct OutputConfig {
            effort: Option<String>,
        }
        let config: OutputConfig = serde_json::from_str(self.get("output_config")?).ok()?;
        config.effort
    }

    fn is_effort_of_route(&self) -> bool {
        let is_off = self.manner().as_deref() == Some("disabled");
        let said = if is_off { Some(Effort::None.name().to_owned()) } else { self.effort() };
        self.call.options.effort.is_some_and(|effort| said.as_deref() != Some(effort.name()))
    }

    fn write_output(&self, thoughts: &Thoughts, body: &mut ObjectWriter<'_>) {
        let (said, options) = (&self.call.chat.options, self.call.options);
        let own = self.get("output_config");
        let takes_effort = claude::takes_effort(self.call.model) || self.effort().is_none();
        let loses_effort = !takes_effort || (said.effort.is_some() && options.effort.is_none());
        let loses_format = said.output != Output::Text && options.output == Output::Text;
        if !loses_effort && !loses_format && !self.is_effort_of_route() {
            if let Some(config) = own {
                body.raw("output_config", config);
            }
            return;
        }
        let mut config: BTreeMap<String, Box<RawValue>> =
            own.and_then(|config| serde_json::from_str(config).ok()).unwrap_or_default();
        if loses_format {
            config.remove("format");
        }
        config.remove("effort");
        let effort = thoughts.effort.and_then(|effort| serde_json::value::to_raw_value(effort).ok());
        config.extend(effort.map(|effort| ("effort".to_owned(), effort)));
        if !config.is_empty() {
            body.field("output_config", &config);
        }
    }

    /// A field of the client's; `None` where it is null.
    fn get(&self, name: &str) -> Option<&'a str> {
        self.native.get(name).filter(|value| *value != "null")
    }
}
