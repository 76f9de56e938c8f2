//! OpenAI Responses: `POST /v1/responses`.
//!
//! The id of a response names its turn in the store, so that `previous_response_id` finds it on every gateway. Instructions
//! are of their request alone and not remembered with it, as at OpenAI.

mod echo;
mod input;
mod items;
mod reply;
mod request;
mod response_id;
mod stream;
mod wire;

#[cfg(test)]
mod tests;

pub(super) use request::read;
pub(super) use stream::write_error_event;
