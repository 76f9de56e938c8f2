//! A whole fleet under more load than a limit lets through: what is let through in each window, whatever breaks.
//!
//! Acceptances are counted by the simulator and, independently, by the clients. Windows are told by the simulator's clock,
//! which is Valkey's, for both run on this machine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use ai_warp_tests::{Gateway, Stack};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::{rate, rest_of_window, window_of};

/// Length of a window.
const WINDOW: Duration = Duration::from_secs(2);

/// What it lets through.
const MAX: usize = 100;

/// Clients, each with a connection of its own.
const CLIENTS: usize = 4;

/// Time between two looks at what the simulator has seen, which remembers a bounded number of requests.
const LOOK: Duration = Duration::from_millis(250);

/// Until then every worker has found that the store is back.
const BACK_WITHIN: Duration = Duration::from_secs(3);

/// Wait of a client that cannot connect.
const RECONNECT: Duration = Duration::from_millis(20);

/// An answer, as its client saw it.
#[derive(Debug)]
struct Answer {
    id: String,
    asked: SystemTime,
    answered: SystemTime,
}

/// What one client saw.
#[derive(Debug, Default)]
struct Seen {
    answers: Vec<Answer>,
    refusals: usize,
    broken: usize,
}

/// Asks as fast as it can until `stop`.
async fn client(number: usize, gateway: Gateway, stop: Arc<AtomicBool>) -> Seen {
    let mut seen = Seen::default();
    for turn in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (id, asked) = (format!("client-{number}-{turn}"), SystemTime::now());
        match gateway.try_prompt(&json!({"prompt": id})).await {
            Ok(reply) if reply.status == 200 => {
                seen.answers.push(Answer { id, asked, answered: SystemTime::now() });
            }
            Ok(reply) => {
                assert_eq!(reply.error(), (429, "PROVIDER_RATE_LIMIT_ERROR".to_owned()), "{}", reply.text());
                let retry_after: u64 = reply.header("retry-after").parse().expect("a number of seconds");
                assert!((1..=WINDOW.as_secs()).contains(&retry_after), "retry-after {retry_after}");
                seen.refusals += 1;
            }
            Err(_) => {
                seen.broken += 1;
                sleep(RECONNECT).await;
            }
        }
    }
    seen
}

/// Clients at work.
struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Seen>>,
    /// When the simulator received each request, by the id in its prompt.
    received: BTreeMap<String, SystemTime>,
}

/// What came of a load.
struct Outcome {
    /// What the simulator received in each window, the first and the last one left out because the load did not last for
    /// all of them.
    windows: BTreeMap<u128, usize>,
    /// Requests that the simulator received and no client got an answer of.
    unanswered: usize,
}

impl Load {
    fn start(stack: &Stack) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let clients = (0..CLIENTS).map(|number| {
            // Connections are not shared, as those of clones would be.
            let gateway = Gateway::new(stack.envoys[number % stack.envoys.len()].gateway().address());
            tokio::spawn(client(number, gateway, Arc::clone(&stop)))
        });
        stack.simulator.clear();
        Self { clients: clients.collect(), stop, received: BTreeMap::new() }
    }

    /// Lets the clients work for so long.
    async fn go_on(&mut self, stack: &Stack, span: Duration) {
        let end = SystemTime::now() + span;
        while let Ok(left) = end.duration_since(SystemTime::now()) {
            sleep(left.min(LOOK)).await;
            self.look(stack);
        }
    }

    /// Lets them work until so much of a window is over, the next one at the earliest.
    async fn go_on_until(&mut self, stack: &Stack, into_window: Duration) {
        self.go_on(stack, rest_of_window(WINDOW) + into_window).await;
    }

    fn look(&mut self, stack: &Stack) {
        let received = stack.simulator.requests().into_iter().map(|request| {
            let id = request.body["messages"].as_array().and_then(|messages| messages.last());
            (id.map_or(String::new(), |message| text(&message["content"])), request.received)
        });
        self.received.extend(received);
    }

    async fn end(mut self, stack: &Stack, what: &str) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        let mut answers = Vec::new();
        let (mut refusals, mut broken) = (0, 0);
        for client in self.clients.drain(..) {
            let seen = client.await.expect("a client that does not panic");
            answers.extend(seen.answers);
            refusals += seen.refusals;
            broken += seen.broken;
        }
        self.look(stack);
        let mut unanswered = self.received.clone();
        for Answer { id, asked, answered } in &answers {
            let received = unanswered.remove(id).unwrap_or_else(|| panic!("{id} was never received"));
            assert!(*asked <= received && received <= *answered, "{id}");
        }
        let mut windows = BTreeMap::new();
        for received in self.received.values() {
            *windows.entry(window_of(*received, WINDOW)).or_default() += 1;
        }
        eprintln!(
            "{what}: {:?} in each window, {} without an answer; {refusals} refusals, {broken} broken",
            windows.values().collect::<Vec<_>>(),
            unanswered.len(),
        );
        windows.pop_first();
        windows.pop_last();
        Outcome { windows, unanswered: unanswered.len() }
    }
}

