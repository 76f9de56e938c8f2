//! Anthropic Messages: `POST /v1/messages`.

mod reply;
mod request;
mod stream;
mod tools;
mod wire;

#[cfg(test)]
mod tests;

pub(super) use request::read;
