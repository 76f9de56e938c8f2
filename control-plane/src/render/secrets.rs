//! Secrets as files, which Envoy reads and watches.
//!
//! What is rendered names the files and holds no key. A key of a provider stands in a file of SDS; access keys of AWS stand in
//! a file as the tools of AWS know it, because Envoy's signer reads that.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use ai_warp_core::config::{Access, Config, Endpoint, Gateway, JwksSource, SecretRole, TlsConfig};
use ai_warp_core::dialect::dialect;
use serde_json::{Value, json};

use super::{RenderError, RenderOptions, Target};
use crate::config::{AwsKeys, SecretString, Secrets, TlsIdentity};
use crate::xds::resources::{CERTIFICATE, CLIENT_CA, Credential, Destination, Place, secret_name};
use crate::yaml;

/// Begins the names of secrets, so that they are told apart in an Envoy that has others.
const SECRET_PREFIX: &str = "ai-warp/";

/// What the keys of tokens are called among the files: where they stand in the configuration.
const TOKEN_KEYS: &str = "auth.jwt";

/// Where the certificate of the gateway's listener stands in the configuration.
const SERVER_TLS: &str = "server.tls";

/// Rights of a file that holds a key: its owner's alone.
const PRIVATE: u32 = 0o600;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretFile {
    /// The endpoint whose it is; of what belongs to none, where that stands in the configuration.
    pub owner: String,
    /// Name of the secret inside, for a file of SDS.
    pub secret: String,
    /// The file, as Envoy sees it.
    pub path: PathBuf,
    /// What it holds.
    pub holds: Holds,
    /// What stands before the key in the header.
    pub(super) prefix: &'static str,
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// An API key.
    Key,
    /// An access token that somebody must renew, for no control plane does.
    Token,
    /// Access keys of AWS.
    AwsKeys,
    /// The keys of tokens, where no control plane serves them.
    TokenKeys,
    /// The certificate of the gateway's listener, with its key.
    Certificate,
    /// The authorities of the certificates that its clients show.
    ClientCa,
}

impl SecretFile {
    /// Name of the file.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Where Envoy reads it: a file that is replaced by another is read again.
    pub(super) fn source(&self) -> Value {
        json!({
            "path_config_source": {"path": self.path, "watched_directory": {"path": self.folder()}},
            "resource_api_version": "V3",
        })
    }

    /// Where Envoy's signer reads it.
    pub(super) fn credentials(&self) -> Value {
        let source = json!({"filename": self.path, "watched_directory": {"path": self.folder()}});
        json!({"credentials_file_provider": {"credentials_data_source": source}})
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// What the file says, with its secret out of `secrets`; `None` where that is not known.
    pub(super) fn content(&self, secrets: &Secrets) -> Option<String> {
        match self.holds {
            Holds::Key => secrets.endpoint_keys.get(&self.owner).map(|key| self.sds(key.expose())),
            Holds::Token => None,
            Holds::AwsKeys => secrets.aws_keys.get(&self.owner).map(credentials_file),
            Holds::TokenKeys => secrets.token_keys.as_ref().map(|keys| keys.json().to_owned()),
            Holds::Certificate => {
                let identity = secrets.listeners.server_tls.as_ref()?;
                Some(self.certificate(&identity.certificate, identity.private_key.expose()))
            }
            Holds::ClientCa => {
                let identity = secrets.listeners.server_tls.as_ref()?;
                Some(self.client_ca(identity.client_ca.as_ref()?))
            }
        }
    }

    /// What the file says, with a word where the secret belongs.
    pub(super) fn template(&self) -> String {
        match self.holds {
            Holds::Key => self.sds("KEY"),
            Holds::Token => self.sds("TOKEN"),
            Holds::TokenKeys => {
                json!({"keys": [{"kty": "oct", "alg": "HS256", "k": "BASE64URL"}]}).to_string()
            }
            Holds::Certificate => self.certificate("PEM", "PEM"),
            Holds::ClientCa => self.client_ca("PEM"),
            Holds::AwsKeys => {
                let word = |word: &str| SecretString::new(word);
                credentials_file(&AwsKeys {
                    access_key_id: word("ID"),
                    secret_access_key: word("KEY"),
                    session_token: None,
                })
            }
        }
    }

    fn sds(&self, key: &str) -> String {
        self.secret("generic_secret", json!({"secret": {"inline_string": key}}))
    }

    fn certificate(&self, chain: &str, key: &str) -> String {
        let inline = |text: &str| json!({"inline_string": text});
        self.secret(
            "tls_certificate",
            json!({"certificate_chain": inline(chain), "private_key": inline(key)}),
        )
    }

    fn client_ca(&self, authorities: &str) -> String {
        self.secret("validation_context", json!({"trusted_ca": {"inline_string": authorities}}))
    }

    /// A secret of this kind in the format of SDS.
    fn secret(&self, kind: &str, value: Value) -> String {
        let mut secret = json!({
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            "name": self.secret,
        });
        if let Some(fields) = secret.as_object_mut() {
            fields.insert(kind.to_owned(), value);
        }
        yaml::text(&json!({"resources": [secret]}))
    }
}

fn credentials_file(keys: &AwsKeys) -> String {
    let mut text = format!(
        "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        keys.access_key_id.expose(),
        keys.secret_access_key.expose()
    );
    if let Some(token) = &keys.session_token {
        text.push_str(&format!("aws_session_token = {}\n", token.expose()));
    }
    text
}

/// The files of a configuration, by the name of the resource they stand for.
#[derive(Debug, Clone, Default)]
pub(super) struct SecretFiles(BTreeMap<String, SecretFile>);

impl SecretFiles {
    /// The file in place of the resource `name`.
    pub(super) fn of(&self, name: &str) -> Option<&SecretFile> {
        self.0.get(name)
    }

