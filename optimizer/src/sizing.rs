//! Algorithm 3.2 of the thesis (§3.3.3): how much memory every function gets, all at once, by
//! descent.
//!
//! Each iteration compares every function's cost at its present size with that one step smaller and
//! one step larger, and moves it to the cheaper side. One run shows all functions one step smaller,
//! one all one step larger; each is made only if it shows some function a size it has not seen. At
//! a local minimum a function probes a smaller size, then restarts from a random one not yet seen,
//! until it has met as many local minima as the threshold or has seen every size.
//!
//! Where it differs from the thesis:
//! * After a probe or a restart the new size has to be measured itself, in a run of its own.
//! * Functions that are settled keep their best size in the runs of the others, and sizes known to
//!   fail are not run again, so that one function's failures do not hide the others' costs.
//! * A function that ran out of memory or time or crashed, more often than in the start, is
//!   infinitely expensive at that size, and so are all smaller ones.
//! * The combination of each function's best size is measured as a whole at the end if it never
//!   was. A caller's cost includes the time it waits for its callees at *their* sizes of that run,
//!   so only whole measurements are recommended.
//!
//! As in the thesis the recommendation is the cheapest deployment by mean cost, so it is a little
//! luckier than it will be in use; measure it once more beside the start before applying it.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::deployment::Deployment;
use crate::descent::{Descent, Grid, Observed, Side};
use crate::execution::{self, Execution};
use crate::measurement::{billed_to, warm};
use crate::random::SplitMix64;
use crate::ranking::Ranking;
use crate::search::{Decision, Outcome, Recommendation, Search, Step, Trial, Verdict};
use crate::space::ResourceSpace;
use crate::text;
use crate::units::PicoUsd;
use crate::workflow::{TaskName, Workflow};

/// How far and how thoroughly to search. The range of sizes is that of the [`ResourceSpace`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SizingParameters {
    /// Distance between neighbouring sizes, rounded up to the steps of the space.
    pub memory_step_mb: u32,
    /// Iterations after which it ends in any case.
    pub max_iterations: u32,
    /// Local minima after which a function is settled.
    pub local_minima: u32,
    /// Warm executions of each trial.
    pub executions: u32,
    /// Seed of the restarts.
    pub seed: u64,
    /// Functions, by root, that keep what they have.
    pub fixed: BTreeSet<TaskName>,
}

impl Default for SizingParameters {
    /// Steps of 128 MB and 200 executions, as in the thesis's experiments, which went from 128 to
    /// 1024 MB.
    fn default() -> Self {
        Self {
            memory_step_mb: 128,
            max_iterations: 20,
            local_minima: 2,
            executions: 200,
            seed: 0,
            fixed: BTreeSet::new(),
        }
    }
}

