//! Which endpoint of which provider a path leads to, and what the path says of the request.
//!
//! Some providers name the model in the path, and whether a stream is wanted; the others do so in the body.

use crate::TOKEN_PATH;
use crate::fault::percent_decode;
use crate::provider::Provider;

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Chat(Place),
    Embeddings(Place),
    Models,
    /// Vertex AI: access tokens for service accounts.
    Token,
    Nowhere,
}

/// What a path says of the request beside the endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// The model, where it is not named in the body.
    pub(crate) model: Option<String>,
    /// Whether a stream is asked for, where the body does not say.
    pub(crate) stream: bool,
    /// Gemini: whether the stream is one of events, and not an array.
    pub(crate) sse: bool,
    /// Gemini: whether a list of embeddings is asked for.
    pub(crate) batch: bool,
}

impl Endpoint {
    /// The provider and endpoint of a path.
    pub(crate) fn find(path: &str, query: Option<&str>) -> (Option<Provider>, Endpoint) {
        if path == TOKEN_PATH {
            return (Some(Provider::Vertex), Endpoint::Token);
        }
        let name = path.split('/').nth(1).unwrap_or_default();
        let Ok(provider) = name.parse::<Provider>() else { return (None, Endpoint::Nowhere) };
        // The alias first: it may begin with the base path.
        let endpoint = [provider.base_path_alias(), Some(provider.base_path())]
            .into_iter()
            .flatten()
            .find_map(|base| path.strip_prefix(base).filter(|rest| rest.starts_with('/')))
            .and_then(|rest| Endpoint::below(provider, rest, query));
        (Some(provider), endpoint.unwrap_or(Endpoint::Nowhere))
    }

    /// Where the path below a base path leads.
    fn below(provider: Provider, path: &str, query: Option<&str>) -> Option<Endpoint> {
        match provider {
            Provider::Gemini if path == "/models" => Some(Endpoint::Models),
            Provider::Gemini => Endpoint::generate(path.strip_prefix("/models/")?, query),
            Provider::Vertex => {
                let place: Vec<&str> = path.splitn(9, '/').collect();
                match place.as_slice() {
                    ["", "projects", _, "locations", _, "publishers", "google", "models", call] => {
                        Endpoint::generate(call, query)
                    }
                    _ => None,
                }
            }
            Provider::Anthropic => match path {
                "/v1/messages" => Some(Endpoint::Chat(Place::default())),
                "/v1/models" => Some(Endpoint::Models),
                _ => None,
            },
            Provider::Bedrock => {
                let (model, action) = path.strip_prefix("/model/")?.rsplit_once('/')?;
                let stream = match action {
                    "converse" => false,
                    "converse-stream" => true,
                    _ => return None,
                };
                Some(Endpoint::Chat(Place { model: Some(model_of(model)?), stream, ..Place::default() }))
            }
            Provider::Azure => match path.strip_prefix("/openai/deployments/") {
                Some(rest) => {
                    let (deployment, rest) = rest.split_once('/')?;
                    let place = Place { model: Some(model_of(deployment)?), ..Place::default() };
                    Endpoint::compatible(provider, &format!("/{rest}"), place)
                }
                None if path == "/openai/models" => Some(Endpoint::Models),
                None => Endpoint::compatible(provider, path.strip_prefix("/openai/v1")?, Place::default()),
            },
            _ => Endpoint::compatible(provider, path, Place::default()),
        }
    }

    /// The endpoints of the OpenAI family.
    fn compatible(provider: Provider, path: &str, place: Place) -> Option<Endpoint> {
        match path {
            "/chat/completions" => Some(Endpoint::Chat(place)),
            "/embeddings" if has_embeddings(provider) => Some(Endpoint::Embeddings(place)),
            "/models" if place.model.is_none() => Some(Endpoint::Models),
            _ => None,
        }
    }

    /// Gemini: model and action are one segment.
    fn generate(call: &str, query: Option<&str>) -> Option<Endpoint> {
        let (model, action) = call.rsplit_once(':')?;
        let sse = query.is_some_and(|query| query.split('&').any(|pair| pair == "alt=sse"));
        let place = Place { model: Some(model_of(model)?), ..Place::default() };
        match action {
            "generateContent" => Some(Endpoint::Chat(Place { sse, ..place })),
            "streamGenerateContent" => Some(Endpoint::Chat(Place { stream: true, sse, ..place })),
            "embedContent" => Some(Endpoint::Embeddings(place)),
            "batchEmbedContents" => Some(Endpoint::Embeddings(Place { batch: true, ..place })),
            _ => None,
        }
    }

    /// What the path says, if it leads to a model.
    pub(crate) fn place(&self) -> Option<&Place> {
        match self {
            Endpoint::Chat(place) | Endpoint::Embeddings(place) => Some(place),
            Endpoint::Models | Endpoint::Token | Endpoint::Nowhere => None,
        }
    }
}

/// The model named by a segment of a path.
fn model_of(segment: &str) -> Option<String> {
    percent_decode(segment).filter(|model| !model.is_empty())
}

fn has_embeddings(provider: Provider) -> bool {
    matches!(
        provider,
        Provider::OpenAi
            | Provider::Azure
            | Provider::Mistral
            | Provider::OpenRouter
            | Provider::Together
            | Provider::Fireworks
            | Provider::Ollama
            | Provider::Vllm
            | Provider::LlamaCpp
    )
}
