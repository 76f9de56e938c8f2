//! One worker, and a control plane of a few lines.

use super::*;
use crate::config::{Config, Limit, compile};
use crate::health::Reason;
use crate::sync::{FleetNews, FleetReply, FleetSync, QuotaGrant, TargetError, TargetNews};
use uuid::Uuid;

const MODEL: &str = "openai:a";

fn gateway() -> Gateway {
    let config: Config = serde_json::from_value(serde_json::json!({
        "providers": {"openai": {"baseUrl": "http://127.0.0.1:1/v1"}},
        "models": [MODEL],
        "limits": {"rate": {"max": 100, "timeWindow": "10s"}, "requestTimeout": "1s"},
        "restore": {"timeout": "2s"},
    }))
    .unwrap();
    compile(&config).unwrap()
}

struct Test {
    fleet: Fleet,
    gateway: Gateway,
}

impl Test {
    fn new() -> Self {
        Self { fleet: Fleet::new(0), gateway: gateway() }
    }

    /// One that has a share of the model's requests.
    fn with_share() -> Self {
        let mut test = Self::new();
        assert!(matches!(test.admit(0), Admission::No(Refusal::Ask)));
        test.say(0);
        test.reply(FleetReply { quotas: vec![grant(50)], ..FleetReply::default() }, 0);
        test
    }

    fn candidate(gateway: &Gateway) -> Candidate<'_> {
        Candidate { gateway, model: &gateway.models[0], target: MODEL }
    }

    fn admit(&mut self, now_ms: u64) -> Admission {
        self.fleet.admit(Self::candidate(&self.gateway), 0, false, now_ms)
    }

    /// As one that was told to ask.
    fn admit_waiting(&mut self, now_ms: u64) -> Admission {
        self.fleet.admit(Self::candidate(&self.gateway), 0, true, now_ms)
    }

    #[track_caller]
    fn go(&mut self, now_ms: u64) -> Permit {
        match self.admit(now_ms) {
            Admission::Go(permit) => permit,
            Admission::No(refusal) => panic!("{refusal:?}"),
        }
    }

    fn settle(&mut self, permit: Permit, ending: Ending, now_ms: u64) {
        self.fleet.settle(Self::candidate(&self.gateway), permit, ending, 0, now_ms);
    }

    /// Two messages in a row get no reply.
    fn lose_the_control_plane(&mut self, now_ms: u64) {
        self.fleet.on_reply(None, now_ms);
        assert!(!self.fleet.is_away(), "one alone does not mean much");
        self.fleet.on_reply(None, now_ms);
        assert!(self.fleet.is_away());
    }

    /// What the worker says now.
    #[track_caller]
    fn say(&mut self, now_ms: u64) -> FleetSync {
        serde_json::from_slice(&self.fleet.next_message(now_ms).expect("there is something to say")).unwrap()
    }

    fn reply(&mut self, reply: FleetReply, now_ms: u64) {
        self.fleet.on_reply(Some(reply), now_ms);
    }

    fn news(&mut self, memory: &str, targets: Vec<TargetNews>, now_ms: u64) {
        let (version, memory) = ("v.1".to_owned(), memory.to_owned());
        self.fleet.on_news(FleetNews { version, memory, targets, ..FleetNews::default() }, now_ms);
    }
}

fn grant(granted: u64) -> QuotaGrant {
    QuotaGrant { granted, window: 1, remaining_ms: 1_000_000 }
}

fn resting(retry_in_ms: u64) -> Vec<TargetNews> {
    let error = Some(TargetError { reason: Reason::Timeout, retry_in_ms });
    vec![TargetNews { target: MODEL.to_owned(), error }]
}

fn ready() -> Vec<TargetNews> {
    vec![TargetNews { target: MODEL.to_owned(), error: None }]
}

const TIMEOUT: Fault = Fault { reason: Reason::Timeout, stated_rest_ms: None };

#[test]
fn whoever_is_about_to_wait_for_the_control_plane_asks_for_a_sign_of_life() {
    let mut test = Test::new();
    test.fleet.ask_for_sign_of_life(0);
    assert!(test.fleet.wants_to_talk());
    let said = test.say(0);
    assert!(said.reports.is_empty() && said.probes.is_empty() && said.quotas.is_empty(), "{said:?}");
    test.reply(FleetReply::default(), 10);
    test.fleet.ask_for_sign_of_life(1_009);
    assert!(!test.fleet.wants_to_talk(), "the last is new");
    test.fleet.ask_for_sign_of_life(1_010);
    test.say(1_010);
    test.lose_the_control_plane(2_010);
    assert!(!test.fleet.is_silent(6_009) && test.fleet.is_silent(6_010), "it has been, since the question");
    test.say(6_010);
    test.reply(FleetReply::default(), 6_020);
    assert!(!test.fleet.is_silent(6_020));
}

