//! API keys: wherever clients put them, until they are revoked.

use ai_warp_tests::{ClientFormat, OneConnection, Signer, Stack, cli};
use serde_json::{Value, json};

use super::{
    LIST, NOT_ACCEPTED, SECRET, ask, ask_in, ask_with_token, entry, refused, told, until_answered,
    until_status,
};

/// A key as `ai-warp keys create` makes it, and its entry.
fn created(consumer: &str) -> (String, Value) {
    let made = cli(&["keys", "create", "--consumer", consumer, "--name", "of a test", "--json"]);
    let made: Value = serde_json::from_str(&made).unwrap();
    (made["key"].as_str().unwrap().to_owned(), made["entry"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_accepted_wherever_clients_put_it_and_a_wrong_one_nowhere() {
    let ((one, entry_of_one), (two, entry_of_two)) = (created("team"), created("team"));
    let stack = Stack::builder()
        .set("auth.apiKeys", json!([entry_of_one, entry_of_two, entry("old", "a-key-from-before")]))
        .start()
        .await;
    let wrong = format!("{}x", &one[..one.len() - 1]);
    for (key, is_good) in [(one.as_str(), true), (&two, true), ("a-key-from-before", true), (&wrong, false)] {
        let bearer = format!("Bearer {key}");
        for header in [("authorization", bearer.as_str()), ("x-api-key", key), ("api-key", key)] {
            for format in ClientFormat::ALL {
                let reply = ask_in(stack.gateway(), format, &[header]).await;
                if is_good {
                    format.read(&reply, false);
                } else {
                    let (status, _, message) = format.error(&reply);
                    assert_eq!((status, message), refused(NOT_ACCEPTED));
                }
            }
        }
    }
    // What is kept is a hash, which opens nothing.
    let hash = entry_of_one["hash"].as_str().unwrap();
    for guess in [hash, hash.trim_start_matches("sha256:")] {
        assert_eq!(told(&ask(stack.gateway(), &[("x-api-key", guess)]).await), refused(NOT_ACCEPTED));
    }
    let dump = stack.envoy().admin().get("/config_dump").await.text();
    assert!(dump.contains(hash.trim_start_matches("sha256:")) && !dump.contains(&one), "hashes alone");
    stack.expect_no_leaks();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_refused_within_a_second_on_an_open_connection() {
    let (kept, revoked) = (entry("team", "aiw_kept"), entry("team", "aiw_revoked"));
    let mut stack = Stack::builder().set("auth.apiKeys", json!([kept, revoked])).start().await;
    let [of_kept, of_revoked] = ["aiw_kept", "aiw_revoked"].map(|key| [("x-api-key", key)]);
    let mut connection = OneConnection::open(stack.gateway()).await;
    assert_eq!(connection.get(LIST, &of_revoked).await, 200);
    stack.config.set("auth.apiKeys", json!([kept])).write();
    until_status(&mut connection, &of_revoked, 401).await;
    assert_eq!(connection.get(LIST, &of_kept).await, 200);
    assert_eq!(told(&ask(stack.gateway(), &of_revoked).await), refused(NOT_ACCEPTED));
}

#[tokio::test(flavor = "multi_thread")]
async fn any_configured_method_lets_in_and_who_shows_nothing_may_be_let_in_as_well() {
    let mut stack = Stack::builder()
        .set("auth", json!({"jwt": {"secret": SECRET}, "apiKeys": [entry("team", "aiw_key")]}))
        .start()
        .await;
    let token = Signer::shared(SECRET).token_of("ann");
    until_answered(&stack, &token).await;
    let gateway = stack.gateway().clone();
    assert_eq!(ask_with_token(&gateway, "aiw_key").await.status, 200);
    // The SDKs send a key whether there is one or not.
    let both = [("authorization", format!("Bearer {token}")), ("x-api-key", "dummy".to_owned())];
    let both: Vec<(&str, &str)> = both.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(ask(&gateway, &both).await.status, 200);
    assert_eq!(
        ask(&gateway, &[("authorization", "Bearer dummy"), ("x-api-key", "aiw_key")]).await.status,
        200
    );
    assert_eq!(ask(&gateway, &[]).await.status, 401);

    stack.reconfigure(|config| _ = config.set("auth.required", false)).await;
    assert_eq!(ask(&gateway, &[]).await.status, 200);
    assert_eq!(ask_with_token(&gateway, &token).await.status, 200);
    for wrong in
        [("authorization", "Bearer dummy"), ("x-api-key", "aiw_other"), ("authorization", "Basic eDp5")]
    {
        assert_eq!(told(&ask(&gateway, &[wrong]).await), refused(NOT_ACCEPTED), "{wrong:?}");
    }
}
