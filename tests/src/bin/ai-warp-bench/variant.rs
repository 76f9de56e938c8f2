//! What is compared: which way each request takes, what it says, and what its answer must be.

use std::fmt;

use ai_warp_simulator::DEFAULT_API_KEY;
use anyhow::{Result, bail};
use serde_json::{Value, json};

/// The prompt of every request.
const PROMPT: &str = "How do birds find their way?";

/// Name of the simulated model.
const MODEL: &str = "bench";

/// The longer and the shorter stream, in content chunks.
pub(crate) const STREAMS: [u32; 2] = [100, 5];

/// What a request goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Through {
    /// Envoy without the gateway: the baseline.
    Plain,
    /// The gateway with `storage: none`.
    Stateless,
    /// The gateway with `storage: memory`.
    Sessions,
}

/// One load.
#[derive(Debug)]
pub(crate) struct Variant {
    /// Short name, in tables and for `--only`.
    pub(crate) name: String,
    pub(crate) what: String,
    pub(crate) through: Through,
    /// Name of the variant it is compared with.
    pub(crate) baseline: Option<String>,
    /// The ratio of CPU the design promises at most.
    pub(crate) target: Option<f64>,
    /// Content chunks of a streamed answer; 0 for a whole one.
    pub(crate) chunks: u32,
    /// The model as the simulator understands it.
    pub(crate) model: String,
    pub(crate) path: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Value,
    pub(crate) expected: Expected,
}

/// How an answer shows that it is complete.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    /// Every one of them is in the body.
    contains: Vec<String>,
    /// In the body this often.
    counted: Option<(&'static str, usize)>,
    ends_with: &'static str,
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.what)
    }
}

/// The variants named in `only`, with their baselines; all of them where it names none.
pub(crate) fn chosen(chunk_delay_ms: u32, only: &[String]) -> Result<Vec<Variant>> {
    let mut variants = all(chunk_delay_ms);
    if only.is_empty() {
        return Ok(variants);
    }
    if let Some(unknown) = only.iter().find(|name| variants.iter().all(|variant| variant.name != **name)) {
        let names: Vec<&str> = variants.iter().map(|variant| variant.name.as_str()).collect();
        bail!("there is no variant {unknown:?}, only {}", names.join(", "));
    }
    let named = variants.iter().filter(|variant| only.contains(&variant.name));
    let needed: Vec<String> =
        named.flat_map(|variant| [Some(variant.name.clone()), variant.baseline.clone()]).flatten().collect();
    variants.retain(|variant| needed.contains(&variant.name));
    Ok(variants)
}

/// Each baseline next to what is compared with it, so that little time lies between them.
fn all(chunk_delay_ms: u32) -> Vec<Variant> {
    let mut variants = vec![
        plain("A", "plain Envoy", MODEL, 0),
        Variant { target: Some(1.9), ..gateway("B", "gateway", Through::Stateless, "A", MODEL, 0) },
        Variant { target: Some(2.3), ..gateway("C", "gateway, sessions", Through::Sessions, "A", MODEL, 0) },
        chat("E", "gateway, chat completions", "A", MODEL, 0),
    ];
    for chunks in STREAMS {
        let delay =
            if chunk_delay_ms == 0 { String::new() } else { format!("~chunk-delay={chunk_delay_ms}") };
        let model = format!("{MODEL}~chunks={chunks}{delay}");
        let baseline = format!("A-{chunks}");
        let what = |way: &str| format!("{way}, stream of {chunks} chunks");
        variants.push(plain(&baseline, &what("plain Envoy"), &model, chunks));
        let name = format!("D-{chunks}");
        variants.push(gateway(&name, &what("gateway"), Through::Stateless, &baseline, &model, chunks));
        variants.push(chat(&format!("F-{chunks}"), &what("chat completions"), &baseline, &model, chunks));
        let direct = format!("S-{chunks}");
        let stream = |name: &str, way: &str, baseline: &str, resume: bool| {
            let mut variant = gateway(name, &what(way), Through::Sessions, baseline, &model, chunks);
            if let Some(body) = variant.body.as_object_mut() {
                body.insert("resume".to_owned(), resume.into());
            }
            variant
        };
        variants.push(stream(&direct, "gateway, sessions", &baseline, false));
        variants.push(stream(&format!("R-{chunks}"), "resumable", &direct, true));
    }
    variants
}

