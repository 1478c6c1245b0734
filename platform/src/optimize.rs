//! The main job: deploys the unfused workflow, lets the searches try fusions and sizes on it, and
//! compares the best deployment with the first one in interleaved runs.

use std::collections::BTreeMap;
use std::time::Instant;

use optimizer::comparison::{self, Demand, Saving};
use optimizer::deployment::Deployment;
use optimizer::execution::Execution;
use optimizer::fusion::{FusionParameters, FusionSearch};
use optimizer::gate::{CallVerdicts, Effect, Gate};
use optimizer::measurement::Measurement;
use optimizer::pointer::Pattern;
use optimizer::search::{Decision, Outcome, Search, Step};
use optimizer::sizing::{SizingParameters, SizingSearch};
use optimizer::space::ResourceSpace;
use serde::Serialize;

use crate::events::RunEvent;
use crate::measure::{Bench, Effort, MeasureError};
use crate::verify::{self, Payloads, Verifier};

/// How much an optimisation may spend.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    /// Warm executions of every trial.
    pub trial: Effort,
    /// Executions of each deployment in the final comparison.
    pub comparison: Effort,
    /// Memory sizes to choose from.
    pub space: ResourceSpace,
    /// Distance between memory sizes that are tried, in MB.
    pub memory_step_mb: u32,
    /// How a fusion is verified before it can be recommended.
    pub verification: Verification,
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

/// What an optimisation found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Name of the workflow.
    pub workflow: String,
    /// Platform it was measured on.
    pub platform: String,
    /// How the platform ran it.
    pub sandbox: String,
    /// Delay that the platform added to every remote invoke.
    pub invoke_overhead: String,
    /// Prices that costs are computed with.
    pub prices: String,
    /// Seed of payloads, orders and intervals.
    pub seed: u64,
    /// The workflow as it was, in the final comparison.
    pub baseline: Measurement,
    /// The best fusion with the sizes as they were, in the final comparison.
    pub after_fusion: Measurement,
    /// The best fusion with the sizes found, in the final comparison.
    pub after_sizing: Measurement,
    /// What the safety gate says about each synchronous call, without what it finds fine.
    pub gate: Vec<CallVerdicts>,
    /// Everything that was tried, in order.
    pub trials: Vec<TrialReport>,
    /// Whether the best fusion answers like the unfused workflow; nothing if there was none to
    /// verify.
    pub verification: Option<verify::Report>,
    /// What to deploy.
    pub recommendation: RecommendationReport,
    /// What finding it took.
    pub spent: Spent,
}

/// A trial and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrialReport {
    /// Search that asked for it.
    pub search: &'static str,
    /// What was tried, as `(A,B)-(C)`.
    pub deployment: String,
    /// What was measured.
    pub measurement: Measurement,
    /// What was measured beside it, if the decision compared the two.
    pub control: Option<Measurement>,
    /// What became of it.
    pub decision: Decision,
    /// Why.
    pub reason: String,
}

/// What to deploy, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RecommendationReport {
    /// As `(A,B)-(C)`.
    pub deployment: String,
    /// In the final comparison.
    pub measurement: Measurement,
    /// Against the baseline.
    pub saving: Saving,
    /// What was kept, what was rejected, and why.
    pub reasons: Vec<String>,
}

/// What an optimisation spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spent {
    /// Executions of the workflow.
    pub executions: u64,
    /// What they cost, in dollars.
    pub usd: f64,
    /// Wall time, in seconds.
    pub seconds: f64,
}

/// Where and under which conditions an optimisation ran.
#[derive(Clone, Debug, PartialEq)]
pub struct Conditions {
    /// Platform.
    pub platform: String,
    /// How it runs functions.
    pub sandbox: String,
    /// Delay that it adds to every remote invoke.
    pub invoke_overhead: String,
}

/// Runs the optimisation. Fusions that the gate forbids are not tried.
///
/// # Errors
/// If a deployment, `prepare` or the reading of logs fails. That requests fail is a result.
pub async fn optimize(
    bench: &Bench<'_>,
    parameters: &Parameters,
    gate: &Gate,
    conditions: Conditions,
) -> Result<Report, MeasureError> {
    let started = Instant::now();
    let workflow = &bench.project.workflow;
    bench.observer.on_event(RunEvent::Deploying { tasks: workflow.tasks().len() });
    bench.deployer.deploy_tasks().await?;
    let mut run = Run { bench, parameters, trials: Vec::new(), spent: Spent::default() };

    let baseline = Deployment::unfused(workflow);
    let fusion = FusionParameters { executions: parameters.trial.executions, seed: bench.seed };
    let search = FusionSearch::new(workflow, baseline.clone(), fusion).with_gate(gate.clone());
    let (fused, mut reasons) = run.search("fusion (thesis, Algorithm 3.1)", search).await?;
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
        seed: bench.seed,
        fixed: bench.project.constraints.fixed.keys().cloned().collect(),
        ..SizingParameters::default()
    };
    let search = SizingSearch::new(workflow, fused.clone(), parameters.space.clone(), sizing);
    let (sized, sizing_reasons) = run.search("sizing (thesis, Algorithm 3.2)", search).await?;
    reasons.extend(sizing_reasons);

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
    let choice = comparison::choose(&arms, workflow.slo(), bench.seed, demand);
    reasons.extend(choice.reasons);
    let measurements = [&baseline, &fused, &sized]
        .into_iter()
        .zip(&compared)
        .map(|(deployment, executions)| Measurement::of(deployment, executions, bench.seed))
        .collect::<Vec<_>>();
    run.spent.seconds = started.elapsed().as_secs_f64();
    Ok(Report {
        workflow: workflow.name().to_owned(),
        platform: conditions.platform,
        sandbox: conditions.sandbox,
        invoke_overhead: conditions.invoke_overhead,
        prices: bench.prices.name.clone(),
        seed: bench.seed,
        baseline: measurements[0].clone(),
        after_fusion: measurements[1].clone(),
        after_sizing: measurements[2].clone(),
        gate: without_the_fine(gate.judge_calls(workflow)),
        trials: run.trials,
        verification,
        recommendation: RecommendationReport {
            deployment: measurements[choice.index].deployment.clone(),
            measurement: measurements[choice.index].clone(),
            saving: choice.saving,
            reasons,
        },
        spent: run.spent,
    })
}

