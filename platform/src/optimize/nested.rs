//! Workflows whose functions call each other: fusion (thesis, Algorithm 3.1), then memory sizes
//! (Algorithm 3.2).

use optimizer::comparison::{self, Demand};
use optimizer::deployment::Deployment;
use optimizer::fusion::{FusionParameters, FusionSearch};
use optimizer::gate::{CallVerdicts, Effect, Gate};
use optimizer::measurement::Measurement;
use optimizer::sizing::{SizingParameters, SizingSearch};

use super::Conditions;
use super::report::{Optimized, Report};
use super::run::{Measuring, Run};
use crate::lab::Lab;
use crate::measure::MeasureError;
use crate::verify;

/// Runs both searches and compares the original, the fused and the sized deployment.
pub(super) async fn optimize(
    mut run: Run<'_, impl Lab>,
    gate: &Gate,
    conditions: Conditions,
) -> Result<Optimized, MeasureError> {
    let (project, parameters) = (run.project, run.parameters);
    let (workflow, seed) = (&project.workflow, parameters.seed);
    let baseline = Deployment::unfused(workflow);

    let fusion = FusionParameters { executions: parameters.trial.executions, seed };
    let mut search = FusionSearch::new(workflow, baseline.clone(), fusion).with_gate(gate.clone());
    let name = "fusion (thesis, Algorithm 3.1)";
    let found = run.search(name, &mut search, Measuring::Anew).await?;
    let (fused, mut reasons) = (found.deployment, found.reasons);
    let verification = run.verify(&baseline, &fused).await?;
    reasons.extend(verification.as_ref().map(verified));
    // What answers differently is not gone on with; sizes can still be found for the rest.
    let fused = match &verification {
        Some(report) if !report.equal => baseline.clone(),
        _ => fused,
    };

    let sizing = SizingParameters {
        memory_step_mb: parameters.memory_step_mb,
        executions: parameters.trial.executions,
        seed,
        fixed: project.constraints.fixed.keys().cloned().collect(),
        ..SizingParameters::default()
    };
    let mut search = SizingSearch::new(workflow, fused.clone(), parameters.space.clone(), sizing);
    let name = "sizing (thesis, Algorithm 3.2)";
    let found = run.search(name, &mut search, Measuring::Anew).await?;
    let sized = found.deployment;
    reasons.extend(found.reasons);

    let compared = run.compare([&baseline, &fused, &sized]).await?;
    let [baseline_executions, fused_executions, sized_executions] = &compared;
    let arms = [
        ("the present deployment", baseline_executions.as_slice()),
        ("the fused deployment", fused_executions.as_slice()),
        ("the fused and sized deployment", sized_executions.as_slice()),
    ];
    let wanted = workflow
        .synchronous_calls()
        .any(|call| gate.wants_together(&call) && fused.is_inlined(&call));
    let demand = if wanted { Demand::Nothing } else { Demand::Cheaper };
    let choice = comparison::choose(&arms, workflow.slo(), seed, demand);
    let measured = [&baseline, &fused, &sized]
        .into_iter()
        .zip(&compared)
        .map(|(deployment, executions)| Measurement::of(deployment, executions, seed))
        .collect::<Vec<_>>();
    Ok(Optimized::Found(Box::new(Report {
        after_fusion: Some(measured[1].clone()),
        gate: without_the_fine(gate.judge_calls(workflow)),
        verification,
        ..run.report(conditions, &measured, choice, reasons)
    })))
}

fn without_the_fine(mut calls: Vec<CallVerdicts>) -> Vec<CallVerdicts> {
    calls.iter_mut().for_each(|call| call.verdicts.retain(|one| one.effect > Effect::None));
    calls
}

/// What a verification means for the recommendation.
fn verified(report: &verify::Report) -> String {
    let fused = &report.deployments[1];
    match report.differences.first() {
        None => format!(
            "verified {fused}: {} requests were answered as without fusion, {} fields left out",
            report.requests,
            report.ignored.len()
        ),
        Some(first) => format!(
            "did not keep {fused}: it answers differently, {}; see `fuseline verify`",
            first.sentence()
        ),
    }
}
