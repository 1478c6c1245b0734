//! What an optimisation can cost at most, before it begins.

use optimizer::sizing::SizingParameters;
use optimizer::units::PicoUsd;
use serde::Serialize;

use super::{Parameters, Strategy, least_executions};
use crate::project::Project;

/// Bounds of what an optimisation makes and spends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// Executions of the workflow, cold ones included; most searches end long before.
    pub executions: u64,
    /// What one execution costs if every function is invoked once and runs into its timeout with the most memory,
    /// in dollars.
    pub dearest_usd: f64,
}

impl Prediction {
    /// Of an optimisation of a project.
    #[must_use]
    pub fn of(project: &Project, parameters: &Parameters) -> Self {
        let last = least_executions(parameters.strategy, parameters.comparison);
        let trials = match parameters.strategy {
            Strategy::Nested => {
                let fusions = project.workflow.synchronous_calls().count() as u64;
                // Each is measured beside a control; an iteration of the sizing has two runs, and one of its own
                // after a restart.
                let sizings = 3 * u64::from(SizingParameters::default().max_iterations);
                (2 * fusions + sizings) * parameters.trial.all()
            }
            Strategy::Aarc => u64::from(parameters.aarc.max_trials) * parameters.trial.all(),
        };
        let most = parameters.budget.executions.unwrap_or(u64::MAX);
        let largest = parameters.space.largest();
        let each = project.tasks.values();
        let each = each.map(|task| parameters.prices.cost(largest, task.timeout_ms));
        Self { executions: (trials + last).min(most), dearest_usd: each.sum::<PicoUsd>().usd() }
    }

    /// What all of it can cost, in dollars.
    #[must_use]
    pub fn usd(&self) -> f64 {
        self.executions as f64 * self.dearest_usd
    }
}
