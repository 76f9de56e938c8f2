//! Another build of the filter takes over from the last one, and no request notices.

use ai_warp_tests::{Load, PATIENCE, Stack, eventually, filter};
use serde_json::json;

/// Requests a second, on each of two Envoys.
const RATE: u32 = 50;

/// The same code under another hash: a custom section, which WebAssembly says has no effect.
fn another_build(folder: &std::path::Path, number: u8) -> std::path::PathBuf {
    let mut module = std::fs::read(filter()).unwrap();
    // Section 0, 3 bytes long: a name of one byte, and one byte of content.
    module.extend([0, 3, 1, b'v', number]);
    let path = folder.join(format!("filter-{number}.wasm"));
    std::fs::write(&path, module).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn another_build_of_the_filter_and_another_configuration_fail_no_request() {
    let mut stack = Stack::builder().alone().workers(2).envoys(2).remote_code().start().await;
    let loads: Vec<Load> = stack.envoys.iter().map(|envoy| Load::start(envoy.gateway(), RATE)).collect();
    let mut built = vec![stack.control_plane.status().await["filter"]["sha256"].clone()];
    for number in 1..=2 {
        let build = another_build(stack.folder.path(), number);
        let tokens = 10 + u64::from(number);
        stack.config.set("limits.maxTokens", tokens);
        stack.control_plane.upgrade(&mut stack.config, &build).await;
        let sha256 = stack.control_plane.status().await["filter"]["sha256"].clone();
        assert!(!built.contains(&sha256), "it is another build");
        built.push(sha256);
        for envoy in &stack.envoys {
            eventually("the new configuration is in force", PATIENCE, async || {
                let text = envoy.gateway().prompt(json!({"prompt": "hi"})).await.text();
                if text.contains(&format!("[max={tokens}]")) { Ok(()) } else { Err(text) }
            })
            .await;
        }
        stack.control_plane.wait_for_gateways(2).await;
    }
    for load in loads {
        load.expect_no_failure().await;
    }
}
