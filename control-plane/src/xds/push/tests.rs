//! The order of pushes, against an Envoy played by hand.

use super::super::resources::tests::{resources, with_keys};
use super::*;

const GRACE: Duration = Duration::from_secs(180);

/// What Envoy is sent.
#[derive(Debug)]
struct Got {
    version: String,
    nonce: String,
    changed: BTreeMap<String, String>,
    removed: Vec<String>,
}

fn owned(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// An Envoy that asks and answers as the real one does.
struct Envoy {
    push: Push,
    now: Instant,
}

impl Envoy {
    fn connect(resources: Resources, fetches_code: bool) -> Self {
        Self { push: Push::new(resources, fetches_code, GRACE), now: Instant::now() }
    }

    fn says(&mut self, kind: Kind, names: &[&str], nonce: &str, error: Option<&str>) -> Heard {
        let said = Said {
            type_url: kind.type_url().to_owned(),
            nonce: nonce.to_owned(),
            error: error.map(str::to_owned),
            wants: Wants::All(owned(names)),
            ..Said::default()
        };
        self.push.hear(said, self.now)
    }

    fn subscribes(&mut self, kind: Kind, names: &[&str]) {
        assert_eq!(self.says(kind, names, "", None), Heard::Nothing);
    }

    /// As an Envoy that was connected before: it tells what it has.
    fn comes_back(&mut self, kind: Kind, names: &[&str], has: &BTreeMap<String, String>) {
        let said = Said {
            type_url: kind.type_url().to_owned(),
            wants: Wants::Change { more: owned(names), less: BTreeSet::new() },
            has: has.clone(),
            ..Said::default()
        };
        assert_eq!(self.push.hear(said, self.now), Heard::Nothing);
    }

    fn gets(&mut self) -> Option<(Kind, Got)> {
        self.push.next(self.now).map(|update| {
            let changed = update.changed.iter().map(|r| (r.name.clone(), r.version.clone())).collect();
            let Update { kind, version, nonce, removed, .. } = update;
            (kind, Got { version, nonce, changed, removed })
        })
    }

    fn accepts(&mut self, kind: Kind, names: &[&str]) -> Got {
        let (pushed, got) = self.gets().unwrap_or_else(|| panic!("nothing is pushed, expected {kind:?}"));
        assert_eq!(pushed, kind);
        let heard = self.says(kind, names, &got.nonce, None);
        assert_eq!(heard, Heard::Accepted { kind, version: got.version.clone() });
        got
    }

    /// Everything up to the filter's configuration.
    fn starts(&mut self) {
        self.subscribes(Kind::Cluster, &[]);
        self.accepts(Kind::Cluster, &[]);
        self.subscribes(Kind::Listener, &[]);
        self.subscribes(Kind::Secret, &["provider/openai/key"]);
        self.accepts(Kind::Secret, &["provider/openai/key"]);
        self.accepts(Kind::Listener, &[]);
        self.subscribes(Kind::Route, &["gateway"]);
        self.accepts(Kind::Route, &["gateway"]);
        self.subscribes(Kind::Extension, &["ai-warp.gateway"]);
        self.accepts(Kind::Extension, &["ai-warp.gateway"]);
        assert!(self.gets().is_none(), "there is no more to say");
    }
}

#[test]
fn what_is_referred_to_comes_first_and_the_filter_last() {
    Envoy::connect(with_keys(&["openai:a"]), false).starts();
}

#[test]
fn nothing_follows_clusters_before_their_secrets_are_there() {
    let mut envoy = Envoy::connect(with_keys(&["openai:a"]), false);
    envoy.subscribes(Kind::Cluster, &[]);
    envoy.subscribes(Kind::Listener, &[]);
    envoy.accepts(Kind::Cluster, &[]);
    assert!(envoy.gets().is_none(), "Envoy has not asked for the key yet");
    envoy.subscribes(Kind::Secret, &["provider/openai/key"]);
    assert_eq!(envoy.gets().unwrap().0, Kind::Secret);
    assert!(envoy.gets().is_none(), "Envoy has not accepted the key yet");
}

#[test]
fn a_new_order_of_models_changes_their_list_and_the_filter_alone() {
    let mut envoy = Envoy::connect(with_keys(&["openai:a", "openai:b"]), false);
    envoy.starts();
    envoy.push.update(with_keys(&["openai:b", "openai:a"]));
    envoy.accepts(Kind::Route, &["gateway"]);
    envoy.accepts(Kind::Extension, &["ai-warp.gateway"]);
    assert!(envoy.gets().is_none());
}

#[test]
fn a_refused_kind_stops_what_builds_on_it_until_it_changes() {
    let mut envoy = Envoy::connect(with_keys(&["openai:a"]), false);
    envoy.starts();
    envoy.push.update(with_keys(&["openai:a", "local:b"]));
    let (kind, response) = envoy.gets().unwrap();
    let heard = envoy.says(kind, &[], &response.nonce, Some("no such thing"));
    assert!(
        matches!(heard, Heard::Refused { kind: Kind::Cluster, ref reason, .. } if reason == "no such thing")
    );
    assert!(
        envoy.gets().is_none() && envoy.push.wake_at().is_none(),
        "the last good configuration keeps serving"
    );
    envoy.push.update(with_keys(&["openai:b"]));
    // Clusters are as they were accepted before, but Envoy was last told otherwise.
    envoy.accepts(Kind::Cluster, &[]);
    envoy.accepts(Kind::Route, &["gateway"]);
    envoy.accepts(Kind::Extension, &["ai-warp.gateway"]);
}

#[test]
fn an_envoy_that_fetches_the_code_is_offered_it_again() {
    let mut envoy = Envoy::connect(with_keys(&["openai:a"]), true);
    envoy.subscribes(Kind::Cluster, &[]);
    for wait in [FIRST_CODE_WAIT, FIRST_CODE_WAIT * 2, FIRST_CODE_WAIT * 4] {
        let (kind, response) = envoy.gets().unwrap();
        envoy.says(kind, &[], &response.nonce, Some("x: Unable to create Wasm plugin ai-warp.attempt"));
        assert!(envoy.gets().is_none());
        assert_eq!(envoy.push.wake_at(), Some(envoy.now + wait));
        envoy.now += wait;
    }
    envoy.accepts(Kind::Cluster, &[]);
}

#[test]
fn an_envoy_with_the_code_on_disk_is_not() {
    let mut envoy = Envoy::connect(with_keys(&["openai:a"]), false);
    envoy.subscribes(Kind::Cluster, &[]);
    let (kind, response) = envoy.gets().unwrap();
    envoy.says(kind, &[], &response.nonce, Some("x: Unable to create Wasm plugin ai-warp.attempt"));
    assert!(envoy.gets().is_none() && envoy.push.wake_at().is_none());
}

#[test]
fn a_new_name_gets_time_to_be_looked_up() {
    let mut envoy = Envoy::connect(with_keys(&["openai:a"]), false);
    envoy.starts();
    envoy.push.update(resources(
        r#"{"openai": {"baseUrl": "http://127.0.0.1:1", "apiKey": "very-secret"}, "named": {"dialect": "openai", "baseUrl": "http://h.example"}}"#,
        &["named:a", "openai:a"],
    ));
    envoy.accepts(Kind::Cluster, &[]);
    assert!(envoy.gets().is_none());
    envoy.now += DNS_WARMING;
    envoy.accepts(Kind::Route, &["gateway"]);
    envoy.accepts(Kind::Extension, &["ai-warp.gateway"]);
}

#[test]
fn answers_to_older_pushes_and_unknown_types_change_nothing() {
    let mut envoy = Envoy::connect(with_keys(&["openai:a"]), false);
    envoy.starts();
    assert_eq!(envoy.says(Kind::Cluster, &[], "0", Some("late")), Heard::Nothing);
    assert!(envoy.gets().is_none());
    let unknown = Said { type_url: "type.googleapis.com/x".into(), ..Said::default() };
    assert_eq!(envoy.push.hear(unknown, envoy.now), Heard::Unknown);
}

#[test]
fn a_new_key_is_pushed_alone() {
    let providers =
        |key: &str| format!(r#"{{"openai": {{"baseUrl": "http://127.0.0.1:1", "apiKey": "{key}"}}}}"#);
    let mut envoy = Envoy::connect(resources(&providers("one"), &["openai:a"]), false);
    envoy.starts();
    envoy.push.update(resources(&providers("two"), &["openai:a"]));
    envoy.accepts(Kind::Secret, &["provider/openai/key"]);
    assert!(envoy.gets().is_none());
}

#[test]
fn secrets_do_not_wait_for_the_clusters_that_need_them() {
    let mut envoy = Envoy::connect(with_keys(&["openai:a"]), false);
    envoy.subscribes(Kind::Cluster, &[]);
    let (_, clusters) = envoy.gets().unwrap();
    envoy.subscribes(Kind::Secret, &["provider/openai/key"]);
    envoy.accepts(Kind::Secret, &["provider/openai/key"]);
    envoy.subscribes(Kind::Listener, &[]);
    assert!(envoy.gets().is_none(), "the clusters are not accepted yet");
    envoy.says(Kind::Cluster, &[], &clusters.nonce, None);
    envoy.accepts(Kind::Listener, &[]);
}

/// The resources with Bedrock, signed for with this key.
fn signed(key: &str) -> Resources {
    let aws = format!(r#"{{"region": "r", "accessKeyId": "AKID", "secretAccessKey": "{key}"}}"#);
    let openai = r#""openai": {"baseUrl": "http://127.0.0.1:1", "apiKey": "very-secret"}"#;
    let bedrock = format!(r#""bedrock": {{"baseUrl": "http://127.0.0.1:2", "aws": {aws}}}"#);
    resources(&format!("{{{openai}, {bedrock}}}"), &["openai:a", "bedrock:b"])
}

const SIGNING: &str = "provider/bedrock/signing";

#[test]
fn what_signs_comes_with_the_clusters_that_wait_for_it_and_the_gateway_last() {
    let mut envoy = Envoy::connect(with_keys(&["openai:a"]), false);
    envoy.starts();
    envoy.push.update(signed("one"));
    let (_, clusters) = envoy.gets().unwrap();
    assert!(envoy.gets().is_none(), "Envoy has not asked for it yet");
    let both = ["ai-warp.gateway", SIGNING];
    envoy.subscribes(Kind::Extension, &both);
    envoy.accepts(Kind::Signer, &both);
    assert!(envoy.gets().is_none(), "the clusters are not accepted yet");
    envoy.says(Kind::Cluster, &[], &clusters.nonce, None);
    envoy.accepts(Kind::Route, &["gateway"]);
    envoy.accepts(Kind::Extension, &both);
    assert!(envoy.gets().is_none(), "there is no more to say");

    envoy.push.update(signed("two"));
    envoy.accepts(Kind::Signer, &both);
    assert!(envoy.gets().is_none(), "a new key is pushed alone");
}

#[test]
fn what_signs_and_the_gateway_are_refused_apart() {
    let mut envoy = Envoy::connect(signed("one"), false);
    let both = ["ai-warp.gateway", SIGNING];
    envoy.subscribes(Kind::Cluster, &[]);
    envoy.accepts(Kind::Cluster, &[]);
    envoy.subscribes(Kind::Secret, &["provider/openai/key"]);
    envoy.accepts(Kind::Secret, &["provider/openai/key"]);
    envoy.subscribes(Kind::Extension, &both);
    envoy.accepts(Kind::Signer, &both);
    let (_, gateway) = envoy.gets().unwrap();
    let heard = envoy.says(Kind::Extension, &both, &gateway.nonce, Some("no such thing"));
    assert!(matches!(heard, Heard::Refused { kind: Kind::Extension, .. }));
    assert!(envoy.gets().is_none() && envoy.push.wake_at().is_none());
    envoy.push.update(signed("two"));
    envoy.accepts(Kind::Signer, &both);
    assert!(envoy.gets().is_none(), "it was refused and has not changed");
}

/// Names and versions of a kind.
fn all(resources: &Resources, kind: Kind) -> BTreeMap<String, String> {
    resources.of(kind).iter().map(|r| (r.name.clone(), r.version.clone())).collect()
}

#[test]
fn only_what_has_changed_is_sent_and_what_is_gone_is_named() {
    let mut envoy = Envoy::connect(with_keys(&["openai:a", "local:b"]), false);
    envoy.subscribes(Kind::Cluster, &[]);
    let first = envoy.accepts(Kind::Cluster, &[]);
    assert!(first.changed.contains_key("provider/openai") && first.changed.contains_key("provider/local"));
    envoy.push.update(with_keys(&["openai:a"]));
    let second = envoy.accepts(Kind::Cluster, &[]);
    assert_eq!(second.changed, BTreeMap::new());
    assert_eq!(second.removed, ["provider/local", "provider/local/hop", "provider/local/stream"]);
    envoy.push.update(with_keys(&["openai:a", "local:b"]));
    let third = envoy.accepts(Kind::Cluster, &[]);
    assert!(third.changed.keys().all(|name| name.starts_with("provider/local")) && third.removed.is_empty());
}

#[test]
fn what_was_refused_is_sent_again_or_taken_back() {
    let mut envoy = Envoy::connect(with_keys(&["openai:a"]), false);
    envoy.subscribes(Kind::Cluster, &[]);
    envoy.accepts(Kind::Cluster, &[]);
    envoy.push.update(with_keys(&["openai:a", "local:b"]));
    let (kind, refused) = envoy.gets().unwrap();
    envoy.says(kind, &[], &refused.nonce, Some("one of them is bad"));
    envoy.push.update(with_keys(&["openai:a"]));
    let back = envoy.accepts(Kind::Cluster, &[]);
    assert_eq!(back.removed, ["provider/local", "provider/local/hop", "provider/local/stream"]);
}

#[test]
fn what_an_envoy_has_from_before_stays_until_its_requests_are_over() {
    let old = with_keys(&["local:b"]);
    let mut envoy = Envoy::connect(with_keys(&["openai:a"]), false);
    envoy.comes_back(Kind::Cluster, &[], &all(&old, Kind::Cluster));
    let clusters = envoy.accepts(Kind::Cluster, &[]);
    assert!(!clusters.changed.contains_key("ai-warp/none"), "it has that already: {clusters:?}");
    assert_eq!(clusters.removed, [""; 0], "its filter still uses them");
    envoy.comes_back(Kind::Listener, &[], &all(&old, Kind::Listener));
    envoy.subscribes(Kind::Secret, &["provider/openai/key"]);
    envoy.accepts(Kind::Secret, &["provider/openai/key"]);
    envoy.accepts(Kind::Listener, &[]);
    envoy.comes_back(Kind::Route, &["gateway"], &BTreeMap::new());
    envoy.accepts(Kind::Route, &["gateway"]);
    envoy.comes_back(Kind::Extension, &["ai-warp.gateway"], &BTreeMap::new());
    envoy.accepts(Kind::Extension, &["ai-warp.gateway"]);
    assert!(envoy.gets().is_none());
    assert_eq!(envoy.push.wake_at(), Some(envoy.now + GRACE));
    envoy.now += GRACE;
    let last = envoy.accepts(Kind::Cluster, &[]);
    assert_eq!(last.removed, ["provider/local", "provider/local/hop", "provider/local/stream"]);
    assert!(envoy.gets().is_none() && envoy.push.wake_at().is_none());
}

#[test]
fn what_envoy_asks_for_again_is_sent_again() {
    let mut envoy = Envoy::connect(with_keys(&["openai:a"]), false);
    envoy.starts();
    let change = |more: &[&str], less: &[&str]| Said {
        type_url: Kind::Secret.type_url().to_owned(),
        wants: Wants::Change { more: owned(more), less: owned(less) },
        ..Said::default()
    };
    envoy.push.hear(change(&[], &["provider/openai/key"]), envoy.now);
    assert!(envoy.gets().is_none());
    envoy.push.hear(change(&["provider/openai/key"], &[]), envoy.now);
    let (kind, again) = envoy.gets().unwrap();
    assert_eq!((kind, again.changed.len()), (Kind::Secret, 1));
}

#[test]
fn what_was_never_answered_is_taken_back_as_well() {
    let mut envoy = Envoy::connect(with_keys(&["openai:a"]), false);
    envoy.subscribes(Kind::Cluster, &[]);
    envoy.accepts(Kind::Cluster, &[]);
    envoy.push.update(with_keys(&["openai:a", "local:b"]));
    let (_, superseded) = envoy.gets().unwrap();
    envoy.push.update(with_keys(&["openai:a"]));
    let (kind, back) = envoy.gets().unwrap();
    assert_eq!(kind, Kind::Cluster);
    assert_eq!(back.removed, ["provider/local", "provider/local/hop", "provider/local/stream"]);
    assert_eq!(envoy.says(kind, &[], &superseded.nonce, None), Heard::Nothing);
}

#[test]
fn a_renewed_key_does_not_wait_for_clusters_that_are_refused() {
    let providers = |key: &str, more: &str| {
        format!(r#"{{"openai": {{"baseUrl": "http://127.0.0.1:1", "apiKey": "{key}"}}{more}}}"#)
    };
    let refused = r#", "other": {"dialect": "openai", "baseUrl": "http://127.0.0.1:2"}"#;
    let mut envoy = Envoy::connect(resources(&providers("one", ""), &["openai:a"]), false);
    envoy.starts();
    envoy.push.update(resources(&providers("one", refused), &["openai:a"]));
    let (kind, clusters) = envoy.gets().unwrap();
    envoy.says(kind, &[], &clusters.nonce, Some("no such thing"));
    assert!(envoy.gets().is_none());
    envoy.push.update(resources(&providers("two", refused), &["openai:a"]));
    envoy.accepts(Kind::Secret, &["provider/openai/key"]);
    assert!(envoy.gets().is_none(), "and nothing else");
}
