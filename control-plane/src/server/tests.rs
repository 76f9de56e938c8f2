//! The server on real sockets.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::routing::get;
use futures_util::{StreamExt, stream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;

/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

struct Test {
    addresses: Addresses,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Ending>,
    dir: tempfile::TempDir,
}

fn folder(control_plane: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let yaml =
        format!("providers: {{openai: {{}}}}\nmodels: [\"openai:m\"]\ncontrolPlane: {control_plane}\n");
    std::fs::write(dir.path().join("ai-warp.yaml"), yaml).unwrap();
    std::fs::write(dir.path().join("filter.wasm"), b"\0asm\x01\0\0\0").unwrap();
    dir
}

async fn bind(dir: &tempfile::TempDir, xds: impl FnOnce(XdsState) -> Router) -> Result<Server, StartError> {
    let path = |name| dir.path().join(name);
    let files = Files { config: &path("ai-warp.yaml"), filter: &path("filter.wasm"), client: None };
    Server::bind_with(files, Arc::new(|_| None), xds).await
}

impl Test {
    async fn start(xds: Router) -> Self {
        let dir = folder("{port: 0, xdsPort: 0}");
        let server = bind(&dir, |_| xds).await.unwrap();
        let addresses = server.addresses();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(server.run(async { _ = stopped.await }));
        Self { addresses, stop, running, dir }
    }

    async fn end(self) -> Ending {
        self.stop.send(()).unwrap();
        timeout(PATIENCE, self.running).await.expect("in time").unwrap()
    }
}

fn http1() -> reqwest::Client {
    reqwest::Client::builder().http1_only().build().unwrap()
}

fn http2() -> reqwest::Client {
    reqwest::Client::builder().http2_prior_knowledge().build().unwrap()
}

/// A response that begins and never ends by itself.
fn endless() -> Router {
    let body = || {
        Body::from_stream(
            stream::once(async { Ok::<_, io::Error>(Bytes::from("first")) }).chain(stream::pending()),
        )
    };
    Router::new().route("/stream", get(async move || body()))
}

#[tokio::test]
async fn both_ports_speak_http_1_and_http_2() {
    let test = Test::start(Router::new()).await;
    let Addresses { http, xds } = test.addresses;
    for (client, version) in [(http1(), reqwest::Version::HTTP_11), (http2(), reqwest::Version::HTTP_2)] {
        let ready = client.get(format!("http://{http}/ready")).send().await.unwrap();
        assert_eq!((ready.status().as_u16(), ready.version()), (200, version));
        let turns =
            client.post(format!("http://{xds}/sync/v1/turns")).body("{\"turns\":[]}").send().await.unwrap();
        assert_eq!((turns.status().as_u16(), turns.version()), (200, version));
        assert_eq!(turns.text().await.unwrap(), "{\"results\":[]}");
        // What belongs to one port is not on the other.
        assert_eq!(client.get(format!("http://{xds}/status")).send().await.unwrap().status(), 404);
    }
    assert_eq!(test.end().await, Ending::Graceful);
}

#[tokio::test]
async fn an_open_xds_stream_does_not_hold_up_the_end() {
    let test = Test::start(endless()).await;
    let url = format!("http://{}/stream", test.addresses.xds);
    let mut response = http2().get(url).send().await.unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "first");
    let (ending, rest) = tokio::join!(test.end(), response.chunk());
    assert_eq!(ending, Ending::Graceful);
    assert_eq!(rest.unwrap(), None);
}

#[tokio::test]
async fn who_waits_for_news_does_not_hold_up_the_end() {
    let test = Test::start(Router::new()).await;
    let news = format!("http://{}/sync/v1/news/", test.addresses.xds);
    let client = http2();
    let first = || client.get(format!("{news}-")).send();
    let known: serde_json::Value = first().await.unwrap().json().await.unwrap();
    let waiting = client.get(format!("{news}{}", known["version"].as_str().unwrap())).send();
    let (waited, ending) = tokio::join!(waiting, async {
        // It goes first on the connection they share, so it has arrived when these are answered.
        for _ in 0..3 {
            assert_eq!(first().await.unwrap().status(), 200);
        }
        test.end().await
    });
    assert_eq!(ending, Ending::Graceful);
    assert_eq!(waited.unwrap().status(), 200);
}

#[tokio::test]
async fn an_ended_stream_says_unavailable() {
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    let (stopping, stop) = watch::channel(false);
    let request = http::Request::get("/stream").body(Body::empty()).unwrap();
    let mut body = drain::end_streams(endless(), stop).oneshot(request).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "first");
    stopping.send_replace(true);
    let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(trailers["grpc-status"], "14");
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_hangs_is_cut_at_the_deadline() {
    let entered = Arc::new(tokio::sync::Notify::new());
    let enter = Arc::clone(&entered);
    let hang = move || {
        enter.notify_one();
        std::future::pending::<()>()
    };
    let hang = Router::new().route("/hang", get(hang));
    let test = Test::start(hang).await;
    let url = format!("http://{}/hang", test.addresses.xds);
    let request = tokio::spawn(http1().get(url).send());
    entered.notified().await;
    let begin = tokio::time::Instant::now();
    assert_eq!(test.end().await, Ending::Forced);
    assert!(begin.elapsed() >= DRAIN_DEADLINE);
    request.abort();
}

#[tokio::test]
async fn a_changed_file_reaches_the_status() {
    let test = Test::start(Router::new()).await;
    let url = format!("http://{}/status", test.addresses.http);
    std::fs::write(test.dir.path().join("ai-warp.yaml"), "providers: {}\n").unwrap();
    let refused = async {
        loop {
            let status: serde_json::Value = http1().get(&url).send().await.unwrap().json().await.unwrap();
            match status["config"]["error"]["message"].as_str() {
                Some(message) => return message.to_owned(),
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let message = timeout(PATIENCE, refused).await.expect("in time");
    assert!(message.contains("models: is missing"), "{message}");
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    for (control_plane, key) in [
        (format!("{{port: {port}, xdsPort: 0}}"), "controlPlane.port"),
        (format!("{{port: 0, xdsPort: {port}}}"), "controlPlane.xdsPort"),
    ] {
        let error = bind(&folder(&control_plane), |_| Router::new()).await.unwrap_err().to_string();
        assert!(error.contains(&format!("127.0.0.1:{port} ({key})")), "{error}");
    }
}
