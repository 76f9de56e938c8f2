//! `GET /v1/models` and `GET /v1/models/NAME`: known with the configuration, so nobody needs to be asked.

use std::collections::BTreeSet;

use ai_warp_core::api::models::{
    ANTHROPIC_HEADER, MODELS_PATH, anthropic_entry, anthropic_list, entries, openai_entry, openai_list,
};
use ai_warp_core::api::{Format, errors};
use ai_warp_core::config::Gateway;
use ai_warp_core::error::{ErrorCode, GatewayError};
use envoy_types::pb::envoy::config::route::v3::{
    HeaderMatcher, Route, RouteMatch, header_matcher, route_match::PathSpecifier,
};

use super::{direct, matching, method_not_allowed, refusal};

/// Largest list, in bytes; Envoy wants to be told. Far above what the most models and routes make.
pub(super) const LARGEST_LIST: u32 = 4 << 20;

/// The format in which errors below this path are told.
const OPENAI: Format = Format::ChatCompletions;

/// The list, each entry, and what else is asked there.
pub(super) fn routes(gateway: &Gateway) -> Vec<Route> {
    let list = || PathSpecifier::Path(MODELS_PATH.to_owned());
    let mut routes = vec![
        direct(for_anthropic(list()), 200, anthropic_list(gateway)),
        direct(matching(list(), Some("GET")), 200, openai_list(gateway)),
        refusal(list(), OPENAI, &method_not_allowed("GET"), Some("GET")),
    ];
    for entry in entries(gateway) {
        for name in spellings(entry.id) {
            let path = || PathSpecifier::Path(format!("{MODELS_PATH}/{name}"));
            routes.push(direct(for_anthropic(path()), 200, anthropic_entry(entry)));
            routes.push(direct(matching(path(), Some("GET")), 200, openai_entry(entry)));
        }
    }
    let others = || PathSpecifier::PathSeparatedPrefix(MODELS_PATH.to_owned());
    let unknown = GatewayError::new(ErrorCode::ModelNotFound, "no route and no model has this name");
    routes.push(direct(for_anthropic(others()), 404, errors::body(Format::Messages, &unknown)));
    routes.push(direct(matching(others(), Some("GET")), 404, errors::body(OPENAI, &unknown)));
    routes
}

/// A name as it is, and with its colons and slashes percent-encoded: clients encode both, one, or none.
fn spellings(name: &str) -> BTreeSet<String> {
    let of_slashes = [name.to_owned(), name.replace('/', "%2F")];
    of_slashes.into_iter().flat_map(|name| [name.replace(':', "%3A"), name]).collect()
}

fn for_anthropic(path: PathSpecifier) -> RouteMatch {
    let mut r#match = matching(path, Some("GET"));
    r#match.headers.push(HeaderMatcher {
        name: ANTHROPIC_HEADER.to_owned(),
        header_match_specifier: Some(header_matcher::HeaderMatchSpecifier::PresentMatch(true)),
        ..Default::default()
    });
    r#match
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_known_however_a_client_encodes_it() {
        let spelled = |name| spellings(name).into_iter().collect::<Vec<_>>();
        assert_eq!(spelled("fast"), ["fast"]);
        assert_eq!(spelled("openai:a"), ["openai%3Aa", "openai:a"]);
        assert_eq!(spelled("or:meta/a"), ["or%3Ameta%2Fa", "or%3Ameta/a", "or:meta%2Fa", "or:meta/a"]);
    }
}
