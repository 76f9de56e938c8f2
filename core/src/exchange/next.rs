//! What comes next: which model is tried, again or instead, when, and when that is enough.
//!
//! One budget holds for all attempts of an exchange (`limits.maxAttempts`, `limits.totalTimeout`). Within it every choice of
//! the plan is asked for admission; what rests or has no budget is passed over.

use std::rc::Rc;

use super::journal::{self, TryEnd};
use super::{EXPECTED_OUTPUT_TOKENS, Exchange, Payment, Phase, TIMER_SLACK_MS};
use crate::config::Gateway;
use crate::dialect::dialect;
use crate::error::{ErrorCode, GatewayError};
use crate::failure::{Failure, FailureKind, whole_secs};
use crate::fleet::{Admission, Candidate, Ending, Fleet, Permit, Refusal};
use crate::health::{Fault, Reason};
use crate::plan::Choice;

/// What an exchange does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It goes to [`Exchange::cluster`].
    Go,
    /// It waits in the waiting cluster: until a time, or else until the control plane has answered.
    Wait {
        /// On the clock of this worker, in milliseconds.
        until_ms: Option<u64>,
    },
    /// It ends with this error.
    GiveUp(GatewayError),
}

/// Why choices were passed over.
#[derive(Debug, Default)]
pub(super) struct Obstacles {
    /// The choice whose rest is over first, and when.
    least_resting: Option<(u64, Choice)>,
    /// When the first limit lets something through again.
    limited_until_ms: Option<u64>,
    /// What the first model said that does not offer what is asked for: of no interest where waiting would help.
    not_offered: Option<GatewayError>,
}

impl Exchange {
    /// Chooses what comes next, before the first attempt and whenever a wait is over.
    pub fn choose(&mut self, fleet: &mut Fleet, now_ms: u64) -> Step {
        let is_waiting = matches!(self.phase, Phase::Waiting { until_ms: None });
        match &self.phase {
            Phase::Failed(error) => return Step::GiveUp(error.clone()),
            Phase::Waiting { until_ms: Some(until_ms) }
                if now_ms < *until_ms && !self.retries_in_vain(fleet) =>
            {
                return Step::Wait { until_ms: Some(*until_ms) };
            }
            Phase::Choosing | Phase::Waiting { .. } => {}
            Phase::Relaying
            | Phase::Relayed
            | Phase::Admitted
            | Phase::Trying { .. }
            | Phase::Committed
            | Phase::Answered(_) => {
                return Step::Go;
            }
        }
        if let Some(step) = self.admit_payers(fleet, now_ms) {
            return step;
        }
        let gateway = Rc::clone(&self.gateway);
        while let Some(choice) = self.plan.current() {
            if self.is_spent(now_ms) {
                break;
            }
            if let Some(error) = self.not_offered(choice) {
                self.end_retry(fleet);
                self.obstacles.not_offered.get_or_insert(error);
                self.journal.leave(choice.model, journal::Reason::NotOffered);
                self.plan.advance(true);
                continue;
            }
            let admission = match candidate(&gateway, choice) {
                Some(candidate) => fleet.admit(candidate, self.expected_tokens(choice), is_waiting, now_ms),
                None => Admission::No(Refusal::Resting { until_ms: now_ms }),
            };
            match self.enter(admission, choice) {
                Some(step) => return step,
                None => self.pass_over(fleet),
            }
        }
        self.end_retry(fleet);
        if let Some(choice) = self.least_bad(now_ms)
            && let Some(candidate) = candidate(&gateway, choice)
        {
            self.plan.end_with(choice);
            let admission = fleet.admit_resting(candidate, self.expected_tokens(choice), now_ms);
            if let Some(step) = self.enter(admission, choice) {
                return step;
            }
        }
        let error = self.error_of_none(now_ms);
        self.give_up(error)
    }

    /// Whether the model that is to be tried again has been given up since.
    fn retries_in_vain(&self, fleet: &Fleet) -> bool {
        self.retry_of.as_ref().is_some_and(|target| !fleet.is_ready(target))
    }

    /// The error of a model that does not offer what the request asks for.
    fn not_offered(&self, choice: Choice) -> Option<GatewayError> {
        let model = self.gateway.models.get(choice.model)?;
        let provider = self.gateway.provider(model)?;
        let failure = self.prepare(model, dialect(provider.dialect)).err()?;
        Some(failure.into_error(&model.id))
    }

    fn is_spent(&self, now_ms: u64) -> bool {
        let of_route = self.policy().and_then(|route| route.limits.max_attempts);
        self.attempts >= of_route.unwrap_or(self.gateway.max_attempts) || now_ms >= self.deadline_ms
    }

