//! What the page must know of the configuration to offer what there is: models, routes, limits, and where prompts go.

use ai_warp_core::config::{Gateway, Limit, Strategy};
use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::super::AppState;
use super::forward::longest_wait;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Settings {
    version: &'static str,
    /// The version of the configuration that all of this is from.
    config: String,
    /// Where prompts go; absent where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<String>,
    /// Whether the gateway asks who calls.
    takes_credential: bool,
    /// Whether there is a client package, without which no prompt can be sent.
    has_client: bool,
    /// Longest wait for an answer to begin, in milliseconds; more than the gateway itself waits.
    longest_wait_ms: u64,
    prompt_path: String,
    stream_path: String,
    session_header: String,
    has_sessions: bool,
    models: Vec<Model>,
    routes: Vec<Route>,
}

#[derive(Serialize)]
struct Model {
    id: String,
    limits: Limits,
}

#[derive(Serialize)]
struct Route {
    name: String,
    models: Vec<String>,
    strategy: Strategy,
    limits: Limits,
}

#[derive(Serialize)]
struct Limits {
    rate: Option<Limit>,
    tokens: Option<Limit>,
}

pub(super) async fn settings(State(state): State<AppState>) -> Json<Settings> {
    let loaded = state.0.config.borrow().clone();
    let (config, gateway) = (&loaded.config, &loaded.gateway);
    let to = config.console.gateway(&config.server).ok().flatten();
    Json(Settings {
        version: env!("CARGO_PKG_VERSION"),
        config: loaded.version.clone(),
        gateway: to
            .map(|to| format!("{}://{}{}", if to.tls { "https" } else { "http" }, to.authority(), to.path)),
        takes_credential: gateway.auth.is_some(),
        has_client: state.0.console.client.is_there(),
        longest_wait_ms: longest_wait(gateway).as_millis() as u64,
        prompt_path: gateway.paths.prompt.clone(),
        stream_path: gateway.paths.stream.clone(),
        session_header: gateway.session_header.clone(),
        has_sessions: gateway.storage.is_some(),
        models: gateway
            .models
            .iter()
            .map(|model| Model {
                id: model.id.clone(),
                limits: Limits { rate: Some(model.rate), tokens: model.tokens },
            })
            .collect(),
        routes: routes(gateway),
    })
}

fn routes(gateway: &Gateway) -> Vec<Route> {
    let id = |index: usize| gateway.models.get(index).map(|model| model.id.clone());
    let of = |route: &ai_warp_core::config::Route| Route {
        name: route.name.clone(),
        models: route.models.iter().filter_map(|model| id(model.model)).collect(),
        strategy: route.strategy,
        limits: Limits { rate: route.limits.rate, tokens: route.limits.tokens },
    };
    gateway.routes.iter().map(of).collect()
}
