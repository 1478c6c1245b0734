//! Runs the commands a workflow file names: `build`, and `prepare` with its payloads.

use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::payload::Request;
use crate::project::Project;

/// Why a command of the workflow file failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It could not be started.
    #[error("`{key}: {command}` cannot be started")]
    Start {
        /// Key of the workflow file.
        key: &'static str,
        /// The command.
        command: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// It failed.
    #[error("`{key}: {command}` failed ({status}){}", if output.is_empty() { String::new() } else { format!(":\n{output}") })]
    Failed {
        /// Key of the workflow file.
        key: &'static str,
        /// The command.
        command: String,
        /// Its exit status.
        status: std::process::ExitStatus,
        /// The end of what it printed.
        output: String,
    },
}

/// Characters of a failed command's output that an error repeats.
const OUTPUT_LIMIT: usize = 2_000;

/// Runs `build`, if there is one; what it prints goes to standard error.
///
/// # Errors
/// If it cannot be started or fails.
pub async fn build(project: &Project) -> Result<(), CommandError> {
    let Some(command) = &project.build else { return Ok(()) };
    let mut child = shell(project, command)
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .spawn()
        .map_err(|source| start("build", command, source))?;
    let status = child.wait().await.map_err(|source| start("build", command, source))?;
    finished("build", command, status, String::new())
}

/// Runs `prepare`, if there is one, with the payloads of the requests on its standard input.
///
/// # Errors
/// If it cannot be started or fails.
pub async fn prepare(project: &Project, requests: &[Request]) -> Result<(), CommandError> {
    let Some(command) = &project.prepare else { return Ok(()) };
    let failed = |source| start("prepare", command, source);
    let mut child = shell(project, command)
        .envs(&project.environment)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let mut input = child.stdin.take().expect("piped");
    let lines: String = requests.iter().map(|request| format!("{}\n", request.body)).collect();
    // Beside the wait: a command that prints before it has read everything would block both.
    let write = async move {
        // A command that does not read its input closes it; its exit status tells whether it failed.
        let _ = input.write_all(lines.as_bytes()).await;
    };
    let (output, ()) = tokio::join!(child.wait_with_output(), write);
    let output = output.map_err(failed)?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let text = text.trim();
    let from = text.char_indices().rev().nth(OUTPUT_LIMIT).map_or(0, |(at, _)| at);
    finished("prepare", command, output.status, text[from..].to_owned())
}

fn shell(project: &Project, command: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command).current_dir(&project.directory).kill_on_drop(true);
    shell
}

fn start(key: &'static str, command: &str, source: std::io::Error) -> CommandError {
    CommandError::Start { key, command: command.to_owned(), source }
}

fn finished(
    key: &'static str,
    command: &str,
    status: std::process::ExitStatus,
    output: String,
) -> Result<(), CommandError> {
    if status.success() {
        return Ok(());
    }
    Err(CommandError::Failed { key, command: command.to_owned(), status, output })
}
