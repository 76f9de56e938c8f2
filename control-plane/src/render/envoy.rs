//! The whole configuration of an Envoy: it starts with this file, its secrets and the filter, and needs nobody else.

use serde_json::{Value, json};

use super::{Document, Parts};

pub(super) fn documents(parts: &Parts<'_>) -> Vec<Document> {
    let mut bootstrap = parts.bootstrap.clone();
    let listeners: Vec<&Value> = [&parts.settled.gateway].into_iter().chain(&parts.settled.others).collect();
    if let Some(resources) = bootstrap.get_mut("static_resources") {
        *resources = json!({"listeners": listeners, "clusters": parts.clusters()});
        if let (Some(resources), Some(secrets)) = (resources.as_object_mut(), parts.bootstrap_secrets()) {
            resources.insert("secrets".to_owned(), secrets.clone());
        }
    }
    let comment = format!(
        "An Envoy with AI Warp (Envoy 1.39 or newer). Written by `ai-warp render --target envoy`.\n{}",
        super::needs(parts)
    );
    vec![Document { name: "envoy".to_owned(), comment, value: bootstrap }]
}
