//! The promises every store keeps, checked against each.
//!
//! Valkey is tested where `AI_WARP_VALKEY` names a `valkey-server`: once alone and once as a cluster of one.

use std::net::TcpListener;
use std::time::Duration;

use ai_warp_core::api::Outcome;
use ai_warp_core::config::{Config, ValkeyConfig};
use tokio::time::Instant;
use uuid::Uuid;

use super::test_server::{Server, reachable};
use super::*;

pub(super) const RETENTION: Retention = Retention {
    max_turns: 100,
    expiration: Duration::from_secs(3_600),
    max_sessions: 1_000,
    max_bytes: 1 << 20,
};

pub(super) fn session(id: u128) -> SessionKey {
    SessionKey { owner: None, id: Uuid::from_u128(id) }
}

pub(super) fn turn(session: u128, id: u128) -> Turn {
    Turn {
        owner: None,
        session_id: Uuid::from_u128(session),
        turn_id: Uuid::from_u128(id),
        prompt: format!("prompt {id} \u{1F980} \"quoted\"\n"),
        response: format!("response {id}"),
        result: Outcome::Complete,
        model: "openai:m".to_owned(),
        at_ms: 1_700_000_000_000 + id as u64,
        messages: Vec::new(),
        parent: None,
        trace: None,
    }
}

async fn ids(store: &Store, of: u128) -> Option<Vec<u128>> {
    let turns = store.history(session(of)).await.unwrap()?;
    Some(turns.iter().map(|turn| turn.turn_id.as_u128()).collect())
}

async fn append(store: &Store, turns: &[Turn], retention: &Retention) {
    let results = store.append(turns, retention).await;
    assert_eq!(results, turns.iter().map(|_| Ok(())).collect::<Vec<_>>());
}

async fn keeps_its_promises(store: &Store) {
    store.ping().await.unwrap();
    assert_eq!(store.status()["reachable"], true);

    // Unknown.
    assert_eq!(ids(store, 1).await, None);
    assert!(!store.delete(session(1)).await.unwrap());

    // Whole, in order, of several sessions in one batch.
    append(store, &[turn(1, 11), turn(2, 21), turn(1, 12), turn(3, 31), turn(2, 22)], &RETENTION).await;
    assert_eq!(store.history(session(1)).await.unwrap(), Some(vec![turn(1, 11), turn(1, 12)]));
    assert_eq!(ids(store, 2).await, Some(vec![21, 22]));
    assert_eq!(ids(store, 3).await, Some(vec![31]));

    // Once, however often sent: in one batch, in the next, at the same time.
    append(store, &[turn(1, 12), turn(1, 13), turn(1, 13), turn(1, 11)], &RETENTION).await;
    assert_eq!(ids(store, 1).await, Some(vec![11, 12, 13]));
    let again = [turn(1, 14)];
    tokio::join!(append(store, &again, &RETENTION), append(store, &again, &RETENTION));
    assert_eq!(ids(store, 1).await, Some(vec![11, 12, 13, 14]));

    // The oldest go first, and what went can come again.
    append(store, &[turn(1, 15)], &Retention { max_turns: 2, ..RETENTION }).await;
    assert_eq!(ids(store, 1).await, Some(vec![14, 15]));
    append(store, &[turn(1, 11)], &RETENTION).await;
    assert_eq!(ids(store, 1).await, Some(vec![14, 15, 11]));

    // Forgotten, and then as new.
    assert!(store.delete(session(1)).await.unwrap());
    assert_eq!(ids(store, 1).await, None);
    append(store, &[turn(1, 14)], &RETENTION).await;
    assert_eq!(ids(store, 1).await, Some(vec![14]));
    assert_eq!(ids(store, 2).await, Some(vec![21, 22]));

    // Of whoever owns them: the same id is another session.
    let [mine, yours] = [7, 8].map(|owner| SessionKey { owner: Some(Uuid::from_u128(owner)), ..session(2) });
    let of = |key: SessionKey, id| Turn { owner: key.owner, ..turn(2, id) };
    append(store, &[of(mine, 71), turn(2, 23), of(yours, 81), of(mine, 72)], &RETENTION).await;
    assert_eq!(store.history(mine).await.unwrap(), Some(vec![of(mine, 71), of(mine, 72)]));
    assert_eq!(store.history(yours).await.unwrap(), Some(vec![of(yours, 81)]));
    assert_eq!(ids(store, 2).await, Some(vec![21, 22, 23]));
    assert!(store.delete(yours).await.unwrap() && !store.delete(yours).await.unwrap());
    assert_eq!(store.history(mine).await.unwrap().map(|turns| turns.len()), Some(2));

    // Nothing is something, too.
    append(store, &[], &RETENTION).await;
}

#[tokio::test]
async fn memory() {
    keeps_its_promises(&Store::Memory(MemoryStore::default())).await;
}

