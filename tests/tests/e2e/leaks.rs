//! What prompts, answers and credentials must never reach: logs, metrics, traces, status, configuration dumps.

use ai_warp_simulator::{Options, Provider};
use ai_warp_tests::{Collector, PATIENCE, Reply, Signer, Stack, eventually};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A word that appears nowhere else.
fn marker(what: &str) -> String {
    format!("{what}{}", Uuid::new_v4().simple())
}

/// What must appear nowhere.
struct Secrets {
    /// Of the providers.
    key: String,
    /// Tokens of clients are signed with it.
    shared: String,
    /// A client's key.
    api_key: String,
    /// What gateways show to the control plane.
    xds_token: String,
}

impl Secrets {
    fn new() -> Self {
        let [key, shared, api_key, xds_token] = ["key", "shared", "apikey", "xdstoken"].map(marker);
        Self { key, shared, api_key, xds_token }
    }

    fn all(&self) -> [(&'static str, &String); 4] {
        [
            ("key", &self.key),
            ("shared secret", &self.shared),
            ("client's key", &self.api_key),
            ("token of the xDS port", &self.xds_token),
        ]
    }
}

/// A stack with marked secrets whose requests are traced and logged.
async fn stack(collector: &Collector, secrets: &Secrets, content: bool) -> Stack {
    let Secrets { key, shared, api_key, xds_token } = secrets;
    let hash: String = Sha256::digest(api_key).iter().map(|byte| format!("{byte:02x}")).collect();
    let auth = json!({
        "required": false,
        "jwt": {"secret": shared},
        "apiKeys": [{"consumer": "team", "hash": format!("sha256:{hash}")}],
    });
    let keys = [Provider::OpenAi, Provider::Gemini].map(|provider| (provider, vec![key.clone()]));
    Stack::builder()
        .simulator(Options { keys: keys.into(), ..Options::default() })
        .models(["openai:ok", "openai:down", "gemini:ok", "openai:bad", "openai:cut"])
        .set("providers.openai.apiKey", key.clone())
        .set("providers.gemini.apiKey", key.clone())
        .set("tracing.otlp", json!({"endpoint": collector.url()}))
        .set("clientLimits", json!({"rate": {"max": 1_000_000, "timeWindow": "1h"}}))
        .set("auth", auth)
        .set("controlPlane.xdsTokens", json!([xds_token]))
        .variable("MARKED_TOKEN", xds_token)
        .bootstrap(["--xds-token-env", "MARKED_TOKEN"])
        .set("logging.content", content)
        .start()
        .await
}

/// Asks in every way there is to succeed or fail. Returns how many requests there were.
async fn ask_everything(stack: &Stack, prompt: &str, client: &[(&'static str, String)]) -> usize {
    let paths = ["/api/v1/prompt", "/api/v1/stream"];
    let chains = [
        json!(["openai:ok"]),
        json!(["openai:down", "gemini:ok"]),
        json!(["openai:bad"]),
        json!(["openai:cut"]),
    ];
    let mut asked = 0;
    let ask = async |path: &str, body: &Value| {
        let mut request = stack.gateway().request(Method::POST, path).json(body);
        for (name, value) in client {
            request = request.header(*name, value);
        }
        Reply::of(request).await
    };
    for path in paths {
        for models in &chains {
            let reply = ask(path, &json!({"prompt": prompt, "context": prompt, "models": models})).await;
            assert!(
                reply.status != 200 || reply.text().contains(prompt),
                "the simulator echoes: {}",
                reply.text()
            );
            asked += 1;
        }
    }
    let chat =
        json!({"model": "openai:ok", "messages": [{"role": "user", "content": prompt}], "bad\u{7f}": prompt});
    ask("/v1/chat/completions", &chat).await;
    ask("/api/v1/prompt", &json!({"prompt": prompt, "models": [prompt], "temperature": prompt})).await;
    asked + 2
}

/// Everything that a stack shows to those who operate it, once it has told of all requests.
async fn places(stack: &Stack, collector: &Collector, asked: usize) -> Vec<(&'static str, String)> {
    eventually("every request is logged and traced", PATIENCE, async || {
        let (lines, spans) = (stack.envoy().access_log().len(), collector.spans());
        let requests = spans.iter().filter(|span| span.name == "ai-warp request").count();
        if lines >= asked && requests >= asked {
            Ok(())
        } else {
            Err(format!("{lines} {requests} of {asked}"))
        }
    })
    .await;
    let admin = stack.envoy().admin();
    let log = stack.envoy().log();
    let access: Vec<String> = stack.envoy().access_log().iter().map(Value::to_string).collect();
    vec![
        ("Envoy's log", log.lines().filter(|line| !line.starts_with('{')).collect::<Vec<_>>().join("\n")),
        ("the access log", access.join("\n")),
        ("the control plane's log", stack.control_plane.log()),
        ("the control plane's metrics", stack.control_plane.api().get("/metrics").await.text()),
        ("/status", stack.control_plane.status().await.to_string()),
        ("Envoy's stats", admin.get("/stats").await.text()),
        ("Envoy's metrics", stack.envoy().exposition().await),
        ("the configuration dump", admin.get("/config_dump?include_eds").await.text()),
        ("/clusters", admin.get("/clusters").await.text()),
        ("the spans", format!("{:?}", collector.spans())),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_prompts_nor_answers_nor_credentials_are_told_to_operators() {
    let collector = Collector::start().await;
    let (secrets, prompt) = (Secrets::new(), marker("prompt"));
    let stack = stack(&collector, &secrets, false).await;
    let token = Signer::shared(&secrets.shared).token_of("ada");
    let client = [("authorization", format!("Bearer {token}")), ("x-api-key", secrets.api_key.clone())];
    let asked = ask_everything(&stack, &prompt, &client).await;
    // And by the key alone.
    let asked = asked + ask_everything(&stack, &prompt, &client[1..]).await;
    let places = places(&stack, &collector, asked).await;
    assert!(places.iter().any(|(name, text)| *name == "the access log" && text.contains("openai:cut")));
    for (name, text) in &places {
        let told = [("prompt", &prompt), ("token", &token)];
        for (what, secret) in secrets.all().into_iter().chain(told) {
            let at = text.find(secret.as_str());
            let around = at.map(|at| &text[at.saturating_sub(200)..(at + 60).min(text.len())]);
            assert_eq!(around, None, "{name} holds a {what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_content_is_logged_it_is_in_the_access_log_alone() {
    let collector = Collector::start().await;
    let (secrets, prompt) = (Secrets::new(), marker("prompt"));
    let stack = stack(&collector, &secrets, true).await;
    let asked = ask_everything(&stack, &prompt, &[]).await;
    for (name, text) in places(&stack, &collector, asked).await {
        assert_eq!(text.contains(&prompt), name == "the access log", "{name}");
        for (what, secret) in secrets.all() {
            assert!(!text.contains(secret), "{name} holds a {what}");
        }
    }
}
