//! Reading a configuration file: text, shape, meaning, secrets, in that order, and everything wrong told at once.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ai_warp_core::config::{
    Access, Config, Endpoint, EndpointSecret, Gateway, Problem, Secret, SecretError, SecretRole, StorageType,
    compile,
};
use sha2::{Digest, Sha256};

use super::tree::Tree;
use super::{AwsKeys, ConfigError, ConfigProblem, SecretString, Secrets, ServiceAccount, dotenv, shape};

/// Where environment variables come from: the process, or a test.
pub type Env = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Name of the file beside the configuration that stands in for variables the environment does not have.
const DOTENV: &str = ".env";

/// Characters of a configuration's version.
const VERSION_DIGITS: usize = 12;

/// A configuration that can be served.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// As written.
    pub config: Config,
    /// As meant.
    pub gateway: Gateway,
    /// The secrets it refers to.
    pub secrets: Secrets,
    /// Hash of the file and of the secrets: two loads differ exactly when this does.
    pub version: String,
    /// What is allowed and probably not wanted.
    pub warnings: Vec<String>,
    /// The files that were read, or looked for: what to watch.
    pub sources: Vec<PathBuf>,
}

impl Loaded {
    /// The key of the endpoint of this name, where it has one.
    pub fn endpoint_key(&self, endpoint: &str) -> Option<&SecretString> {
        self.secrets.endpoint_keys.get(endpoint)
    }

    /// Whether the endpoint has what it asks for, as far as that is known here.
    pub fn has_credential(&self, endpoint: &Endpoint) -> bool {
        let name = &endpoint.name;
        match &endpoint.access {
            Access::Key => self.endpoint_key(name).is_some(),
            Access::AwsKeys { .. } => self.secrets.aws_keys.contains_key(name),
            Access::GoogleServiceAccount => self.secrets.service_accounts.contains_key(name),
            Access::AwsAmbient { .. } | Access::GoogleMetadata => true,
        }
    }

    /// Keeps from `boot` what a running control plane cannot change, and names the keys for which that matters.
    pub(super) fn pin(&mut self, boot: &Loaded) -> Vec<&'static str> {
        let mut kept = Vec::new();
        let (new, old) = (&mut self.config, &boot.config);
        let listeners = |config: &Config| {
            let at = &config.control_plane;
            (at.hostname.clone(), at.port, at.xds_port)
        };
        if listeners(new) != listeners(old) {
            let at = &mut new.control_plane;
            (at.hostname, at.port, at.xds_port) = listeners(old);
            kept.push("controlPlane");
        }
        if new.storage.kind != old.storage.kind {
            new.storage.kind = old.storage.kind;
            // Only this part of the gateway depends on the store.
            self.gateway.storage = match old.storage.kind {
                StorageType::None => None,
                _ => self.gateway.storage.take().or_else(|| boot.gateway.storage.clone()),
            };
            kept.push("storage.type");
        }
        let valkey = |config: &Config, secrets: &Secrets| {
            let at = config.storage.valkey.clone();
            let password = secrets.valkey_password.clone();
            (at.host, at.port, at.username, at.database, at.tls, at.cluster, password)
        };
        if old.storage.kind == StorageType::Valkey && valkey(new, &self.secrets) != valkey(old, &boot.secrets)
        {
            new.storage.valkey = old.storage.valkey.clone();
            self.secrets.valkey_password = boot.secrets.valkey_password.clone();
            kept.push("storage.valkey");
        }
        kept
    }
}

/// The environment of this process.
pub fn process_env() -> Env {
    Arc::new(|name| std::env::var(name).ok())
}

/// Loads the configuration at `path` without its secrets, which need not be there.
///
/// # Errors
/// [`ConfigError`] with everything that is wrong.
pub fn load_without_secrets(path: &Path) -> Result<Loaded, ConfigError> {
    load_with(path, None)
}

/// Loads the configuration at `path`. Variables that `env` lacks are looked for in the `.env` file beside it.
///
/// # Errors
/// [`ConfigError`] with everything that is wrong. A provider without a key is no error but a warning: it runs without
/// credential.
pub fn load(path: &Path, env: &Env) -> Result<Loaded, ConfigError> {
    load_with(path, Some(env))
}

fn load_with(path: &Path, env: Option<&Env>) -> Result<Loaded, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { file: path.to_owned(), source })?;
    let invalid = |sources, problems| ConfigError::Invalid { file: path.to_owned(), sources, problems };
    let tree = Tree::parse(&text).map_err(|problem| invalid(Vec::new(), vec![problem]))?;

    let (config, mut problems) = shape::read(&tree);
    let gateway = config.as_ref().and_then(|config| match compile(config) {
        Ok(gateway) => Some(gateway),
        Err(found) => {
            problems.extend(found.into_iter().map(|problem| located(problem, &tree)));
            None
        }
    });
    let mut read = Read::default();
    if let Some(env) = env {
        let mut reader = SecretReader::new(folder_of(path), env, path);
        read.secrets = config.as_ref().map(|config| reader.read_all(config)).unwrap_or_default();
        problems.extend(reader.problems.into_iter().map(|problem| located(problem, &tree)));
        (read.warnings, read.sources) = (reader.warnings, reader.sources);
    }
    let Read { secrets, warnings, sources } = read;

    match (config, gateway) {
        (Some(config), Some(gateway)) if problems.is_empty() => {
            Ok(Loaded { version: version(&text, &secrets), config, gateway, secrets, warnings, sources })
        }
        _ => Err(invalid(sources, problems)),
    }
}