fn text(content: &Value) -> String {
    content.as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_under_load_lets_through_what_it_may_whatever_breaks() {
    let secs = std::env::var("AI_WARP_SATURATION_SECS").ok().and_then(|secs| secs.parse().ok()).unwrap_or(10);
    let span = Duration::from_secs(secs);
    let mut stack = Stack::builder()
        .envoys(2)
        .workers(2)
        .storage("valkey")
        .set("limits.rate", rate(MAX as u64, "2s"))
        .control_plane_log("info")
        .alone()
        .start()
        .await;

    let mut load = Load::start(&stack);
    load.go_on(&stack, span).await;
    let calm = load.end(&stack, "nothing breaks").await;
    assert_eq!(calm.unanswered, 0);
    expect_full(calm.windows.values());

    let mut load = Load::start(&stack);
    load.go_on_until(&stack, span / 2).await;
    load.go_on_until(&stack, WINDOW / 2).await;
    stack.envoys[0].restart().await;
    load.go_on(&stack, span / 2).await;
    let killed = load.end(&stack, "an Envoy is killed and restarted").await;
    assert!(killed.unanswered <= CLIENTS / 2, "{} without an answer", killed.unanswered);
    expect_full(killed.windows.values());

    let mut load = Load::start(&stack);
    load.go_on_until(&stack, span / 2).await;
    load.go_on_until(&stack, WINDOW / 2).await;
    let returns = window_of(SystemTime::now(), WINDOW);
    stack.valkey.as_mut().unwrap().restart_empty().await;
    let back = window_of(SystemTime::now() + BACK_WITHIN, WINDOW);
    load.go_on(&stack, BACK_WITHIN + span / 2).await;
    let restarted = load.end(&stack, "Valkey is restarted without its data").await;
    assert_eq!(restarted.unanswered, 0);
    expect_full(restarted.windows.range(..returns).map(|(_, accepted)| accepted));
    // What was counted is remembered, so the window in which the data is lost is not over its limit.
    assert!(restarted.windows.get(&returns) <= Some(&MAX), "{:?}", restarted.windows);
    expect_return(&restarted.windows, returns, back);

    let mut load = Load::start(&stack);
    load.go_on_until(&stack, span / 2).await;
    load.go_on_until(&stack, WINDOW / 2).await;
    stack.valkey.as_mut().unwrap().kill();
    load.go_on_until(&stack, WINDOW * 5 / 2).await;
    let returns = window_of(SystemTime::now(), WINDOW);
    stack.valkey.as_mut().unwrap().restart_empty().await;
    let back = window_of(SystemTime::now() + BACK_WITHIN, WINDOW);
    load.go_on(&stack, BACK_WITHIN + span / 2).await;
    let away = load.end(&stack, "Valkey is away and comes back without its data").await;
    assert_eq!(away.unanswered, 0);
    // Each worker goes on with its share of the last whole window. These sum up to what a window lets through, and here the
    // load stays as it is, so the bound is the same while all are on their own.
    let alone = away.windows.range(..returns).map(|(_, accepted)| *accepted);
    assert!(alone.max() <= Some(MAX), "{:?}", away.windows);
    expect_return(&away.windows, returns, back);
}

/// Where some workers are back before a window begins and some after, those are granted what these take, too: up to one
/// more budget. After that the limit holds, and is used up.
#[track_caller]
fn expect_return(windows: &BTreeMap<u128, usize>, returns: u128, back: u128) {
    let returning = windows.range(returns..=back).map(|(_, accepted)| *accepted);
    assert!(returning.max() <= Some(2 * MAX), "{windows:?}");
    expect_full(windows.range(back + 1..).map(|(_, accepted)| accepted));
}

/// Each window is full, and no fuller than that.
#[track_caller]
fn expect_full<'a>(windows: impl Iterator<Item = &'a usize>) {
    let all: Vec<_> = windows.copied().collect();
    assert!(!all.is_empty());
    assert!(all.iter().all(|accepted| (MAX - 1..=MAX).contains(accepted)), "{all:?}");
}
