//! The compiled configuration: what the filter runs on and what Envoy's resources are built from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{BaseUrl, DialectName};

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
    /// Models in the order in which they are tried.
    pub models: Vec<Model>,
    /// Largest request body, in bytes.
    pub max_request_bytes: usize,
    /// Largest answer held, in bytes.
    pub max_response_bytes: usize,
    /// Tokens generated where neither model nor request says how many.
    pub default_max_tokens: Option<u32>,
    /// Longest attempt, time to first content, and gap between chunks, in milliseconds.
    pub request_timeout_ms: u64,
    /// Retries of one model after the first attempt.
    pub retry_max: u8,
    /// Wait before such a retry, in milliseconds.
    pub retry_interval_ms: u64,
    /// How sessions are kept; `None` where there are none.
    pub storage: Option<Storage>,
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

/// One upstream API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Provider {
    /// Its key in the configuration.
    pub name: String,
    /// Name of the Envoy cluster that leads to it, for answers in one piece. The control plane adds a hash of what the
    /// cluster is made of to this name and the next two, before filter and Envoy see them.
    pub cluster: String,
    /// Name of the Envoy cluster that leads to it by way of the hop, for streams.
    pub stream_cluster: String,
    /// Name of the Envoy cluster that leads to it from the hop.
    pub hop_cluster: String,
    /// Its wire format.
    pub dialect: DialectName,
    /// Where it is.
    pub base_url: BaseUrl,
    /// Headers Envoy adds to every request. Not for the filter.
    #[serde(skip)]
    pub headers: BTreeMap<String, String>,
    /// PEM file of certificate authorities, read by Envoy. Not for the filter.
    #[serde(skip)]
    pub ca_file: Option<std::path::PathBuf>,
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
}

impl Gateway {
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
}
