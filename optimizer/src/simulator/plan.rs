//! A deployment as the engine executes it: names are numbers, and what does not change from one
//! execution to the next is worked out.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::deployment::Deployment;
use crate::execution::Outcome;
use crate::flow::Data;
use crate::performance_model::{
    Drawn, LONGEST_WORK_US, PerformanceModel, Recorded, RecordedInput, Sampler, TaskModel, Work,
};
use crate::units::Resources;
use crate::workflow::{CallKind, TaskName};

use super::Simulator;
use super::draws::{Draws, LogNormal};

/// CPU time that a call served inside its caller's instance takes on top of the callee's own.
const INLINE_CALL_CPU_US: u64 = 300;

/// A deployment.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    deployment: &'a Deployment,
    pub(super) functions: Vec<PlannedFunction<'a>>,
    pub(super) units: Vec<Unit<'a>>,
    pub(super) calls: Vec<PlannedCall>,
}

/// A function.
#[derive(Debug)]
pub(super) struct PlannedFunction<'a> {
    pub(super) root: &'a TaskName,
    pub(super) resources: Resources,
    /// Its tasks, the root first.
    pub(super) units: Range<usize>,
    /// Time to start an instance: its tasks start side by side.
    pub(super) init_us: u64,
    /// Time that a call takes to be served inside.
    pub(super) inline_call_us: u64,
    /// Instances that may work at once, if it has a limit of its own.
    pub(super) reserved: Option<u32>,
    /// Memory that an instance needs, if that does not depend on the input, in MB.
    fixed_memory_mb: Option<u32>,
}

/// A task in a function.
#[derive(Debug)]
pub(super) struct Unit<'a> {
    pub(super) task: &'a TaskName,
    pub(super) timeout_us: u64,
    /// Its calls, as a range of the plan's.
    pub(super) calls: Range<usize>,
    model: &'a TaskModel,
    takes: Takes<'a>,
}

/// What one execution takes with the function's resources.
#[derive(Debug)]
enum Takes<'a> {
    /// So long on average whatever the input is, varying like this.
    Always(f64, LogNormal),
    /// What the model says, its slowdown known, varying like this.
    Modelled(&'a PerformanceModel, f64, LogNormal),
    /// What was recorded.
    Sampled(Sampler),
    /// What was recorded with the input whose name is at a JSON pointer.
    SampledAt(&'a str, BTreeMap<&'a str, Sampler>),
}

/// Calls of one task to another, one after the other.
#[derive(Debug)]
pub(super) struct PlannedCall {
    pub(super) kind: CallKind,
    pub(super) times: u32,
    pub(super) target: Target,
}

/// Where a call is served.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    /// In the caller's instance, by this unit.
    Unit(usize),
    /// In an instance of this function.
    Function(usize),
}

/// What one execution of a task took, without its calls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Took {
    pub(super) duration_us: u64,
    pub(super) outcome: Outcome,
}

impl<'a> Plan<'a> {
    /// # Panics
    /// If the deployment is not one of the simulator's workflow.
    pub(super) fn new(simulator: &'a Simulator, deployment: &'a Deployment) -> Self {
        let mut plan =
            Self { deployment, functions: Vec::new(), units: Vec::new(), calls: Vec::new() };
        for (root, function) in deployment.functions() {
            let units: Vec<&TaskName> = std::iter::once(root).chain(&function.inlined).collect();
            let first = plan.units.len();
            for task in &units {
                let first_call = plan.calls.len();
                for (callee, kind, times) in simulator.calls(task) {
                    let inside = units.iter().position(|unit| *unit == callee);
                    let target = match inside.filter(|_| kind == CallKind::Sync) {
                        Some(at) => Target::Unit(first + at),
                        None => Target::Function(plan.function(callee)),
                    };
                    plan.calls.push(PlannedCall { kind, times, target });
                }
                let model = &simulator.models[*task];
                plan.units.push(Unit {
                    task,
                    timeout_us: simulator.timeout_us(task),
                    calls: first_call..plan.calls.len(),
                    model,
                    takes: Takes::new(model, function.resources),
                });
            }
            let models = || plan.units[first..].iter().map(|unit| unit.model);
            let depends =
                models().any(|model| !model.formula().is_none_or(|m| m.features.is_empty()));
            plan.functions.push(PlannedFunction {
                root,
                resources: function.resources,
                units: first..plan.units.len(),
                init_us: models()
                    .map(|model| model.init_us)
                    .max()
                    .unwrap_or(0)
                    .min(LONGEST_WORK_US as u64),
                inline_call_us: INLINE_CALL_CPU_US * 1_000
                    / u64::from(function.resources.vcpu.0.clamp(1, 1_000)),
                reserved: simulator.parameters.reserved_concurrency.get(root).copied(),
                fixed_memory_mb: (!depends).then(|| needed_mb(models(), &Data::Null)),
            });
        }
        plan
    }

