//! A small, deterministic model of a platform: it executes a workflow in virtual time.
//!
//! A task spends its CPU time, then makes its calls one after the other. A call served inside takes
//! 0.3 ms of CPU time from the quota that all tasks of the instance share, any other an invoke
//! overhead, and the start of the callee's instance if there is none.
//! There is one instance per function and one execution at a time, so the first execution starts
//! every instance it reaches and the others none, unless an instance ran out of memory.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::deployment::Deployment;
use crate::execution::{Billed, Execution, Outcome, Span};
use crate::price::PriceBook;
use crate::random::SplitMix64;
use crate::search;
use crate::units::MemoryMb;
use crate::workflow::{CallKind, TaskName, Workflow};

/// Spans that one execution may have: keeps call counts that multiply along a chain, and
/// asynchronous cycles, from running away.
pub const SPAN_LIMIT: usize = 2_000;

/// CPU time that a call served inside its caller's instance takes on top of the callee's own.
const INLINE_CALL_CPU_US: u64 = 300;

/// Time between two executions.
const PAUSE_US: u64 = 1_000;

/// What one task needs.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SimulatedTask {
    /// CPU time on one vCPU; below one vCPU it takes proportionally longer, above it is as fast.
    pub cpu_us: u64,
    /// Memory it needs. An instance needs the sum over the tasks it holds and with less runs out
    /// of memory.
    pub memory: MemoryMb,
}

/// Time that a call between functions takes on top of the callee's own: log-normally distributed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Overhead {
    /// Its median.
    pub median_us: u64,
    /// Its 95th percentile; at most the median means that it does not vary.
    pub p95_us: u64,
}

/// What is simulated besides the workflow itself.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SimulatorParameters {
    /// What every task needs.
    pub tasks: BTreeMap<TaskName, SimulatedTask>,
    /// Calls per execution of the caller, by caller and callee; one where none is given.
    pub times: BTreeMap<TaskName, BTreeMap<TaskName, u32>>,
    /// Overhead of calls between functions.
    pub overhead: Overhead,
    /// By how much CPU times vary to either side, in thousandths (at most 1000), evenly
    /// distributed.
    pub jitter_permille: u32,
    /// Time to start an instance.
    pub init_us: u64,
    /// What invocations cost.
    pub prices: PriceBook,
    /// Seed of everything random.
    pub seed: u64,
}

/// Why a workflow cannot be simulated.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SimulatorError {
    /// A task without its needs.
    #[error("task `{0}` has no simulated CPU time and memory; add it to the simulated tasks")]
    MissingTask(TaskName),
    /// One execution would have too many spans.
    #[error("one execution would have more than {SPAN_LIMIT} calls; lower the call counts")]
    TooManySpans,
}

/// Executes deployments of one workflow.
#[derive(Clone, Debug)]
pub struct Simulator {
    workflow: Workflow,
    parameters: SimulatorParameters,
}

impl Simulator {
    /// A simulator of this workflow.
    ///
    /// # Errors
    /// If a task's needs are not given or an execution would have more than [`SPAN_LIMIT`] spans.
    pub fn new(
        workflow: Workflow,
        parameters: SimulatorParameters,
    ) -> Result<Self, SimulatorError> {
        let missing = workflow.tasks().keys().find(|task| !parameters.tasks.contains_key(*task));
        if let Some(task) = missing {
            return Err(SimulatorError::MissingTask(task.clone()));
        }
        let simulator = Self { workflow, parameters };
        let mut left = SPAN_LIMIT;
        simulator.count_spans(simulator.workflow.entry(), &mut left)?;
        Ok(simulator)
    }

    /// One cold execution of a deployment and `warm` more; with equal arguments the same ones.
    #[must_use]
    pub fn run(&self, deployment: &Deployment, warm: u32, stream: u64) -> Vec<Execution> {
        let mut platform = Platform {
            simulator: self,
            deployment,
            generator: SplitMix64::new(self.parameters.seed, stream),
            instances: BTreeSet::new(),
            spans: Vec::new(),
        };
        let mut clock_us = 0;
        (0..=warm)
            .map(|index| {
                let entry = self.workflow.entry();
                let (latency_us, outcome) =
                    platform.invoke(entry, None, CallKind::Sync, clock_us, 0);
                clock_us += latency_us + PAUSE_US;
                let trace = format!("sim-{stream}-{index}");
                let spans = std::mem::take(&mut platform.spans);
                Execution { trace, latency_us, spans, outcome }
            })
            .collect()
    }

    /// Measures what a search wants to try. Rounds with other numbers see other random times.
    #[must_use]
    pub fn measure(&self, trial: &search::Trial, round: u64) -> search::Outcome {
        let run = |deployment, stream| self.run(deployment, trial.executions, stream);
        search::Outcome {
            deployment: run(&trial.deployment, 2 * round),
            control: trial.control.iter().flat_map(|c| run(c, 2 * round + 1)).collect(),
        }
    }

    fn count_spans(&self, task: &TaskName, left: &mut usize) -> Result<(), SimulatorError> {
        *left = left.checked_sub(1).ok_or(SimulatorError::TooManySpans)?;
        for (callee, _) in self.workflow.callees(task) {
            for _ in 0..self.times(task, callee) {
                self.count_spans(callee, left)?;
            }
        }
        Ok(())
    }

    fn times(&self, caller: &TaskName, callee: &TaskName) -> u32 {
        let times = self.parameters.times.get(caller);
        times.and_then(|times| times.get(callee)).copied().unwrap_or(1)
    }
}

