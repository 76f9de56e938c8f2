//! Clients that come back to a control plane that does not write their stream, on a real Valkey.

use ai_warp_core::relay::END_MARK;
use http_body_util::BodyExt;

use super::shelf::{Entry, State};
use ai_warp_core::api::Format;
use ai_warp_core::stream_id::EventId;

use super::*;
use crate::store::test_server::Server;

const STREAM: Uuid = Uuid::from_u128(0x8000_8000_0001_0000_0000);
const SESSION: SessionKey = SessionKey { owner: None, id: Uuid::from_u128(7) };
const FORMAT: Format = Format::Unified { stream: true };

/// A stream that is written by hand, and a control plane where clients read it.
struct Test {
    server: Server,
    writer: Shelf,
    reader: Streams,
}

impl Test {
    /// `None` where there is no Valkey to start.
    async fn start() -> Option<Self> {
        let server = Server::start(&[]).await?;
        let stores = (server.store(|_| {}).await, server.store(|_| {}).await);
        let Store::Valkey(valkey) = &stores.0 else { panic!("{stores:?}") };
        let writer = Shelf::new(valkey.link());
        let reader = Streams::open(&stores.1, Arc::new(Metrics::new().unwrap()));
        Some(Self { server, writer, reader })
    }

    /// Writes the events `first` to `last`; with `end` these are all.
    async fn write(&self, first: u32, last: u32, end: Option<End>) {
        let events: Vec<(u32, Bytes)> =
            (first..=last).map(|n| (n, Bytes::from(format!("data: {n}\n\n")))).collect();
        let (session, head) = (Some(SESSION.id), Some(HeaderMap::new()));
        let state = State { session, head, last, delivered: last, end, ..State::default() };
        let (is_new, life) = (first == 1, Duration::from_secs(60));
        self.writer.name(SESSION, STREAM, is_new, life).await.unwrap();
        let entry = Entry {
            stream: STREAM,
            is_new,
            state,
            written: 0,
            before: first - 1,
            events: &events,
            dropped: 0,
            life,
        };
        self.writer.write(&entry).await.unwrap();
    }

    /// What there is for a client that says it has had the event at `said`, or does not say.
    async fn find(&self, said: Option<u32>) -> Option<Found> {
        let ask = Ask {
            stream: Uuid::from_u128(9 << 32),
            session: Some(SESSION.id),
            continues: true,
            after: None,
            consumer: None,
            owner: None,
            payer: None,
            route: None,
            path: "/v1/chat/completions".to_owned(),
            port: 0,
            until_ms: 0,
        };
        let handover = Handover {
            ask,
            gateway: IpAddr::from([127, 0, 0, 1]),
            last_event: said.map(|position| EventId::new(STREAM, position).to_string().into_bytes()),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        };
        self.reader.find(&handover, FORMAT, &StreamsConfig::default()).await.unwrap()
    }

    async fn come_back(&self, position: u32) -> Client {
        Client(self.find(Some(position)).await.unwrap().answer().await.into_body())
    }
}

/// What comes.
struct Client(Body);

impl Client {
    async fn next(&mut self) -> String {
        let piece = self.0.frame().await.unwrap().unwrap().into_data().unwrap();
        String::from_utf8(piece.to_vec()).unwrap()
    }

    async fn rest(self) -> String {
        let rest = self.0.collect().await.unwrap().to_bytes();
        String::from_utf8(rest.to_vec()).unwrap()
    }
}

fn event(position: u32) -> String {
    format!("id: {}\ndata: {position}\n\n", EventId::new(STREAM, position))
}

fn last(position: u32) -> String {
    event(position) + std::str::from_utf8(END_MARK).unwrap()
}

#[tokio::test]
async fn whoever_is_ahead_of_the_shelf_gets_nothing_twice() {
    let Some(test) = Test::start().await else { return };
    test.write(1, 2, None).await;
    // The third was written to it by another control plane, which had not come to write it to the shelf.
    let client = test.come_back(3).await;
    let liar = test.come_back(1_000).await;
    test.write(3, 4, Some(End::Told)).await;
    assert_eq!(client.rest().await, last(4));
    assert_eq!(liar.rest().await, std::str::from_utf8(END_MARK).unwrap());
    let (state, _) = test.writer.read(STREAM, 0, Reading::Looking).await.unwrap().unwrap();
    assert_eq!(state.delivered, 4, "what a client makes up was delivered to nobody");
}

#[tokio::test]
async fn a_stream_that_the_store_has_lost_goes_on_when_its_writer_writes_it_anew() {
    let Some(test) = Test::start().await else { return };
    test.write(1, 2, None).await;
    let mut client = test.come_back(0).await;
    assert_eq!(client.next().await, event(1) + &event(2));
    let _: String = test.server.command(&["FLUSHALL"]).await;
    // Long enough for a look to find nothing.
    sleep(Duration::from_millis(400)).await;
    test.write(1, 3, Some(End::Told)).await;
    assert_eq!(client.rest().await, last(3));
}

#[tokio::test]
async fn a_store_that_is_away_for_a_moment_interrupts_nothing() {
    let Some(mut test) = Test::start().await else { return };
    test.write(1, 2, None).await;
    let mut client = test.come_back(0).await;
    assert_eq!(client.next().await, event(1) + &event(2));
    test.server.stop();
    test.server.restart().await;
    while test.writer.last_of(SessionKey { owner: None, id: STREAM }).await.is_err() {
        sleep(Duration::from_millis(10)).await;
    }
    test.write(1, 3, Some(End::Told)).await;
    assert_eq!(client.rest().await, last(3));
}

#[tokio::test]
async fn a_prompt_right_after_the_end_is_a_new_one_although_the_shelf_hears_of_the_end_last() {
    let Some(test) = Test::start().await else { return };
    test.write(1, 2, None).await;
    // One that only thinks is waited for a moment, and then gone on with.
    assert!(test.find(None).await.is_some());
    let later = async {
        // By then the first look is over.
        let _: String = test.server.command(&["PING"]).await;
        test.write(3, 2, Some(End::Told)).await;
    };
    let (found, ()) = tokio::join!(test.find(None), later);
    assert!(found.is_none());
}

#[tokio::test]
async fn what_the_store_has_lost_in_the_middle_is_given_to_nobody_as_something_else() {
    let Some(test) = Test::start().await else { return };
    test.write(1, 2, None).await;
    test.write(4, 5, None).await;
    let rest = test.come_back(0).await.rest().await;
    assert!(rest.starts_with(&(event(1) + &event(2))), "{rest}");
    assert!(rest.contains("not kept any more") && !rest.contains("data: 4"), "{rest}");
}

#[tokio::test]
async fn a_prompt_after_an_answer_whose_writer_is_gone_is_a_new_one() {
    let Some(test) = Test::start().await else { return };
    test.write(1, 2, None).await;
    let _: i64 = test.server.command(&["DEL", &format!("ai-warp:{{{STREAM}}}:writer")]).await;
    assert!(test.find(None).await.is_none(), "once it is known that its writer does not come back");
}
