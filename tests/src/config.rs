//! `ai-warp.yaml` as a test needs it, changed word by word.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ai_warp_simulator::{DEFAULT_API_KEY, Provider, Simulator};
use serde_json::{Map, Value, json};

/// Models of every provider.
const MODELS: [&str; 9] = [
    "ok",
    "down",
    "ok~split=1",
    "ok~split-random=7",
    "ok~error-event=0",
    "ok~status=429",
    "ok~status=400",
    "ok~extra",
    "ok~thoughts",
];

/// A configuration, and the file it is written to. JSON, which YAML includes.
#[derive(Debug)]
pub struct Config {
    path: PathBuf,
    root: Value,
}

impl Config {
    /// The three providers of `simulator`, no retries of the same model, sessions in memory, and neither limits nor
    /// breakers that one test would meet.
    pub(crate) fn new(path: PathBuf, simulator: &Simulator) -> Self {
        let providers: BTreeMap<_, _> = Provider::CORE
            .into_iter()
            .map(|provider| (provider.name(), provider_at(&simulator.base_url(provider))))
            .collect();
        let root = json!({
            "server": {"port": 0, "adminPort": 0},
            "controlPlane": {"port": 0, "xdsPort": 0},
            "providers": providers,
            "models": ["openai:ok"],
            "limits": {"retry": {"max": 0}, "rate": {"max": 1_000_000_000, "timeWindow": "30s"}},
            "breaker": {"failures": 1_000},
            "storage": {"type": "memory"},
            // Most tests are of the direct road.
            "streams": {"resumable": false},
        });
        Self { path, root }
    }

    /// Adds the other providers of `simulator`, and of each the models that tests of all of them ask for.
    pub(crate) fn add_every_provider(&mut self, simulator: &Simulator) {
        let mut models = Vec::new();
        for provider in Provider::ALL {
            let mut at = provider_at(&simulator.base_url(provider));
            if provider == Provider::Vertex {
                at["gcp"] = json!({"project": "p", "location": "global"});
            }
            self.set(&format!("providers.{provider}"), at);
            models.extend(MODELS.map(|name| format!("{provider}:{name}")));
        }
        models.extend(["openai:gpt-5-mini", "anthropic:cached", "gemini:gemini-3"].map(str::to_owned));
        self.models(models);
    }

    /// Sets the models, in the order in which they are tried.
    pub fn models<I: IntoIterator>(&mut self, models: I) -> &mut Self
    where
        I::Item: Into<Value>,
    {
        let models: Vec<Value> = models.into_iter().map(Into::into).collect();
        self.set("models", models)
    }

    /// Sets the value at a path such as `limits.retry.max`; what is missing on the way is made.
    pub fn set(&mut self, path: &str, value: impl Into<Value>) -> &mut Self {
        let mut at = &mut self.root;
        for key in path.split('.') {
            if !at.is_object() {
                *at = Value::Object(Map::new());
            }
            at = &mut at[key];
        }
        *at = value.into();
        self
    }

    /// Adds or changes a provider.
    pub fn provider(&mut self, name: &str, value: Value) -> &mut Self {
        self.set(&format!("providers.{name}"), value)
    }

    /// What was set at a path; null where nothing was.
    pub fn get(&self, path: &str) -> &Value {
        path.split('.').fold(&self.root, |at, key| &at[key])
    }

    /// Where it is written.
    pub fn path(&self) -> &PathBuf {
        &self.path
    }

    /// Writes the file, in one step, as editors and orchestrators do.
    pub fn write(&self) {
        self.write_text(&serde_json::to_string_pretty(&self.root).expect("JSON can be written"));
    }

    /// Writes something else to the file.
    pub fn write_text(&self, text: &str) {
        let fresh = self.path.with_extension("new");
        std::fs::write(&fresh, text).expect("cannot write the configuration");
        std::fs::rename(&fresh, &self.path).expect("cannot replace the configuration");
    }
}

/// A provider at `base_url` with the simulator's key.
fn provider_at(base_url: &str) -> Value {
    json!({"baseUrl": base_url, "apiKey": DEFAULT_API_KEY})
}
