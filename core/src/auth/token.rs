//! What a token whose signature is valid says.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::{Caller, NOT_ACCEPTED, is_consumer_name, unauthorized};
use crate::config::JwtRules;
use crate::error::GatewayError;

impl JwtRules {
    /// Who bears the token with this payload, in base64url, as Envoy hands it on once it has checked the signature, the
    /// times and the audience.
    pub(super) fn accept(
        &self,
        payload: &[u8],
        unix_ms: impl FnOnce() -> u64,
    ) -> Result<Caller, GatewayError> {
        let json = URL_SAFE_NO_PAD.decode(payload).ok();
        let claims: Option<Map<String, Value>> = json.and_then(|json| serde_json::from_slice(&json).ok());
        let claims = claims.ok_or_else(|| unauthorized(NOT_ACCEPTED))?;
        let is_known = |issuer: &str| self.issuers.iter().any(|known| known == issuer);
        if !self.issuers.is_empty() && !claims.get("iss").and_then(Value::as_str).is_some_and(is_known) {
            return Err(unauthorized("the token is of an issuer that is not accepted"));
        }
        if let Some(missing) = self.required_claims.iter().find(|name| !claims.contains_key(*name)) {
            return Err(unauthorized(&format!("the token lacks the claim \"{missing}\"")));
        }
        if let Some(max_age_ms) = self.max_age_ms {
            let issued_ms = claims.get("iat").and_then(Value::as_f64).map(|secs| secs * 1_000.0);
            // What is not a number is too old as well.
            let is_young =
                issued_ms.is_some_and(|issued_ms| unix_ms() as f64 - issued_ms <= max_age_ms as f64);
            if !is_young {
                return Err(unauthorized("the token is too old"));
            }
        }
        let consumer = match claims.get(&self.consumer_claim) {
            Some(Value::String(name)) => Some(name.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        match consumer.filter(|name| !name.is_empty()) {
            None if self.names_consumer => {
                let text = format!("the token names no consumer in its claim \"{}\"", self.consumer_claim);
                Err(unauthorized(&text))
            }
            Some(name) if !is_consumer_name(&name) => Err(unauthorized(NOT_ACCEPTED)),
            consumer => Ok(Caller { consumer }),
        }
    }
}
