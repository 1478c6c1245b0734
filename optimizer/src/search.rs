//! Searches as pure state machines: a search says what to try next and is told what came of it.
//! It does no I/O, holds no clock and is serialisable, so the same search runs against a cloud, a
//! local backend, recorded data or a simulator, and can go on in another process.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::deployment::Deployment;
use crate::execution::Execution;

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
    /// What was kept, what was rejected and why, a sentence each, in the order of the trials.
    pub reasons: Vec<String>,
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
