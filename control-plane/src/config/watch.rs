//! Following the configuration file: a valid change is published, an invalid one is said loudly and changes nothing.
//!
//! Two signals lead to a look at the files. Notifications of the folder (not of the file: editors rename over it, and
//! Kubernetes swaps a symlink beside it) make it quick; a steady poll makes it certain, since notifications do not exist on
//! every file system and say nothing of secret files elsewhere. A look compares contents, so neither signal can cause a
//! needless push, and it waits until the content stands still, so that half a file is not taken for a whole one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use notify::{RecursiveMode, Watcher};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::load::{Env, Loaded, folder_of, load};
use crate::filter_code::sha256_hex;

/// Time between two looks without a notification. Half of the second within which a change is applied.
const POLL: Duration = Duration::from_millis(500);

/// How long the content must stand still before it is read for good.
const SETTLE: Duration = Duration::from_millis(100);

/// Most waits for a content that never stands still; then it is read as it is.
const MAX_SETTLE_ROUNDS: usize = 3;

/// How the configuration file fares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigStatus {
    /// Why the newest file is not in force; `None` where it is.
    pub failure: Option<ConfigFailure>,
    /// Keys whose new values are in the file and wait for a restart.
    pub restart_needed: Vec<&'static str>,
}

/// A refused configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFailure {
    /// Everything that is wrong, for people.
    pub message: String,
    /// When it was first refused, in milliseconds since 1970.
    pub since_ms: u64,
}

/// A configuration file being followed. Dropping it ends that; the receivers keep the last values.
#[derive(Debug)]
pub struct ConfigWatch {
    /// The configuration in force.
    pub loaded: watch::Receiver<Arc<Loaded>>,
    /// How the file fares.
    pub status: watch::Receiver<ConfigStatus>,
    task: JoinHandle<()>,
}

impl Drop for ConfigWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Follows the file at `path`, of which `boot` was loaded. Needs a Tokio runtime.
pub fn watch(path: &Path, env: Env, boot: Loaded) -> ConfigWatch {
    start(path, env, boot, true)
}

fn start(path: &Path, env: Env, boot: Loaded, notifications: bool) -> ConfigWatch {
    let boot = Arc::new(boot);
    let (loaded_tx, loaded) = watch::channel(Arc::clone(&boot));
    let (status_tx, status) = watch::channel(ConfigStatus::default());
    let follower = Follower {
        path: path.to_owned(),
        env,
        sources: boot.sources.clone(),
        // No fingerprint yet: the file may have changed since it was loaded.
        fingerprint: String::new(),
        newest_version: boot.version.clone(),
        boot,
        loaded: loaded_tx,
        status: status_tx,
    };
    let task = tokio::spawn(follower.run(notifications));
    ConfigWatch { loaded, status, task }
}

struct Follower {
    path: PathBuf,
    env: Env,
    boot: Arc<Loaded>,
    sources: Vec<PathBuf>,
    fingerprint: String,
    newest_version: String,
    loaded: watch::Sender<Arc<Loaded>>,
    status: watch::Sender<ConfigStatus>,
}

impl Follower {
    async fn run(mut self, notifications: bool) {
        // One pending signal is enough: a look sees everything that happened before it.
        let (changed_tx, mut changed) = mpsc::channel(1);
        let watcher =
            if notifications { watch_folder(folder_of(&self.path), changed_tx.clone()) } else { None };
        loop {
            self.look().await;
            // The sender held here keeps the channel open where there is no watcher.
            let _ = timeout(POLL, changed.recv()).await;
            let _ = (&watcher, &changed_tx);
        }
    }

    async fn look(&mut self) {
        let mut now = fingerprint(&self.sources);
        if now == self.fingerprint {
            return;
        }
        for _ in 0..MAX_SETTLE_ROUNDS {
            sleep(SETTLE).await;
            let settled = fingerprint(&self.sources);
            if settled == now {
                break;
            }
            now = settled;
        }
        self.fingerprint = now;
        match load(&self.path, &self.env) {
            Ok(loaded) => {
                // The files a configuration depends on are part of it. New ones join at the next look.
                if self.sources != loaded.sources {
                    self.sources.clone_from(&loaded.sources);
                }
                self.accept(loaded);
            }
            Err(error) => self.refuse(&error),
        }
    }

