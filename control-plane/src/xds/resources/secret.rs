//! API keys and access tokens, by SDS. They go into Envoy's credential injector and nowhere else.

use ai_warp_core::config::{DialectName, Endpoint};
use ai_warp_core::dialect::dialect;
use envoy_types::pb::envoy::config::core::v3::{DataSource, data_source::Specifier};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{GenericSecret, Secret, secret};

use super::proto::resource;
use super::{Credential, Resource};

/// Name of the secret that holds the key of an endpoint.
pub fn secret_name(endpoint: &Endpoint) -> String {
    format!("{}/key", endpoint.cluster)
}

/// The value of the endpoint's credential header, prefix included, where that is known. Without a token it is empty, which
/// makes Envoy go on without the header.
pub(super) fn endpoint(name: DialectName, endpoint: &Endpoint, credential: &Credential) -> Option<Resource> {
    let value = match credential {
        Credential::Key(key) => format!("{}{}", dialect(name).credential().prefix, key.expose()),
        Credential::NoToken => String::new(),
        Credential::None | Credential::AwaitedToken | Credential::Signature { .. } => return None,
    };
    Some(generic(secret_name(endpoint), value))
}

/// A secret of this name and value.
pub(super) fn generic(name: String, value: String) -> Resource {
    let value = DataSource { specifier: Some(Specifier::InlineString(value)), ..Default::default() };
    let secret = Secret {
        name: name.clone(),
        r#type: Some(secret::Type::GenericSecret(GenericSecret {
            secret: Some(value),
            ..Default::default()
        })),
    };
    resource(name, &secret)
}
