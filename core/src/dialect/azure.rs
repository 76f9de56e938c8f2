//! Azure OpenAI: OpenAI's wire at paths of its own. With an API version the path names a deployment, whose name is what
//! the configuration calls the model; without one it is the v1 API, which finds the deployment by `model` in the body.

use super::openai::{OPENAI, OpenAi};
use super::{Call, Credential, Dialect, EmbedCall, Embedder, ReadEvents, Support, Wire, path};
use crate::chat::{Answer, Chat, Feature};
use crate::embedding::Embedded;
use crate::failure::Failure;

/// The dialect of `*.openai.azure.com`.
pub(super) struct Azure;

/// Before this version the service knew neither `max_completion_tokens` nor `stream_options`.
const LIKE_OPENAI_SINCE: &str = "2024-09-01";

static OLD: OpenAi = OpenAi { max_tokens: "max_tokens", stream_options: false, ..OPENAI };

impl Dialect for Azure {
    fn wire(&self) -> Wire {
        Wire::Openai
    }

    fn credential(&self) -> Credential {
        Credential { header: "api-key", prefix: "" }
    }

    fn support(&self) -> &Support {
        OPENAI.support()
    }

    fn model_refuses(&self, model: &str, feature: Feature, chat: &Chat) -> bool {
        OPENAI.model_refuses(model, feature, chat)
    }

    fn path(&self, base_path: &str, call: &Call<'_>) -> String {
        path_to("chat/completions", base_path, call.model, call.api_version)
    }

    fn embedder(&self) -> Option<&dyn Embedder> {
        Some(self)
    }

    fn request_body(&self, call: &Call<'_>) -> Vec<u8> {
        // Versions begin with their date, so that they compare as texts.
        let is_old = call.api_version.is_some_and(|version| version < LIKE_OPENAI_SINCE);
        if is_old { Dialect::request_body(&OLD, call) } else { Dialect::request_body(&OPENAI, call) }
    }

    fn read_answer(&self, body: &[u8]) -> Result<Answer, Failure> {
        OPENAI.read_answer(body)
    }

    fn events(&self) -> Box<dyn ReadEvents> {
        OPENAI.events()
    }
}

impl Embedder for Azure {
    fn path(&self, base_path: &str, call: &EmbedCall<'_>) -> String {
        path_to("embeddings", base_path, call.model, call.api_version)
    }

    fn request_body(&self, call: &EmbedCall<'_>) -> Vec<u8> {
        Embedder::request_body(&OPENAI, call)
    }

    fn read(&self, body: &[u8]) -> Result<Embedded, Failure> {
        OPENAI.read(body)
    }
}

fn path_to(operation: &str, base_path: &str, deployment: &str, version: Option<&str>) -> String {
    let Some(version) = version else {
        return format!("{base_path}/openai/v1/{operation}");
    };
    let mut path = format!("{base_path}/openai/deployments/");
    path::push_segment(&mut path, deployment);
    path.push('/');
    path.push_str(operation);
    path.push_str("?api-version=");
    path::push_segment(&mut path, version);
    path
}
