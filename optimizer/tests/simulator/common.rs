//! Small workflows to simulate.

use optimizer::deployment::Deployment;
use optimizer::execution::{Billed, Execution, Outcome, Span};
use optimizer::flow::Data;
use optimizer::performance_model::{Models, PerformanceModel, TaskModel, Work};
use optimizer::price::PriceBook;
use optimizer::simulator::{Load, Overhead, Simulator, SimulatorParameters};
use optimizer::units::{MemoryMb, MilliVcpu, Resources};
use optimizer::workflow::{Call, CallKind, Slo, Task, TaskName, Workflow};

/// A workflow, how its tasks behave and what platform they are on. Functions have one vCPU and 1024
/// MB, calls between them take 15 ms, requests 5 ms, and nothing varies.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) workflow: Workflow,
    pub(crate) models: Models,
    pub(crate) parameters: SimulatorParameters,
}

/// A task that computes on one core and needs 30 MB; its function starts in 100 ms.
pub(crate) fn task(cpu_ms: u64) -> TaskModel {
    model(PerformanceModel::cpu(cpu_ms * 1_000, MemoryMb(30)))
}

pub(crate) fn model(model: PerformanceModel) -> TaskModel {
    TaskModel { work: Work::Formula(model), init_us: 100_000, output: None }
}

pub(crate) fn constant(ms: u64) -> Overhead {
    Overhead { median_us: ms * 1_000, p95_us: ms * 1_000 }
}

impl Setting {
    /// `a>b` is a synchronous call and `a~b` an asynchronous one; the first task is the entry.
    pub(crate) fn new(tasks: &[(&str, TaskModel)], calls: &[&str]) -> Self {
        let resources = Resources { vcpu: MilliVcpu(1_000), memory: MemoryMb(1_024) };
        let call = |text: &&str| {
            let kind = if text.contains('~') { CallKind::Async } else { CallKind::Sync };
            let (caller, callee) = text.split_once(['>', '~']).unwrap();
            Call { caller: caller.into(), callee: callee.into(), kind }
        };
        let calls: Vec<Call> = calls.iter().map(call).collect();
        let slo = Slo { latency_us: 100_000_000, percentile: 95 };
        let names = tasks.iter().map(|(name, _)| (TaskName::from(*name), Task { resources }));
        let workflow =
            Workflow::new("w".into(), tasks[0].0.into(), slo, names.collect(), &calls).unwrap();
        let parameters = SimulatorParameters {
            overhead: constant(15),
            client_overhead: constant(5),
            ..SimulatorParameters::new(PriceBook::lambda_x86(), 1)
        };
        let models = tasks.iter().map(|(name, model)| ((*name).into(), model.clone())).collect();
        Self { workflow, models, parameters }
    }

    pub(crate) fn timeout(mut self, task: &str, ms: u64) -> Self {
        self.parameters.timeouts_us.insert(task.into(), ms * 1_000);
        self
    }

    pub(crate) fn simulator(&self) -> Simulator {
        Simulator::new(self.workflow.clone(), self.models.clone(), self.parameters.clone()).unwrap()
    }

    pub(crate) fn unfused(&self) -> Deployment {
        Deployment::unfused(&self.workflow)
    }

    pub(crate) fn deployment(&self, text: &str) -> Deployment {
        Deployment::parse(&self.workflow, text).unwrap()
    }

    /// Executions of a deployment one after the other, the first one cold.
    pub(crate) fn sequence(&self, deployment: &Deployment, requests: usize) -> Vec<Execution> {
        self.load(deployment, Load::Sequence, requests)
    }

    pub(crate) fn load(&self, on: &Deployment, load: Load, requests: usize) -> Vec<Execution> {
        self.simulator().run(on, load, &vec![Data::Null; requests], 0)
    }
}

/// The spans of a task.
pub(crate) fn spans<'a>(execution: &'a Execution, task: &str) -> Vec<&'a Span> {
    execution.spans.iter().filter(|span| span.task.0 == task).collect()
}

/// The only span of a task.
pub(crate) fn span<'a>(execution: &'a Execution, task: &str) -> &'a Span {
    let [span] = spans(execution, task)[..] else { panic!("{task} in {execution:#?}") };
    span
}

/// What was billed for the only span of a task.
pub(crate) fn billed<'a>(execution: &'a Execution, task: &str) -> &'a Billed {
    span(execution, task).billed.as_ref().unwrap()
}

pub(crate) fn outcomes(execution: &Execution) -> Vec<Outcome> {
    execution.spans.iter().map(|span| span.outcome).collect()
}
