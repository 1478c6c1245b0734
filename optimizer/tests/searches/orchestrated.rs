//! Orchestrated workflows whose functions take what a formula says, and the best that can be had of
//! them by trying everything.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use optimizer::deployment::Deployment;
use optimizer::execution::{Billed, Execution, Outcome, Span};
use optimizer::flow::steps::{Map, Step};
use optimizer::flow::{Flow, StepName, graph};
use optimizer::price::PriceBook;
use optimizer::search;
use optimizer::space::ResourceSpace;
use optimizer::units::{PicoUsd, Resources};
use optimizer::workflow::{CallKind, Slo, Task, TaskName, Workflow};

/// What one task needs: Amdahl's law, and a floor of memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Needs {
    /// Time that no vCPU shortens.
    pub(crate) waiting_us: u64,
    /// CPU time that uses one vCPU at most.
    pub(crate) serial_us: u64,
    /// CPU time that uses all there is.
    pub(crate) parallel_us: u64,
    /// With less it runs out of memory.
    pub(crate) floor_mb: u32,
}

impl Needs {
    pub(crate) fn duration_us(self, resources: Resources) -> u64 {
        let vcpu = u64::from(resources.vcpu.0);
        let one = vcpu.min(1_000);
        self.waiting_us + self.serial_us * 1_000 / one + self.parallel_us * 1_000 / vcpu
    }
}

/// A workflow of steps `s0`, `s1`, … that invoke tasks `t0`, `t1`, ….
#[derive(Clone, Debug)]
pub(crate) struct Steps {
    pub(crate) tasks: Vec<Needs>,
    /// Task of every step, and the steps it comes after.
    pub(crate) steps: Vec<(usize, Vec<usize>)>,
    /// Iterations of every step, 1 for one that is no map.
    pub(crate) iterations: Vec<usize>,
    /// In every which execution a step runs; 0 for never.
    pub(crate) every: Vec<u64>,
    pub(crate) slo: Slo,
    pub(crate) space: ResourceSpace,
    pub(crate) prices: PriceBook,
    /// Coefficient of variation of every duration, in thousandths.
    pub(crate) noise_permille: u64,
    pub(crate) seed: u64,
}

impl Steps {
    /// One step for every task, each after those given. Lower numbers come first.
    pub(crate) fn new(tasks: Vec<Needs>, after: &[&[usize]]) -> Self {
        Self {
            steps: after.iter().map(|after| after.to_vec()).enumerate().collect(),
            iterations: vec![1; after.len()],
            every: vec![1; after.len()],
            tasks,
            slo: Slo { latency_us: u64::MAX, percentile: 95 },
            space: ResourceSpace::decoupled(),
            prices: PriceBook::thesis_decoupled(),
            noise_permille: 0,
            seed: 1,
        }
    }

    /// With an SLO of so many per cent of the latency that the largest configuration has.
    pub(crate) fn with_slo_percent(mut self, percent: u64) -> Self {
        let largest = self.latency_us(|_| self.space.largest());
        self.slo.latency_us = largest * percent / 100;
        self
    }

    pub(crate) fn workflow(&self) -> Workflow {
        let resources = self.space.resources_for_memory(self.space.memory_range().1);
        let names = (0..self.tasks.len()).map(task_name);
        let tasks: IndexMap<TaskName, Task> =
            names.map(|name| (name, Task { resources })).collect();
        let entry = task_name(0);
        let workflow = Workflow::new("steps".to_owned(), entry, self.slo, tasks, &[]).unwrap();
        workflow.with_flow(self.flow()).unwrap()
    }

    pub(crate) fn flow(&self) -> Flow {
        let step = |(number, (task, after)): (usize, &(usize, Vec<usize>))| {
            let map = Map { items: String::new(), concurrency: None };
            let step = Step {
                task: task_name(*task),
                after: after.iter().map(|before| format!("s{before}")).collect(),
                map: (self.iterations[number] > 1).then_some(map),
                when: None,
                retry: Vec::new(),
                catch: Vec::new(),
            };
            (format!("s{number}"), step)
        };
        let steps: IndexMap<String, Step> = self.steps.iter().enumerate().map(step).collect();
        Flow::Steps(steps.try_into().unwrap())
    }

