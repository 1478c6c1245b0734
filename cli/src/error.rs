//! The command line's one error: what went wrong, what to do next, and the exit code.

use std::error::Error;
use std::fmt;

use platform::choice::ChoiceError;
use platform::endpoint::AwsError;
use platform::input_error::InputError;

/// Why a command ended without doing what it was asked for.
#[derive(Debug)]
pub(crate) enum CliError {
    /// Something the user wrote is wrong: exit code 2.
    Input { message: String, next_step: String },
    /// It could not be done: exit code 1.
    Failed { message: String, next_step: Option<String> },
    /// The user interrupted it: exit code 130, as shells have it.
    Interrupted { message: String },
}

impl CliError {
    /// Wrong usage.
    pub(crate) fn usage(message: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self::Input { message: message.into(), next_step: next_step.into() }
    }

    /// A failure with everything its sources say. What AWS refuses because of the user's credentials or permissions
    /// is wrong input.
    pub(crate) fn failed(doing: &str, error: &dyn Error) -> Self {
        let message = format!("{doing}: {}", chain(error));
        match platform::access::next_step(&message) {
            Some(next_step) => Self::Input { message, next_step },
            None => Self::Failed { message, next_step: None },
        }
    }

    /// The same with a next step.
    pub(crate) fn or_try(self, next_step: impl Into<String>) -> Self {
        match self {
            Self::Failed { message, .. } => {
                Self::Failed { message, next_step: Some(next_step.into()) }
            }
            other => other,
        }
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Input { .. } => 2,
            Self::Failed { .. } => 1,
            Self::Interrupted { .. } => 130,
        }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input { message, next_step }
            | Self::Failed { message, next_step: Some(next_step) } => {
                write!(f, "error: {message}\n  next: {next_step}")
            }
            Self::Failed { message, next_step: None } => write!(f, "error: {message}"),
            Self::Interrupted { message } => write!(f, "interrupted: {message}"),
        }
    }
}

impl From<ChoiceError> for CliError {
    fn from(error: ChoiceError) -> Self {
        Self::Input { message: error.to_string(), next_step: error.next_step() }
    }
}

impl From<AwsError> for CliError {
    fn from(error: AwsError) -> Self {
        Self::Input { message: error.to_string(), next_step: error.next_step() }
    }
}

impl From<InputError> for CliError {
    fn from(error: InputError) -> Self {
        Self::Input { message: error.to_string(), next_step: error.next_step }
    }
}

/// An error and its sources, from the outermost in.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}
