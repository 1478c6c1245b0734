//! Between `fork` and `exec`: ties a child's life to the supervisor's.
//!
//! The supervisor starts itself with [`LAUNCH_ARGUMENT`] instead of the child's program, because what
//! has to be done in the child before `exec` is safe code only in a process of its own.

use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use crate::runtime_api::{LAUNCH_FAILURE, PREFIX};

/// First argument that makes the executable a launcher; the supervisor's process id, the process's
/// out-of-memory score, the program and its arguments follow.
pub const LAUNCH_ARGUMENT: &str = "--launch";

/// Why a child's program was not started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The arguments are not those the supervisor gives.
    #[error(
        "{LAUNCH_ARGUMENT} takes a process id, a score and a program: it is for the supervisor's own use"
    )]
    Arguments,
    /// The kernel refused to tie the child to the supervisor.
    #[error("the kernel refused to end the task together with its supervisor")]
    Tie(#[source] io::Error),
    /// The supervisor ended while its child was starting.
    #[error("the supervisor ended before the task started")]
    Orphaned,
    /// The program cannot be executed.
    #[error("cannot execute `{program}`; check `command` in the bundle's manifest")]
    Execute {
        /// The program, as the manifest names it.
        program: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// Becomes the program in `arguments` (after [`LAUNCH_ARGUMENT`]); the kernel kills it when the
/// supervisor ends. Returns only if that failed.
pub fn launch(mut arguments: impl Iterator<Item = OsString>) -> LaunchError {
    let mut number = || arguments.next().and_then(|id| id.to_str()?.parse::<i32>().ok());
    let (Some(supervisor), Some(oom_score)) = (number(), number()) else {
        return LaunchError::Arguments;
    };
    let Some(program) = arguments.next() else { return LaunchError::Arguments };
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return LaunchError::Tie(error.into());
    }
    // A supervisor that ended before the call above sends no signal any more.
    if getppid().map(|parent| parent.as_raw_nonzero().get()) != Some(supervisor) {
        return LaunchError::Orphaned;
    }
    // Where the kernel does not offer it, it chooses by size alone.
    let _ = std::fs::write("/proc/self/oom_score_adj", oom_score.to_string());
    let source = Command::new(&program).args(arguments).exec();
    let program = program.to_string_lossy().into_owned();
    // Without it the supervisor sees a runtime that ended at once, which is nearly as true.
    let _ = report(&format!("fork/exec {program}: {}", reason(&source)));
    LaunchError::Execute { program, source }
}

/// What the kernel said, as Go puts it, because Lambda's messages come from there.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut characters = text.chars();
    characters
        .next()
        .map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}

/// Tells the supervisor, on the port that is the child's, why it has no child.
fn report(why: &str) -> io::Result<()> {
    let api = std::env::var("AWS_LAMBDA_RUNTIME_API").map_err(io::Error::other)?;
    let mut connection = TcpStream::connect(&api)?;
    write!(
        connection,
        "POST {PREFIX}{LAUNCH_FAILURE} HTTP/1.1\r\nHost: {api}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{why}",
        why.len()
    )?;
    // To its end: the supervisor then knows, before it hears that this process has ended.
    connection.read_to_end(&mut Vec::new()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_supervisors_arguments_are_taken() {
        for arguments in [&[][..], &["1"], &["1", "true"], &["x", "0", "true"], &["1", "0"]] {
            let arguments = arguments.iter().map(OsString::from);
            assert!(matches!(launch(arguments), LaunchError::Arguments));
        }
    }

    #[test]
    fn the_kernels_reason_is_given_as_lambda_gives_it() {
        let error = io::Error::from_raw_os_error(2);
        assert_eq!(reason(&error), "no such file or directory");
    }

    #[test]
    fn a_child_of_anyone_else_is_not_started() {
        // Not the parent of this test, or it would become `true`.
        let arguments = ["2147483647", "0", "true"].iter().map(OsString::from);
        assert!(matches!(launch(arguments), LaunchError::Orphaned));
    }
}
