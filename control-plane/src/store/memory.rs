//! Sessions in this process: bounded in number and bytes, gone when it ends.
//!
//! The clock is Tokio's, which tests can stop and move.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ai_warp_core::sync::{SessionKey, Turn};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Retention, StoreError};

/// Sessions in memory.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Sessions>);

/// How full the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Sessions kept.
    pub sessions: usize,
    /// Bytes of their turns.
    pub bytes: u64,
    /// Sessions that had to make room since the start.
    pub evicted_sessions: u64,
}

impl MemoryStore {
    pub(super) fn append(&self, turns: &[Turn], retention: &Retention) -> Vec<Result<(), StoreError>> {
        let mut sessions = self.lock();
        turns.iter().map(|turn| sessions.append(turn, retention)).collect()
    }

    pub(super) fn history(&self, session: SessionKey) -> Option<Vec<Turn>> {
        self.lock().history(session)
    }

    pub(super) fn delete(&self, session: SessionKey) -> bool {
        let mut sessions = self.lock();
        sessions.drop_expired(Instant::now());
        sessions.remove(session)
    }

    /// How full the store is.
    pub fn usage(&self) -> Usage {
        let mut sessions = self.lock();
        sessions.drop_expired(Instant::now());
        Usage {
            sessions: sessions.by_id.len(),
            bytes: sessions.bytes,
            evicted_sessions: sessions.evicted_sessions,
        }
    }

    /// Every method leaves the sessions whole before anything could panic, so a poisoned lock is still good.
    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Sessions {
    by_id: HashMap<SessionKey, Session>,
    /// Every session by its expiry; holds exactly the ids of `by_id`.
    by_expiry: BTreeSet<(Instant, SessionKey)>,
    /// Every session by its last use; holds exactly the ids of `by_id`.
    by_use: BTreeMap<u64, SessionKey>,
    /// Counts uses; the largest key of `by_use` is the latest.
    uses: u64,
    /// Sum of `turn_bytes` over every turn.
    bytes: u64,
    evicted_sessions: u64,
}

#[derive(Debug)]
struct Session {
    turns: VecDeque<Turn>,
    /// The ids in `turns`.
    ids: HashSet<Uuid>,
    expiry: Instant,
    last_use: u64,
}

impl Sessions {
    fn append(&mut self, turn: &Turn, retention: &Retention) -> Result<(), StoreError> {
        let now = Instant::now();
        self.drop_expired(now);
        if turn_bytes(turn) > retention.max_bytes {
            return Err(StoreError::TooLarge);
        }
        // A span too long for the clock is as good as forever.
        let expiry = now.checked_add(retention.expiration).unwrap_or(now + FOREVER);
        self.uses += 1;
        let session = self.by_id.entry(turn.session()).or_insert_with(|| Session {
            turns: VecDeque::new(),
            ids: HashSet::new(),
            expiry,
            last_use: self.uses,
        });
        self.by_expiry.remove(&(session.expiry, turn.session()));
        self.by_expiry.insert((expiry, turn.session()));
        self.by_use.remove(&session.last_use);
        self.by_use.insert(self.uses, turn.session());
        session.expiry = expiry;
        session.last_use = self.uses;
        if session.ids.insert(turn.turn_id) {
            self.bytes += turn_bytes(turn);
            session.turns.push_back(turn.clone());
        }
        while session.turns.len() > retention.max_turns {
            self.bytes -= drop_oldest(session);
        }
        self.make_room(turn.session(), retention);
        Ok(())
    }

    /// Evicts the least recently used sessions, and when only `newest` is left, its oldest turns.
    fn make_room(&mut self, newest: SessionKey, retention: &Retention) {
        while self.by_id.len() > retention.max_sessions.max(1) || self.bytes > retention.max_bytes {
            match self.by_use.first_key_value() {
                Some((_, id)) if *id != newest => {
                    let id = *id;
                    self.remove(id);
                    self.evicted_sessions += 1;
                }
                _ => match self.by_id.get_mut(&newest) {
                    Some(session) if session.turns.len() > 1 => self.bytes -= drop_oldest(session),
                    _ => return,
                },
            }
        }
    }