/// The provider's own API, with the body that the gateway would send.
fn plain(name: &str, what: &str, model: &str, chunks: u32) -> Variant {
    let mut body = json!({
        "model": model,
        "messages": [{"role": "user", "content": PROMPT}],
        "stream": chunks > 0,
    });
    let expected = if chunks == 0 {
        Expected { contains: vec![echo(model)], counted: None, ends_with: "}" }
    } else {
        if let Some(body) = body.as_object_mut() {
            body.insert("stream_options".to_owned(), json!({"include_usage": true}));
        }
        Expected {
            contains: Vec::new(),
            counted: Some(("\"delta\":{\"content\":\"c", as_usize(chunks))),
            ends_with: "data: [DONE]\n\n",
        }
    };
    Variant {
        name: name.to_owned(),
        what: what.to_owned(),
        through: Through::Plain,
        baseline: None,
        target: None,
        chunks,
        model: model.to_owned(),
        path: "/openai/v1/chat/completions",
        headers: vec![("authorization", format!("Bearer {DEFAULT_API_KEY}"))],
        body,
        expected,
    }
}

/// Chat completions through the gateway: the baseline's request and answer, but for the path and the model's name.
fn chat(name: &str, what: &str, baseline: &str, model: &str, chunks: u32) -> Variant {
    let plain = plain(name, what, model, chunks);
    let mut body = plain.body;
    if let Some(body) = body.as_object_mut() {
        body.insert("model".to_owned(), format!("openai:{model}").into());
    }
    Variant {
        through: Through::Stateless,
        baseline: Some(baseline.to_owned()),
        path: "/v1/chat/completions",
        headers: Vec::new(),
        body,
        ..plain
    }
}

/// The unified API.
fn gateway(name: &str, what: &str, through: Through, baseline: &str, model: &str, chunks: u32) -> Variant {
    let expected = if chunks == 0 {
        let mut contains = vec![echo(model)];
        contains.extend((through == Through::Sessions).then(|| "\"sessionId\":\"".to_owned()));
        Expected { contains, counted: None, ends_with: "}" }
    } else {
        let text: String = (1..=chunks).map(|number| format!("c{number} ")).collect();
        let end = format!("event: end\ndata: {{\"response\":{{\"text\":\"{text}\"");
        let content = ("event: content\n", as_usize(chunks));
        Expected { contains: vec![end], counted: Some(content), ends_with: "\n\n" }
    };
    Variant {
        name: name.to_owned(),
        what: what.to_owned(),
        through,
        baseline: Some(baseline.to_owned()),
        target: None,
        chunks,
        model: model.to_owned(),
        path: if chunks == 0 { "/api/v1/prompt" } else { "/api/v1/stream" },
        headers: Vec::new(),
        body: json!({"prompt": PROMPT, "models": [format!("openai:{model}")]}),
        expected,
    }
}

/// What the simulator answers, the first words of it.
fn echo(model: &str) -> String {
    format!("openai/{model}: {PROMPT}")
}

fn as_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl Expected {
    /// Whether `body` is what it should be; `Err` says what is missing.
    pub(crate) fn check(&self, body: &str) -> Result<()> {
        if let Some(missing) = self.contains.iter().find(|text| !body.contains(text.as_str())) {
            bail!("the answer does not contain {missing:?}");
        }
        if let Some((text, times)) = self.counted {
            let found = body.matches(text).count();
            if found != times {
                bail!("the answer contains {text:?} {found} times instead of {times}");
            }
        }
        if !body.ends_with(self.ends_with) {
            bail!("the answer does not end with {:?}", self.ends_with);
        }
        if body.contains("\"stored\":false") {
            bail!("the turn was not stored in time");
        }
        Ok(())
    }
}