#[test]
fn the_first_request_waits_for_a_share_and_the_next_ones_do_not() {
    let mut test = Test::new();
    assert!(!test.fleet.wants_to_talk());
    assert!(matches!(test.admit(0), Admission::No(Refusal::Ask)));
    assert!(test.fleet.wants_to_talk());
    let said = test.say(0);
    let [ask] = &said.quotas[..] else { panic!("{said:?}") };
    assert_eq!((&ask.quota, ask.need), (&QuotaKey::ModelRate(MODEL.to_owned()), 1));
    assert_eq!(test.fleet.next_message(0), None, "one message at a time");
    test.reply(FleetReply { quotas: vec![grant(2)], ..FleetReply::default() }, 1);
    for _ in 0..2 {
        let permit = test.go(1);
        test.settle(permit, Ending::Well, 1);
    }
    assert!(matches!(test.admit(1), Admission::No(Refusal::Ask)));
}

#[test]
fn a_failure_counts_here_at_once_and_is_told() {
    let mut test = Test::with_share();
    let (first, second) = (test.go(10), test.go(10));
    test.settle(first, Ending::Badly(TIMEOUT), 20);
    assert!(matches!(test.admit(21), Admission::No(Refusal::Resting { until_ms: 2_020 })));
    // Of a request that was under way already: nobody need hear of it.
    test.settle(second, Ending::Badly(TIMEOUT), 22);
    let said = test.say(50);
    let [report] = &said.reports[..] else { panic!("{said:?}") };
    assert_eq!((report.target.as_str(), report.age_ms), (MODEL, 30));
    assert_eq!(report.what, Observed::Failed(TIMEOUT));
}

#[test]
fn reports_are_kept_until_they_are_taken_and_keep_their_time() {
    let mut test = Test::with_share();
    let permit = test.go(0);
    test.settle(permit, Ending::Badly(TIMEOUT), 0);
    let first = test.say(0).reports;
    test.lose_the_control_plane(100);
    assert_eq!(test.fleet.next_message(349), None);
    assert_eq!(test.fleet.next_due_ms(), Some(350));
    let again = test.say(350).reports;
    assert_eq!((again[0].id, again[0].age_ms), (first[0].id, 350));
    assert!(!test.fleet.expire(2_349));
    assert!(test.fleet.expire(2_350), "no reply at all");
    assert_eq!(test.say(2_850).reports.len(), 1);
    test.reply(FleetReply { targets: resting(5_000), ..FleetReply::default() }, 2_851);
    assert!(!test.fleet.is_away());
    assert_eq!(test.fleet.next_message(2_851), None);
    assert!(matches!(test.admit(7_850), Admission::No(Refusal::Resting { until_ms: 7_851 })));
}

#[test]
fn a_probe_is_asked_for_made_by_one_request_and_reported() {
    let mut test = Test::with_share();
    test.news("m", resting(1_000), 0);
    assert!(matches!(test.admit(999), Admission::No(Refusal::Resting { until_ms: 1_000 })));
    assert!(matches!(test.admit(1_000), Admission::No(Refusal::Ask)));
    // The one that asked comes to the waiting cluster, perhaps more than once; the others pass by.
    assert!(matches!(test.admit_waiting(1_000), Admission::No(Refusal::Ask)));
    assert!(matches!(test.admit(1_000), Admission::No(Refusal::Resting { .. })), "one asks");
    let ask = test.say(1_000).probes.remove(0);
    let given = FleetReply { targets: resting(ask.life_ms), probes: vec![ask.id], ..FleetReply::default() };
    test.reply(given, 1_001);
    let permit = test.go(1_001);
    assert!(permit.is_probe());
    assert!(matches!(test.admit(1_002), Admission::No(Refusal::Resting { .. })), "one probe");
    test.settle(permit, Ending::Well, 1_010);
    let report = test.say(1_010).reports.remove(0);
    assert_eq!((report.id, report.what), (ask.id, Observed::Probed(ProbeResult::Succeeded)));
    assert!(!test.go(1_011).is_probe());
}

#[test]
fn a_probe_that_another_worker_makes_is_waited_for() {
    let mut test = Test::with_share();
    test.news("m", resting(0), 0);
    assert!(matches!(test.admit(0), Admission::No(Refusal::Ask)));
    test.say(0);
    test.reply(FleetReply { targets: resting(6_000), ..FleetReply::default() }, 1);
    assert!(matches!(test.admit(2), Admission::No(Refusal::Resting { until_ms: 6_001 })));
    test.news("m", ready(), 700);
    assert!(!test.go(701).is_probe());
}

