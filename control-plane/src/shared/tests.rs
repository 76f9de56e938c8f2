//! The promises that both stores keep, checked against each.
//!
//! Every check has two doors to the state: of one store in memory the same twice, of Valkey two control planes. Memory is
//! checked with a clock that stands still unless somebody waits. Valkey is tested as the sessions are, see
//! `store/tests.rs`.

mod data_loss;

use std::collections::BTreeMap;
use std::time::Duration;

use ai_warp_core::config::{Breaker, ClientLimits, Config, Limit, compile};
use ai_warp_core::health::{Fault, ProbeResult, Reason};
use ai_warp_core::sync::{NEWS_WAIT_MS, Observed, ProbeAsk, QuotaAsk, QuotaGrant, Report, TargetError};
use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::*;
use crate::store::MemoryStore;
use crate::store::test_server::{PATIENCE, Server};

/// Rest of a model after a failure.
const REST_MS: u64 = 60;

/// A window that no test outlives, unless it runs at midnight; sums are of each window for that.
const DAY_MS: u64 = 86_400_000;

const TARGET: &str = "openai:m";

fn gateway() -> Gateway {
    let json = serde_json::json!({"providers": {"openai": {}}, "models": ["openai:m", "openai:n"]});
    let config: Config = serde_json::from_value(json).unwrap();
    let mut gateway = compile(&config).unwrap();
    gateway.breaker = Breaker { failures: 1, window_ms: DAY_MS, max_restore_ms: DAY_MS };
    gateway.client_limits = Some(ClientLimits {
        header: Some("x-client".to_owned()),
        rate: Some(Limit { max: 10, window_ms: DAY_MS }),
        tokens: None,
    });
    for model in &mut gateway.models {
        model.rate = Limit { max: 1_000, window_ms: DAY_MS };
        model.restore.retry_ms = REST_MS;
        model.restore.credential_ms = DAY_MS;
    }
    for route in &mut gateway.routes {
        route.limits.tokens = Some(Limit { max: 100, window_ms: DAY_MS });
    }
    gateway
}

fn quota() -> QuotaKey {
    QuotaKey::ModelRate(TARGET.to_owned())
}

fn failed(id: u64, reason: Reason) -> FleetSync {
    let what = Observed::Failed(Fault { reason, stated_rest_ms: None });
    let report = Report { target: TARGET.to_owned(), age_ms: 0, id, what };
    FleetSync { reports: vec![report], ..FleetSync::default() }
}

fn probed(id: u64, result: ProbeResult) -> FleetSync {
    let report = Report { target: TARGET.to_owned(), age_ms: 0, id, what: Observed::Probed(result) };
    FleetSync { reports: vec![report], ..FleetSync::default() }
}

fn claim(id: u64, life_ms: u64) -> FleetSync {
    let ask = ProbeAsk { target: TARGET.to_owned(), id, life_ms };
    FleetSync { probes: vec![ask], ..FleetSync::default() }
}

fn ask(quota: QuotaKey, need: u64, want: u64) -> QuotaAsk {
    QuotaAsk { quota, need, want, returned: 0, window: 0 }
}

fn asks(quotas: Vec<QuotaAsk>) -> FleetSync {
    FleetSync { quotas, ..FleetSync::default() }
}

async fn grant(shared: &Shared, gateway: &Gateway, ask: QuotaAsk) -> QuotaGrant {
    shared.sync(&asks(vec![ask]), gateway).await.unwrap().quotas[0]
}

/// The state of the one target of a reply.
fn error(reply: &FleetReply) -> Option<TargetError> {
    assert_eq!(reply.targets.len(), 1);
    assert_eq!(reply.targets[0].target, TARGET);
    reply.targets[0].error
}

/// The news that are as `wanted`.
async fn news(shared: &Shared, wanted: impl Fn(&FleetNews) -> bool) -> FleetNews {
    let found = async {
        let mut news = shared.news("-").await.unwrap();
        while !wanted(&news) {
            news = shared.news(&news.version).await.unwrap();
        }
        news
    };
    timeout(PATIENCE, found).await.expect("in time")
}

