//! Who calls, and whether that is enough.
//!
//! Envoy checks the signatures of tokens and asks the webhook; neither of its filters refuses anything. What they found is
//! judged here, together with API keys, so that a request is let in where any of the configured methods accepts it, is
//! refused in its client's own format, and is refused as well where one of those filters is missing.

mod token;

use uuid::Uuid;

use crate::api::Selection;
use crate::config::{Allowed, Auth, ConsumerRules, Gateway, KeyHash};
use crate::error::{ErrorCode, GatewayError};
use crate::plugin::TOKEN_HEADER;

/// Longest name of a consumer, in bytes.
pub const MAX_CONSUMER_BYTES: usize = 256;

/// How keys begin that `ai-warp keys create` makes: by it Envoy knows that the webhook need not be asked.
pub const KEY_PREFIX: &str = "aiw_";

/// The request headers that may hold nothing but an API key.
pub const KEY_HEADERS: [&str; 2] = ["x-api-key", "api-key"];

/// Longest key that is looked up, in bytes. Headers are no longer than Envoy allows, and hashing takes time.
pub const MAX_KEY_BYTES: usize = 1_024;

/// The names of consumers are made into ids below this one.
const CLIENT_NAMESPACE: Uuid = Uuid::from_u128(0x61a3_77f0_5d6c_4d09_9a51_2f0c_3e8b_74d2);

/// The id of the consumer of this name, or with this value in its header. What is shared must not tell a key.
pub fn client_id(name: &[u8]) -> Uuid {
    Uuid::new_v5(&CLIENT_NAMESPACE, name)
}

/// The headers of a request, with their names in lower case.
#[derive(Debug, Clone, Default)]
pub struct Headers(Vec<(String, Vec<u8>)>);

impl Headers {
    /// These headers.
    pub fn new(headers: Vec<(String, Vec<u8>)>) -> Self {
        Self(headers)
    }

    /// The value of the first header of this name.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
    }

    /// What is presented as an API key.
    fn keys(&self) -> impl Iterator<Item = &[u8]> {
        const SCHEME: &[u8] = b"bearer ";
        let bearer = self.get("authorization").map(|value| match value.split_at_checked(SCHEME.len()) {
            Some((scheme, key)) if scheme.eq_ignore_ascii_case(SCHEME) => key,
            _ => value,
        });
        let plain = KEY_HEADERS.into_iter().filter_map(|name| self.get(name));
        bearer.into_iter().chain(plain).map(<[u8]>::trim_ascii).filter(|key| !key.is_empty())
    }
}

/// What Envoy knows of a request beside its headers. Each is asked for only where it decides.
pub trait Evidence {
    /// Milliseconds since 1970.
    fn unix_ms(&self) -> u64;
    /// Why there is no valid token, in Envoy's words.
    fn token_refusal(&self) -> Option<String>;
    /// What came of asking the webhook; `None` where it was not asked.
    fn webhook(&self) -> Option<WebhookAnswer>;
    /// Whom the webhook has named.
    fn named_by_webhook(&self) -> Option<Vec<u8>>;
}

/// What came of asking the webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookAnswer {
    /// It answered with this HTTP status.
    Status(i64),
    /// It did not answer, or failed.
    None,
}

/// Who calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// Its name; `None` for who has none.
    pub consumer: Option<String>,
}

impl Caller {
    /// The owner of the sessions it begins; `None` for those who have no name, who share theirs.
    pub fn owner(&self) -> Option<Uuid> {
        self.consumer.as_ref().map(|name| client_id(name.as_bytes()))
    }

    /// Whose limits hold, where there are any. Those who have no name count as one.
    pub fn payer(&self, gateway: &Gateway) -> Option<Uuid> {
        let id = client_id(self.consumer.as_deref().unwrap_or_default().as_bytes());
        let is_limited = gateway.client_rate(id).is_some() || gateway.client_tokens(id).is_some();
        is_limited.then_some(id)
    }

    /// Checks that it may ask what is selected, and leaves out of a route what it may not.
    ///
    /// # Errors
    /// `FORBIDDEN` that names the model or the route.
    pub fn permit(&self, gateway: &Gateway, selection: &mut Selection) -> Result<(), GatewayError> {
        let rules = self.owner().and_then(|id| gateway.consumer(id));
        let Some(allowed) = rules.and_then(|rules| rules.allowed.as_ref()) else { return Ok(()) };
        allowed.permit(gateway, selection)
    }
}

impl Allowed {
    fn permit(&self, gateway: &Gateway, selection: &mut Selection) -> Result<(), GatewayError> {
        let forbidden = |what: &str, name: Option<&String>| {
            let name = name.map(String::as_str).unwrap_or_default();
            GatewayError::new(
                ErrorCode::Forbidden,
                format!("{what} \"{name}\" is not allowed to this consumer"),
            )
        };
        if selection.is_named {
            let other = selection.models.iter().find(|entry| !self.models.contains(&entry.model));
            let Some(other) = other else { return Ok(()) };
            return Err(forbidden("model", gateway.models.get(other.model).map(|model| &model.id)));
        }
        if self.routes.contains(&selection.route) {
            return Ok(());
        }
        selection.models.retain(|entry| self.models.contains(&entry.model));
        if selection.models.is_empty() {
            return Err(forbidden("route", gateway.routes.get(selection.route).map(|route| &route.name)));
        }
        Ok(())
    }
}

