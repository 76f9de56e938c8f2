//! `ai-warp init`: a configuration to start with.
//!
//! Three steps, each testable without the others: flags become answers where they say enough, a person gives the
//! missing ones ([`ask`]), and answers become files ([`files`]).

mod ask;
mod files;

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use self::ask::Terminal;
use self::files::{Answers, CONFIG_FILE, ENV_FILE, Storage, config_text, env_text};
use super::{Failure, print};
use crate::config::SecretString;
use crate::host_port::HostPort;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Without a terminal, name at least one --provider. Keys are best passed by --keys-from-env: \
                        a command line can be seen by other users of the machine.\nExample: ai-warp init \
                        --provider openai --provider gemini --keys-from-env --yes"
)]
pub(super) struct Args {
    /// A provider to use, first choice first; repeat for more
    #[arg(long, value_enum, value_name = "NAME")]
    provider: Vec<ProviderName>,
    /// Key of OpenAI
    #[arg(long, value_name = "KEY")]
    openai_api_key: Option<String>,
    /// Key of DeepSeek
    #[arg(long, value_name = "KEY")]
    deepseek_api_key: Option<String>,
    /// Key of Gemini
    #[arg(long, value_name = "KEY")]
    gemini_api_key: Option<String>,
    /// Key of Anthropic
    #[arg(long, value_name = "KEY")]
    anthropic_api_key: Option<String>,
    /// Key of Mistral
    #[arg(long, value_name = "KEY")]
    mistral_api_key: Option<String>,
    /// Key of Groq
    #[arg(long, value_name = "KEY")]
    groq_api_key: Option<String>,
    /// Key of OpenRouter
    #[arg(long, value_name = "KEY")]
    openrouter_api_key: Option<String>,
    /// Take keys that are not given from OPENAI_API_KEY, ANTHROPIC_API_KEY and so on
    #[arg(long)]
    keys_from_env: bool,
    /// Port of the gateway [default: 3042]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Where sessions are kept [default: memory]
    #[arg(long, value_enum, value_name = "TYPE")]
    storage: Option<StorageName>,
    /// Where Valkey is; means --storage valkey [default: 127.0.0.1:6379]
    #[arg(long, value_name = "HOST:PORT")]
    valkey: Option<HostPort>,
    /// The folder to write into
    #[arg(long, value_name = "DIR", default_value = ".")]
    output: PathBuf,
    /// Overwrite files that exist
    #[arg(long)]
    force: bool,
    /// Ask nothing; what no flag says gets its default
    #[arg(long)]
    yes: bool,
}

/// The providers `init` knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ProviderName {
    Openai,
    Deepseek,
    Gemini,
    Anthropic,
    Mistral,
    Groq,
    Openrouter,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StorageName {
    /// In the control plane's memory, until it restarts
    Memory,
    /// In Valkey
    Valkey,
    /// Nowhere: no sessions
    None,
}

/// Port of the gateway where nobody says another.
const DEFAULT_PORT: u16 = 3042;

/// Where Valkey is where nobody says another place.
fn default_valkey() -> HostPort {
    HostPort { host: "127.0.0.1".to_owned(), port: 6379 }
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    refuse_overwriting(&args.output, args.force)?;
    let (output, interactive) = (args.output.clone(), !args.yes && std::io::stdin().is_terminal());
    let given = Given::new(args, |name| std::env::var(name).ok())?;
    let answers = if interactive {
        ask::complete(given, &mut Terminal).map_err(Failure::failed)?
    } else {
        given.with_defaults()?
    };
    write(&output, &answers)?;

    for provider in answers.providers.iter().filter(|(_, key)| key.is_none()) {
        eprintln!("warning: no key for {}; put it into {ENV_FILE}", provider.0.title());
    }
    let (config, env) = (output.join(CONFIG_FILE), output.join(ENV_FILE));
    print(&format!(
        "wrote {} and {}\nnext: ai-warp serve --config {} --filter PATH\n",
        config.display(),
        env.display(),
        config.display(),
    ))
}

