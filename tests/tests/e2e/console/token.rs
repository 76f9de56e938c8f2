//! What the console asks for, and where it keeps it.

use ai_warp_tests::{Key, Stack};
use serde_json::json;

use super::Console;
use crate::auth::entry;

const TOKEN: &str = "0123456789abcdef-console";

#[tokio::test(flavor = "multi_thread")]
async fn where_there_are_tokens_one_is_asked_for_and_stays_in_the_tab() {
    let builder = Stack::builder().models(["openai:ok"]).set("controlPlane.apiTokens", json!([TOKEN]));
    let Some(console) = Console::closed(builder).await else { return };
    let page = &console.page;
    page.open(&console.url).await;
    for (token, shown) in [("not-this-token-at-all", true), (TOKEN, false)] {
        page.wait_for("it is asked for", "document.querySelector('#token-dialog').open").await;
        assert_eq!(page.evaluate("document.activeElement.id").await, "token");
        assert_eq!(page.evaluate("document.querySelector('#models').children.length").await, 0);
        page.write(token).await;
        page.press(Key::Enter).await;
        if shown {
            page.wait_for(
                "it says why",
                "document.querySelector('#token-error').textContent.includes('is refused')",
            )
            .await;
        }
    }
    page.wait_for("it is live", "document.querySelector('#live[data-state=live]') !== null").await;
    assert_eq!(page.evaluate("document.cookie + JSON.stringify(localStorage)").await, "{}");
    console.send("!text hello").await;
    console.run("answered").await;
    // The provider saw neither, and no log tells it.
    console.stack.expect_no_leaks();
    assert!(!console.stack.control_plane.log().contains(TOKEN));

    page.evaluate("document.querySelector('#forget-token').click()").await;
    page.wait_for("it is asked for anew", "document.querySelector('#token-dialog')?.open").await;
    assert!(page.complaints().iter().all(|complaint| complaint.contains("401")), "{:?}", page.complaints());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_may_be_kept_back_and_given_later() {
    let builder = Stack::builder().models(["openai:ok"]).set("controlPlane.apiTokens", json!([TOKEN]));
    let Some(console) = Console::closed(builder).await else { return };
    let page = &console.page;
    page.open(&console.url).await;
    page.wait_for("it is asked for", "document.querySelector('#token-dialog').open").await;
    assert!(page.text("#token-error").await.contains("controlPlane.apiTokens"), "why is told");
    // What no header can hold is not sent.
    page.write("zażółć-gęślą-jaźń-2").await;
    page.press(Key::Enter).await;
    page.wait_for(
        "that is told",
        "document.querySelector('#token-error').textContent.includes('such characters')",
    )
    .await;
    assert_eq!(page.evaluate("sessionStorage.length").await, 0);
    page.press(Key::Escape).await;
    page.wait_for("it is left", "document.querySelector('#live[data-state=away]') !== null").await;
    assert!(page.text("#live").await.contains("controlPlane.apiTokens"));
    // Whatever is asked next says so in its place, and opens nothing.
    page.evaluate("document.querySelector('#session-id').focus()").await;
    page.write("00000000-0000-0000-0000-000000000000").await;
    page.press(Key::Enter).await;
    page.wait_for(
        "it is told there",
        "document.querySelector('#session-note').innerText.includes('a token')",
    )
    .await;
    assert_eq!(page.evaluate("document.querySelector('dialog[open]') === null").await, true);
    page.evaluate("document.querySelector('#give-token').click()").await;
    page.write(TOKEN).await;
    page.press(Key::Enter).await;
    page.wait_for("it is live", "document.querySelector('#live[data-state=live]') !== null").await;
    assert_eq!(page.evaluate("document.querySelector('#give-token').hidden").await, true);
    assert!(page.complaints().iter().all(|complaint| complaint.contains("401")), "{:?}", page.complaints());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_credential_of_the_gateway_is_passed_on_and_kept_nowhere() {
    let key = "aiw_a-key-of-somebody";
    let builder = Stack::builder().models(["openai:ok"]).set("auth", json!({"apiKeys": [entry("ann", key)]}));
    let Some(console) = Console::open(builder).await else { return };
    let page = &console.page;
    console.send("!text hello").await;
    let run = console.run("failed").await;
    assert!(run.contains("UNAUTHORIZED"), "{run}");
    console.tab_to("#credential").await;
    page.write(key).await;
    console.send("!text hello").await;
    console.run("answered").await;
    assert_eq!(
        page.evaluate("JSON.stringify([sessionStorage, localStorage, document.cookie])").await,
        "[{},{},\"\"]"
    );
    assert!(!console.stack.control_plane.log().contains(key));
    console.stack.expect_no_leaks();
}
