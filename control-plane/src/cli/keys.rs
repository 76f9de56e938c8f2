//! `ai-warp keys`: API keys for `auth.apiKeys`. The configuration has their hashes alone.
//!
//! The entry goes to stdout and a new key to stderr: so what is appended to a file by `>>` holds no key, and both are seen on a
//! terminal. `--json` prints both to stdout, for programs that put the key where it belongs.

use std::io::{IsTerminal as _, Read as _};

use ai_warp_core::auth::{KEY_PREFIX, MAX_CONSUMER_BYTES, MAX_KEY_BYTES, is_consumer_name};
use ai_warp_core::config::KeyHash;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Subcommand;
use serde_json::json;

use super::{Failure, print};

/// Random bytes of a key: 43 characters of base64url.
const KEY_BYTES: usize = 32;

/// Shortest key that is hashed, in bytes: what is guessed in no time needs no hash.
const SHORTEST_KEY: usize = 16;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a key and print its entry for `auth.apiKeys`; the key itself is shown this once
    Create(Args),
    /// Print the entry of a key that there is already, read from stdin
    Hash(Args),
}

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Whose key it is
    #[arg(long, value_name = "NAME", value_parser = consumer)]
    consumer: String,
    /// What it is for, for people
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Print JSON to stdout, a new key included
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Create(args) => {
            let key = create()?;
            if args.json {
                return print(&format!("{}\n", args.json(&key, true)));
            }
            print(&args.entry(&key))?;
            eprintln!("The key, which is shown only now:\n{key}");
            Ok(())
        }
        Command::Hash(args) => {
            let key = read()?;
            let text = if args.json { format!("{}\n", args.json(&key, false)) } else { args.entry(&key) };
            print(&text)
        }
    }
}

impl Args {
    /// An item of the list, in YAML; texts are quoted as in JSON, which YAML includes.
    fn entry(&self, key: &str) -> String {
        let name = self.name.as_ref().map(|name| format!("\n  name: {}", json!(name))).unwrap_or_default();
        let hash = KeyHash::of(key.as_bytes());
        format!("- consumer: {}{name}\n  hash: \"{hash}\"\n", json!(self.consumer))
    }

    fn json(&self, key: &str, is_new: bool) -> serde_json::Value {
        let hash = KeyHash::of(key.as_bytes()).to_string();
        let entry = match &self.name {
            Some(name) => json!({"consumer": self.consumer, "name": name, "hash": hash}),
            None => json!({"consumer": self.consumer, "hash": hash}),
        };
        if is_new { json!({"key": key, "entry": entry}) } else { json!({"entry": entry}) }
    }
}

fn consumer(name: &str) -> Result<String, String> {
    let error = || format!("1 to {MAX_CONSUMER_BYTES} bytes, none of them a control character");
    is_consumer_name(name).then(|| name.to_owned()).ok_or_else(error)
}

fn create() -> Result<String, Failure> {
    let mut bytes = [0; KEY_BYTES];
    let random = rustls::crypto::ring::default_provider().secure_random;
    random.fill(&mut bytes).map_err(|_| Failure::failed("the system has no random numbers"))?;
    Ok(format!("{KEY_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

fn read() -> Result<String, Failure> {
    let mut text = String::new();
    if std::io::stdin().is_terminal() {
        text = rpassword::prompt_password("Key: ").map_err(Failure::failed)?;
    } else {
        let mut limited = std::io::stdin().lock().take(MAX_KEY_BYTES as u64 + 2);
        limited.read_to_string(&mut text).map_err(Failure::failed)?;
    }
    let key = text.trim();
    if !(SHORTEST_KEY..=MAX_KEY_BYTES).contains(&key.len()) || !key.bytes().all(|b| b.is_ascii_graphic()) {
        let text = format!(
            "a key has {SHORTEST_KEY} to {MAX_KEY_BYTES} characters, of those that a header can hold"
        );
        return Err(Failure::usage(text));
    }
    Ok(key.to_owned())
}
