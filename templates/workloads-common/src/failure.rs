//! Why a function fails, and how Lambda and people are told.

use std::error::Error;
use std::ops::RangeInclusive;

use lambda_runtime::Diagnostic;

/// Why a function fails.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The event asks for something that cannot be done.
    #[error("{0}")]
    Request(String),
    /// The store is not named, or its folder cannot be used.
    #[error(
        "cannot use the store {store:?}; set STORE to the URL of a folder, such as file:///mnt/data"
    )]
    NoStore {
        /// What `STORE` says.
        store: String,
        /// What is wrong with it.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The store refused to do something.
    #[error("cannot {action} {name}")]
    Store {
        /// What it was to do.
        action: &'static str,
        /// With which object or folder.
        name: String,
        /// What went wrong.
        source: object_store::Error,
    },
    /// An object is not what the step before is known to write.
    #[error("{name} is damaged, or from another version of the step before: {problem}")]
    Malformed {
        /// The object.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The numbers admit no result.
    #[error("cannot {action}")]
    Computation {
        /// What was to be computed.
        action: &'static str,
        /// Why it cannot be.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl Failure {
    /// That an object is not what the step before is known to write.
    pub fn malformed(name: &str, problem: impl ToString) -> Self {
        Self::Malformed { name: name.to_owned(), problem: problem.to_string() }
    }

    /// Checks that a field of an event is within its range.
    ///
    /// # Errors
    /// If it is not.
    pub fn unless_within(
        field: &str,
        value: usize,
        range: &RangeInclusive<usize>,
    ) -> Result<(), Self> {
        if range.contains(&value) {
            return Ok(());
        }
        let (low, high) = (range.start(), range.end());
        Err(Self::Request(format!("{field} is {value}, and has to be from {low} to {high}")))
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Request(_) => "RequestError",
            Self::NoStore { .. } | Self::Store { .. } => "StoreError",
            Self::Malformed { .. } => "MalformedObject",
            Self::Computation { .. } => "ComputationError",
        }
    }
}

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Self {
        Self { error_type: failure.kind().to_owned(), error_message: with_causes(&failure) }
    }
}

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
    use super::*;

    #[test]
    fn lambda_is_told_the_kind_and_every_cause() {
        let source = "no such digit".into();
        let failure = Failure::Computation { action: "count", source };
        let Diagnostic { error_type, error_message } = failure.into();
        assert_eq!(error_type, "ComputationError");
        assert_eq!(error_message, "cannot count: no such digit");
    }

    #[test]
    fn a_range_includes_its_ends() {
        for (value, inside) in [(1, false), (2, true), (5, true), (6, false)] {
            assert_eq!(Failure::unless_within("rows", value, &(2..=5)).is_ok(), inside, "{value}");
        }
    }
}
