//! A steady load that must not notice what is done to the gateway meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::{JoinHandle, JoinSet};

use crate::client::Gateway;
use crate::wait::{PATIENCE, within};

/// What a busy machine must send at least of what was promised.
const LEAST_SHARE: f64 = 0.8;

/// Prompts at a steady rate, whole and streamed in turn.
#[derive(Debug)]
pub struct Load {
    rate: u32,
    started: Instant,
    stop: Arc<AtomicBool>,
    task: JoinHandle<(usize, Vec<String>)>,
}

impl Load {
    /// Begins with `rate` requests a second.
    pub fn start(gateway: &Gateway, rate: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, gateway) = (Arc::clone(&stop), gateway.clone());
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
            let (mut requests, mut sent) = (JoinSet::new(), 0);
            while !stopped.load(Ordering::Relaxed) {
                ticks.tick().await;
                let (gateway, stream) = (gateway.clone(), sent % 2 == 1);
                requests.spawn(async move { failure_of(&gateway, stream).await });
                sent += 1;
            }
            let outcomes = requests.join_all().await;
            (sent, outcomes.into_iter().flatten().collect())
        });
        Self { rate, started: Instant::now(), stop, task }
    }

    /// Ends the load; panics with every request that failed.
    pub async fn expect_no_failure(self) {
        self.stop.store(true, Ordering::Relaxed);
        let lasted = self.started.elapsed();
        let (sent, failures) = within("the load ends", PATIENCE, self.task).await.unwrap();
        let promised = lasted.as_secs_f64() * f64::from(self.rate);
        assert!(sent as f64 >= promised * LEAST_SHARE, "{sent} of {promised} requests were sent");
        assert!(failures.is_empty(), "{} of {sent} requests failed: {failures:#?}", failures.len());
    }
}

/// What went wrong with one request, if anything did.
async fn failure_of(gateway: &Gateway, stream: bool) -> Option<String> {
    match gateway.try_prompt(&json!({"prompt": "hi", "stream": stream})).await {
        Ok(reply) if reply.status == 200 && (!stream || reply.text().contains("event: end")) => None,
        Ok(reply) => Some(format!("{} {}", reply.status, reply.text())),
        Err(error) => Some(format!("{error:?}")),
    }
}
