//! What is loaded from a folder of files, and what is said of wrong ones.

use super::super::key_file;
use super::*;

struct Dir(tempfile::TempDir);

impl Dir {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            dir.write(name, text);
        }
        dir
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }

    fn load(&self, env: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
        let env: BTreeMap<String, String> =
            env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        load(
            &self.0.path().join("ai-warp.yaml"),
            &(Arc::new(move |name: &str| env.get(name).cloned()) as Env),
        )
    }
}

const GOOD: &str = "providers:\n  openai: {apiKey: \"${OPENAI_API_KEY}\"}\nmodels: [\"openai:m\"]\n";

#[test]
fn the_environment_wins_over_dotenv() {
    let dir = Dir::new(&[("ai-warp.yaml", GOOD), (".env", "OPENAI_API_KEY=from-file")]);
    for (env, key) in [("from-env", "from-env"), ("", "from-file")] {
        let loaded = dir.load(&[("OPENAI_API_KEY", env)]).unwrap();
        assert_eq!(loaded.endpoint_key("openai").unwrap().expose(), key);
        assert!(loaded.warnings.is_empty());
    }
}

#[test]
fn a_missing_key_is_a_warning_and_a_missing_file_is_an_error() {
    let dir = Dir::new(&[("ai-warp.yaml", GOOD)]);
    let loaded = dir.load(&[]).unwrap();
    assert_eq!(loaded.endpoint_key("openai"), None);
    assert_eq!(
        loaded.warnings,
        [
            "providers.openai.apiKey: environment variable OPENAI_API_KEY is not set; openai is used without a key"
        ]
    );

    let file = "providers:\n  openai:\n    apiKey: {file: key}\nmodels: [\"openai:m\"]\n";
    dir.write("ai-warp.yaml", file);
    let error = dir.load(&[]).unwrap_err();
    let problem = &error.problems()[0];
    assert_eq!((problem.path.as_str(), problem.line), ("providers.openai.apiKey", Some(3)), "{error}");
    dir.write("key", "sk-file\n");
    assert_eq!(dir.load(&[]).unwrap().endpoint_key("openai").unwrap().expose(), "sk-file");
}

#[test]
fn every_endpoint_has_a_key_of_its_own() {
    let file = "providers:\n  openai:\n    endpoints:\n      - apiKey: \"${A}\"\n      - {name: eu, apiKey: \"${B}\"}\n      - apiKey: {file: key}\nmodels: [\"openai:m\"]\n";
    let dir = Dir::new(&[("ai-warp.yaml", file)]);
    let error = dir.load(&[]).unwrap_err();
    let problem = &error.problems()[0];
    assert_eq!(
        (problem.path.as_str(), problem.line),
        ("providers.openai.endpoints[2].apiKey", Some(6)),
        "{error}"
    );
    dir.write("key", "sk-3");
    let loaded = dir.load(&[("A", "sk-1")]).unwrap();
    let keys = ["openai/1", "openai/eu", "openai/3", "openai"]
        .map(|name| loaded.endpoint_key(name).map(SecretString::expose));
    assert_eq!(keys, [Some("sk-1"), None, Some("sk-3"), None]);
    assert_eq!(
        loaded.warnings,
        [
            "providers.openai.endpoints[1].apiKey: environment variable B is not set; openai/eu is used without a key"
        ]
    );
    assert_ne!(loaded.version, dir.load(&[("A", "sk-2")]).unwrap().version);
}

#[test]
fn access_keys_and_service_accounts_are_secrets_of_their_endpoint() {
    let file = "providers:\n  bedrock:\n    aws: {region: r, accessKeyId: \"${ID}\", secretAccessKey: \"${KEY}\", \
                sessionToken: \"${TOKEN}\"}\n  vertex:\n    gcp: {project: p, serviceAccount: {file: account.json}}\n\
                models: [\"bedrock:m\"]\n";
    let dir = Dir::new(&[("ai-warp.yaml", file), ("account.json", "{}")]);
    let error = dir.load(&[]).unwrap_err();
    let problem = &error.problems()[0];
    assert_eq!(
        (problem.path.as_str(), problem.line),
        ("providers.vertex.gcp.serviceAccount", Some(5)),
        "{error}"
    );
    dir.write("account.json", key_file("https://t").expose());

    let whole = [("ID", "id"), ("KEY", "key"), ("TOKEN", "token")];
    let loaded = dir.load(&whole).unwrap();
    let keys = &loaded.secrets.aws_keys["bedrock"];
    assert_eq!((keys.access_key_id.expose(), keys.secret_access_key.expose()), ("id", "key"));
    assert_eq!(keys.session_token.as_ref().unwrap().expose(), "token");
    assert!(loaded.secrets.service_accounts.contains_key("vertex") && loaded.warnings.is_empty());
    for (changed, value) in [("ID", "x"), ("KEY", "x"), ("TOKEN", "x")] {
        let env = whole.map(|(name, old)| (name, if name == changed { value } else { old }));
        assert_ne!(dir.load(&env).unwrap().version, loaded.version, "{changed}");
    }
    dir.write("account.json", key_file("https://u").expose());
    assert_ne!(dir.load(&whole).unwrap().version, loaded.version);
}

