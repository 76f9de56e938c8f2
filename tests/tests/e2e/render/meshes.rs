//! What is rendered for meshes, applied to a configuration as the mesh would, and served.
//!
//! A mesh is no part of these tests. What its control plane does with the few operations that are used is written down here.

use ai_warp_tests::{Rendering, Stack, Started, rendered, serve};
use serde_json::{Value, json};

use super::{MANAGER, SITE, list, site};

/// Where the routes of the site are.
fn routes() -> String {
    format!("{MANAGER}/route_config/virtual_hosts/0/routes")
}

/// Where its filters are.
fn filters() -> String {
    format!("{MANAGER}/http_filters")
}

fn merge(config: &mut Value, at: &str, value: &Value) {
    let at = config.pointer_mut(at).and_then(Value::as_object_mut).unwrap();
    at.extend(value.as_object().unwrap().clone());
}

fn insert_before(list: &mut Vec<Value>, name: &Value, value: &Value) {
    let before = list.iter().position(|item| item["name"] == *name).unwrap();
    list.insert(before, value.clone());
}

/// Applies an EnvoyFilter as Istio does.
fn apply_envoy_filter(config: &mut Value, filter: &Value) {
    for patch in filter["spec"]["configPatches"].as_array().unwrap() {
        assert_eq!(patch["match"]["context"], "GATEWAY");
        let (operation, value) = (patch["patch"]["operation"].as_str().unwrap(), &patch["patch"]["value"]);
        match (patch["applyTo"].as_str().unwrap(), operation) {
            ("BOOTSTRAP", "MERGE") => merge(config, "", value),
            ("CLUSTER", "ADD") => list(config, "/static_resources/clusters").push(value.clone()),
            ("LISTENER", "ADD") => list(config, "/static_resources/listeners").push(value.clone()),
            ("LISTENER", "MERGE") => merge(config, "/static_resources/listeners/0", value),
            ("HTTP_FILTER", "INSERT_BEFORE") => {
                let chain = &patch["match"]["listener"]["filterChain"]["filter"];
                assert_eq!(chain["name"], "envoy.filters.network.http_connection_manager");
                insert_before(list(config, &filters()), &chain["subFilter"]["name"], value);
            }
            ("ROUTE_CONFIGURATION", "MERGE") => merge(config, &format!("{MANAGER}/route_config"), value),
            ("HTTP_ROUTE", "INSERT_FIRST") => {
                assert_eq!(patch["match"]["routeConfiguration"]["vhost"]["name"], "site:80");
                list(config, &routes()).insert(0, value.clone());
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Applies an EnvoyPatchPolicy as Envoy Gateway does.
fn apply_patch_policy(config: &mut Value, policy: &Value) {
    for patch in policy["spec"]["jsonPatches"].as_array().unwrap() {
        let kind = patch["type"].as_str().unwrap().rsplit('.').next().unwrap();
        let operation = &patch["operation"];
        assert_eq!(operation["op"], "add");
        let value = &operation["value"];
        match (kind, operation["jsonPath"].as_str(), operation["path"].as_str()) {
            ("Cluster", None, Some("")) => list(config, "/static_resources/clusters").push(value.clone()),
            ("Listener", None, Some("")) => list(config, "/static_resources/listeners").push(value.clone()),
            ("Listener", None, Some(path)) => {
                merge(config, "/static_resources/listeners/0", &json!({&path[1..]: value}));
            }
            ("Listener", Some("$..http_filters[?(@.name=='envoy.filters.http.router')]"), None) => {
                insert_before(list(config, &filters()), &json!("envoy.filters.http.router"), value);
            }
            ("RouteConfiguration", None, Some(path)) => {
                merge(config, &format!("{MANAGER}/route_config"), &json!({&path[1..]: value}));
            }
            ("RouteConfiguration", Some("$.virtual_hosts[?(@.name=='site:80')]"), Some("/routes/0")) => {
                list(config, &routes()).insert(0, value.clone());
            }
            other => panic!("{other:?}"),
        }
    }
}

async fn expect_both_sites(envoy: &Started) {
    let gateway = envoy.gateway();
    assert_eq!(gateway.get("/shop").await.text(), SITE);
    let reply = gateway.prompt(json!({"prompt": "hi"})).await;
    assert_eq!((reply.status, reply.model(), reply.attempts()), (200, "gemini:ok", 2), "{}", reply.text());
    let transcript = gateway.stream(json!({"prompt": "hi"})).await.rest().await;
    assert_eq!(transcript.end()["text"], transcript.text());
    assert_eq!(gateway.get("/api/v1/prompt").await.status, 405, "the order of the routes is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_rendered_for_istio_serves_in_its_gateway() {
    let mut rendering = Rendering::new().await;
    rendering.config.models(["openai:down", "gemini:ok"]);
    let own = ["--virtual-host", "site:80", "--workload-selector", "istio=ingressgateway"];
    let (folder, _) = rendering.render("istio", &own);
    let filter = Rendering::document(&folder, "envoy-filter");
    assert_eq!(filter["spec"]["workloadSelector"]["labels"], json!({"istio": "ingressgateway"}));
    let mut config = site();
    // Istio's proxies have it in their bootstrap.
    config["bootstrap_extensions"] = json!([{
        "name": "envoy.bootstrap.internal_listener",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener",
            "buffer_size_kb": 64,
        },
    }]);
    apply_envoy_filter(&mut config, &filter);
    expect_both_sites(&rendering.serve(config.to_string().as_bytes(), 1).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_rendered_for_envoy_gateway_serves_with_sessions() {
    let stack = Stack::builder().models(["openai:down", "gemini:ok"]).start().await;
    let xds = stack.control_plane.xds().to_owned();
    let own = ["--virtual-host", "site:80", "--gateway", "eg/http", "--control-plane", &xds];
    let (folder, _) = rendered(&stack.config, stack.folder.path(), "envoy-gateway", &own);
    let proxy = Rendering::document(&folder, "envoy-proxy");
    let policy = Rendering::document(&folder, "envoy-patch-policy");
    let mut config = site();
    let patch = &proxy["spec"]["bootstrap"]["jsonPatches"][0];
    assert_eq!((&patch["op"], &patch["path"]), (&json!("add"), &json!("/bootstrap_extensions")));
    config["bootstrap_extensions"] = patch["value"].clone();
    apply_patch_policy(&mut config, &policy);
    let envoy = serve(stack.folder.path(), config.to_string().as_bytes(), 1).await;
    expect_both_sites(&envoy).await;
    let first = envoy.gateway().prompt(json!({"prompt": "one"})).await;
    let second = stack.prompt(json!({"prompt": "two", "sessionId": first.session()})).await;
    assert!(second.answer().contains("history=2"), "{}", second.answer());
}
