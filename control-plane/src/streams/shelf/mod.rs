//! Streams in Valkey: what all control planes have of them, so that a client can come back to any.
//!
//! A stream is `ai-warp:{STREAM}:events`, a Valkey stream whose entries are numbered as the events are; `…:state`, a hash;
//! `…:writer`, by whom it is written, for as long as that one gives signs of life; and `…:reader`, which is there while somebody
//! reads it at another control plane. `ai-warp:{SESSION}:stream` names the last stream of a session, and `…:streams` all of them.
//! Whoever reads a stream that nobody writes any more, and that has no end, gives it one, after a while.

use std::sync::Arc;
use std::time::Duration;

use ai_warp_core::error::{ErrorCode, GatewayError};
use ai_warp_core::sync::SessionKey;
use axum::body::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use redis::{FromRedisValue, Script, ScriptInvocation};
use uuid::Uuid;

use super::log::End;
use crate::store::StoreError;
use crate::store::valkey_link::Link;

/// How long a writer is believed to be there after its last sign of life.
const WRITER_LIFE_MS: u64 = 2_000;

/// How long it is waited for then, from the first time that somebody who reads the stream finds it gone. Longer than it takes a
/// writer to be back whose store was away.
pub(super) const WRITER_GRACE_MS: u64 = 3_000;

/// Time between two signs of life of a writer.
pub(super) const SIGN_OF_LIFE: Duration = Duration::from_millis(500);

/// How long somebody is believed to read after having read.
const READER_LIFE_MS: u64 = 3_000;

/// Most events read at once.
const MAX_EVENTS_READ: u32 = 200;

/// What a stream ends with that its gateway has ended.
const TOLD: &str = "told";

/// The streams of all control planes.
#[derive(Debug, Clone)]
pub(super) struct Shelf {
    link: Arc<Link>,
    /// This control plane, among those that write.
    writer: Uuid,
    scripts: Arc<Scripts>,
}

#[derive(Debug)]
struct Scripts {
    write: Script,
    read: Script,
    note: Script,
    name: Script,
}

/// What is written of a stream.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) stream: Uuid,
    /// Whether it begins.
    pub(super) is_new: bool,
    pub(super) state: State,
    /// Position of the last event that was written before.
    pub(super) written: u32,
    /// Position before the first of `events`.
    pub(super) before: u32,
    pub(super) events: &'a [(u32, Bytes)],
    /// Events that are not kept any more.
    pub(super) dropped: u32,
    /// How long it is kept from now.
    pub(super) life: Duration,
}

/// How a stream is.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct State {
    pub(super) owner: Option<Uuid>,
    pub(super) session: Option<Uuid>,
    /// The headers of its answer. Written once.
    pub(super) head: Option<HeaderMap>,
    /// Position of its last event.
    pub(super) last: u32,
    /// Position of the last event that was written to somebody.
    pub(super) delivered: u32,
    pub(super) end: Option<End>,
    /// Whether nobody was there who writes it, when somebody looked. Only read.
    pub(super) is_unclaimed: bool,
    /// Whether it is to be forgotten; then nothing else is known of it. Only read.
    pub(super) is_forgotten: bool,
}

/// What became of writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// It is there.
    Kept {
        /// It is to be cancelled.
        is_cancelled: bool,
        /// Somebody reads it elsewhere.
        is_read: bool,
        /// Position up to which it was written to somebody elsewhere.
        delivered: u32,
    },
    /// The stream is somebody else's by now.
    Lost,
    /// Some of what was written is gone: the store has lost it.
    Gone,
    /// Somebody who reads it missed its writer for too long, and gave it an end.
    Ended,
}

/// Who reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// A client is attached, and was written everything up to this position.
    Attached(u32),
    /// Somebody only looks.
    Looking,
}

impl Shelf {
    pub(super) fn new(link: Arc<Link>) -> Self {
        let scripts = Scripts {
            write: Script::new(include_str!("write.lua")),
            read: Script::new(include_str!("read.lua")),
            note: Script::new(include_str!("note.lua")),
            name: Script::new(include_str!("name.lua")),
        };
        Self { link, writer: Uuid::new_v4(), scripts: Arc::new(scripts) }
    }

