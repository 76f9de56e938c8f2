//! `down`: stops what an `up` left running. Safe to repeat, and safe after a crash or a reboot.

use std::time::Instant;

use anyhow::{Result, bail};

use crate::process::STOP_DEADLINE;
use crate::state::{self, Lock, State};
use crate::workspace::Workspace;

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let folder = workspace.state_dir();
    // An attached `up` stops its own processes when asked to, and holds the lock until it has.
    if let Some(supervisor) = State::load(&folder)?.and_then(|state| state.supervisor)
        && supervisor.is_alive()
    {
        eprintln!("asking the `cargo xtask up` that runs to stop");
        supervisor.terminate();
        if !supervisor.wait_gone(Instant::now() + STOP_DEADLINE * 2) {
            bail!("the running `cargo xtask up` does not stop; end it and try again");
        }
    }

    let _lock = Lock::take(workspace)?;
    match State::load(&folder)? {
        Some(state) => state.stop_all(),
        None => eprintln!("nothing is running"),
    }
    state::remove(&folder)
}
