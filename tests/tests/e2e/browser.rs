//! The browser that pages are tested with sees what a person would, and hears every complaint.

use ai_warp_tests::{Browser, Key};

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_driven_by_keys_and_its_complaints_are_heard() {
    let Some(browser) = Browser::start().await else { return };
    let page = browser.page().await;
    page.open(
        "data:text/html,<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; script-src \
         'unsafe-inline'\"><button onclick=\"this.textContent='pressed'\">press</button><input>",
    )
    .await;
    page.press(Key::Tab).await;
    page.press(Key::Enter).await;
    page.wait_for("the key arrives", "document.querySelector('button').textContent === 'pressed'").await;
    page.press(Key::Tab).await;
    page.write("text").await;
    assert_eq!(page.evaluate("document.querySelector('input').value").await, "text");
    assert_eq!(page.text("button").await, "pressed");
    assert_eq!(page.complaints(), [""; 0]);

    page.evaluate(
        "document.body.append(Object.assign(new Image(), {src: 'data:,'})); setTimeout(() => nothing())",
    )
    .await;
    let complaints =
        ai_warp_tests::eventually("both complaints are heard", ai_warp_tests::PATIENCE, async || {
            let complaints = page.complaints();
            if complaints.len() == 2 { Ok(complaints) } else { Err(format!("{complaints:?}")) }
        })
        .await;
    assert!(
        complaints.iter().any(|complaint| complaint.contains("Content Security Policy")),
        "{complaints:?}"
    );
    assert!(
        complaints.iter().any(|complaint| complaint.contains("nothing is not defined")),
        "{complaints:?}"
    );
}
