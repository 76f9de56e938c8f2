//! What a request asks a model for.

use crate::api::Reply;
use crate::chat::{Chat, Feature, Options};
use crate::embedding::Embedding;
use crate::native::Native;

/// What a request asks a model for.
#[derive(Debug)]
pub enum Task {
    /// The next message of a conversation.
    Chat(Box<Conversation>),
    /// Vectors for texts.
    Embed(Box<Embedding>),
}

/// A conversation that a client wants continued.
#[derive(Debug)]
pub struct Conversation {
    /// What was said.
    pub chat: Chat,
    /// Whether the answer is wanted as a stream.
    pub stream: bool,
    /// Writes the answer.
    pub reply: Box<dyn Reply>,
}

impl Task {
    /// The conversation, where it is one.
    pub fn conversation(&self) -> Option<&Conversation> {
        match self {
            Self::Chat(conversation) => Some(conversation),
            Self::Embed(_) => None,
        }
    }

    /// The same, to be changed.
    pub fn conversation_mut(&mut self) -> Option<&mut Conversation> {
        match self {
            Self::Chat(conversation) => Some(conversation),
            Self::Embed(_) => None,
        }
    }

    /// What it says beside what is to be answered or embedded.
    pub fn options(&self) -> &Options {
        match self {
            Self::Chat(conversation) => &conversation.chat.options,
            Self::Embed(embedding) => &embedding.options,
        }
    }

    /// The request as its client wrote it, where a provider could speak the same format.
    pub fn native(&self) -> Option<&Native> {
        match self {
            Self::Chat(conversation) => conversation.chat.native.as_ref(),
            Self::Embed(embedding) => Some(&embedding.native),
        }
    }

    /// The same, to be changed.
    pub fn native_mut(&mut self) -> Option<&mut Native> {
        match self {
            Self::Chat(conversation) => conversation.chat.native.as_mut(),
            Self::Embed(embedding) => Some(&mut embedding.native),
        }
    }

    /// What it asks for that not every provider can do.
    pub fn features(&self) -> Vec<Feature> {
        match self {
            Self::Chat(conversation) => conversation.chat.features(),
            Self::Embed(embedding) => embedding.features(),
        }
    }

    /// Bytes of all text, for an estimate of its tokens.
    pub fn text_len(&self) -> usize {
        match self {
            Self::Chat(conversation) => conversation.chat.text_len(),
            Self::Embed(embedding) => embedding.text_len(),
        }
    }
}

#[cfg(test)]
impl Task {
    /// A task to go on with `chat`.
    pub(crate) fn of_chat(chat: &Chat) -> Self {
        use crate::api::{self, Format};
        let body = br#"{"prompt":"p"}"#.to_vec();
        let mut task = api::read(Format::Unified { stream: false }, body).unwrap().task;
        task.conversation_mut().unwrap().chat = chat.clone();
        task
    }

    /// The conversation that it must be.
    pub(crate) fn into_conversation(self) -> Conversation {
        match self {
            Self::Chat(conversation) => *conversation,
            Self::Embed(_) => panic!("no conversation"),
        }
    }
}
