//! What becomes of a request at a provider that cannot do all of it.

use std::borrow::Cow;

use super::{Dialect, Wire};
use crate::chat::{Chat, Feature, Image, ImageSource, Options, Part, Words};
use crate::config::Model;
use crate::failure::{Failure, FailureKind};
use crate::task::Task;

/// Longest name of a field that is told in full, in characters: clients choose them as they like.
const MAX_NAME: usize = 64;

/// Most fields told that are left out.
const MAX_NAMES: usize = 32;

/// The options to write, and what was left out of them.
#[derive(Debug)]
pub struct Prepared<'a> {
    /// Without what the model cannot do.
    pub options: Cow<'a, Options>,
    /// The fields that are left out, in the client's words, and fit to stand in a header: see [`shown`].
    pub dropped: Vec<Cow<'a, str>>,
}

/// Prepares `task` for `model` of a provider that speaks `dialect`. `features` are the task's; `strict` refuses what would
/// be left out.
///
/// # Errors
/// [`FailureKind::NotOffered`], with the field.
pub fn prepare<'a>(
    task: &'a Task,
    features: &[Feature],
    dialect: &dyn Dialect,
    model: &Model,
    strict: bool,
) -> Result<Prepared<'a>, Failure> {
    let support = dialect.support();
    let mut prepared = Prepared { options: Cow::Borrowed(task.options()), dropped: Vec::new() };
    let is_native = task.native().is_some_and(|native| native.wire() == dialect.wire());
    let chat = task.conversation().map(|conversation| &conversation.chat);
    let words = chat.map_or(Words::default(), |chat| chat.words);
    if chat.is_none() && dialect.embedder().is_none() {
        return Err(Failure::no_embeddings());
    }
    for feature in features {
        let is_foreign = match feature {
            Feature::ForeignTools => !is_native,
            Feature::ImageData => chat.is_some_and(|chat| holds_image_unknown_to(chat, dialect)),
            Feature::ForeignContent => chat.is_some_and(|chat| holds_foreign_to(chat, dialect.wire())),
            _ => false,
        };
        let is_dropped_by_dialect = support.dropped.contains(feature)
            || dialect.wire().lacks(*feature)
            || chat.is_some_and(|chat| dialect.model_refuses(&model.name, *feature, chat));
        let is_unsupported = model.unsupported.contains(feature);
        // What stands in the messages is left out by those who write them, or not at all.
        let cannot_be_dropped = is_unsupported && !is_dropped_by_dialect && !feature.is_option();
        if is_foreign || support.refused.contains(feature) || cannot_be_dropped {
            return Err(not_offered(words.field(*feature)));
        }
        let is_dropped = is_dropped_by_dialect || is_unsupported;
        if is_dropped {
            prepared.dropped.push(Cow::Borrowed(words.field(*feature)));
            prepared.options.to_mut().clear(*feature);
        }
    }
    for name in task
        .options()
        .unknown
        .iter()
        .filter(|name| !is_native || (chat.is_some() && !dialect.takes_field(name)))
    {
        prepared.dropped.push(shown(name));
        prepared.options.to_mut().unknown.retain(|kept| kept != name);
    }
    if let Some(chat) = chat.filter(|chat| !chat.unread.is_empty()) {
        let keeps_messages = is_native && dialect.keeps_messages(chat);
        let is_said = |name: &str| name.starts_with("messages.") || name.starts_with("system.");
        let is_kept = |name: &str| if is_said(name) { keeps_messages } else { is_native };
        prepared.dropped.extend(chat.unread.iter().filter(|name| !is_kept(name)).map(|name| shown(name)));
    }
    if prepared.dropped.len() > MAX_NAMES {
        prepared.dropped.truncate(MAX_NAMES);
        prepared.dropped.push(Cow::Borrowed("..."));
    }
    match prepared.dropped.first() {
        Some(field) if strict => Err(not_offered(field)),
        _ => Ok(prepared),
    }
}

/// The name of a field that a client chose, as it may stand in a list in a header.
fn shown(name: &str) -> Cow<'_, str> {
    let may_stand = |c: char| c.is_ascii_graphic() && c != ',';
    if name.len() <= MAX_NAME && name.chars().all(may_stand) {
        return Cow::Borrowed(name);
    }
    name.chars().take(MAX_NAME).map(|c| if may_stand(c) { c } else { '?' }).collect()
}

fn holds_foreign_to(chat: &Chat, wire: Wire) -> bool {
    chat.messages.iter().flat_map(|message| &message.parts).any(|part| part.is_foreign_to(wire))
}

fn holds_image_unknown_to(chat: &Chat, dialect: &dyn Dialect) -> bool {
    let is_unknown = |part: &Part| match part {
        Part::Image(Image { source: ImageSource::Data { media_type, .. }, .. }) => {
            !dialect.takes_image(media_type)
        }
        _ => false,
    };
    chat.messages.iter().flat_map(|message| &message.parts).any(|part| match part {
        Part::ToolResult(result) => result.parts.iter().any(is_unknown),
        part => is_unknown(part),
    })
}

fn not_offered(field: &str) -> Failure {
    Failure {
        param: Some(field.to_owned()),
        ..Failure::new(FailureKind::NotOffered, format!("does not offer {field}"))
    }
}