    fn accept(&mut self, mut loaded: Loaded) {
        let was_refused = self.status.borrow().failure.is_some();
        let restart_needed = loaded.pin(&self.boot);
        if loaded.version != self.newest_version {
            self.newest_version.clone_from(&loaded.version);
            for warning in &loaded.warnings {
                tracing::warn!("{warning}");
            }
            if !restart_needed.is_empty() {
                tracing::warn!(
                    keys = restart_needed.join(", "),
                    "these changes need a restart; the rest is applied"
                );
            }
            tracing::info!(version = loaded.version, "configuration applied");
            self.loaded.send_replace(Arc::new(loaded));
        } else if was_refused {
            tracing::info!(version = loaded.version, "the configuration is valid again");
        }
        self.status.send_replace(ConfigStatus { failure: None, restart_needed });
    }

    fn refuse(&mut self, error: &super::ConfigError) {
        if let super::ConfigError::Invalid { sources, .. } = error {
            let new = sources.iter().filter(|source| !self.sources.contains(source)).cloned();
            let new: Vec<_> = new.collect();
            self.sources.extend(new);
        }
        let message = error.to_string();
        let is_known =
            self.status.borrow().failure.as_ref().is_some_and(|failure| failure.message == message);
        if !is_known {
            let serving = self.newest_version.as_str();
            tracing::error!(
                serving,
                "the changed configuration is refused and the old one keeps serving: {message}"
            );
        }
        self.status.send_modify(|status| {
            let since_ms = status.failure.as_ref().map_or_else(now_ms, |failure| failure.since_ms);
            status.failure = Some(ConfigFailure { message, since_ms });
        });
    }
}

/// A hash of the content of `sources`; a file that cannot be read counts as such.
fn fingerprint(sources: &[PathBuf]) -> String {
    let mut text = String::new();
    for source in sources {
        match std::fs::read(source) {
            Ok(bytes) => text.push_str(&sha256_hex(&bytes)),
            Err(error) => text.push_str(&error.kind().to_string()),
        }
        text.push('\n');
    }
    text
}

