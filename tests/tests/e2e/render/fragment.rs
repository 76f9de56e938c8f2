//! Pasted into the configuration of an Envoy that serves another site.

use ai_warp_tests::{Rendering, Reply};
use reqwest::Method;
use serde_json::{Value, json};

/// What the other site says.
const SITE: &str = "the other site";

/// An Envoy as somebody wrote it who had never heard of us: one site on all paths, with a header of its own for requests that
/// go through its filters.
fn site() -> Value {
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "site",
        "http_filters": [{
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
        }],
        "route_config": {"virtual_hosts": [{"name": "site", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": SITE}}},
        ]}]},
    });
    json!({
        "node": {"id": "site", "cluster": "sites"},
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        "static_resources": {
            "clusters": [],
            "listeners": [{
                "name": "gateway",
                "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
                "filter_chains": [{"filters": [{
                    "name": "envoy.filters.network.http_connection_manager",
                    "typed_config": manager,
                }]}],
            }],
        },
    })
}

/// Puts `items` before those of the list at `path`.
fn paste(into: &mut Value, path: &str, items: &Value) {
    let list = into.pointer_mut(path).and_then(Value::as_array_mut).unwrap();
    list.splice(0..0, items.as_array().unwrap().iter().cloned());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_serves_beside_the_site_that_was_there() {
    let mut rendering = Rendering::new().await;
    rendering.config.models(["openai:down", "gemini:ok", "openai:cut", "openai:ok"]);
    let (parts, _) = rendering.render("envoy-fragment", &[]);
    let part = |name: &str, key: &str| Rendering::document(&parts, name)[key].clone();
    let mut config = site();
    config["bootstrap_extensions"] = part("bootstrap-extensions", "bootstrap_extensions");
    let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
    paste(&mut config, &format!("{manager}/http_filters"), &part("http-filters", "http_filters"));
    let routes = format!("{manager}/route_config/virtual_hosts/0/routes");
    paste(&mut config, &routes, &part("routes", "routes"));
    // What the comment above the routes asks for.
    config.pointer_mut(&format!("{manager}/route_config")).unwrap()["max_direct_response_body_size_bytes"] =
        (4 << 20).into();
    let listeners = part("listeners", "listeners");
    config["static_resources"]["listeners"]
        .as_array_mut()
        .unwrap()
        .extend(listeners.as_array().unwrap().clone());
    paste(&mut config, "/static_resources/clusters", &part("clusters", "clusters"));
    let envoy = rendering.serve(config.to_string().as_bytes(), 1).await;
    let gateway = envoy.gateway();

    for path in ["/", "/shop", "/api/v1/other", "/api/v1/prompt/more"] {
        let reply = gateway.get(path).await;
        assert_eq!((reply.status, reply.text().as_str()), (200, SITE), "{path}");
    }
    let reply = gateway.post("/shop", &json!({"prompt": "hi"})).await;
    assert_eq!(reply.text(), SITE, "posts of others are not ours");

    let reply = gateway.prompt(json!({"prompt": "hi"})).await;
    assert_eq!((reply.status, reply.model(), reply.attempts()), (200, "gemini:ok", 2), "{}", reply.text());
    assert!(reply.headers.get("x-ai-warp-retry").is_none());
    let cut = gateway.stream(json!({"prompt": "hi", "models": ["openai:cut"]})).await.rest().await;
    assert_eq!(cut.error(), "PROVIDER_RESPONSE_ERROR");
    assert_eq!(gateway.get("/api/v1/prompt").await.status, 405);
    assert_eq!(gateway.get("/v1/models").await.json()["object"], "list");

    // Larger than an Envoy buffers by itself.
    let long = "x".repeat(3 << 20);
    let reply = gateway.prompt(json!({"prompt": long, "models": ["openai:ok"]})).await;
    assert_eq!(reply.status, 200, "{}", reply.text());

    // What a client says to Envoy is not heard.
    let request = gateway.request(Method::POST, "/api/v1/prompt").header("x-envoy-max-retries", "0");
    let request = request.header("x-envoy-retry-on", "none").header("x-ai-warp-retry", "1");
    let reply = Reply::of(request.json(&json!({"prompt": "hi"}))).await;
    assert_eq!((reply.status, reply.attempts()), (200, 2), "{}", reply.text());
}
