//! Where an optimisation measures deployments: an endpoint, or the simulator.

use optimizer::deployment::Deployment;
use optimizer::execution::Execution;

use crate::measure::{Effort, MeasureError};
use crate::optimize::Verification;
use crate::verify;

/// Measures deployments of one workflow.
pub trait Lab {
    /// Deploys every task as a function of its own.
    fn deploy_tasks(&self) -> impl Future<Output = Result<(), MeasureError>>;

    /// Measures deployments side by side; returns the executions of each, cold ones included, in the
    /// order they were made in.
    fn measure(
        &self,
        arms: &[&Deployment],
        effort: Effort,
    ) -> impl Future<Output = Result<Vec<Vec<Execution>>, MeasureError>>;

    /// Verifies a fusion against the unfused workflow; nothing where functions give no answers.
    fn verify(
        &self,
        unfused: &Deployment,
        fused: &Deployment,
        verification: &Verification,
    ) -> impl Future<Output = Result<Option<verify::Report>, MeasureError>>;
}