#[tokio::test]
async fn none_keeps_nothing_and_says_so() {
    assert_eq!(Store::None.append(&[turn(1, 1)], &RETENTION).await, [Err(StoreError::Disabled)]);
    assert_eq!(Store::None.history(session(1)).await, Ok(None));
    assert_eq!(Store::None.delete(session(1)).await, Ok(false));
    assert_eq!(Store::None.ping().await, Ok(()));
}

#[tokio::test]
async fn valkey() {
    let Some(server) = Server::start(&[]).await else { return };
    let store = server.store(|_| {}).await;
    keeps_its_promises(&store).await;
    // The server itself forgets; both keys, or a turn sent again later would be taken for stored.
    for key in [turns_of(2), ids_of(2)] {
        let life_ms: i64 = server.command(&["PTTL", &key]).await;
        assert!((3_500_000..=3_600_000).contains(&life_ms), "{key}: {life_ms}");
    }
    let _: i64 = server.command(&["DEL", &turns_of(2)]).await;
    append(&store, &[turn(2, 21)], &RETENTION).await;
    assert_eq!(ids(&store, 2).await, Some(vec![21]));
}

#[tokio::test]
async fn valkey_cluster() {
    let Some(server) = Server::start_cluster().await else { return };
    let store = server.store(|config| config.cluster = true).await;
    keeps_its_promises(&store).await;
}

#[tokio::test]
async fn valkey_with_user_password_and_database() {
    let user = ["--user", "warp", "on", ">sesame", "~*", "&*", "+@all"];
    let Some(server) = Server::start(&user).await else { return };
    let password = SecretString::new("sesame");
    let config = ValkeyConfig { username: Some("warp".to_owned()), database: 3, ..server.config() };
    let store = Store::Valkey(ValkeyStore::open(&config, Some(&password)).unwrap());
    reachable(&store, true).await;
    keeps_its_promises(&store).await;
    let info: String = server.command(&["INFO", "keyspace"]).await;
    assert!(info.contains("db3:") && !info.contains("db0:"), "{info}");

    let wrong = Store::Valkey(ValkeyStore::open(&config, Some(&SecretString::new("wrong"))).unwrap());
    let error = wrong.ping().await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Unreachable(reason) if reason.contains("authentication")),
        "{error}"
    );
}

#[tokio::test]
async fn one_refused_session_of_a_batch_fails_alone() {
    let Some(server) = Server::start(&[]).await else { return };
    let store = server.store(|_| {}).await;
    // First in the batch, so that its command is the one that carries the script.
    let _: String = server.command(&["SET", &turns_of(1), "no list"]).await;
    let results = store.append(&[turn(1, 11), turn(2, 21), turn(1, 12)], &RETENTION).await;
    let stored: Vec<_> = results.iter().map(Result::is_ok).collect();
    assert_eq!(stored, [false, true, false], "{results:?}");
    assert!(matches!(store.history(session(1)).await, Err(StoreError::Refused(_))));
}

#[tokio::test]
async fn fails_fast_while_valkey_is_down_and_recovers_by_itself() {
    let Some(mut server) = Server::start(&[]).await else { return };
    let store = server.store(|_| {}).await;
    append(&store, &[turn(1, 11)], &RETENTION).await;

    server.stop();
    reachable(&store, false).await;
    let begin = Instant::now();
    let results = store.append(&[turn(1, 12)], &RETENTION).await;
    assert!(matches!(results[0], Err(StoreError::Unreachable(_))), "{results:?}");
    assert!(begin.elapsed() < super::valkey_link::RESPONSE_TIMEOUT);
    assert!(store.history(session(1)).await.is_err());

    server.restart().await;
    reachable(&store, true).await;
    append(&store, &[turn(1, 12)], &RETENTION).await;
}

#[tokio::test]
async fn opening_never_waits_for_a_server() {
    // A listener that accepts and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let json = serde_json::json!({
        "providers": {"openai": {}},
        "models": ["openai:m"],
        "storage": {"type": "valkey", "valkey": {"host": "127.0.0.1", "port": listener.local_addr().unwrap().port()}},
    });
    let config: Config = serde_json::from_value(json).unwrap();
    let store = Store::open(&config, None).unwrap();
    assert_eq!(store.status()["reachable"], false);
    assert_eq!(store.ping().await, Err(StoreError::Timeout(super::valkey_link::RESPONSE_TIMEOUT)));
}

#[tokio::test]
async fn tls_is_spoken_where_configured() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let first_byte = tokio::task::spawn_blocking(move || {
        use std::io::Read as _;
        let mut byte = [0];
        listener.accept().unwrap().0.read_exact(&mut byte).unwrap();
        byte[0]
    });
    let config = ValkeyConfig { host: "127.0.0.1".to_owned(), port, tls: true, ..ValkeyConfig::default() };
    let _store = ValkeyStore::open(&config, None).unwrap();
    // 22 is a TLS handshake record.
    assert_eq!(first_byte.await.unwrap(), 22);
}

fn turns_of(session: u128) -> String {
    format!("ai-warp:{{{}}}:turns", Uuid::from_u128(session))
}

fn ids_of(session: u128) -> String {
    format!("ai-warp:{{{}}}:ids", Uuid::from_u128(session))
}
