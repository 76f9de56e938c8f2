//! The configuration file as a living thing: read with line numbers, resolved with its secrets, watched for changes.
//!
//! What the keys mean is `ai_warp_core::config`; here is only how they come from a disk and what is said when they
//! are wrong.

mod dotenv;
mod error;
mod listeners;
mod load;
mod secrets;
mod service_account;
mod shape;
mod tls;
mod token_keys;
mod tree;
mod watch;

pub use error::{ConfigError, ConfigProblem};
pub use listeners::ListenerSecrets;
pub use load::{Env, Loaded, load, load_without_secrets, process_env};
pub use secrets::{AwsKeys, SecretString, Secrets};
#[cfg(test)]
pub(crate) use service_account::tests::key_file;
pub use service_account::{ServiceAccount, ServiceAccountError};
pub use tls::{TlsError, TlsIdentity};
pub use token_keys::{TokenKeys, TokenKeysError};
pub use watch::{ConfigFailure, ConfigStatus, ConfigWatch, watch};
