//! Programs that preparing a runtime runs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::RuntimeError;

/// Lines of a program's output that an error repeats at most.
const SAID_LINES: usize = 6;

/// Runs a program to its end; its output is only seen if it fails.
pub(crate) fn run(runtime: &str, command: &mut Command) -> Result<(), RuntimeError> {
    let output = command.stdin(Stdio::null()).output();
    let failed = |said: String| RuntimeError::Command {
        runtime: runtime.to_owned(),
        command: words(command),
        said,
    };
    let output = output.map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(SAID_LINES)..];
    Err(failed(format!("{} ({})", last.join("; "), output.status)))
}

fn words(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// The programs of this name on `PATH`, in its order.
pub(crate) fn on_path(program: &str) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .filter(|program| is_executable(program))
        .collect()
}

/// Whether a file can be run.
pub(crate) fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}
