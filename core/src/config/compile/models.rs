//! `models`: each with its provider, its limits and the names of its states.

use crate::config::{Config, Model, ModelConfig, ModelEntry, ModelLimitsConfig, Provider, RestoreConfig};

use super::{Problems, limits, observability};

/// Compiles the models, as far as they are right.
pub(super) fn compile(config: &Config, providers: &[Provider], problems: &mut Problems) -> Vec<Model> {
    if config.models.is_empty() {
        problems.add("models", "is empty; name at least one, such as \"openai:gpt-5-mini\"");
    }
    let mut models: Vec<Model> = Vec::with_capacity(config.models.len());
    for (index, entry) in config.models.iter().enumerate() {
        let path = format!("models[{index}]");
        let Some(entry) = detailed(entry) else {
            problems.add(&path, format!("\"{}\" is no model; write \"provider:model\"", id(entry)));
            continue;
        };
        check(&path, &entry, problems);
        let price = entry.price.as_ref();
        let price = price.map(|price| observability::price(&format!("{path}.price"), price, problems));
        let id = model_id(&entry);
        if models.iter().any(|model| model.id == id) {
            problems.add(&path, format!("{id} is listed twice"));
        }
        match providers.iter().position(|provider| provider.name == entry.provider) {
            Some(index) => models.push(Model {
                provider: index,
                targets: providers.get(index).map(|provider| targets(&id, provider)).unwrap_or_default(),
                id,
                name: entry.model.clone(),
                max_tokens: entry.limits.max_tokens,
                rate: limits::rate(entry.limits.rate.as_ref().unwrap_or(&config.limits.rate)),
                tokens: entry.limits.tokens.as_ref().or(config.limits.tokens.as_ref()).map(limits::tokens),
                unsupported: entry.unsupported.clone(),
                price,
                restore: limits::restore(&entry.restore, &config.restore),
            }),
            // A provider that is there but wrong has been reported under its own name.
            None if config.providers.contains_key(&entry.provider) => {}
            None => {
                let known: Vec<_> = config.providers.keys().map(String::as_str).collect();
                problems.add(
                    format!("{path}.provider"),
                    format!("no provider \"{}\"; there is {}", entry.provider, known.join(", ")),
                );
            }
        }
    }
    models
}

/// What an entry of `models` calls itself: `provider:model`, unless it is wrong.
pub(super) fn id(entry: &ModelEntry) -> String {
    match entry {
        ModelEntry::Name(name) => name.clone(),
        ModelEntry::Detailed(model) => model_id(model),
    }
}

fn model_id(model: &ModelConfig) -> String {
    format!("{}:{}", model.provider, model.model)
}

/// The long form; `None` where the short one names no provider.
fn detailed(entry: &ModelEntry) -> Option<ModelConfig> {
    match entry {
        ModelEntry::Detailed(model) => Some(ModelConfig::clone(model)),
        ModelEntry::Name(name) => name.split_once(':').map(|(provider, model)| ModelConfig {
            provider: provider.to_owned(),
            model: model.to_owned(),
            limits: ModelLimitsConfig::default(),
            restore: RestoreConfig::default(),
            unsupported: Vec::new(),
            price: None,
        }),
    }
}

fn check(path: &str, entry: &ModelConfig, problems: &mut Problems) {
    if entry.model.is_empty() || entry.model.bytes().any(|b| b <= b' ' || b == 0x7f) {
        problems.add(format!("{path}.model"), "must be a name without white space");
    }
    if entry.limits.max_tokens == Some(0) {
        problems.add(format!("{path}.limits.maxTokens"), "must be at least 1");
    }
    limits::check_rate(&format!("{path}.limits.rate"), entry.limits.rate.as_ref(), problems);
    limits::check_tokens(&format!("{path}.limits.tokens"), entry.limits.tokens.as_ref(), problems);
    limits::check_restore(&format!("{path}.restore"), &entry.restore, problems);
}

/// The names under which the states of model `id` are kept.
fn targets(id: &str, provider: &Provider) -> Vec<String> {
    match provider.endpoints.as_slice() {
        [_] => vec![id.to_owned()],
        several => {
            let own_name = |name: &str| name.rsplit_once('/').map_or(name, |(_, own)| own).to_owned();
            several.iter().map(|endpoint| format!("{id}@{}", own_name(&endpoint.name))).collect()
        }
    }
}
