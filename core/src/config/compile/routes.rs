//! `routes`: names of models resolved; the first one is always `default`.

use std::collections::{BTreeMap, BTreeSet};

use super::providers::LARGEST_WEIGHT;
use super::{Problems, limits, models};
use crate::config::{
    Config, Model, Route, RouteConfig, RouteLimits, RouteModel, RouteModelConfig, RouteModelEntry,
    RouteOptions, Strategy,
};
use crate::plugin::OWN_HEADERS;

/// Name of the route of requests that name none.
const DEFAULT_ROUTE: &str = "default";

/// Most routes. They are part of the filter's configuration, which every worker holds.
const MOST_ROUTES: usize = 1_000;

/// Compiles the routes, `default` first and the others in the order in which they are written.
pub(super) fn compile(config: &Config, models: &[Model], problems: &mut Problems) -> Vec<Route> {
    let known = Models {
        positions: models.iter().enumerate().map(|(position, model)| (model.id.as_str(), position)).collect(),
        written: config.models.iter().map(models::id).collect(),
    };
    let mut routes = vec![Route {
        name: DEFAULT_ROUTE.to_owned(),
        models: all(models),
        strategy: Strategy::default(),
        graceful_degradation: false,
        headers: Vec::new(),
        strict: false,
        defaults: RouteOptions::default(),
        overrides: RouteOptions::default(),
        limits: RouteLimits::default(),
    }];
    if config.routes.len() > MOST_ROUTES {
        problems.add("routes", format!("has more than {MOST_ROUTES} entries"));
        return routes;
    }
    let mut names = BTreeSet::new();
    for (index, written) in config.routes.iter().enumerate() {
        let path = format!("routes[{index}]");
        problems.check_name(format!("{path}.name"), "a route's", &written.name);
        if !names.insert(written.name.as_str()) {
            problems.add(format!("{path}.name"), format!("{} is listed twice", written.name));
        }
        let route = Route {
            name: written.name.clone(),
            models: route_models(&path, written, models, &known, problems),
            strategy: written.strategy,
            graceful_degradation: written.graceful_degradation,
            headers: headers(&path, written, problems),
            strict: written.strict,
            defaults: options(&format!("{path}.defaults"), &written.defaults, problems),
            overrides: options(&format!("{path}.overrides"), &written.overrides, problems),
            limits: limits::route(&format!("{path}.limits"), &written.limits, problems),
        };
        match routes.first_mut() {
            Some(default) if written.name == DEFAULT_ROUTE => *default = route,
            _ => routes.push(route),
        }
    }
    routes
}

/// The headers of `match`, in lower case.
fn headers(path: &str, route: &RouteConfig, problems: &mut Problems) -> Vec<(String, String)> {
    let headers = route.matches.headers.iter().map(|(name, value)| {
        let path = format!("{path}.match.headers.{name}");
        problems.check_token(&path, name);
        if name.to_ascii_lowercase().starts_with(OWN_HEADERS) {
            problems.add(
                path,
                format!("cannot match: clients' headers that begin with {OWN_HEADERS} are removed"),
            );
        }
        (name.to_ascii_lowercase(), value.clone())
    });
    headers.collect()
}

/// Options that can hold.
fn options(path: &str, options: &RouteOptions, problems: &mut Problems) -> RouteOptions {
    let mut check = |name: &str, number: Option<f64>, most: f64| {
        if number.is_some_and(|number| !(0.0..=most).contains(&number)) {
            problems.add(format!("{path}.{name}"), format!("must be 0 to {most}"));
        }
    };
    check("temperature", options.temperature, 2.0);
    check("topP", options.top_p, 1.0);
    if options.max_tokens == Some(0) {
        problems.add(format!("{path}.maxTokens"), "must be at least 1");
    }
    options.clone()
}

/// Where each model is.
struct Models<'a> {
    positions: BTreeMap<&'a str, usize>,
    /// Those that are written, right or wrong.
    written: BTreeSet<String>,
}

fn all(models: &[Model]) -> Vec<RouteModel> {
    (0..models.len()).map(|model| RouteModel { model, weight: 1 }).collect()
}

fn route_models(
    path: &str,
    route: &RouteConfig,
    models: &[Model],
    known: &Models<'_>,
    problems: &mut Problems,
) -> Vec<RouteModel> {
    let path = format!("{path}.models");
    let Some(entries) = &route.models else {
        if route.name != DEFAULT_ROUTE {
            problems.add(path, "is missing; only the route \"default\" has all models by itself");
        }
        return all(models);
    };
    if entries.is_empty() {
        problems.add(&path, "is empty; name at least one of models");
    }
    let mut seen = BTreeSet::new();
    let mut chosen = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let RouteModelConfig { model: id, weight } = detailed(entry);
        problems.check_number(format!("{path}.weight"), weight.into(), 1..=LARGEST_WEIGHT.into());
        match known.positions.get(id.as_str()) {
            Some(model) => chosen.push(RouteModel { model: *model, weight }),
            // A model that is there but wrong has been reported under its own place.
            None if known.written.contains(&id) => {}
            None => problems.add(&path, format!("{id} is not in models")),
        }
        if seen.contains(&id) {
            problems.add(&path, format!("{id} is listed twice"));
        }
        seen.insert(id);
    }
    chosen
}

fn detailed(entry: &RouteModelEntry) -> RouteModelConfig {
    match entry {
        RouteModelEntry::Detailed(model) => model.clone(),
        RouteModelEntry::Name(model) => RouteModelConfig { model: model.clone(), weight: 1 },
    }
}
