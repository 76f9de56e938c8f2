//! An EnvoyPatchPolicy: the parts of the fragment, for a Gateway of Envoy Gateway, and an EnvoyProxy that has what they need.
//!
//! An EnvoyExtensionPolicy could add the gateway's filter to a route, and a Backend with a BackendTLSPolicy could name a
//! provider. Neither can put the attempt's filter, the key and the retries into a cluster, so both would be half of it.

use serde_json::{Value, json};

use super::fragment::Fragment;
use super::{Document, Parts, RenderError};

/// Version of Envoy Gateway's resources.
const API: &str = "gateway.envoyproxy.io/v1alpha1";

/// Where the connection managers of an HTTP listener are, wherever it has them.
const ROUTER: &str = "$..http_filters[?(@.name=='envoy.filters.http.router')]";

/// The volume in which it is handed over, and where that is while it is copied.
const FILTER_VOLUME: &str = "ai-warp-filter";
const FILTER_FOLDER: &str = "/ai-warp";

/// Where the image of the control plane has the filter.
const FILTER_IN_IMAGE: &str = "/usr/share/ai-warp/filter.wasm";

pub(super) fn documents(parts: &Parts<'_>) -> Result<Vec<Document>, RenderError> {
    let (gateway, listener) = parts
        .options
        .gateway
        .as_deref()
        .and_then(|name| name.split_once('/'))
        .ok_or(RenderError::Missing("--gateway: the Gateway and its listener, such as eg/http"))?;
    Ok(vec![envoy_proxy(parts), patch_policy(parts, gateway, listener)?])
}

fn patch_policy(parts: &Parts<'_>, gateway: &str, listener: &str) -> Result<Document, RenderError> {
    let options = parts.options;
    // What Envoy Gateway calls the listener and its routes.
    let name = format!("{}/{gateway}/{listener}", options.namespace);
    let Fragment { filters, routes, largest_direct_response, buffer_limit } = Fragment::of(parts)?;
    let host = match &options.virtual_host {
        Some(host) => format!("$.virtual_hosts[?(@.name=='{host}')]"),
        None => "$.virtual_hosts[0]".to_owned(),
    };
    let patch = |kind: &str, name: &str, operation: Value| json!({"type": format!("type.googleapis.com/envoy.config.{kind}"), "name": name, "operation": operation});
    let add = |path: &str, value: Value| json!({"op": "add", "path": path, "value": value});
    let add_at = |place: &str, path: &str, value: Value| json!({"op": "add", "jsonPath": place, "path": path, "value": value});
    let (of_clusters, of_listeners, of_routes) =
        ("cluster.v3.Cluster", "listener.v3.Listener", "route.v3.RouteConfiguration");
    let named = |value: &Value| value.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();

    let whole = |kind: &str, value: &Value| patch(kind, &named(value), add("", value.clone()));
    let mut patches: Vec<Value> =
        parts.clusters().iter().map(|cluster| whole(of_clusters, cluster)).collect();
    patches.extend(parts.settled.others.iter().map(|listener| whole(of_listeners, listener)));
    patches.push(patch(of_listeners, &name, add("/per_connection_buffer_limit_bytes", buffer_limit)));
    // To add at the place of an item is to add before it.
    patches.extend(filters.into_iter().map(|filter| {
        json!({
            "type": format!("type.googleapis.com/envoy.config.{of_listeners}"),
            "name": name,
            "operation": {"op": "add", "jsonPath": ROUTER, "value": filter},
        })
    }));
    patches.push(patch(
        of_routes,
        &name,
        add("/max_direct_response_body_size_bytes", largest_direct_response),
    ));
    // Each comes before those that were there, so the last goes first.
    patches.extend(
        routes.into_iter().rev().map(|route| patch(of_routes, &name, add_at(&host, "/routes/0", route))),
    );
    let value = json!({
        "apiVersion": API,
        "kind": "EnvoyPatchPolicy",
        "metadata": {"name": options.name, "namespace": options.namespace},
        "spec": {
            "targetRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": gateway},
            "type": "JSONPatch",
            "jsonPatches": patches,
        },
    });
    let comment = format!(
        "The Gateway must have a route for the host, or there is no virtual host to patch.\n\
         In the configuration of Envoy Gateway: `extensionApis.enableEnvoyPatchPolicy: true`.\n{}",
        super::needs(parts)
    );
    Ok(Document { name: "envoy-patch-policy".to_owned(), comment, value })
}

/// What the Envoys of the Gateway need on their disks and in their bootstrap.
fn envoy_proxy(parts: &Parts<'_>) -> Document {
    let options = parts.options;
    let secret = super::secret_name(parts);
    let file = options.filter.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut volumes = vec![json!({"name": FILTER_VOLUME, "emptyDir": {}})];
    // The file alone, for its folder may hold other mounts.
    let filter =
        json!({"name": FILTER_VOLUME, "mountPath": options.filter, "subPath": file, "readOnly": true});
    let mut mounts = vec![filter];
    if parts.files.iter().next().is_some() {
        volumes.push(json!({"name": "ai-warp-secrets", "secret": {"secretName": secret}}));
        mounts.push(json!({
            "name": "ai-warp-secrets",
            "mountPath": options.secrets_dir,
            "readOnly": true,
        }));
    }
    let added = ["bootstrap_extensions", "stats_config"];
    let mut bootstrap: Vec<Value> = added
        .iter()
        .map(|name| json!({"op": "add", "path": format!("/{name}"), "value": parts.bootstrap.get(*name)}))
        .collect();
    bootstrap.extend(
        parts
            .bootstrap_secrets()
            .map(|secrets| json!({"op": "add", "path": "/static_resources/secrets", "value": secrets})),
    );
    let value = json!({
        "apiVersion": API,
        "kind": "EnvoyProxy",
        "metadata": {"name": options.name, "namespace": options.namespace},
        "spec": {
            "bootstrap": {
                "type": "JSONPatch",
                "jsonPatches": bootstrap,
            },
            "provider": {"type": "Kubernetes", "kubernetes": {"envoyDeployment": {
                "container": {"image": options.envoy_image, "volumeMounts": mounts},
                "pod": {"volumes": volumes},
                "initContainers": [{
                    "name": FILTER_VOLUME,
                    "image": options.image,
                    "command": ["cp", FILTER_IN_IMAGE, format!("{FILTER_FOLDER}/{file}")],
                    "volumeMounts": [{"name": FILTER_VOLUME, "mountPath": FILTER_FOLDER}],
                }],
            }}},
        },
    });
    let comment = format!(
        "AI Warp in a Gateway of Envoy Gateway. Written by `ai-warp render --target envoy-gateway`.\n\
         It needs an Envoy Gateway that knows `jsonPath` in patches (1.2 or newer), and Envoy 1.39 or newer, which the image below is.\n\
         {}\n\
         The Gateway, or its class, names this EnvoyProxy as `parametersRef`.",
        super::secret_for_kubernetes(parts)
    );
    Document { name: "envoy-proxy".to_owned(), comment, value }
}
