//! The plan: which models an exchange may try, in which order, and what comes after a failure.
//!
//! Decided once per exchange, advanced after every failed attempt, never changed by a new configuration.

/// The models of one exchange. There is always a current one.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Positions in the gateway's model list.
    models: Vec<usize>,
    position: usize,
    retries_left: u8,
    retries_per_model: u8,
}

/// What an exchange does after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The same model again.
    SameModel,
    /// The model that now is the current one.
    NextModel,
    /// Nothing: the failure is the answer.
    GiveUp,
}

impl Plan {
    /// A plan for `models`, each with `retries_per_model`; `None` where there is no model.
    pub fn new(models: Vec<usize>, retries_per_model: u8) -> Option<Self> {
        (!models.is_empty()).then_some(Self {
            models,
            position: 0,
            retries_left: retries_per_model,
            retries_per_model,
        })
    }

    /// Position, in the gateway's model list, of the model to try now.
    pub fn current(&self) -> usize {
        self.models.get(self.position).copied().unwrap_or_default()
    }

    /// Position of the model that follows the current one.
    pub fn following(&self) -> Option<usize> {
        self.models.get(self.position + 1).copied()
    }

    /// Moves on after a failed attempt; `same_model` says whether the same model may be tried again.
    pub fn advance(&mut self, same_model: bool) -> Next {
        if same_model && self.retries_left > 0 {
            self.retries_left -= 1;
            return Next::SameModel;
        }
        self.skip()
    }

    /// Moves on to the next model whatever retries are left.
    pub fn skip(&mut self) -> Next {
        if self.following().is_none() {
            return Next::GiveUp;
        }
        self.position += 1;
        self.retries_left = self.retries_per_model;
        Next::NextModel
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_each_model_then_moves_on_then_gives_up() {
        let mut plan = Plan::new(vec![4, 7], 1).unwrap();
        assert_eq!(plan.current(), 4);
        assert_eq!((plan.advance(true), plan.current()), (Next::SameModel, 4));
        assert_eq!((plan.advance(true), plan.current()), (Next::NextModel, 7));
        assert_eq!((plan.advance(true), plan.current()), (Next::SameModel, 7));
        assert_eq!((plan.advance(true), plan.current()), (Next::GiveUp, 7));
    }

    #[test]
    fn a_failure_that_no_retry_helps_moves_on_at_once() {
        let mut plan = Plan::new(vec![0, 1], 3).unwrap();
        assert_eq!((plan.advance(false), plan.current()), (Next::NextModel, 1));
        assert_eq!(plan.advance(false), Next::GiveUp);
    }

    #[test]
    fn there_is_no_empty_plan() {
        assert!(Plan::new(Vec::new(), 1).is_none());
    }
}
