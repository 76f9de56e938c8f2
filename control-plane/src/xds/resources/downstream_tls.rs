//! TLS on the gateway's listener. Certificate and key come by SDS: they stand in no dump of the configuration, and a new one
//! is in force without a new listener.

use envoy_types::pb::envoy::config::core::v3::{
    DataSource, TransportSocket, data_source::Specifier, transport_socket,
};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, CommonTlsContext, DownstreamTlsContext, SdsSecretConfig, Secret,
    TlsCertificate, common_tls_context, secret,
};

use super::Resource;
use super::proto::{any, from_ads, resource, truth};
use crate::config::TlsIdentity;

/// Name of the secret with the certificate and its key.
pub(crate) const CERTIFICATE: &str = "gateway/certificate";

/// Name of the secret with the authorities of client certificates.
pub(crate) const CLIENT_CA: &str = "gateway/client-ca";

/// What clients may agree on.
const PROTOCOLS: [&str; 2] = ["h2", "http/1.1"];

/// The transport of the listener's connections.
pub(super) fn transport(identity: &TlsIdentity) -> TransportSocket {
    let from = |name: &str| SdsSecretConfig { name: name.to_owned(), sds_config: Some(from_ads()) };
    let authorities =
        common_tls_context::ValidationContextType::ValidationContextSdsSecretConfig(from(CLIENT_CA));
    let is_mutual = identity.client_ca.is_some();
    let context = DownstreamTlsContext {
        common_tls_context: Some(CommonTlsContext {
            tls_certificate_sds_secret_configs: vec![from(CERTIFICATE)],
            validation_context_type: is_mutual.then_some(authorities),
            alpn_protocols: PROTOCOLS.map(str::to_owned).to_vec(),
            ..Default::default()
        }),
        require_client_certificate: is_mutual.then(|| truth(true)),
        ..Default::default()
    };
    TransportSocket {
        name: "envoy.transport_sockets.tls".to_owned(),
        config_type: Some(transport_socket::ConfigType::TypedConfig(any(&context))),
    }
}

/// The secrets it refers to.
pub(super) fn secrets(identity: &TlsIdentity) -> Vec<Resource> {
    let inline = |text: &str| {
        Some(DataSource { specifier: Some(Specifier::InlineString(text.to_owned())), ..Default::default() })
    };
    let named = |name: &str, r#type| resource(name, &Secret { name: name.to_owned(), r#type: Some(r#type) });
    let certificate = TlsCertificate {
        certificate_chain: inline(&identity.certificate),
        private_key: inline(identity.private_key.expose()),
        ..Default::default()
    };
    let mut secrets = vec![named(CERTIFICATE, secret::Type::TlsCertificate(certificate))];
    if let Some(authorities) = &identity.client_ca {
        let context = CertificateValidationContext { trusted_ca: inline(authorities), ..Default::default() };
        secrets.push(named(CLIENT_CA, secret::Type::ValidationContext(context)));
    }
    secrets
}
