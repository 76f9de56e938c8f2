//! The README's commands do what it says.

use std::process::Command;

use ai_warp_tests::Stack;

/// What each block marked `sh test` must print, in the README's order.
const EXPECTED: &[&[&str]] = &[
    &[r#""text":"openai/gpt-5-mini: Why is the sky blue?"#, r#""result":"COMPLETE""#, r#""sessionId":""#],
    &["event: content\ndata: {\"response\":\"", "event: end\ndata: {\"response\":{\"text\":\""],
    &["00000001\nevent: content\ndata: {\"response\":\"", "of the sea."],
    &["What is my name? [system=-] [history=2]", r#""history":[{"prompt":"My name is Ada.""#],
    &[r#""object":"chat.completion""#, r#""type":"message""#, r#""id":"openai:gpt-5-mini""#],
    &["x-ai-warp-model: gemini:ok", "x-ai-warp-attempts: 3", "gemini/ok: Hello"],
];

fn blocks(readme: &str) -> Vec<&str> {
    readme.split("```sh test\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readmes_commands_do_what_it_says() {
    let stack = Stack::builder()
        .models(["openai:gpt-5-mini", "deepseek:deepseek-chat", "openai:down", "gemini:ok"])
        .resumable()
        .set("limits.retry.max", 1)
        .set("limits.retry.interval", "1s")
        .start()
        .await;
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let blocks = blocks(&readme);
    assert_eq!(blocks.len(), EXPECTED.len(), "README.md has other blocks than this test knows");
    for (block, expected) in blocks.iter().zip(EXPECTED) {
        assert!(block.contains("127.0.0.1:3042"), "{block}");
        let script = block.replace("127.0.0.1:3042", stack.gateway().address());
        let run = move || Command::new("bash").args(["-euo", "pipefail", "-c", &script]).output();
        let output = tokio::task::spawn_blocking(run).await.unwrap().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{block}\n{printed}\n{}", String::from_utf8_lossy(&output.stderr));
        for text in *expected {
            assert!(printed.contains(text), "{block}\nprints no {text:?}:\n{printed}");
        }
    }
}
