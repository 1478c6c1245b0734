//! What a server is started with, and what it reports about itself.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::overhead::InvokeOverhead;

/// How a server is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Port on 127.0.0.1; 0 takes any free one.
    pub port: u16,
    /// What functions run in.
    pub sandbox: SandboxChoice,
    /// Delay added to every invoke before it is dispatched.
    pub invoke_overhead: InvokeOverhead,
    /// Seed of the delays and of the choices of weighted aliases.
    pub seed: u64,
    /// Where unpacked code and locks are kept; shared by every server of one user, so that a server
    /// can remove what a killed one left behind.
    pub state_directory: PathBuf,
    /// An instance that served nothing for this long is removed.
    pub idle_expiry: Duration,
    /// Waits before the two retries of an asynchronous invocation that ended in a function error.
    pub async_retry_delays: [Duration; 2],
    /// Rows that a query of Logs Insights gives at most.
    pub query_rows: usize,
}

/// Rows that CloudWatch gives at most.
pub const CLOUDWATCHS_QUERY_ROWS: usize = 100_000;
/// One and two minutes.
pub const LAMBDAS_RETRY_DELAYS: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(120)];

/// What functions should run in.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SandboxChoice {
    /// Docker if an engine answers and can be used, else processes.
    #[default]
    Auto,
    /// Docker, or the server does not start.
    Docker,
    /// Processes of this user.
    Process,
}

impl fmt::Display for SandboxChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Docker => "docker",
            Self::Process => "process",
        })
    }
}

/// A text that names no sandbox.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{0}` is no sandbox; use auto, docker or process")]
pub struct SandboxChoiceError(String);

impl FromStr for SandboxChoice {
    type Err = SandboxChoiceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "docker" => Ok(Self::Docker),
            "process" => Ok(Self::Process),
            _ => Err(SandboxChoiceError(text.to_owned())),
        }
    }
}

/// What functions of a server really run in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SandboxKind {
    /// One container per instance.
    Docker,
    /// One process per instance, in cgroups where they can be written.
    Process,
}

impl fmt::Display for SandboxKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Docker => "docker",
            Self::Process => "process",
        })
    }
}

/// What functions of a server run in and what is not enforced there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SandboxReport {
    /// The sandbox in use.
    pub kind: SandboxKind,
    /// One sentence for everything the user should know: limits that are not enforced and why, or
    /// why Docker is not used.
    pub notices: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sandbox_choices_read_back() {
        for choice in [SandboxChoice::Auto, SandboxChoice::Docker, SandboxChoice::Process] {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        let error = "podman".parse::<SandboxChoice>().unwrap_err();
        assert_eq!(error.to_string(), "`podman` is no sandbox; use auto, docker or process");
    }
}