async fn a_new_worker_is_told_of_everything_that_rests(first: &Shared, second: &Shared) {
    let gateway = gateway();
    first.sync(&failed(1, Reason::Credential), &gateway).await.unwrap();
    let heard = news(second, |news| !news.targets.is_empty()).await;
    let told = news(first, |news| !news.targets.is_empty()).await;
    assert_eq!(heard.version, told.version, "what all know is no news to those who heard it elsewhere");
    let sync = FleetSync { quotas: vec![ask(quota(), 1, 1)], ..FleetSync::default() };
    assert!(second.sync(&sync, &gateway).await.unwrap().targets.is_empty());
    let reply = second.sync(&FleetSync { is_new: true, ..sync }, &gateway).await.unwrap();
    assert_eq!(error(&reply).map(|error| error.reason), Some(Reason::Credential));
    assert!(!reply.memory.is_empty());
}

/// Runs a check on a store of each kind.
macro_rules! checks {
    ($($check:ident),* $(,)?) => {
        mod in_memory {
            $(#[tokio::test(start_paused = true)]
            async fn $check() {
                let shared = super::Shared::Memory(super::MemoryShared::default());
                super::$check(&shared, &shared).await;
            })*
        }

        mod in_valkey {
            $(#[tokio::test]
            async fn $check() {
                let Some(server) = super::Server::start(&[]).await else { return };
                let (first, second) = super::two(&server, false).await;
                super::$check(&first, &second).await;
            })*
        }

        /// One server for all, because a cluster is slow to form.
        #[tokio::test]
        async fn in_a_valkey_cluster() {
            let Some(server) = Server::start_cluster().await else { return };
            $({
                let _: String = server.command(&["FLUSHALL"]).await;
                let (first, second) = two(&server, true).await;
                $check(&first, &second).await;
            })*
        }
    };
}

checks! {
    a_failure_is_told_to_all_and_a_probe_mends_it,
    one_probe_is_given_among_many_claims,
    every_failure_counts_once,
    shares_add_up_to_the_limit,
    shares_are_reckoned_alike,
    what_nobody_limits_or_knows_is_let_through,
    contention_is_told_until_the_window_is_over,
    status_shows_models_and_quotas,
    a_new_worker_is_told_of_everything_that_rests,
}

/// Two control planes.
async fn two(server: &Server, cluster: bool) -> (Shared, Shared) {
    let first = server.store(|config| config.cluster = cluster).await;
    let second = server.store(|config| config.cluster = cluster).await;
    (Shared::open(&first), Shared::open(&second))
}

async fn a_failure_is_told_to_all_and_a_probe_mends_it(first: &Shared, second: &Shared) {
    // Longer than the second door may take to hear of it.
    let rest_ms = 800;
    let mut gateway = gateway();
    gateway.models[0].restore.retry_ms = rest_ms;
    let before = news(second, |news| news.targets.is_empty()).await;
    let begin = Instant::now();
    let (told, reply) = tokio::join!(second.news(&before.version), async {
        first.sync(&failed(1, Reason::Retry), &gateway).await.unwrap()
    });
    // What the fleet is promised; the store in memory does it at once.
    let promised = if matches!(first, Shared::Memory(_)) { 1 } else { 1_000 };
    assert!(begin.elapsed() < Duration::from_millis(promised), "waited {:?}", begin.elapsed());
    let rest = error(&reply).unwrap();
    assert_eq!(rest.reason, Reason::Retry);
    assert!((rest_ms / 2..=rest_ms).contains(&rest.retry_in_ms), "{rest:?}");
    let told = told.unwrap();
    assert_eq!((told.targets.len(), told.targets[0].target.as_str()), (1, TARGET));
    assert_eq!((&told.memory, told.version == before.version), (&before.memory, false));

    assert_eq!(first.sync(&claim(7, 60_000), &gateway).await.unwrap().probes, [0; 0], "it rests");
    sleep(Duration::from_millis(rest_ms)).await;
    let reply = second.sync(&claim(7, 60_000), &gateway).await.unwrap();
    assert_eq!(reply.probes, [7]);
    assert!(error(&reply).unwrap().retry_in_ms > 30_000);
    news(first, |news| news.targets.iter().any(|news| news.error.unwrap().retry_in_ms > 30_000)).await;

    let reply = first.sync(&probed(8, ProbeResult::Succeeded), &gateway).await.unwrap();
    assert!(error(&reply).is_some(), "not its probe");
    assert_eq!(error(&first.sync(&probed(7, ProbeResult::Succeeded), &gateway).await.unwrap()), None);
    news(second, |news| news.targets.is_empty()).await;
}

