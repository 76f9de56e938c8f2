//! What is rendered reads well, fits together, and holds no secret. That Envoy takes it is for the end-to-end tests.

use std::collections::BTreeSet;

use k8s_openapi::api::{apps, core, networking, policy};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::*;
use crate::config::{Env, load, load_without_secrets};
use crate::yaml;

/// An endpoint of each kind that asks for something.
const CONFIG: &str = r#"# Written by hand.
providers:
  openai:
    apiKey: "${OPENAI_API_KEY}"
  local: {dialect: vllm, baseUrl: "http://127.0.0.1:8000/v1"}
models: ["openai:gpt-5", "local:llama"]
storage: {type: memory}
"#;

fn options(target: Target) -> RenderOptions {
    RenderOptions {
        target,
        listen: None,
        admin: "127.0.0.1:9901".parse().unwrap(),
        filter: "/etc/ai-warp/filter.wasm".into(),
        secrets_dir: "/etc/ai-warp/secrets".into(),
        link: None,
        name: "ai".to_owned(),
        namespace: "edge".to_owned(),
        context: Context::Gateway,
        workload: vec![("istio".to_owned(), "ingressgateway".to_owned())],
        virtual_host: Some("ai.example.com:80".to_owned()),
        gateway: Some("eg/http".to_owned()),
        image: "ai-warp/control-plane:1".to_owned(),
        envoy_image: ENVOY_IMAGE.to_owned(),
        replicas: 2,
    }
}

struct File {
    folder: tempfile::TempDir,
    text: String,
}

impl File {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ai-warp.yaml"), text).unwrap();
        Self { folder, text: text.to_owned() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("ai-warp.yaml")
    }

    fn render(&self, options: &RenderOptions) -> Result<Rendered, RenderError> {
        render(&load_without_secrets(&self.path()).unwrap(), &self.text, options)
    }
}

fn rendered(target: Target) -> Rendered {
    File::new(CONFIG).render(&options(target)).unwrap()
}

fn stream(rendered: &Rendered) -> String {
    let documents = rendered.documents.iter();
    yaml::stream(documents.map(|document| (document.comment.as_str(), &document.value)))
}

/// Says of resources of Envoy only what they are called: what is in them stands in the whole configuration.
fn shortened(mut rendered: Rendered) -> String {
    fn shorten(value: &mut Value) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    let named = value.get("name").or_else(|| value.get("match")).cloned();
                    match named {
                        Some(named) if key == "value" => *value = json!({"...": named}),
                        _ => shorten(value),
                    }
                }
            }
            Value::Array(list) => list.iter_mut().for_each(shorten),
            _ => {}
        }
    }
    rendered.documents.iter_mut().for_each(|document| shorten(&mut document.value));
    stream(&rendered)
}

#[test]
fn a_whole_configuration_of_an_envoy() {
    insta::assert_snapshot!(stream(&rendered(Target::Envoy)));
}

#[test]
fn an_envoy_with_a_control_plane() {
    let token = Some(bootstrap::TokenSource::File("/etc/ai-warp/xds-token".into()));
    let link = Link { control_planes: vec!["cp.internal:18001".parse().unwrap()], token, tls: None };
    let options = RenderOptions { link: Some(link), ..options(Target::Envoy) };
    let rendered = File::new(CONFIG).render(&options).unwrap();
    assert!(rendered.warnings.is_empty(), "{:?}", rendered.warnings);
    let value = &rendered.documents[0].value;
    let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
    let filter = value.pointer(&format!("{manager}/http_filters/0")).unwrap();
    let source = filter.pointer("/config_discovery/config_source").unwrap();
    insta::assert_snapshot!(yaml::text(source));
    assert!(filter.pointer("/config_discovery/default_config").is_some(), "for the time without it");
    assert!(value.pointer("/static_resources/secrets/0").is_some(), "what it shows to the control plane");
    let clusters = value.pointer("/static_resources/clusters").and_then(Value::as_array).unwrap();
    let names: Vec<&str> = clusters.iter().map(|cluster| cluster["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "ai-warp-control-plane",
            "ai-warp-sync",
            "ai-warp/none",
            "ai-warp/waiting",
            "provider/local",
            "provider/local/hop",
            "provider/local/stream",
            "provider/openai",
            "provider/openai/hop",
            "provider/openai/stream",
        ],
        "names that the control plane knows whatever it is configured with"
    );
}

#[test]
fn parts_for_an_envoy() {
    insta::assert_snapshot!(stream(&rendered(Target::EnvoyFragment)));
}

#[test]
fn filters_for_istio() {
    insta::assert_snapshot!(shortened(rendered(Target::Istio)));
}

#[test]
fn a_patch_for_envoy_gateway() {
    insta::assert_snapshot!(shortened(rendered(Target::EnvoyGateway)));
}

#[test]
fn all_for_kubernetes() {
    insta::assert_snapshot!(stream(&rendered(Target::Kubernetes)));
}

