//! Errors as text for people: a function's error message and the last words of a program.

use std::error::Error;

/// The error and everything that caused it on one line, outermost first.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