async fn one_probe_is_given_among_many_claims(first: &Shared, second: &Shared) {
    let gateway = gateway();
    first.sync(&failed(1, Reason::Retry), &gateway).await.unwrap();
    sleep(Duration::from_millis(REST_MS)).await;
    let claims = (0..40).map(|id| {
        let (shared, gateway) = (if id % 2 == 0 { first } else { second }, &gateway);
        async move { shared.sync(&claim(id, 60_000), gateway).await.unwrap().probes }
    });
    let given = join_all(claims).await.concat();
    assert_eq!(given.len(), 1);
    // Given up it is due at once, for one that asks in the same message as well.
    let mut message = probed(given[0], ProbeResult::Abandoned);
    message.probes = claim(50, 100).probes;
    assert_eq!(first.sync(&message, &gateway).await.unwrap().probes, [50]);
    // Its life over, it is somebody else's.
    sleep(Duration::from_millis(100)).await;
    assert_eq!(second.sync(&claim(99, 60_000), &gateway).await.unwrap().probes, [99]);
}

async fn every_failure_counts_once(first: &Shared, second: &Shared) {
    let mut gateway = gateway();
    gateway.breaker.failures = 60;
    // Two of three are told twice, through both doors.
    let reports = (0..59_u64).flat_map(|id| [(id, first), (id, if id % 3 == 0 { first } else { second })]);
    let replies = join_all(reports.map(|(id, shared)| {
        let gateway = &gateway;
        async move { shared.sync(&failed(id, Reason::Timeout), gateway).await.unwrap() }
    }));
    assert!(replies.await.iter().all(|reply| error(reply).is_none()));
    let reply = second.sync(&failed(59, Reason::Timeout), &gateway).await.unwrap();
    assert_eq!(error(&reply).unwrap().reason, Reason::Timeout);
}

async fn shares_add_up_to_the_limit(first: &Shared, second: &Shared) {
    let gateway = gateway();
    let askers = (0..30_u64).map(|asker| {
        let (shared, gateway) = (if asker % 2 == 0 { first } else { second }, &gateway);
        async move {
            let mut grants = Vec::new();
            loop {
                let grant = grant(shared, gateway, ask(quota(), 1, 1 + asker)).await;
                grants.push(grant);
                if grant.granted == 0 {
                    return grants;
                }
            }
        }
    });
    let mut sums: BTreeMap<u64, u64> = BTreeMap::new();
    for grant in join_all(askers).await.concat() {
        assert!(grant.remaining_ms <= DAY_MS);
        *sums.entry(grant.window).or_default() += grant.granted;
    }
    assert!(sums.values().all(|sum| *sum == 1_000), "{sums:?}");
}

async fn shares_are_reckoned_alike(first: &Shared, second: &Shared) {
    let mut gateway = gateway();
    gateway.models[0].rate.max = 100;
    let window = grant(first, &gateway, ask(quota(), 0, 0)).await.window;
    let returns = |returned, window| QuotaAsk { returned, window, ..ask(quota(), 0, 0) };
    for (step, (ask, granted)) in [
        (ask(quota(), 1, 10), 10),
        (ask(quota(), 1, 90), 22),
        (ask(quota(), 40, 90), 40),
        (ask(quota(), 10, 5), 10),
        (ask(quota(), 0, 50), 4),
        (ask(quota(), 20, 50), 14),
        (ask(quota(), 1, 50), 0),
        (returns(30, window), 0),
        (ask(quota(), 30, 30), 30),
        // Of another window, or more than there is.
        (returns(30, window - 1), 0),
        (ask(quota(), 1, 1), 0),
        (QuotaAsk { need: 100, ..returns(1_000, window) }, 100),
        (ask(quota(), u64::MAX, u64::MAX), 0),
    ]
    .into_iter()
    .enumerate()
    {
        let shared = if step % 2 == 0 { first } else { second };
        assert_eq!(grant(shared, &gateway, ask).await.granted, granted, "step {step}");
    }
    // Many at once are answered in their order.
    let asked = [7, 0, 3].map(|need| ask(QuotaKey::ClientRate(Uuid::from_u128(1)), need, need));
    let reply = first.sync(&asks(asked.to_vec()), &gateway).await.unwrap();
    assert_eq!(reply.quotas.iter().map(|grant| grant.granted).collect::<Vec<_>>(), [7, 0, 3]);
    // A changed limit applies at once, and of another window nothing is spent yet.
    gateway.models[0].rate.max = 150;
    assert_eq!(grant(first, &gateway, ask(quota(), 60, 60)).await.granted, 50);
    gateway.models[0].rate.window_ms = DAY_MS / 2;
    assert_eq!(grant(first, &gateway, ask(quota(), 60, 60)).await.granted, 60);
}