impl Gateway {
    /// The rules of the consumer with this id, where it has any of its own.
    pub fn consumer(&self, id: Uuid) -> Option<&ConsumerRules> {
        self.auth.as_ref()?.consumers.get(&id)
    }

    /// The request rate of a consumer.
    pub fn client_rate(&self, id: Uuid) -> Option<crate::config::Limit> {
        let own = self.consumer(id).and_then(|rules| rules.rate);
        own.or_else(|| self.client_limits.as_ref()?.rate)
    }

    /// The token budget of a consumer.
    pub fn client_tokens(&self, id: Uuid) -> Option<crate::config::Limit> {
        let own = self.consumer(id).and_then(|rules| rules.tokens);
        own.or_else(|| self.client_limits.as_ref()?.tokens)
    }
}

impl Auth {
    /// Who makes the request with these `headers`.
    ///
    /// # Errors
    /// `UNAUTHORIZED` where nobody may call like this, `FORBIDDEN` where the webhook says so, `AUTH_UNAVAILABLE` where it
    /// cannot be known now.
    pub fn check(&self, headers: &Headers, evidence: &impl Evidence) -> Result<Caller, GatewayError> {
        let payload = headers.get(TOKEN_HEADER);
        let by_token = self
            .jwt
            .as_ref()
            .zip(payload)
            .map(|(rules, payload)| rules.accept(payload, || evidence.unix_ms()));
        if let Some(Ok(caller)) = by_token {
            return Ok(caller);
        }
        if let Some(consumer) = self.owner_of_key(headers) {
            return Ok(Caller { consumer: Some(consumer.clone()) });
        }
        // The webhook was not asked: Envoy took the token for valid.
        if let Some(refused) = by_token {
            return refused;
        }
        match self.webhook.as_ref().and_then(|_| evidence.webhook()) {
            Some(WebhookAnswer::Status(200..=299)) => return caller_of_webhook(evidence.named_by_webhook()),
            Some(WebhookAnswer::Status(403)) => {
                return Err(GatewayError::new(ErrorCode::Forbidden, "this request is not allowed"));
            }
            Some(WebhookAnswer::None) => return Err(unavailable()),
            Some(WebhookAnswer::Status(_)) | None => {}
        }
        let refusal = self.jwt.as_ref().and_then(|_| evidence.token_refusal());
        let refusal = refusal.as_deref().map_or(TokenRefusal::Missing, TokenRefusal::of);
        let is_bare = refusal == TokenRefusal::Missing && headers.keys().next().is_none();
        match refusal {
            _ if is_bare && !self.required => Ok(Caller::default()),
            _ if is_bare => Err(unauthorized("a credential is missing")),
            TokenRefusal::Unavailable => Err(unavailable()),
            TokenRefusal::Because(text) => Err(unauthorized(text)),
            TokenRefusal::Missing => Err(unauthorized(NOT_ACCEPTED)),
        }
    }

    fn owner_of_key(&self, headers: &Headers) -> Option<&String> {
        if self.keys.is_empty() {
            return None;
        }
        let mut keys = headers.keys().filter(|key| key.len() <= MAX_KEY_BYTES);
        keys.find_map(|key| self.keys.get(&KeyHash::of(key)))
    }
}

/// What is said of a credential about which nothing better may be told.
const NOT_ACCEPTED: &str = "the credential is not accepted";

fn unauthorized(text: &str) -> GatewayError {
    GatewayError::new(ErrorCode::Unauthorized, text)
}

fn unavailable() -> GatewayError {
    GatewayError::new(ErrorCode::AuthUnavailable, "the credential cannot be checked at the moment")
}

/// Whether a consumer may have this name: 1 to [`MAX_CONSUMER_BYTES`] bytes, none of them a control character.
pub fn is_consumer_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_CONSUMER_BYTES && !name.contains(char::is_control)
}

fn caller_of_webhook(name: Option<Vec<u8>>) -> Result<Caller, GatewayError> {
    let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(Caller::default()) };
    let name = String::from_utf8(name).ok().filter(|name| is_consumer_name(name));
    // A name nobody can have must not become no name.
    name.map(|name| Caller { consumer: Some(name) }).ok_or_else(unavailable)
}

/// Why Envoy found no valid token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TokenRefusal {
    /// There is none.
    Missing,
    /// It could not be checked.
    Unavailable,
    /// It is not accepted.
    Because(&'static str),
}

impl TokenRefusal {
    /// From Envoy's words, which are those of its library for tokens.
    fn of(words: &str) -> Self {
        match words {
            "Jwt is missing" => Self::Missing,
            "Jwt is expired" => Self::Because("the token has expired"),
            "Jwt not yet valid" => Self::Because("the token is not valid yet"),
            "Audiences in Jwt are not allowed" => Self::Because("the token is for another audience"),
            words if words.contains("fetch") => Self::Unavailable,
            _ => Self::Because(NOT_ACCEPTED),
        }
    }
}

#[cfg(test)]
mod tests;
