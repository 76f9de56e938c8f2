//! Providers over TLS: the right one is asked, a wrong one is not trusted.

use std::path::{Path, PathBuf};

use ai_warp_simulator::{Options, Simulator, Tls};
use ai_warp_tests::Stack;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A certificate authority and a server certificate of it for `name`.
fn certificates(folder: &Path, name: &str) -> (PathBuf, Tls) {
    let file = |suffix: &str| folder.join(format!("{name}-{suffix}.pem"));
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.distinguished_name.push(DnType::CommonName, format!("authority of {name}"));
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = file("ca");
    std::fs::write(&ca, authority.self_signed(&authority_key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let tls = Tls { certificate: file("certificate"), key: file("key") };
    std::fs::write(&tls.certificate, certificate.pem()).unwrap();
    std::fs::write(&tls.key, key.serialize_pem()).unwrap();
    (ca, tls)
}

async fn simulator_of(tls: Tls) -> Simulator {
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
    let (ca, tls) = certificates(folder.path(), "localhost");
    let (other_ca, other_tls) = certificates(folder.path(), "elsewhere.test");
    let (good, other) = (simulator_of(tls).await, simulator_of(other_tls).await);
    let providers = [
        ("right", provider(&good, "localhost", &ca)),
        ("untrusted", provider(&good, "localhost", &other_ca)),
        ("misnamed", provider(&other, "localhost", &other_ca)),
        ("unnamed", provider(&good, "127.0.0.1", &ca)),
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