async fn what_nobody_limits_or_knows_is_let_through(first: &Shared, _: &Shared) {
    let gateway = gateway();
    let mut message = failed(1, Reason::Retry);
    message.reports[0].target = "openai:other".to_owned();
    message.probes = claim(1, 1).probes;
    message.probes[0].target = "openai:other".to_owned();
    message.quotas = vec![
        ask(QuotaKey::ModelRate("openai:other".to_owned()), 1, 5),
        ask(quota(), 1, 5),
        ask(QuotaKey::ModelTokens(TARGET.to_owned()), 6, 5),
        ask(QuotaKey::ClientTokens(Uuid::nil()), 1, 7),
    ];
    let reply = first.sync(&message, &gateway).await.unwrap();
    assert_eq!((reply.targets.len(), reply.probes.len()), (0, 0));
    let unlimited = |granted| QuotaGrant { granted, window: 0, remaining_ms: 60_000 };
    assert_eq!([reply.quotas[0], reply.quotas[2], reply.quotas[3]], [5, 6, 7].map(unlimited));
    assert!(reply.quotas[1].window > 0);
}

async fn contention_is_told_until_the_window_is_over(first: &Shared, second: &Shared) {
    let mut gateway = gateway();
    gateway.models[0].rate = Limit { max: 4, window_ms: 1_000 };
    let client = QuotaKey::ClientRate(Uuid::from_u128(5));
    // At the end of a window it can be over before it is told.
    let mut grants = [4, 1].map(|need| ask(quota(), need, need)).to_vec();
    grants.push(ask(client.clone(), 11, 11));
    let remaining = loop {
        let reply = first.sync(&asks(grants.clone()), &gateway).await.unwrap();
        if reply.quotas[1].remaining_ms > 500 && reply.quotas[1].granted == 0 {
            break reply.quotas[1].remaining_ms;
        }
        sleep(Duration::from_millis(20)).await;
    };
    news(second, |news| news.contended == [quota(), client.clone()]).await;
    news(first, |news| news.contended.len() == 2).await;
    sleep(Duration::from_millis(remaining + 1)).await;
    let after = first.news_now().unwrap();
    assert_eq!(after.contended, std::slice::from_ref(&client), "{remaining}");
    // The next window is a new matter.
    assert_eq!(grant(first, &gateway, ask(quota(), 3, 3)).await.granted, 3);
}

