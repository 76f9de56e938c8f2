//! The list of models, in the two formats whose clients ask for it: `GET /v1/models`.
//!
//! It is what can be asked for by name: the routes, then each `provider:model`. It changes with the configuration alone, so
//! Envoy answers it by itself.

use serde::Serialize;

use crate::config::Gateway;

/// Path of the list; of one entry below it.
pub const MODELS_PATH: &str = "/v1/models";

/// A request header that only Anthropic's clients send, and always do.
pub const ANTHROPIC_HEADER: &str = "anthropic-version";

/// When a model was made is not known; the formats want a time.
const NO_TIME: &str = "1970-01-01T00:00:00Z";

/// Who is said to own a route.
const OWNER_OF_ROUTES: &str = "ai-warp";

/// One thing to ask for by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The name.
    pub id: &'a str,
    /// The provider; of a route the gateway.
    pub owner: &'a str,
}

#[derive(Serialize)]
struct OpenAiModel<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'a str,
}

#[derive(Serialize)]
struct OpenAiList<'a> {
    object: &'static str,
    data: Vec<OpenAiModel<'a>>,
}

#[derive(Serialize)]
struct AnthropicModel<'a> {
    r#type: &'static str,
    id: &'a str,
    display_name: &'a str,
    created_at: &'static str,
}

#[derive(Serialize)]
struct AnthropicList<'a> {
    data: Vec<AnthropicModel<'a>>,
    has_more: bool,
    first_id: Option<&'a str>,
    last_id: Option<&'a str>,
}

impl<'a> From<Entry<'a>> for OpenAiModel<'a> {
    fn from(entry: Entry<'a>) -> Self {
        Self { id: entry.id, object: "model", created: 0, owned_by: entry.owner }
    }
}

impl<'a> From<Entry<'a>> for AnthropicModel<'a> {
    fn from(entry: Entry<'a>) -> Self {
        Self { r#type: "model", id: entry.id, display_name: entry.id, created_at: NO_TIME }
    }
}

/// Everything that can be asked for by name.
pub fn entries(gateway: &Gateway) -> impl Iterator<Item = Entry<'_>> {
    let routes = gateway.routes.iter().map(|route| Entry { id: &route.name, owner: OWNER_OF_ROUTES });
    let models = gateway.models.iter().map(|model| {
        let owner = gateway.provider(model).map(|provider| provider.name.as_str()).unwrap_or_default();
        Entry { id: &model.id, owner }
    });
    routes.chain(models)
}

/// The list for OpenAI's clients.
pub fn openai_list(gateway: &Gateway) -> Vec<u8> {
    json(&OpenAiList { object: "list", data: entries(gateway).map(OpenAiModel::from).collect() })
}

/// One entry for OpenAI's clients.
pub fn openai_entry(entry: Entry<'_>) -> Vec<u8> {
    json(&OpenAiModel::from(entry))
}

/// The list for Anthropic's clients, on one page.
pub fn anthropic_list(gateway: &Gateway) -> Vec<u8> {
    let data: Vec<AnthropicModel<'_>> = entries(gateway).map(AnthropicModel::from).collect();
    let first_id = data.first().map(|model| model.id);
    let last_id = data.last().map(|model| model.id);
    json(&AnthropicList { first_id, last_id, data, has_more: false })
}

/// One entry for Anthropic's clients.
pub fn anthropic_entry(entry: Entry<'_>) -> Vec<u8> {
    json(&AnthropicModel::from(entry))
}

fn json(value: &impl Serialize) -> Vec<u8> {
    // Structs of strings have no way to fail.
    serde_json::to_vec(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, compile};

    #[test]
    fn routes_and_models_are_listed_by_the_names_they_are_asked_by() {
        let config: Config = serde_json::from_value(serde_json::json!({
            "providers": {"openai": {}, "groq": {}},
            "models": ["openai:a", "groq:b"],
            "routes": [{"name": "fast", "models": ["groq:b"]}],
        }))
        .unwrap();
        let gateway = compile(&config).unwrap();
        let read = |body: Vec<u8>| serde_json::from_slice::<serde_json::Value>(&body).unwrap();
        let list = read(openai_list(&gateway));
        let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(|model| &model["id"]).collect();
        assert_eq!(ids, ["default", "fast", "openai:a", "groq:b"]);
        assert_eq!(
            (&list["data"][1]["owned_by"], &list["data"][3]["owned_by"]),
            (&"ai-warp".into(), &"groq".into())
        );
        let list = read(anthropic_list(&gateway));
        assert_eq!((&list["first_id"], &list["last_id"]), (&"default".into(), &"groq:b".into()));
        assert_eq!(list["data"].as_array().unwrap().len(), 4);
    }
}
