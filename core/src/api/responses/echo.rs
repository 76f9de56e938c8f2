//! What a response says again of its request.

use crate::json::{Json, ObjectWriter};

/// The fields of a request that stand in its response as well.
#[derive(Debug, Default)]
pub(super) struct Echo {
    pub(super) instructions: Option<String>,
    pub(super) max_output_tokens: Option<u32>,
    pub(super) metadata: Option<Json>,
    pub(super) parallel_tool_calls: Option<bool>,
    pub(super) previous_response_id: Option<String>,
    pub(super) reasoning: Option<Json>,
    pub(super) safety_identifier: Option<String>,
    pub(super) temperature: Option<f64>,
    pub(super) text: Option<Json>,
    pub(super) tool_choice: Option<Json>,
    pub(super) tools: Option<Json>,
    pub(super) top_p: Option<f64>,
    pub(super) truncation: Option<String>,
    pub(super) user: Option<String>,
}

impl Echo {
    /// Writes them; null, or what it means not to say, where the request did not say.
    pub(super) fn write(&self, response: &mut ObjectWriter<'_>) {
        let json = |json: &'_ Option<Json>, otherwise: &'static str| {
            json.as_ref().map_or(otherwise, Json::get).to_owned()
        };
        response.field("background", &false);
        response.field("instructions", &self.instructions);
        response.field("max_output_tokens", &self.max_output_tokens);
        response.raw("metadata", &json(&self.metadata, "{}"));
        response.field("parallel_tool_calls", &self.parallel_tool_calls.unwrap_or(true));
        response.field("previous_response_id", &self.previous_response_id);
        response.raw("reasoning", &json(&self.reasoning, r#"{"effort":null,"summary":null}"#));
        response.field("safety_identifier", &self.safety_identifier);
        response.field("temperature", &self.temperature);
        response.raw("text", &json(&self.text, r#"{"format":{"type":"text"}}"#));
        response.raw("tool_choice", &json(&self.tool_choice, r#""auto""#));
        response.raw("tools", &json(&self.tools, "[]"));
        response.field("top_p", &self.top_p);
        response.field("truncation", &self.truncation.as_deref().unwrap_or("disabled"));
        response.field("user", &self.user);
    }
}
