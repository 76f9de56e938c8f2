//! The filter in its three roles.
//!
//! All roles name the same VM and the same code, which is what puts them into one VM on each worker. The attempt's
//! and hop's configurations are constant, so that a new configuration touches no cluster.

use std::time::Duration;

use ai_warp_core::config::Gateway;
use ai_warp_core::plugin::{CONTROL_PLANE_CLUSTER, PluginConfig};
use envoy_types::pb::envoy::config::core::v3::{
    AsyncDataSource, DataSource, ExtensionConfigSource, HttpUri, RemoteDataSource, TypedExtensionConfig,
    async_data_source, data_source, http_uri,
};
use envoy_types::pb::envoy::extensions::filters::http::wasm::v3::Wasm;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpFilter, http_filter,
};
use envoy_types::pb::envoy::extensions::filters::network::wasm::v3::Wasm as NetworkWasm;
use envoy_types::pb::envoy::extensions::wasm::v3::{
    FailurePolicy, PluginConfig as EnvoyPlugin, VmConfig, plugin_config,
};
use envoy_types::pb::google::protobuf::StringValue;

use super::proto::{any, duration, extension, from_ads, resource, truth};
use super::{NodeTraits, Resource};
use crate::filter_code::FilterCode;

/// Name of the gateway filter in the listener, and of its ECDS resource.
pub(crate) const GATEWAY_FILTER: &str = "ai-warp.gateway";

/// Name of the attempt filter in every provider cluster.
const ATTEMPT_FILTER: &str = "ai-warp.attempt";

/// Name of the network filter of the hop.
const HOP_FILTER: &str = "ai-warp.hop";

/// The path at which the control plane serves the code. It holds the hash, so what it names never changes.
pub(crate) fn code_path(filter: &FilterCode) -> String {
    format!("/filter/{}.wasm", filter.sha256)
}

/// Longest fetch of the code.
const FETCH_TIMEOUT: Duration = Duration::from_secs(20);

/// Where an Envoy gets the code from.
pub(super) fn code(filter: &FilterCode, node: &NodeTraits) -> VmConfig {
    let source = match &node.filter_path {
        Some(path) => async_data_source::Specifier::Local(DataSource {
            specifier: Some(data_source::Specifier::Filename(path.clone())),
            ..Default::default()
        }),
        None => async_data_source::Specifier::Remote(RemoteDataSource {
            http_uri: Some(HttpUri {
                uri: format!("http://{CONTROL_PLANE_CLUSTER}{}", code_path(filter)),
                timeout: Some(duration(FETCH_TIMEOUT)),
                http_upstream_type: Some(http_uri::HttpUpstreamType::Cluster(
                    CONTROL_PLANE_CLUSTER.to_owned(),
                )),
            }),
            sha256: filter.sha256.clone(),
            ..Default::default()
        }),
    };
    VmConfig {
        vm_id: "ai-warp".to_owned(),
        runtime: "envoy.wasm.runtime.v8".to_owned(),
        code: Some(AsyncDataSource { specifier: Some(source) }),
        // Until the code is there, what refers to it is refused, and offered again by us. Otherwise Envoy would accept
        // it, be ready, and answer every request with an error until the code has come.
        nack_on_code_cache_miss: node.filter_path.is_none(),
        ..Default::default()
    }
}

fn plugin(name: &str, config: &PluginConfig, vm: &VmConfig) -> EnvoyPlugin {
    // Plain structs have no way to fail; the filter would refuse an empty configuration.
    let json = serde_json::to_string(config).unwrap_or_default();
    EnvoyPlugin {
        name: name.to_owned(),
        root_id: name.to_owned(),
        configuration: Some(any(&StringValue { value: json })),
        failure_policy: FailurePolicy::FailReload.into(),
        allow_on_headers_stop_iteration: Some(truth(true)),
        vm: Some(plugin_config::Vm::VmConfig(vm.clone())),
        ..Default::default()
    }
}

/// The gateway filter: the resource that changes with every configuration.
pub(super) fn gateway_filter(gateway: &Gateway, vm: &VmConfig) -> Resource {
    let config = Some(plugin(GATEWAY_FILTER, &PluginConfig::Gateway(gateway.clone()), vm));
    resource(GATEWAY_FILTER, &extension(GATEWAY_FILTER, &Wasm { config }))
}

/// The gateway filter as a listener has it: by the name of that resource.
pub(super) fn gateway_from_ads() -> HttpFilter {
    HttpFilter {
        name: GATEWAY_FILTER.to_owned(),
        config_type: Some(http_filter::ConfigType::ConfigDiscovery(ExtensionConfigSource {
            config_source: Some(from_ads()),
            type_urls: vec!["type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm".to_owned()],
            ..Default::default()
        })),
        ..Default::default()
    }
}

/// The attempt filter.
pub(super) fn attempt_filter(vm: &VmConfig) -> TypedExtensionConfig {
    let config = Some(plugin(ATTEMPT_FILTER, &PluginConfig::Attempt, vm));
    extension(ATTEMPT_FILTER, &Wasm { config })
}

/// The hop's network filter.
pub(super) fn hop_filter(vm: &VmConfig) -> NetworkWasm {
    NetworkWasm { config: Some(plugin(HOP_FILTER, &PluginConfig::Hop, vm)) }
}
