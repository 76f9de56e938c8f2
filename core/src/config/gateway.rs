//! The compiled configuration: what the filter runs on and what Envoy's resources are built from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Auth, BaseUrl, DialectName, Price, Tracing};
use crate::chat::{Effort, Feature};

/// Everything a gateway needs to serve requests. Serialised as JSON it is the filter's configuration; it holds
/// no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gateway {
    /// The endpoints.
    pub paths: Paths,
    /// Name of the header that carries the session id, in lower case.
    pub session_header: String,
    /// Upstream APIs; [`Model::provider`] is an index into it.
    pub providers: Vec<Provider>,
    /// All models; routes name them by position.
    pub models: Vec<Model>,
    /// Chains of models with their policy. The first one serves requests that name none.
    pub routes: Vec<Route>,
    /// Name of the Envoy cluster in which an exchange waits between two attempts. Completed by the control plane, as
    /// those of the providers.
    pub waiting_cluster: String,
    /// Largest request body, in bytes.
    pub max_request_bytes: usize,
    /// Largest answer held, in bytes.
    pub max_response_bytes: usize,
    /// Tokens generated where neither model nor request says how many.
    pub default_max_tokens: Option<u32>,
    /// Longest attempt, time to first content, and gap between chunks, in milliseconds.
    pub request_timeout_ms: u64,
    /// Trying the same model again.
    pub retry: Retry,
    /// Most upstream requests of one exchange.
    pub max_attempts: u32,
    /// Longest time to a whole answer, or to the first content of a stream, over all attempts, in milliseconds.
    pub total_timeout_ms: u64,
    /// When a model is left alone.
    pub breaker: Breaker,
    /// Who may call; `None` where everybody may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// Limits of each consumer; `None` where there are none.
    pub client_limits: Option<ClientLimits>,
    /// What limits do while the control plane cannot be asked.
    pub on_unavailable: OnUnavailable,
    /// How sessions are kept; `None` where there are none.
    pub storage: Option<Storage>,
    /// Streams that survive their clients; `None` where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streams: Option<Streams>,
    /// What is written of each request.
    #[serde(default)]
    pub logging: Logging,
    /// Whether requests are traced.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_traced: bool,
    /// Where traces go; `None` where there are none. Not for the filter.
    #[serde(skip)]
    pub tracing: Option<Tracing>,
    /// Whether there is a control plane that many Envoys share. Without one an Envoy keeps its limits and breakers itself.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub shared: bool,
}

/// What is written of each request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Logging {
    /// Whether a line is.
    pub access: bool,
    /// Whether it holds prompt and answer.
    pub content: bool,
}

const fn yes() -> bool {
    true
}

fn is_yes(value: &bool) -> bool {
    *value
}

/// The paths of the unified API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Paths {
    /// `POST` here answers whole.
    pub prompt: String,
    /// `POST` here answers as a stream.
    pub stream: String,
}

/// How sessions are kept, as far as the filter must know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// Longest wait of an answer for its turn to be stored, in milliseconds.
    pub commit_timeout_ms: u64,
}

/// Streams that survive their clients, as far as the filter must know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Streams {
    /// Name of the Envoy cluster that leads to whoever keeps them. Completed by the control plane.
    pub cluster: String,
    /// Where this Envoy lets them in.
    pub port: u16,
}

/// Retries of the same model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// Retries of one model after the first attempt.
    pub max: u8,
    /// Wait before the first of them, in milliseconds; doubles with each further one.
    pub interval_ms: u64,
    /// Longest such wait, in milliseconds.
    pub max_interval_ms: u64,
}

/// When a model is left alone, and for how long at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Breaker {
    /// Failures within `window_ms` that open it.
    pub failures: u32,
    /// See there, in milliseconds.
    pub window_ms: u64,
    /// Longest rest of a model that fails again and again, in milliseconds.
    pub max_restore_ms: u64,
}

