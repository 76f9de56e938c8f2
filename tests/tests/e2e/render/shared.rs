//! Rendered once, with a control plane for what Envoys share.

use ai_warp_tests::{Refusing, Rendering, Stack, start_rendered};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn sessions_limits_and_models_are_those_of_the_control_plane() {
    let limited =
        json!({"provider": "deepseek", "model": "ok", "limits": {"rate": {"max": 4, "timeWindow": "24h"}}});
    let models = |first: &str| [json!(first), json!("gemini:ok"), limited.clone()];
    let mut stack = Stack::builder().models(models("openai:ok")).start().await;
    let xds = stack.control_plane.xds().to_owned();
    let arguments = ["--control-plane", &xds, "--name", "rendered"];
    let envoy = start_rendered(&stack.config, stack.folder.path(), 1, &arguments).await;
    stack.control_plane.wait_for_gateways(2).await;

    // What one gateway was told, the other knows.
    let first = stack.prompt(json!({"prompt": "one"})).await;
    let turn = |prompt: &str| json!({"prompt": prompt, "sessionId": first.session()});
    let second = envoy.gateway().prompt(turn("two")).await;
    assert_eq!((second.status, second.session()), (200, first.session()), "{}", second.text());
    assert!(second.answer().contains("history=2"), "{}", second.answer());
    let third = stack.prompt(turn("three")).await;
    assert!(third.answer().contains("history=4"), "{}", third.answer());
    let stored = envoy.gateway().get(&format!("/api/v1/sessions/{}", first.session())).await;
    assert_eq!(stored.status, 200, "{}", stored.text());

    // A change of the models is in force without anything being rendered.
    stack.reconfigure(|config| _ = config.models(models("gemini:other"))).await;
    let reply = envoy.gateway().prompt(json!({"prompt": "hi"})).await;
    assert_eq!(reply.model(), "gemini:other");

    // A limit is a limit for both.
    let mut answered = 0;
    for _ in 0..4 {
        for gateway in [stack.gateway(), envoy.gateway()] {
            let reply = gateway.prompt(json!({"prompt": "hi", "models": ["deepseek:ok"]})).await;
            answered += usize::from(reply.status == 200);
        }
    }
    assert_eq!(answered, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envoy_starts_without_the_control_plane_it_is_to_have() {
    let rendering = Rendering::new().await;
    let refusing = Refusing::new();
    let envoy = rendering.start(1, &["--control-plane", &refusing.address()]).await;
    let reply = envoy.gateway().prompt(json!({"prompt": "hi"})).await;
    assert_eq!((reply.status, reply.header("x-ai-warp-stored")), (200, "false"), "{}", reply.text());
}
