//! What an optimisation found, as results are printed and written.

use std::collections::BTreeMap;

use optimizer::comparison::Saving;
use optimizer::gate::CallVerdicts;
use optimizer::measurement::Measurement;
use optimizer::search::Decision;
use optimizer::units::Resources;
use optimizer::workflow::TaskName;
use serde::Serialize;

use super::Strategy;
use crate::verify;

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