    /// Writes what is new of a stream.
    ///
    /// # Errors
    /// [`StoreError`]; then some of it may be there, and writing it again does no harm.
    pub(super) async fn write(&self, entry: &Entry<'_>) -> Result<Written, StoreError> {
        let fields = entry.state.fields();
        let mut call = self.of_stream(&self.scripts.write, entry.stream);
        call.arg(self.writer.to_string()).arg(WRITER_LIFE_MS).arg(millis(entry.life)).arg(entry.dropped);
        call.arg(u8::from(entry.is_new)).arg(entry.before).arg(entry.written);
        call.arg(fields.len() * 2);
        for (field, value) in fields {
            call.arg(field).arg(value);
        }
        for (_, event) in entry.events {
            call.arg(event.as_ref());
        }
        Ok(match self.run::<(i64, u32)>(&call).await? {
            (-2, _) => Written::Gone,
            (-3, _) => Written::Ended,
            (..0, _) => Written::Lost,
            (flags, delivered) => {
                Written::Kept { is_cancelled: flags & 1 != 0, is_read: flags & 2 != 0, delivered }
            }
        })
    }

    /// The state of a stream, and its events after a position; `None` where there is no such stream.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot tell.
    pub(super) async fn read(
        &self,
        stream: Uuid,
        after: u32,
        reading: Reading,
    ) -> Result<Option<(State, Vec<(u32, Bytes)>)>, StoreError> {
        let (life_ms, count, delivered) = match reading {
            Reading::Attached(delivered) => (READER_LIFE_MS, MAX_EVENTS_READ, delivered),
            Reading::Looking => (0, 1, 0),
        };
        let lost = End::Interrupted(GatewayError::new(
            ErrorCode::StreamInterrupted,
            "the control plane that kept the stream is gone",
        ));
        let mut call = self.of_stream(&self.scripts.read, stream);
        call.arg(after).arg(count).arg(life_ms).arg(write_end(&lost)).arg(delivered);
        call.arg(WRITER_GRACE_MS);
        type Events = Vec<(String, (String, Vec<u8>))>;
        let (fields, events) = self.run::<(Vec<(String, String)>, Events)>(&call).await?;
        if fields.is_empty() {
            return Ok(None);
        }
        let event = |(id, (_, event)): (String, (String, Vec<u8>))| {
            let position = id.split('-').next().and_then(|position| position.parse().ok())?;
            Some((position, Bytes::from(event)))
        };
        Ok(Some((State::of(fields), events.into_iter().filter_map(event).collect())))
    }

    /// Names the last stream of a session, or keeps the name it has for longer.
    ///
    /// # Errors
    /// [`StoreError`] where that failed.
    pub(super) async fn name(
        &self,
        session: SessionKey,
        stream: Uuid,
        is_new: bool,
        life: Duration,
    ) -> Result<(), StoreError> {
        let mut call = self.scripts.name.prepare_invoke();
        call.key(name_key(session))
            .key(streams_key(session))
            .arg(stream.to_string())
            .arg(u8::from(is_new))
            .arg(millis(life));
        self.run::<i64>(&call).await.map(drop)
    }

    /// The last stream of a session.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot tell.
    pub(super) async fn last_of(&self, session: SessionKey) -> Result<Option<Uuid>, StoreError> {
        let mut command = redis::cmd("GET");
        command.arg(name_key(session));
        let read = async |mut connection| command.query_async::<Option<String>>(&mut connection).await;
        Ok(self.link.run(read).await?.and_then(|stream| Uuid::try_parse(&stream).ok()))
    }

    /// Notes how far a stream was written to a client here.
    ///
    /// # Errors
    /// [`StoreError`] where that failed.
    pub(super) async fn deliver(&self, stream: Uuid, position: u32) -> Result<(), StoreError> {
        self.note(stream, "delivered", position).await
    }

    /// Asks whoever writes a stream to stop.
    ///
    /// # Errors
    /// [`StoreError`] where that failed.
    pub(super) async fn cancel(&self, stream: Uuid) -> Result<(), StoreError> {
        self.note(stream, "cancel", 0).await
    }

    /// Forgets a stream and the session's name for it, and asks whoever writes it to stop.
    ///
    /// # Errors
    /// [`StoreError`] where that failed.
    pub(super) async fn forget(&self, session: SessionKey, stream: Uuid) -> Result<(), StoreError> {
        self.note(stream, "forgotten", 0).await?;
        self.unlink(name_key(session)).await
    }

