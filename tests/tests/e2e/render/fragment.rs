//! Pasted into the configuration of an Envoy that serves another site.

use ai_warp_tests::{Rendering, Reply};
use reqwest::Method;
use serde_json::json;

use super::{MANAGER, SITE, list, site};

#[tokio::test(flavor = "multi_thread")]
async fn it_serves_beside_the_site_that_was_there() {
    let mut rendering = Rendering::new().await;
    rendering.config.models(["openai:down", "gemini:ok", "openai:cut", "openai:ok"]);
    let (parts, _) = rendering.render("envoy-fragment", &[]);
    let part = |name: &str, key: &str| Rendering::document(&parts, name)[key].clone();
    let mut config = site();
    config["bootstrap_extensions"] = part("bootstrap-extensions", "bootstrap_extensions");
    let mut paste = |path: &str, name: &str, key: &str| {
        list(&mut config, path).splice(0..0, part(name, key).as_array().unwrap().iter().cloned());
    };
    paste(&format!("{MANAGER}/http_filters"), "http-filters", "http_filters");
    paste(&format!("{MANAGER}/route_config/virtual_hosts/0/routes"), "routes", "routes");
    paste("/static_resources/clusters", "clusters", "clusters");
    let hop = part("listeners", "listeners");
    list(&mut config, "/static_resources/listeners").extend(hop.as_array().unwrap().iter().cloned());
    // What the comment above the routes asks for.
    config.pointer_mut(&format!("{MANAGER}/route_config")).unwrap()["max_direct_response_body_size_bytes"] =
        (4 << 20).into();
    let envoy = rendering.serve(config.to_string().as_bytes(), 1).await;
    let gateway = envoy.gateway();

    for path in ["/", "/shop", "/api/v1/other", "/api/v1/prompt/more", "/v1/shop", "/v1/messages/more"] {
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
