//! What the configuration says of a target and of a quota, and what a quota is called where it is kept.

use ai_warp_core::config::{Gateway, Limit};
use ai_warp_core::health::Rules;
use ai_warp_core::sync::QuotaKey;

/// The rules of `target`; `None` where no model has it, for example because it is of an older configuration.
pub(super) fn rules<'a>(gateway: &'a Gateway, target: &str) -> Option<Rules<'a>> {
    let model = gateway.models.iter().find(|model| model.targets.iter().any(|own| own == target))?;
    Some(Rules { breaker: &gateway.breaker, restore: &model.restore })
}

/// The limit of `quota`; `None` where there is none.
pub(super) fn limit(gateway: &Gateway, quota: &QuotaKey) -> Option<Limit> {
    let model = |id: &str| gateway.models.iter().find(|model| model.id == id);
    match quota {
        QuotaKey::ModelRate(id) => model(id).map(|model| model.rate),
        QuotaKey::ModelTokens(id) => model(id)?.tokens,
        QuotaKey::ClientRate(id) => gateway.client_rate(*id),
        QuotaKey::ClientTokens(id) => gateway.client_tokens(*id),
        QuotaKey::RouteRate(name) => gateway.route(name)?.limits.rate,
        QuotaKey::RouteTokens(name) => gateway.route(name)?.limits.tokens,
    }
}

/// The name of `quota` in Valkey and at `/status`, such as `modelRate:openai:x`.
pub(super) fn name(quota: &QuotaKey) -> String {
    match quota {
        QuotaKey::ModelRate(id) => format!("modelRate:{id}"),
        QuotaKey::ModelTokens(id) => format!("modelTokens:{id}"),
        QuotaKey::ClientRate(id) => format!("clientRate:{id}"),
        QuotaKey::ClientTokens(id) => format!("clientTokens:{id}"),
        QuotaKey::RouteRate(name) => format!("routeRate:{name}"),
        QuotaKey::RouteTokens(name) => format!("routeTokens:{name}"),
    }
}

/// The quota called `name`.
pub(super) fn named(name: &str) -> Option<QuotaKey> {
    let (kind, id) = name.split_once(':')?;
    match kind {
        "modelRate" => Some(QuotaKey::ModelRate(id.to_owned())),
        "modelTokens" => Some(QuotaKey::ModelTokens(id.to_owned())),
        "clientRate" => Some(QuotaKey::ClientRate(id.parse().ok()?)),
        "clientTokens" => Some(QuotaKey::ClientTokens(id.parse().ok()?)),
        "routeRate" => Some(QuotaKey::RouteRate(id.to_owned())),
        "routeTokens" => Some(QuotaKey::RouteTokens(id.to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_quota_is_found_by_its_name() {
        for quota in [
            QuotaKey::ModelRate("openai:a:b".to_owned()),
            QuotaKey::ModelTokens("openai:x".to_owned()),
            QuotaKey::ClientRate(Uuid::from_u128(7)),
            QuotaKey::ClientTokens(Uuid::nil()),
            QuotaKey::RouteRate("fast".to_owned()),
            QuotaKey::RouteTokens("fast".to_owned()),
        ] {
            assert_eq!(named(&name(&quota)), Some(quota));
        }
        for name in ["", "modelRate", "other:x", "clientRate:x"] {
            assert_eq!(named(name), None, "{name}");
        }
    }
}