    /// The function of its own that a task has.
    pub(super) fn function(&self, task: &TaskName) -> usize {
        let function = self.deployment.functions().get_index_of(task);
        function.expect("a deployment has a function for every task that is called or invoked")
    }

    /// Memory that an instance of a function needs with this input, in MB.
    pub(super) fn memory_mb(&self, function: usize, input: &Data) -> u32 {
        let PlannedFunction { units, fixed_memory_mb, .. } = &self.functions[function];
        fixed_memory_mb.unwrap_or_else(|| {
            needed_mb(self.units[units.clone()].iter().map(|unit| unit.model), input)
        })
    }
}

/// Memory that these tasks need in one instance.
fn needed_mb<'a>(models: impl Iterator<Item = &'a TaskModel>, input: &Data) -> u32 {
    let each = models.map(|model| model.formula().map_or(0, |formula| formula.memory_mb(input)));
    each.fold(0, u32::saturating_add)
}

impl Unit<'_> {
    /// What it answers.
    pub(super) fn answer(&self, input: &Data) -> Data {
        self.model.output.as_ref().map_or_else(|| input.clone(), |output| output.fill(input))
    }

    /// One execution of it, without its calls.
    pub(super) fn execute(&self, input: &Data, draws: &mut Draws) -> Took {
        let (mean_us, variation) = match &self.takes {
            Takes::Always(mean_us, variation) => (*mean_us, *variation),
            Takes::Modelled(model, slowdown, variation) => {
                (model.scaled_us(*slowdown, input), *variation)
            }
            Takes::Sampled(sampler) => return sampler.draw(draws.unit()).into(),
            Takes::SampledAt(pointer, samplers) => {
                let name = input.pointer(pointer).and_then(Data::as_str);
                return match name.and_then(|name| samplers.get(name)) {
                    Some(sampler) => sampler.draw(draws.unit()).into(),
                    None => Took { duration_us: 0, outcome: Outcome::Error },
                };
            }
        };
        Took { duration_us: draws.time_us(mean_us, variation), outcome: Outcome::Ok }
    }
}

impl<'a> Takes<'a> {
    fn new(model: &'a TaskModel, resources: Resources) -> Self {
        match &model.work {
            Work::Formula(model) => {
                let slowdown = model.slowdown(resources.vcpu);
                let variation = LogNormal::of_variation(model.noise);
                if model.features.is_empty() {
                    Self::Always(model.scaled_us(slowdown, &Data::Null), variation)
                } else {
                    Self::Modelled(model, slowdown, variation)
                }
            }
            Work::Recorded(Recorded { table, input: RecordedInput::Named(name) }) => {
                let sampler = table.sampler(name, resources);
                Self::Sampled(sampler.expect("models are checked before they are simulated"))
            }
            Work::Recorded(Recorded { table, input: RecordedInput::At(pointer) }) => {
                let sampler = |name| Some((name, table.sampler(name, resources)?));
                Self::SampledAt(pointer, table.inputs().filter_map(sampler).collect())
            }
        }
    }
}

impl TaskModel {
    fn formula(&self) -> Option<&PerformanceModel> {
        match &self.work {
            Work::Formula(model) => Some(model),
            Work::Recorded(_) => None,
        }
    }
}

impl From<Drawn> for Took {
    fn from(Drawn { duration_us, failed }: Drawn) -> Self {
        let outcome = if failed { Outcome::OutOfMemory } else { Outcome::Ok };
        Self { duration_us, outcome }
    }
}