async fn status_shows_models_and_quotas(first: &Shared, second: &Shared) {
    let gateway = gateway();
    first.sync(&failed(1, Reason::Credential), &gateway).await.unwrap();
    for shared in [first, second] {
        news(shared, |news| !news.targets.is_empty()).await;
        let status = serde_json::to_value(shared.status(&gateway)).unwrap();
        assert_eq!(
            status["problems"],
            serde_json::json!(["openai:m: the provider refuses the key (credential)"])
        );
        let error = &status["models"][0];
        assert_eq!((&error["model"], &error["state"]), (&"openai:m".into(), &"error".into()));
        assert_eq!((&error["reason"], &error["trips"]), (&"credential".into(), &1.into()));
        assert!(error["sinceMs"].as_u64().unwrap() > 1_600_000_000_000, "{error}");
        assert!(error["retryInMs"].as_u64().unwrap() > DAY_MS / 2, "{error}");
        let ready = serde_json::json!({"model": "openai:n", "state": "ready", "trips": 0});
        assert_eq!(status["models"][1], ready);
        assert_eq!(status["quotas"], serde_json::json!([]), "nobody asked");
    }
    grant(first, &gateway, ask(quota(), 1, 20)).await;
    let status = serde_json::to_value(first.status(&gateway)).unwrap();
    let spent = &status["quotas"][0];
    assert_eq!((&spent["quota"], &spent["max"]), (&"modelRate:openai:m".into(), &1_000.into()));
    assert_eq!(spent["granted"], 20);
    assert!(spent["windowEndsInMs"].as_u64().unwrap() <= DAY_MS);
    grant(first, &gateway, ask(QuotaKey::RouteTokens("default".to_owned()), 5, 5)).await;
    let status = serde_json::to_value(first.status(&gateway)).unwrap();
    let of_route = &status["quotas"][1];
    assert_eq!((&of_route["quota"], &of_route["max"]), (&"routeTokens:default".into(), &100.into()));
    assert_eq!(of_route["granted"], 5);
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_ends_without_news_and_tells_everything() {
    let shared = Shared::open(&Store::Memory(MemoryStore::default()));
    shared.sync(&failed(1, Reason::Credential), &gateway()).await.unwrap();
    let first = shared.news("-").await.unwrap();
    let begin = Instant::now();
    let second = shared.news(&first.version).await.unwrap();
    assert_eq!(begin.elapsed().as_millis(), u128::from(NEWS_WAIT_MS));
    assert_eq!((&second.version, second.targets.len()), (&first.version, 1));
    let left = |news: &FleetNews| news.targets[0].error.unwrap().retry_in_ms;
    assert_eq!(left(&second), left(&first) - NEWS_WAIT_MS);
}

#[tokio::test(start_paused = true)]
async fn a_new_window_is_a_new_budget() {
    let (shared, gateway) = (Shared::open(&Store::None), gateway());
    let first = grant(&shared, &gateway, ask(quota(), 1_000, 1_000)).await;
    sleep(Duration::from_millis(first.remaining_ms - 1)).await;
    let last = grant(&shared, &gateway, ask(quota(), 1, 1)).await;
    assert_eq!((last.granted, last.remaining_ms, last.window), (0, 1, first.window));
    sleep(Duration::from_millis(1)).await;
    let next = grant(&shared, &gateway, ask(quota(), 1, 1)).await;
    assert_eq!((next.granted, next.remaining_ms, next.window), (1, DAY_MS, first.window + 1));
}

#[tokio::test]
async fn what_is_kept_in_valkey_does_not_stay_for_ever() {
    let Some(server) = Server::start(&[]).await else { return };
    let (shared, _other) = two(&server, false).await;
    let mut message = failed(1, Reason::Credential);
    message.quotas = vec![ask(quota(), 1_001, 1_001)];
    shared.sync(&message, &gateway()).await.unwrap();
    for (key, life_ms) in [
        ("ai-warp:health".to_owned(), 7 * DAY_MS),
        (format!("ai-warp:quota:{{modelRate:openai:m}}:{DAY_MS}"), DAY_MS + 10_000),
        ("ai-warp:contended".to_owned(), DAY_MS),
    ] {
        let left: i64 = server.command(&["PTTL", &key]).await;
        assert!((1..=i64::try_from(life_ms).unwrap()).contains(&left), "{key}: {left}");
    }
    // Mended, nothing is left of it.
    let mut gateway = gateway();
    gateway.models[0].restore.retry_ms = 0;
    let _: i64 = server.command(&["HDEL", "ai-warp:health", TARGET]).await;
    shared.sync(&failed(2, Reason::Retry), &gateway).await.unwrap();
    shared.sync(&claim(3, 1_000), &gateway).await.unwrap();
    shared.sync(&probed(3, ProbeResult::Succeeded), &gateway).await.unwrap();
    let left: i64 = server.command(&["HEXISTS", "ai-warp:health", TARGET]).await;
    assert_eq!(left, 0);
}
