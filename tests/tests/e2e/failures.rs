//! Every cell of the failure table: what the client is told, what is tried, and how the model is afterwards.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use ai_warp_simulator::{Outcome as Ended, Provider, RECORDED_REQUESTS_MAX, RecordedRequest};
use ai_warp_tests::failures::{Cell, Mode, Next, Place, State, Told, cells};
use ai_warp_tests::{
    Config, Ending, Full, ModelState, PATIENCE, Refusing, Reply, Stack, Strange, eventually,
};
use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};

/// Cells under way at once: so many that waits overlap, so few that nothing waits for the machine.
const CELLS_AT_ONCE: usize = 12;

/// `limits.retry.max`.
const RETRIES: usize = 1;

/// `limits.maxResponseBytes`, less than what the cells of too large answers send.
const MAX_RESPONSE_BYTES: usize = 65_536;

/// `restore.KEY` in seconds, all different, so that a rest tells what it is for.
const RESTS: [(&str, u64); 6] = [
    ("rateLimit", 1_000),
    ("retry", 2_000),
    ("timeout", 3_000),
    ("providerCommunicationError", 4_000),
    ("providerExceededError", 5_000),
    ("credential", 6_000),
];

/// How much of a rest may be over when it is looked at.
const REST_SLACK: Duration = Duration::from_secs(40);

/// A model that is asked last and refuses its key. Reports of a gateway arrive in order: when the state of this one is
/// known, so is that of all others.
const LAST: &str = "last~status=401";

/// The dialect that answers where `provider` fails.
fn follower(provider: Provider) -> Provider {
    match provider {
        Provider::OpenAi => Provider::DeepSeek,
        Provider::DeepSeek => Provider::Gemini,
        _ => Provider::OpenAi,
    }
}

/// The servers of [`Place`], each as unhelpful as it should be for as long as this lives.
struct Places {
    refused: Refusing,
    plain_text: Strange,
    silent_tls: Strange,
    full: Full,
}

impl Places {
    async fn new() -> Self {
        Self {
            refused: Refusing::new(),
            plain_text: Strange::plain_text().await,
            silent_tls: Strange::silent().await,
            full: Full::new().await,
        }
    }

    fn base_url(&self, place: Place) -> String {
        match place {
            Place::Refused => self.refused.base_url(),
            Place::Nowhere => "http://does-not-exist.invalid/v1".to_owned(),
            Place::PlainText => format!("https://{}/v1", self.plain_text.address()),
            Place::SilentTls => format!("https://{}/v1", self.silent_tls.address()),
            Place::Full => format!("http://{}/v1", self.full.address()),
        }
    }

    /// Name and configuration of a provider for each dialect at each place.
    fn providers(&self, dialects: &[Provider]) -> Vec<(String, Value)> {
        let provider = |dialect: Provider, place: Place| {
            let name = format!("{dialect}-{}", place.name());
            (name, json!({"dialect": dialect, "baseUrl": self.base_url(place), "apiKey": "k"}))
        };
        let dialects = dialects.iter().copied();
        dialects.flat_map(|dialect| Place::ALL.map(|place| provider(dialect, place))).collect()
    }
}

/// What a cell comes to.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    /// What the client got.
    client: String,
    /// Requests that were made for it, as the client is told.
    attempts: usize,
    /// Requests that the failing provider saw.
    asked: usize,
    /// Requests that the model after it saw.
    follower_asked: usize,
}

impl Outcome {
    fn expected(cell: &Cell) -> Self {
        let tries = if cell.line.next == Next::SameModel { 1 + RETRIES } else { 1 };
        let follows = cell.followed && cell.line.next != Next::Nothing;
        let told = match cell.line.told {
            Told::Error(status, code) => format!("{status} {code}"),
            Told::Event(code) => format!("content, event: error {code}"),
        };
        Self {
            client: if follows { format!("an answer of {}", follower(cell.provider)) } else { told },
            attempts: tries + usize::from(follows),
            asked: if cell.place().is_some() { 0 } else { tries },
            follower_asked: usize::from(follows),
        }
    }
}

