//! When a source is asked for the next token.

use std::time::Duration;

use tokio::time::sleep;

use super::TokenState;
use super::request::{Token, TokenError};

/// Share of a token's life, in percent, after which the next one is got. Of an hour, the rest leaves twelve minutes to try.
const REFRESH_SHARE: u32 = 80;

/// Least time between two tokens, whatever life a source gives them.
const LEAST_LIFE: Duration = Duration::from_secs(1);

/// Longest time between two tokens, whatever life a source gives them.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// Wait before a source that failed is asked again; doubles with each failure in a row, up to [`LONGEST_RETRY`].
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// Asks for tokens for ever, and tells each change.
pub(super) async fn keep<F: Future<Output = Result<Token, TokenError>>>(
    mut fetch: impl FnMut() -> F,
    publish: impl Fn(&TokenState),
) {
    let mut state = TokenState::default();
    let mut retry = FIRST_RETRY;
    loop {
        let wait = match fetch().await {
            Ok(token) => {
                if state.token.is_none() || state.failure.is_some() {
                    tracing::info!(
                        source = token.source,
                        life_s = token.life.as_secs(),
                        "have an access token"
                    );
                }
                retry = FIRST_RETRY;
                let wait = refresh_after(token.life);
                state = TokenState { token: Some(token.value), failure: None };
                wait
            }
            Err(error) => {
                let failure = error.to_string();
                if state.failure.as_ref() != Some(&failure) {
                    let has_token = state.token.is_some();
                    tracing::error!(has_token, "no new access token, asking again and again: {failure}");
                }
                state.failure = Some(failure);
                let wait = retry;
                retry = (retry * 2).min(LONGEST_RETRY);
                wait
            }
        };
        publish(&state);
        sleep(wait).await;
    }
}

fn refresh_after(life: Duration) -> Duration {
    (life.min(LONGEST_LIFE) * REFRESH_SHARE / 100).max(LEAST_LIFE)
}
