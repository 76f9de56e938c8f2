//! The client's package does what it says: in Node and in a browser, with a gateway as it may be and with a real one.

use std::time::Duration;

use ai_warp_simulator::{Outcome, RecordedRequest};
use ai_warp_tests::{
    Browser, Cutting, PATIENCE, Refusing, Stack, client_page, eventually, expect_types, node_checks,
};
use serde_json::{Value, json};

/// Whether streams of a gateway can be come back to, for each gateway that is tried.
const RESUMABLE: [bool; 2] = [false, true];

/// At least so many checks there are: a suite that does nothing is not green.
const OF_CONTRACT: usize = 34;
const OF_GATEWAY: usize = 16;

/// Bytes that pass on a connection before it is cut: those of the response's headers, of a preflight's, and a few events.
const CUT_AFTER: usize = 2_500;

/// Deadline of all checks in a browser. They take seconds, but a machine may be busy with other tests.
const LONGEST_RUN: Duration = Duration::from_secs(120);

/// A gateway for the checks of `client/test/gateway.mjs`, and the ways to it.
struct Place {
    stack: Stack,
    cutting: Cutting,
    nobody: Refusing,
    resumable: bool,
}

impl Place {
    /// `resumable`: whether its streams can be come back to.
    async fn start(resumable: bool) -> Self {
        let models = [
            "openai:ok",
            "openai:down",
            "openai:m~chunks=20",
            "openai:m~error-event=3~chunk-delay=20",
            "openai:m~stall-headers",
            "openai:picky~status=400",
            "openai:busy~status=429~retry-after=30",
            "openai:tired~status=500",
            "openai:aborted~chunks=1000~chunk-delay=50",
            "openai:aborted~stall-headers",
            "openai:left~chunks=1000~chunk-delay=50",
            "openai:severed~chunks=200~chunk-delay=3",
            "deepseek:ok",
            "deepseek:down",
            "gemini:ok",
        ];
        let numbers =
            (0..20).map(|number| format!("openai:n{number}~text=number-{number}~split-random={number}"));
        let builder = Stack::builder()
            .models(models.into_iter().map(str::to_owned).chain(numbers))
            .set("routes", json!([{"name": "other", "models": ["deepseek:ok"]}]))
            // A model that failed once rests.
            .set("breaker.failures", 1)
            .set("server.cors", json!({"origins": ["*"]}));
        let stack = if resumable { builder.resumable() } else { builder }.start().await;
        let cutting = Cutting::start(stack.gateway().address(), CUT_AFTER).await;
        Self { stack, cutting, nobody: Refusing::new(), resumable }
    }

    fn to_json(&self) -> Value {
        json!({
            "url": format!("http://{}", self.stack.gateway().address()),
            "cutting": format!("http://{}", self.cutting.address()),
            "nobody": format!("http://{}", self.nobody.address()),
            "resumable": self.resumable,
        })
    }

    /// What the checks cannot see themselves: whom they left is left by the gateway as well.
    async fn expect_left(&self) {
        let abandoned = |requests: &[RecordedRequest], model: &str| {
            let of_model: Vec<_> =
                requests.iter().filter(|request| request.model.starts_with(model)).collect();
            !of_model.is_empty() && of_model.iter().all(|request| request.outcome == Outcome::AbortedByClient)
        };
        // A stream that may be come back to goes on without its client for a while.
        let left: &[&str] = if self.resumable { &["left"] } else { &["left", "aborted"] };
        let all = |requests: &[RecordedRequest]| left.iter().all(|model| abandoned(requests, model));
        self.stack.simulator.wait_for(all, PATIENCE).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_node_it_keeps_the_contract() {
    let passed = node_checks("contract.test.mjs", None).await;
    assert!(passed.len() >= OF_CONTRACT, "{passed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_node_it_speaks_with_a_real_gateway() {
    for resumable in RESUMABLE {
        let place = Place::start(resumable).await;
        let passed = node_checks("gateway.test.mjs", Some(&place.to_json().to_string())).await;
        assert!(passed.len() >= OF_GATEWAY, "{passed:?}");
        place.expect_left().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser_it_does_the_same() {
    let Some(browser) = Browser::start().await else { return };
    let place = Place::start(true).await;
    let ways = [place.stack.gateway().address(), &place.cutting.address(), &place.nobody.address()];
    let server = client_page(&ways).await;
    let page = browser.page().await;
    let query = reqwest::Url::parse_with_params(
        &format!("http://{}/", server.address()),
        [("place", place.to_json().to_string())],
    );
    page.open(query.unwrap().as_str()).await;
    let results = eventually("all checks ran", LONGEST_RUN, async || {
        let results = page.evaluate("globalThis.results ?? null").await;
        if results.is_null() { Err("some are left") } else { Ok(results) }
    })
    .await;
    assert_eq!(results["failed"], json!([]));
    let passed = results["passed"].as_array().unwrap().len();
    assert!(passed >= OF_CONTRACT + OF_GATEWAY, "{results}");
    // A browser complains of every response that is an error, which many of the checks want.
    let complaints = page.complaints();
    let others: Vec<_> = complaints.iter().filter(|complaint| !complaint.contains("network")).collect();
    assert!(others.is_empty(), "{others:#?}");
    place.expect_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_types_are_those_of_its_values_and_of_ai_warps_programs() {
    expect_types().await;
}
