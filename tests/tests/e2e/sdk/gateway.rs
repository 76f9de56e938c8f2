//! Programs that use an official SDK need only another base URL: the gateway answers as the SDK's own provider would,
//! for every provider behind it.

use ai_warp_tests::{SdkTarget, Stack, expect_checks};

use super::scripts::SCRIPTS;

/// What tells a provider behind the gateway from the others.
#[derive(Debug, Clone, Copy)]
struct Row {
    provider: &'static str,
    /// What it cannot take: `images` and `schema`, so that the client is told so; `dimensions` and `forced`
    /// tools, which are left out.
    refuses: &'static [&'static str],
    /// A field that it does not know and can do without, so that the gateway leaves it out.
    drops: Option<&'static str>,
    embeds: bool,
}

/// One that takes everything and has no embeddings.
const fn row(provider: &'static str) -> Row {
    Row { provider, refuses: &[], drops: None, embeds: false }
}

impl Row {
    const fn embeds(self) -> Self {
        Self { embeds: true, ..self }
    }

    const fn drops(self, field: &'static str) -> Self {
        Self { drops: Some(field), ..self }
    }

    const fn refuses(self, refuses: &'static [&'static str]) -> Self {
        Self { refuses, ..self }
    }

    /// The gateway, for an SDK that takes it for its own provider, with every question going to this one.
    fn target(self, stack: &Stack, path: &str, scripts: &[&'static str]) -> SdkTarget {
        let base_url = format!("http://{}{path}", stack.gateway().address());
        SdkTarget::new(&format!("gateway/{}", self.provider), &base_url, self.provider, scripts)
            .with("api_key", "any-key-will-do")
            .with("is_gateway", true)
            .with("route", format!("{}:", self.provider))
            .with("refuses", self.refuses)
            .with("drops", self.drops)
    }
}

/// Every provider there is; those that the harness configures are asked.
const PROVIDERS: &[Row] = &[
    row("openai").embeds(),
    row("deepseek").refuses(&["images", "schema"]).drops("seed"),
    row("gemini").embeds().drops("logit_bias"),
    row("anthropic").drops("seed"),
    row("azure").embeds(),
    row("bedrock").drops("seed"),
    row("vertex").drops("logit_bias"),
    row("mistral").embeds().drops("logit_bias"),
    row("groq").drops("logit_bias"),
    row("xai"),
    row("openrouter").embeds(),
    row("together").embeds().refuses(&["dimensions"]),
    row("fireworks").embeds(),
    row("cerebras").refuses(&["images"]),
    row("ollama").embeds().refuses(&["forced"]),
    row("vllm").embeds(),
    row("llamacpp").embeds().refuses(&["dimensions"]),
];

/// The rows of the providers that are configured. Each must have one, or an SDK would never be tried with it.
fn configured(stack: &Stack) -> Vec<Row> {
    let providers = stack.config.get("providers").as_object().expect("the harness configures providers");
    let row = |name: &String| {
        let found = PROVIDERS.iter().find(|row| row.provider == name);
        *found.unwrap_or_else(|| panic!("there is no row for {name}"))
    };
    providers.keys().map(row).collect()
}

/// What the scripts ask of every provider; `m~unknown-model` is not among them, so that the gateway does not know it.
const MODELS: [&str; 12] = [
    "m",
    "m~status=429",
    "m~status=500",
    "m~status=503",
    "m~status=529",
    "m~html=502",
    "m~quota",
    "m~error-event=3~chunk-delay=30",
    "m~cut=3~chunk-delay=30",
    "m~thoughts",
    "gemini-3-m",
    "gemini-3-m~thoughts",
];

async fn stack() -> Stack {
    let each = PROVIDERS.iter().flat_map(|Row { provider, .. }| {
        let counted = ["openai-retries", "anthropic-retries"]
            .map(|name| format!("{provider}:{name}-by-gateway-{provider}~fail-first=1~retry-after=1"));
        MODELS.map(|name| format!("{provider}:{name}")).into_iter().chain(counted)
    });
    let models: Vec<String> = each.chain(["openai:ok".to_owned()]).collect();
    Stack::builder().control_plane_log("info").every_provider().models(models).start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_openai_sdk_chats_with_every_provider() {
    let stack = stack().await;
    let scripts = [
        "openai_chat",
        "openai_stream",
        "openai_tools",
        "openai_images",
        "openai_schema",
        "openai_errors",
        "openai_retries",
        "openai_gateway",
    ];
    let targets: Vec<_> = configured(&stack).iter().map(|row| row.target(&stack, "/v1", &scripts)).collect();
    expect_checks(SCRIPTS, &targets).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_openai_sdk_has_responses_of_every_provider() {
    let stack = stack().await;
    let scripts = ["openai_responses", "openai_responses_tools"];
    let targets: Vec<_> = configured(&stack).iter().map(|row| row.target(&stack, "/v1", &scripts)).collect();
    expect_checks(SCRIPTS, &targets).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_openai_sdk_gets_embeddings_and_lists_models() {
    let stack = stack().await;
    let embedding = configured(&stack).into_iter().filter(|row| row.embeds);
    let mut targets: Vec<_> =
        embedding.map(|row| row.target(&stack, "/v1", &["openai_embeddings"])).collect();
    targets.push(row("openai").target(&stack, "/v1", &["openai_models"]).with("listed", vec!["openai:ok"]));
    expect_checks(SCRIPTS, &targets).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_anthropic_sdk_talks_with_every_provider() {
    let stack = stack().await;
    let scripts = [
        "anthropic_chat",
        "anthropic_stream",
        "anthropic_tools",
        "anthropic_images",
        "anthropic_schema",
        "anthropic_errors",
        "anthropic_retries",
        "anthropic_gateway",
    ];
    let targets: Vec<_> = configured(&stack).iter().map(|row| row.target(&stack, "", &scripts)).collect();
    expect_checks(SCRIPTS, &targets).await;
}
