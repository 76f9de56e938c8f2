//! Names of clusters, made of what they are.
//!
//! Envoy updates a cluster in place, while requests planned with the old configuration are still on their way to it. So a
//! cluster is never updated: whatever would change it changes its name, and with it the names that the filter's own
//! configuration uses. That configuration is pushed last, so each request finds clusters, keys and code that belong
//! together; clusters without a configuration stay for a while ([`retired`](crate::xds::retired)).

use std::hash::{DefaultHasher, Hash, Hasher};

use ai_warp_core::config::{Gateway, Provider};

use crate::filter_code::FilterCode;

/// `gateway` with every cluster named for what it is made of.
pub(in crate::xds) fn by_content(gateway: &Gateway, filter: &FilterCode) -> Gateway {
    let mut gateway = gateway.clone();
    let buffer = super::buffer_limit(&gateway);
    for provider in &mut gateway.providers {
        let mark = mark(provider, buffer, filter);
        for name in [&mut provider.cluster, &mut provider.stream_cluster, &mut provider.hop_cluster] {
            name.push_str(&mark);
        }
    }
    gateway
}

/// Hash of all that makes a provider's clusters, except its key: a key changes by SDS.
fn mark(provider: &Provider, buffer: u32, filter: &FilterCode) -> String {
    let Provider {
        name: _,
        cluster: _,
        stream_cluster: _,
        hop_cluster: _,
        dialect,
        base_url,
        headers,
        ca_file,
    } = provider;
    let mut hasher = DefaultHasher::new();
    (*dialect as u8).hash(&mut hasher);
    base_url.to_string().hash(&mut hasher);
    headers.hash(&mut hasher);
    ca_file.hash(&mut hasher);
    buffer.hash(&mut hasher);
    filter.sha256.hash(&mut hasher);
    format!("@{:08x}", hasher.finish() as u32)
}