/// The state of a simulated platform.
struct Platform<'a> {
    simulator: &'a Simulator,
    deployment: &'a Deployment,
    generator: SplitMix64,
    /// Roots of the functions that have an instance.
    instances: BTreeSet<&'a TaskName>,
    /// Spans of the execution under way.
    spans: Vec<Span>,
}

/// How a task ran inside an instance.
struct Served {
    duration_us: u64,
    waiting_us: u64,
    outcome: Outcome,
}

impl<'a> Platform<'a> {
    /// Invokes a function, called at `start_us` and reached `overhead_us` later. Returns how long
    /// its caller saw it take, in microseconds, and how it ended.
    fn invoke(
        &mut self,
        root: &'a TaskName,
        parent: Option<usize>,
        kind: CallKind,
        start_us: u64,
        overhead_us: u64,
    ) -> (u64, Outcome) {
        let span = self.open(root, root, parent, kind, start_us);
        let init_us = self.instances.insert(root).then_some(self.simulator.parameters.init_us);
        let before_us = overhead_us + init_us.unwrap_or(0);
        let needed_mb = self.needed_mb(root);
        let resources = self.deployment.functions()[root].resources;
        let served = if needed_mb > resources.memory.0 {
            self.instances.remove(root);
            let (duration_us, outcome) = (self.cpu_us(root, root), Outcome::OutOfMemory);
            Served { duration_us, waiting_us: 0, outcome }
        } else {
            self.serve(root, root, span, start_us + before_us)
        };
        let prices = &self.simulator.parameters.prices;
        let billed_ms = prices.billed_ms(served.duration_us, init_us);
        self.spans[span].billed = Some(Billed {
            duration_us: served.duration_us,
            billed_ms,
            resources,
            init_us,
            peak_memory_mb: needed_mb.min(resources.memory.0),
            waiting_us: served.waiting_us,
            cost: prices.cost(resources, billed_ms),
        });
        self.close(span, before_us + served.duration_us, served.outcome)
    }

    /// Runs a task in the function of `root`, from `start_us`.
    fn serve(
        &mut self,
        task: &'a TaskName,
        root: &'a TaskName,
        span: usize,
        start_us: u64,
    ) -> Served {
        let mut duration_us = self.cpu_us(task, root);
        let mut waiting_us = 0;
        for (callee, kind) in self.simulator.workflow.callees(task) {
            for _ in 0..self.simulator.times(task, callee) {
                let now_us = start_us + duration_us;
                let inside = kind == CallKind::Sync && self.deployment.holds(root, callee);
                let (call_us, outcome) = if inside {
                    let child = self.open(callee, root, Some(span), kind, now_us);
                    let inline_us = self.on_quota_us(INLINE_CALL_CPU_US, root);
                    let served = self.serve(callee, root, child, now_us + inline_us);
                    waiting_us += served.waiting_us;
                    self.close(child, inline_us + served.duration_us, served.outcome)
                } else {
                    let overhead_us = self.overhead_us();
                    self.invoke(callee, Some(span), kind, now_us, overhead_us)
                };
                if kind == CallKind::Async {
                    continue;
                }
                duration_us += call_us;
                waiting_us += if inside { 0 } else { call_us };
                if outcome != Outcome::Ok {
                    return Served { duration_us, waiting_us, outcome: Outcome::Error };
                }
            }
        }
        Served { duration_us, waiting_us, outcome: Outcome::Ok }
    }

    fn open(
        &mut self,
        task: &TaskName,
        function: &TaskName,
        parent: Option<usize>,
        kind: CallKind,
        start_us: u64,
    ) -> usize {
        self.spans.push(Span {
            task: task.clone(),
            step: None,
            function: function.clone(),
            parent,
            kind,
            start_us,
            duration_us: 0,
            billed: None,
            outcome: Outcome::Ok,
        });
        self.spans.len() - 1
    }

    fn close(&mut self, span: usize, duration_us: u64, outcome: Outcome) -> (u64, Outcome) {
        self.spans[span].duration_us = duration_us;
        self.spans[span].outcome = outcome;
        (duration_us, outcome)
    }

    /// Memory that an instance of the function of `root` needs.
    fn needed_mb(&self, root: &TaskName) -> u32 {
        let tasks = &self.simulator.parameters.tasks;
        let held = self.deployment.functions()[root].inlined.iter().chain([root]);
        held.map(|task| tasks[task].memory.0).sum()
    }

    /// Time the task computes in the function of `root`.
    fn cpu_us(&mut self, task: &TaskName, root: &TaskName) -> u64 {
        let parameters = &self.simulator.parameters;
        let spread = parameters.jitter_permille.min(1_000) as usize;
        let permille = 1_000 + self.generator.below(2 * spread + 1) as u64 - spread as u64;
        self.on_quota_us(parameters.tasks[task].cpu_us * permille / 1_000, root)
    }

    /// Time that work of one thread takes in the function of `root`.
    fn on_quota_us(&self, cpu_us: u64, root: &TaskName) -> u64 {
        let vcpu = self.deployment.functions()[root].resources.vcpu.0;
        cpu_us * 1_000 / u64::from(vcpu.clamp(1, 1_000))
    }

    fn overhead_us(&mut self) -> u64 {
        let Overhead { median_us, p95_us } = self.simulator.parameters.overhead;
        if p95_us <= median_us || median_us == 0 {
            return median_us;
        }
        // The 95th percentile of a standard normal distribution is 1.6449.
        let sigma = (p95_us as f64 / median_us as f64).ln() / 1.644_9;
        (median_us as f64 * (sigma * self.generator.normal()).exp()) as u64
    }
}
