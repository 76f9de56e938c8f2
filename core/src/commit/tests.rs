//! The queue against a store that answers, is slow, is away, loses replies, or refuses turns.

use uuid::Uuid;

use super::*;
use crate::api::Outcome;
use crate::sync::TurnBatch;
use TurnResult::{Later, Refused, Stored};

fn turn(number: u128, bytes: usize) -> Turn {
    Turn {
        session_id: Uuid::nil(),
        turn_id: Uuid::from_u128(number),
        prompt: String::new(),
        response: "x".repeat(bytes),
        result: Outcome::Complete,
        model: "m".into(),
        at_ms: 0,
        messages: Vec::new(),
        parent: None,
    }
}

fn ids(body: &[u8]) -> Vec<u128> {
    let batch: TurnBatch = serde_json::from_slice(body).unwrap();
    batch.turns.iter().map(|turn| turn.turn_id.as_u128()).collect()
}

fn answered(results: &[TurnResult]) -> Reply {
    Reply::Answered(TurnBatchReply { results: results.to_vec() })
}

/// A queue with turns 1, 2, … for which "1", "2", … wait until 250.
fn waiting(turns: u128) -> CommitQueue<String> {
    let mut queue = CommitQueue::default();
    for number in 1..=turns {
        queue.push(&turn(number, 1), number.to_string(), 250).unwrap();
    }
    queue
}

fn released(released: Vec<Released<String>>) -> Vec<(String, bool)> {
    released.into_iter().map(|released| (released.who, released.stored)).collect()
}

fn who(names: &[&str], stored: bool) -> Vec<(String, bool)> {
    names.iter().map(|name| ((*name).to_owned(), stored)).collect()
}

#[test]
fn turns_that_end_while_a_batch_is_under_way_go_with_the_next() {
    let mut queue = waiting(1);
    assert_eq!(ids(&queue.next_batch(10).unwrap()), [1]);
    queue.push(&turn(2, 1), "2".into(), 260).unwrap();
    queue.push(&turn(3, 1), "3".into(), 270).unwrap();
    assert_eq!(queue.next_batch(11), None, "one batch at a time");
    assert_eq!(released(queue.on_reply(answered(&[Stored]), 12)), who(&["1"], true));
    assert_eq!(ids(&queue.next_batch(12).unwrap()), [2, 3]);
    assert_eq!(released(queue.on_reply(answered(&[Stored, Stored]), 13)), who(&["2", "3"], true));
    assert_eq!(queue.counts(), Counts { stored: 3, ..Counts::default() });
    assert!(!queue.has_waiters());
}

/// Loses the reply to the first batch, so that the next loss is taken for an outage.
fn doubt(queue: &mut CommitQueue<String>) {
    queue.next_batch(0).unwrap();
    assert!(queue.on_reply(Reply::Lost, 0).is_empty(), "nobody is told yet");
}

#[test]
fn a_batch_whose_reply_was_lost_is_sent_once_more_at_once() {
    let mut queue = waiting(1);
    doubt(&mut queue);
    queue.push(&turn(2, 1), "2".into(), 250).unwrap();
    assert_eq!(ids(&queue.next_batch(0).unwrap()), [1, 2]);
    assert_eq!(released(queue.on_reply(answered(&[Stored, Stored]), 1)), who(&["1", "2"], true));
    assert_eq!(queue.counts(), Counts { stored: 2, ..Counts::default() });
}

#[test]
fn a_failed_batch_releases_everybody_and_is_sent_again_in_order() {
    let mut queue = waiting(1);
    doubt(&mut queue);
    queue.next_batch(0).unwrap();
    queue.push(&turn(2, 1), "2".into(), 250).unwrap();
    assert_eq!(released(queue.on_reply(Reply::Lost, 100)), who(&["1", "2"], false));
    let refused = queue.push(&turn(3, 1), "3".into(), 400);
    assert_eq!(refused, Err("3".into()), "nobody waits for a store that is away");
    assert_eq!(queue.next_batch(100 + MIN_BACKOFF_MS - 1), None);
    assert_eq!(ids(&queue.next_batch(100 + MIN_BACKOFF_MS).unwrap()), [1, 2, 3]);
    assert!(queue.on_reply(answered(&[Stored, Stored, Stored]), 400).is_empty());
    assert_eq!(queue.counts(), Counts { stored: 3, late: 3, ..Counts::default() });
    assert!(queue.push(&turn(4, 1), "4".into(), 800).is_ok(), "the store is back");
}

#[test]
fn a_slow_store_makes_responses_late_and_nothing_else() {
    let mut queue = waiting(1);
    queue.next_batch(0).unwrap();
    queue.push(&turn(2, 1), "2".into(), 350).unwrap();
    assert!(queue.expire(249).is_empty());
    assert_eq!(released(queue.expire(250)), who(&["1"], false));
    assert!(queue.has_waiters(), "the second still waits");
    assert!(queue.on_reply(answered(&[Stored]), 300).is_empty());
    assert_eq!(ids(&queue.next_batch(300).unwrap()), [2], "the store is not taken for away");
    assert_eq!(released(queue.on_reply(answered(&[Stored]), 340)), who(&["2"], true));
    assert_eq!(queue.counts(), Counts { stored: 2, late: 1, ..Counts::default() });
}

