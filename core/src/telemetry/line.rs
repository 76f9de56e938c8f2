//! The part of an access-log line that only the filter knows.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::chat::Usage;
use crate::config::PICOS_PER_MICRO;
use crate::exchange::{Exchange, Try};

/// Most bytes of a prompt, and of an answer, in a line.
pub const MAX_CONTENT_BYTES: usize = 16 << 10;

/// Most bytes of anything else that a client chose.
const MAX_TEXT_BYTES: usize = 1 << 10;

/// Digits of a cost after the point.
const COST_DIGITS: usize = 12;

/// What is told of a request beside what Envoy knows.
#[derive(Debug, Default)]
pub struct Line<'a> {
    /// The id that Envoy gave the request.
    pub request_id: &'a [u8],
    /// Its method, as the client wrote it.
    pub method: &'a [u8],
    /// Its path, as the client wrote it.
    pub path: &'a [u8],
    /// The consumer's id, where consumers are known.
    pub consumer: Option<&'a str>,
    /// How it ended, see [`End::word`](crate::exchange::End::word).
    pub outcome: &'static str,
    /// What became of it, where it came so far.
    pub exchange: Option<&'a Exchange>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Members<'a> {
    request_id: String,
    method: String,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumer: Option<&'a str>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    exchange: Option<Known<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Known<'a> {
    route: &'a str,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    attempts: Vec<Attempt<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    passed_over: Vec<PassedOver<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<Tokens>,
    /// In the currency of the prices.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<uuid::Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_token_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stored: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
}

#[derive(Serialize)]
struct Attempt<'a> {
    model: &'a str,
    /// Where the provider has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    result: &'static str,
    ms: u64,
}

#[derive(Serialize)]
struct PassedOver<'a> {
    model: &'a str,
    reason: &'static str,
}

#[derive(Serialize)]
struct Tokens {
    input: u64,
    output: u64,
    cached: u64,
    reasoning: u64,
}

impl Line<'_> {
    /// The members of a JSON object, each with a comma after it: Envoy adds its own, and the braces. What a client chose is
    /// escaped and bounded.
    pub fn members(&self) -> String {
        let members = Members {
            request_id: text(self.request_id),
            method: text(self.method),
            path: text(self.path),
            consumer: self.consumer,
            outcome: self.outcome,
            exchange: self.exchange.map(known),
        };
        // Maps with texts for keys have no way to fail.
        let mut json = serde_json::to_string(&members).unwrap_or_default();
        if json.pop().is_some() {
            json.remove(0);
            json.push(',');
        }
        json
    }
}

fn known(exchange: &Exchange) -> Known<'_> {
    let journal = exchange.journal();
    let models = &exchange.gateway().models;
    let id = |model: usize| models.get(model).map(|model| model.id.as_str()).unwrap_or_default();
    let content = exchange.gateway().logging.content.then(|| exchange.content()).flatten();
    let (prompt, answer) = content.unzip();
    let cut = |text: String| bounded(text, MAX_CONTENT_BYTES);
    Known {
        route: exchange.route_name(),
        stream: exchange.is_stream(),
        model: exchange.last_model(),
        attempts: journal.tries().iter().map(|attempt| told(exchange, attempt)).collect(),
        passed_over: journal
            .fallbacks()
            .iter()
            .map(|(model, reason)| PassedOver { model: id(*model), reason: reason.word() })
            .collect(),
        tokens: exchange.usage().map(|Usage { input, output, cached, reasoning, cache_write: _ }| Tokens {
            input,
            output,
            cached,
            reasoning,
        }),
        cost: exchange.cost().and_then(|cost| RawValue::from_string(decimal(cost)).ok()),
        session: exchange.session(),
        first_token_ms: journal.first_content_after_ms(),
        commit_ms: journal.commit().map(|commit| commit.took_ms),
        stored: journal.commit().map(|commit| commit.is_stored),
        prompt: prompt.map(cut),
        answer: answer.map(cut),
    }
}

fn told<'a>(exchange: &'a Exchange, attempt: &Try) -> Attempt<'a> {
    let gateway = exchange.gateway();
    let model = gateway.models.get(attempt.model);
    let endpoints = model.and_then(|model| gateway.provider(model)).map(|provider| &provider.endpoints);
    let endpoint = endpoints.filter(|endpoints| endpoints.len() > 1);
    Attempt {
        model: model.map(|model| model.id.as_str()).unwrap_or_default(),
        endpoint: endpoint
            .and_then(|endpoints| endpoints.get(attempt.endpoint))
            .map(|endpoint| endpoint.name.as_str()),
        status: attempt.status,
        result: attempt.end.map_or("under_way", crate::exchange::TryEnd::word),
        ms: attempt.took_ms,
    }
}

/// A cost in whole units, as JSON writes a number.
fn decimal(cost: u64) -> String {
    const UNIT: u64 = PICOS_PER_MICRO * PICOS_PER_MICRO;
    let written = format!("{}.{:0>COST_DIGITS$}", cost / UNIT, cost % UNIT);
    let short = written.trim_end_matches('0');
    if short.ends_with('.') { format!("{short}0") } else { short.to_owned() }
}

fn text(bytes: &[u8]) -> String {
    let bytes = bytes.get(..MAX_TEXT_BYTES).unwrap_or(bytes);
    String::from_utf8_lossy(bytes).into_owned()
}

fn bounded(mut text: String, bytes: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes));
    text
}
