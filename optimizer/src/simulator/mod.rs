//! A platform in virtual time: a discrete-event simulator of functions, their instances and what they
//! cost. Equal inputs and seeds give equal executions.
//!
//! **A task** takes what its [`TaskModel`] says for the resources of its function and its input, and
//! then makes its calls one after the other, each with the input that it got itself. It fails if it
//! waits for a call that fails.
//!
//! **A call served inside** its caller's instance takes 0.3 ms of CPU time from the quota that all tasks
//! of the instance share; no two of them work at the same time. Any other call takes an invoke
//! overhead and then an instance of the callee's function. A caller that does not wait goes on after
//! the overhead.
//!
//! **An instance** serves one invocation at a time. An invocation gets the idle instance that became
//! idle last, or has one started, which takes the longest of its tasks' starts. If too many work
//! already, it is refused ([`Outcome::Refused`]). Refused and failed asynchronous calls are not tried
//! again. An instance needs the memory of all tasks that it holds. If it has less, it is killed when
//! its root's own work is done, as it is at a timeout; a task served inside that exceeds its timeout
//! only fails. The billed duration does not contain the overhead, and contains all waiting.
//!
//! **An orchestrator** ([`FlowRun`]) takes no time of its own; each of its invocations takes an invoke
//! overhead. A task answers its model's output, and a failed one with the error that Lambda names.
//! Attempts that the orchestrator no longer waits for go on and are billed.
//!
//! Recorded tasks know no memory of their own, only executions that failed for want of it: fused with
//! others, they look as if they had all of the function's memory.
//!
//! [`FlowRun`]: crate::flow::FlowRun
//! [`Outcome::Refused`]: crate::execution::Outcome::Refused
//! [`TaskModel`]: crate::performance_model::TaskModel

mod draws;
mod engine;
mod instances;
mod invocations;
mod orchestration;
mod plan;
mod queue;
mod serving;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::deployment::Deployment;
use crate::execution::Execution;
use crate::flow::Data;
use crate::performance_model::{ModelError, Models};
use crate::price::PriceBook;
use crate::search;
use crate::workflow::{CallKind, TaskName, Workflow};

use self::engine::Engine;
use self::plan::Plan;

pub use self::orchestration::COMMAND_LIMIT;

/// Spans that one request may have through calls between tasks: keeps call counts that multiply along
/// a chain, and asynchronous cycles, from running away.
pub const SPAN_LIMIT: usize = 2_000;

/// Time between two requests of a sequence, in microseconds.
const PAUSE_US: u64 = 1_000;

/// Longest timeout that Lambda gives a function, in microseconds.
const LONGEST_TIMEOUT_US: u64 = 900_000_000;

/// Time that an invocation takes on top of the function's own: log-normally distributed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Overhead {
    /// Its median.
    pub median_us: u64,
    /// Its 95th percentile; at most the median means that it does not vary.
    pub p95_us: u64,
}

/// What is simulated besides the workflow and its tasks.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SimulatorParameters {
    /// Calls per execution of the caller, by caller and callee; one where none is given.
    pub times: BTreeMap<TaskName, BTreeMap<TaskName, u32>>,
    /// Overhead of calls between functions and of an orchestrator's invocations.
    pub overhead: Overhead,
    /// Overhead of clients' requests to the entry.
    pub client_overhead: Overhead,
    /// Longest that an invocation of a task may take, in microseconds; Lambda's longest, 15 minutes,
    /// where none is given.
    pub timeouts_us: BTreeMap<TaskName, u64>,
    /// Instances of all functions that may work at once.
    pub concurrency: u32,
    /// Part of them that is reserved for a function, which gets no more, by its root.
    pub reserved_concurrency: BTreeMap<TaskName, u32>,
    /// Instances that were idle for so long are gone, in microseconds.
    pub idle_expiry_us: u64,
    /// What invocations cost.
    pub prices: PriceBook,
    /// Seed of everything random.
    pub seed: u64,
}

/// How requests follow each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Load {
    /// The next one is sent when all that the last one caused is over, so that the first execution
    /// starts all the instances that the others need.
    Sequence,
    /// So many clients each send their next one when their last one is answered.
    Closed {
        /// Clients, at least 1.
        clients: usize,
    },
    /// At random (Poisson) times, however long answers take.
    Open {
        /// Mean requests per second, above 0.
        rate_per_second: f64,
    },
}

