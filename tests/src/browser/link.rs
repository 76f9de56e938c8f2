//! The WebSocket of one page: calls with their results, and what comes unasked.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::wait::{PATIENCE, within};

type Socket = WebSocketStream<TcpStream>;

/// Who waits for the result of which call.
type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Value>>>>;

/// A connection to a page.
#[derive(Debug)]
pub(super) struct Link {
    next: AtomicU64,
    to: tokio::sync::Mutex<SplitSink<Socket, Message>>,
    waiting: Waiting,
    complaints: Arc<Mutex<Vec<String>>>,
    reader: JoinHandle<()>,
}

impl Link {
    /// Connects to `url` of a page.
    pub(super) async fn connect(url: &str) -> Self {
        let address = url.strip_prefix("ws://").and_then(|rest| rest.split('/').next()).expect("a ws:// URL");
        let stream = TcpStream::connect(address).await.expect("the browser takes connections");
        let (socket, _) = tokio_tungstenite::client_async(url, stream).await.expect("a WebSocket");
        let (to, from) = socket.split();
        let (waiting, complaints) = (Waiting::default(), Arc::<Mutex<Vec<String>>>::default());
        let reader = tokio::spawn(read(from, Arc::clone(&waiting), Arc::clone(&complaints)));
        Self { next: AtomicU64::new(1), to: tokio::sync::Mutex::new(to), waiting, complaints, reader }
    }

    /// Calls a method; its result, or why it failed.
    pub(super) async fn call(&self, method: &str, params: Value) -> Result<Value, String> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (result, answer) = oneshot::channel();
        self.waiting.lock().expect("nobody panics with it").insert(id, result);
        let message = json!({"id": id, "method": method, "params": params}).to_string();
        let sent = self.to.lock().await.send(Message::text(message)).await;
        sent.map_err(|error| format!("the page is gone: {error}"))?;
        let mut answer = within(method, PATIENCE, answer).await.map_err(|_| "the page is gone".to_owned())?;
        if answer["error"].is_null() { Ok(answer["result"].take()) } else { Err(answer["error"].to_string()) }
    }

    pub(super) fn complaints(&self) -> Vec<String> {
        self.complaints.lock().expect("nobody panics with it").clone()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

async fn read(mut from: SplitStream<Socket>, waiting: Waiting, complaints: Arc<Mutex<Vec<String>>>) {
    while let Some(Ok(message)) = from.next().await {
        let Message::Text(text) = message else { continue };
        let message: Value = serde_json::from_str(&text).expect("the browser sends JSON");
        if let Some(id) = message["id"].as_u64() {
            let waits = waiting.lock().expect("nobody panics with it").remove(&id);
            // Whoever gave up waiting does not want it any more.
            let _ = waits.map(|waits| waits.send(message));
        } else if let Some(complaint) = complaint(&message) {
            complaints.lock().expect("nobody panics with it").push(complaint);
        }
    }
    // Nobody waits for a page that is gone.
    waiting.lock().expect("nobody panics with it").clear();
}

/// What an event complains of, if it does.
fn complaint(event: &Value) -> Option<String> {
    let params = &event["params"];
    match event["method"].as_str()? {
        "Runtime.exceptionThrown" => {
            let details = &params["exceptionDetails"];
            Some(format!("exception: {} {}", details["text"], details["exception"]["description"]))
        }
        "Runtime.consoleAPICalled" if ["error", "assert", "warning"].contains(&params["type"].as_str()?) => {
            Some(format!("console: {}", params["args"]))
        }
        "Log.entryAdded" if params["entry"]["level"] == "error" => {
            let entry = &params["entry"];
            Some(format!("{}: {} {}", entry["source"], entry["text"], entry["url"]))
        }
        _ => None,
    }
}