/// Rest of a model after a failure of each kind, in milliseconds. Doubles while it goes on failing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Restore {
    /// After the provider's rate limit, where it does not say how long.
    pub rate_limit_ms: u64,
    /// After a server error that retries did not help.
    pub retry_ms: u64,
    /// After a timeout.
    pub timeout_ms: u64,
    /// After a connection failed or an answer was broken.
    pub communication_ms: u64,
    /// After the provider said that a quota is used up.
    pub exceeded_ms: u64,
    /// After the provider refused the key.
    pub credential_ms: u64,
}

/// So much in each window of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limit {
    /// Requests or tokens.
    pub max: u64,
    /// Length of the window, in milliseconds.
    pub window_ms: u64,
}

/// Limits of each consumer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientLimits {
    /// The request header that tells consumers apart where [`Gateway::auth`] does not, in lower case. Those without it
    /// count as one.
    pub header: Option<String>,
    /// Requests.
    pub rate: Option<Limit>,
    /// Tokens.
    pub tokens: Option<Limit>,
}

/// What a limit does while the control plane cannot be asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum OnUnavailable {
    /// Each worker goes on with the share it had in the last window.
    #[default]
    Allow,
    /// Nothing is let through beyond what was already granted.
    Deny,
}

/// In which order a route tries its models.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Strategy {
    /// As listed.
    #[default]
    Ordered,
    /// At random, by weight.
    Weighted,
    /// Those with the fewest requests under way on this worker, per weight, first.
    LeastBusy,
}

/// A named chain of models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// Its name; that of the first one is `default`.
    pub name: String,
    /// Its models.
    pub models: Vec<RouteModel>,
    /// Their order.
    pub strategy: Strategy,
    /// Whether the least bad model is tried where all of them rest.
    pub graceful_degradation: bool,
    /// Request headers that select it, in lower case, all with the value they must have; empty where none do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// Whether a model that would have to leave out a part of the request is passed over instead.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
    /// What holds where the request says nothing.
    #[serde(default)]
    pub defaults: RouteOptions,
    /// What holds whatever the request says.
    #[serde(default)]
    pub overrides: RouteOptions,
    /// Limits in place of the general ones.
    #[serde(default)]
    pub limits: RouteLimits,
}

/// Options that a route sets.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RouteOptions {
    /// The system prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// Sampling temperature, 0 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Nucleus sampling, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Most tokens to generate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// How much to think.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<Effort>,
}

/// Validated to be no NaN, which alone differs from itself.
impl Eq for RouteOptions {}

/// Limits of a route; those that are `None` are the general ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteLimits {
    /// Most tokens that one answer may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// Most upstream requests of one exchange.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// Longest time over all attempts, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_timeout_ms: Option<u64>,
    /// Requests of all that take the route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Limit>,
    /// Tokens of all that take it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Limit>,
}

/// A model of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteModel {
    /// Index into [`Gateway::models`].
    pub model: usize,
    /// Its share, for strategies that weigh; at least 1.
    pub weight: u32,
}

/// One upstream API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Provider {
    /// Its key in the configuration.
    pub name: String,
    /// Its wire format.
    pub dialect: DialectName,
    /// Where it can be reached, each with a key of its own; at least one.
    pub endpoints: Vec<Endpoint>,
}

/// One instance of a provider: a region, an account, a replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// `provider`, or `provider/endpoint` where the provider has several.
    pub name: String,
    /// Its share of the provider's requests; at least 1.
    pub weight: u32,
    /// Name of the Envoy cluster that leads to it, for answers in one piece. The control plane adds a hash of what the
    /// cluster is made of to this name and the next two, before filter and Envoy see them.
    pub cluster: String,
    /// Name of the Envoy cluster that leads to it by way of the hop, for streams.
    pub stream_cluster: String,
    /// Name of the Envoy cluster that leads to it from the hop.
    pub hop_cluster: String,
    /// Where it is. The path of Vertex AI names project and location as well.
    pub base_url: BaseUrl,
    /// Version of Azure's API by deployment; `None` is its v1 API, as for everybody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// What it asks for before it answers. Not for the filter.
    #[serde(skip)]
    pub access: Access,
    /// Headers Envoy adds to every request. Not for the filter.
    #[serde(skip)]
    pub headers: BTreeMap<String, String>,
    /// PEM file of certificate authorities, read by Envoy. Not for the filter.
    #[serde(skip)]
    pub ca_file: Option<std::path::PathBuf>,
}