/// What the client of a cell gets, and after how many attempts.
async fn ask(stack: &Stack, cell: &Cell) -> (String, usize) {
    let mut models = vec![cell.id()];
    if cell.followed {
        models.push(format!("{}:ok", follower(cell.provider)));
    }
    // Words enough for every fault in the middle of an answer, and a mark to know the request by.
    let body = json!({"prompt": format!("{} one two three four", mark(cell)), "models": models});
    if cell.line.is_after_commit() {
        return ask_and_open_the_gate(stack, cell, body).await;
    }
    let reply = match cell.mode {
        Mode::Whole => stack.prompt(body).await,
        Mode::Stream => stack.gateway().stream_as_reply(body).await,
    };
    (told(&reply, cell.mode), reply.attempts())
}

/// What the prompt of a cell begins with, and no other.
fn mark(cell: &Cell) -> String {
    format!("<{} {}>", cell.provider, cell.name())
}

fn told(reply: &Reply, mode: Mode) -> String {
    let text = reply.text();
    if reply.status != 200 {
        let (status, code) = reply.error();
        return format!("{status} {code}");
    }
    let is_complete = match mode {
        Mode::Whole => reply.json()["result"] == "COMPLETE",
        Mode::Stream => text.contains("event: end") && !text.contains("event: error"),
    };
    match reply.model().split_once(':') {
        Some((provider, "ok")) if is_complete => format!("an answer of {provider}"),
        _ => format!("200 of {}: {text}", reply.model()),
    }
}

async fn ask_and_open_the_gate(stack: &Stack, cell: &Cell, body: Value) -> (String, usize) {
    let mut stream = stack.stream(body).await;
    let attempts = stream.header("x-ai-warp-attempts").parse().unwrap_or(usize::MAX);
    stream.next_content().await;
    stack.simulator.open_gate(&cell.name());
    let transcript = stream.rest().await;
    let others: Vec<_> = transcript.events.iter().filter(|event| event.name != "content").collect();
    let told = match (others.as_slice(), transcript.events.last()) {
        ([error], Some(last)) if last.name == "error" && transcript.ending == Ending::Clean => {
            format!("content, event: error {}", error.data["code"].as_str().unwrap_or("without a code"))
        }
        _ => format!("{:?} and then {others:?}", transcript.ending),
    };
    (told, attempts)
}

/// What was asked of the simulator for a cell: of the model that fails, and of the one after it.
fn asked(requests: &[RecordedRequest], cell: &Cell) -> (usize, usize) {
    let mark = mark(cell);
    let of_cell: Vec<_> =
        requests.iter().filter(|request| request.body.to_string().contains(&mark)).collect();
    let failing = of_cell.iter().filter(|request| request.model == cell.model()).count();
    (failing, of_cell.len() - failing)
}

/// How a model is not as its cell says; `None` where it is.
fn wrong_state(cell: &Cell, state: Option<&ModelState>) -> Option<String> {
    let Some(found) = state else { return Some(format!("{}: /status does not tell", cell.name())) };
    let (wanted, rest) = match cell.line.state {
        State::Ready => (("ready", None), None),
        State::Rests(reason) => {
            let configured = RESTS.iter().find(|(key, _)| *key == reason).map(|(_, seconds)| *seconds);
            (("error", Some(reason)), cell.stated_rest_secs().or(configured).map(Duration::from_secs))
        }
    };
    let is_right = (found.state.as_str(), found.reason.as_deref()) == wanted;
    let rests_right = match (rest, found.retry_in) {
        // Stated and configured rests are in whole seconds here, or round up to them.
        (Some(rest), Some(left)) => left <= rest + Duration::from_secs(1) && left + REST_SLACK >= rest,
        (None, None) => true,
        _ => false,
    };
    let wrong = || format!("{}: {found:?} instead of {wanted:?} for {rest:?}", cell.name());
    (!is_right || !rests_right).then(wrong)
}

