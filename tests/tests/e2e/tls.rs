//! Providers over TLS: the right one is asked, a wrong one is not trusted.

use std::path::Path;

use ai_warp_simulator::{Options, Simulator, Tls};
use ai_warp_tests::{Authority, Identity, Stack};
use serde_json::{Value, json};
use tempfile::TempDir;

async fn simulator_of(identity: Identity) -> Simulator {
    let tls = Tls { certificate: identity.certificate, key: identity.key };
    Simulator::start(Options { tls: Some(tls), ..Options::default() }).await.unwrap()
}

fn provider(simulator: &Simulator, host: &str, ca: &Path) -> Value {
    let port = simulator.address().port();
    let base_url = format!("https://{host}:{port}/openai/v1");
    json!({"dialect": "openai", "baseUrl": base_url, "apiKey": "sim-key", "caFile": ca})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_asked_over_tls_only_where_its_certificate_is_right() {
    let folder = TempDir::new().unwrap();
    let (authority, other_authority) =
        (Authority::new(folder.path(), "one"), Authority::new(folder.path(), "other"));
    let (ca, other_ca) = (authority.file(), other_authority.file());
    let good = simulator_of(authority.issue("localhost")).await;
    let other = simulator_of(other_authority.issue("elsewhere.test")).await;
    let providers = [
        ("right", provider(&good, "localhost", ca)),
        ("untrusted", provider(&good, "localhost", other_ca)),
        ("misnamed", provider(&other, "localhost", other_ca)),
        ("unnamed", provider(&good, "127.0.0.1", ca)),
    ];
    let stack = Stack::builder()
        .configure(move |config| {
            for (name, provider) in providers {
                config.provider(name, provider);
            }
        })
        .models(["right:ok", "untrusted:ok", "misnamed:ok", "unnamed:ok", "gemini:ok"])
        .start()
        .await;
    for (models, answered, attempts) in [
        (json!(["right:ok", "gemini:ok"]), "right:ok", 1),
        (json!(["untrusted:ok", "gemini:ok"]), "gemini:ok", 2),
        (json!(["misnamed:ok", "gemini:ok"]), "gemini:ok", 2),
        (json!(["unnamed:ok", "gemini:ok"]), "gemini:ok", 2),
    ] {
        let body = json!({"prompt": "hi", "models": models});
        for reply in [stack.prompt(body.clone()).await, stack.gateway().stream_as_reply(body).await] {
            assert_eq!((reply.status, reply.model()), (200, answered), "{models}: {}", reply.text());
            assert_eq!(reply.attempts(), attempts, "{models}");
        }
    }
    let seen = good.requests();
    assert_eq!(seen.len(), 2, "the others were asked nothing");
    for request in seen {
        assert_eq!(request.version, "HTTP/2.0", "agreed by ALPN");
        assert!(request.leaks.is_empty(), "{:?}", request.leaks);
    }
    assert!(other.requests().is_empty());
    for model in ["untrusted:ok", "misnamed:ok"] {
        assert_eq!(stack.ask(model).await.error(), (502, "PROVIDER_RESPONSE_ERROR".to_owned()));
    }
}