/// The folder `path` is in, which relative paths in the file start from.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn located(problem: Problem, tree: &Tree) -> ConfigProblem {
    ConfigProblem { line: tree.line(&problem.path), path: problem.path, text: problem.text }
}

fn version(text: &str, secrets: &Secrets) -> String {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        // Each part is hashed by itself first, so that no secret is an input of the outer hash.
        hash.update(Sha256::digest(bytes));
    };
    part(text.as_bytes());
    for (endpoint, key) in &secrets.endpoint_keys {
        part(endpoint.as_bytes());
        part(key.expose().as_bytes());
    }
    for (endpoint, keys) in &secrets.aws_keys {
        part(endpoint.as_bytes());
        for key in [&keys.access_key_id, &keys.secret_access_key].into_iter().chain(&keys.session_token) {
            part(key.expose().as_bytes());
        }
    }
    for (endpoint, account) in &secrets.service_accounts {
        part(endpoint.as_bytes());
        part(account.id().as_bytes());
    }
    if let Some(password) = &secrets.valkey_password {
        part(password.expose().as_bytes());
    }
    secrets.listeners.for_each_part(part);
    hash.finalize().iter().take(VERSION_DIGITS / 2).map(|byte| format!("{byte:02x}")).collect()
}

/// What was read of the secrets.
#[derive(Default)]
struct Read {
    secrets: Secrets,
    warnings: Vec<String>,
    sources: Vec<PathBuf>,
}

pub(super) struct SecretReader<'a> {
    folder: &'a Path,
    env: &'a Env,
    dotenv: BTreeMap<String, String>,
    sources: Vec<PathBuf>,
    warnings: Vec<String>,
    problems: Vec<Problem>,
}

impl<'a> SecretReader<'a> {
    fn new(folder: &'a Path, env: &'a Env, config: &Path) -> Self {
        let path = folder.join(DOTENV);
        let mut warnings = Vec::new();
        let dotenv = match std::fs::read_to_string(&path) {
            Ok(text) => dotenv::parse(&text),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    warnings.push(format!("cannot read {}: {error}", path.display()));
                }
                BTreeMap::new()
            }
        };
        let sources = vec![config.to_owned(), path];
        Self { folder, env, dotenv, sources, warnings, problems: Vec::new() }
    }

    fn read_all(&mut self, config: &Config) -> Secrets {
        let mut secrets = Secrets::default();
        let mut aws: BTreeMap<String, BTreeMap<SecretRole, SecretString>> = BTreeMap::new();
        for EndpointSecret { endpoint, path, role, secret } in config.endpoint_secrets() {
            let Some(value) = self.read_endpoint(&endpoint, &path, role, &secret) else { continue };
            match role {
                SecretRole::ApiKey => _ = secrets.endpoint_keys.insert(endpoint, value),
                SecretRole::AwsAccessKeyId | SecretRole::AwsSecretAccessKey | SecretRole::AwsSessionToken => {
                    aws.entry(endpoint).or_default().insert(role, value);
                }
                SecretRole::GcpServiceAccount => match ServiceAccount::parse(&value) {
                    Ok(account) => _ = secrets.service_accounts.insert(endpoint, Arc::new(account)),
                    Err(error) => self.problems.push(Problem { path, text: error.to_string() }),
                },
            }
        }
        for (endpoint, mut found) in aws {
            let keys =
                found.remove(&SecretRole::AwsAccessKeyId).zip(found.remove(&SecretRole::AwsSecretAccessKey));
            // Half a key has been told of.
            if let Some((access_key_id, secret_access_key)) = keys {
                let session_token = found.remove(&SecretRole::AwsSessionToken);
                secrets
                    .aws_keys
                    .insert(endpoint, AwsKeys { access_key_id, secret_access_key, session_token });
            }
        }
        let valkey = config.storage.valkey.password.as_ref();
        if let Some(secret) = valkey.filter(|_| config.storage.kind == StorageType::Valkey) {
            match self.read(secret) {
                Ok(password) => secrets.valkey_password = password,
                Err(error) => self.problem("storage.valkey.password".to_owned(), error),
            }
        }
        self.read_listeners(config, &mut secrets);
        secrets
    }

    /// A secret of an endpoint. Without it the endpoint is used as it is, which the provider may refuse.
    fn read_endpoint(
        &mut self,
        endpoint: &str,
        path: &str,
        role: SecretRole,
        secret: &Secret,
    ) -> Option<SecretString> {
        let why = match self.read(secret) {
            Ok(Some(value)) => return Some(value),
            Ok(None) => "is empty".to_owned(),
            Err(missing @ SecretError::EnvMissing(_)) => missing.to_string(),
            Err(error) => {
                self.problem(path.to_owned(), error);
                return None;
            }
        };
        let what = if role == SecretRole::AwsSessionToken { "session token" } else { "key" };
        self.warnings.push(format!("{path}: {why}; {endpoint} is used without a {what}"));
        None
    }

    pub(super) fn read(&mut self, secret: &Secret) -> Result<Option<SecretString>, SecretError> {
        if let Secret::File(path) = secret {
            self.sources.push(self.folder.join(path));
        }
        // An empty variable counts as not set, so that `.env` can fill in what a container passes on empty.
        let env = |name: &str| {
            let set = (self.env)(name).filter(|value| !value.trim().is_empty());
            set.or_else(|| self.dotenv.get(name).cloned())
        };
        let value = secret.resolve(env, |path| std::fs::read_to_string(self.folder.join(path)))?;
        Ok(value.map(SecretString::new))
    }

    pub(super) fn problem(&mut self, path: String, error: impl ToString) {
        self.problems.push(Problem { path, text: error.to_string() });
    }
}

#[cfg(test)]
mod tests {
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
}