    fn history(&mut self, id: SessionKey) -> Option<Vec<Turn>> {
        self.drop_expired(Instant::now());
        let session = self.by_id.get_mut(&id)?;
        self.uses += 1;
        self.by_use.remove(&session.last_use);
        self.by_use.insert(self.uses, id);
        session.last_use = self.uses;
        Some(session.turns.iter().cloned().collect())
    }

    fn drop_expired(&mut self, now: Instant) {
        while let Some((expiry, id)) = self.by_expiry.first().copied() {
            if expiry > now {
                return;
            }
            self.remove(id);
        }
    }

    fn remove(&mut self, id: SessionKey) -> bool {
        let Some(session) = self.by_id.remove(&id) else { return false };
        self.by_expiry.remove(&(session.expiry, id));
        self.by_use.remove(&session.last_use);
        self.bytes -= session.turns.iter().map(turn_bytes).sum::<u64>();
        true
    }
}

/// Stands in for a life longer than the clock can count.
const FOREVER: std::time::Duration = std::time::Duration::from_secs(100 * 365 * 86_400);

fn drop_oldest(session: &mut Session) -> u64 {
    let Some(turn) = session.turns.pop_front() else { return 0 };
    session.ids.remove(&turn.turn_id);
    turn_bytes(&turn)
}

/// What a turn counts against `storage.memory.maxBytes`: its texts and the fixed part around them.
fn turn_bytes(turn: &Turn) -> u64 {
    (size_of::<Turn>() + turn.size() + turn.model.len()) as u64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::tests::{RETENTION, session, turn};

    fn append(store: &MemoryStore, session: u128, id: u128, retention: &Retention) -> Result<(), StoreError> {
        store.append(&[turn(session, id)], retention).remove(0)
    }

    fn known(store: &MemoryStore, sessions: &[u128]) -> Vec<u128> {
        let ids = sessions.iter().copied();
        ids.filter(|id| store.lock().by_id.contains_key(&session(*id))).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn forgets_a_session_after_its_last_turn_and_not_after_its_last_reading() {
        let (store, retention) =
            (MemoryStore::default(), Retention { expiration: Duration::from_secs(10), ..RETENTION });
        append(&store, 1, 1, &retention).unwrap();
        tokio::time::advance(Duration::from_secs(6)).await;
        append(&store, 1, 2, &retention).unwrap();
        tokio::time::advance(Duration::from_millis(9_999)).await;
        assert_eq!(store.history(session(1)).map(|turns| turns.len()), Some(2));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(store.history(session(1)), None);
        assert_eq!(store.usage(), Usage { sessions: 0, bytes: 0, evicted_sessions: 0 });
    }

    #[test]
    fn evicts_the_least_recently_used_session() {
        let (store, retention) = (MemoryStore::default(), Retention { max_sessions: 2, ..RETENTION });
        append(&store, 1, 1, &retention).unwrap();
        append(&store, 2, 2, &retention).unwrap();
        store.history(session(1)).unwrap();
        append(&store, 3, 3, &retention).unwrap();
        assert_eq!(known(&store, &[1, 2, 3]), [1, 3]);
        assert_eq!(store.usage().evicted_sessions, 1);
    }

    #[test]
    fn bytes_are_bounded_down_to_one_turn() {
        let bytes = turn_bytes(&turn(1, 1));
        let (store, retention) = (MemoryStore::default(), Retention { max_bytes: 2 * bytes, ..RETENTION });
        for (session, id) in [(1, 1), (2, 2), (2, 3), (2, 4)] {
            append(&store, session, id, &retention).unwrap();
        }
        assert_eq!(known(&store, &[1, 2]), [2]);
        let ids: Vec<_> =
            store.history(session(2)).unwrap().iter().map(|turn| turn.turn_id.as_u128()).collect();
        assert_eq!(ids, [3, 4]);
        assert_eq!(store.usage().bytes, 2 * bytes);

        let small = Retention { max_bytes: bytes - 1, ..RETENTION };
        assert_eq!(append(&store, 5, 5, &small), Err(StoreError::TooLarge));
    }

    #[test]
    fn no_life_is_too_long_for_the_clock() {
        let retention = Retention { expiration: Duration::MAX, ..RETENTION };
        let store = MemoryStore::default();
        append(&store, 1, 1, &retention).unwrap();
        assert_eq!(known(&store, &[1]), [1]);
    }
}
