//! A client's request, whatever its format.

use uuid::Uuid;

use super::Format;
use super::fields::invalid_field;
use crate::config::{Gateway, RouteModel, Strategy};
use crate::error::{ErrorCode, GatewayError};
use crate::task::Task;

/// Most models one request may list.
pub const MAX_MODELS: usize = 32;

/// A request that is well formed; whether its models exist is [`select`](Self::select)'s to say.
#[derive(Debug)]
pub struct Request {
    /// The client's format.
    pub format: Format,
    /// What it asks for.
    pub task: Task,
    /// The models it asks.
    pub asked: Asked,
    /// The session it belongs to.
    pub session: Session,
    /// Whether its stream is to survive its client; `None` where the format has no word for that.
    pub resume: Option<bool>,
}

/// The session of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Session {
    /// None: the conversation is the client's to remember.
    None,
    /// One begins.
    New,
    /// One goes on.
    Continue {
        /// The session.
        id: Uuid,
        /// The turn to go on from, where that need not be the last.
        after: Option<Uuid>,
    },
    /// One is gone on from, and nothing is added to it.
    Recall {
        /// As above.
        id: Uuid,
        /// As above.
        after: Option<Uuid>,
    },
}

impl Session {
    /// The session that a header names: an id, or `new` for one that begins.
    ///
    /// # Errors
    /// As for an unknown session.
    pub fn of_header(value: &[u8]) -> Result<Self, GatewayError> {
        if value.eq_ignore_ascii_case(b"new") {
            return Ok(Self::New);
        }
        let id = Uuid::try_parse_ascii(value).map_err(|_| unknown_session())?;
        Ok(Self::Continue { id, after: None })
    }

    /// The session to read, and its turn, where there is something to remember.
    pub fn remembered(self) -> Option<(Uuid, Option<Uuid>)> {
        match self {
            Self::None | Self::New => None,
            Self::Continue { id, after } | Self::Recall { id, after } => Some((id, after)),
        }
    }
}

/// How a request says which models to try.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// A route, `provider:model`, or the plain name of a model that only one provider has.
    pub model: Option<String>,
    /// The same, but for routes: to be tried in this order.
    pub models: Option<Vec<String>>,
    /// A route.
    pub route: Option<String>,
}

/// The models that a request may use, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Which.
    pub models: Vec<RouteModel>,
    /// In which order.
    pub strategy: Strategy,
    /// Position of the route whose policy holds.
    pub route: usize,
    /// Whether the request names each of the models, and not a route.
    pub is_named: bool,
}

impl Asked {
    /// Checks what can be checked without a configuration.
    pub(super) fn check(&self) -> Result<(), GatewayError> {
        let Some(models) = &self.models else { return Ok(()) };
        if models.len() > MAX_MODELS {
            return Err(invalid_field("models", format!("models has more than {MAX_MODELS} entries")));
        }
        if models.is_empty() {
            return Err(invalid_field("models", "models is empty; name at least one or leave it out"));
        }
        if self.route.is_some() {
            return Err(invalid_field("models", "models and route exclude each other"));
        }
        Ok(())
    }
}

impl Request {
    /// Puts the request into the session that a header names, unless its body says what to go on from. Only what goes on
    /// with a conversation has a session.
    ///
    /// # Errors
    /// As for an unknown session.
    pub fn enter(&mut self, header: &[u8]) -> Result<(), GatewayError> {
        if self.task.conversation().is_some() && self.session.remembered().is_none() {
            self.session = Session::of_header(header)?;
        }
        Ok(())
    }

    /// The error where its session is not there.
    pub fn session_unknown(&self) -> GatewayError {
        if self.goes_on_from_response() { previous_response("is unknown") } else { unknown_session() }
    }

    /// The error where sessions are switched off.
    pub fn sessions_off(&self) -> GatewayError {
        if self.goes_on_from_response() {
            return previous_response(
                "cannot be used: nothing is remembered here, sessions are switched off",
            );
        }
        GatewayError::new(ErrorCode::OptionError, "sessionId: sessions are switched off")
    }

