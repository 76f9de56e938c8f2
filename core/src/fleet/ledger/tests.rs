//! Two workers and the memory they have in common.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use super::*;

#[derive(Debug, Default)]
struct Memory {
    pages: RefCell<HashMap<String, Vec<u8>>>,
    unix_ms: Cell<u64>,
}

#[derive(Debug, Default, Clone)]
struct Worker {
    memory: Rc<Memory>,
    /// Another worker that spends while this one is about to write.
    rival: Option<Box<Worker>>,
}

impl Ledger for Worker {
    fn unix_ms(&self) -> u64 {
        self.memory.unix_ms.get()
    }

    fn update(&mut self, name: &str, change: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>) -> bool {
        let read = || self.memory.pages.borrow().get(name).cloned().unwrap_or_default();
        let mut before = read();
        let mut after = change(&before);
        if let Some(mut rival) = self.rival.take() {
            let _ = spend(&mut *rival, &KEY, 1, LIMIT);
            if read() != before {
                before = read();
                after = change(&before);
            }
        }
        if let Some(after) = after {
            self.memory.pages.borrow_mut().insert(name.to_owned(), after);
        }
        true
    }
}

const LIMIT: Limit = Limit { max: 10, window_ms: 1_000 };
const KEY: QuotaKey = QuotaKey::ClientRate(Uuid::from_u128(5));

fn used(worker: &mut Worker, limit: Limit) -> u64 {
    let mut copy = Worker { memory: Rc::new(Memory::default()), rival: None };
    copy.memory.unix_ms.set(worker.memory.unix_ms.get());
    copy.memory.pages.replace(worker.memory.pages.borrow().clone());
    let mut left = 0;
    while spend(&mut copy, &KEY, 1, limit).is_ok() {
        left += 1;
    }
    limit.max - left
}

#[test]
fn workers_count_together_and_the_sum_is_exact() {
    let mut first = Worker::default();
    let mut second = first.clone();
    first.memory.unix_ms.set(5_250);
    for _ in 0..5 {
        assert_eq!(spend(&mut first, &KEY, 1, LIMIT), Ok(5));
        assert_eq!(spend(&mut second, &KEY, 1, LIMIT), Ok(5));
    }
    for worker in [&mut first, &mut second] {
        assert_eq!(spend(worker, &KEY, 1, LIMIT), Err(Over { wait_ms: 750 }));
    }
    first.memory.unix_ms.set(6_000);
    assert_eq!(spend(&mut second, &KEY, 10, LIMIT), Ok(6), "a new window is a new budget");
    assert_eq!(spend(&mut first, &KEY, 1, LIMIT), Err(Over { wait_ms: 1_000 }));
}

#[test]
fn what_a_faster_worker_spent_is_not_spent_again() {
    let memory = Rc::new(Memory::default());
    let mut second = Worker { memory: Rc::clone(&memory), rival: None };
    let mut first = Worker { memory, rival: Some(Box::new(second.clone())) };
    assert_eq!(spend(&mut first, &KEY, 10, LIMIT), Err(Over { wait_ms: 1_000 }));
    assert_eq!(used(&mut second, LIMIT), 1);
}

#[test]
fn tokens_are_settled_in_the_window_they_were_taken_from() {
    let mut worker = Worker::default();
    assert_eq!(spend(&mut worker, &KEY, 8, LIMIT), Ok(0));
    settle(&mut worker, &KEY, 0, 8, 3);
    assert_eq!(used(&mut worker, LIMIT), 3);
    settle(&mut worker, &KEY, 7, 3, 0);
    assert_eq!(used(&mut worker, LIMIT), 3, "of another window");
    // An answer that took more than was thought: the next window bears what this one cannot.
    settle(&mut worker, &KEY, 0, 3, 17);
    assert_eq!(used(&mut worker, LIMIT), 10);
    worker.memory.unix_ms.set(1_000);
    assert_eq!(used(&mut worker, LIMIT), 7);
    worker.memory.unix_ms.set(2_000);
    assert_eq!(used(&mut worker, LIMIT), 0, "but not the one after it");
}

#[test]
fn a_clock_that_is_set_back_opens_no_window_twice_and_closes_none_for_long() {
    let mut worker = Worker::default();
    worker.memory.unix_ms.set(100_000);
    assert_eq!(spend(&mut worker, &KEY, 10, LIMIT), Ok(100));
    worker.memory.unix_ms.set(99_900);
    assert_eq!(spend(&mut worker, &KEY, 1, LIMIT), Err(Over { wait_ms: 1_100 }));
    worker.memory.unix_ms.set(50_000);
    assert_eq!(spend(&mut worker, &KEY, 1, LIMIT), Ok(50));
}

#[test]
fn a_changed_limit_holds_at_once_and_a_changed_window_counts_anew() {
    let mut worker = Worker::default();
    assert_eq!(spend(&mut worker, &KEY, 10, LIMIT), Ok(0));
    assert_eq!(spend(&mut worker, &KEY, 5, Limit { max: 15, ..LIMIT }), Ok(0));
    assert_eq!(spend(&mut worker, &KEY, 10, Limit { window_ms: 2_000, ..LIMIT }), Ok(0));
}

#[test]
fn invented_consumers_fill_a_page_and_no_more() {
    let mut worker = Worker::default();
    let of = |number: u128| QuotaKey::ClientRate(Uuid::from_u128(number * CONSUMER_PAGES));
    for number in 0..MAX_LINES as u128 {
        assert!(spend(&mut worker, &of(number), 1, LIMIT).is_ok());
    }
    assert_eq!(spend(&mut worker, &of(1_000), 1, LIMIT), Err(Over { wait_ms: RETRY_MS }));
    assert!(spend(&mut worker, &of(3), 1, LIMIT).is_ok(), "those who are known go on");
    let sizes = |worker: &Worker| worker.memory.pages.borrow().values().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(sizes(&worker), [MAX_LINES * LINE_BYTES]);
    worker.memory.unix_ms.set(1_000);
    assert!(spend(&mut worker, &of(1_000), 1, LIMIT).is_ok());
    assert_eq!(sizes(&worker), [LINE_BYTES], "what is over makes room");
}
