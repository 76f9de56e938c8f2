//! CPU time of the processes under test, from the kernel's clock of each: all its threads, ended ones too, in
//! nanoseconds, where `/proc/PID/stat` would count in ticks of 10 ms.

use std::time::Duration;

use anyhow::{Context, Result};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

/// The clocks of one gateway, or of one plain Envoy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clocks {
    envoy: ClockId,
    control_plane: Option<ClockId>,
}

/// CPU time used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CpuTime {
    /// By Envoy, user and system.
    pub(crate) envoy: Duration,
    /// By the control plane, where there is one.
    pub(crate) control_plane: Option<Duration>,
}

impl Clocks {
    /// The clocks of these processes.
    pub(crate) fn of(envoy: u32, control_plane: Option<u32>) -> Result<Self> {
        Ok(Self { envoy: clock_of(envoy)?, control_plane: control_plane.map(clock_of).transpose()? })
    }

    /// CPU time used since the processes started.
    pub(crate) fn read(&self) -> Result<CpuTime> {
        Ok(CpuTime { envoy: read(self.envoy)?, control_plane: self.control_plane.map(read).transpose()? })
    }
}

impl CpuTime {
    /// What was used between `before` and this.
    pub(crate) fn since(self, before: Self) -> Self {
        let control_plane =
            self.control_plane.zip(before.control_plane).map(|(after, before)| after.saturating_sub(before));
        Self { envoy: self.envoy.saturating_sub(before.envoy), control_plane }
    }
}

fn clock_of(process: u32) -> Result<ClockId> {
    let process = i32::try_from(process).context("a process id that is none")?;
    ClockId::pid_cpu_clock_id(Pid::from_raw(process))
        .with_context(|| format!("process {process} has no clock"))
}

fn read(clock: ClockId) -> Result<Duration> {
    Ok(clock_gettime(clock).context("a process under test has ended")?.into())
}