/// Sends a signal for everything that happens in `folder`. Without notifications the poll does it alone.
fn watch_folder(folder: &Path, changed: mpsc::Sender<()>) -> Option<notify::RecommendedWatcher> {
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading the files is an access; a signal for it would go round in circles.
        if !event.is_ok_and(|event| event.kind.is_access()) {
            let _ = changed.try_send(());
        }
    });
    watcher
        .and_then(|mut watcher| {
            watcher.watch(folder, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        })
        .inspect_err(
            |error| tracing::warn!(folder = %folder.display(), "no file notifications, polling: {error}"),
        )
        .ok()
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longest wait for something that must happen.
    const PATIENCE: Duration = Duration::from_secs(20);

    struct Test {
        dir: tempfile::TempDir,
        watch: ConfigWatch,
    }

    const KEYED: &str = "providers:\n  openai: {apiKey: \"${KEY}\"}\n  gemini: {apiKey: {file: key}}\nmodels: [\"openai:m\"]\n";

    impl Test {
        fn start(notifications: bool) -> Self {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("ai-warp.yaml"), KEYED).unwrap();
            std::fs::write(dir.path().join("key"), "k1").unwrap();
            let (path, env): (_, Env) = (dir.path().join("ai-warp.yaml"), Arc::new(|_| None));
            let boot = load(&path, &env).unwrap();
            Self { watch: start(&path, env, boot, notifications), dir }
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.dir.path().join(name), text).unwrap();
        }

        async fn loaded(&mut self, wanted: impl FnMut(&Arc<Loaded>) -> bool) -> Arc<Loaded> {
            timeout(PATIENCE, self.watch.loaded.wait_for(wanted)).await.expect("in time").unwrap().clone()
        }

        async fn status(&mut self, wanted: impl FnMut(&ConfigStatus) -> bool) -> ConfigStatus {
            timeout(PATIENCE, self.watch.status.wait_for(wanted)).await.expect("in time").unwrap().clone()
        }
    }

    #[tokio::test]
    async fn applies_a_change_with_and_without_notifications() {
        for notifications in [true, false] {
            let mut test = Test::start(notifications);
            test.write("ai-warp.yaml", &format!("{KEYED}promptPath: /new\n"));
            test.loaded(|loaded| loaded.gateway.paths.prompt == "/new").await;
        }
    }

    #[tokio::test]
    async fn an_editors_rename_and_a_swapped_symlink_are_changes() {
        let mut test = Test::start(true);
        let root = test.dir.path().to_owned();
        test.write("new", &format!("{KEYED}promptPath: /renamed\n"));
        std::fs::rename(root.join("new"), root.join("ai-warp.yaml")).unwrap();
        test.loaded(|loaded| loaded.gateway.paths.prompt == "/renamed").await;

        test.write("v2", &format!("{KEYED}promptPath: /linked\n"));
        std::os::unix::fs::symlink("v2", root.join("link")).unwrap();
        std::fs::rename(root.join("link"), root.join("ai-warp.yaml")).unwrap();
        test.loaded(|loaded| loaded.gateway.paths.prompt == "/linked").await;
    }

    #[tokio::test]
    async fn dotenv_and_secret_files_are_part_of_the_configuration() {
        let mut test = Test::start(true);
        test.write(".env", "KEY=sk-env\n");
        test.loaded(|loaded| loaded.endpoint_key("openai").is_some_and(|key| key.expose() == "sk-env")).await;
        test.write("key", "k2");
        test.loaded(|loaded| loaded.endpoint_key("gemini").is_some_and(|key| key.expose() == "k2")).await;
    }

    #[tokio::test]
    async fn refuses_a_bad_file_keeps_the_old_and_recovers() {
        let mut test = Test::start(true);
        let before = test.watch.loaded.borrow().version.clone();
        test.write("ai-warp.yaml", &KEYED.replace("models", "modles"));
        let failure = test.status(|status| status.failure.is_some()).await.failure.unwrap();
        assert!(failure.message.contains("did you mean \"models\"? (line 4)"), "{}", failure.message);
        assert_eq!(test.watch.loaded.borrow().version, before);

        std::fs::remove_file(test.dir.path().join("ai-warp.yaml")).unwrap();
        let gone = test
            .status(|status| status.failure.as_ref().is_some_and(|f| f.message.contains("cannot read")))
            .await;
        assert_eq!(gone.failure.unwrap().since_ms, failure.since_ms);

        test.write("ai-warp.yaml", KEYED);
        test.status(|status| status.failure.is_none()).await;
        assert_eq!(test.watch.loaded.borrow().version, before);
    }

    #[tokio::test]
    async fn a_missing_secret_file_that_appears_mends_the_configuration() {
        let mut test = Test::start(true);
        let elsewhere = KEYED.replace("{file: key}", "{file: other-key}");
        test.write("ai-warp.yaml", &elsewhere);
        let failure = test.status(|status| status.failure.is_some()).await.failure.unwrap();
        assert!(failure.message.contains("other-key"), "{}", failure.message);
        test.write("other-key", "k3");
        test.loaded(|loaded| loaded.endpoint_key("gemini").is_some_and(|key| key.expose() == "k3")).await;
        assert!(test.status(|status| status.failure.is_none()).await.failure.is_none());
    }

    #[tokio::test]
    async fn says_what_needs_a_restart_and_applies_the_rest() {
        let mut test = Test::start(true);
        test.write("ai-warp.yaml", &format!("{KEYED}promptPath: /new\nstorage: {{type: none}}\n"));
        let loaded = test.loaded(|loaded| loaded.gateway.paths.prompt == "/new").await;
        assert!(loaded.gateway.storage.is_some());
        let status = test.status(|status| !status.restart_needed.is_empty()).await;
        assert_eq!(status.restart_needed, ["storage.type"]);
    }
}
