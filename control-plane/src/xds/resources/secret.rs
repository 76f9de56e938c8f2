//! API keys, by SDS. They go into Envoy's credential injector and nowhere else.

use ai_warp_core::config::Provider;
use ai_warp_core::dialect::dialect;
use envoy_types::pb::envoy::config::core::v3::{DataSource, data_source::Specifier};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{GenericSecret, Secret, secret};

use super::Resource;
use super::proto::resource;
use crate::config::SecretString;

/// Name of the secret that holds the key of a provider.
pub fn secret_name(provider: &Provider) -> String {
    format!("{}/key", provider.cluster)
}

/// The value of the provider's credential header, prefix included.
pub(super) fn provider_key(provider: &Provider, key: &SecretString) -> Resource {
    let prefix = dialect(provider.dialect).credential().prefix;
    let value = DataSource {
        specifier: Some(Specifier::InlineString(format!("{prefix}{}", key.expose()))),
        ..Default::default()
    };
    let name = secret_name(provider);
    let secret = Secret {
        name: name.clone(),
        r#type: Some(secret::Type::GenericSecret(GenericSecret {
            secret: Some(value),
            ..Default::default()
        })),
    };
    resource(name, &secret)
}