fn without_the_fine(mut calls: Vec<CallVerdicts>) -> Vec<CallVerdicts> {
    calls.iter_mut().for_each(|call| call.verdicts.retain(|one| one.effect > Effect::None));
    calls
}

struct Run<'a, 'b> {
    bench: &'a Bench<'b>,
    parameters: &'a Parameters,
    trials: Vec<TrialReport>,
    spent: Spent,
}

impl Run<'_, '_> {
    /// Drives a search to its end.
    async fn search(
        &mut self,
        name: &'static str,
        mut search: impl Search,
    ) -> Result<(Deployment, Vec<String>), MeasureError> {
        let observer = self.bench.observer;
        observer.on_event(RunEvent::SearchStarted { search: name });
        loop {
            let trial = match search.next() {
                Step::Done(found) => return Ok((found.deployment, found.reasons)),
                Step::Try(trial) => trial,
            };
            let number = self.trials.len() as u32 + 1;
            observer.on_event(RunEvent::TrialStarted { number, trial: trial.clone() });
            let arms: Vec<&Deployment> =
                std::iter::once(&trial.deployment).chain(&trial.control).collect();
            let effort = Effort { executions: trial.executions, ..self.parameters.trial };
            let mut measured = self.measure(&arms, effort).await?.into_iter();
            let outcome = Outcome {
                deployment: measured.next().unwrap_or_default(),
                control: measured.next().unwrap_or_default(),
            };
            let verdict = search.observe(&outcome);
            observer.on_event(RunEvent::TrialDecided { number, verdict: verdict.clone() });
            let seed = self.bench.seed;
            self.trials.push(TrialReport {
                search: name,
                deployment: trial.deployment.to_string(),
                measurement: Measurement::of(&trial.deployment, &outcome.deployment, seed),
                control: trial
                    .control
                    .map(|control| Measurement::of(&control, &outcome.control, seed)),
                decision: verdict.decision,
                reason: verdict.reasons.join("; "),
            });
        }
    }

    /// Verifies a fusion against the unfused workflow, on deployments of its own, so that nothing
    /// that is measured records payloads.
    async fn verify(
        &mut self,
        unfused: &Deployment,
        fused: &Deployment,
    ) -> Result<Option<verify::Report>, MeasureError> {
        let Verification { requests: each, ignore, record_payloads } =
            &self.parameters.verification;
        if fused == unfused || *each == 0 {
            return Ok(None);
        }
        let recording = self.bench.deployer.recording_payloads();
        let deployer = if *record_payloads { &recording } else { self.bench.deployer };
        deployer.deploy_tasks().await?;
        let Bench { endpoint, project, observer, seed, .. } = *self.bench;
        let verifier = Verifier { endpoint, project, deployer, observer };
        let payloads = Payloads::Templates { each: *each, seed };
        let report = verifier.verify(unfused, fused, &payloads, ignore).await?;
        Ok(Some(report))
    }

    /// Measures three deployments side by side; equal ones are measured once.
    async fn compare(
        &mut self,
        deployments: [&Deployment; 3],
    ) -> Result<[Vec<Execution>; 3], MeasureError> {
        let mut arms: Vec<&Deployment> = Vec::new();
        for deployment in deployments {
            if !arms.contains(&deployment) {
                arms.push(deployment);
            }
        }
        self.bench.observer.on_event(RunEvent::ComparisonStarted {
            deployments: arms.iter().map(|arm| with_memory(arm)).collect(),
        });
        let measured = self.measure(&arms, self.parameters.comparison).await?;
        let of = |deployment: &Deployment| {
            let at = arms.iter().position(|arm| *arm == deployment);
            at.map(|at| measured[at].clone()).unwrap_or_default()
        };
        Ok(deployments.map(of))
    }

    async fn measure(
        &mut self,
        arms: &[&Deployment],
        effort: Effort,
    ) -> Result<Vec<Vec<Execution>>, MeasureError> {
        let measured = self.bench.measure(arms, effort).await?;
        self.spent.executions += measured.iter().map(|arm| arm.len() as u64).sum::<u64>();
        self.spent.usd += measured.iter().flatten().map(|one| one.cost().usd()).sum::<f64>();
        Ok(measured)
    }
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

/// A deployment with the memory of each function, such as `(a,b)-(c): a 512 MB, c 256 MB`.
fn with_memory(deployment: &Deployment) -> String {
    let functions = deployment.functions().iter();
    let memory: Vec<String> =
        functions.map(|(root, function)| format!("{root} {}", function.resources.memory)).collect();
    format!("{deployment}: {}", memory.join(", "))
}

/// Resources that differ between two measurements, by function: before and after, in MB.
#[must_use]
pub fn memory_changes(before: &Measurement, after: &Measurement) -> BTreeMap<String, (u32, u32)> {
    after
        .resources
        .iter()
        .filter_map(|(root, resources)| {
            let was = before.resources.get(root)?;
            (was != resources).then(|| (root.0.clone(), (was.memory.0, resources.memory.0)))
        })
        .collect()
}
