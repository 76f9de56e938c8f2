//! Several endpoints of one provider, and several models of one route: who is asked, how often, and with which key.

use std::collections::{BTreeMap, HashMap};

use ai_warp_simulator::{Options, Provider};
use ai_warp_tests::{Builder, PATIENCE, Refusing, Reply, Stack, eventually};
use futures_util::future::join_all;
use serde_json::{Value, json};

/// The keys of two endpoints at the simulator.
const KEYS: [&str; 2] = ["key-a", "key-b"];

fn prompt() -> Value {
    json!({"prompt": "hi"})
}

/// OpenAI at two endpoints, `a` and `b`, which differ in their keys and in `weights`.
fn two_endpoints(models: &[&str], weights: [u32; 2]) -> Builder {
    let keys = HashMap::from([(Provider::OpenAi, KEYS.map(str::to_owned).to_vec())]);
    Stack::builder()
        .simulator(Options { keys, ..Options::default() })
        .models(models.iter().copied())
        .configure(move |config| {
            let base_url = config.get("providers.openai.baseUrl").clone();
            let [a, b] = KEYS;
            let endpoints = json!([
                {"name": "a", "baseUrl": base_url, "apiKey": a, "weight": weights[0]},
                {"name": "b", "baseUrl": base_url, "apiKey": b, "weight": weights[1]},
            ]);
            config.provider("openai", json!({"endpoints": endpoints}));
        })
}

/// How often each key was used.
fn used_keys(stack: &Stack) -> BTreeMap<String, usize> {
    let mut keys = BTreeMap::new();
    for request in stack.simulator.requests() {
        *keys.entry(request.credential.unwrap_or_default()).or_default() += 1;
    }
    keys
}

/// How many answers each model gave.
fn models(replies: &[Reply]) -> BTreeMap<String, usize> {
    let mut models = BTreeMap::new();
    for reply in replies {
        assert_eq!(reply.status, 200, "{}", reply.text());
        *models.entry(reply.model().to_owned()).or_default() += 1;
    }
    models
}