#[test]
fn who_asks_too_early_waits_as_long_as_the_reply_says() {
    let mut test = Test::with_share();
    test.news("m", resting(0), 0);
    assert!(matches!(test.admit(0), Admission::No(Refusal::Ask)));
    test.say(0);
    test.reply(FleetReply { targets: resting(5), ..FleetReply::default() }, 1);
    assert!(matches!(test.admit_waiting(5), Admission::No(Refusal::Resting { until_ms: 6 })));
    assert!(matches!(test.admit_waiting(6), Admission::No(Refusal::Ask)));
    // Somebody else was first, and nobody knows for how long.
    test.say(6);
    test.reply(FleetReply::default(), 7);
    assert!(matches!(test.admit_waiting(8), Admission::No(Refusal::Resting { until_ms: 1_007 })));
}

#[test]
fn a_probe_that_a_limit_forbids_is_not_lost() {
    let mut test = Test::with_share();
    test.lose_the_control_plane(0);
    let permit = test.go(0);
    test.settle(permit, Ending::Badly(TIMEOUT), 0);
    let tokens = Some(Limit { max: 0, window_ms: 1_000 });
    let unlimited = std::mem::replace(&mut test.gateway.models[0].tokens, tokens);
    let refused = test.fleet.admit(Test::candidate(&test.gateway), 1, false, 2_000);
    assert!(matches!(refused, Admission::No(Refusal::Limited { .. })), "{refused:?}");
    test.gateway.models[0].tokens = unlimited;
    assert!(test.go(2_000).is_probe());
}

#[test]
fn a_probe_that_nobody_makes_is_given_back() {
    let mut test = Test::with_share();
    test.news("m", resting(0), 0);
    assert!(matches!(test.admit(0), Admission::No(Refusal::Ask)));
    let ask = test.say(0).probes.remove(0);
    let given = FleetReply { targets: resting(6_000), probes: vec![ask.id], ..FleetReply::default() };
    test.reply(given, 1);
    test.fleet.give_back_probes(1);
    let report = test.say(1).reports.remove(0);
    assert_eq!((report.id, report.what), (ask.id, Observed::Probed(ProbeResult::Abandoned)));
    test.fleet.give_back_probes(2);
}

#[test]
fn without_the_control_plane_a_worker_probes_by_itself_one_at_a_time() {
    let mut test = Test::with_share();
    let permit = test.go(0);
    test.lose_the_control_plane(0);
    test.settle(permit, Ending::Badly(TIMEOUT), 0);
    let permit = test.go(2_000);
    assert!(permit.is_probe());
    assert!(matches!(test.admit(2_001), Admission::No(Refusal::Resting { .. })));
    test.settle(permit, Ending::Badly(TIMEOUT), 2_010);
    assert!(matches!(test.admit(6_009), Admission::No(Refusal::Resting { until_ms: 6_010 })), "longer now");
}

#[test]
fn news_older_than_a_report_of_ones_own_are_not_believed() {
    let mut test = Test::with_share();
    let permit = test.go(0);
    test.settle(permit, Ending::Badly(TIMEOUT), 1_000);
    test.news("m", ready(), 1_001);
    assert!(matches!(test.admit(1_002), Admission::No(Refusal::Resting { .. })));
    test.say(1_003);
    test.reply(FleetReply { targets: resting(2_000), ..FleetReply::default() }, 1_004);
    test.news("m", ready(), 1_005);
    assert!(matches!(test.admit(1_006), Admission::No(Refusal::Resting { .. })));
    // It asks for all of them again when it can believe them.
    assert!(test.fleet.news_path().ends_with("/-"));
    assert!((1_500..=1_600).contains(&test.fleet.news_from_ms()));
    test.news("m", ready(), 1_600);
    assert!(!test.go(1_601).is_probe());
    assert!(test.fleet.news_path().ends_with("/v.1"));
}

#[test]
fn what_the_fleet_forgot_is_told_again() {
    let mut test = Test::with_share();
    test.news("m", vec![], 0);
    let permit = test.go(0);
    test.settle(permit, Ending::Badly(TIMEOUT), 0);
    test.say(0);
    test.reply(FleetReply { targets: resting(2_000), ..FleetReply::default() }, 1);
    test.news("another", vec![], 900);
    assert!(matches!(test.admit(901), Admission::No(Refusal::Resting { .. })));
    let report = test.say(901).reports.remove(0);
    let recalled = Observed::Recalled { reason: Reason::Timeout, rest_ms: 1_101 };
    assert_eq!((report.what, report.age_ms), (recalled, 1));
}

