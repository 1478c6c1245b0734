//! AARC (thesis, chapter 4): vCPU and memory of every function of an orchestrated workflow, chosen
//! apart from each other.
//!
//! *Algorithm 4.1* gives every function an over-provisioned base configuration, executes, and takes
//! the [critical path](crate::critical_path) of the steps by their times. *Algorithm 4.2* configures
//! the functions on it: again and again it takes some of one resource from one function, the operation
//! that saved most first, and gives it back if the SLO is missed, the cost rose or something failed.
//! Then the detours around the critical path are configured in the same way, each under the time that
//! the path leaves it, its *sub-SLO*. Functions that were configured before stay as they are.
//!
//! Where it differs from the thesis:
//! * The unit is the function. A task that several steps invoke is one function and is configured
//!   once; functions that a step's task calls are configured with the step. A workflow without an
//!   orchestrator is one step.
//! * A function's cost and a step's time are the means over all executions that showed them as they
//!   are, those of trials of other functions included. A trial is judged by what its change changed:
//!   the cost of the functions that depend on it, and the latency to be expected when their new times
//!   are put in the place of the old ones. So what other functions happened to take in the one
//!   execution of a trial decides nothing.
//! * "Cost rose" means by more than a tolerance. A change that makes steps take longer, by more than the
//!   tolerance, has to save more than that.
//! * A change is a violation if the latency to be expected is longer with it than without it and
//!   longer than the SLO; if the function itself took longer, by more than the tolerance, than the SLO
//!   less a margin. This holds on detours as well.
//! * A sub-SLO is the room that Algorithm 2.1 gives to the steps of a detour: from the earliest start
//!   of its first to the latest end of its last. If nothing on it was scheduled before, this is what the
//!   critical path spends between its ends, and otherwise that less the times of those, as in the
//!   thesis; and it is right as well where a detour of a detour has to wait. What the whole workflow
//!   stays below its SLO is added.
//! * `MAX_TRIAL` limits the whole search, not each path, the last trial included.
//! * A step that would leave the space is shortened, which costs no trial. A size that was undone is
//!   not tried again.
//! * A function that no execution reaches gets back what it had in the start.
//! * At the end the whole is measured once more, with more executions. If it misses the SLO, the last
//!   changes of the functions on its critical path (or of those that failed) are given back, one, two,
//!   four and so on, until it keeps it. Only what was measured so is recommended.
//! * If even the largest configuration misses the SLO or fails, it ends there.
//!
//! Where durations vary by more than about 5 %, give each trial more than one execution.

mod configuration;
mod observation;
mod operations;
mod report;
mod scheduler;
mod topology;
mod validation;

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use self::observation::{Latency, Shown};
use self::operations::{Operation, Queue};
use self::topology::Topology;
use crate::critical_path::Schedule;
use crate::deployment::Deployment;
use crate::flow::{StepGraph, StepName, graph};
use crate::search::{Decision, Outcome, Recommendation, Search, Standing, Step, Trial, Verdict};
use crate::space::{ResourceSpace, SpaceError};
use crate::units::{MemoryMb, MilliVcpu, PicoUsd, Resources};
use crate::workflow::{Slo, TaskName, Workflow};

pub use self::report::{Change, Fate, FunctionReport, Place, Violation};

/// Parameters of both algorithms. Where the thesis names none, the defaults are those of its authors'
/// program or were found to do well in this project's tests.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct AarcParameters {
    /// What every function has at first (`base_config`); none for the largest the space has. If it
    /// misses the SLO, the largest is tried.
    pub base: Option<Resources>,
    /// vCPU taken from a function in its first step; none for a quarter of its base.
    pub vcpu_step: Option<MilliVcpu>,
    /// Memory taken from a function in its first step; none for a quarter of its base.
    pub memory_step: Option<MemoryMb>,
    /// By what a step is divided after it failed (exponential back-off); at least 2.
    pub back_off: u32,
    /// How often an operation may fail (`FUNC_TRIAL`); at least 1.
    pub function_trials: u32,
    /// Trials of the whole search, the first and the last included (`MAX_TRIAL`); at least 1.
    pub max_trials: u32,
    /// Warm executions of each trial; at least 1.
    pub executions: u32,
    /// Warm executions of the last trial; at least 1.
    pub validation_executions: u32,
    /// By how much cost, or a detour's time, may change without counting as changed, in per cent: what
    /// noise makes of a mean of so few executions.
    pub tolerance_percent: u32,
    /// How far below the SLO trials have to stay, in per cent of it; below 100.
    pub slo_margin_percent: u32,
    /// Functions, by root, that keep what they have.
    pub fixed: BTreeSet<TaskName>,
}

