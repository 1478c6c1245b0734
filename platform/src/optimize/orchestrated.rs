//! Workflows whose functions an orchestrator runs: vCPU and memory of each by AARC (thesis,
//! Algorithms 4.1 and 4.2).

use optimizer::aarc::{AarcParameters, AarcSearch};
use optimizer::comparison::{self, Demand};
use optimizer::deployment::Deployment;
use optimizer::measurement::Measurement;
use optimizer::search::Standing;

use super::report::{FunctionReport, Optimized, Report, Unreachable};
use super::run::{Measuring, Run};
use super::{Conditions, OptimizeError};
use crate::lab::Lab;

/// Runs the search and compares what it found with the original.
pub(super) async fn optimize(
    mut run: Run<'_, impl Lab>,
    conditions: Conditions,
) -> Result<Optimized, OptimizeError> {
    let (project, parameters) = (run.project, run.parameters);
    let (workflow, seed) = (&project.workflow, parameters.seed);
    let baseline = Deployment::unfused(workflow);
    let aarc = AarcParameters {
        executions: parameters.trial.executions,
        fixed: project.constraints.fixed.keys().cloned().collect(),
        ..parameters.aarc.clone()
    };
    let mut search = AarcSearch::new(workflow, baseline.clone(), parameters.space.clone(), aarc)?;
    let name = "sizing (thesis, Algorithms 4.1 and 4.2)";
    let found = run.search(name, &mut search, Measuring::Sizes).await?;
    if let Standing::MissesSlo { .. } | Standing::Fails { .. } = found.standing {
        return Ok(Optimized::Unreachable(Box::new(Unreachable {
            workflow: workflow.name().to_owned(),
            platform: conditions.platform,
            sandbox: conditions.sandbox,
            space: parameters.space.name().to_owned(),
            slo: workflow.slo(),
            standing: found.standing,
            deployment: found.deployment.to_string(),
            resources: found
                .deployment
                .functions()
                .iter()
                .map(|(root, function)| (root.clone(), function.resources))
                .collect(),
            reasons: found.reasons,
            trials: run.trials,
            spent: run.spent,
        })));
    }

    let sized = found.deployment;
    let [before, after] = run.compare([&baseline, &sized]).await?;
    let arms = [("the present deployment", before.as_slice()), ("the sized deployment", &after)];
    let choice = comparison::choose(&arms, workflow.slo(), seed, Demand::Cheaper);
    let measured =
        [Measurement::of(&baseline, &before, seed), Measurement::of(&sized, &after, seed)];
    let functions = FunctionReport::searched(&measured[choice.index], &search.functions());
    let report = run.report(conditions, &measured, choice, found.reasons);
    Ok(Optimized::Found(Box::new(Report { functions, ..report })))
}
