//! Where an optimisation measures deployments: an endpoint, or the simulator.

use optimizer::deployment::Deployment;
use optimizer::execution::Execution;
use optimizer::measurement;

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

    /// Measures a deployment that differs in nothing but sizes from the one that was measured this way
    /// before: where the platform can do that, instances go on with other sizes, so that a trial takes
    /// little more than its `executions`, which are warm or failed. Cold ones are returned as well, and
    /// if instances keep starting, fewer warm ones.
    fn measure_sizes(
        &self,
        deployment: &Deployment,
        executions: u32,
    ) -> impl Future<Output = Result<Vec<Execution>, MeasureError>>;

    /// Time that has passed, in seconds from any moment: the platform's own, if its time is not ours.
    fn seconds(&self) -> f64;

    /// Verifies a fusion against the unfused workflow; nothing where functions give no answers.
    fn verify(
        &self,
        unfused: &Deployment,
        fused: &Deployment,
        verification: &Verification,
    ) -> impl Future<Output = Result<Option<verify::Report>, MeasureError>>;
}

/// How often [`Lab::measure_sizes`] sends requests again in the place of those that were cold: a step that
/// is invoked for many elements at once may need a few executions until it has all instances.
pub(crate) const SIZE_ATTEMPTS: u32 = 4;

/// How many of the executions that were wanted are still missing.
pub(crate) fn missing(wanted: u32, measured: &[Execution]) -> u32 {
    let warm = measurement::warm(measured).count();
    let cold_failures = measured.iter().filter(|one| one.is_cold() && one.failed()).count();
    wanted.saturating_sub((warm + cold_failures) as u32)
}
