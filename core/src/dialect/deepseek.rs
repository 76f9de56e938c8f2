//! DeepSeek chat completions: OpenAI's format with `max_tokens`, and blank lines before a late answer.
//!
//! `reasoning_content` is not part of the answer and is not shown by the unified API.

use super::{Call, Credential, Delta, Dialect, openai};
use crate::chat::Answer;
use crate::failure::Failure;

/// The dialect of `api.deepseek.com`.
pub(super) struct DeepSeek;

impl Dialect for DeepSeek {
    fn credential(&self) -> Credential {
        Credential { header: "authorization", prefix: "Bearer " }
    }

    fn path(&self, base_path: &str, _: &Call<'_>) -> String {
        format!("{base_path}/chat/completions")
    }

    fn request_body(&self, call: &Call<'_>) -> Vec<u8> {
        let mut request = openai::Request::new(call);
        request.max_tokens = call.max_tokens;
        request.to_json()
    }

    fn read_answer(&self, body: &[u8]) -> Result<Answer, Failure> {
        // The blank lines DeepSeek sends while a request waits are white space to a JSON parser.
        openai::read_answer(body)
    }

    fn read_event<'a>(&self, data: &'a [u8]) -> Result<Delta<'a>, Failure> {
        openai::read_event(data)
    }
}