impl Default for AarcParameters {
    /// One execution for each trial, as in the thesis, and three failures, as in its authors' program.
    fn default() -> Self {
        Self {
            base: None,
            vcpu_step: None,
            memory_step: None,
            back_off: 2,
            function_trials: 3,
            max_trials: 500,
            executions: 1,
            validation_executions: 20,
            tolerance_percent: 3,
            slo_margin_percent: 5,
            fixed: BTreeSet::new(),
        }
    }
}

/// Why there is nothing to search.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AarcError {
    /// The platform has no such base configuration.
    #[error("the base configuration is none of the platform's")]
    Base(#[source] SpaceError),
    /// The platform does not have what a function is to keep.
    #[error("`{function}` cannot keep what it has")]
    Fixed {
        /// The function.
        function: TaskName,
        /// Why not.
        #[source]
        source: SpaceError,
    },
}

/// The search; see the [module](self).
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct AarcSearch {
    slo: Slo,
    space: ResourceSpace,
    parameters: AarcParameters,
    start: Deployment,
    graph: StepGraph,
    topology: Topology,
    stage: Stage,
    trials: u32,
    /// Every function with what it has by now.
    current: Deployment,
    latency: Latency,
    /// What executions showed of the functions as they are in `current`.
    known: Shown,
    /// What was measured as a whole and can be recommended.
    best: Deployment,
    standing: Standing,
    /// The base configuration, once measured.
    base: Deployment,
    /// By function: sizes that were undone, and whether its turn has come.
    undone: Vec<BTreeSet<Resources>>,
    scheduled: Vec<bool>,
    critical_path: Vec<usize>,
    /// Detours whose turn has not come; none before the critical path is configured.
    detours: Option<VecDeque<Vec<usize>>>,
    part: Option<Part>,
    /// Every change tried, with its function.
    changes: Vec<(usize, Change)>,
    reasons: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
enum Stage {
    /// The base configuration has to be measured.
    Base,
    /// It missed the SLO, and the largest one has to be measured.
    Largest,
    /// An operation has to be tried: its function with these resources.
    Operation(Operation, Resources),
    /// The whole has to be measured once more, after as many times without success.
    Validation(u32),
    Done,
}

/// A path being configured: one call of Algorithm 4.2.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Part {
    /// Where it is, for reasons.
    name: String,
    /// Its steps with functions that are configured in it.
    steps: Vec<usize>,
    /// What these may take, in microseconds; none if only the SLO itself limits them.
    sub_slo_us: Option<u64>,
    queue: Queue,
}

impl AarcSearch {
    /// A search for the resources of the functions of `start`, a deployment of `workflow`, within
    /// `space`.
    ///
    /// # Errors
    /// If the base configuration, or what a fixed function has, is none of the space's.
    pub fn new(
        workflow: &Workflow,
        start: Deployment,
        space: ResourceSpace,
        parameters: AarcParameters,
    ) -> Result<Self, AarcError> {
        let base = parameters.base.unwrap_or(space.largest());
        space.check(base).map_err(AarcError::Base)?;
        for (function, kept) in start.functions() {
            if parameters.fixed.contains(function) {
                let illegal = |source| AarcError::Fixed { function: function.clone(), source };
                space.check(kept.resources).map_err(illegal)?;
            }
        }
        let entry =
            || StepGraph::single(StepName(workflow.entry().0.clone()), workflow.entry().clone());
        let graph = workflow.flow().map_or_else(entry, graph);
        let topology = Topology::new(workflow, &start, &graph);
        let known = Shown::of(&start, &graph, &[]);
        let count = start.functions().len();
        let mut search = Self {
            slo: workflow.slo(),
            space,
            parameters,
            graph,
            topology,
            stage: Stage::Base,
            trials: 0,
            current: start.clone(),
            latency: Latency::default(),
            known,
            best: start.clone(),
            standing: Standing::Unmeasured,
            base: start.clone(),
            start,
            undone: vec![BTreeSet::new(); count],
            scheduled: vec![false; count],
            critical_path: Vec::new(),
            detours: None,
            part: None,
            changes: Vec::new(),
            reasons: Vec::new(),
        };
        search.current = search.with_everywhere(base);
        Ok(search)
    }

