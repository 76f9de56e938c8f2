//! The console in a browser: what a person does with it, by keyboard, and what it shows.
//!
//! Every test ends with what the page complained of: nothing may break its content security policy or fail unseen.

mod readable;
mod rules;
mod token;

use ai_warp_tests::{Browser, Builder, Key, PATIENCE, Page, Samples, Stack, eventually};
use serde_json::json;

/// A console, and what it shows.
struct Console {
    stack: Stack,
    page: Page,
    url: String,
    _browser: Browser,
}

impl Console {
    /// Starts the stack with the console switched on, and opens it. `None` where there is no browser.
    async fn open(builder: Builder) -> Option<Self> {
        let console = Self::closed(builder).await?;
        console.page.open(&console.url).await;
        console
            .page
            .wait_for("it is live", "document.querySelector('#live[data-state=live]')  !== null")
            .await;
        Some(console)
    }

    /// The same without opening it.
    async fn closed(builder: Builder) -> Option<Self> {
        let browser = Browser::start().await?;
        let mut stack = builder.set("console.enabled", true).start().await;
        // Only now is it known where the gateway listens.
        let gateway = format!("http://{}", stack.gateway().address());
        stack.config.set("console.gateway", gateway.as_str()).write();
        let log = "configuration applied";
        eventually("the console knows its gateway", PATIENCE, async || {
            let version = stack.control_plane.log();
            if version.contains(log) { Ok(()) } else { Err(version) }
        })
        .await;
        let url = format!("http://{}/console/", stack.control_plane.api().address());
        Some(Self { page: browser.page().await, stack, url, _browser: browser })
    }

    /// Goes on by Tab until what a selector finds has the focus, which must be seen at every step.
    async fn tab_to(&self, selector: &str) {
        let is_there = format!("document.activeElement.matches({})", json!(selector));
        for _ in 0..100 {
            if self.page.evaluate(&is_there).await == true {
                return;
            }
            self.page.press(Key::Tab).await;
            let outline = "getComputedStyle(document.activeElement).outlineStyle";
            let unseen = format!(
                "document.activeElement !== document.body && {outline} === 'none' && document.activeElement.outerHTML"
            );
            assert_eq!(self.page.evaluate(&unseen).await, false, "the focus is seen");
        }
        panic!("no Tab leads to {selector}");
    }

    /// Types a prompt and sends it.
    async fn send(&self, prompt: &str) {
        self.tab_to("#prompt").await;
        self.page.evaluate("document.activeElement.select()").await;
        self.page.write(prompt).await;
        self.page.press(Key::ControlEnter).await;
    }

    /// Waits until the newest run has this state; returns its text.
    async fn run(&self, state: &str) -> String {
        let run = "document.querySelector('.run')";
        let is = format!("{run}?.querySelector('.pill').textContent === {}", json!(state));
        self.page.wait_for(&format!("the run is {state}: {}", self.page.text("#runs").await), &is).await;
        self.page.text(".run").await
    }

    /// Ticks that prompts are resumable.
    async fn resumable(&self) {
        self.page.evaluate("document.querySelector('#options').open = true").await;
        self.tab_to("#resume").await;
        self.page.press(Key::Space).await;
        assert_eq!(self.page.evaluate("document.querySelector('#resume').checked").await, true);
        self.page.evaluate("document.querySelector('#prompt').focus()").await;
    }

    /// How many streams were handed over to be resumable.
    async fn streams(&self) -> f64 {
        let text = self.stack.control_plane.api().get("/metrics").await.text();
        Samples::parse(&text).of("ai_warp_control_plane_streams_total").map(|(_, value)| value).sum()
    }

    fn expect_no_complaints(&self) {
        assert_eq!(self.page.complaints(), [""; 0]);
    }
}