#[test]
fn a_probe_whose_reply_is_lost_is_given_back() {
    let mut test = Test::with_share();
    test.news("m", resting(0), 0);
    assert!(matches!(test.admit(0), Admission::No(Refusal::Ask)));
    let ask = test.say(0).probes.remove(0);
    test.fleet.on_reply(None, 1);
    let report = test.say(60).reports.remove(0);
    assert_eq!((report.id, report.what), (ask.id, Observed::Probed(ProbeResult::Abandoned)));
}

#[test]
fn consumers_take_no_model_s_place() {
    let mut test = Test::new();
    test.lose_the_control_plane(0);
    let limit = Some(Limit { max: 1, window_ms: 1_000_000 });
    test.gateway.client_limits =
        Some(crate::config::ClientLimits { header: Some("x".to_owned()), rate: limit, tokens: None });
    let (mut admitted, gateway) = (0, test.gateway.clone());
    for client in 0..60_000 {
        let client = Uuid::from_u128(client);
        admitted += u32::from(test.fleet.admit_payer(&gateway, &Payer::Client(client), 0, 0).is_ok());
    }
    assert_eq!(admitted, 50_000);
    assert!(!test.go(0).is_probe());
}

#[test]
fn a_changed_limit_makes_no_tokens() {
    let mut test = Test::new();
    test.lose_the_control_plane(0);
    test.gateway.models[0].tokens = Some(Limit { max: 400, window_ms: 10_000 });
    let Admission::Go(permit) = test.fleet.admit(Test::candidate(&test.gateway), 100, false, 0) else {
        panic!("a quarter is there")
    };
    test.gateway.models[0].tokens = Some(Limit { max: 40_000, window_ms: 10_000 });
    test.fleet.settle(Test::candidate(&test.gateway), permit, Ending::Well, 10, 1);
    let refused = test.fleet.admit(Test::candidate(&test.gateway), 91, false, 2);
    assert!(matches!(refused, Admission::No(Refusal::Limited { .. })), "{refused:?}");
    assert!(matches!(test.fleet.admit(Test::candidate(&test.gateway), 90, false, 2), Admission::Go(_)));
}

#[test]
fn retries_have_a_budget() {
    let mut test = Test::with_share();
    for (busy, allowed) in [(1, 3), (15, 3), (20, 4)] {
        while test.fleet.busy(MODEL) < busy {
            let _ = test.go(0);
        }
        let begun = (0..10).filter(|_| test.fleet.begin_retry(MODEL, 0)).count();
        assert_eq!(begun, allowed, "with {busy} under way");
        (0..begun).for_each(|_| test.fleet.end_retry(MODEL));
    }
}

/// A ledger with room for so many requests, of one window.
#[derive(Debug)]
struct Pages(std::collections::HashMap<String, Vec<u8>>);

impl Ledger for Pages {
    fn unix_ms(&self) -> u64 {
        0
    }

    fn update(&mut self, name: &str, change: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>) -> bool {
        let page = self.0.entry(name.to_owned()).or_default();
        if let Some(changed) = change(page) {
            *page = changed;
        }
        true
    }
}

#[test]
fn without_a_control_plane_nobody_is_asked_and_nothing_waits() {
    let mut test = Test::new();
    test.fleet.set_ledger(Some(Box::new(Pages(std::collections::HashMap::new()))));
    let permits: Vec<Permit> = (0..100).map(|_| test.go(0)).collect();
    assert!(matches!(test.admit(5), Admission::No(Refusal::Limited { until_ms: 10_005 })));
    for permit in permits {
        let fault = Fault { reason: Reason::Timeout, stated_rest_ms: None };
        test.settle(permit, Ending::Badly(fault), 10);
    }
    assert!(!test.fleet.is_ready(MODEL), "the breaker is this worker's own");
    test.gateway.models[0].rate.max = 200;
    let Admission::No(Refusal::Resting { until_ms }) = test.admit(20) else { panic!("it rests") };
    let probe = test.go(until_ms);
    assert!(probe.is_probe(), "given by the worker to itself");
    test.settle(probe, Ending::Well, until_ms + 1);
    assert!(test.fleet.is_ready(MODEL));
    assert!(!test.fleet.wants_to_talk() && test.fleet.next_due_ms().is_none());
    assert_eq!(test.fleet.next_message(until_ms + 2), None);
}
