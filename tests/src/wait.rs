//! Waiting for events, always under a deadline.

use std::time::{Duration, Instant};

/// Deadline of what normally takes milliseconds; long, because CI machines are slow and a passing test never waits it.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Time between two looks at something that cannot tell when it changes.
const POLL: Duration = Duration::from_millis(5);

/// Looks until `look` finds something, and returns it. `Err` says what was there instead.
///
/// # Panics
/// At the deadline, with the last `Err`.
pub async fn eventually<T, E: std::fmt::Display>(
    what: &str,
    deadline: Duration,
    mut look: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let started = Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(instead) if started.elapsed() >= deadline => {
                panic!("not within {deadline:?}: {what}: {instead}")
            }
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}

/// Awaits `future` for at most `deadline`.
///
/// # Panics
/// At the deadline.
pub async fn within<F: Future>(what: &str, deadline: Duration, future: F) -> F::Output {
    match tokio::time::timeout(deadline, future).await {
        Ok(output) => output,
        Err(_) => panic!("not within {deadline:?}: {what}"),
    }
}
