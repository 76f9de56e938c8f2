//! `routes`: names of models resolved; the first one is always `default`.

use std::collections::{BTreeMap, BTreeSet};

use super::providers::LARGEST_WEIGHT;
use super::{Problems, models};
use crate::config::{
    Config, Model, Route, RouteConfig, RouteModel, RouteModelConfig, RouteModelEntry, Strategy,
};

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
        };
        match routes.first_mut() {
            Some(default) if written.name == DEFAULT_ROUTE => *default = route,
            _ => routes.push(route),
        }
    }
    routes
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
