//! The streams that this process has, found by their id and by the session they belong to; and what bounds them all.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ai_warp_core::sync::SessionKey;
use uuid::Uuid;

use super::log::{About, Bounds, Log};

/// How many streams, and how much of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) bounds: Bounds,
    pub(super) max_per_consumer: usize,
}

/// What became of asking for a new stream.
#[derive(Debug)]
pub(super) enum Opened {
    /// It is new, and whoever asked is to write it.
    New(Arc<Log>),
    /// Somebody was here before with the same id.
    Known(Arc<Log>),
    /// Its consumer has too many.
    TooMany,
    /// There is no room.
    Full,
}

/// The streams.
#[derive(Debug, Default)]
pub(super) struct Book {
    streams: Mutex<Streams>,
    total_bytes: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Streams {
    by_id: HashMap<Uuid, Arc<Log>>,
    by_session: HashMap<SessionKey, Uuid>,
    /// Streams under way of each consumer.
    under_way: HashMap<Option<Uuid>, usize>,
    /// Those that are over, oldest first; some of them may be gone.
    over: VecDeque<Uuid>,
}

impl Book {
    /// Every method leaves the streams whole before anything could panic, so a poisoned lock is still good.
    fn lock(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a stream.
    pub(super) fn open(&self, about: About, limits: Limits) -> Opened {
        let mut streams = self.lock();
        if let Some(known) = streams.by_id.get(&about.stream) {
            return Opened::Known(Arc::clone(known));
        }
        if streams.under_way.get(&about.owner).is_some_and(|count| *count >= limits.max_per_consumer) {
            return Opened::TooMany;
        }
        while self.bytes() >= limits.bounds.max_total_bytes {
            let Some(oldest) = streams.over.pop_front() else { return Opened::Full };
            streams.remove(oldest);
        }
        if let Some(session) = about.session {
            streams.by_session.insert(session, about.stream);
        }
        *streams.under_way.entry(about.owner).or_default() += 1;
        let log = Arc::new(Log::new(about, limits.bounds, Arc::clone(&self.total_bytes)));
        streams.by_id.insert(log.about.stream, Arc::clone(&log));
        Opened::New(log)
    }

    /// A stream is over: it counts no more against its consumer, and makes room when there must be some.
    pub(super) fn close(&self, about: &About) {
        let mut streams = self.lock();
        if let Some(count) = streams.under_way.get_mut(&about.owner) {
            *count -= 1;
            if *count == 0 {
                streams.under_way.remove(&about.owner);
            }
        }
        // It may have been forgotten.
        if streams.by_id.contains_key(&about.stream) {
            streams.over.push_back(about.stream);
        }
    }

    /// Forgets a stream. Whoever reads it reads on.
    pub(super) fn remove(&self, stream: Uuid) {
        self.lock().remove(stream);
    }

    /// Forgets all streams of a session; these are they.
    pub(super) fn remove_session(&self, session: SessionKey) -> Vec<Arc<Log>> {
        let mut streams = self.lock();
        let of_session = |log: &&Arc<Log>| log.about.session == Some(session);
        let found: Vec<Arc<Log>> = streams.by_id.values().filter(of_session).cloned().collect();
        for log in &found {
            streams.remove(log.about.stream);
        }
        found
    }

    /// The stream with this id.
    pub(super) fn find(&self, stream: Uuid) -> Option<Arc<Log>> {
        self.lock().by_id.get(&stream).cloned()
    }

    /// The last stream of a session.
    pub(super) fn of_session(&self, session: SessionKey) -> Option<Arc<Log>> {
        let streams = self.lock();
        streams.by_id.get(streams.by_session.get(&session)?).cloned()
    }

    /// All streams that are under way.
    pub(super) fn under_way(&self) -> Vec<Arc<Log>> {
        self.lock().by_id.values().filter(|log| !log.progress().is_over).cloned().collect()
    }

    /// The count of bytes, for logs that are not in the book.
    pub(super) fn total_bytes(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.total_bytes)
    }

    /// Bytes that are held of all streams.
    pub(super) fn bytes(&self) -> u64 {
        self.total_bytes.load(Ordering::Relaxed)
    }

    /// Streams that are held, whether under way or over.
    pub(super) fn count(&self) -> usize {
        self.lock().by_id.len()
    }
}

impl Streams {
    fn remove(&mut self, stream: Uuid) {
        let Some(log) = self.by_id.remove(&stream) else { return };
        if let Some(session) = log.about.session
            && self.by_session.get(&session) == Some(&stream)
        {
            self.by_session.remove(&session);
        }
        self.over.retain(|over| *over != stream);
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;

    use super::super::log::End;
    use super::super::log::tests::about;
    use super::*;

    const LIMITS: Limits = Limits {
        bounds: Bounds { max_events: 10, max_bytes: 100, max_total_bytes: 10 },
        max_per_consumer: 2,
    };

    fn open(book: &Book, stream: u128, session: Option<u128>) -> Arc<Log> {
        match book.open(about(stream, session), LIMITS) {
            Opened::New(log) => log,
            other => panic!("{other:?}"),
        }
    }

    fn end(book: &Book, log: &Log) {
        log.end(End::Told);
        book.close(&log.about);
    }

    #[test]
    fn a_stream_is_opened_once() {
        let book = Book::default();
        open(&book, 1, None);
        assert!(matches!(book.open(about(1, None), LIMITS), Opened::Known(_)));
    }

    #[test]
    fn a_consumer_has_so_many_under_way() {
        let book = Book::default();
        let (first, _second) = (open(&book, 1, None), open(&book, 2, None));
        assert!(matches!(book.open(about(3, None), LIMITS), Opened::TooMany));
        let of_another = About { owner: Some(Uuid::nil()), ..about(3, None) };
        assert!(matches!(book.open(of_another, LIMITS), Opened::New(_)));
        end(&book, &first);
        open(&book, 4, None);
    }

    #[test]
    fn what_is_over_makes_room_and_what_is_under_way_does_not() {
        let book = Book::default();
        let (first, second) = (open(&book, 1, None), open(&book, 2, None));
        for log in [&first, &second] {
            log.append(vec![Bytes::from_static(b"12345")]);
        }
        end(&book, &first);
        drop(first);
        let third = open(&book, 3, None);
        assert!(book.find(about(1, None).stream).is_none());
        third.append(vec![Bytes::from_static(b"12345")]);
        end(&book, &second);
        let _still_read = second;
        assert!(matches!(book.open(about(4, None), LIMITS), Opened::Full), "somebody still reads the second");
    }

    #[test]
    fn a_session_has_its_last_stream() {
        let book = Book::default();
        let (first, second) = (open(&book, 1, Some(7)), open(&book, 2, Some(7)));
        let session = second.about.session.unwrap();
        assert!(Arc::ptr_eq(&book.of_session(session).unwrap(), &second));
        book.remove(first.about.stream);
        assert!(Arc::ptr_eq(&book.of_session(session).unwrap(), &second));
        book.remove(second.about.stream);
        assert!(book.of_session(session).is_none());
        for log in [&first, &second] {
            end(&book, log);
        }
        let (third, other) = (open(&book, 3, Some(7)), open(&book, 4, Some(8)));
        let removed = book.remove_session(session);
        assert!(matches!(&removed[..], [log] if Arc::ptr_eq(log, &third)));
        assert!(book.find(third.about.stream).is_none() && book.find(other.about.stream).is_some());
    }
}
