//! The plan: which models an exchange may try, at which endpoints, and in which order.
//!
//! Decided once per exchange by the strategy of its route, then only walked through; never changed by a new
//! configuration. All endpoints of a model come before the next model.

use fastrand::Rng;

use crate::config::{Gateway, RouteModel, Strategy};
use crate::fleet::Fleet;

/// A model at one endpoint of its provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// Position in the gateway's model list.
    pub model: usize,
    /// Position in the endpoints of its provider.
    pub endpoint: usize,
}

/// The choices of one exchange, and how far it has come.
#[derive(Debug, Clone)]
pub struct Plan {
    choices: Vec<Choice>,
    position: usize,
    retries_left: u8,
    retries_per_choice: u8,
}

impl Plan {
    /// A plan for `models`, in the order of `strategy`.
    pub fn new(
        gateway: &Gateway,
        models: &[RouteModel],
        strategy: Strategy,
        fleet: &Fleet,
        rng: &mut Rng,
    ) -> Self {
        let mut models = models.to_vec();
        match strategy {
            Strategy::Ordered => {}
            Strategy::Weighted => shuffle(&mut models, |entry| entry.weight, rng),
            Strategy::LeastBusy => {
                shuffle(&mut models, |entry| entry.weight, rng);
                models.sort_by_key(|entry| load(gateway, fleet, *entry));
            }
        }
        let mut choices = Vec::with_capacity(models.len());
        for entry in models {
            let provider = gateway.models.get(entry.model).and_then(|model| gateway.provider(model));
            let endpoints = provider.map(|provider| provider.endpoints.as_slice()).unwrap_or_default();
            let mut order: Vec<(usize, u32)> =
                endpoints.iter().enumerate().map(|(index, endpoint)| (index, endpoint.weight)).collect();
            shuffle(&mut order, |(_, weight)| *weight, rng);
            choices.extend(order.into_iter().map(|(endpoint, _)| Choice { model: entry.model, endpoint }));
        }
        let retries = gateway.retry.max;
        Self { choices, position: 0, retries_left: retries, retries_per_choice: retries }
    }

    /// What to try now; `None` once all of it was.
    pub fn current(&self) -> Option<Choice> {
        self.choices.get(self.position).copied()
    }

    /// Makes `choice` the last one, to be tried without retries.
    pub fn end_with(&mut self, choice: Choice) {
        self.choices = vec![choice];
        self.position = 0;
        self.retries_left = 0;
        self.retries_per_choice = 0;
    }

    /// How many retries of the current choice are left.
    pub fn retries_left(&self) -> u8 {
        self.retries_left
    }

    /// How many were made.
    pub fn retries_made(&self) -> u8 {
        self.retries_per_choice.saturating_sub(self.retries_left)
    }

    /// Takes one of them.
    pub fn retry(&mut self) {
        self.retries_left = self.retries_left.saturating_sub(1);
    }

    /// Moves on: to the next endpoint, or past all endpoints of this model.
    pub fn advance(&mut self, past_model: bool) {
        let model = self.current().map(|choice| choice.model);
        self.position += 1;
        while past_model && model.is_some() && self.current().map(|choice| choice.model) == model {
            self.position += 1;
        }
        self.retries_left = self.retries_per_choice;
    }
}

/// Orders `items` at random; what weighs more tends to come first.
fn shuffle<T>(items: &mut [T], weight: impl Fn(&T) -> u32, rng: &mut Rng) {
    let mut rest = items;
    while rest.len() > 1 {
        let total: u64 = rest.iter().map(|item| u64::from(weight(item).max(1))).sum();
        let mut drawn = rng.u64(0..total);
        let mut chosen = 0;
        for (index, item) in rest.iter().enumerate() {
            let weight = u64::from(weight(item).max(1));
            chosen = index;
            if drawn < weight {
                break;
            }
            drawn -= weight;
        }
        // Brings the chosen one to the front and keeps the order of the others.
        if let Some(front) = rest.get_mut(..=chosen) {
            front.rotate_right(1);
        }
        rest = rest.get_mut(1..).unwrap_or_default();
    }
}

/// Requests under way per weight, as a number to sort by.
fn load(gateway: &Gateway, fleet: &Fleet, entry: RouteModel) -> u64 {
    let targets = gateway.models.get(entry.model).map(|model| model.targets.as_slice()).unwrap_or_default();
    let busy: u64 = targets.iter().map(|target| u64::from(fleet.busy(target))).sum();
    busy * 1_000 / u64::from(entry.weight.max(1))
}
