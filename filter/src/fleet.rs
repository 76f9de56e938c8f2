//! The worker's view of the models and quotas that the fleet shares, and its talk with the control plane about them.
//!
//! Two calls: a message with what this worker has seen and needs, whenever there is something to say, and a question for
//! news that is answered when there is some. Where there is no control plane there are no calls, and the workers of this
//! Envoy count in memory they have in common ([`Pages`]).

use std::cell::{Cell, RefCell};
use std::time::Duration;

use ai_warp_core::fleet::{ASK_TIMEOUT_MS, Counts, Fleet};
use ai_warp_core::sync::{FLEET_PATH, NEWS_WAIT_MS};
use uuid::Uuid;

use crate::pages::Pages;
use crate::{bell, host};

/// How much longer than the control plane a worker waits for news, in milliseconds.
const NEWS_SLACK_MS: u64 = 5_000;

/// Least time between two questions for news, in milliseconds: several control planes behind one address may each have news
/// for whoever heard the last from another.
const NEWS_GAP_MS: u64 = 100;

/// Wait before asking for news again after a question without an answer, in milliseconds.
const NEWS_RETRY_MS: u64 = 500;

thread_local! {
    static FLEET: RefCell<Fleet> = RefCell::new(Fleet::new(Uuid::new_v4().as_u64_pair().0));
    static NEWS: Cell<News> = const { Cell::new(News::Due { from_ms: 0 }) };
}

/// Where the question for news stands.
#[derive(Debug, Clone, Copy)]
enum News {
    Due {
        from_ms: u64,
    },
    Asked {
        lost_at_ms: u64,
    },
    /// There is no control plane.
    Never,
}

/// Says whether there is a control plane.
pub(crate) fn set_shared(shared: bool) {
    let was_shared = !matches!(NEWS.get(), News::Never);
    if shared == was_shared {
        return;
    }
    NEWS.set(if shared { News::Due { from_ms: 0 } } else { News::Never });
    FLEET.with_borrow_mut(|fleet| {
        fleet.set_ledger(if shared { None } else { Some(Box::new(Pages)) });
    });
}

/// Decides something by the worker's view. Whatever has to be told or asked for it is sent soon.
pub(crate) fn with<T>(decide: impl FnOnce(&mut Fleet) -> T) -> T {
    let (decided, must_send) = FLEET.with_borrow_mut(|fleet| {
        let decided = decide(fleet);
        (decided, fleet.wants_to_talk())
    });
    if must_send {
        bell::ring();
    }
    decided
}

/// Whether nobody need wait for the control plane, because it is away.
pub(crate) fn is_away() -> bool {
    FLEET.with_borrow(Fleet::is_away)
}

/// Whether nothing should be handed to the control plane, because it has been silent for too long.
pub(crate) fn is_silent() -> bool {
    FLEET.with_borrow(|fleet| fleet.is_silent(host::now_ms()))
}

/// Whether `target` is not left alone.
pub(crate) fn is_ready(target: &str) -> bool {
    FLEET.with_borrow(|fleet| fleet.is_ready(target))
}

/// What became of requests and reports on this worker.
pub(crate) fn counts() -> Counts {
    FLEET.with_borrow(Fleet::counts)
}

/// When something is due that no event will tell.
pub(crate) fn next_due_ms() -> Option<u64> {
    let news = match NEWS.get() {
        News::Due { from_ms } => Some(from_ms),
        News::Asked { lost_at_ms } => Some(lost_at_ms),
        News::Never => None,
    };
    FLEET.with_borrow(Fleet::next_due_ms).into_iter().chain(news).min()
}

/// Gives up what must be lost. Returns whether a message was.
pub(crate) fn expire() -> bool {
    let now_ms = host::now_ms();
    if matches!(NEWS.get(), News::Asked { lost_at_ms } if now_ms >= lost_at_ms) {
        NEWS.set(News::Due { from_ms: now_ms });
    }
    FLEET.with_borrow_mut(|fleet| fleet.expire(now_ms))
}

/// Sends the next message, where there is something to say. The root context must be in effect. Returns the call's token.
pub(crate) fn send_next() -> Option<u32> {
    let message = FLEET.with_borrow_mut(|fleet| fleet.next_message(host::now_ms()))?;
    let timeout = Duration::from_millis(ASK_TIMEOUT_MS);
    let token = host::post_to_control_plane(FLEET_PATH, &message, timeout);
    if token.is_none() {
        on_reply(None);
    }
    token
}

/// Takes the reply to the message under way; `None` where the call failed.
pub(crate) fn on_reply(reply: Option<(u16, Vec<u8>)>) {
    let reply = match reply {
        Some((200, body)) => serde_json::from_slice(&body).ok(),
        _ => None,
    };
    FLEET.with_borrow_mut(|fleet| fleet.on_reply(reply, host::now_ms()));
}

/// Everybody who waited for a reply has had the chance to use it.
pub(crate) fn give_back_probes() {
    FLEET.with_borrow_mut(|fleet| fleet.give_back_probes(host::now_ms()));
}

/// Asks for news, where that is due. The root context must be in effect. Returns the call's token.
pub(crate) fn ask_news() -> Option<u32> {
    let now_ms = host::now_ms();
    if !matches!(NEWS.get(), News::Due { from_ms } if now_ms >= from_ms) {
        return None;
    }
    let path = FLEET.with_borrow(Fleet::news_path);
    let timeout_ms = NEWS_WAIT_MS + NEWS_SLACK_MS;
    let token = host::get_from_control_plane(&path, None, Duration::from_millis(timeout_ms));
    NEWS.set(match token {
        Some(_) => News::Asked { lost_at_ms: now_ms + timeout_ms + NEWS_SLACK_MS },
        None => News::Due { from_ms: now_ms + NEWS_RETRY_MS },
    });
    token
}

/// Takes the answer to the question for news.
pub(crate) fn on_news(reply: Option<(u16, Vec<u8>)>) {
    if matches!(NEWS.get(), News::Never) {
        return;
    }
    let now_ms = host::now_ms();
    let news = match reply {
        Some((200, body)) => serde_json::from_slice(&body).ok(),
        _ => None,
    };
    let from_ms = match news {
        Some(news) => FLEET.with_borrow_mut(|fleet| {
            fleet.on_news(news, now_ms);
            fleet.news_from_ms().max(now_ms + NEWS_GAP_MS)
        }),
        None => now_ms + NEWS_RETRY_MS,
    };
    NEWS.set(News::Due { from_ms });
}
