//! What an optimisation found, as results are printed and written.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use optimizer::aarc::{self, Change, Place};
use optimizer::comparison::Saving;
use optimizer::gate::CallVerdicts;
use optimizer::measurement::Measurement;
use optimizer::search::{Decision, Standing};
use optimizer::units::Resources;
use optimizer::workflow::{Slo, TaskName};
use serde::Serialize;

use super::Strategy;
use crate::verify;

/// How an optimisation ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Optimized {
    /// With a deployment that keeps the SLO, or the present one if none is better.
    Found(Box<Report>),
    /// Even the largest sizes do not keep the SLO, or fail.
    Unreachable(Box<Unreachable>),
}

/// Why nothing is recommended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unreachable {
    /// Name of the workflow.
    pub workflow: String,
    /// Platform it was measured on.
    pub platform: String,
    /// How the platform ran it.
    pub sandbox: String,
    /// Resources that were chosen from.
    pub space: String,
    /// What it should keep.
    pub slo: Slo,
    /// What was measured instead: the best latency that can be reached, or what fails.
    pub standing: Standing,
    /// Deployment that was measured, as `(A,B)-(C)`.
    pub deployment: String,
    /// What each function had, by its root.
    pub resources: IndexMap<TaskName, Resources>,
    /// What was found, a sentence each.
    pub reasons: Vec<String>,
    /// Everything that was tried, in order.
    pub trials: Vec<TrialReport>,
    /// What finding it took.
    pub spent: Spent,
}

/// What an optimisation found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Name of the workflow.
    pub workflow: String,
    /// Searches that were run.
    pub strategy: Strategy,
    /// Platform it was measured on.
    pub platform: String,
    /// How the platform ran it.
    pub sandbox: String,
    /// Delay that the platform added to every remote invoke.
    pub invoke_overhead: String,
    /// Resources that were chosen from.
    pub space: String,
    /// Prices that costs are computed with.
    pub prices: String,
    /// Seed of payloads, orders and intervals.
    pub seed: u64,
    /// The workflow as it was, in the final comparison.
    pub baseline: Measurement,
    /// The best fusion with the sizes as they were, in the final comparison; nothing where fusing was
    /// no question.
    pub after_fusion: Option<Measurement>,
    /// The best fusion with the sizes found, in the final comparison.
    pub after_sizing: Measurement,
    /// What the safety gate says about each synchronous call, without what it finds fine.
    pub gate: Vec<CallVerdicts>,
    /// The functions of the recommended deployment.
    pub functions: Vec<FunctionReport>,
    /// Everything that was tried, in order.
    pub trials: Vec<TrialReport>,
    /// Whether the best fusion answers like the unfused workflow; nothing if there was none to
    /// verify.
    pub verification: Option<verify::Report>,
    /// What to deploy.
    pub recommendation: RecommendationReport,
    /// Limit of the budget that ended the searches before they were done: what is recommended is then
    /// the best so far.
    pub budget_spent: Option<String>,
    /// What finding it took.
    pub spent: Spent,
}

/// One function of the recommended deployment, and what led to its size.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FunctionReport {
    /// Its root task.
    pub function: TaskName,
    /// What it gets.
    pub resources: Resources,
    /// How long one of its invocations runs, on average, in milliseconds.
    pub runtime_ms: Option<f64>,
    /// Its share of what an execution costs, from 0 to 1.
    pub cost_share: Option<f64>,
    /// Whether it is on the critical path of an orchestrated workflow, and its slack if it is not.
    pub place: Option<Place>,
    /// What was tried with it, in order.
    pub changes: Vec<Change>,
}

impl FunctionReport {
    /// The functions of a measured deployment.
    #[must_use]
    pub fn of(measurement: &Measurement) -> Vec<Self> {
        let cost = measurement.cost_usd.map(|cost| cost.mean).filter(|cost| *cost > 0.0);
        let of_function = |(root, resources): (&TaskName, &Resources)| {
            let measured = measurement.functions.get(root);
            let part = measured.and_then(|measured| measured.cost_usd);
            Self {
                function: root.clone(),
                resources: *resources,
                runtime_ms: measured.and_then(|measured| measured.duration_ms),
                cost_share: part.zip(cost).map(|(part, cost)| part / cost),
                place: None,
                changes: Vec::new(),
            }
        };
        measurement.resources.iter().map(of_function).collect()
    }

    /// The same with what AARC knows of them.
    #[must_use]
    pub fn searched(measurement: &Measurement, searched: &[aarc::FunctionReport]) -> Vec<Self> {
        let mut functions = Self::of(measurement);
        for function in &mut functions {
            let known = searched.iter().find(|known| known.function == function.function);
            if let Some(known) = known {
                function.place = Some(known.place);
                function.changes = known.changes.clone();
            }
        }
        functions
    }
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

/// Resources that differ between two measurements, by function: before and after.
#[must_use]
pub fn resource_changes(
    before: &Measurement,
    after: &Measurement,
) -> BTreeMap<TaskName, (Resources, Resources)> {
    let changes = after.resources.iter().filter_map(|(root, resources)| {
        let was = before.resources.get(root)?;
        (was != resources).then(|| (root.clone(), (*was, *resources)))
    });
    changes.collect()
}
