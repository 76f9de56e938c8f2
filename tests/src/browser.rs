//! A headless Chromium, driven over the DevTools protocol as a person would: by keys, and by looking at what is there.
//!
//! Each [`Page`] has a WebSocket of its own to the browser. Whatever a page complains of (exceptions, errors on its console, what
//! its content security policy refused, what failed to load) is kept for [`Page::complaints`]. Nothing here knows which page it
//! looks at.

mod keys;
mod link;

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

pub use self::keys::Key;
use self::link::Link;
use crate::environment;
use crate::process::Process;
use crate::wait::{PATIENCE, eventually};

/// What a browser for tests does without: a sandbox (tests run as root in containers), a GPU, and every request that is not the
/// test's.
const ARGUMENTS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
    "about:blank",
];

/// The file in which it tells its port, in the folder of its profile.
const PORT_FILE: &str = "DevToolsActivePort";

/// A browser with a fresh profile; killed when dropped.
#[derive(Debug)]
pub struct Browser {
    address: String,
    process: Process,
    _profile: TempDir,
}

impl Browser {
    /// Starts it. `None` where this machine could not get one, which is told.
    pub async fn start() -> Option<Self> {
        let program = match environment::chromium() {
            Ok(program) => program,
            Err(reason) => {
                tell_skipped(&reason);
                return None;
            }
        };
        let profile =
            tempfile::Builder::new().prefix("ai-warp-browser-").tempdir().expect("no temporary folder");
        let mut command = Command::new(program);
        command.arg(format!("--user-data-dir={}", profile.path().display())).args(ARGUMENTS);
        // Nothing of this machine's settings, nor into them.
        command.env("HOME", profile.path()).env("XDG_CACHE_HOME", profile.path()).env_remove("DISPLAY");
        let mut process = Process::start("chromium", profile.path(), &mut command);
        let file = profile.path().join(PORT_FILE);
        let port = eventually("the browser tells its port", PATIENCE, async || {
            process.expect_alive();
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            let port: Option<u16> = text.lines().next().and_then(|port| port.parse().ok());
            // The path on the second line is written after it.
            port.filter(|_| text.lines().count() == 2).ok_or(text)
        })
        .await;
        Some(Self { address: format!("127.0.0.1:{port}"), process, _profile: profile })
    }

    /// Opens an empty page.
    pub async fn page(&self) -> Page {
        let client =
            reqwest::Client::builder().no_proxy().build().expect("a client without TLS can be built");
        let asked = client.put(format!("http://{}/json/new?about:blank", self.address)).send().await;
        let target: Value = asked.expect("the browser answers").json().await.expect("the browser sends JSON");
        let url = target["webSocketDebuggerUrl"].as_str().expect("a page has an address");
        let page = Page { link: Arc::new(Link::connect(url).await) };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.call(&format!("{domain}.enable"), json!({})).await;
        }
        page
    }

    /// Prints the end of its log.
    pub fn print_log(&self) {
        self.process.print_log();
    }
}

/// One page.
#[derive(Debug, Clone)]
pub struct Page {
    link: Arc<Link>,
}

impl Page {
    /// Calls a method of the protocol; returns its result.
    ///
    /// # Panics
    /// Where the browser refuses, or does not answer in time.
    pub async fn call(&self, method: &str, params: Value) -> Value {
        match self.link.call(method, params).await {
            Ok(result) => result,
            Err(error) => panic!("{method}: {error}"),
        }
    }

    /// Goes to `url`, and waits until it is loaded.
    pub async fn open(&self, url: &str) {
        let went = self.call("Page.navigate", json!({"url": url})).await;
        assert!(went["errorText"].is_null(), "{url}: {}", went["errorText"]);
        self.wait_for("the page is loaded", "document.readyState === 'complete'").await;
    }

    /// The value of an expression of JavaScript; of a promise, what it becomes.
    ///
    /// # Panics
    /// Where it throws.
    pub async fn evaluate(&self, expression: &str) -> Value {
        let params = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let result = self.call("Runtime.evaluate", params).await;
        let thrown = &result["exceptionDetails"];
        assert!(thrown.is_null(), "{expression}: {thrown}");
        result["result"]["value"].clone()
    }

    /// Waits until an expression has a value that counts as true; returns it.
    pub async fn wait_for(&self, what: &str, expression: &str) -> Value {
        eventually(what, PATIENCE, async || {
            let value = self.evaluate(expression).await;
            let is_there = match &value {
                Value::Null => false,
                Value::Bool(value) => *value,
                Value::Number(number) => number.as_f64() != Some(0.0),
                Value::String(text) => !text.is_empty(),
                Value::Array(_) | Value::Object(_) => true,
            };
            if is_there { Ok(value) } else { Err(format!("{expression} is {value}")) }
        })
        .await
    }

    /// The text of the first element that a selector finds, as it is shown.
    pub async fn text(&self, selector: &str) -> String {
        let expression = format!("document.querySelector({})?.innerText ?? null", json!(selector));
        let text = self.evaluate(&expression).await;
        text.as_str().unwrap_or_else(|| panic!("there is no {selector}")).to_owned()
    }

    /// Presses a key.
    pub async fn press(&self, key: Key) {
        for event in key.events() {
            self.call("Input.dispatchKeyEvent", event).await;
        }
    }

    /// Types into what has the focus.
    pub async fn write(&self, text: &str) {
        self.call("Input.insertText", json!({"text": text})).await;
    }

    /// Gives the page this size, in CSS pixels.
    pub async fn resize(&self, width: u32, height: u32) {
        let params = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500});
        self.call("Emulation.setDeviceMetricsOverride", params).await;
    }

    /// What the media query `prefers-color-scheme` says: `light` or `dark`.
    pub async fn color_scheme(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features})).await;
    }

    /// Writes the whole page, also what is below the fold, to a PNG file.
    pub async fn screenshot(&self, path: &Path) {
        let mut clip = self.call("Page.getLayoutMetrics", json!({})).await["cssContentSize"].take();
        clip["scale"] = json!(1);
        let params = json!({"format": "png", "captureBeyondViewport": true, "clip": clip});
        let image = self.call("Page.captureScreenshot", params).await;
        let image = STANDARD.decode(image["data"].as_str().unwrap_or_default()).expect("base64");
        std::fs::write(path, image).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// What the page complained of so far: exceptions, errors on its console, what its policy refused, what failed to load.
    pub fn complaints(&self) -> Vec<String> {
        self.link.complaints()
    }
}

/// Written past the capture of the test's output: a skipped test must be seen.
fn tell_skipped(reason: &str) {
    let name = std::thread::current().name().unwrap_or("a browser test").to_owned();
    // Nobody is left to tell where stderr is closed.
    let _ = writeln!(std::io::stderr(), "browser test skipped: {name}: {reason}");
}
