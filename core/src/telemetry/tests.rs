//! What is told to Envoy, series by series.

use std::collections::BTreeMap;

use super::names::Label;
use super::*;

/// Envoy's stats, by name.
#[derive(Default)]
struct Stats {
    names: Vec<String>,
    values: BTreeMap<String, Vec<i64>>,
}

impl Stats {
    fn push(&mut self, metric: u32, value: i64) {
        let name = self.names[metric as usize].clone();
        self.values.entry(name).or_default().push(value);
    }

    fn take(&mut self) -> Vec<(String, Vec<i64>)> {
        std::mem::take(&mut self.values).into_iter().collect()
    }
}

impl Sink for Stats {
    fn define(&mut self, _kind: Kind, name: &str) -> Option<u32> {
        assert!(!self.names.iter().any(|known| known == name), "{name} is defined once");
        self.names.push(name.to_owned());
        u32::try_from(self.names.len() - 1).ok()
    }

    fn add(&mut self, metric: u32, change: i64) {
        self.push(metric, change);
    }

    fn record(&mut self, metric: u32, value: u64) {
        self.push(metric, value.cast_signed());
    }
}

fn told(telemetry: &mut Telemetry, stats: &mut Stats) -> Vec<(String, Vec<i64>)> {
    telemetry.publish(stats);
    stats.take()
}

#[test]
fn only_changes_are_told() {
    let (mut telemetry, mut stats) = (Telemetry::default(), Stats::default());
    telemetry.count_refused("option_error");
    telemetry.count_refused("option_error");
    telemetry.plain(Family::ExchangesLive, 3);
    telemetry.open("openai:a", false);
    let refused = "ai_warp_requests_total;route=none;;model=none;;outcome=option_error;";
    let open = "ai_warp_model_open;target=openai:a;";
    assert_eq!(
        told(&mut telemetry, &mut stats),
        [
            ("ai_warp_exchanges_live".to_owned(), vec![3]),
            // A model that was never open is told as well, so that a chart shows it.
            (open.to_owned(), vec![0]),
            (refused.to_owned(), vec![2]),
        ]
    );
    telemetry.plain(Family::ExchangesLive, 3);
    telemetry.open("openai:a", false);
    assert_eq!(told(&mut telemetry, &mut stats), []);
    telemetry.plain(Family::ExchangesLive, 1);
    telemetry.open("openai:a", true);
    let expected = [("ai_warp_exchanges_live".to_owned(), vec![-2]), (open.to_owned(), vec![1])];
    assert_eq!(told(&mut telemetry, &mut stats), expected);
}

#[test]
fn a_cost_too_small_to_tell_is_not_lost() {
    let (mut telemetry, mut stats) = (Telemetry::default(), Stats::default());
    let labels = [Label::Word("r"), Label::Word("m"), Label::None];
    let mut sum = 0;
    for _ in 0..10 {
        telemetry.add(Family::Cost, labels, 250_000);
        sum += told(&mut telemetry, &mut stats).into_iter().flat_map(|(_, values)| values).sum::<i64>();
    }
    assert_eq!(sum, 2);
}

#[test]
fn every_value_of_a_distribution_is_told_once() {
    let (mut telemetry, mut stats) = (Telemetry::default(), Stats::default());
    let labels = [Label::Word("r"), Label::Word("m"), Label::None];
    while !telemetry.is_full() {
        // As many as one exchange has, so that the check after each loses none.
        telemetry.sample(Family::TimeToFirstToken, labels, 7);
        telemetry.sample(Family::TimeToFirstToken, labels, 7);
    }
    let values: Vec<i64> =
        told(&mut telemetry, &mut stats).into_iter().flat_map(|(_, values)| values).collect();
    assert_eq!(values, vec![7; 4_096]);
    for _ in 0..5_000 {
        telemetry.sample(Family::TimeToFirstToken, labels, 8);
    }
    let kept: usize = told(&mut telemetry, &mut stats).into_iter().map(|(_, values)| values.len()).sum();
    assert_eq!(kept, 4_096, "bounded all the same");
    assert!(!telemetry.is_full());
}

#[test]
fn there_are_only_so_many_series() {
    let mut telemetry = Telemetry::default();
    let labels: Vec<Label> = (0..MAX_NAMES + 2).map(|number| telemetry.name(&number.to_string())).collect();
    assert_eq!(labels[MAX_NAMES], labels[MAX_NAMES + 1]);
    assert_ne!(labels[0], labels[1]);
    assert_eq!(telemetry.name("17"), labels[17]);
}

#[test]
fn names_of_models_cannot_end_a_label() {
    let mut telemetry = Telemetry::default();
    let mut stats = Stats::default();
    telemetry.open("vllm:a;outcome=%ok;", true);
    let names: Vec<String> = told(&mut telemetry, &mut stats).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["ai_warp_model_open;target=vllm:a%3Boutcome=%25ok%3B;"]);
}

#[test]
fn families_and_labels_are_all_listed() {
    let mut names: Vec<&str> = FAMILIES.iter().map(|family| family.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), FAMILIES.len());
    for family in FAMILIES {
        assert!(family.labels().iter().all(|label| LABELS.contains(label)), "{family:?}");
        assert_eq!(family.kind() == Kind::Counter, family.name().ends_with("_total"), "{family:?}");
    }
}

#[test]
fn a_line_is_json_whatever_a_client_sends() {
    for hostile in [&b"/\",\"outcome\":\"ok\\"[..], b"\xff\xfe/\n\r\0", b"%REQ(x)%%", &[b'"'; 5_000]] {
        let line = Line {
            request_id: hostile,
            method: hostile,
            path: hostile,
            consumer: Some("a\"b"),
            outcome: "option_error",
            exchange: None,
        };
        let members = line.members();
        assert!(members.len() < 10_000, "bounded");
        let whole: serde_json::Value = serde_json::from_str(&format!("{{{members}\"status\":400}}")).unwrap();
        assert_eq!((&whole["outcome"], &whole["status"]), (&"option_error".into(), &400.into()));
        assert_eq!(whole["consumer"], "a\"b");
    }
}
