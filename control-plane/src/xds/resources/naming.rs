//! Names of clusters, made of what they are.
//!
//! Envoy updates a cluster in place, while requests planned with the old configuration are still on their way to it. So a
//! cluster is never updated: whatever would change it changes its name, and with it the names that the filter's own
//! configuration uses. That configuration is pushed last, so each request finds clusters, keys and code that belong
//! together; clusters without a configuration stay for a while ([`retired`](crate::xds::retired)).

use std::hash::{DefaultHasher, Hash, Hasher};

use ai_warp_core::config::{DialectName, Endpoint, Gateway};

use crate::filter_code::FilterCode;

/// `gateway` with every cluster named for what it is made of.
pub(crate) fn by_content(gateway: &Gateway, filter: &FilterCode) -> Gateway {
    let mut gateway = gateway.clone();
    let mut common = DefaultHasher::new();
    super::buffer_limit(&gateway).hash(&mut common);
    filter.sha256.hash(&mut common);
    gateway.waiting_cluster.push_str(&mark(&common));
    if let Some(streams) = &mut gateway.streams {
        streams.cluster.push_str(&mark(&common));
    }
    if let Some(tracing) = &mut gateway.tracing {
        let mut hasher = DefaultHasher::new();
        tracing.endpoint.to_string().hash(&mut hasher);
        tracing.protocol.hash(&mut hasher);
        tracing.cluster.push_str(&mark(&hasher));
    }
    for provider in &mut gateway.providers {
        for endpoint in &mut provider.endpoints {
            let mut hasher = common.clone();
            hash(endpoint, provider.dialect, &mut hasher);
            let mark = mark(&hasher);
            for name in [&mut endpoint.cluster, &mut endpoint.stream_cluster, &mut endpoint.hop_cluster] {
                name.push_str(&mark);
            }
        }
    }
    gateway
}

/// Hashes all that makes the clusters of one endpoint alone, except its keys: these travel by themselves.
fn hash(endpoint: &Endpoint, dialect: DialectName, hasher: &mut DefaultHasher) {
    // The name as well: the endpoint `stream` of a provider has a cluster where the provider by itself had another.
    let Endpoint {
        name,
        base_url,
        headers,
        ca_file,
        access,
        api_version: _,
        weight: _,
        cluster: _,
        stream_cluster: _,
        hop_cluster: _,
    } = endpoint;
    name.hash(hasher);
    (dialect as u8).hash(hasher);
    base_url.to_string().hash(hasher);
    headers.hash(hasher);
    ca_file.hash(hasher);
    access.hash(hasher);
}

fn mark(hasher: &DefaultHasher) -> String {
    format!("@{:08x}", hasher.finish() as u32)
}