    /// Takes an admission; `None` where `choice` is to be passed over.
    fn enter(&mut self, admission: Admission, choice: Choice) -> Option<Step> {
        match admission {
            Admission::Go(permit) => {
                self.permit = Some(permit);
                self.phase = Phase::Admitted;
                Some(Step::Go)
            }
            Admission::No(Refusal::Ask) => Some(self.wait(None)),
            Admission::No(Refusal::Resting { until_ms }) => {
                self.journal.leave(choice.model, journal::Reason::Resting);
                if self.obstacles.least_resting.is_none_or(|(least_ms, _)| until_ms < least_ms) {
                    self.obstacles.least_resting = Some((until_ms, choice));
                }
                None
            }
            Admission::No(Refusal::Limited { until_ms }) => {
                self.journal.leave(choice.model, journal::Reason::Limited);
                let limited = &mut self.obstacles.limited_until_ms;
                *limited = Some(limited.map_or(until_ms, |least_ms| least_ms.min(until_ms)));
                None
            }
        }
    }

    fn wait(&mut self, until_ms: Option<u64>) -> Step {
        self.phase = Phase::Waiting { until_ms };
        Step::Wait { until_ms }
    }

    fn pass_over(&mut self, fleet: &mut Fleet) {
        self.end_retry(fleet);
        self.plan.advance(false);
    }

    /// Where everything rests and the route says so, what would be ready first.
    fn least_bad(&mut self, now_ms: u64) -> Option<Choice> {
        let degrades = self.policy().is_some_and(|route| route.graceful_degradation);
        if !degrades || self.attempts > 0 || self.is_spent(now_ms) {
            return None;
        }
        self.obstacles.least_resting.take().map(|(_, choice)| choice)
    }

    /// The limits of consumer and route, once per exchange; `None` where it may go on.
    fn admit_payers(&mut self, fleet: &mut Fleet, now_ms: u64) -> Option<Step> {
        let tokens = self.plan.current().map_or(0, |choice| self.expected_tokens(choice));
        let gateway = Rc::clone(&self.gateway);
        for payment in self.payments.iter_mut().filter(|payment| payment.reserved.is_none()) {
            match fleet.admit_payer(&gateway, &payment.payer, tokens, now_ms) {
                Ok(reserved) => payment.reserved = Some(reserved),
                Err(Refusal::Limited { until_ms }) => {
                    let message = format!("the limit of this {} is reached", payment.payer.what());
                    return Some(self.give_up(GatewayError {
                        retry_after_secs: Some(whole_secs(until_ms.saturating_sub(now_ms))),
                        ..GatewayError::new(ErrorCode::ProviderRateLimitError, message)
                    }));
                }
                Err(_) => return Some(self.wait(None)),
            }
        }
        None
    }

    /// About so many tokens will be used; 0 where nobody counts.
    fn expected_tokens(&self, choice: Choice) -> u64 {
        let gateway = &self.gateway;
        let Some(model) = gateway.models.get(choice.model) else { return 0 };
        let is_paid = self.payments.iter().any(|payment| payment.payer.tokens(gateway).is_some());
        if model.tokens.is_none() && !is_paid {
            return 0;
        }
        if self.task.conversation().is_none() {
            return self.input_tokens();
        }
        let most = self.max_tokens(model);
        self.input_tokens().saturating_add(most.map_or(EXPECTED_OUTPUT_TOKENS, u64::from))
    }

    /// The error where nothing can be tried (any more).
    fn error_of_none(&self, now_ms: u64) -> GatewayError {
        if let Some(error) = &self.last {
            return error.clone();
        }
        if now_ms >= self.deadline_ms {
            return self.timed_out();
        }
        let Obstacles { least_resting, limited_until_ms, ref not_offered } = self.obstacles;
        let resting_until_ms = least_resting.map(|(until_ms, _)| until_ms);
        if let (None, None, Some(error)) = (limited_until_ms, resting_until_ms, not_offered) {
            return error.clone();
        }
        let (code, message) = match (limited_until_ms, resting_until_ms) {
            (Some(_), None) => (ErrorCode::ProviderRateLimitError, "every model has reached its limit"),
            (Some(_), Some(_)) => (
                ErrorCode::ProviderRateLimitError,
                "every model has reached its limit or rests after a failure",
            ),
            (None, _) => (ErrorCode::ProviderNoModelsAvailableError, "every model rests after a failure"),
        };
        let first_ms = [limited_until_ms, resting_until_ms].into_iter().flatten().min();
        GatewayError {
            retry_after_secs: first_ms.map(|first_ms| whole_secs(first_ms.saturating_sub(now_ms))),
            ..GatewayError::new(code, message)
        }
    }