/// Asks so often, a few at a time.
async fn ask(stack: &Stack, count: usize, body: &Value) -> Vec<Reply> {
    const AT_ONCE: usize = 20;
    let mut replies = Vec::new();
    for _ in 0..count / AT_ONCE {
        replies.extend(join_all((0..AT_ONCE).map(|_| stack.prompt(body.clone()))).await);
    }
    replies
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_of_one_key_leads_to_the_next_key_before_another_model() {
    let model = "openai:m~status=429~retry-after=100~only-key=key-a";
    // Nearly always the first one.
    let stack = two_endpoints(&[model, "gemini:ok"], [1_000, 1]).set("breaker.failures", 1).start().await;
    for stream in [false, true] {
        for _ in 0..10 {
            let reply = stack.prompt(json!({"prompt": "hi", "stream": stream})).await;
            assert_eq!((reply.status, reply.model()), (200, model), "{}", reply.text());
        }
    }
    let keys = used_keys(&stack);
    assert_eq!((keys["key-a"], keys["key-b"], keys.len()), (1, 20, 2), "the limited key rests: {keys:?}");
    stack.wait_for_model_state(&format!("{model}@a"), "error", Some("rateLimit")).await;
    assert_eq!(stack.model_state(&format!("{model}@b")).await.0, "ready");
    stack.expect_no_leaks();
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_are_asked_by_weight_each_with_its_own_key() {
    let stack = two_endpoints(&["openai:ok", "openai:other"], [3, 1]).workers(2).start().await;
    let replies = ask(&stack, 400, &prompt()).await;
    assert_eq!(models(&replies), BTreeMap::from([("openai:ok".to_owned(), 400)]));
    let keys = used_keys(&stack);
    println!("400 requests by 3 to 1: {keys:?}");
    // Five standard deviations.
    assert!((255..=345).contains(&keys["key-a"]), "{keys:?}");
    let states = stack.control_plane.models().await;
    let targets: Vec<&str> = states.keys().map(String::as_str).collect();
    assert_eq!(targets, ["openai:ok@a", "openai:ok@b", "openai:other@a", "openai:other@b"]);
    stack.expect_no_leaks();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_endpoint_is_left_alone_while_the_others_go_on() {
    let refusing = Refusing::new();
    let dead = refusing.base_url();
    let stack = Stack::builder()
        .models(["openai:ok", "openai:other"])
        .set("breaker.failures", 1)
        .configure(move |config| {
            let alive = config.get("providers.openai").clone();
            let endpoint = |name: &str, base_url: &Value| {
                json!({"name": name, "baseUrl": base_url, "apiKey": alive["apiKey"]})
            };
            let endpoints = [endpoint("dead", &json!(dead)), endpoint("alive", &alive["baseUrl"])];
            config.provider("openai", json!({"endpoints": endpoints}));
        })
        .start()
        .await;
    let replies = ask(&stack, 100, &prompt()).await;
    let (attempts, count) = (replies.iter().map(Reply::attempts).sum::<usize>(), replies.len());
    assert_eq!(models(&replies), BTreeMap::from([("openai:ok".to_owned(), count)]));
    // Those who were under way when the first failed may have found it dead as well.
    assert!((1..=20).contains(&(attempts - count)), "{attempts} attempts for {count}");
    let again = ask(&stack, 60, &prompt()).await;
    assert!(again.iter().all(|reply| reply.attempts() == 1), "it is left alone");
    stack.wait_for_model_state("openai:ok@dead", "error", Some("providerCommunicationError")).await;
    assert_eq!(stack.model_state("openai:ok@alive").await.0, "ready");
    assert_eq!(stack.model_state("openai:other@dead").await.0, "ready", "nobody asked that one");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_all_endpoints_fail_the_next_model_answers() {
    let stack =
        two_endpoints(&["openai:limited", "gemini:ok"], [1, 1]).set("breaker.failures", 1).start().await;
    let reply = stack.prompt(prompt()).await;
    assert_eq!((reply.status, reply.model(), reply.attempts()), (200, "gemini:ok", 3), "{}", reply.text());
    let keys = used_keys(&stack);
    assert_eq!((keys["key-a"], keys["key-b"]), (1, 1), "{keys:?}");
    let reply = stack.prompt(prompt()).await;
    assert_eq!((reply.model(), reply.attempts()), ("gemini:ok", 1));
}

fn routes() -> Value {
    json!([
        {"name": "ordered", "models": ["gemini:ok", "openai:ok"]},
        {"name": "weighted", "strategy": "weighted", "models": [
            {"model": "deepseek:ok", "weight": 3}, "gemini:ok",
        ]},
        {"name": "busy", "strategy": "leastBusy", "models": ["openai:held~gate", "gemini:ok"]},
        {"name": "failing", "strategy": "weighted", "models": [
            {"model": "openai:down", "weight": 1000}, "gemini:ok",
        ]},
    ])
}

fn routed() -> Builder {
    Stack::builder()
        .models(["openai:ok", "deepseek:ok", "gemini:ok", "openai:held~gate", "openai:down"])
        .set("routes", routes())
}

fn by_route(route: &str) -> Value {
    json!({"prompt": "hi", "route": route})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_may_name_its_route() {
    let stack = routed().start().await;
    for (body, model) in
        [(prompt(), "openai:ok"), (by_route("default"), "openai:ok"), (by_route("ordered"), "gemini:ok")]
    {
        assert_eq!(stack.prompt(body.clone()).await.model(), model, "{body}");
        let streamed = stack.stream(body).await;
        assert_eq!(streamed.header("x-ai-warp-model"), model);
        streamed.rest().await.end();
    }
    let asked = stack.simulator.requests().len();
    for body in [by_route("nowhere"), by_route(""), json!({"prompt": "hi", "route": 7})] {
        for reply in [stack.prompt(body.clone()).await, stack.gateway().stream_as_reply(body.clone()).await] {
            assert_eq!(reply.error(), (400, "OPTION_ERROR".to_owned()), "{body}");
        }
    }
    assert_eq!(stack.simulator.requests().len(), asked, "nobody was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_weighted_route_shares_its_requests_and_falls_back_to_the_rest() {
    let stack = routed().workers(2).start().await;
    let shares = models(&ask(&stack, 400, &by_route("weighted")).await);
    println!("400 requests by 3 to 1: {shares:?}");
    // Five standard deviations.
    assert!((255..=345).contains(&shares["deepseek:ok"]) && shares.len() == 2, "{shares:?}");
    assert_eq!(
        models(&ask(&stack, 20, &by_route("failing")).await),
        BTreeMap::from([("gemini:ok".to_owned(), 20)])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_least_busy_model_is_asked_first() {
    let held = "openai:held~gate";
    let stack = routed().start().await;
    // One of the first two goes to each; the one at the gate stays.
    let gateway = stack.gateway().clone();
    let mut waiting = Vec::new();
    eventually("a request is held", PATIENCE, async || {
        let gateway = gateway.clone();
        waiting.push(tokio::spawn(async move { gateway.prompt(by_route("busy")).await }));
        let asked = |requests: &[ai_warp_simulator::RecordedRequest]| requests.len() == waiting.len();
        stack.simulator.wait_for(asked, PATIENCE).await.unwrap();
        let held = stack.simulator.requests_for("held~gate").len();
        if held > 0 { Ok(()) } else { Err("not yet") }
    })
    .await;
    for _ in 0..20 {
        let reply = stack.prompt(by_route("busy")).await;
        assert_eq!((reply.model(), reply.attempts()), ("gemini:ok", 1), "{}", reply.text());
    }
    stack.simulator.open_gate("held");
    let mut answered = Vec::new();
    for request in waiting {
        answered.push(request.await.unwrap());
    }
    assert_eq!(models(&answered)[held], 1);
    // Free again, it gets its share.
    let shares = models(&ask(&stack, 40, &by_route("busy")).await);
    assert_eq!(shares.len(), 2, "{shares:?}");
}
