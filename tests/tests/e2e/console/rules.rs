//! What the console must not do: delete another session than it names, send what cannot be sent, grow by what it shows twice.

use ai_warp_tests::{Key, Stack};
use serde_json::json;

use super::Console;

/// Two sessions, the older one first.
async fn two_sessions(console: &Console) -> [String; 2] {
    let mut ids = [String::new(), String::new()];
    for (id, text) in ids.iter_mut().zip(["first", "second"]) {
        let reply = console.stack.prompt(json!({"prompt": format!("!text {text}")})).await;
        reply.answer();
        *id = reply.header("x-session-id").to_owned();
        console.stack.control_plane.wait_for_turns(id, 1).await;
    }
    ids
}

const SHOWN: &str = "document.querySelector('#session-found:not([hidden]) #session-turns')?.innerText ?? ''";

#[tokio::test(flavor = "multi_thread")]
async fn the_session_that_is_deleted_is_the_one_that_was_read_and_is_named() {
    let Some(console) = Console::open(Stack::builder().models(["openai:ok"])).await else { return };
    let (page, api) = (&console.page, console.stack.control_plane.api());
    let [first, second] = two_sessions(&console).await;
    let read = async |id: &str| {
        page.evaluate("document.querySelector('#session-id').select()").await;
        page.write(id).await;
        page.press(Key::Enter).await;
    };
    read(&first).await;
    page.wait_for("it is read", &format!("({SHOWN}).includes('first')")).await;
    // Another id is another session, which nobody has read.
    page.write("x").await;
    assert_eq!(page.evaluate(SHOWN).await, "");

    read(&first).await;
    page.wait_for("it is read", &format!("({SHOWN}).includes('first')")).await;
    page.evaluate(&format!("document.querySelector('#session-id').value = {}", json!(second))).await;
    page.evaluate("document.querySelector('#session-delete').click()").await;
    assert_eq!(page.text("#delete-id").await, first);
    page.evaluate("document.querySelector('#delete-confirm').click()").await;
    page.wait_for("it is gone", "document.querySelector('#session-note').innerText.includes('is deleted')")
        .await;
    let path = |id: &str| format!("/api/v1/sessions/{id}");
    assert_eq!((api.get(&path(&first)).await.status, api.get(&path(&second)).await.status), (404, 200));
    console.expect_no_complaints();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_read_late_does_not_take_the_place_of_a_newer_one() {
    let Some(console) = Console::open(Stack::builder().models(["openai:ok"])).await else { return };
    let page = &console.page;
    let [first, second] = two_sessions(&console).await;
    let slow = r"
        const real = window.fetch;
        window.fetch = async (path, ...rest) => {
          const answer = await real(path, ...rest);
          if (String(path).includes(SLOW)) await new Promise((release) => { window.release = release; });
          return answer;
        };";
    page.evaluate(&slow.replace("SLOW", &json!(first).to_string())).await;
    for id in [&first, &second] {
        page.evaluate("document.querySelector('#session-id').select()").await;
        page.write(id).await;
        page.press(Key::Enter).await;
    }
    page.wait_for("the second is read", &format!("({SHOWN}).includes('second')")).await;
    page.wait_for("the first could be", "window.release !== undefined").await;
    // Its answer is read in a few turns of the event loop.
    page.evaluate("release(), new Promise((done) => setTimeout(done, 100))").await;
    assert!(page.evaluate(SHOWN).await.as_str().unwrap().contains("second"));
    console.expect_no_complaints();
}

const IS_SENDABLE: &str = "!document.querySelector('#send').disabled";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_where_no_model_is_chosen_or_something_is_under_way() {
    let stalls = "openai:ok~stall=1";
    let builder = Stack::builder().models([stalls]).set("limits.requestTimeout", "60s");
    let Some(mut console) = Console::open(builder).await else { return };
    let page = console.page.clone();
    console.tab_to("#route").await;
    page.press(Key::ArrowDown).await;
    assert_eq!(page.evaluate(IS_SENDABLE).await, false);
    assert!(page.text("#picked-none").await.contains("None yet"));
    console.tab_to("#prompt").await;
    page.write("!words 3").await;
    page.press(Key::ControlEnter).await;
    assert_eq!(page.evaluate("document.querySelectorAll('.run').length").await, 0);
    console.tab_to("#add").await;
    page.press(Key::Enter).await;
    assert_eq!(page.evaluate(IS_SENDABLE).await, true);
    page.press(Key::ControlEnter).await;
    page.wait_for("it is under way", "document.querySelector('.answer')?.textContent === 'word1'").await;
    // A new configuration does not free it.
    console.stack.config.models([stalls, "gemini:ok"]).write();
    page.wait_for("it is in force", "document.querySelectorAll('#models > li').length === 2").await;
    assert_eq!(page.evaluate(IS_SENDABLE).await, false);
    page.press(Key::Escape).await;
    console.run("stopped").await;
    assert_eq!(page.evaluate(IS_SENDABLE).await, true);
    console.expect_no_complaints();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_without_the_client_package() {
    let Some(console) = Console::closed(Stack::builder().models(["openai:ok"])).await else { return };
    let page = &console.page;
    let without = r"
        const real = window.fetch;
        window.fetch = async (path, ...rest) => {
          const answer = await real(path, ...rest);
          return String(path).endsWith('api/settings') ? Response.json({ ...(await answer.json()), hasClient: false }) : answer;
        };";
    page.call("Page.addScriptToEvaluateOnNewDocument", json!({"source": without})).await;
    page.open(&console.url).await;
    page.wait_for("it is told", "!document.querySelector('#playground-note').hidden").await;
    assert_eq!(page.evaluate(IS_SENDABLE).await, false);
    console.send("hello").await;
    assert_eq!(page.evaluate("document.querySelectorAll('.run').length").await, 0);
    console.expect_no_complaints();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shown_twice_is_kept_twice() {
    let Some(console) = Console::open(Stack::builder().models(["openai:ok"])).await else { return };
    let twice = r"
        import('./dom.js').then(({ element, keep }) => {
          const list = document.createElement('ul');
          const draw = (...items) => {
            keep(list, items, (item) => item, (item) => element('li', {}, item));
            return [...list.children];
          };
          const before = draw('a', 'b', 'a');
          const after = draw('a', 'b', 'a');
          const same = before.every((child, index) => child === after[index]);
          return [after.map((child) => child.textContent), same, draw('a').length, draw('b', 'a', 'a').length, draw().length];
        })";
    assert_eq!(console.page.evaluate(twice).await, json!([["a", "b", "a"], true, 1, 3, 0]));
    console.expect_no_complaints();
}