#[test]
fn half_an_access_key_is_none() {
    let file = "providers:\n  bedrock:\n    aws: {region: r, accessKeyId: \"${ID}\", secretAccessKey: \"${KEY}\", \
                sessionToken: \"${TOKEN}\"}\nmodels: [\"bedrock:m\"]\n";
    let dir = Dir::new(&[("ai-warp.yaml", file)]);
    let warned = |env: &[(&str, &str)]| {
        let loaded = dir.load(env).unwrap();
        let warning = |text: &String| text.strip_prefix("providers.bedrock.aws.").unwrap().to_owned();
        let endpoint = &loaded.gateway.providers[0].endpoints[0];
        (loaded.has_credential(endpoint), loaded.warnings.iter().map(warning).collect::<Vec<_>>())
    };
    let key = "secretAccessKey: environment variable KEY is not set; bedrock is used without a key";
    let token =
        "sessionToken: environment variable TOKEN is not set; bedrock is used without a session token";
    assert_eq!(warned(&[("ID", "id")]), (false, vec![key.to_owned(), token.to_owned()]));
    assert_eq!(warned(&[("ID", "id"), ("KEY", "key")]), (true, vec![token.to_owned()]));
}

#[test]
fn tells_shape_and_meaning_at_once_with_lines() {
    let dir = Dir::new(&[(
        "ai-warp.yaml",
        "providers:\n  local: {}\nmodels:\n  - nocolon\n  - provider: missing\n    model: m\nportt: 1\n",
    )]);
    let error = dir.load(&[]).unwrap_err();
    let mut found: Vec<_> =
        error.problems().iter().map(|problem| (problem.line, problem.path.as_str())).collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [
            (Some(2), "providers.local.baseUrl"),
            (Some(2), "providers.local.dialect"),
            (Some(4), "models[0]"),
            (Some(5), "models[1].provider"),
            (Some(7), "portt"),
        ],
        "{error}"
    );
}

#[test]
fn the_version_follows_the_file_and_the_secrets() {
    let dir = Dir::new(&[("ai-warp.yaml", GOOD)]);
    let with = |key: &str| dir.load(&[("OPENAI_API_KEY", key)]).unwrap().version;
    let first = with("a");
    assert_eq!(first.len(), VERSION_DIGITS);
    assert_eq!(first, with("a"));
    assert_ne!(first, with("b"));
    dir.write("ai-warp.yaml", &format!("{GOOD}# a comment\n"));
    assert_ne!(first, with("a"));
}

#[test]
fn keeps_what_needs_a_restart() {
    let dir = Dir::new(&[("ai-warp.yaml", GOOD)]);
    let boot = dir.load(&[]).unwrap();
    dir.write(
        "ai-warp.yaml",
        &format!("{GOOD}controlPlane: {{port: 1}}\nstorage: {{type: none}}\npromptPath: /p\n"),
    );
    let mut changed = dir.load(&[]).unwrap();
    assert_eq!(changed.pin(&boot), ["controlPlane", "storage.type"]);
    assert_eq!(changed.config.control_plane.port, boot.config.control_plane.port);
    assert_eq!(changed.gateway.storage, boot.gateway.storage);
    assert_eq!(changed.gateway.paths.prompt, "/p");
    assert_eq!(dir.load(&[]).unwrap().pin(&changed), ["controlPlane", "storage.type"]);
}

#[test]
fn an_absent_file_is_named() {
    let error = load(Path::new("/nonexistent/ai-warp.yaml"), &process_env()).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/ai-warp.yaml"), "{error}");
}

#[test]
fn the_key_of_tokens_is_there_or_nothing_is_served() {
    let file = |jwt: &str| format!("{GOOD}auth:\n  jwt: {jwt}\n");
    let dir = Dir::new(&[("ai-warp.yaml", &file("{secret: \"${JWT}\"}"))]);
    let problem = |env: &[(&str, &str)]| {
        let error = dir.load(env).unwrap_err();
        let problem = &error.problems()[0];
        (problem.path.clone(), problem.text.clone())
    };
    let text = "environment variable JWT is not set".to_owned();
    assert_eq!(problem(&[]), ("auth.jwt.secret".to_owned(), text));
    let long = "a secret of more than thirty-two bytes";
    let versions = [long, "another secret of more than 32 bytes"].map(|secret| {
        let loaded = dir.load(&[("OPENAI_API_KEY", "k"), ("JWT", secret)]).unwrap();
        assert!(loaded.warnings.is_empty() && loaded.secrets.token_keys.is_some());
        loaded.version
    });
    assert_ne!(versions[0], versions[1]);
    let short = dir.load(&[("OPENAI_API_KEY", "k"), ("JWT", "secret")]).unwrap().warnings;
    assert!(short[0].starts_with("auth.jwt.secret: is shorter than 32 bytes"), "{short:?}");

    dir.write("ai-warp.yaml", &file("{publicKey: {file: key.pem}}"));
    dir.write("key.pem", long);
    let (path, text) = problem(&[]);
    assert_eq!(path, "auth.jwt.publicKey");
    assert!(!text.contains("secret") && text.contains("PEM"), "{text}");
    dir.write("key.pem", include_str!("../../../testdata/p256_public_key.pem"));
    let loaded = dir.load(&[]).unwrap();
    assert!(
        loaded.secrets.token_keys.is_some() && loaded.sources.iter().any(|path| path.ends_with("key.pem"))
    );
}
