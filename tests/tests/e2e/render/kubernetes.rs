//! What pods of Kubernetes are given is what the programs in them take. That Kubernetes takes the rest is checked by its types,
//! beside the code that renders it.

use ai_warp_tests::{Rendering, render, validate};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn the_files_in_its_config_maps_are_valid() {
    let mut rendering = Rendering::new().await;
    rendering.config.set("server", serde_json::json!({"port": 3042}));
    rendering.config.set("controlPlane", serde_json::json!({"port": 18000, "xdsPort": 18001}));
    let providers = rendering.config.get("providers").as_object().unwrap().clone();
    for name in providers.keys() {
        rendering.config.set(&format!("providers.{name}.apiKey"), "${SOME_KEY}");
    }
    rendering.config.write();
    let folder = rendering.folder().join("kubernetes");
    let (out, config) = (folder.to_str().unwrap(), rendering.config.path().to_str().unwrap());
    let said = render(&["--target", "kubernetes", "--name", "ai", "--config", config, "--out", out]);
    assert!(said.contains("use valkey"), "{said}");
    let file = |map: &str, name: &str| {
        let map: Value = Rendering::document(&folder, &format!("configmap-{map}"));
        let path = rendering.folder().join(name);
        std::fs::write(&path, map["data"][name].as_str().unwrap()).unwrap();
        path
    };
    validate(&file("ai-bootstrap", "envoy.yaml"), &[("AI_WARP_XDS_TOKEN", "0123456789abcdef")]);
    // Rendered once more from itself, which reads it as `serve` would.
    let again = file("ai-config", "ai-warp.yaml");
    render(&["--target", "envoy", "--config", again.to_str().unwrap(), "--out", out]);
    let rendered = std::fs::read_to_string(folder.join("envoy.yaml")).unwrap();
    assert!(rendered.contains("address: \"0.0.0.0\""), "others reach it");
}
