//! What functions run in: a container or a process, with vCPU and memory limited.

pub(crate) mod cgroup;
mod container;
pub(crate) mod engine;
pub(crate) mod process;
mod start;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::logs::InstanceLog;

pub(crate) use container::Container;
pub(crate) use engine::Engine;
pub(crate) use process::{ProcessHost, ProcessSandbox};
pub(crate) use start::Start;

/// What an instance is started with.
#[derive(Debug)]
pub(crate) struct SandboxSpec {
    /// Unique on this machine.
    pub(crate) id: String,
    /// The unpacked bundle.
    pub(crate) code: PathBuf,
    pub(crate) start: Start,
    /// Whole environment.
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) limits: Limits,
    /// Directories of the host and where the function sees them.
    pub(crate) mounts: Vec<(PathBuf, PathBuf)>,
    /// Where its output goes.
    pub(crate) log: Arc<InstanceLog>,
}

/// How a sandbox's main process ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Exit {
    /// By itself, with this code.
    Code(i64),
    /// By a signal.
    Signal(i32),
}

/// Sizes that can be changed while a function runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Limits {
    /// CFS quota per [`crate::function::CPU_PERIOD_US`].
    pub(crate) cpu_quota_us: u64,
    pub(crate) memory_mb: u32,
}

/// How instances get other limits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Resizing {
    /// While they run.
    InPlace,
    /// Only by starting others.
    Replacing,
}

impl Limits {
    pub(crate) fn memory_bytes(self) -> u64 {
        u64::from(self.memory_mb) << 20
    }
}

/// What a sandbox uses.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct MemoryUse {
    /// Peak so far, or since it was last reset, in bytes, if it can be read.
    pub(crate) peak_bytes: Option<u64>,
    /// In use now, in bytes, if it can be read.
    pub(crate) used_bytes: Option<u64>,
    /// Processes that the kernel killed because the limit was reached.
    pub(crate) oom_kills: u64,
}

/// A sandbox that cannot be resized.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResizeError {
    /// Its processes hold more memory than they would be allowed.
    #[error("it uses {} MB, more than {memory_mb} MB", used_bytes.div_ceil(1 << 20))]
    InUse {
        /// Memory that cannot be taken from them.
        used_bytes: u64,
        /// New limit.
        memory_mb: u32,
    },
    /// The engine or the kernel refused.
    #[error("{0}")]
    Refused(String),
}

/// A sandbox that cannot be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SandboxError {
    /// The function's own fault: no `bootstrap`, or one that cannot be run.
    #[error("{0}")]
    Entrypoint(String),
    /// Docker refused.
    #[error("Docker refused: {0}")]
    Docker(#[from] bollard::errors::Error),
    /// The system refused.
    #[error("{context}: {source}")]
    Io {
        /// What was being done.
        context: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Where sandboxes are made.
#[derive(Debug)]
pub(crate) enum Host {
    Docker(Engine),
    Process(ProcessHost),
}

impl Host {
    /// Address that instances reach this server at.
    pub(crate) fn address(&self) -> IpAddr {
        match self {
            Self::Docker(engine) => engine.gateway(),
            Self::Process(_) => IpAddr::from([127, 0, 0, 1]),
        }
    }

    /// Where the function sees its layers, if that is not `/opt`.
    pub(crate) fn layers_root<'a>(&self, folder: Option<&'a Path>) -> Option<&'a Path> {
        match self {
            Self::Docker(_) => None,
            Self::Process(_) => folder,
        }
    }

    /// Where the function sees its code.
    pub(crate) fn task_root(&self, spec_code: &Path) -> String {
        match self {
            Self::Docker(_) => container::TASK_ROOT.to_owned(),
            Self::Process(_) => spec_code.display().to_string(),
        }
    }

    /// How sandboxes get other limits.
    pub(crate) fn resizing(&self) -> Resizing {
        match self {
            Self::Docker(_) => Resizing::InPlace,
            Self::Process(host) => host.resizing(),
        }
    }

    /// Starts a sandbox.
    pub(crate) async fn start(&self, spec: SandboxSpec) -> Result<Sandbox, SandboxError> {
        match self {
            Self::Docker(engine) => Container::start(engine, spec).await.map(Sandbox::Docker),
            Self::Process(host) => host.start(spec).await.map(Sandbox::Process),
        }
    }

    /// Removes everything this server made, whatever state it is in.
    pub(crate) async fn remove_all(&self) {
        match self {
            Self::Docker(engine) => engine.remove_all().await,
            Self::Process(host) => host.remove_all().await,
        }
    }
}

/// A running sandbox.
#[derive(Debug)]
pub(crate) enum Sandbox {
    Docker(Container),
    Process(ProcessSandbox),
}

impl Sandbox {
    /// When its process was started, as far as that can be told from outside.
    pub(crate) fn started(&self) -> Instant {
        match self {
            Self::Docker(container) => container.started(),
            Self::Process(process) => process.started(),
        }
    }

    /// Becomes something when the main process ends.
    pub(crate) fn exit(&self) -> watch::Receiver<Option<Exit>> {
        match self {
            Self::Docker(container) => container.exit(),
            Self::Process(process) => process.exit(),
        }
    }

    /// Changes the limits of what runs in it. If that fails some of them may have been changed.
    pub(crate) async fn resize(&self, limits: Limits) -> Result<(), ResizeError> {
        match self {
            Self::Docker(container) => container.resize(limits).await,
            Self::Process(process) => process.resize(limits),
        }
    }

    /// Lets the peak of the memory begin anew; false where that cannot be done.
    pub(crate) fn reset_peak(&self) -> bool {
        match self {
            Self::Docker(container) => container.reset_peak(),
            Self::Process(process) => process.reset_peak(),
        }
    }

    /// Memory used so far.
    pub(crate) async fn memory(&self) -> MemoryUse {
        match self {
            Self::Docker(container) => container.memory().await,
            Self::Process(process) => process.memory(),
        }
    }

    /// Takes in what the function has printed so far; where that cannot be known, what comes until
    /// nothing came for as long as `quiet`.
    pub(crate) async fn drain(&self, quiet: Duration) {
        match self {
            Self::Docker(container) => container.drain(quiet).await,
            Self::Process(process) => process.drain(),
        }
    }

    /// Kills everything in it and removes it. Does nothing the second time.
    pub(crate) async fn remove(&self) {
        match self {
            Self::Docker(container) => container.remove().await,
            Self::Process(process) => process.remove().await,
        }
    }
}
