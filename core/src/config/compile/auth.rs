//! `auth`: exactly one source of keys for tokens, hashes that are hashes, consumers who may ask what there is.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::{Problems, limits, models};
use crate::auth::{MAX_CONSUMER_BYTES, client_id, is_consumer_name};
use crate::config::{
    Allowed, ApiKeyConfig, Auth, AuthConfig, Config, ConsumerConfig, ConsumerRules, CookieConfig,
    CookieEntry, JwksConfig, JwksEntry, JwksSource, JwtConfig, JwtRules, KeyHash, Model, Route, Service,
    TimeWindow, Webhook, WebhookConfig,
};

/// The claim that names the consumer where nothing else is said.
const DEFAULT_CONSUMER_CLAIM: &str = "sub";

/// How long the keys of an issuer are good where nothing is said.
const DEFAULT_CACHE: TimeWindow = TimeWindow::from_secs(60);

/// Longest wait for the webhook where nothing is said.
const DEFAULT_WEBHOOK_TIMEOUT: TimeWindow = TimeWindow::from_secs(2);

/// What the webhook is told where nothing is said.
const DEFAULT_WEBHOOK_HEADERS: [&str; 3] = ["authorization", "cookie", "x-api-key"];

/// Most API keys, and most consumers with rules: they are part of the filter's configuration, which every worker holds.
const MOST_ENTRIES: usize = 10_000;

/// Most names in one list.
const MOST_NAMES: usize = 64;

/// How long the keys of an issuer may be kept, in milliseconds: a second to a day.
const CACHE_MS: RangeInclusive<u64> = 1_000..=86_400_000;

/// Longest time since a token was issued, in milliseconds: a second to a year.
const MAX_AGE_MS: RangeInclusive<u64> = 1_000..=365 * 86_400_000;

/// How long the webhook may take, in milliseconds. The client waits as well.
const WEBHOOK_MS: RangeInclusive<u64> = 1..=30_000;

/// Compiles `auth`; `None` where everybody may call.
pub(super) fn compile(
    config: &Config,
    all_models: &[Model],
    routes: &[Route],
    problems: &mut Problems,
) -> Option<Auth> {
    let auth = config.auth.as_ref()?;
    let has_method = auth.jwt.is_some() || !auth.api_keys.is_empty() || auth.webhook.is_some();
    if !has_method {
        // To require nothing needs no way to show it.
        if auth.required != Some(false) || !auth.consumers.is_empty() {
            problems.add("auth", "lets nobody in; set jwt, apiKeys or webhook");
        }
        return None;
    }
    Some(Auth {
        required: auth.required.unwrap_or(true),
        jwt: auth.jwt.as_ref().and_then(|config| jwt(config, problems)),
        keys: keys(&auth.api_keys, problems),
        webhook: auth.webhook.as_ref().and_then(|config| webhook(config, problems)),
        consumers: consumers(config, auth, all_models, routes, problems),
    })
}

fn jwt(config: &JwtConfig, problems: &mut Problems) -> Option<JwtRules> {
    let sources = [config.secret.is_some(), config.public_key.is_some(), config.jwks.is_some()];
    if sources.iter().filter(|is_there| **is_there).count() != 1 {
        problems.add("auth.jwt", "has exactly one of secret, publicKey and jwks");
    }
    for (name, names) in [
        ("allowedIss", &config.allowed_iss.0),
        ("allowedAud", &config.allowed_aud.0),
        ("requiredClaims", &config.required_claims),
    ] {
        let path = format!("auth.jwt.{name}");
        if names.len() > MOST_NAMES {
            problems.add(&path, format!("has more than {MOST_NAMES} entries"));
        }
        if names.iter().any(String::is_empty) {
            problems.add(path, "holds an empty text");
        }
    }
    if let Some(max_age) = config.max_age {
        problems.check_time("auth.jwt.maxAge", max_age, MAX_AGE_MS);
    }
    let cookie = config.cookie.clone().map(|cookie| match cookie {
        CookieEntry::Name(name) => ("auth.jwt.cookie", name),
        CookieEntry::Detailed(CookieConfig { cookie_name }) => ("auth.jwt.cookie.cookieName", cookie_name),
    });
    if let Some((path, name)) = &cookie {
        let usable = |b: u8| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&b);
        if name.is_empty() || !name.bytes().all(usable) {
            problems.add(*path, "is no valid name of a cookie");
        }
    }
    if config.consumer_claim.as_deref() == Some("") {
        problems.add("auth.jwt.consumerClaim", "is empty");
    }
    Some(JwtRules {
        issuers: config.allowed_iss.0.clone(),
        required_claims: config.required_claims.clone(),
        max_age_ms: config.max_age.map(TimeWindow::millis),
        consumer_claim: config.consumer_claim.clone().unwrap_or_else(|| DEFAULT_CONSUMER_CLAIM.to_owned()),
        names_consumer: config.consumer_claim.is_some(),
        audiences: config.allowed_aud.0.clone(),
        cookie: cookie.map(|(_, name)| name),
        keys: match &config.jwks {
            Some(jwks) => issuer(jwks, problems)?,
            None => JwksSource::ControlPlane,
        },
    })
}

