//! The shelf on a real Valkey, alone and as a cluster of one: what two control planes make of one stream.

use super::*;
use crate::store::Store;
use crate::store::test_server::Server;

const LIFE: Duration = Duration::from_secs(60);

fn error(message: &str) -> GatewayError {
    GatewayError::new(ErrorCode::StreamInterrupted, message)
}

/// Two control planes on one server; `None` where there is none to start.
pub(in crate::streams) async fn two(is_cluster: bool) -> Option<(Server, Shelf, Shelf)> {
    let server = if is_cluster { Server::start_cluster().await? } else { Server::start(&[]).await? };
    let store = server.store(|config| config.cluster = is_cluster).await;
    let Store::Valkey(valkey) = &store else { panic!("{store:?}") };
    let shelves = (Shelf::new(valkey.link()), Shelf::new(valkey.link()));
    Some((server, shelves.0, shelves.1))
}

fn events(texts: &[(u32, &'static str)]) -> Vec<(u32, Bytes)> {
    texts.iter().map(|(position, text)| (*position, Bytes::from_static(text.as_bytes()))).collect()
}

fn entry<'a>(state: State, is_new: bool, events: &'a [(u32, Bytes)]) -> Entry<'a> {
    let dropped = state.last.saturating_sub(3);
    let before = events.first().map_or(state.last, |(first, _)| first - 1);
    Entry { stream: Uuid::from_u128(1 << 32), is_new, state, written: 0, before, events, dropped, life: LIFE }
}

/// What there is of a stream that is to be forgotten.
fn forgotten() -> Option<(State, Vec<(u32, Bytes)>)> {
    Some((State { is_forgotten: true, ..State::default() }, Vec::new()))
}

fn read_elsewhere() -> Written {
    Written::Kept { is_cancelled: false, is_read: true, delivered: 0 }
}

fn kept(delivered: u32) -> Written {
    Written::Kept { is_cancelled: false, is_read: false, delivered }
}

#[tokio::test]
async fn what_one_writes_the_other_reads() {
    for is_cluster in [false, true] {
        let Some((_server, writer, reader)) = two(is_cluster).await else { return };
        let stream = Uuid::from_u128(1 << 32);
        assert_eq!(reader.read(stream, 0, Reading::Looking).await.unwrap(), None);
        let head = HeaderMap::from_iter([(HeaderName::from_static("x-a"), HeaderValue::from_static("b"))]);
        let first = State {
            owner: Some(Uuid::from_u128(7)),
            session: Some(Uuid::from_u128(8)),
            head: Some(head),
            last: 2,
            delivered: 1,
            ..State::default()
        };
        let two_events = events(&[(1, "data: a\n\n"), (2, "data: \u{1F980}\n\n")]);
        assert_eq!(writer.write(&entry(first.clone(), true, &two_events)).await.unwrap(), kept(0));
        let read = reader.read(stream, 0, Reading::Attached(0)).await.unwrap().unwrap();
        assert_eq!(read, (first.clone(), two_events.clone()));
        let (_, rest) = reader.read(stream, 1, Reading::Looking).await.unwrap().unwrap();
        assert_eq!(rest, two_events[1..]);

        // Written again, nothing is there twice; the end comes with the rest; the oldest go.
        let end = State { head: None, last: 4, delivered: 4, end: Some(End::Told), ..first.clone() };
        let more = events(&[(2, "again"), (3, "data: c\n\n"), (4, "data: d\n\n")]);
        let written = writer.write(&entry(end.clone(), false, &more)).await.unwrap();
        assert_eq!(written, read_elsewhere());
        let (state, kept) = reader.read(stream, 0, Reading::Looking).await.unwrap().unwrap();
        assert_eq!(state, State { head: first.head, ..end });
        assert_eq!(kept.iter().map(|(position, _)| *position).collect::<Vec<_>>(), [2]);
        let (_, kept) = reader.read(stream, 1, Reading::Attached(0)).await.unwrap().unwrap();
        assert_eq!(kept, [two_events[1].clone(), more[1].clone(), more[2].clone()]);
    }
}

#[tokio::test]
async fn a_writer_is_asked_to_stop_and_another_takes_over() {
    for is_cluster in [false, true] {
        let Some((_server, writer, other)) = two(is_cluster).await else { return };
        let stream = Uuid::from_u128(1 << 32);
        let state = State { last: 1, ..State::default() };
        let one = events(&[(1, "data: a\n\n")]);
        writer.write(&entry(state.clone(), true, &one)).await.unwrap();
        other.cancel(stream).await.unwrap();
        let written = writer.write(&entry(state.clone(), false, &[])).await.unwrap();
        assert_eq!(written, Written::Kept { is_cancelled: true, is_read: false, delivered: 0 });
        // Whoever only adds to it is too late; whoever begins it is not.
        assert_eq!(other.write(&entry(state.clone(), false, &[])).await.unwrap(), Written::Lost);
        assert_eq!(other.write(&entry(state.clone(), true, &one)).await.unwrap(), kept(0));
        assert_eq!(writer.write(&entry(state, false, &[])).await.unwrap(), Written::Lost);
    }
}