/// The search; see the [module](self).
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct SizingSearch {
    start: Deployment,
    space: ResourceSpace,
    parameters: SizingParameters,
    /// The functions to size, by root.
    descents: IndexMap<TaskName, Descent>,
    /// Failed spans and invocations of each function in the start.
    failures_at_start: BTreeMap<TaskName, (usize, usize)>,
    stage: Stage,
    iteration: u32,
    measured: Vec<Deployment>,
    ranking: Ranking,
    generator: SplitMix64,
    reasons: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
enum Stage {
    /// The start has to be measured.
    Start,
    /// A run of one side.
    Run(Side),
    /// The combination of the best sizes has to be measured.
    Whole,
    Done,
}

impl SizingSearch {
    /// A search from `start`, a deployment of `workflow`, within `space`.
    #[must_use]
    pub fn new(
        workflow: &Workflow,
        start: Deployment,
        space: ResourceSpace,
        parameters: SizingParameters,
    ) -> Self {
        let descents = start
            .functions()
            .iter()
            .filter(|(root, _)| !parameters.fixed.contains(*root))
            .map(|(root, function)| (root.clone(), Descent::new(function.resources.memory)))
            .collect();
        Self {
            start,
            space,
            descents,
            failures_at_start: BTreeMap::new(),
            stage: Stage::Start,
            iteration: 0,
            measured: Vec::new(),
            ranking: Ranking::new(workflow.slo()),
            generator: SplitMix64::new(parameters.seed, 0),
            reasons: Vec::new(),
            parameters,
        }
    }

    fn grid(&self) -> Grid<'_> {
        let step_mb = self.parameters.memory_step_mb.max(1);
        Grid { space: &self.space, step_mb: step_mb.next_multiple_of(self.space.step_mb()) }
    }

    /// The start with other sizes.
    fn sized(&self, size: impl Fn(&Descent, &Grid) -> crate::units::MemoryMb) -> Deployment {
        let grid = self.grid();
        self.descents.iter().fold(self.start.clone(), |deployment, (root, descent)| {
            let memory = size(descent, &grid);
            // A function that executions do not reach keeps what it has, even if its vCPU is
            // not the one that goes with its memory here.
            if descent.is_settled() && descent.seen().is_empty() {
                return deployment;
            }
            deployment.with_resources(root, self.space.resources_for_memory(memory))
        })
    }

    /// What to measure in the present stage.
    fn trial_deployment(&self) -> Option<Deployment> {
        match self.stage {
            Stage::Start => Some(self.start.clone()),
            Stage::Run(side) => Some(self.sized(|descent, grid| descent.size_in(side, grid))),
            Stage::Whole => Some(self.sized(Descent::best)),
            Stage::Done => None,
        }
    }

    /// Notes for every function what its size in this deployment did, and returns whether a size
    /// turned out to fail.
    fn note(&mut self, deployment: &Deployment, executions: &[Execution]) -> bool {
        let mut newly_failed = false;
        for (root, descent) in &mut self.descents {
            let resources = deployment.functions()[root].resources;
            if resources != self.space.resources_for_memory(resources.memory) {
                continue;
            }
            let before = self.failures_at_start.get(root).copied().unwrap_or_default();
            let observed = observe_function(root, executions, before);
            if let Some(observed) = observed {
                let known = descent.seen().get(&resources.memory);
                newly_failed |= observed == Observed::Failed && known != Some(&observed);
                descent.note(resources.memory, observed);
            }
        }
        newly_failed
    }

    fn note_start(&mut self, executions: &[Execution]) {
        let failures = |root: &TaskName| failures(root, executions);
        self.failures_at_start =
            self.descents.keys().map(|root| (root.clone(), failures(root))).collect();
        let succeeded = executions.iter().any(|execution| !execution.failed());
        for (root, descent) in &mut self.descents {
            let (_, invocations) = self.failures_at_start[root];
            if succeeded && invocations == 0 {
                descent.settle();
                self.reasons.push(format!("{root} keeps its size: no execution reached it"));
            }
        }
    }

    /// Counts sizes as failed that a run was to show and did not, though no other size turned out
    /// to fail in it: otherwise the same run would be repeated for ever.
    fn give_up_unshown(&mut self, side: Side, deployment: &Deployment) {
        let step_mb = self.grid().step_mb;
        let grid = Grid { space: &self.space, step_mb };
        for (root, descent) in &mut self.descents {
            if descent.needs(side, &grid) {
                descent.note(deployment.functions()[root].resources.memory, Observed::Failed);
            }
        }
    }

    /// Decides what to measure next.
    fn plan(&mut self) {
        let step_mb = self.grid().step_mb;
        while self.iteration < self.parameters.max_iterations
            && !self.descents.values().all(Descent::is_settled)
        {
            let grid = Grid { space: &self.space, step_mb };
            for side in [Side::Here, Side::Left, Side::Right] {
                if self.descents.values().any(|descent| descent.needs(side, &grid)) {
                    self.stage = Stage::Run(side);
                    return;
                }
            }
            for descent in self.descents.values_mut() {
                descent.advance(&grid, self.parameters.local_minima, &mut self.generator);
            }
            self.iteration += 1;
        }
        let whole = self.sized(Descent::best);
        let is_new = self.stage != Stage::Whole && !self.measured.contains(&whole);
        self.stage = if is_new { Stage::Whole } else { Stage::Done };
    }

    /// For every function, which of the sizes it had costs least.
    fn summaries(&self) -> impl Iterator<Item = String> {
        self.descents.iter().filter_map(|(root, descent)| {
            let (memory, _, runtime_us) = descent.cheapest()?;
            let (smallest, largest) =
                (descent.seen().first_key_value()?.0, descent.seen().last_key_value()?.0);
            let (count, runtime) = (descent.seen().len(), text::milliseconds(runtime_us as f64));
            Some(format!(
                "{root} costs least with {memory} ({runtime} per execution) of {count} sizes from \
                 {smallest} to {largest}"
            ))
        })
    }
}

impl Search for SizingSearch {
    fn next(&self) -> Step {
        let Some(deployment) = self.trial_deployment() else {
            return Step::Done(self.best_so_far());
        };
        let step_mb = self.grid().step_mb;
        let reason = match self.stage {
            Stage::Start => "measures the sizes as they are".to_owned(),
            Stage::Run(Side::Left) => format!("makes every function {step_mb} MB smaller"),
            Stage::Run(Side::Right) => format!("makes every function {step_mb} MB larger"),
            Stage::Run(Side::Here) => "goes on from other sizes, after a local minimum".to_owned(),
            Stage::Whole | Stage::Done => "combines every function's cheapest size".to_owned(),
        };
        let executions = self.parameters.executions;
        Step::Try(Trial { deployment, control: None, executions, reason })
    }

