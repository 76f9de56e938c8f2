//! OpenAI chat completions: `POST /v1/chat/completions`.

mod mend;
mod reply;
mod request;

pub(super) use request::read;
