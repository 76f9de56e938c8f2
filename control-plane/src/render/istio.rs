//! EnvoyFilters: the parts of the fragment, for a gateway or the sidecars of Istio.
//!
//! Istio's own words for what is outside of the mesh do not fit what is needed here: the clusters have filters inside, of which
//! neither a ServiceEntry nor a DestinationRule can speak. ServiceEntries tell the mesh of the providers all the same.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::fragment::Fragment;
use super::{Context, Document, Parts, RenderError};

/// Whose configuration an EnvoyFilter of ours changes, in Istio's words.
const fn patch_context(context: Context) -> &'static str {
    match context {
        Context::Gateway => "GATEWAY",
        Context::Sidecar => "SIDECAR_OUTBOUND",
    }
}

pub(super) fn documents(parts: &Parts<'_>) -> Result<Vec<Document>, RenderError> {
    let options = parts.options;
    let host = options.virtual_host.as_ref().ok_or(RenderError::Missing(
        "--virtual-host: the virtual host that gets the routes, as Envoy calls it, such as ai.example.com:80",
    ))?;
    if options.workload.is_empty() {
        return Err(RenderError::Missing(
            "--workload-selector: the label of the gateway or the sidecars, such as istio=ingressgateway",
        ));
    }
    let mut documents = vec![envoy_filter(parts, host)?];
    documents.extend(service_entry(parts));
    Ok(documents)
}

fn envoy_filter(parts: &Parts<'_>, host: &str) -> Result<Document, RenderError> {
    let options = parts.options;
    let context = patch_context(options.context);
    let Fragment { filters, routes, largest_direct_response, buffer_limit } = Fragment::of(parts)?;
    let patch = |apply_to: &str, r#match: Value, operation: &str, value: Value| {
        let mut r#match = r#match;
        if let Some(r#match) = r#match.as_object_mut() {
            r#match.insert("context".to_owned(), context.into());
        }
        json!({"applyTo": apply_to, "match": r#match, "patch": {"operation": operation, "value": value}})
    };
    let router = json!({"listener": {"filterChain": {"filter": {
        "name": "envoy.filters.network.http_connection_manager",
        "subFilter": {"name": "envoy.filters.http.router"},
    }}}});
    let at_host = json!({"routeConfiguration": {"vhost": {"name": host}}});

    let mut patches: Vec<Value> =
        parts.clusters().into_iter().map(|cluster| patch("CLUSTER", json!({}), "ADD", cluster)).collect();
    // Read by proxies that start: labels of metrics, and what is shown to the control plane.
    let mut bootstrap = json!({"stats_config": parts.bootstrap.get("stats_config")});
    if let (Some(fields), Some(secrets)) = (bootstrap.as_object_mut(), parts.bootstrap_secrets()) {
        fields.insert("static_resources".to_owned(), json!({"secrets": secrets}));
    }
    patches.push(patch("BOOTSTRAP", json!({}), "MERGE", bootstrap));
    let own = json!({"per_connection_buffer_limit_bytes": buffer_limit});
    patches.push(patch("LISTENER", listener_of(options.context, host), "MERGE", own));
    patches.extend(
        parts.settled.others.iter().map(|listener| patch("LISTENER", json!({}), "ADD", listener.clone())),
    );
    patches.extend(
        filters.into_iter().map(|filter| patch("HTTP_FILTER", router.clone(), "INSERT_BEFORE", filter)),
    );
    let largest = json!({"max_direct_response_body_size_bytes": largest_direct_response});
    patches.push(patch("ROUTE_CONFIGURATION", at_host.clone(), "MERGE", largest));
    // Each comes before those that were there, so the last goes first.
    patches.extend(
        routes.into_iter().rev().map(|route| patch("HTTP_ROUTE", at_host.clone(), "INSERT_FIRST", route)),
    );

    let labels: serde_json::Map<String, Value> =
        options.workload.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect();
    let value = json!({
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": {"name": options.name, "namespace": options.namespace},
        "spec": {"workloadSelector": {"labels": labels}, "configPatches": patches},
    });
    let comment = format!(
        "AI Warp in a proxy of Istio. Written by `ai-warp render --target istio`.\n\
         It needs an Istio whose proxies are Envoy 1.39 or newer: `istioctl proxy-config bootstrap POD` tells.\n\
         {}\n{}\n\
         The virtual host {host:?} must be there, from a VirtualService or an HTTPRoute of this host.\n\
         For metrics, add `wasmcustom` to `proxyStatsMatcher.inclusionPrefixes` of the proxy's configuration.",
        super::needs(parts),
        super::secret_for_kubernetes(parts),
    );
    Ok(Document { name: "envoy-filter".to_owned(), comment, value })
}

/// The listeners that serve `host`. A gateway has few, and not always on the port it is known by; a sidecar has one for each
/// port of the mesh, of which the others are not ours to change.
fn listener_of(context: Context, host: &str) -> Value {
    let port = host.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    match (context, port) {
        (Context::Sidecar, Some(port)) => json!({"listener": {"portNumber": port}}),
        (Context::Sidecar, None) | (Context::Gateway, _) => json!({}),
    }
}

/// The hosts that the clusters lead to, for the mesh's registry.
fn service_entry(parts: &Parts<'_>) -> Option<Document> {
    let options = parts.options;
    let places: BTreeSet<(String, u64, bool)> =
        parts.settled.clusters.iter().filter_map(provider_of).collect();
    let hosts: BTreeSet<&str> = places.iter().map(|(host, ..)| host.as_str()).collect();
    if hosts.is_empty() {
        return None;
    }
    let mut ports: BTreeSet<(u64, bool)> = BTreeSet::new();
    ports.extend(places.iter().map(|(_, port, tls)| (*port, *tls)));
    let port = |(port, tls): (u64, bool)| {
        let protocol = if tls { "TLS" } else { "HTTP" };
        json!({"number": port, "name": format!("{}-{port}", protocol.to_ascii_lowercase()), "protocol": protocol})
    };
    let ports: Vec<Value> = ports.into_iter().map(port).collect();
    let value = json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": options.name, "namespace": options.namespace},
        "spec": {
            "hosts": hosts,
            "ports": ports,
            "location": "MESH_EXTERNAL",
            "resolution": "DNS",
            "exportTo": ["."],
        },
    });
    let comment = "The providers, for the mesh's registry. The proxy reaches them by clusters of its own.";
    Some(Document { name: "service-entry".to_owned(), comment: comment.to_owned(), value })
}

/// The name and port that a cluster looks up, and whether it speaks TLS; `None` for clusters of addresses.
fn provider_of(cluster: &Value) -> Option<(String, u64, bool)> {
    cluster.get("cluster_type")?;
    let place = "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address";
    let address = cluster.pointer(place)?;
    let host = address.get("address")?.as_str()?.to_owned();
    Some((host, address.get("port_value")?.as_u64()?, cluster.get("transport_socket").is_some()))
}