    fn goes_on_from_response(&self) -> bool {
        // Sessions by header go on from their last turn.
        let after = self.session.remembered().and_then(|(_, after)| after);
        self.format == Format::Responses && after.is_some()
    }

    /// The models to try: those it lists, in its order, or those of its route. `by_header` finds the
    /// position of the route that the request's headers choose.
    ///
    /// # Errors
    /// For a model or route that is not configured.
    pub fn select(
        &self,
        gateway: &Gateway,
        by_header: impl FnOnce() -> Option<usize>,
    ) -> Result<Selection, GatewayError> {
        let Asked { model, models, route } = &self.asked;
        if let Some(name) = route {
            let Some(route) = gateway.route_named(name) else {
                return Err(invalid_field("route", format!("route \"{name}\" is not configured")));
            };
            return Ok(Selection::of_route(gateway, route));
        }
        if let Some(names) = models {
            let models = names
                .iter()
                .map(|name| self.model_index(gateway, "models", name))
                .collect::<Result<Vec<_>, _>>()?;
            return Ok(Selection::of_models(models, by_header().unwrap_or(0)));
        }
        if let Some(route) = model.as_deref().and_then(|name| gateway.route_named(name)) {
            return Ok(Selection::of_route(gateway, route));
        }
        let by_header = by_header();
        match (model, by_header) {
            // A plain name is what an SDK cannot leave out; `provider:model` is meant.
            (Some(name), by_header) if by_header.is_none() || gateway.model_index(name).is_some() => {
                let model = self.model_index(gateway, "model", name)?;
                Ok(Selection::of_models(vec![model], by_header.unwrap_or(0)))
            }
            (_, by_header) => Ok(Selection::of_route(gateway, by_header.unwrap_or(0))),
        }
    }

    fn model_index(&self, gateway: &Gateway, field: &str, name: &str) -> Result<usize, GatewayError> {
        gateway.model_index(name).or_else(|| gateway.model_by_plain_name(name)).ok_or_else(|| {
            let code = match self.format {
                Format::Unified { .. } => ErrorCode::OptionError,
                _ => ErrorCode::ModelNotFound,
            };
            let is_shared = gateway.models.iter().any(|model| model.name == name);
            let what =
                if is_shared { "is of several providers; say provider:model" } else { "is not configured" };
            let error = invalid_field(field, format!("model \"{name}\" {what}"));
            GatewayError { code, ..error }
        })
    }
}

impl Selection {
    fn of_route(gateway: &Gateway, route: usize) -> Self {
        let (models, strategy) = match gateway.routes.get(route) {
            Some(route) => (route.models.clone(), route.strategy),
            None => Default::default(),
        };
        Self { models, strategy, route, is_named: false }
    }

    fn of_models(models: Vec<usize>, route: usize) -> Self {
        let models = models.into_iter().map(|model| RouteModel { model, weight: 1 }).collect();
        Self { models, strategy: Strategy::Ordered, route, is_named: true }
    }
}

/// An error about the response to go on from.
pub(super) fn previous_response(what: &str) -> GatewayError {
    invalid_field("previous_response_id", format!("previous_response_id {what}"))
}

/// The error for a session that is not there, whatever the reason.
pub fn unknown_session() -> GatewayError {
    GatewayError::new(ErrorCode::OptionError, "sessionId is unknown")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api;

    #[test]
    fn a_header_puts_conversations_into_a_session_and_nothing_else() {
        let id = Uuid::from_u128(3);
        let header = id.to_string();
        for (format, body, expected) in [
            (
                Format::ChatCompletions,
                r#"{"messages":[{"role":"user","content":"p"}]}"#,
                Session::Continue { id, after: None },
            ),
            (Format::Embeddings, r#"{"model":"m","input":"text"}"#, Session::None),
        ] {
            let mut request = api::read(format, body.into()).unwrap();
            request.enter(header.as_bytes()).unwrap();
            assert_eq!(request.session, expected);
        }
    }
}