/// What an endpoint asks for before it answers, and who provides it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Access {
    /// The key of the configuration, where it has one.
    #[default]
    Key,
    /// A signature with the access keys of the configuration.
    AwsKeys {
        /// The region that is signed for.
        region: String,
    },
    /// A signature with the credentials that Envoy finds around it.
    AwsAmbient {
        /// The region that is signed for.
        region: String,
    },
    /// A token for the service account of the configuration.
    GoogleServiceAccount,
    /// A token of Google Cloud's metadata server.
    GoogleMetadata,
}

/// One model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    /// Index into [`Gateway::providers`].
    pub provider: usize,
    /// `provider:name`, as clients write it.
    pub id: String,
    /// The name at the provider.
    pub name: String,
    /// Most tokens this model may generate for one prompt.
    pub max_tokens: Option<u32>,
    /// Requests.
    pub rate: Limit,
    /// Tokens, read and generated.
    pub tokens: Option<Limit>,
    /// What it does not do, beside what its provider's dialect leaves out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unsupported: Vec<Feature>,
    /// What its tokens cost, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// Rest after failures.
    pub restore: Restore,
    /// The names under which the model's state is kept, one for each endpoint of its provider: `provider:name`, or
    /// `provider:name@endpoint` where there are several.
    pub targets: Vec<String>,
}

impl Gateway {
    /// The same for an Envoy whose listeners are not ours: nowhere could a control plane open streams there.
    #[must_use]
    pub fn without_streams(mut self) -> Self {
        self.streams = None;
        self
    }

    /// The provider of `model`.
    ///
    /// `None` only for a model of another configuration: [`compile`](super::compile) resolves every index.
    pub fn provider(&self, model: &Model) -> Option<&Provider> {
        self.providers.get(model.provider)
    }

    /// The position of the model that clients call `id` (`provider:name`).
    pub fn model_index(&self, id: &str) -> Option<usize> {
        self.models.iter().position(|model| model.id == id)
    }

    /// The position of the only model of this name, of whichever provider; `None` where there are several.
    pub fn model_by_plain_name(&self, name: &str) -> Option<usize> {
        let mut found = self.models.iter().enumerate().filter(|(_, model)| model.name == name);
        match (found.next(), found.next()) {
            (Some((index, _)), None) => Some(index),
            _ => None,
        }
    }

    /// Most upstream requests of one exchange, on any route.
    pub fn most_attempts(&self) -> u32 {
        let of_routes = self.routes.iter().filter_map(|route| route.limits.max_attempts);
        of_routes.chain([self.max_attempts]).max().unwrap_or_default()
    }

    /// Longest time for all attempts of an exchange, on any route, in milliseconds.
    pub fn longest_timeout_ms(&self) -> u64 {
        let of_routes = self.routes.iter().filter_map(|route| route.limits.total_timeout_ms);
        of_routes.chain([self.total_timeout_ms]).max().unwrap_or_default()
    }

    /// The route of this name.
    pub fn route(&self, name: &str) -> Option<&Route> {
        self.routes.iter().find(|route| route.name == name)
    }

    /// The position of the route of this name.
    pub fn route_named(&self, name: &str) -> Option<usize> {
        self.routes.iter().position(|route| route.name == name)
    }

    /// The position of the first route whose headers a request has.
    pub fn route_by_header(&self, header: impl Fn(&str) -> Option<Vec<u8>>) -> Option<usize> {
        self.routes.iter().position(|route| {
            !route.headers.is_empty()
                && route.headers.iter().all(|(name, value)| header(name).as_deref() == Some(value.as_bytes()))
        })
    }
}
