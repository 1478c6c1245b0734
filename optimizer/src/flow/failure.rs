//! How a step, a state or an execution fails: errors by name, as in the Amazon States Language, which
//! names match which, and when a failed attempt is made again.

use serde::{Deserialize, Serialize};

use super::Retry;
use super::data::Data;

/// Matches every error but those that nothing can handle.
pub const ALL: &str = "States.ALL";
/// Matches every error of that kind but timeouts.
pub const TASK_FAILED: &str = "States.TaskFailed";
/// A task took longer than it may.
pub const TIMEOUT: &str = "States.Timeout";
/// A machine that cannot go on, such as at a path that leads nowhere. Nothing handles it.
pub const RUNTIME: &str = "States.Runtime";
/// Data that are too large. Nothing but its own name handles it.
pub const DATA_LIMIT_EXCEEDED: &str = "States.DataLimitExceeded";
/// A Choice state without a rule that holds or a default.
pub const NO_CHOICE_MATCHED: &str = "States.NoChoiceMatched";
/// `Parameters` name something that is not there.
pub const PARAMETER_PATH_FAILURE: &str = "States.ParameterPathFailure";
/// `ResultPath` leads through something that has no fields.
pub const RESULT_PATH_MATCH_FAILURE: &str = "States.ResultPathMatchFailure";

/// A failure.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Failure {
    /// Name of the error.
    pub error: String,
    /// What is said of it.
    pub cause: String,
}

impl Failure {
    pub(crate) fn new(error: &str, cause: impl Into<String>) -> Self {
        Self { error: error.to_owned(), cause: cause.into() }
    }

    /// Whether one of these names is that of the error or matches it: `States.ALL` and
    /// `States.TaskFailed` do, the latter not `States.Timeout`. As on AWS, nothing matches
    /// `States.Runtime`, and only its own name `States.DataLimitExceeded`.
    #[must_use]
    pub fn is_one_of(&self, names: &[String]) -> bool {
        let matches = |name: &str| match (name, self.error.as_str()) {
            (_, RUNTIME) | (ALL | TASK_FAILED, DATA_LIMIT_EXCEEDED) => false,
            (ALL, _) => true,
            (TASK_FAILED, error) => error != TIMEOUT,
            (name, error) => name == error,
        };
        names.iter().any(|name| matches(name))
    }

    /// `{"Error", "Cause"}`, what a handler is told.
    pub(crate) fn data(&self) -> [(&'static str, Data); 2] {
        [("Error", self.error.as_str().into()), ("Cause", self.cause.as_str().into())]
    }
}

/// How often each of several retriers has been used for one attempt; empty before the first failure.
pub(super) type Retries = Vec<u32>;

/// The pause before the attempt is made again, in microseconds, and counts it; `None` if it is not made
/// again: the first retrier that matches decides, and has no attempts left.
pub(super) fn pause_us(
    retriers: &[Retry],
    retries: &mut Retries,
    failure: &Failure,
) -> Option<u64> {
    let number = retriers.iter().position(|retrier| failure.is_one_of(&retrier.errors))?;
    let retrier = &retriers[number];
    retries.resize(retriers.len(), 0);
    let made = retries[number];
    if made >= retrier.attempts {
        return None;
    }
    retries[number] += 1;
    let exponent = i32::try_from(made).unwrap_or(i32::MAX);
    // Converting saturates, so that no backoff is too large.
    let pause_us = (retrier.interval_us as f64 * retrier.backoff.powi(exponent)) as u64;
    Some(pause_us.min(retrier.longest_us.unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_errors() {
        for (name, error, expect) in [
            ("ValueError", "ValueError", true),
            ("ValueError", "KeyError", false),
            (ALL, "KeyError", true),
            (ALL, TIMEOUT, true),
            (ALL, RUNTIME, false),
            (RUNTIME, RUNTIME, false),
            (ALL, DATA_LIMIT_EXCEEDED, false),
            (DATA_LIMIT_EXCEEDED, DATA_LIMIT_EXCEEDED, true),
            (TASK_FAILED, "KeyError", true),
            (TASK_FAILED, TIMEOUT, false),
        ] {
            let failure = Failure::new(error, "");
            let names = ["Other".to_owned(), name.to_owned()];
            assert_eq!(failure.is_one_of(&names), expect, "{name} {error}");
        }
    }

    #[test]
    fn pauses_grow_up_to_the_longest_and_each_retrier_counts_for_itself() {
        let retrier = |errors: &str, attempts, longest_us| Retry {
            errors: vec![errors.to_owned()],
            attempts,
            interval_us: 1_000,
            backoff: 2.0,
            longest_us,
        };
        let retriers = [retrier("A", 2, None), retrier(ALL, 4, Some(3_000))];
        let mut retries = Retries::new();
        let pauses: Vec<_> = ["A", "B", "B", "A", "B", "B", "B", "A"]
            .iter()
            .map(|error| pause_us(&retriers, &mut retries, &Failure::new(error, "")))
            .collect();
        let some = |us: &[u64]| us.iter().copied().map(Some).collect::<Vec<_>>();
        assert_eq!(pauses[..6], some(&[1_000, 1_000, 2_000, 2_000, 3_000, 3_000]));
        assert_eq!(pauses[6..], [None, None], "the second A is not passed on to the other retrier");
        let endless = Retry { backoff: 1e9, ..retrier("A", u32::MAX, None) };
        let mut retries = vec![u32::MAX - 1];
        assert_eq!(pause_us(&[endless], &mut retries, &Failure::new("A", "")), Some(u64::MAX));
    }
}
