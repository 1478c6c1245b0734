//! Searches as pure state machines: a search says what to try next and is told what came of it.
//! It does no I/O, holds no clock and is serialisable, so the same search runs against a cloud, a
//! local backend, recorded data or a simulator, and can go on in another process.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::deployment::Deployment;
use crate::execution::{self, Execution};
use crate::measurement;
use crate::workflow::{Slo, TaskName};

/// A deployment to measure.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Trial {
    /// What to measure.
    pub deployment: Deployment,
    /// What to measure beside it, interleaved, because the decision compares the two.
    pub control: Option<Deployment>,
    /// Warm executions of each that the decision needs.
    pub executions: u32,
    /// Why it is tried, as a sentence without a full stop.
    pub reason: String,
}

/// What measuring a trial gave.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Outcome {
    /// Executions of the trial's deployment, cold ones included.
    pub deployment: Vec<Execution>,
    /// Executions of its control; empty if it had none.
    pub control: Vec<Execution>,
}

/// What a search does next.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub enum Step {
    /// Measure this and call [`Search::observe`].
    Try(Trial),
    /// Nothing is left to try.
    Done(Recommendation),
}

/// What became of a trial.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Measured for comparison; nothing was to decide.
    Measured,
    /// Its change is kept.
    Kept,
    /// Its change is undone.
    Undone,
    /// Some of its changes are kept, others undone.
    PartlyKept,
}

/// A decision with its reasons.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Verdict {
    /// What became of the trial.
    pub decision: Decision,
    /// Why, a sentence for each change.
    pub reasons: Vec<String>,
}

/// What a search ends with.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Recommendation {
    /// The best deployment found that keeps the SLO; the first one if none does better.
    pub deployment: Deployment,
    /// What the deployment's executions showed.
    pub standing: Standing,
    /// What was kept, what was rejected and why, a sentence each, in the order of the trials.
    pub reasons: Vec<String>,
}

/// How a deployment stands to the SLO, by the executions of it as a whole.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It keeps the SLO.
    KeepsSlo,
    /// It is too slow.
    MissesSlo {
        /// Latency at the SLO's percentile, in microseconds.
        latency_us: u64,
    },
    /// So many of its executions fail that no latency is low enough.
    Fails {
        /// The function whose own failure came first; none if nothing was executed or what failed
        /// is no function.
        function: Option<TaskName>,
    },
    /// It was not measured: no warm execution was seen, and none that failed.
    Unmeasured,
}

impl Standing {
    /// What executions of a deployment show.
    #[must_use]
    pub fn of(executions: &[Execution], slo: Slo) -> Self {
        match measurement::latency_at(executions, slo.percentile) {
            Some(latency_us) if latency_us <= slo.latency_us => Self::KeepsSlo,
            Some(latency_us) => Self::MissesSlo { latency_us },
            None if !executions.iter().any(Execution::failed) => Self::Unmeasured,
            None => Self::Fails { function: execution::failed_function(executions).cloned() },
        }
    }
}

/// A search for the best deployment.
pub trait Search: Serialize + DeserializeOwned {
    /// What to do next; the same answer until [`Search::observe`] is called.
    fn next(&self) -> Step;

    /// What the search would end with if it ended now.
    fn best_so_far(&self) -> Recommendation;

    /// Takes what came of the trial that [`Search::next`] returned and decides on it.
    fn observe(&mut self, outcome: &Outcome) -> Verdict;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execution::Outcome::{Error, Ok, OutOfMemory, Timeout};
    use crate::execution::Span;
    use crate::testing::execution;
    use crate::workflow::CallKind;

    const SLO: Slo = Slo { latency_us: 10_000, percentile: 100 };

    #[test]
    fn executions_keep_the_slo_miss_it_fail_or_show_nothing() {
        let of = |latency_us, init_us, outcome| {
            Standing::of(&[execution(latency_us, init_us, outcome)], SLO)
        };
        assert_eq!(of(10_000, None, Ok), Standing::KeepsSlo);
        assert_eq!(of(10_001, None, Ok), Standing::MissesSlo { latency_us: 10_001 });
        assert_eq!(of(5_000, None, Error), Standing::Fails { function: Some("a".into()) });
        assert_eq!(of(5_000, Some(1_000), Ok), Standing::Unmeasured, "cold");
        assert_eq!(Standing::of(&[], SLO), Standing::Unmeasured);
    }

    #[test]
    fn the_function_that_failed_by_itself_is_named() {
        let failed = |outcomes: &[(&str, Option<usize>, CallKind, execution::Outcome)]| {
            let mut execution = execution(5_000, None, Error);
            let whole = execution.spans.remove(0);
            for (function, parent, kind, outcome) in outcomes {
                execution.spans.push(Span {
                    function: (*function).into(),
                    parent: *parent,
                    kind: *kind,
                    outcome: *outcome,
                    ..whole.clone()
                });
            }
            match Standing::of(&[execution], SLO) {
                Standing::Fails { function } => function.map(|function| function.0),
                standing => panic!("{standing:?}"),
            }
        };
        let (sync, other) = (CallKind::Sync, CallKind::Async);
        let passed_on = [("a", None, sync, Error), ("b", Some(0), sync, OutOfMemory)];
        assert_eq!(failed(&passed_on).as_deref(), Some("b"));
        let beside = [("a", None, sync, Timeout), ("b", Some(0), other, OutOfMemory)];
        assert_eq!(failed(&beside).as_deref(), Some("a"), "it did not wait for b");
        assert_eq!(failed(&[("a", None, sync, Ok)]), None, "the orchestrator failed");
    }
}