fn configure(config: &mut Config, providers: Vec<(String, Value)>, cells: &[Cell], timeout: &str) {
    for (name, provider) in providers {
        config.provider(&name, provider);
    }
    let followers = Provider::CORE.map(|provider| format!("{provider}:ok"));
    let last = format!("openai:{LAST}");
    config
        .models(cells.iter().map(Cell::id).chain(followers).chain([last]))
        .set("limits.requestTimeout", timeout)
        .set("limits.maxResponseBytes", MAX_RESPONSE_BYTES)
        .set("limits.retry", json!({"max": RETRIES, "interval": "20ms"}));
    config.set("breaker.failures", 1);
    for (key, seconds) in RESTS {
        config.set(&format!("restore.{key}"), format!("{seconds}s"));
    }
}

/// Tries `cells` on a stack of their own.
async fn try_all(dialects: &[Provider], cells: Vec<Cell>, timeout: &str, at_once: usize) {
    assert!(!cells.is_empty());
    let places = Places::new().await;
    let (providers, of_config, timeout) = (places.providers(dialects), cells.clone(), timeout.to_owned());
    let stack = Stack::builder()
        .configure(move |config| configure(config, providers, &of_config, &timeout))
        // Models without number at debug level would cost more time than the requests.
        .control_plane_log("info")
        .start()
        .await;
    let answers: Vec<_> = stream::iter(&cells)
        .map(async |cell| (cell, AssertUnwindSafe(ask(&stack, cell)).catch_unwind().await))
        .buffer_unordered(at_once)
        .collect()
        .await;
    let requests = settled_requests(&stack).await;
    let mut wrong = Vec::new();
    for (cell, answer) in answers {
        let (asked, follower_asked) = asked(&requests, cell);
        let expected = Outcome::expected(cell);
        match answer {
            Ok((client, attempts)) => {
                let outcome = Outcome { client, attempts, asked, follower_asked };
                if outcome != expected {
                    wrong.push(format!("{}\n   is {outcome:?}\n  not {expected:?}", cell.id()));
                }
            }
            // What it said stands above.
            Err(_) => wrong.push(format!("{}\n   panicked\n  not {expected:?}", cell.id())),
        }
    }
    stack.expect_no_leaks();
    wrong.extend(wrong_states(&stack, &cells).await);
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), cells.len(), wrong.join("\n"));
}

/// What the simulator saw, once nothing is left of any request: neither there nor in the gateway.
async fn settled_requests(stack: &Stack) -> Vec<RecordedRequest> {
    let is_over = |request: &RecordedRequest| request.outcome != Ended::InProgress;
    let all_over = |requests: &[RecordedRequest]| requests.iter().all(is_over);
    let requests = stack.simulator.wait_for(all_over, PATIENCE).await.unwrap();
    assert!(requests.len() < RECORDED_REQUESTS_MAX, "the simulator forgets requests");
    stack.wait_until_no_exchange_lives().await;
    requests
}

/// The models that are not as their cells say.
async fn wrong_states(stack: &Stack, cells: &[Cell]) -> Vec<String> {
    let last = format!("openai:{LAST}");
    assert_eq!(stack.ask(&last).await.status, 502);
    eventually(&format!("/status tells how {last} is"), PATIENCE, async || {
        let models = stack.control_plane.models().await;
        let state = models.get(&last).map(|model| model.state.clone());
        if state.as_deref() == Some("error") { Ok(()) } else { Err(format!("{state:?}")) }
    })
    .await;
    let models = stack.control_plane.models().await;
    let followers = Provider::CORE.map(|provider| format!("{provider}:ok"));
    let resting = followers.iter().filter(|id| models.get(*id).is_none_or(|model| model.state != "ready"));
    let resting = resting.map(|id| format!("{id} only answered: {:?}", models.get(id)));
    cells.iter().filter_map(|cell| wrong_state(cell, models.get(&cell.id()))).chain(resting).collect()
}

async fn try_dialect(provider: Provider) {
    try_all(&[provider], cells(&[provider], false), "500ms", CELLS_AT_ONCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn openai_fails_as_the_table_says() {
    try_dialect(Provider::OpenAi).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deepseek_fails_as_the_table_says() {
    try_dialect(Provider::DeepSeek).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gemini_fails_as_the_table_says() {
    try_dialect(Provider::Gemini).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_not_made_fail_as_the_table_says() {
    let patient = cells(&Provider::CORE, true);
    let all_at_once = patient.len();
    try_all(&Provider::CORE, patient, "20s", all_at_once).await;
}
