//! An Envoy that shares no disk with the control plane gets the filter over the network, and answers nothing before.

use ai_warp_tests::{Gateway, PATIENCE, Refusing, Stack, eventually};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_without_the_filter_on_disk_never_answers_wrong() {
    let mut stack = Stack::builder().models(["openai:down", "gemini:ok"]).envoys(0).start().await;
    // A port that nobody else takes meanwhile, so that it can be asked from the very start.
    let port = Refusing::new().into_port();
    stack.launch_envoy(port, true);
    let gateway = Gateway::new(&format!("127.0.0.1:{port}"));
    let (mut refused, mut answers) = (0, 0);
    eventually("twenty answers in a row", PATIENCE, async || {
        match gateway.try_prompt(&json!({"prompt": "hi"})).await {
            Ok(reply) => {
                assert_eq!((reply.status, reply.model()), (200, "gemini:ok"), "{}", reply.text());
                answers += 1;
            }
            Err(error) if error.is_connect() => refused += 1,
            Err(error) => panic!("neither refused nor answered: {error:?}"),
        }
        if answers >= 20 { Ok(()) } else { Err(format!("{refused} refused, {answers} answered")) }
    })
    .await;
    assert!(refused > 0, "it was asked before it was ready");
    let streamed = gateway.stream(json!({"prompt": "hi"})).await.rest().await;
    assert_eq!(streamed.end()["text"], streamed.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_with_remote_code_takes_new_providers() {
    let mut stack = Stack::builder().remote_code().start().await;
    let url = stack.config.get("providers.openai.baseUrl").clone();
    stack
        .reconfigure(|config| {
            config.provider("more", json!({"dialect": "openai", "baseUrl": url, "apiKey": "sim-key"}));
            config.models(["more:ok"]);
        })
        .await;
    assert_eq!(stack.prompt(json!({"prompt": "hi"})).await.model(), "more:ok");
}