    /// Every function as the search leaves it, in the order of the deployment.
    #[must_use]
    pub fn functions(&self) -> Vec<FunctionReport> {
        let schedule = Schedule::new(&self.graph, self.known.weights_us());
        let mut slacks_us: Vec<Option<u64>> = vec![None; self.known.functions.len()];
        for step in 0..self.graph.nodes().len() {
            for function in self.topology.reached(&[step]) {
                let slack_us = schedule.slack_us(step);
                let least = slacks_us[function].map_or(slack_us, |least| least.min(slack_us));
                slacks_us[function] = Some(least);
            }
        }
        let critical: BTreeSet<usize> =
            self.topology.reached(&schedule.critical_path(&self.graph)).collect();
        let all = self.known.cost();
        let roots = self.best.functions().iter().enumerate();
        roots
            .map(|(number, (root, function))| {
                let shown = &self.known.functions[number];
                let cost = shown.cost_per_execution();
                let place = match slacks_us[number] {
                    Some(slack_us) if shown.is_reached() => {
                        let critical = critical.contains(&number);
                        if critical { Place::CriticalPath } else { Place::Beside { slack_us } }
                    }
                    _ => Place::NotReached,
                };
                let changes = self.changes.iter().filter(|(of, _)| *of == number);
                FunctionReport {
                    function: root.clone(),
                    resources: function.resources,
                    runtime_us: shown.duration.rounded(),
                    cost: cost.map(|cost| PicoUsd(cost.round() as u64)),
                    cost_share: cost.filter(|_| all > 0.0).map(|cost| cost / all),
                    place,
                    changes: changes.map(|(_, change)| change.clone()).collect(),
                }
            })
            .collect()
    }

    /// The root of a function.
    fn root(&self, function: usize) -> &TaskName {
        let (root, _) =
            self.current.functions().get_index(function).expect("one of the deployment");
        root
    }

    /// What a function has by now.
    fn resources(&self, function: usize) -> Resources {
        self.current.functions()[function].resources
    }

    /// Gives one function other resources.
    fn resize(&mut self, function: usize, resources: Resources) {
        let root = self.root(function).clone();
        self.current = self.current.with_resources(&root, resources);
    }

    /// Whether the user wants a function to stay as it is.
    fn is_fixed(&self, function: usize) -> bool {
        self.parameters.fixed.contains(self.root(function))
    }

    /// The start with these resources for every function but the fixed ones.
    fn with_everywhere(&self, resources: Resources) -> Deployment {
        self.start.with_all_resources(|root| {
            let fixed = self.parameters.fixed.contains(root);
            if fixed { self.start.functions()[root].resources } else { resources }
        })
    }

    /// Trials that are left.
    fn trials_left(&self) -> u32 {
        self.parameters.max_trials.max(1).saturating_sub(self.trials)
    }
}

impl Search for AarcSearch {
    fn next(&self) -> Step {
        let executions = self.parameters.executions;
        let (deployment, executions, reason) = match self.stage {
            Stage::Base => {
                let reason = "measures the base configuration, to find the critical path";
                (self.current.clone(), executions, reason.to_owned())
            }
            Stage::Largest => {
                let reason = "measures the largest configuration, because the base misses the SLO";
                (self.current.clone(), executions, reason.to_owned())
            }
            Stage::Operation(operation, resources) => {
                let root = self.root(operation.function);
                let place = self.part.as_ref().map_or("", |part| &part.name);
                let reason =
                    format!("tries {}, {place}", self.change_text(operation.function, resources));
                (self.current.with_resources(root, resources), executions, reason)
            }
            Stage::Validation(before) => {
                let reason = match before {
                    0 => "measures the result as a whole",
                    _ => "measures the result as a whole, after resources were given back",
                };
                (self.current.clone(), self.parameters.validation_executions, reason.to_owned())
            }
            Stage::Done => return Step::Done(self.best_so_far()),
        };
        Step::Try(Trial { deployment, control: None, executions: executions.max(1), reason })
    }

    fn best_so_far(&self) -> Recommendation {
        Recommendation {
            deployment: self.best.clone(),
            standing: self.standing.clone(),
            reasons: self.reasons.clone(),
        }
    }

    fn observe(&mut self, outcome: &Outcome) -> Verdict {
        self.trials += u32::from(self.stage != Stage::Done);
        let executions = &outcome.deployment;
        let verdict = match self.stage {
            Stage::Base | Stage::Largest => self.observe_base(executions),
            Stage::Operation(operation, resources) => {
                self.observe_operation(operation, resources, executions)
            }
            Stage::Validation(before) => self.observe_validation(before, executions),
            Stage::Done => Verdict { decision: Decision::Measured, reasons: Vec::new() },
        };
        self.reasons.extend(verdict.reasons.iter().cloned());
        verdict
    }
}