#[test]
fn meshes_must_be_told_what_to_configure() {
    let file = File::new(CONFIG);
    for (target, lacks, flag) in [
        (Target::Istio, RenderOptions { virtual_host: None, ..options(Target::Istio) }, "--virtual-host"),
        (
            Target::Istio,
            RenderOptions { workload: Vec::new(), ..options(Target::Istio) },
            "--workload-selector",
        ),
        (Target::EnvoyGateway, RenderOptions { gateway: None, ..options(Target::EnvoyGateway) }, "--gateway"),
    ] {
        let error = file.render(&lacks).unwrap_err();
        assert!(error.to_string().starts_with(flag), "{target:?}: {error}");
    }
}

#[test]
fn what_cannot_be_without_a_control_plane_is_told() {
    let vertex = "providers:\n  vertex: {gcp: {project: p}}\nmodels: [\"vertex:m\"]\n";
    let rendered = File::new(vertex).render(&options(Target::Envoy)).unwrap();
    let [sessions, token] = rendered.warnings.as_slice() else { panic!("{:?}", rendered.warnings) };
    assert!(sessions.contains("no sessions") && token.contains("access token"), "{sessions} {token}");
    assert_eq!(rendered.secret_files[0].holds, Holds::Token);
}

#[test]
fn secrets_are_in_their_files_and_nowhere_else() {
    use std::os::unix::fs::PermissionsExt as _;

    let file = File::new(
        "providers:\n  openai:\n    endpoints:\n      - {name: us, apiKey: \"${A}\"}\n      - {name: eu, apiKey: \"${B}\"}\n  \
         anthropic: {apiKey: literal-secret}\n  \
         bedrock: {aws: {region: r, accessKeyId: \"${A}\", secretAccessKey: \"${A}\"}}\n\
         models: [\"openai:m\", \"anthropic:m\", \"bedrock:m\"]\n",
    );
    let env: Env = std::sync::Arc::new(|name| (name == "A").then(|| "the-secret".to_owned()));
    let loaded = load(&file.path(), &env).unwrap();
    let folder = file.folder.path().join("secrets");
    for target in [Target::Envoy, Target::EnvoyFragment, Target::Istio, Target::EnvoyGateway] {
        let text = stream(&render(&loaded, &file.text, &options(target)).unwrap());
        assert!(!text.contains("the-secret") && !text.contains("literal-secret"), "{target:?}");
    }
    let unknown = write_secrets(&loaded, &options(Target::Envoy), &folder).unwrap();
    assert_eq!(unknown.iter().map(SecretFile::name).collect::<Vec<_>>(), ["openai--eu.yaml"]);
    let mut written = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        written.push((path.file_name().unwrap().to_owned(), std::fs::read_to_string(&path).unwrap()));
    }
    written.sort();
    let [(first, anthropic), (second, bedrock), (third, openai)] = written.as_slice() else {
        panic!("{written:?}")
    };
    assert_eq!([first, second, third], ["anthropic.yaml", "bedrock.ini", "openai--us.yaml"]);
    assert!(anthropic.contains("inline_string: \"literal-secret\""), "{anthropic}");
    assert!(bedrock.contains("aws_secret_access_key = the-secret"), "{bedrock}");
    assert!(openai.contains("name: \"ai-warp/openai/us\""), "{openai}");
}

#[test]
fn two_endpoints_have_two_files() {
    let file = File::new(
        "providers:\n  a--b: {dialect: openai, apiKey: \"${A}\"}\n  a:\n    dialect: openai\n    endpoints: [{name: b, apiKey: \"${A}\"}, {name: c}]\n\
         models: [\"a:m\", \"a--b:m\"]\n",
    );
    let error = file.render(&options(Target::Envoy)).unwrap_err();
    assert!(matches!(error, RenderError::SameFile { .. }), "{error}");
}

#[test]
fn a_pod_has_secrets_from_its_environment_and_ports_that_others_know() {
    for (text, complaint) in [
        (CONFIG.replace("${OPENAI_API_KEY}", "sk-1"), "providers.openai.apiKey"),
        (format!("{CONFIG}server: {{port: 0}}\n"), "server.port"),
        (format!("{CONFIG}auth: {{jwt: {{secret: sk-1}}}}\n"), "auth.jwt.secret"),
    ] {
        let error = File::new(&text).render(&options(Target::Kubernetes)).unwrap_err().to_string();
        assert!(error.contains(complaint) && !error.contains("sk-1"), "{error}");
    }
}

#[test]
fn kubernetes_knows_every_field() {
    for document in &rendered(Target::Kubernetes).documents {
        let Document { name, value, .. } = document;
        match value["kind"].as_str().unwrap() {
            "ConfigMap" => known::<core::v1::ConfigMap>(name, value),
            "Service" => known::<core::v1::Service>(name, value),
            "Deployment" => known::<apps::v1::Deployment>(name, value),
            "PodDisruptionBudget" => known::<policy::v1::PodDisruptionBudget>(name, value),
            "NetworkPolicy" => known::<networking::v1::NetworkPolicy>(name, value),
            other => panic!("{other}"),
        }
    }
    let proxy = rendered(Target::EnvoyGateway).documents[0].value.clone();
    let deployment = &proxy["spec"]["provider"]["kubernetes"]["envoyDeployment"];
    known::<core::v1::PodSpec>(
        "envoyDeployment.pod",
        &json!({
            "containers": [{"name": "envoy", "volumeMounts": deployment["container"]["volumeMounts"]}],
            "initContainers": deployment["initContainers"],
            "volumes": deployment["pod"]["volumes"],
        }),
    );
}