#[tokio::test]
async fn a_stream_that_nobody_writes_any_more_gets_an_end() {
    for is_cluster in [false, true] {
        let Some((server, writer, reader)) = two(is_cluster).await else { return };
        let stream = Uuid::from_u128(1 << 32);
        let state = State { last: 1, ..State::default() };
        let one = events(&[(1, "data: a\n\n")]);
        writer.write(&entry(state.clone(), true, &one)).await.unwrap();
        let (read, _) = reader.read(stream, 0, Reading::Looking).await.unwrap().unwrap();
        assert_eq!(read.end, None);
        // A claim that is gone for a moment, as after a pause of the store, ends nothing.
        let _: i64 = server.command(&["DEL", &key(stream, "writer")]).await;
        let (read, _) = reader.read(stream, 0, Reading::Attached(0)).await.unwrap().unwrap();
        assert_eq!(read.end, None);
        assert_eq!(writer.write(&entry(state.clone(), false, &[])).await.unwrap(), read_elsewhere());
        assert_eq!(server.command::<Option<i64>>(&["HGET", &key(stream, "state"), "unclaimed"]).await, None);

        let _: i64 = server.command(&["DEL", &key(stream, "writer")]).await;
        let now: (u64, u64) = server.command(&["TIME"]).await;
        let since = (now.0 * 1000 - WRITER_GRACE_MS).to_string();
        let _: i64 = server.command(&["HSET", &key(stream, "state"), "unclaimed", &since]).await;
        let (read, kept) = reader.read(stream, 0, Reading::Attached(0)).await.unwrap().unwrap();
        assert_eq!(read.end, Some(End::Interrupted(error("the control plane that kept the stream is gone"))));
        assert_eq!(kept, one, "what there is stays");
        assert_eq!(
            writer.write(&entry(state, false, &[])).await.unwrap(),
            Written::Ended,
            "it was only slow"
        );
    }
}

#[tokio::test]
async fn a_session_has_a_last_stream_until_it_is_forgotten() {
    for is_cluster in [false, true] {
        let Some((_server, writer, reader)) = two(is_cluster).await else { return };
        let session = SessionKey { owner: Some(Uuid::from_u128(1)), id: Uuid::from_u128(2) };
        let stream = Uuid::from_u128(1 << 32);
        assert_eq!(reader.last_of(session).await.unwrap(), None);
        writer.name(session, stream, true, LIFE).await.unwrap();
        assert_eq!(reader.last_of(session).await.unwrap(), Some(stream));
        assert_eq!(reader.last_of(SessionKey { owner: None, ..session }).await.unwrap(), None);
        writer.write(&entry(State::default(), true, &[])).await.unwrap();
        reader.deliver(stream, 9).await.unwrap();
        let (state, _) = writer.read(stream, 0, Reading::Looking).await.unwrap().unwrap();
        assert_eq!(state.delivered, 9);
        assert_eq!(
            writer.write(&entry(State::default(), false, &[])).await.unwrap(),
            kept(9),
            "the furthest"
        );
        reader.forget(session, stream).await.unwrap();
        assert_eq!(writer.last_of(session).await.unwrap(), None);
        assert_eq!(writer.read(stream, 0, Reading::Looking).await.unwrap(), forgotten());
    }
}

#[tokio::test]
async fn a_session_that_is_deleted_takes_all_its_streams_with_it() {
    for is_cluster in [false, true] {
        let Some((_server, writer, reader)) = two(is_cluster).await else { return };
        let session = SessionKey { owner: None, id: Uuid::from_u128(2) };
        let streams = [1, 2].map(|stream| Uuid::from_u128(stream << 32));
        for stream in streams {
            writer.name(session, stream, true, LIFE).await.unwrap();
            let entry = Entry { stream, ..entry(State::default(), true, &[]) };
            writer.write(&entry).await.unwrap();
        }
        reader.forget_all(session).await.unwrap();
        assert_eq!(reader.last_of(session).await.unwrap(), None);
        for stream in streams {
            assert_eq!(reader.read(stream, 0, Reading::Looking).await.unwrap(), forgotten());
        }
    }
}

#[tokio::test]
async fn what_the_store_has_lost_is_told() {
    for is_cluster in [false, true] {
        let Some((server, writer, reader)) = two(is_cluster).await else { return };
        let stream = Uuid::from_u128(1 << 32);
        writer.write(&entry(State::default(), true, &[])).await.unwrap();
        let _: String = server.command(&["FLUSHALL"]).await;
        assert_eq!(writer.write(&entry(State::default(), false, &[])).await.unwrap(), Written::Gone);
        reader.deliver(stream, 9).await.unwrap();
        assert_eq!(
            reader.read(stream, 0, Reading::Looking).await.unwrap(),
            None,
            "a note alone makes no stream"
        );
        assert_eq!(writer.write(&entry(State::default(), true, &[])).await.unwrap(), kept(0));
        // A replica that took over, or a disk, may be behind what was written.
        let one = events(&[(1, "data: a\n\n")]);
        let state = State { last: 1, ..State::default() };
        assert_eq!(writer.write(&entry(state.clone(), false, &one)).await.unwrap(), kept(0));
        let next = entry(State { last: 2, ..state.clone() }, false, &[]);
        assert_eq!(writer.write(&Entry { written: 1, ..next }).await.unwrap(), kept(0));
        let _: i64 = server.command(&["HSET", &key(stream, "state"), "last", "1"]).await;
        let next = entry(State { last: 3, ..state }, false, &[]);
        assert_eq!(writer.write(&Entry { written: 2, ..next }).await.unwrap(), Written::Gone);
    }
}