    fn timed_out(&self) -> GatewayError {
        let message = format!("there was no answer within {} ms", self.total_timeout_ms);
        GatewayError::new(ErrorCode::ProviderRequestTimeoutError, message)
    }

    pub(super) fn give_up(&mut self, error: GatewayError) -> Step {
        self.phase = Phase::Failed(error.clone());
        Step::GiveUp(error)
    }

    /// The router has come to the waiting cluster: an attempt under way has ended without a word, or there was something
    /// to wait for.
    pub fn arrive(&mut self, fleet: &mut Fleet, now_ms: u64) -> Step {
        match self.silent_failure(now_ms) {
            Some(failure) => self.fail(failure, fleet, now_ms),
            None if matches!(self.phase, Phase::Relaying) => self.go_alone(fleet, now_ms),
            None => self.choose(fleet, now_ms),
        }
    }

    /// The failure of an attempt of which nothing more will be heard.
    pub(super) fn silent_failure(&self, now_ms: u64) -> Option<Failure> {
        let Phase::Trying { started_ms, has_headers } = self.phase else { return None };
        let lasted_ms = now_ms.saturating_sub(started_ms);
        Some(if lasted_ms + TIMER_SLACK_MS >= self.gateway.request_timeout_ms {
            Failure::timeout(self.gateway.request_timeout_ms)
        } else if has_headers {
            Failure::cut()
        } else {
            Failure::unreachable()
        })
    }

    /// Decides what follows from `failure` of the attempt under way. Not for after [`commit`](Self::commit).
    pub fn fail(&mut self, failure: Failure, fleet: &mut Fleet, now_ms: u64) -> Step {
        self.journal.end(TryEnd::Failed(failure.kind), now_ms);
        if failure.retries_same_model()
            && let Some(wait_ms) = self.plan_retry(failure.retry_after_ms, fleet, now_ms)
        {
            self.settle(Ending::Retried, 0, fleet, now_ms);
            self.last = Some(failure.into_error(self.model_id()));
            return self.wait(Some(now_ms.saturating_add(wait_ms)));
        }
        let ending = failure.fault().map_or(Ending::Well, Ending::Badly);
        self.end_retry(fleet);
        self.settle(ending, 0, fleet, now_ms);
        let (kind, is_final, is_of_model) = (failure.kind, failure.is_final(), failure.is_of_model());
        let error = failure.into_error(self.model_id());
        if is_final {
            return self.give_up(error);
        }
        self.last = Some(error);
        if let Some(choice) = self.plan.current() {
            self.journal.leave(choice.model, journal::Reason::Failed(kind));
        }
        self.plan.advance(is_of_model);
        self.phase = Phase::Choosing;
        self.choose(fleet, now_ms)
    }

    /// The wait before the same model is tried again; `None` where it is not to be, or not before `stated_ms` are over.
    fn plan_retry(&mut self, stated_ms: Option<u64>, fleet: &mut Fleet, now_ms: u64) -> Option<u64> {
        let is_probe = self.permit.as_ref().is_some_and(Permit::is_probe);
        if is_probe || self.plan.retries_left() == 0 || self.is_spent(now_ms) {
            return None;
        }
        let gateway = Rc::clone(&self.gateway);
        let target = candidate(&gateway, self.plan.current()?)?.target;
        let retry = &gateway.retry;
        let doublings = u32::from(self.plan.retries_made());
        let base_ms = retry.interval_ms.saturating_mul(1 << doublings.min(32)).min(retry.max_interval_ms);
        let wait_ms = base_ms.saturating_add(self.rng.u64(0..=base_ms / 2));
        if stated_ms.is_some_and(|stated_ms| stated_ms > wait_ms)
            || now_ms.saturating_add(wait_ms) >= self.deadline_ms
        {
            // Another model may answer before.
            return None;
        }
        self.end_retry(fleet);
        if !fleet.begin_retry(target, now_ms) {
            return None;
        }
        self.retry_of = Some(target.to_owned());
        self.plan.retry();
        Some(wait_ms)
    }

    fn end_retry(&mut self, fleet: &mut Fleet) {
        if let Some(target) = self.retry_of.take() {
            fleet.end_retry(&target);
        }
    }

    /// Ends a committed exchange with `failure`; returns the error for the client.
    pub fn fail_committed(&mut self, failure: Failure, fleet: &mut Fleet, now_ms: u64) -> GatewayError {
        self.journal.end(TryEnd::Failed(failure.kind), now_ms);
        let ending = failure.fault().map_or(Ending::Well, Ending::Badly);
        self.settle_all(ending, fleet, now_ms);
        let error = failure.into_error(self.model_id());
        self.phase = Phase::Failed(error.clone());
        error
    }