fn down_and_ok() -> Builder {
    Stack::builder().models(["openai:down", "gemini:ok"]).set("breaker.failures", 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_is_streamed_and_a_model_that_trips_is_shown_with_its_reason() {
    let Some(console) = Console::open(down_and_ok()).await else { return };
    let page = &console.page;
    assert_eq!(page.text("#models-count").await, "2 of 2 ready");
    console.send("!words 5").await;
    let run = console.run("answered").await;
    assert_eq!(page.text(".answer").await, "word1 word2 word3 word4 word5");
    assert!(run.contains("gemini:ok"), "{run}");
    for fact in ["[data-fact=attempts]", "[data-fact=first]", "[data-fact=total]", "[data-fact=tokens]"] {
        assert!(
            page.evaluate(&format!("document.querySelector('.run {fact}') !== null")).await == true,
            "{fact}: {run}"
        );
    }
    assert_eq!(page.text("[data-fact=attempts] dd").await, "2");

    page.wait_for("the model rests", "document.querySelector('#models [data-state=error]') !== null").await;
    let down = page.text("#models > li").await;
    for part in ["openai:down", "rests", "retry", "server errors", "tried again in"] {
        assert!(down.contains(part), "{part}: {down}");
    }
    assert_eq!(page.text("#models-count").await, "1 of 2 ready");
    assert_eq!(
        page.evaluate("document.querySelector('#announce').textContent").await,
        "openai:down rests: server errors"
    );
    assert!(page.text("#overview").await.contains("1 of 2 ready"));
    page.wait_for("its share is shown", "document.querySelector('#limits progress') !== null").await;
    let envoy = page.text("#gateways > li").await;
    assert!(
        envoy.contains("current") && envoy.contains("filter") && envoy.contains("acknowledged"),
        "{envoy}"
    );
    console.expect_no_complaints();
}

#[tokio::test(flavor = "multi_thread")]
async fn models_are_chosen_in_an_order_and_a_stream_is_stopped_by_keys_alone() {
    let stalls = "openai:ok~stall=1";
    let builder =
        Stack::builder().models([stalls, "deepseek:ok", "gemini:ok"]).set("limits.requestTimeout", "60s");
    let Some(console) = Console::open(builder).await else { return };
    let page = &console.page;
    // The last option of the routes is one's own choice.
    console.tab_to("#route").await;
    page.press(Key::ArrowDown).await;
    console.tab_to("#pick").await;
    for _ in 0..2 {
        page.press(Key::ArrowDown).await;
    }
    for expected in [&["gemini:ok"][..], &["gemini:ok", stalls]] {
        console.tab_to("#add").await;
        page.press(Key::Enter).await;
        let picked = page
            .evaluate("[...document.querySelectorAll('#picked .name')].map((name) => name.textContent)")
            .await;
        assert_eq!(picked, json!(expected));
        // The focus is back where the next one is chosen.
        assert_eq!(page.evaluate("document.activeElement.id").await, "pick");
    }
    page.evaluate("document.querySelector('#picked').scrollIntoView()").await;
    for _ in 0..30 {
        if page.evaluate("document.activeElement.dataset.part === 'up' && document.activeElement.closest('li') === document.querySelector('#picked').lastElementChild").await == true {
            break;
        }
        page.press(Key::BackTab).await;
    }
    page.press(Key::Space).await;
    let first = "document.querySelector('#picked .name').textContent";
    assert_eq!(page.evaluate(first).await, stalls);
    let focus = "document.activeElement.closest('li')?.querySelector('.name').textContent";
    assert_eq!(page.evaluate(focus).await, stalls, "the focus goes with it");

    page.evaluate("document.querySelector('#prompt').focus()").await;
    console.send("!words 3").await;
    page.wait_for("the first word is there", "document.querySelector('.answer')?.textContent === 'word1'")
        .await;
    assert_eq!(page.text(".run .name").await, stalls);
    page.press(Key::Escape).await;
    console.run("stopped").await;
    console.stack.wait_until_no_exchange_lives().await;
    // And on from there.
    assert_eq!(page.evaluate("document.querySelector('#send').disabled").await, false);
    console.expect_no_complaints();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_gone_on_with_read_and_deleted_once_confirmed() {
    let Some(console) = Console::open(Stack::builder().models(["openai:ok"])).await else { return };
    let (page, api) = (&console.page, console.stack.control_plane.api());
    console.send("!text first").await;
    console.run("answered").await;
    let session = page.text(".session code").await;
    console.tab_to(".session button").await;
    page.press(Key::Enter).await;
    assert_eq!(page.evaluate("document.querySelector('#session').value").await, session);
    console.send("!text second").await;
    console.run("answered").await;
    assert_eq!(page.text(".session code").await, session);

    console.tab_to(".session button:last-child").await;
    page.press(Key::Enter).await;
    page.wait_for("both turns are read", "document.querySelectorAll('#session-turns li').length === 2").await;
    let turns = page.text("#session-turns").await;
    assert!(turns.contains("first") && turns.contains("second") && turns.contains("openai:ok"), "{turns}");

    let path = format!("/api/v1/sessions/{session}");
    console.tab_to("#session-delete").await;
    page.press(Key::Enter).await;
    // What does no harm has the focus, and Escape leaves.
    assert_eq!(page.evaluate("document.activeElement.id").await, "delete-cancel");
    page.press(Key::Escape).await;
    assert_eq!(page.evaluate("document.querySelector('dialog[open]') === null").await, true);
    assert_eq!(api.get(&path).await.status, 200);
    page.press(Key::Enter).await;
    console.tab_to("#delete-confirm").await;
    page.press(Key::Enter).await;
    page.wait_for(
        "it says so",
        "document.querySelector('#session-note').innerText === 'The session is deleted.'",
    )
    .await;
    assert_eq!(api.get(&path).await.status, 404);
    assert_eq!(page.evaluate("document.querySelector('#session-found').hidden").await, true);
    console.expect_no_complaints();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_may_be_resumable() {
    let builder = Stack::builder().resumable().models(["openai:ok"]);
    let Some(console) = Console::open(builder).await else { return };
    let page = &console.page;
    console.send("!words 1").await;
    console.run("answered").await;
    assert_eq!(console.streams().await, 0.0);
    console.resumable().await;
    for words in ["word1 word2", "word1 word2 word3"] {
        console.send(&format!("!words {}", words.split(' ').count())).await;
        console.run("answered").await;
        assert_eq!(page.text(".answer").await, words);
    }
    eventually("both were handed over", PATIENCE, async || {
        let streams = console.streams().await;
        if streams == 2.0 { Ok(()) } else { Err(streams) }
    })
    .await;
    console.expect_no_complaints();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_resumable_run_was_stopped_a_prompt_is_a_new_one() {
    let builder = Stack::builder().resumable().models(["openai:held~gate~chunks=3"]);
    let Some(console) = Console::open(builder).await else { return };
    let page = &console.page;
    console.resumable().await;
    console.send("one").await;
    page.wait_for("the answer begins", "document.querySelector('.answer')?.textContent === 'c1 '").await;
    page.press(Key::Escape).await;
    console.run("stopped").await;
    console.stack.simulator.open_gate("held");
    let session = page.text(".session code").await;
    console.stack.control_plane.wait_for_turns(&session, 1).await;
    console.tab_to(".session button").await;
    page.press(Key::Enter).await;
    for requests in [2, 3] {
        console.send("another").await;
        console.run("answered").await;
        assert_eq!(page.text(".answer").await.trim(), "c1 c2 c3");
        assert_eq!(console.stack.simulator.requests().len(), requests);
    }
    assert_eq!(console.streams().await, 1.0);
    console.expect_no_complaints();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_somebody_is_told_and_is_gone_once_mended() {
    let builder = Stack::builder().models(["openai:ok~status=401", "gemini:ok"]).set("breaker.failures", 1);
    let Some(mut console) = Console::open(builder).await else { return };
    let page = console.page.clone();
    assert_eq!(page.evaluate("document.querySelector('#problems').hidden").await, true);
    console.send("hello").await;
    console.run("answered").await;
    page.wait_for(
        "the key is told of",
        "document.querySelector('#problems').innerText.includes('refuses the key')",
    )
    .await;

    let before = page.text("#control-plane").await;
    console.stack.config.write_text("models: [1");
    page.wait_for(
        "the file is refused",
        "document.querySelector('#overview').innerText.includes('file refused')",
    )
    .await;
    let problems = page.text("#problems").await;
    assert!(problems.contains("ai-warp.yaml") && problems.contains("the one before goes on"), "{problems}");
    console.stack.config.models(["gemini:ok"]).write();
    page.wait_for("the new one is in force", "document.querySelectorAll('#models > li').length === 1").await;
    page.wait_for("nothing is wrong", "document.querySelector('#problems').hidden").await;
    assert_ne!(page.text("#control-plane").await, before);
    // What can be chosen has changed with it.
    page.wait_for("one model is left", "document.querySelector('#route').innerText.includes('1 model')")
        .await;
    console.expect_no_complaints();

    console.stack.control_plane.kill();
    page.wait_for("it is gone", "document.querySelector('#live[data-state=away]') !== null").await;
    assert_eq!(
        page.evaluate("document.querySelectorAll('#models > li').length").await,
        1,
        "what was known stays"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_shown_with_its_code() {
    let builder =
        Stack::builder().models(["openai:ok~error-event=2~chunk-delay=100"]).set("limits.retry.max", 0);
    let Some(console) = Console::open(builder).await else { return };
    console.send("!words 5").await;
    let run = console.run("failed").await;
    assert!(run.contains("word1") && run.contains("PROVIDER_RESPONSE_ERROR"), "{run}");
    console.expect_no_complaints();

    let Some(console) = Console::open(Stack::builder().models(["openai:down"])).await else { return };
    console.send("hello").await;
    let run = console.run("failed").await;
    assert!(run.contains("PROVIDER_RESPONSE_ERROR") && run.contains("openai:down"), "{run}");
    assert!(!run.contains('{'), "the sentence is shown, and not the body: {run}");
    // The browser tells of the status.
    assert!(console.page.complaints().iter().all(|complaint| complaint.contains("502")));
}
