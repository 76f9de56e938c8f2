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
use super::{
    AwsKeys, ConfigError, ConfigProblem, SecretString, Secrets, ServiceAccount, TokenKeys, dotenv, shape,
};

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
    if let Some(keys) = &secrets.token_keys {
        part(keys.json().as_bytes());
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
        secrets.token_keys = self.read_token_keys(config);
        secrets
    }

    /// The keys that tokens are checked with. Without them nobody could be let in, so it is an error not to have them.
    fn read_token_keys(&mut self, config: &Config) -> Option<TokenKeys> {
        let jwt = config.auth.as_ref()?.jwt.as_ref()?;
        let shared = jwt.secret.as_ref().map(|secret| ("auth.jwt.secret", secret));
        let public = jwt.public_key.as_ref().map(|key| ("auth.jwt.publicKey", key));
        let (path, secret) = shared.or(public)?;
        let value = match self.read(secret) {
            Ok(Some(value)) => value,
            Ok(None) => {
                self.problems.push(Problem { path: path.to_owned(), text: "is empty".to_owned() });
                return None;
            }
            Err(error) => {
                self.problem(path.to_owned(), error);
                return None;
            }
        };
        if shared.is_some() {
            let keys = TokenKeys::shared(&value);
            self.warnings.extend(keys.weakness().map(|text| format!("{path}: {text}")));
            return Some(keys);
        }
        match TokenKeys::public(&value) {
            Ok(keys) => Some(keys),
            Err(error) => {
                self.problems.push(Problem { path: path.to_owned(), text: error.to_string() });
                None
            }
        }
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
mod tests;