#[test]
fn a_reply_that_never_comes_does_not_stop_the_queue() {
    let mut queue = waiting(1);
    queue.next_batch(0).unwrap();
    assert_eq!(released(queue.expire(250)), who(&["1"], false));
    let lost = BATCH_TIMEOUT_MS + LOST_AFTER_MS + 1;
    assert!(queue.expire(lost).is_empty());
    assert_eq!(ids(&queue.next_batch(lost + MIN_BACKOFF_MS).unwrap()), [1]);
}

#[test]
fn what_a_reply_does_not_confirm_is_kept() {
    let mut queue = waiting(2);
    queue.next_batch(0).unwrap();
    let gone = released(queue.on_reply(answered(&[Stored]), 1));
    assert_eq!(gone, [who(&["1"], true), who(&["2"], false)].concat());
    assert_eq!(ids(&queue.next_batch(MIN_BACKOFF_MS + 1).unwrap()), [2]);
    queue.on_reply(answered(&[Later]), MIN_BACKOFF_MS + 2);
    assert_eq!(queue.counts().waiting, 1);
}

#[test]
fn a_turn_that_the_store_refuses_is_dropped_and_holds_nobody_up() {
    let mut queue = waiting(2);
    queue.next_batch(0).unwrap();
    let gone = released(queue.on_reply(answered(&[Refused, Stored]), 1));
    assert_eq!(gone, [who(&["1"], false), who(&["2"], true)].concat());
    assert_eq!(queue.counts(), Counts { stored: 1, late: 1, dropped: 1, waiting: 0 });
    assert!(queue.push(&turn(3, 1), "3".into(), 300).is_ok());
}

#[test]
fn a_batch_that_is_rejected_is_sent_turn_by_turn() {
    let mut queue = waiting(3);
    queue.next_batch(0).unwrap();
    assert!(queue.on_reply(Reply::Rejected, 1).is_empty());
    assert_eq!(ids(&queue.next_batch(1).unwrap()), [1]);
    assert_eq!(released(queue.on_reply(answered(&[Stored]), 2)), who(&["1"], true));
    assert_eq!(ids(&queue.next_batch(2).unwrap()), [2]);
    assert_eq!(released(queue.on_reply(Reply::Rejected, 3)), who(&["2"], false));
    assert_eq!(ids(&queue.next_batch(3).unwrap()), [3]);
    queue.on_reply(answered(&[Stored]), 4);
    assert_eq!(queue.counts(), Counts { stored: 2, late: 1, dropped: 1, waiting: 0 });
    queue.push(&turn(4, 1), "4".into(), 300).unwrap();
    queue.push(&turn(5, 1), "5".into(), 300).unwrap();
    assert_eq!(ids(&queue.next_batch(5).unwrap()), [4, 5], "batches are whole again");
}

#[test]
fn the_wait_before_trying_again_grows_to_its_cap() {
    let mut queue = waiting(1);
    doubt(&mut queue);
    let mut now = 0;
    let mut waits = Vec::new();
    for _ in 0..7 {
        assert!(queue.next_batch(now).is_some());
        queue.on_reply(Reply::Lost, now);
        let Link::Down { retry_at_ms, .. } = queue.link else { panic!("the link is up") };
        waits.push(retry_at_ms - now);
        now = retry_at_ms;
    }
    assert_eq!(waits, [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]);
}

#[test]
fn what_is_kept_is_bounded_and_the_oldest_go_first() {
    let mut queue = waiting(1);
    doubt(&mut queue);
    queue.next_batch(0).unwrap();
    queue.on_reply(Reply::Lost, 0);
    for number in 2..=40 {
        let _ = queue.push(&turn(number, 1 << 20), String::new(), 0);
    }
    let counts = queue.counts();
    assert!(counts.waiting <= 16 && counts.dropped >= 24, "{counts:?}");
    assert_eq!(counts.waiting + counts.dropped, 40);
    let batch = queue.next_batch(MIN_BACKOFF_MS).unwrap();
    assert!(batch.len() <= MAX_BATCH_BYTES, "a batch is bounded");
    assert_eq!(ids(&batch).first(), Some(&26));
}

#[test]
fn a_turn_larger_than_a_batch_goes_alone() {
    let mut queue = CommitQueue::default();
    queue.push(&turn(1, MAX_BATCH_BYTES + 1), "1", 9).unwrap();
    queue.push(&turn(2, 1), "2", 9).unwrap();
    assert_eq!(ids(&queue.next_batch(0).unwrap()), [1]);
}

#[test]
fn a_batch_has_a_bounded_number_of_turns() {
    let mut queue = waiting(600);
    assert_eq!(ids(&queue.next_batch(0).unwrap()).len(), MAX_TURNS_PER_BATCH);
}