fn issuer(entry: &JwksEntry, problems: &mut Problems) -> Option<JwksSource> {
    let (path, config) = match entry.clone() {
        JwksEntry::Url(url) => ("auth.jwt.jwks", JwksConfig { url, cache_for: None, ca_file: None }),
        JwksEntry::Detailed(config) => ("auth.jwt.jwks.url", config),
    };
    let cache = config.cache_for.unwrap_or(DEFAULT_CACHE);
    problems.check_time("auth.jwt.jwks.cacheFor", cache, CACHE_MS);
    let service = service(path, &config.url, config.ca_file, problems)?;
    Some(JwksSource::Issuer { service, cache_ms: cache.millis() })
}

fn service(path: &str, url: &str, ca_file: Option<PathBuf>, problems: &mut Problems) -> Option<Service> {
    match Service::parse(url, ca_file) {
        Ok(service) => Some(service),
        Err(_) => {
            problems.add(path, "is no URL such as \"https://auth.example.com/path\"");
            None
        }
    }
}

fn keys(written: &[ApiKeyConfig], problems: &mut Problems) -> BTreeMap<KeyHash, String> {
    let mut keys = BTreeMap::new();
    if written.len() > MOST_ENTRIES {
        problems.add("auth.apiKeys", format!("has more than {MOST_ENTRIES} entries"));
        return keys;
    }
    for (index, key) in written.iter().enumerate() {
        let path = format!("auth.apiKeys[{index}]");
        check_consumer(&format!("{path}.consumer"), &key.consumer, problems);
        match key.hash.parse::<KeyHash>() {
            Ok(hash) => {
                if keys.insert(hash, key.consumer.clone()).is_some() {
                    problems.add(format!("{path}.hash"), "is listed twice");
                }
            }
            Err(error) => problems.add(format!("{path}.hash"), error.to_string()),
        }
    }
    keys
}

fn webhook(config: &WebhookConfig, problems: &mut Problems) -> Option<Webhook> {
    let timeout = config.timeout.unwrap_or(DEFAULT_WEBHOOK_TIMEOUT);
    problems.check_time("auth.webhook.timeout", timeout, WEBHOOK_MS);
    let headers = match &config.headers {
        Some(names) => names.clone(),
        None => DEFAULT_WEBHOOK_HEADERS.map(str::to_owned).to_vec(),
    };
    if headers.is_empty() || headers.len() > MOST_NAMES {
        problems.add("auth.webhook.headers", format!("must have 1 to {MOST_NAMES} entries"));
    }
    for (index, name) in headers.iter().enumerate() {
        problems.check_token(format!("auth.webhook.headers[{index}]"), name);
    }
    Some(Webhook {
        service: Some(service("auth.webhook.url", &config.url, config.ca_file.clone(), problems)?),
        timeout_ms: timeout.millis(),
        headers: headers.iter().map(|name| name.to_ascii_lowercase()).collect(),
    })
}

fn consumers(
    config: &Config,
    auth: &AuthConfig,
    all_models: &[Model],
    routes: &[Route],
    problems: &mut Problems,
) -> BTreeMap<uuid::Uuid, ConsumerRules> {
    if auth.consumers.len() > MOST_ENTRIES {
        problems.add("auth.consumers", format!("has more than {MOST_ENTRIES} entries"));
        return BTreeMap::new();
    }
    let known = Known {
        models: all_models.iter().enumerate().map(|(index, model)| (model.id.as_str(), index)).collect(),
        routes: routes.iter().enumerate().map(|(index, route)| (route.name.as_str(), index)).collect(),
        written: config.models.iter().map(models::id).collect(),
    };
    let rules = auth.consumers.iter().map(|(name, consumer)| {
        let path = format!("auth.consumers.{name}");
        check_consumer("auth.consumers", name, problems);
        (client_id(name.as_bytes()), rules(&path, consumer, &known, problems))
    });
    rules.collect()
}

/// What a consumer may be allowed to ask.
struct Known<'a> {
    models: BTreeMap<&'a str, usize>,
    routes: BTreeMap<&'a str, usize>,
    /// Models that are written, right or wrong.
    written: BTreeSet<String>,
}

fn rules(path: &str, config: &ConsumerConfig, known: &Known<'_>, problems: &mut Problems) -> ConsumerRules {
    limits::check_rate(&format!("{path}.rate"), config.rate.as_ref(), problems);
    limits::check_tokens(&format!("{path}.tokens"), config.tokens.as_ref(), problems);
    let allowed = config.models.as_ref().map(|names| {
        let mut allowed = Allowed::default();
        for (index, name) in names.iter().enumerate() {
            match (known.models.get(name.as_str()), known.routes.get(name.as_str())) {
                (Some(model), _) => allowed.models.push(*model),
                (None, Some(route)) => allowed.routes.push(*route),
                // A model that is there but wrong has been reported under its own place.
                (None, None) if known.written.contains(name) => {}
                (None, None) => {
                    let text = format!("{name} is neither in models nor the name of a route");
                    problems.add(format!("{path}.models[{index}]"), text);
                }
            }
        }
        allowed
    });
    ConsumerRules {
        rate: config.rate.as_ref().map(limits::rate),
        tokens: config.tokens.as_ref().map(limits::tokens),
        allowed,
    }
}

fn check_consumer(path: &str, name: &str, problems: &mut Problems) {
    if !is_consumer_name(name) {
        problems.add(
            path,
            format!(
                "a consumer's name has 1 to {MAX_CONSUMER_BYTES} bytes, none of them a control character"
            ),
        );
    }
}

#[cfg(test)]
mod tests;
