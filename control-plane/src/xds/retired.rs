//! Providers that left the configuration, or changed in it, but are still in Envoy.
//!
//! A request keeps the plan it started with. If its next model belongs to a provider that a new configuration no
//! longer names, the cluster must still be there when the router asks for it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ai_warp_core::config::{Gateway, Provider};

use crate::config::SecretString;

/// How long a cluster outlives its provider, beside the time one attempt may take.
const LINGER: Duration = Duration::from_secs(60);

/// What is kept of past configurations.
#[derive(Debug, Default)]
pub(super) struct Retired {
    current: BTreeMap<String, (Provider, Option<SecretString>)>,
    leaving: BTreeMap<String, Leaving>,
}

#[derive(Debug)]
struct Leaving {
    provider: Provider,
    key: Option<SecretString>,
    until: Instant,
}

impl Retired {
    /// Takes note of the configuration in force from `now` on.
    pub(super) fn update(&mut self, gateway: &Gateway, keys: &BTreeMap<String, SecretString>, now: Instant) {
        let providers = gateway.providers.iter().map(|provider| {
            let key = keys.get(&provider.name).cloned();
            (provider.cluster.clone(), (provider.clone(), key))
        });
        let until = now + LINGER + Duration::from_millis(gateway.request_timeout_ms);
        let before = std::mem::replace(&mut self.current, providers.collect());
        for (cluster, (provider, key)) in before {
            self.leaving.insert(cluster, Leaving { provider, key, until });
        }
        self.leaving.retain(|cluster, leaving| !self.current.contains_key(cluster) && leaving.until > now);
    }

    /// The providers to keep at `now`, and when the first of them may go.
    pub(super) fn at(&self, now: Instant) -> (Vec<(Provider, Option<SecretString>)>, Option<Instant>) {
        let staying = || self.leaving.values().filter(|leaving| leaving.until > now);
        let providers = staying().map(|leaving| (leaving.provider.clone(), leaving.key.clone())).collect();
        (providers, staying().map(|leaving| leaving.until).min())
    }
}

#[cfg(test)]
mod tests {
    use ai_warp_core::config::{Config, compile};

    use super::*;

    fn gateway(providers: &str) -> Gateway {
        let json = format!(r#"{{"providers": {providers}, "models": ["a:m"]}}"#);
        compile(&serde_json::from_str::<Config>(&json).unwrap()).unwrap()
    }

    fn names(retired: &Retired, now: Instant) -> Vec<String> {
        retired.at(now).0.into_iter().map(|(provider, _)| provider.name).collect()
    }

    #[test]
    fn a_provider_stays_until_nobody_can_need_it() {
        let a = r#""a": {"dialect": "openai", "baseUrl": "http://127.0.0.1:1"}"#;
        let b = r#""b": {"dialect": "openai", "baseUrl": "http://127.0.0.1:2"}"#;
        let both = gateway(&format!("{{{a}, {b}}}"));
        let one = gateway(&format!("{{{a}}}"));
        let (start, keys) = (Instant::now(), BTreeMap::new());
        let mut retired = Retired::default();
        retired.update(&both, &keys, start);
        assert!(names(&retired, start).is_empty());
        retired.update(&one, &keys, start);
        let (_, until) = retired.at(start);
        let until = until.unwrap();
        assert!(until >= start + LINGER);
        assert_eq!(names(&retired, until - Duration::from_millis(1)), ["b"]);
        assert!(names(&retired, until).is_empty());
        retired.update(&both, &keys, start);
        assert!(names(&retired, start).is_empty(), "it is back");
    }
}