    /// Forgets all streams of a session, and asks whoever writes them to stop.
    ///
    /// # Errors
    /// [`StoreError`] where that failed.
    pub(super) async fn forget_all(&self, session: SessionKey) -> Result<(), StoreError> {
        let mut command = redis::cmd("ZRANGE");
        command.arg(streams_key(session)).arg(0).arg(-1);
        let read = async |mut connection| command.query_async::<Vec<String>>(&mut connection).await;
        for stream in self.link.run(read).await?.iter().filter_map(|stream| Uuid::try_parse(stream).ok()) {
            self.note(stream, "forgotten", 0).await?;
        }
        self.unlink(name_key(session)).await?;
        self.unlink(streams_key(session)).await
    }

    async fn unlink(&self, key: String) -> Result<(), StoreError> {
        let mut command = redis::cmd("UNLINK");
        command.arg(key);
        self.link.run(async |mut connection| command.exec_async(&mut connection).await).await
    }

    async fn note(&self, stream: Uuid, what: &str, position: u32) -> Result<(), StoreError> {
        let mut call = self.of_stream(&self.scripts.note, stream);
        call.arg(what).arg(position);
        self.run::<i64>(&call).await.map(drop)
    }

    fn of_stream<'a>(&self, script: &'a Script, stream: Uuid) -> ScriptInvocation<'a> {
        let mut call = script.prepare_invoke();
        for part in ["events", "state", "writer", "reader"] {
            call.key(key(stream, part));
        }
        call
    }

    async fn run<T: FromRedisValue>(&self, call: &ScriptInvocation<'_>) -> Result<T, StoreError> {
        self.link.run(async |mut connection| call.invoke_async(&mut connection).await).await
    }
}

impl State {
    fn fields(&self) -> Vec<(&'static str, String)> {
        let id = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
        let mut fields = vec![
            ("owner", id(self.owner)),
            ("session", id(self.session)),
            ("last", self.last.to_string()),
            ("delivered", self.delivered.to_string()),
        ];
        fields.extend(self.head.as_ref().map(|head| ("head", write_head(head))));
        fields.extend(self.end.as_ref().map(|end| ("end", write_end(end))));
        fields
    }

    fn of(fields: Vec<(String, String)>) -> Self {
        let mut state = Self::default();
        for (field, value) in fields {
            match field.as_str() {
                "owner" => state.owner = Uuid::try_parse(&value).ok(),
                "session" => state.session = Uuid::try_parse(&value).ok(),
                "last" => state.last = value.parse().unwrap_or_default(),
                "delivered" | "delivered-elsewhere" => {
                    state.delivered = state.delivered.max(value.parse().unwrap_or_default());
                }
                "head" => state.head = Some(read_head(&value)),
                "end" => state.end = Some(read_end(&value)),
                "unclaimed" => state.is_unclaimed = true,
                "forgotten" => state.is_forgotten = true,
                _ => {}
            }
        }
        state
    }
}

fn write_head(head: &HeaderMap) -> String {
    let text = |(name, value): (&HeaderName, &HeaderValue)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    };
    let headers: Vec<(String, String)> = head.iter().filter_map(text).collect();
    // Strings and nothing else: there is no way to fail.
    serde_json::to_string(&headers).unwrap_or_default()
}

fn read_head(text: &str) -> HeaderMap {
    let headers: Vec<(String, String)> = serde_json::from_str(text).unwrap_or_default();
    let header = |(name, value): (String, String)| {
        Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
    };
    headers.into_iter().filter_map(header).collect()
}

fn write_end(end: &End) -> String {
    match end {
        End::Told => TOLD.to_owned(),
        End::Interrupted(error) => serde_json::to_string(error).unwrap_or_default(),
    }
}

fn read_end(text: &str) -> End {
    if text == TOLD {
        return End::Told;
    }
    let unread = |_| GatewayError::new(ErrorCode::StreamInterrupted, "the stream was ended");
    End::Interrupted(serde_json::from_str(text).unwrap_or_else(unread))
}

fn key(stream: Uuid, part: &str) -> String {
    format!("ai-warp:{{{stream}}}:{part}")
}

fn name_key(session: SessionKey) -> String {
    format!("ai-warp:{{{session}}}:stream")
}

fn streams_key(session: SessionKey) -> String {
    format!("ai-warp:{{{session}}}:streams")
}

fn millis(life: Duration) -> u64 {
    u64::try_from(life.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
