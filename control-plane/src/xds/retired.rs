//! Destinations that left the configuration, or changed in it, but are still in Envoy.
//!
//! A request keeps the plan it started with. If it goes on to an endpoint that a new configuration no longer names, or waits
//! in a cluster that has another name now, the cluster must still be there when the router asks for it, and as it was.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ai_warp_core::config::Gateway;

use super::resources::Destination;

/// How long a cluster outlives its destination, beside the time in which an exchange may begin attempts.
const LINGER: Duration = Duration::from_secs(60);

/// How long requests may ask for the destinations of `gateway` once another configuration is in force.
pub(super) fn grace(gateway: &Gateway) -> Duration {
    LINGER + Duration::from_millis(gateway.longest_timeout_ms())
}

/// What is kept of past configurations, by name.
#[derive(Debug, Default)]
pub(super) struct Retired {
    current: BTreeMap<String, Destination>,
    /// That of `current`.
    grace: Duration,
    leaving: BTreeMap<String, Leaving>,
}

#[derive(Debug)]
struct Leaving {
    destination: Destination,
    until: Instant,
}

impl Retired {
    /// Takes note of the destinations in force from `now` on, and of their [`grace`].
    pub(super) fn update(&mut self, current: &[Destination], grace: Duration, now: Instant) {
        let until = now + std::mem::replace(&mut self.grace, grace);
        let named = current.iter().map(|destination| (destination.name().into_owned(), destination.clone()));
        for (name, destination) in std::mem::replace(&mut self.current, named.collect()) {
            self.leaving.insert(name, Leaving { destination, until });
        }
        self.leaving.retain(|name, leaving| !self.current.contains_key(name) && leaving.until > now);
    }

    /// The destinations to keep at `now`, and when the first of them may go.
    pub(super) fn at(&self, now: Instant) -> (Vec<Destination>, Option<Instant>) {
        let staying = || self.leaving.values().filter(|leaving| leaving.until > now);
        let destinations = staying().map(|leaving| leaving.destination.clone()).collect();
        (destinations, staying().map(|leaving| leaving.until).min())
    }
}

#[cfg(test)]
mod tests {
    use ai_warp_core::config::{Config, compile};

    use super::super::resources::naming;
    use super::*;
    use crate::config::Secrets;
    use crate::filter_code::FilterCode;
    use crate::tokens::Tokens;

    const LONGEST: Duration = Duration::from_secs(120);

    fn destinations(providers: &str, more: &str) -> Vec<Destination> {
        let json = format!(r#"{{"providers": {providers}, "models": ["a:m"]{more}}}"#);
        let gateway = compile(&serde_json::from_str::<Config>(&json).unwrap()).unwrap();
        let filter = FilterCode { path: "/f".into(), sha256: "ab".repeat(32), bytes: Vec::new().into() };
        Destination::all(&naming::by_content(&gateway, &filter), &Secrets::default(), &Tokens::default())
    }

    /// What is kept at `now`, without the hash of its content.
    fn names(retired: &Retired, now: Instant) -> Vec<String> {
        let kept = retired.at(now).0;
        kept.iter().map(|destination| destination.name().split('@').next().unwrap().to_owned()).collect()
    }

    const A: &str = r#""a": {"dialect": "openai", "baseUrl": "http://127.0.0.1:1"}"#;
    const B: &str = r#""b": {"dialect": "openai", "baseUrl": "http://127.0.0.1:2"}"#;

    #[test]
    fn an_endpoint_stays_until_nobody_can_need_it() {
        let both = destinations(&format!("{{{A}, {B}}}"), "");
        let one = destinations(&format!("{{{A}}}"), "");
        let start = Instant::now();
        let mut retired = Retired::default();
        retired.update(&both, LONGEST, start);
        assert!(names(&retired, start).is_empty());
        // The exchanges that may need it are those of the old configuration.
        retired.update(&one, Duration::ZERO, start);
        let until = retired.at(start).1.unwrap();
        assert_eq!(until, start + LONGEST);
        assert_eq!(names(&retired, until - Duration::from_millis(1)), ["provider/b"]);
        assert!(names(&retired, until).is_empty());
        retired.update(&both, LONGEST, start);
        assert!(names(&retired, start).is_empty(), "it is back");
    }

    #[test]
    fn what_changes_every_cluster_keeps_all_of_them_as_they_were() {
        let small = destinations(&format!("{{{A}}}"), "");
        let large = destinations(&format!("{{{A}}}"), r#", "limits": {"maxResponseBytes": 16000000}"#);
        let start = Instant::now();
        let mut retired = Retired::default();
        retired.update(&small, LONGEST, start);
        retired.update(&large, LONGEST, start);
        assert_eq!(names(&retired, start), ["ai-warp/streams", "ai-warp/waiting", "provider/a"]);
        assert!(retired.at(start).0.iter().all(|destination| destination.buffer == small[0].buffer));
    }
}
