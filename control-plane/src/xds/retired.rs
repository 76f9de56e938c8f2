//! Providers that left the configuration but not yet Envoy.
//!
//! A request keeps the plan it started with. If its next model belongs to a provider that a new configuration no
//! longer names, the cluster must still be there when the router asks for it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ai_warp_core::config::Provider;

use crate::config::{Loaded, SecretString};

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
    pub(super) fn update(&mut self, loaded: &Loaded, now: Instant) {
        let providers = loaded.gateway.providers.iter().map(|provider| {
            let key = loaded.provider_key(&provider.name).cloned();
            (provider.cluster.clone(), (provider.clone(), key))
        });
        let until = now + LINGER + Duration::from_millis(loaded.gateway.request_timeout_ms);
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
