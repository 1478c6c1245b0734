//! What is wrong with something a user wrote, where, and what to do about it.

use std::fmt;
use std::path::PathBuf;

/// Wrong input. Shown as `file:line:column: message` with the next step on a line of its own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InputError {
    /// File it stands in, as the user named it.
    pub file: PathBuf,
    /// Line and column, counted from 1, where the file says it.
    pub position: Option<(u64, u64)>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub next_step: String,
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some((line, column)) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for InputError {}