    /// Adds what belongs to no endpoint but stands at `place` in the configuration.
    fn add_own(&mut self, resource: &str, place: &str, path: PathBuf, holds: Holds) {
        let secret = format!("{SECRET_PREFIX}{resource}");
        self.0.insert(
            resource.to_owned(),
            SecretFile { owner: place.to_owned(), secret, path, holds, prefix: "" },
        );
    }

    /// The file with the keys of tokens.
    pub(super) fn token_keys(&self) -> Option<&SecretFile> {
        self.of(TOKEN_KEYS)
    }

    /// The file with the secret `name`.
    pub(super) fn named(&self, name: &str) -> Option<&SecretFile> {
        self.0.values().find(|file| file.secret == name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &SecretFile> {
        self.0.values()
    }
}

/// What the endpoints of `gateway` ask for, whether it is known here or not, and the files where Envoy will find it.
pub(super) fn plan(
    config: &Config,
    gateway: &Gateway,
    options: &RenderOptions,
) -> Result<(Vec<Destination>, SecretFiles), RenderError> {
    let folder = &options.secrets_dir;
    let mut files = SecretFiles::default();
    let jwt = gateway.auth.as_ref().and_then(|auth| auth.jwt.as_ref());
    if options.link.is_none() && jwt.is_some_and(|jwt| jwt.keys == JwksSource::ControlPlane) {
        files.add_own(TOKEN_KEYS, TOKEN_KEYS, folder.join("jwks.json"), Holds::TokenKeys);
    }
    if let Some(tls) = config.server.tls.as_ref().filter(|_| options.target == Target::Envoy) {
        files.add_own(CERTIFICATE, SERVER_TLS, folder.join("gateway--certificate.yaml"), Holds::Certificate);
        if tls.client_ca.is_some() {
            files.add_own(CLIENT_CA, SERVER_TLS, folder.join("gateway--client-ca.yaml"), Holds::ClientCa);
        }
    }
    let mut destinations = Destination::all(gateway, &Secrets::default(), &Default::default());
    for destination in &mut destinations {
        let Place::Endpoint { dialect: name, endpoint, credential } = &mut destination.place else {
            continue;
        };
        let has = |role| {
            let mut secrets = config.endpoint_secrets();
            secrets.any(|secret| secret.endpoint == endpoint.name && secret.role == role)
        };
        let (holds, resource) = match &endpoint.access {
            Access::Key if has(SecretRole::ApiKey) => (Holds::Key, secret_name(endpoint)),
            Access::GoogleServiceAccount | Access::GoogleMetadata => (Holds::Token, secret_name(endpoint)),
            Access::AwsKeys { .. } => (Holds::AwsKeys, format!("{}/signing", endpoint.cluster)),
            Access::Key | Access::AwsAmbient { .. } => continue,
        };
        *credential = stand_in(&endpoint.access);
        let file = file(endpoint, holds, folder, dialect(*name).credential().prefix);
        if let Some(other) = files.iter().find(|other| other.path == file.path) {
            return Err(RenderError::SameFile { one: other.owner.clone(), other: file.owner });
        }
        files.0.insert(resource, file);
    }
    Ok((destinations, files))
}

/// An identity of the same kind that says nothing.
pub(super) fn stand_in_identity(tls: &TlsConfig) -> TlsIdentity {
    TlsIdentity {
        certificate: String::new(),
        private_key: SecretString::new(""),
        client_ca: tls.client_ca.as_ref().map(|_| String::new()),
    }
}

/// A credential of the same kind that says nothing.
fn stand_in(access: &Access) -> Credential {
    match access {
        Access::AwsKeys { region } | Access::AwsAmbient { region } => {
            let nothing = || SecretString::new("");
            let keys =
                AwsKeys { access_key_id: nothing(), secret_access_key: nothing(), session_token: None };
            Credential::Signature { region: region.clone(), keys: Some(keys) }
        }
        Access::Key | Access::GoogleServiceAccount | Access::GoogleMetadata => Credential::AwaitedToken,
    }
}

fn file(endpoint: &Endpoint, holds: Holds, folder: &Path, prefix: &'static str) -> SecretFile {
    let name = endpoint.name.replace('/', "--");
    let ending = if holds == Holds::AwsKeys { "ini" } else { "yaml" };
    SecretFile {
        owner: endpoint.name.clone(),
        secret: format!("{SECRET_PREFIX}{}", endpoint.name),
        path: folder.join(format!("{name}.{ending}")),
        holds,
        prefix,
    }
}

/// Writes `files` into `folder`, each readable by its owner alone, and in one step, as Envoy wants to see it. Returns those
/// whose secret is not known.
pub(super) fn write<'a>(
    files: &'a SecretFiles,
    secrets: &Secrets,
    folder: &Path,
) -> io::Result<Vec<&'a SecretFile>> {
    use std::os::unix::fs::OpenOptionsExt as _;

    std::fs::create_dir_all(folder)?;
    let mut unknown = Vec::new();
    for file in files.iter() {
        let Some(content) = file.content(secrets) else {
            unknown.push(file);
            continue;
        };
        let path = folder.join(file.name());
        let fresh = path.with_extension("new");
        let _ = std::fs::remove_file(&fresh);
        let mut out = std::fs::OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(&fresh)?;
        out.write_all(content.as_bytes())?;
        out.sync_all()?;
        std::fs::rename(&fresh, &path)?;
    }
    Ok(unknown)
}
