//! How an orchestrator runs the tasks of a workflow: as steps that wait for each other, or as a state
//! machine. [`run`] is the orchestrator itself, up to invoking and waiting, which its user does.

pub mod condition;
pub mod data;
pub mod failure;
mod graph;
pub mod path;
pub mod run;
pub mod states;
pub mod steps;
pub mod template;

mod processing;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::workflow::TaskName;

pub use self::data::Data;
pub use self::failure::Failure;
pub use self::graph::{StepGraph, StepNode, graph};
pub use self::run::{AttemptId, Command, Event, FlowRun, TimerId};
pub use self::states::States;
pub use self::steps::Steps;

/// A step or a Task state, by its place: names joined by `/`, such as `per-chunk/0/classify` for the
/// state `classify` in branch 0 of the state `per-chunk`. The iterator of a Map counts as a branch
/// without a number: `per-chunk/classify`.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct StepName(pub String);

/// What runs the tasks.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Flow {
    /// Steps, each after others.
    Steps(Steps),
    /// A state machine in Amazon States Language.
    States(States),
}

/// When a failed attempt is made again.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Retry {
    /// Names of errors; `States.ALL` for any.
    pub errors: Vec<String>,
    /// Attempts after the first.
    pub attempts: u32,
    /// Before the first of them, in microseconds.
    pub interval_us: u64,
    /// By how much the interval grows from one to the next, at least 1.
    pub backoff: f64,
    /// The longest interval, in microseconds.
    pub longest_us: Option<u64>,
}

impl Flow {
    /// Every task that it invokes, those that only stand in for failed steps last.
    pub(crate) fn invoked(&self) -> Vec<&TaskName> {
        let mut tasks: Vec<&TaskName> = self.tasks().into_iter().map(|(_, task)| task).collect();
        if let Self::Steps(steps) = self {
            tasks.extend(steps.iter().flat_map(|(_, step)| &step.catch).map(|catch| &catch.task));
        }
        tasks
    }

    /// Every step or Task state with its task, in the order they are written in.
    #[must_use]
    pub fn tasks(&self) -> Vec<(StepName, &TaskName)> {
        match self {
            Self::Steps(steps) => {
                steps.iter().map(|(name, step)| (StepName(name.clone()), &step.task)).collect()
            }
            Self::States(states) => states.tasks(),
        }
    }
}

impl fmt::Display for StepName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for StepName {
    fn from(name: &str) -> Self {
        Self(name.to_owned())
    }
}
