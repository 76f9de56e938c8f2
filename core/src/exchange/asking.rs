//! The way there: what an attempt sends.

use std::rc::Rc;

use super::{Exchange, Phase};
use crate::api::Source;
use crate::chat::Collector;
use crate::config::{Endpoint, Model};
use crate::dialect::{Call, Dialect, EmbedCall, Prepared, dialect, prepare};
use crate::error::{ErrorCode, GatewayError};
use crate::failure::Failure;
use crate::task::Task;

/// What an attempt sends.
pub struct Attempt {
    /// How to read the answer.
    pub dialect: &'static dyn Dialect,
    /// `:scheme`.
    pub scheme: &'static str,
    /// `:authority`.
    pub authority: String,
    /// `:path`.
    pub path: String,
    /// Headers of the dialect.
    pub headers: Vec<(&'static str, String)>,
    /// Where the hop goes on to; `None` for an attempt that does not take it.
    pub hop_cluster: Option<String>,
    /// The JSON body.
    pub body: Vec<u8>,
}

/// A request in a provider's words.
struct Written {
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// The fields that were left out, by commas.
    dropped: String,
}

impl Exchange {
    /// Begins the attempt that was chosen, in `cluster`.
    ///
    /// # Errors
    /// The error to answer with where this is not the cluster to be in.
    pub fn begin_attempt(&mut self, cluster: &str, now_ms: u64) -> Result<Attempt, GatewayError> {
        if let Phase::Failed(error) = &self.phase {
            return Err(error.clone());
        }
        let gateway = Rc::clone(&self.gateway);
        let planned = self.plan.current().and_then(|choice| {
            let model = gateway.models.get(choice.model)?;
            let provider = gateway.provider(model)?;
            Some((choice, model, provider, provider.endpoints.get(choice.endpoint)?))
        });
        let Some((choice, model, provider, endpoint)) = planned.filter(|_| self.cluster() == cluster) else {
            let message = format!("the request came to {cluster}, which is not where it was sent");
            return Err(GatewayError::new(ErrorCode::ProviderNoModelsAvailableError, message));
        };
        let dialect = dialect(provider.dialect);
        let written =
            self.write(model, endpoint, dialect).map_err(|failure| failure.into_error(&model.id))?;
        self.source = match self.task.native() {
            Some(native) if native.wire() != dialect.wire() => Source::Foreign,
            Some(_) if dialect.is_exact() => Source::Native,
            Some(_) => Source::NearlyNative,
            None => Source::Foreign,
        };
        if let Some(conversation) = self.task.conversation_mut() {
            conversation.reply.restart();
        }
        self.dropped = written.dropped;
        self.said = Collector::default();
        self.said_len = 0;
        self.usage = None;
        self.attempts += 1;
        self.journal.begin(choice.model, choice.endpoint, now_ms);
        self.phase = Phase::Trying { started_ms: now_ms, has_headers: false };
        Ok(Attempt {
            dialect,
            scheme: if endpoint.base_url.tls { "https" } else { "http" },
            authority: endpoint.base_url.authority(),
            path: written.path,
            headers: written.headers,
            hop_cluster: self.is_stream().then(|| endpoint.hop_cluster.clone()),
            body: written.body,
        })
    }

    fn write(&self, model: &Model, endpoint: &Endpoint, dialect: &dyn Dialect) -> Result<Written, Failure> {
        let Prepared { options, dropped } = self.prepare(model, dialect)?;
        let base_path = &endpoint.base_url.path;
        let (path, headers, body) = match &self.task {
            Task::Chat(conversation) => {
                let call = Call {
                    model: &model.name,
                    chat: &conversation.chat,
                    options: &options,
                    max_tokens: self.max_tokens(model),
                    stream: conversation.stream,
                    api_version: endpoint.api_version.as_deref(),
                };
                (dialect.path(base_path, &call), dialect.headers(&call), dialect.request_body(&call))
            }
            Task::Embed(embedding) => {
                let call = EmbedCall {
                    model: &model.name,
                    embedding,
                    options: &options,
                    api_version: endpoint.api_version.as_deref(),
                };
                let embedder = dialect.embedder().ok_or_else(Failure::no_embeddings)?;
                (embedder.path(base_path, &call), Vec::new(), embedder.request_body(&call))
            }
        };
        Ok(Written { path, headers, body, dropped: dropped.join(", ") })
    }

    /// What the attempt under way does, of which provider, by OpenTelemetry's words, and with which model.
    pub fn asked(&self) -> Option<(&'static str, &'static str, &str)> {
        let operation = if self.task.conversation().is_some() { "chat" } else { "embeddings" };
        Some((operation, self.provider()?.dialect.provider_attribute(), self.model()?.name.as_str()))
    }

    /// What would be sent to `model`.
    pub(super) fn prepare(&self, model: &Model, dialect: &dyn Dialect) -> Result<Prepared<'_>, Failure> {
        let is_strict = self.policy().is_some_and(|route| route.strict);
        prepare(&self.task, &self.features, dialect, model, is_strict)
    }

    /// Most tokens that `model` may generate.
    pub(super) fn max_tokens(&self, model: &Model) -> Option<u32> {
        let of_route = self.policy().and_then(|route| route.limits.max_tokens);
        let requested = self.task.options().max_tokens;
        effective_max_tokens(least(model.max_tokens, of_route), requested, self.gateway.default_max_tokens)
    }
}

/// The smaller of two limits.
fn least(one: Option<u32>, other: Option<u32>) -> Option<u32> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// The model's own limit caps what the request asks for; the global default stands in where neither speaks.
fn effective_max_tokens(model: Option<u32>, request: Option<u32>, default: Option<u32>) -> Option<u32> {
    match (model, request) {
        (Some(model), Some(request)) => Some(model.min(request)),
        (Some(limit), None) | (None, Some(limit)) => Some(limit),
        (None, None) => default,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_limits_take_the_smaller_of_model_and_request() {
        for (model, request, default, expected) in [
            (Some(5), Some(9), Some(50), Some(5)),
            (Some(9), Some(5), None, Some(5)),
            (Some(5), None, Some(50), Some(5)),
            (None, Some(9), Some(5), Some(9)),
            (None, None, Some(50), Some(50)),
            (None, None, None, None),
        ] {
            assert_eq!(effective_max_tokens(model, request, default), expected);
        }
    }
}