    /// What a search wants measured. A cold execution comes first.
    pub(crate) fn measure(&self, trial: &search::Trial, round: u64) -> search::Outcome {
        let executions = (0..=u64::from(trial.executions))
            .map(|number| self.execute(&trial.deployment, number == 0, (round << 20) + number));
        search::Outcome { deployment: executions.collect(), control: Vec::new() }
    }

    /// One execution; those with other numbers see other noise.
    pub(crate) fn execute(&self, deployment: &Deployment, cold: bool, number: u64) -> Execution {
        let mut ends_us: Vec<u64> = vec![0; self.steps.len()];
        let mut spans = Vec::new();
        let mut outcome = Outcome::Ok;
        for step in graph(&self.flow()).order() {
            let (task, after) = &self.steps[*step];
            let start_us = after.iter().map(|before| ends_us[*before]).max().unwrap_or(0);
            ends_us[*step] = start_us;
            if self.every[*step] == 0 || !number.is_multiple_of(self.every[*step]) {
                continue;
            }
            for iteration in 0..self.iterations[*step] {
                let resources = deployment.functions()[&task_name(*task)].resources;
                let stream = [self.seed, number, *step as u64, iteration as u64];
                let span = self.invoke(
                    *task,
                    resources,
                    cold,
                    start_us,
                    factor(stream, self.noise_permille),
                );
                let span = Span { step: Some(StepName(format!("s{step}"))), ..span };
                ends_us[*step] = ends_us[*step].max(start_us + span.duration_us);
                outcome = outcome.max(span.outcome);
                spans.push(span);
            }
            if outcome != Outcome::Ok {
                break;
            }
        }
        let latency_us = ends_us.iter().copied().max().unwrap_or(0);
        Execution { trace: format!("{number}"), latency_us, spans, outcome }
    }

    fn invoke(
        &self,
        task: usize,
        resources: Resources,
        cold: bool,
        start_us: u64,
        factor: f64,
    ) -> Span {
        let fits = resources.memory.0 >= self.tasks[task].floor_mb;
        let mut duration_us = (self.tasks[task].duration_us(resources) as f64 * factor) as u64;
        if !fits {
            duration_us /= 10;
        }
        // A cold start also slows the handler down, as real ones do.
        let init_us = cold.then_some(3_000_000);
        if cold {
            duration_us *= 2;
        }
        let billed_ms = self.prices.billed_ms(duration_us, init_us);
        let billed = Billed {
            duration_us,
            billed_ms,
            resources,
            init_us,
            peak_memory_mb: self.tasks[task].floor_mb,
            waiting_us: 0,
            cost: self.prices.cost(resources, billed_ms),
        };
        Span {
            task: task_name(task),
            step: None,
            function: task_name(task),
            parent: None,
            kind: CallKind::Sync,
            start_us,
            duration_us: duration_us + init_us.unwrap_or(0),
            billed: Some(billed),
            outcome: if fits { Outcome::Ok } else { Outcome::OutOfMemory },
        }
    }

    /// Latency without noise when every task has the resources given.
    pub(crate) fn latency_us(&self, resources: impl Fn(usize) -> Resources) -> u64 {
        let mut ends_us: Vec<u64> = Vec::with_capacity(self.steps.len());
        for (task, after) in &self.steps {
            // Every step is written behind those it comes after.
            let start_us = after.iter().map(|before| ends_us[*before]).max().unwrap_or(0);
            ends_us.push(start_us + self.tasks[*task].duration_us(resources(*task)));
        }
        ends_us.into_iter().max().unwrap_or(0)
    }

    /// Cost without noise.
    pub(crate) fn cost(&self, resources: impl Fn(usize) -> Resources) -> PicoUsd {
        let of_step = |(step, (task, _)): (usize, &(usize, Vec<usize>))| {
            let resources = resources(*task);
            let duration_us = self.tasks[*task].duration_us(resources);
            let cost = self.prices.cost(resources, self.prices.billed_ms(duration_us, None));
            PicoUsd(cost.0 * self.iterations[step] as u64)
        };
        self.steps.iter().enumerate().map(of_step).sum()
    }

