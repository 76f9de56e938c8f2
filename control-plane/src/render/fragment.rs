//! What to paste into the configuration of an Envoy that serves other sites as well.
//!
//! The connection manager is somebody else's there, with routes of its own. So the filters are off unless a route of ours
//! turns them on, and what the gateway's own listener says for all its routes is said by each of them.

use serde_json::{Map, Value, json};

use super::settled::connection_manager;
use super::{Document, Parts, RenderError};

/// Name of the filter that removes what only a proxy may say.
const OWN_HEADERS_FILTER: &str = "ai-warp.own-headers";

/// What turns a filter on that is off.
const ON: &str = "type.googleapis.com/envoy.config.route.v3.FilterConfig";

/// Settings of virtual hosts that a route can have as well.
const OF_ROUTES_TOO: [&str; 2] = ["request_body_buffer_limit", "response_headers_to_remove"];

/// The parts of the gateway's listener that fit into another.
pub(super) struct Fragment {
    /// For the connection manager, before its router.
    pub(super) filters: Vec<Value>,
    /// For a virtual host, before all routes that match the same paths.
    pub(super) routes: Vec<Value>,
    /// For the route configuration that has it.
    pub(super) largest_direct_response: Value,
    /// For the listener: what it may buffer of an answer.
    pub(super) buffer_limit: Value,
}

impl Fragment {
    pub(super) fn of(parts: &Parts<'_>) -> Result<Self, RenderError> {
        let mut listener = parts.settled.gateway.clone();
        let buffer_limit = listener.get("per_connection_buffer_limit_bytes").cloned().unwrap_or_default();
        let missing = || RenderError::Missing("the listener has no connection manager with routes");
        let manager = connection_manager(&mut listener).ok_or_else(missing)?;
        let filters = filters(manager);
        let silence = manager.get("stream_idle_timeout").cloned().unwrap_or_default();
        let routes = manager.get("route_config").ok_or_else(missing)?;
        let largest_direct_response =
            routes.get("max_direct_response_body_size_bytes").cloned().unwrap_or_default();
        let host = routes.pointer("/virtual_hosts/0").and_then(Value::as_object).ok_or_else(missing)?;
        let names: Vec<&Value> = filters.iter().filter_map(|filter| filter.get("name")).collect();
        let all = host.get("routes").and_then(Value::as_array).into_iter().flatten();
        let ours = all.filter(|route| !is_refusal_of_the_rest(route));
        let routes = ours.map(|route| standing_alone(route, host, &names, &silence)).collect();
        Ok(Self { filters, routes, largest_direct_response, buffer_limit })
    }
}

/// Whether a route says that there is nothing at all paths that begin like ours: there may be somebody else's.
fn is_refusal_of_the_rest(route: &Value) -> bool {
    route.pointer("/direct_response/status") == Some(&json!(404)) && route.pointer("/match/headers").is_none()
}

/// The filters, off.
fn filters(manager: &Map<String, Value>) -> Vec<Value> {
    let own = manager.get("http_filters").and_then(Value::as_array).into_iter().flatten();
    let own = own.filter(|filter| filter.get("name") != Some(&json!("envoy.filters.http.router"))).cloned();
    let off = |mut filter: Value| {
        if let Some(filter) = filter.as_object_mut() {
            filter.insert("disabled".to_owned(), true.into());
        }
        filter
    };
    own_headers_filter(manager).into_iter().chain(own).map(off).collect()
}

/// What the gateway's listener does to headers before it looks for a route, as a filter: a connection manager cannot be told
/// to do that for some routes.
fn own_headers_filter(manager: &Map<String, Value>) -> Option<Value> {
    let early = manager.get("early_header_mutation_extensions")?.as_array()?;
    let mutations: Vec<&Value> = early
        .iter()
        .filter_map(|extension| extension.pointer("/typed_config/mutations")?.as_array())
        .flatten()
        .collect();
    Some(json!({
        "name": OWN_HEADERS_FILTER,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
            "mutations": {"request_mutations": mutations},
        },
    }))
}

/// `route` with all that its virtual host and its connection manager say for it.
fn standing_alone(route: &Value, host: &Map<String, Value>, filters: &[&Value], silence: &Value) -> Value {
    let mut route = route.clone();
    let Some(fields) = route.as_object_mut() else { return route };
    if let Some(action) = fields.get_mut("route").and_then(Value::as_object_mut) {
        if !action.contains_key("idle_timeout") {
            action.insert("idle_timeout".to_owned(), silence.clone());
        }
        for name in OF_ROUTES_TOO {
            if let Some(value) = host.get(name) {
                fields.insert(name.to_owned(), value.clone());
            }
        }
    }
    let own = fields.shift_remove("typed_per_filter_config").unwrap_or_else(|| json!({}));
    let mut config = Map::new();
    for name in filters.iter().filter_map(|name| name.as_str()) {
        match own.get(name) {
            Some(own) if own.get("disabled") == Some(&json!(true)) => {}
            Some(own) => _ = config.insert(name.to_owned(), own.clone()),
            None => _ = config.insert(name.to_owned(), json!({"@type": ON, "config": {}})),
        }
    }
    if !config.is_empty() {
        fields.insert("typed_per_filter_config".to_owned(), config.into());
    }
    route
}

pub(super) fn documents(parts: &Parts<'_>) -> Result<Vec<Document>, RenderError> {
    let Fragment { filters, routes, largest_direct_response, buffer_limit } = Fragment::of(parts)?;
    let document = |name: &str, comment: &str, value| Document {
        name: name.to_owned(),
        comment: comment.to_owned(),
        value,
    };
    let head = format!(
        "Parts for the configuration of an Envoy (1.39 or newer). Written by `ai-warp render --target \
         envoy-fragment`.\n{}\n\nBootstrap: add to `bootstrap_extensions`, unless it is there, and to `stats_config`, for the labels of metrics. Envoy reads secrets from files only \
         with a `node.id` and a `node.cluster`.",
        super::needs(parts)
    );
    let extensions = parts.bootstrap.get("bootstrap_extensions").cloned().unwrap_or_default();
    // Without the second, the labels of metrics stay within their names.
    let stats = parts.bootstrap.get("stats_config").cloned().unwrap_or_default();
    let mut of_bootstrap = json!({"bootstrap_extensions": extensions, "stats_config": stats});
    if let (Some(fields), Some(secrets)) = (of_bootstrap.as_object_mut(), parts.bootstrap_secrets()) {
        fields.insert("static_resources".to_owned(), json!({"secrets": secrets}));
    }
    let above_routes = "Connection manager: add to `http_filters`, before the router and after filters that say who may \
                        call. They are off but for the routes below.";
    let of_routes = format!(
        "Virtual host: add to `routes`, before others that match these paths. The route configuration around it needs\n\
         `max_direct_response_body_size_bytes: {largest_direct_response}`, and the listener\n\
         `per_connection_buffer_limit_bytes: {buffer_limit}` for answers above 1 MiB."
    );
    Ok(vec![
        document("bootstrap-extensions", &head, of_bootstrap),
        document("http-filters", above_routes, json!({"http_filters": filters})),
        document("routes", &of_routes, json!({"routes": routes})),
        document(
            "listeners",
            "Add to `static_resources.listeners`, or to a file of LDS: the hop inside of Envoy that streams take.",
            json!({"listeners": parts.settled.others}),
        ),
        document(
            "clusters",
            "Add to `static_resources.clusters`, or to a file of CDS.",
            json!({"clusters": parts.clusters()}),
        ),
    ])
}
