//! Reads the tools of a request of Messages.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::request::within;
use crate::api::fields::{Fields, Unread, inside, invalid};
use crate::chat::{Tool, ToolChoice};
use crate::error::GatewayError;
use crate::json::Json;

/// The functions, and what else there is.
pub(super) fn read_tools(
    fields: &mut Fields<'_>,
    unread: &mut Unread,
) -> Result<(Vec<Tool>, Vec<String>), GatewayError> {
    let (mut tools, mut foreign) = (Vec::new(), Vec::new());
    let listed = fields.take::<Vec<Fields<'_>>>("tools")?.unwrap_or_default();
    for (index, mut tool) in listed.into_iter().enumerate() {
        let wrong = |error: GatewayError| inside("tools", &format!("tools[{index}]"), &error);
        match tool.take::<Cow<'_, str>>("type").map_err(wrong)? {
            Some(kind) if kind != "custom" => foreign.push(format!("tools[{index}] ({kind})")),
            _ => tools.push(read_function(tool, unread).map_err(wrong)?),
        }
    }
    Ok((tools, foreign))
}

fn read_function(mut tool: Fields<'_>, unread: &mut Unread) -> Result<Tool, GatewayError> {
    let read = Tool {
        name: tool.require("name")?,
        description: tool.take("description")?,
        parameters: tool.take::<&RawValue>("input_schema")?.map(Json::from),
        strict: tool.take("strict")?,
    };
    unread.note("tools", tool);
    Ok(read)
}

/// Which tool must be called, and whether several may be at once.
pub(super) fn read_tool_choice(
    mut choice: Fields<'_>,
    unread: &mut Unread,
) -> Result<(Option<ToolChoice>, Option<bool>), GatewayError> {
    let mut read = || {
        let kind: Cow<'_, str> = choice.require("type")?;
        let is_single = choice.take("disable_parallel_tool_use")?.unwrap_or(false);
        let tool = match kind.as_ref() {
            "auto" => ToolChoice::Auto,
            "any" => ToolChoice::Required,
            "none" => ToolChoice::None,
            "tool" => ToolChoice::Named(choice.require("name")?),
            other => {
                let message = format!("type is \"{other}\"; it must be auto, any, tool or none");
                return Err(invalid(message));
            }
        };
        Ok((Some(tool), is_single.then_some(false)))
    };
    let read = within("tool_choice", read())?;
    unread.note("tool_choice", choice);
    Ok(read)
}