/// What the flags say.
#[derive(Debug)]
struct Given {
    providers: Vec<ProviderName>,
    keys: Vec<(ProviderName, SecretString)>,
    port: Option<u16>,
    storage: Option<StorageName>,
    valkey: Option<HostPort>,
}

impl Given {
    fn new(args: Args, env: impl Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        if args.valkey.is_some() && args.storage.is_some_and(|storage| storage != StorageName::Valkey) {
            return Err(Failure::usage("--valkey goes with --storage valkey only"));
        }
        let mut providers: Vec<ProviderName> = Vec::new();
        for provider in args.provider {
            if !providers.contains(&provider) {
                providers.push(provider);
            }
        }
        let flags = [
            (ProviderName::Openai, args.openai_api_key),
            (ProviderName::Deepseek, args.deepseek_api_key),
            (ProviderName::Gemini, args.gemini_api_key),
            (ProviderName::Anthropic, args.anthropic_api_key),
            (ProviderName::Mistral, args.mistral_api_key),
            (ProviderName::Groq, args.groq_api_key),
            (ProviderName::Openrouter, args.openrouter_api_key),
        ];
        let mut keys = Vec::new();
        for (provider, flag) in flags {
            let key = flag.or_else(|| args.keys_from_env.then(|| env(provider.key_variable())).flatten());
            let Some(key) = key.filter(|key| !key.trim().is_empty()) else { continue };
            if !files::is_writable_key(key.trim()) {
                let message = format!("the key of {} has characters no key has", provider.title());
                return Err(Failure::usage(message));
            }
            keys.push((provider, SecretString::new(key.trim())));
        }
        let storage = args.storage.or_else(|| args.valkey.is_some().then_some(StorageName::Valkey));
        Ok(Self { providers, keys, port: args.port, storage, valkey: args.valkey })
    }

    fn key(&self, provider: ProviderName) -> Option<SecretString> {
        self.keys.iter().find(|(name, _)| *name == provider).map(|(_, key)| key.clone())
    }

    fn with_defaults(self) -> Result<Answers, Failure> {
        if self.providers.is_empty() {
            let message =
                "name at least one --provider (openai, deepseek, gemini), or run in a terminal without --yes";
            return Err(Failure::usage(message));
        }
        let storage = match self.storage.unwrap_or(StorageName::Memory) {
            StorageName::None => Storage::None,
            StorageName::Memory => Storage::Memory,
            StorageName::Valkey => Storage::Valkey(self.valkey.clone().unwrap_or_else(default_valkey)),
        };
        Ok(Answers {
            providers: self.providers.iter().map(|provider| (*provider, self.key(*provider))).collect(),
            port: self.port.unwrap_or(DEFAULT_PORT),
            storage,
        })
    }
}

fn refuse_overwriting(folder: &Path, force: bool) -> Result<(), Failure> {
    let existing =
        [CONFIG_FILE, ENV_FILE].map(|name| folder.join(name)).into_iter().find(|path| path.exists());
    match existing {
        Some(path) if !force => {
            Err(Failure::failed(format!("{} exists; --force overwrites it", path.display())))
        }
        _ => Ok(()),
    }
}

fn write(folder: &Path, answers: &Answers) -> Result<(), Failure> {
    let failed = |path: &Path, error: std::io::Error| {
        Failure::failed(format!("cannot write {}: {error}", path.display()))
    };
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    let config = folder.join(CONFIG_FILE);
    std::fs::write(&config, config_text(answers)).map_err(|error| failed(&config, error))?;
    let env = folder.join(ENV_FILE);
    write_private(&env, &env_text(answers)).map_err(|error| failed(&env, error))
}

/// Writes a file nobody else can read, also where it existed and everybody could.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};

    const OWNER_ONLY: u32 = 0o600;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(OWNER_ONLY).open(path)?;
    file.set_permissions(std::fs::Permissions::from_mode(OWNER_ONLY))?;
    file.write_all(text.as_bytes())
}
