//! The main job: measures the workflow as it is, lets searches try deployments, and compares the best
//! with the first in interleaved runs.

mod budget;
mod nested;
mod orchestrated;
mod prediction;
mod report;
mod run;

use optimizer::aarc::{AarcError, AarcParameters};
use optimizer::gate::Gate;
use optimizer::pointer::Pattern;
use optimizer::price::PriceBook;
use optimizer::space::ResourceSpace;
use serde::Serialize;

use crate::events::Observer;
use crate::lab::Lab;
use crate::measure::{Effort, MeasureError};
use crate::project::Project;

pub use self::budget::{Budget, Exhausted, Planned};
pub use self::prediction::Prediction;
pub use self::report::{
    FunctionReport, Optimized, RecommendationReport, Report, Spent, TrialReport, Unreachable,
    resource_changes,
};
use self::run::Run;

/// How much an optimisation may spend, and on what.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    /// Which searches are run.
    pub strategy: Strategy,
    /// Warm executions of every trial.
    pub trial: Effort,
    /// Executions of each deployment in the final comparison.
    pub comparison: Effort,
    /// Parameters of Algorithms 4.1 and 4.2; how many executions a trial has is said above.
    pub aarc: AarcParameters,
    /// Resources to choose from.
    pub space: ResourceSpace,
    /// What executions cost.
    pub prices: PriceBook,
    /// Distance between memory sizes that are tried, in MB.
    pub memory_step_mb: u32,
    /// How a fusion is verified before it can be recommended.
    pub verification: Verification,
    /// Limits on all of it.
    pub budget: Budget,
    /// Seed of payloads, orders and intervals.
    pub seed: u64,
}

/// Which searches are run.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Fusion, then memory: the thesis's Algorithms 3.1 and 3.2.
    Nested,
    /// vCPU and memory of every function of an orchestrated workflow: Algorithms 4.1 and 4.2.
    Aarc,
}

/// How a fusion is verified.
#[derive(Clone, Debug, PartialEq)]
pub struct Verification {
    /// Requests of each payload template; without any, nothing is verified.
    pub requests: u32,
    /// Fields that may differ.
    pub ignore: Vec<Pattern>,
    /// Whether the functions' logs may hold the payloads of calls.
    pub record_payloads: bool,
}

/// Where and under which conditions an optimisation runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Conditions {
    /// Platform.
    pub platform: String,
    /// How it runs functions.
    pub sandbox: String,
    /// Delay that it adds to every remote invoke.
    pub invoke_overhead: String,
}

/// The executions that the final comparison takes at most.
#[must_use]
pub fn least_executions(strategy: Strategy, comparison: Effort) -> u64 {
    let deployments = match strategy {
        // As it was, fused, and sized as well.
        Strategy::Nested => 3,
        Strategy::Aarc => 2,
    };
    deployments * comparison.all()
}

/// Why an optimisation stopped.
#[derive(Debug, thiserror::Error)]
pub enum OptimizeError {
    /// A measurement failed.
    #[error(transparent)]
    Measure(#[from] MeasureError),
    /// There is nothing to search.
    #[error(transparent)]
    Aarc(#[from] AarcError),
}

/// Runs the optimisation. Fusions that the gate forbids are not tried.
///
/// # Errors
/// If a deployment, `prepare` or the reading of logs fails. That requests fail is a result.
pub async fn optimize(
    lab: &impl Lab,
    project: &Project,
    parameters: &Parameters,
    gate: &Gate,
    conditions: Conditions,
    observer: &dyn Observer,
) -> Result<Optimized, OptimizeError> {
    let run = Run::start(lab, project, parameters, observer).await?;
    match parameters.strategy {
        Strategy::Nested => Ok(nested::optimize(run, gate, conditions).await?),
        Strategy::Aarc => orchestrated::optimize(run, conditions).await,
    }
}
