//! Every panel of the dashboard shows something of a gateway that has served requests.

use ai_warp_tests::{PATIENCE, Prometheus, Stack, eventually};
use serde_json::{Value, json};

const DASHBOARD: &str = include_str!("../../../observability/grafana/dashboards/ai-warp.json");

/// Every query with the title of its panel.
fn queries() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().clone();
    let queries = panels.iter().flat_map(|panel| {
        let title = panel["title"].as_str().unwrap().to_owned();
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        targets.into_iter().map(move |target| (title.clone(), target["expr"].as_str().unwrap().to_owned()))
    });
    // What Grafana fills in.
    queries
        .map(|(title, query)| (title, query.replace("$__rate_interval", "10s").replace("$__range", "1m")))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_of_the_dashboard_has_data() {
    let stack = Stack::builder()
        .models([
            json!("openai:down"),
            json!({"provider": "gemini", "model": "ok", "price": {"input": 2.5, "output": 10}}),
            json!({"provider": "openai", "model": "ok", "limits": {"rate": {"max": 2, "timeWindow": "1h"}}}),
        ])
        .start()
        .await;
    let Some(prometheus) = Prometheus::start(
        stack.folder.path(),
        &[
            (stack.envoy().admin().address(), "/stats/prometheus"),
            (stack.control_plane.api().address(), "/metrics"),
        ],
    )
    .await
    else {
        return;
    };
    let queries = queries();
    assert!(queries.len() > 20, "the dashboard was read");
    // Rates need changes between two looks of Prometheus, so clients go on asking.
    eventually("every panel has data", PATIENCE * 2, async || {
        stack.prompt(json!({"prompt": "hi"})).await;
        stack.stream(json!({"prompt": "hi"})).await.rest().await;
        stack.ask("openai:ok").await;
        let mut empty = Vec::new();
        for (title, query) in &queries {
            if prometheus.query(query).await.is_empty() {
                empty.push(format!("{title}: {query}"));
            }
        }
        if empty.is_empty() { Ok(()) } else { Err(format!("no data: {empty:#?}")) }
    })
    .await;
}