    fn best_so_far(&self) -> Recommendation {
        Recommendation {
            deployment: self.ranking.best().unwrap_or(&self.start).clone(),
            standing: self.ranking.standing(),
            reasons: self.reasons.iter().cloned().chain(self.summaries()).collect(),
        }
    }

    fn observe(&mut self, outcome: &Outcome) -> Verdict {
        let Some(deployment) = self.trial_deployment() else {
            return Verdict { decision: Decision::Measured, reasons: Vec::new() };
        };
        let executions = &outcome.deployment;
        let verdict = self.ranking.enter(&sizes(&deployment), &deployment, executions);
        self.reasons.extend(verdict.reasons.iter().cloned());
        if self.stage == Stage::Start {
            self.note_start(executions);
        }
        let newly_failed = self.note(&deployment, executions);
        if let (Stage::Run(side), false) = (self.stage, newly_failed) {
            self.give_up_unshown(side, &deployment);
        }
        self.measured.push(deployment);
        self.plan();
        verdict
    }
}

/// Every function with its memory.
fn sizes(deployment: &Deployment) -> String {
    let sizes = deployment.functions().iter();
    let sizes: Vec<String> =
        sizes.map(|(root, function)| format!("{root} {}", function.resources.memory)).collect();
    sizes.join(", ")
}

/// Spans in a function that a lack of resources can have ended, and its invocations.
fn failures(root: &TaskName, executions: &[Execution]) -> (usize, usize) {
    use execution::Outcome::{Crash, OutOfMemory, Timeout};
    let spans = executions.iter().flat_map(|execution| &execution.spans);
    let failed = spans
        .filter(|span| span.function == *root)
        .filter(|span| matches!(span.outcome, Crash | OutOfMemory | Timeout));
    (failed.count(), executions.iter().flat_map(|execution| billed_to(execution, root)).count())
}

/// What executions show of one function, which failed `before` times of so many in the start;
/// `None` if nothing.
fn observe_function(
    root: &TaskName,
    executions: &[Execution],
    (failed_before, invocations_before): (usize, usize),
) -> Option<Observed> {
    let (failed, invocations) = failures(root, executions);
    // Failed executions end early, so their cost says nothing.
    let succeeded: Vec<&Execution> = warm(executions).filter(|e| !e.failed()).collect();
    let more = failed * invocations_before.max(1) > failed_before * invocations.max(1);
    if more || (failed > 0 && succeeded.is_empty()) {
        return Some(Observed::Failed);
    }
    if invocations == 0 || succeeded.is_empty() {
        return None;
    }
    let billed = || succeeded.iter().flat_map(|execution| billed_to(execution, root));
    let count = succeeded.len() as u128;
    let cost: u128 = billed().map(|billed| u128::from(billed.cost.0)).sum();
    let runtime_us: u128 = billed().map(|billed| u128::from(billed.duration_us)).sum();
    let mean = |total: u128| u64::try_from((total + count / 2) / count).unwrap_or(u64::MAX);
    Some(Observed::Cost { cost: PicoUsd(mean(cost)), runtime_us: mean(runtime_us) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execution::Outcome::{Error, Ok, OutOfMemory};
    use crate::testing::execution as executed;

    fn observe(executions: &[Execution], before: (usize, usize)) -> Option<Observed> {
        observe_function(&TaskName::from("a"), executions, before)
    }

    #[test]
    fn only_warm_executions_that_succeeded_show_the_cost() {
        let fine = executed(20_000, None, Ok);
        let others = [executed(2_000, None, Error), executed(90_000, Some(1), Ok)];
        let shown = observe(&[&[fine.clone(), fine], &others[..]].concat(), (0, 4));
        let cost = Observed::Cost { cost: PicoUsd(20_000_000), runtime_us: 19_000 };
        assert_eq!(shown, Some(cost));
        assert_eq!(observe(&others, (0, 4)), None, "neither shows anything");
        assert_eq!(observe_function(&"b".into(), &others, (0, 4)), None);
    }

    #[test]
    fn a_size_fails_if_the_function_fails_more_often_than_in_the_start() {
        let half = [executed(20_000, None, Ok), executed(20_000, None, OutOfMemory)];
        assert_eq!(observe(&half, (1, 4)), Some(Observed::Failed));
        assert!(matches!(observe(&half, (2, 4)), Some(Observed::Cost { .. })));
        assert_eq!(observe(&half[1..], (4, 4)), Some(Observed::Failed), "nothing succeeded");
    }
}