/// `value` is a `T`, and nothing in it is anything else.
#[track_caller]
fn known<T: DeserializeOwned>(name: &str, value: &Value) {
    let mut ignored = Vec::new();
    let read: Result<T, _> = serde_ignored::deserialize(value.clone(), |path| ignored.push(path.to_string()));
    assert!(read.is_ok(), "{name}: {:?}", read.err());
    assert!(ignored.is_empty(), "{name} has what Kubernetes does not know: {ignored:?}");
}

#[test]
fn what_kubernetes_documents_refer_to_is_there() {
    let rendered = rendered(Target::Kubernetes);
    let values: Vec<&Value> = rendered.documents.iter().map(|document| &document.value).collect();
    let names: BTreeSet<(&str, &str)> = values
        .iter()
        .map(|value| (value["kind"].as_str().unwrap(), value["metadata"]["name"].as_str().unwrap()))
        .collect();
    assert_eq!(names.len(), values.len(), "names are unique");
    let files: BTreeSet<&str> = rendered.documents.iter().map(|document| document.name.as_str()).collect();
    assert_eq!(files.len(), values.len(), "so are files");

    let of_kind = |kind: &'static str| values.iter().filter(move |value| value["kind"] == kind).copied();
    let pods: Vec<&Value> = of_kind("Deployment").map(|value| &value["spec"]["template"]).collect();
    let head = &rendered.documents[0].comment;
    for pod in &pods {
        for volume in pod["spec"]["volumes"].as_array().unwrap() {
            let map = volume["configMap"]["name"].as_str().unwrap();
            assert!(names.contains(&("ConfigMap", map)), "{map}");
        }
        for variable in pod["spec"]["containers"][0]["env"].as_array().unwrap() {
            let Some(secret) = variable.pointer("/valueFrom/secretKeyRef") else { continue };
            let (name, key) = (secret["name"].as_str().unwrap(), secret["key"].as_str().unwrap());
            assert!(head.contains(&format!("the Secret {name}")) && head.contains(key), "{head}");
        }
    }
    let selectors = of_kind("Service").map(|value| &value["spec"]["selector"]);
    let selectors = selectors
        .chain(of_kind("PodDisruptionBudget").map(|value| &value["spec"]["selector"]["matchLabels"]));
    let selectors =
        selectors.chain(of_kind("NetworkPolicy").map(|value| &value["spec"]["podSelector"]["matchLabels"]));
    for selector in selectors {
        let selected: Vec<_> = pods.iter().filter(|pod| pod["metadata"]["labels"] == *selector).collect();
        assert_eq!(selected.len(), 1, "{selector}");
    }
    for service in of_kind("Service") {
        let pod = pods.iter().find(|pod| pod["metadata"]["labels"] == service["spec"]["selector"]).unwrap();
        let ports = pod["spec"]["containers"][0]["ports"].as_array().unwrap();
        for port in service["spec"]["ports"].as_array().unwrap() {
            assert!(ports.iter().any(|own| own["name"] == port["targetPort"]), "{port}");
        }
    }
}

#[test]
fn nothing_calls_a_control_plane_that_is_not_there() {
    let called = json!({"a": [{"b": {"cluster": SYNC_CLUSTER}}]});
    assert_eq!(settled::call_to_control_plane(&called).as_deref(), Some("a.0.b.cluster"));
    for target in [Target::Envoy, Target::EnvoyFragment, Target::Istio, Target::EnvoyGateway] {
        for document in rendered(target).documents {
            assert_eq!(settled::call_to_control_plane(&document.value), None, "{target:?}");
        }
    }
}

#[test]
fn the_image_is_the_envoy_that_is_tested() {
    let versions = include_str!("../../../versions.toml");
    let version = versions.split("[envoy]\nversion = \"").nth(1).and_then(|rest| rest.split('"').next());
    assert_eq!(ENVOY_IMAGE, format!("envoyproxy/envoy:v{}", version.unwrap()));
}

#[test]
fn a_sidecar_keeps_its_other_listeners() {
    let sidecar = RenderOptions { context: Context::Sidecar, ..options(Target::Istio) };
    let filter = &File::new(CONFIG).render(&sidecar).unwrap().documents[0].value;
    let patches = filter["spec"]["configPatches"].as_array().unwrap();
    assert!(patches.iter().all(|patch| patch["match"]["context"] == "SIDECAR_OUTBOUND"));
    let merged = patches
        .iter()
        .find(|patch| patch["applyTo"] == "LISTENER" && patch["patch"]["operation"] == "MERGE")
        .unwrap();
    assert_eq!(merged["match"]["listener"]["portNumber"], 80);
}
