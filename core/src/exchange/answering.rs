//! The way back: what the provider says becomes what the client gets, and a turn to store.

use super::{Exchange, Identity, Phase};
use crate::answer::read_whole;
use crate::api::{About, Outcome, Source, Whole, embeddings};
use crate::chat::{Answer, Delta, Finish, Message, Part, Role, Usage};
use crate::config::Gateway;
use crate::dialect::Dialect;
use crate::error::GatewayError;
use crate::failure::{Failure, FailureKind};
use crate::fleet::Fleet;
use crate::plan::Plan;
use crate::sse::Event;
use crate::sync::Turn;
use crate::task::{Conversation, Task};

fn about<'a>(gateway: &'a Gateway, plan: &Plan, identity: Identity, stored: Option<bool>) -> About<'a> {
    let model = plan.current().and_then(|choice| gateway.models.get(choice.model));
    About {
        id: identity.id,
        created_secs: identity.created_secs,
        model: model.map(|model| model.name.as_str()).unwrap_or_default(),
        ids: identity.ids,
        stored,
    }
}

/// Providers want back what a model thought with the results of the tools it called, and not otherwise.
fn without_idle_thoughts(mut message: Message) -> Message {
    if message.tool_calls().next().is_none() {
        message.parts.retain(|part| !matches!(part, Part::Reasoning(_)));
    }
    message
}

impl Exchange {
    /// Takes an event of the provider's stream and appends what the client gets for it. Says whether that is a part of the
    /// answer, and not only of what surrounds it.
    pub fn take_event(&mut self, event: Event<'_>, deltas: &[Delta<'_>], out: &mut Vec<u8>) -> bool {
        let Some(Conversation { reply, .. }) = self.task.conversation_mut() else { return false };
        let shows_reasoning = reply.shows_reasoning();
        let keeps = self.identity.ids.is_some() || reply.wants_answer() || self.gateway.logging.content;
        let mut is_content = false;
        for delta in deltas {
            is_content |= delta.is_content() || (shows_reasoning && matches!(delta, Delta::Reasoning(_)));
            self.said_len += delta.len();
            if keeps {
                self.said.add(delta);
            }
        }
        let about = about(&self.gateway, &self.plan, self.identity, None);
        reply.event(&about, event, deltas, self.source, out);
        is_content
    }

    /// Takes what a stream is known to have used so far.
    pub fn note_usage(&mut self, usage: Option<Usage>) {
        self.usage = usage.or(self.usage);
    }

    /// Ends the exchange with a whole answer.
    pub fn complete(&mut self, answer: Answer, fleet: &mut Fleet, now_ms: u64) {
        self.note_usage(answer.usage);
        self.journal.answered(now_ms);
        self.phase = Phase::Answered(answer);
        self.settle_well(fleet, now_ms);
    }

    /// Reads a whole answer of status 200: what it says, and the body for the client.
    ///
    /// # Errors
    /// What the body reports, and answers that hold nothing, or not what was asked for.
    pub fn read_whole(&self, dialect: &dyn Dialect, body: &[u8]) -> Result<(Answer, Whole), Failure> {
        let about = about(&self.gateway, &self.plan, self.identity, None);
        match &self.task {
            Task::Chat(conversation) => {
                let answer = read_whole(dialect, body)?;
                if conversation.stream {
                    let message = "answered a request for a stream without one";
                    return Err(Failure::new(FailureKind::Malformed, message));
                }
                let whole = conversation.reply.whole(&about, &answer, self.source, body);
                Ok((answer, whole))
            }
            Task::Embed(embedding) => {
                let embedder = dialect.embedder().ok_or_else(Failure::no_embeddings)?;
                let embedded = embedder.read(body)?;
                if !embedded.vectors.is_empty() && embedded.vectors.len() != embedding.texts() {
                    let message = "sent another number of vectors than there were texts";
                    return Err(Failure::new(FailureKind::Malformed, message));
                }
                let whole = match self.source {
                    Source::Native | Source::NearlyNative => Whole::Native,
                    Source::Foreign => {
                        Whole::Written(embeddings::write(about.model, &embedded, embedding.encoding)?)
                    }
                };
                let answer = Answer { parts: Vec::new(), finish: Finish::Stop, usage: embedded.usage };
                Ok((answer, whole))
            }
        }
    }

    /// Ends the exchange with what its stream said.
    pub fn complete_stream(&mut self, finish: Finish, fleet: &mut Fleet, now_ms: u64) {
        let parts = std::mem::take(&mut self.said).into_parts();
        self.complete(Answer { parts, finish, usage: self.usage }, fleet, now_ms);
    }

    /// Appends the end event to a complete stream.
    pub fn write_end(&mut self, out: &mut Vec<u8>) {
        let before = out.len();
        self.write_end_as(None, out);
        self.end_event_len = out.len() - before;
    }

    /// Rewrites `tail`, the last bytes of a complete stream, for a turn that is not stored, where the client's format tells
    /// such things.
    pub fn mark_end_not_stored(&mut self, tail: &mut Vec<u8>) {
        let tells = self.task.conversation().is_some_and(|conversation| conversation.reply.tells_stored());
        if tells && let Some(start) = tail.len().checked_sub(self.end_event_len) {
            tail.truncate(start);
            self.write_end_as(Some(false), tail);
        }
    }

    fn write_end_as(&mut self, stored: Option<bool>, out: &mut Vec<u8>) {
        if let (Phase::Answered(answer), Some(conversation)) = (&self.phase, self.task.conversation_mut()) {
            let about = about(&self.gateway, &self.plan, self.identity, stored);
            conversation.reply.end(&about, answer, out);
        }
    }

    /// Appends the error event to a stream that failed.
    pub fn write_error(&mut self, error: &GatewayError, out: &mut Vec<u8>) {
        if let Some(conversation) = self.task.conversation_mut() {
            conversation.reply.error(error, out);
        }
    }

    /// The turn to store, where sessions are on: of a complete answer, or of one that its client did not wait for. `at_ms`
    /// counts from 1970.
    pub fn turn(&self, at_ms: u64) -> Option<Turn> {
        let ids = self.identity.ids?;
        let Conversation { chat, .. } = self.task.conversation()?;
        let (answer, result) = match &self.phase {
            Phase::Answered(answer) => (answer.message(), answer.finish.outcome()),
            Phase::Committed => (self.said.message(), Outcome::IncompleteInterrupted),
            _ => return None,
        };
        let answer = without_idle_thoughts(answer);
        let added: Vec<_> = chat.added().collect();
        let last = added.iter().rev().find(|message| message.role == Role::User);
        // A turn is a prompt and its response; anything else is stored as it was said.
        let is_prompt =
            |only: &Message| only.role == Role::User && only.name.is_none() && only.plain_text().is_some();
        let is_plain = matches!(added.as_slice(), [only] if is_prompt(only)) && answer.plain_text().is_some();
        let (prompt, response) =
            (last.map(|message| message.text().into_owned()).unwrap_or_default(), answer.text().into_owned());
        let messages =
            if is_plain { Vec::new() } else { added.into_iter().cloned().chain([answer]).collect() };
        Some(Turn {
            owner: self.identity.owner,
            session_id: ids.session,
            turn_id: ids.turn,
            prompt,
            response,
            result,
            model: self.model_id().to_owned(),
            at_ms,
            messages,
            parent: ids.parent,
            trace: self.trace.clone(),
        })
    }

    /// Whether the first content left for the client and the end did not.
    pub fn is_interrupted(&self) -> bool {
        matches!(self.phase, Phase::Committed)
    }
}
