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

#[cfg(test)]
mod tests {
    use super::with_causes;
    use crate::store::StoreError;

    #[test]
    fn names_every_cause_once() {
        let error =
            StoreError::Query { action: "find an order", source: "the disk is full".into() };
        let text = with_causes(&error);
        assert!(text.starts_with("cannot find an order"), "{text}");
        assert!(text.ends_with(": the disk is full"), "{text}");
    }
}