    /// Cost and latency of a deployment without noise; none if a function runs out of memory.
    pub(crate) fn judge(&self, deployment: &Deployment) -> Option<(PicoUsd, u64)> {
        let resources = |task: usize| deployment.functions()[&task_name(task)].resources;
        let fits = |(task, needs): (usize, &Needs)| resources(task).memory.0 >= needs.floor_mb;
        let all_fit = self.tasks.iter().enumerate().all(fits);
        all_fit.then(|| (self.cost(resources), self.latency_us(resources)))
    }

    /// The least cost of all combinations that keep the SLO without noise.
    pub(crate) fn optimum(&self) -> Option<PicoUsd> {
        let choices: Vec<Vec<Resources>> =
            (0..self.tasks.len()).map(|task| self.undominated(task)).collect();
        let mut least = None;
        self.combine(&choices, &mut Vec::new(), &mut least);
        least
    }

    fn combine(
        &self,
        choices: &[Vec<Resources>],
        chosen: &mut Vec<Resources>,
        least: &mut Option<PicoUsd>,
    ) {
        // The others as cheap, or as fast, as they can be.
        let cheapest = |task: usize| chosen.get(task).unwrap_or(&choices[task][0]);
        let fastest = |task: usize| chosen.get(task).or(choices[task].last());
        let cost = self.cost(|task| *cheapest(task));
        let latency_us = self.latency_us(|task| *fastest(task).expect("a size fits"));
        if least.is_some_and(|least| cost >= least) || latency_us > self.slo.latency_us {
            return;
        }
        if chosen.len() == choices.len() {
            *least = Some(cost);
            return;
        }
        for resources in &choices[chosen.len()] {
            chosen.push(*resources);
            self.combine(choices, chosen, least);
            chosen.pop();
        }
    }

    /// The sizes of a task than which no other is both as fast and cheaper, the cheapest first.
    fn undominated(&self, task: usize) -> Vec<Resources> {
        let needs = self.tasks[task];
        let all = all_sizes(&self.space).into_iter();
        let mut sizes: Vec<(u64, PicoUsd, Resources)> = all
            .filter(|resources| resources.memory.0 >= needs.floor_mb)
            .map(|resources| {
                let duration_us = needs.duration_us(resources);
                let billed_ms = self.prices.billed_ms(duration_us, None);
                (duration_us, self.prices.cost(resources, billed_ms), resources)
            })
            .collect();
        sizes.sort_unstable();
        let mut least = PicoUsd(u64::MAX);
        sizes.retain(|(_, cost, _)| {
            let better = *cost < least;
            least = least.min(*cost);
            better
        });
        sizes.into_iter().rev().map(|(_, _, resources)| resources).collect()
    }
}

/// Every size that can be had from the largest by reducing.
pub(crate) fn all_sizes(space: &ResourceSpace) -> BTreeSet<Resources> {
    let mut found = BTreeSet::from([space.largest()]);
    let mut open = vec![space.largest()];
    while let Some(from) = open.pop() {
        for dimension in space.dimensions() {
            open.extend(space.reduce(from, *dimension, 1).filter(|less| found.insert(*less)));
        }
    }
    found
}

pub(crate) fn task_name(task: usize) -> TaskName {
    TaskName(format!("t{task}"))
}

/// A factor around 1 with this coefficient of variation, evenly distributed.
fn factor(stream: [u64; 4], noise_permille: u64) -> f64 {
    let mut bits = 0_u64;
    for part in stream {
        bits = (bits ^ part).wrapping_add(0x9E37_79B9_7F4A_7C15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^= bits >> 31;
    }
    let unit = (bits >> 11) as f64 / (1_u64 << 53) as f64;
    // An even distribution from -1 to 1 has a standard deviation of 1/√3.
    1.0 + (2.0 * unit - 1.0) * 3_f64.sqrt() * noise_permille as f64 / 1_000.0
}
