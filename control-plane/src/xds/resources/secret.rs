//! API keys, by SDS. They go into Envoy's credential injector and nowhere else.

use ai_warp_core::config::{DialectName, Endpoint};
use ai_warp_core::dialect::dialect;
use envoy_types::pb::envoy::config::core::v3::{DataSource, data_source::Specifier};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{GenericSecret, Secret, secret};

use super::Resource;
use super::proto::resource;
use crate::config::SecretString;

/// Name of the secret that holds the key of an endpoint.
pub fn secret_name(endpoint: &Endpoint) -> String {
    format!("{}/key", endpoint.cluster)
}

/// The value of the endpoint's credential header, prefix included.
pub(super) fn endpoint_key(name: DialectName, endpoint: &Endpoint, key: &SecretString) -> Resource {
    let prefix = dialect(name).credential().prefix;
    let value = DataSource {
        specifier: Some(Specifier::InlineString(format!("{prefix}{}", key.expose()))),
        ..Default::default()
    };
    let name = secret_name(endpoint);
    let secret = Secret {
        name: name.clone(),
        r#type: Some(secret::Type::GenericSecret(GenericSecret {
            secret: Some(value),
            ..Default::default()
        })),
    };
    resource(name, &secret)
}
