//! The console's routes: what is served, to whom, and what goes on to the gateway.

use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::response::IntoResponse as _;
use axum::routing::post;
use futures_util::StreamExt as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;

const TOKEN: &str = "fedcba9876543210";

fn configured(more: &str) -> Test {
    Test::configured(Store::Memory(MemoryStore::default()), more, |loaded| loaded)
}

async fn request(
    test: &Test,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> axum::response::Response {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    test.public.clone().oneshot(request.body(Body::from("{}")).unwrap()).await.unwrap()
}

async fn text(response: axum::response::Response) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

fn header<'a>(response: &'a axum::response::Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn there_is_nothing_until_it_is_switched_on() {
    let test = configured("");
    for (method, path) in [
        ("GET", "/console"),
        ("GET", "/console/"),
        ("GET", "/console/app.js"),
        ("GET", "/console/client/index.js"),
        ("GET", "/console/api/settings"),
        ("POST", "/console/gateway/api/v1/stream"),
    ] {
        let (status, body) = ask(&test.public, method, path, Body::empty()).await;
        let expected = json!({"code": "NOT_FOUND", "message": format!("There is nothing at {path}")});
        assert_eq!((status, body), (StatusCode::NOT_FOUND, expected), "{path}");
    }
}

#[tokio::test]
async fn the_page_is_bound_to_what_comes_from_here() {
    let test = configured("console: {enabled: true}\n");
    let redirect = request(&test, "GET", "/console", &[]).await;
    assert_eq!(
        (redirect.status(), header(&redirect, "location")),
        (StatusCode::PERMANENT_REDIRECT, "console/")
    );

    let mut to_read = vec!["".to_owned()];
    let mut read = std::collections::BTreeSet::new();
    while let Some(name) = to_read.pop() {
        if !read.insert(name.clone()) {
            continue;
        }
        let response = request(&test, "GET", &format!("/console/{name}"), &[]).await;
        assert_eq!(response.status(), StatusCode::OK, "{name}");
        let policy = header(&response, "content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; "), "{policy}");
        assert!(!policy.contains("unsafe-inline") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(header(&response, "x-content-type-options"), "nosniff");
        assert_eq!(header(&response, "referrer-policy"), "no-referrer");
        assert_eq!(header(&response, "cache-control"), "no-cache");
        let expected = match name.rsplit_once('.').map_or("html", |(_, ending)| ending) {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            _ => "text/html; charset=utf-8",
        };
        assert_eq!(header(&response, "content-type"), expected, "{name}");

        let etag = header(&response, "etag").to_owned();
        for (known, status) in [(etag.as_str(), StatusCode::NOT_MODIFIED), ("\"other\"", StatusCode::OK)] {
            let again = request(&test, "GET", &format!("/console/{name}"), &[("if-none-match", known)]).await;
            assert_eq!((again.status(), header(&again, "etag")), (status, etag.as_str()), "{name} {known}");
        }

        let text = text(response).await;
        let outside = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!outside.contains("http://") && !outside.contains("https://"), "{name} names another origin");
        if name.is_empty() {
            assert!(!text.contains("style=") && !text.contains("<style"), "no style stands in the page");
            assert_eq!(text.matches("<script").count(), text.matches("<script type=\"module\" src=").count());
        }
        // Whatever is named is there: by elements, and by imports of scripts.
        for mark in ["src=\"", "href=\"", "from \"./"] {
            let names = text.split(mark).skip(1).filter_map(|rest| rest.split('"').next());
            to_read.extend(names.filter(|name| !name.starts_with('#')).map(str::to_owned));
        }
    }
    assert!(
        read.contains("app.js") && read.contains("style.css") && read.contains("sessions.js"),
        "{read:?}"
    );
    assert_eq!(request(&test, "GET", "/console/other.js", &[]).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(request(&test, "POST", "/console/app.js", &[]).await.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn what_it_shows_asks_for_a_token_and_the_page_for_none() {
    let test = configured(&format!("console: {{enabled: true}}\ncontrolPlane: {{apiTokens: [{TOKEN}]}}\n"));
    assert_eq!(request(&test, "GET", "/console/", &[]).await.status(), StatusCode::OK);
    for (method, path) in [("GET", "/console/api/settings"), ("POST", "/console/gateway/api/v1/stream")] {
        let refused = request(&test, method, path, &[]).await;
        assert_eq!(
            (refused.status(), header(&refused, "cache-control")),
            (StatusCode::UNAUTHORIZED, "no-store")
        );
        let wrong = request(&test, method, path, &[("authorization", "Bearer 0123456789abcdef")]).await;
        assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    let bearer = format!("Bearer {TOKEN}");
    let settings = request(&test, "GET", "/console/api/settings", &[("authorization", &bearer)]).await;
    assert_eq!(header(&settings, "cache-control"), "no-store");
    let settings: Value = serde_json::from_str(&text(settings).await).unwrap();
    assert_eq!(settings["gateway"], "http://127.0.0.1:3042");
    assert_eq!((&settings["hasClient"], &settings["takesCredential"]), (&json!(false), &json!(false)));
    let limits = json!({"rate": {"max": 200, "windowMs": 30_000}, "tokens": null});
    assert_eq!(settings["models"], json!([{"id": "openai:m", "limits": limits}]));
    assert_eq!(
        (&settings["routes"][0]["name"], &settings["routes"][0]["strategy"]),
        (&json!("default"), &json!("ordered"))
    );
    assert!(!settings.to_string().contains("sk-secret"), "{settings}");
}

#[tokio::test]
async fn without_tokens_only_this_machine_by_its_own_names_is_let_in() {
    let test = configured("console: {enabled: true}\nserver: {port: 0}\n");
    for (host, expected) in [
        ("127.0.0.1:18000", StatusCode::OK),
        ("localhost", StatusCode::OK),
        ("[::1]:18000", StatusCode::OK),
        // A name of somebody else that leads here.
        ("rebound.example:18000", StatusCode::UNAUTHORIZED),
        ("10.0.0.1", StatusCode::UNAUTHORIZED),
    ] {
        for path in ["/status", "/console/api/settings"] {
            assert_eq!(
                request(&test, "GET", path, &[("host", host)]).await.status(),
                expected,
                "{host} {path}"
            );
        }
    }
    let (refused, nowhere) = (StatusCode::FORBIDDEN, StatusCode::BAD_GATEWAY);
    for (header, expected) in [
        (("sec-fetch-site", "cross-site"), refused),
        (("sec-fetch-site", "same-site"), refused),
        (("sec-fetch-site", "same-origin"), nowhere),
        (("origin", "https://elsewhere.example"), refused),
        (("origin", "null"), refused),
        (("origin", "http://localhost:18000"), nowhere),
    ] {
        let headers = [("host", "localhost:18000"), header];
        let response = request(&test, "POST", "/console/gateway/api/v1/stream", &headers).await;
        assert_eq!(response.status(), expected, "{header:?}");
    }
}

/// A gateway that tells what it was sent, and streams what it is told.
async fn gateway()
-> (String, mpsc::UnboundedReceiver<(HeaderMap, Bytes)>, mpsc::UnboundedSender<&'static str>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (seen, requests) = mpsc::unbounded_channel();
    let (pieces, mut told) = mpsc::unbounded_channel::<&'static str>();
    let stream = futures_util::stream::poll_fn(move |cx| told.poll_recv(cx)).map(Ok::<_, std::io::Error>);
    let body = std::sync::Mutex::new(Some(Body::from_stream(stream)));
    let answer = async move |headers: HeaderMap, sent: Bytes| {
        seen.send((headers, sent)).unwrap();
        let headers = [
            ("content-type", "text/event-stream"),
            ("x-session-id", "s"),
            ("x-ai-warp-model", "openai:m"),
            ("set-cookie", "a=b"),
            ("access-control-allow-origin", "*"),
        ];
        (headers, body.lock().unwrap().take().unwrap()).into_response()
    };
    let answer = std::sync::Arc::new(answer);
    let router = Router::new().route(
        "/api/v1/stream",
        post(move |headers: HeaderMap, sent: Bytes| async move { answer(headers, sent).await }),
    );
    tokio::spawn(axum::serve(listener, router).into_future());
    (format!("http://{address}"), requests, pieces)
}

#[tokio::test]
async fn prompts_go_on_with_the_gateway_s_credential_alone_and_come_back_as_they_come() {
    let (url, mut requests, pieces) = gateway().await;
    let test = configured(&format!(
        "console: {{enabled: true, gateway: \"{url}\"}}\ncontrolPlane: {{apiTokens: [{TOKEN}]}}\n"
    ));
    let headers = [
        ("authorization", &*format!("Bearer {TOKEN}")),
        ("x-gateway-authorization", "Bearer of-the-gateway"),
        ("content-type", "application/json"),
        ("last-event-id", "e"),
        ("sec-fetch-site", "same-origin"),
        ("cookie", "c=d"),
        ("x-ai-warp-owner", "somebody"),
    ];
    let response = request(&test, "POST", "/console/gateway/api/v1/stream", &headers).await;
    assert_eq!(response.status(), StatusCode::OK);
    let (sent, body) = requests.recv().await.unwrap();
    assert_eq!(body, "{}");
    let named = |name: &str| sent.get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(named("authorization").as_deref(), Some("Bearer of-the-gateway"));
    assert_eq!(named("last-event-id").as_deref(), Some("e"));
    for name in ["cookie", "x-ai-warp-owner", "x-gateway-authorization", "sec-fetch-site"] {
        assert_eq!(named(name), None, "{name}");
    }
    assert!(sent.values().all(|value| !value.to_str().unwrap().contains(TOKEN)), "{sent:?}");

    assert_eq!(header(&response, "x-ai-warp-model"), "openai:m");
    assert_eq!(header(&response, "x-session-id"), "s");
    assert_eq!(header(&response, "cache-control"), "no-store");
    assert_eq!((header(&response, "set-cookie"), header(&response, "access-control-allow-origin")), ("", ""));

    let mut body = response.into_body().into_data_stream();
    for piece in ["one", "two"] {
        // The next piece is said when this one has arrived: nothing is held.
        pieces.send(piece).unwrap();
        assert_eq!(body.next().await.unwrap().unwrap(), piece);
    }
    drop(pieces);
    assert!(body.next().await.is_none());
}

#[tokio::test]
async fn only_prompts_go_on_and_a_gateway_that_is_away_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    drop(taken);
    let test = configured(&format!("console: {{enabled: true, gateway: \"http://{address}\"}}\n"));
    for path in ["api/v1/sessions/x", "v1/chat/completions", "", "api/v1/stream/", "../status"] {
        let (status, _) = ask(&test.public, "POST", &format!("/console/gateway/{path}"), Body::empty()).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
    }
    let (status, body) = ask(&test.public, "POST", "/console/gateway/api/v1/prompt", Body::empty()).await;
    assert_eq!((status, &body["code"]), (StatusCode::BAD_GATEWAY, &json!("GATEWAY_UNREACHABLE")));
    assert!(body["message"].as_str().unwrap().contains(&address.to_string()), "{body}");
    let nowhere = configured("console: {enabled: true}\nserver: {port: 0}\n");
    let (status, body) = ask(&nowhere.public, "POST", "/console/gateway/api/v1/prompt", Body::empty()).await;
    assert_eq!((status, &body["code"]), (StatusCode::BAD_GATEWAY, &json!("GATEWAY_UNKNOWN")));
}

#[test]
fn a_client_package_is_a_folder_with_an_entry() {
    let folder = tempfile::tempdir().unwrap();
    let error = ClientFiles::read(folder.path()).unwrap_err().to_string();
    assert!(error.contains("cargo xtask client"), "{error}");
    for name in ["index.js", "index_bg.wasm", "index.d.ts", "package.json"] {
        std::fs::write(folder.path().join(name), "x").unwrap();
    }
    assert!(ClientFiles::read(folder.path()).unwrap().is_there());
    assert!(ClientFiles::read(&folder.path().join("none")).is_err());
}

#[tokio::test]
async fn of_the_client_package_the_page_gets_what_it_loads() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("index.js", "code"), ("index_bg.wasm", "wasm"), ("package.json", "{}")] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let client = ClientFiles::read(folder.path()).unwrap();
    let test = Test::with_client(client, "console: {enabled: true}\n");
    for (name, kind, expected) in [
        ("index.js", "text/javascript; charset=utf-8", "code"),
        ("index_bg.wasm", "application/wasm", "wasm"),
    ] {
        let response = request(&test, "GET", &format!("/console/client/{name}"), &[]).await;
        assert_eq!((response.status(), header(&response, "content-type")), (StatusCode::OK, kind));
        assert_eq!(text(response).await, expected);
    }
    for name in ["package.json", "none.js", "../index.js", "%2e%2e/index.js"] {
        let response = request(&test, "GET", &format!("/console/client/{name}"), &[]).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{name}");
    }
    let (_, settings) = get_from(&test.public, "/console/api/settings").await;
    assert_eq!(settings["hasClient"], true);
}
