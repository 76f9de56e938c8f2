//! The simulator is what the providers' own SDKs take it for.

use ai_warp_simulator::{Options, Simulator};
use ai_warp_tests::{SdkTarget, expect_checks};
use serde_json::json;

use super::scripts::SCRIPTS;

/// Every subject of a chat through the `openai` package.
const OPENAI: &[&str] = &[
    "openai_chat",
    "openai_stream",
    "openai_tools",
    "openai_images",
    "openai_schema",
    "openai_errors",
    "openai_credentials",
    "openai_retries",
    "openai_embeddings",
];

const ANTHROPIC: &[&str] = &[
    "anthropic_chat",
    "anthropic_stream",
    "anthropic_tools",
    "anthropic_images",
    "anthropic_schema",
    "anthropic_errors",
    "anthropic_credentials",
    "anthropic_retries",
];

const GENAI: &[&str] =
    &["genai_chat", "genai_stream", "genai_tools", "genai_images", "genai_schema", "genai_errors"];

async fn simulator() -> Simulator {
    Simulator::start(Options { record: false, ..Options::default() }).await.expect("the simulator starts")
}

/// The simulator as the SDK of `provider` is pointed at it.
fn target(
    simulator: &Simulator,
    name: &str,
    path: &str,
    provider: &str,
    scripts: &[&'static str],
) -> SdkTarget {
    let base_url = format!("http://{}{path}", simulator.address());
    SdkTarget::new(&format!("simulator/{name}"), &base_url, provider, scripts)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_openai_sdk_takes_it_for_openai_and_azure() {
    let simulator = simulator().await;
    let targets = [
        target(&simulator, "openai", "/openai/v1", "openai", OPENAI),
        target(&simulator, "openai-models", "/openai/v1", "openai", &["openai_models"])
            .with("listed", vec!["ok"]),
        target(&simulator, "azure", "/azure", "azure", OPENAI)
            .with("options", json!({"api_version": "2024-10-21"})),
        target(&simulator, "azure-v1", "/azure/openai/v1", "azure", OPENAI),
    ];
    expect_checks(SCRIPTS, &targets).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_anthropic_sdk_takes_it_for_anthropic() {
    let simulator = simulator().await;
    let targets = [target(&simulator, "anthropic", "/anthropic", "anthropic", ANTHROPIC)];
    expect_checks(SCRIPTS, &targets).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_google_sdk_takes_it_for_gemini_and_vertex() {
    let simulator = simulator().await;
    let targets = [
        target(&simulator, "gemini", "/gemini", "gemini", GENAI).with("listed", vec!["models/ok"]),
        target(&simulator, "vertex", "/vertex", "vertex", GENAI)
            .with("options", json!({"project": "p", "location": "us-central1"})),
    ];
    expect_checks(SCRIPTS, &targets).await;
}