    pub(super) fn settle_well(&mut self, fleet: &mut Fleet, now_ms: u64) {
        self.settle_all(Ending::Well, fleet, now_ms);
    }

    /// The last attempt is over, and used what it used.
    fn settle_all(&mut self, ending: Ending, fleet: &mut Fleet, now_ms: u64) {
        self.end_retry(fleet);
        let used = self.used_tokens();
        self.settle(ending, used, fleet, now_ms);
        self.settle_payers(used, fleet, now_ms);
    }

    fn settle(&mut self, ending: Ending, used: u64, fleet: &mut Fleet, now_ms: u64) {
        let gateway = Rc::clone(&self.gateway);
        let current = self.plan.current().and_then(|choice| candidate(&gateway, choice));
        if let (Some(candidate), Some(permit)) = (current, self.permit.take()) {
            fleet.settle(candidate, permit, ending, used, now_ms);
        }
    }

    fn settle_payers(&mut self, used: u64, fleet: &mut Fleet, now_ms: u64) {
        for Payment { payer, reserved } in &mut self.payments {
            if let Some(reserved) = reserved.take() {
                fleet.settle_payer(payer, reserved, used, now_ms);
            }
        }
    }

    pub(super) fn note_success(&mut self, fleet: &mut Fleet, now_ms: u64) {
        self.end_retry(fleet);
        let gateway = Rc::clone(&self.gateway);
        let current = self.plan.current().and_then(|choice| candidate(&gateway, choice));
        if let (Some(candidate), Some(permit)) = (current, &mut self.permit) {
            fleet.note_success(candidate, permit, now_ms);
        }
    }

    /// The error for a response that none of the attempts wrote, such as a local reply of Envoy; `None` where the
    /// response is an attempt's.
    pub fn error_of_foreign_response(
        &mut self,
        fleet: &mut Fleet,
        now_ms: impl FnOnce() -> u64,
    ) -> Option<GatewayError> {
        let error = match &self.phase {
            Phase::Relayed | Phase::Committed | Phase::Answered(_) => return None,
            Phase::Failed(error) => error.clone(),
            _ => {
                let now_ms = now_ms();
                let failure = self.silent_failure(now_ms);
                if let Some(failure) = &failure {
                    self.journal.end(TryEnd::Failed(failure.kind), now_ms);
                }
                if let Some(fault) = failure.as_ref().and_then(Failure::fault) {
                    self.settle(Ending::Badly(fault), 0, fleet, now_ms);
                }
                let of_attempt = failure.map(|failure| failure.into_error(self.model_id()));
                of_attempt.or(self.last.take()).unwrap_or_else(|| {
                    let message = "no model could be tried; the gateway has no capacity or no route for it";
                    GatewayError::new(ErrorCode::ProviderNoModelsAvailableError, message)
                })
            }
        };
        self.phase = Phase::Failed(error.clone());
        Some(error)
    }

    /// The time for all attempts is over. Returns the error, unless the exchange was settled before.
    ///
    /// That counts as a timeout of the attempt under way only if it took most of that time: one that began late had no chance.
    pub fn time_out(&mut self, fleet: &mut Fleet, now_ms: u64) -> Option<GatewayError> {
        self.deadline_ms()?;
        self.journal.end(TryEnd::Failed(FailureKind::Timeout), now_ms);
        if let Phase::Trying { started_ms, .. } = self.phase
            && now_ms.saturating_sub(started_ms) > self.total_timeout_ms / 2
        {
            let fault = Fault { reason: Reason::Timeout, stated_rest_ms: None };
            self.settle(Ending::Badly(fault), 0, fleet, now_ms);
        }
        let error = self.last.take().unwrap_or_else(|| self.timed_out());
        self.phase = Phase::Failed(error.clone());
        Some(error)
    }

    /// Whether it holds something that its [end](Self::end) must give back.
    pub fn holds_anything(&self) -> bool {
        self.permit.is_some()
            || self.payments.iter().any(|payment| payment.reserved.is_some())
            || self.retry_of.is_some()
    }

    /// The request is over, however it ended: gives back what it holds.
    pub fn end(&mut self, fleet: &mut Fleet, now_ms: u64) {
        self.end_retry(fleet);
        if self.is_interrupted() {
            self.settle_well(fleet, now_ms);
        } else {
            self.settle(Ending::Unknown, 0, fleet, now_ms);
            self.settle_payers(0, fleet, now_ms);
        }
    }
}

fn candidate(gateway: &Gateway, choice: Choice) -> Option<Candidate<'_>> {
    let model = gateway.models.get(choice.model)?;
    Some(Candidate { gateway, model, target: model.targets.get(choice.endpoint)? })
}
