//! Access tokens for Vertex AI: got before they are needed, renewed before they expire.
//!
//! Google takes no lasting key, only tokens of an hour. Where they come from is a [`TokenSource`]: the key of a service
//! account, or the metadata server of the machine. One task per source keeps its token fresh, however many endpoints use
//! it; a fresh one reaches Envoy as a changed API key does, by SDS, and no cluster changes.
//!
//! Envoy's own `gcp_authn` filter asks the metadata server as well. It is not used: it knows no service account's key, so
//! there would be two mechanisms for one header, and where it gets no token it says so in no place that people look at.
//! The price is that gateways without a control plane have their tokens until those expire, an hour at most.
//!
//! A source that fails is asked again, and the last token stays in force. Until a new source has answered for the first
//! time, well or badly, gateways are not told of endpoints that use it: their first requests would be refused for want of a
//! token, and the models would rest. Every request for a token is bounded, and so is that wait.

mod refresh;
mod request;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use ai_warp_core::config::{Access, Endpoint};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::{Env, Loaded, SecretString, Secrets, ServiceAccount};

pub use request::TokenError;
pub(crate) use request::unreachable_because;
use request::{Client, METADATA_HOST};

/// The environment variable that names another metadata server, `HOST[:PORT]`, as Google's own libraries read it.
const METADATA_HOST_VARIABLE: &str = "GCE_METADATA_HOST";

/// Where access tokens come from.
#[derive(Debug, Clone)]
pub enum TokenSource {
    /// Google's token endpoint, for the key of a service account.
    ServiceAccount(Arc<ServiceAccount>),
    /// The metadata server.
    Metadata,
}

impl TokenSource {
    /// The source of an endpoint's tokens; `None` where it needs none, or has no key to get any with.
    pub fn of(endpoint: &Endpoint, secrets: &Secrets) -> Option<Self> {
        match &endpoint.access {
            Access::GoogleServiceAccount => {
                secrets.service_accounts.get(&endpoint.name).cloned().map(Self::ServiceAccount)
            }
            Access::GoogleMetadata => Some(Self::Metadata),
            Access::Key | Access::AwsKeys { .. } | Access::AwsAmbient { .. } => None,
        }
    }

    /// The same for the same source.
    fn id(&self) -> &str {
        match self {
            Self::ServiceAccount(account) => account.id(),
            Self::Metadata => "metadata",
        }
    }
}

/// What is known of one source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenState {
    /// The last token it gave.
    pub token: Option<SecretString>,
    /// Why there is no newer one.
    pub failure: Option<String>,
}

/// The state of every source that has answered, well or badly.
#[derive(Debug, Clone, Default)]
pub struct Tokens(BTreeMap<String, TokenState>);

impl Tokens {
    /// What is known of `source`; `None` before it has answered for the first time.
    pub fn of(&self, source: &TokenSource) -> Option<&TokenState> {
        self.0.get(source.id())
    }

    /// What is wrong with the tokens of `loaded`, for people.
    pub fn problems(&self, loaded: &Loaded) -> Vec<String> {
        let endpoints = loaded.gateway.providers.iter().flat_map(|provider| &provider.endpoints);
        let problem = |endpoint: &Endpoint| {
            let state = self.of(&TokenSource::of(endpoint, &loaded.secrets)?)?;
            let failure = state.failure.as_ref()?;
            let what =
                if state.token.is_some() { "the access token is not renewed" } else { "no access token" };
            Some(format!("{}: {what}: {failure}", endpoint.name))
        };
        endpoints.filter_map(problem).collect()
    }

    /// With one source that has said this.
    #[cfg(test)]
    pub(crate) fn with(source: &TokenSource, state: TokenState) -> Self {
        Self(BTreeMap::from([(source.id().to_owned(), state)]))
    }
}

/// The sources of a configuration being kept. Dropping it ends that.
#[derive(Debug)]
pub struct TokenWatch {
    /// The tokens in force.
    pub tokens: watch::Receiver<Arc<Tokens>>,
    task: JoinHandle<()>,
}

impl Drop for TokenWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Keeps the tokens that `config` needs, as it changes. Needs a Tokio runtime.
pub fn watch(config: watch::Receiver<Arc<Loaded>>, env: &Env) -> TokenWatch {
    let host = env(METADATA_HOST_VARIABLE).filter(|host| !host.trim().is_empty());
    let client = Client::new(host.as_deref().unwrap_or(METADATA_HOST).trim());
    let (sender, tokens) = watch::channel(Arc::default());
    let task = tokio::spawn(keep_all(config, client, sender));
    TokenWatch { tokens, task }
}

/// Has one task for each source that the configuration in force names.
async fn keep_all(
    mut config: watch::Receiver<Arc<Loaded>>,
    client: Client,
    sender: watch::Sender<Arc<Tokens>>,
) {
    let mut kept: BTreeMap<String, Kept> = BTreeMap::new();
    loop {
        let wanted = sources(&config.borrow_and_update());
        kept.retain(|id, _| wanted.contains_key(id));
        if sender.borrow().0.keys().any(|id| !wanted.contains_key(id)) {
            sender.send_modify(|tokens| Arc::make_mut(tokens).0.retain(|id, _| wanted.contains_key(id)));
        }
        for (id, source) in wanted {
            kept.entry(id).or_insert_with_key(|id| {
                let (id, client, sender) = (id.clone(), client.clone(), sender.clone());
                let publish = move |state: &TokenState| {
                    sender.send_modify(|tokens| {
                        _ = Arc::make_mut(tokens).0.insert(id.clone(), state.clone());
                    });
                };
                let fetch = move || {
                    let (client, source) = (client.clone(), source.clone());
                    async move { client.token(&source).await }
                };
                Kept(tokio::spawn(refresh::keep(fetch, publish)))
            });
        }
        if config.changed().await.is_err() {
            return;
        }
    }
}

/// The sources of a configuration, each once.
fn sources(loaded: &Loaded) -> BTreeMap<String, TokenSource> {
    let endpoints = loaded.gateway.providers.iter().flat_map(|provider| &provider.endpoints);
    let sources = endpoints.filter_map(|endpoint| TokenSource::of(endpoint, &loaded.secrets));
    sources.map(|source| (source.id().to_owned(), source)).collect()
}

/// A source being kept; dropped when nobody needs it any more.
struct Kept(JoinHandle<()>);

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.abort();
    }
}
