//! What Envoy adds to the requests to an endpoint, so that they are answered.

use ai_warp_core::config::{Access, Endpoint};

use crate::config::{AwsKeys, SecretString, Secrets};
use crate::tokens::{TokenSource, Tokens};

/// The credential of an endpoint.
#[derive(Debug, Clone)]
pub enum Credential {
    /// Nothing.
    None,
    /// A header with this key or token, which reaches Envoy by SDS.
    Key(SecretString),
    /// A header with a token that has not come yet: Envoy waits for it.
    AwaitedToken,
    /// A header with a token that could not be had: requests go without until there is one.
    NoToken,
    /// A signature for a region of AWS, with these keys or with what Envoy finds.
    Signature {
        /// The region.
        region: String,
        /// The keys.
        keys: Option<AwsKeys>,
    },
}

impl Credential {
    /// The credential of `endpoint`.
    pub fn of(endpoint: &Endpoint, secrets: &Secrets, tokens: &Tokens) -> Self {
        let name = &endpoint.name;
        match &endpoint.access {
            Access::Key => secrets.endpoint_keys.get(name).cloned().map_or(Self::None, Self::Key),
            // Another identity must not stand in for keys that are not there.
            Access::AwsKeys { region } => secrets.aws_keys.get(name).map_or(Self::None, |keys| {
                Self::Signature { region: region.clone(), keys: Some(keys.clone()) }
            }),
            Access::AwsAmbient { region } => Self::Signature { region: region.clone(), keys: None },
            Access::GoogleServiceAccount | Access::GoogleMetadata => {
                let Some(source) = TokenSource::of(endpoint, secrets) else { return Self::None };
                match tokens.of(&source) {
                    None => Self::AwaitedToken,
                    Some(state) => state.token.clone().map_or(Self::NoToken, Self::Key),
                }
            }
        }
    }

    /// Whether it stands in a header of its own, by SDS.
    pub(super) fn is_header(&self) -> bool {
        matches!(self, Self::Key(_) | Self::AwaitedToken | Self::NoToken)
    }
}