/// Why a workflow cannot be simulated.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SimulatorError {
    /// A task without a model.
    #[error("task `{0}` has no performance model; add a `model:` to it")]
    MissingModel(TaskName),
    /// A model that is none.
    #[error("the performance model of task `{task}` is wrong")]
    Model {
        /// The task.
        task: TaskName,
        /// What is wrong.
        source: ModelError,
    },
    /// One execution would have too many spans.
    #[error("one execution would have more than {SPAN_LIMIT} calls; lower the call counts")]
    TooManySpans,
}

/// Executes deployments of one workflow.
#[derive(Clone, Debug)]
pub struct Simulator {
    workflow: Workflow,
    models: Models,
    parameters: SimulatorParameters,
    /// What the requests of a measurement carry, in turn.
    inputs: Vec<Data>,
}

impl SimulatorParameters {
    /// What the local backend does unless told otherwise, with Lambda's concurrency: overheads with a
    /// median of 15 ms and a 95th percentile of 40 ms, 1000 instances, gone after five minutes.
    #[must_use]
    pub fn new(prices: PriceBook, seed: u64) -> Self {
        let overhead = Overhead { median_us: 15_000, p95_us: 40_000 };
        Self {
            times: BTreeMap::new(),
            overhead,
            client_overhead: overhead,
            timeouts_us: BTreeMap::new(),
            concurrency: 1_000,
            reserved_concurrency: BTreeMap::new(),
            idle_expiry_us: 300_000_000,
            prices,
            seed,
        }
    }
}

impl Simulator {
    /// A simulator of this workflow.
    ///
    /// # Errors
    /// If a task has no model or a wrong one, or an execution would have more than [`SPAN_LIMIT`]
    /// spans.
    pub fn new(
        workflow: Workflow,
        models: Models,
        parameters: SimulatorParameters,
    ) -> Result<Self, SimulatorError> {
        for task in workflow.tasks().keys() {
            let model =
                models.get(task).ok_or_else(|| SimulatorError::MissingModel(task.clone()))?;
            model.check().map_err(|source| SimulatorError::Model { task: task.clone(), source })?;
        }
        let simulator = Self { workflow, models, parameters, inputs: vec![Data::Null] };
        for root in simulator.workflow.roots() {
            let mut left = SPAN_LIMIT;
            simulator.count_spans(root, &mut left)?;
        }
        Ok(simulator)
    }

    /// The same, the requests of whose measurements carry these inputs in turn; without any, null.
    #[must_use]
    pub fn with_inputs(mut self, inputs: Vec<Data>) -> Self {
        if !inputs.is_empty() {
            self.inputs = inputs;
        }
        self
    }

    /// Executes a deployment that has no instances yet once for every input. Other streams see other
    /// random times.
    ///
    /// # Panics
    /// If the deployment is not one of the workflow.
    #[must_use]
    pub fn run(
        &self,
        deployment: &Deployment,
        load: Load,
        inputs: &[Data],
        stream: u64,
    ) -> Vec<Execution> {
        Engine::new(self, Plan::new(self, deployment), load, inputs, stream).run()
    }

    /// Measures what a search wants to try: of each deployment a sequence of executions, the first of
    /// them cold. Rounds with other numbers see other random times.
    ///
    /// # Panics
    /// If a deployment is not one of the workflow.
    #[must_use]
    pub fn measure(&self, trial: &search::Trial, round: u64) -> search::Outcome {
        let requests = trial.executions as usize + 1;
        let inputs: Vec<Data> = self.inputs.iter().cycle().take(requests).cloned().collect();
        let run = |deployment, stream| self.run(deployment, Load::Sequence, &inputs, stream);
        search::Outcome {
            deployment: run(&trial.deployment, 2 * round),
            control: trial.control.iter().flat_map(|c| run(c, 2 * round + 1)).collect(),
        }
    }

    fn count_spans(&self, task: &TaskName, left: &mut usize) -> Result<(), SimulatorError> {
        *left = left.checked_sub(1).ok_or(SimulatorError::TooManySpans)?;
        for (callee, _, times) in self.calls(task) {
            for _ in 0..times {
                self.count_spans(callee, left)?;
            }
        }
        Ok(())
    }

    /// The calls that a task makes, in their order, and how often.
    fn calls(&self, task: &TaskName) -> impl Iterator<Item = (&TaskName, CallKind, u32)> {
        let times = self.parameters.times.get(task);
        self.workflow.callees(task).filter_map(move |(callee, kind)| {
            let times = times.and_then(|times| times.get(callee)).copied().unwrap_or(1);
            (times > 0).then_some((callee, kind, times))
        })
    }

    fn timeout_us(&self, task: &TaskName) -> u64 {
        self.parameters.timeouts_us.get(task).copied().unwrap_or(LONGEST_TIMEOUT_US)
    }
}
