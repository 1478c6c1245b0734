//! What executions show of every function and step.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::topology::Topology;
use crate::critical_path::Schedule;
use crate::deployment::Deployment;
use crate::execution::{Execution, Outcome, Span};
use crate::flow::{StepGraph, StepName};

/// A sum of observed values.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Sum {
    total: u64,
    count: u64,
}

impl Sum {
    fn add(&mut self, value: u64) {
        self.merge(Self { total: value, count: 1 });
    }

    fn merge(&mut self, other: Self) {
        self.total = self.total.saturating_add(other.total);
        self.count += other.count;
    }

    pub(super) fn mean(self) -> Option<f64> {
        (self.count > 0).then(|| self.total as f64 / self.count as f64)
    }

    /// The mean of values that are a time in microseconds or money, as such.
    pub(super) fn rounded(self) -> Option<u64> {
        self.mean().map(|mean| mean.round() as u64)
    }
}

/// One function in executions of one deployment, or of several in which it is the same.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct FunctionShown {
    /// Warm executions that succeeded.
    runs: u64,
    /// Its cost in each of these that reached it, in 10⁻¹² dollars.
    cost: Sum,
    /// Duration of each invocation in them, in microseconds.
    pub(super) duration: Sum,
    /// Invocations in all executions, and how those of them that failed ended.
    invocations: u64,
    failures: u64,
    /// The worst of the failures.
    pub(super) worst: Option<Outcome>,
}

impl FunctionShown {
    /// Whether any execution reached it.
    pub(super) fn is_reached(&self) -> bool {
        self.invocations > 0
    }

    /// Whether its cost was seen: whether a warm execution that succeeded reached it.
    pub(super) fn shows_cost(&self) -> bool {
        self.cost.count > 0
    }

    /// Whether a larger share of its invocations failed than of those of `before`.
    pub(super) fn fails_more(&self, before: &Self) -> bool {
        self.failures * before.invocations.max(1) > before.failures * self.invocations.max(1)
    }

    /// Its mean cost in one execution, in 10⁻¹² dollars.
    pub(super) fn cost_per_execution(&self) -> Option<f64> {
        (self.runs > 0).then(|| self.cost.total as f64 / self.runs as f64)
    }

    /// Its mean cost in an execution that reaches it, in 10⁻¹² dollars.
    pub(super) fn cost_when_reached(&self) -> Option<f64> {
        self.cost.mean()
    }

    /// In what share of executions it is reached, by what both show.
    pub(super) fn share(&self, other: &Self) -> f64 {
        (self.cost.count + other.cost.count) as f64 / (self.runs + other.runs).max(1) as f64
    }

    fn merge(&mut self, other: &Self) {
        self.runs += other.runs;
        self.cost.merge(other.cost);
        self.duration.merge(other.duration);
        self.merge_failures(other);
    }

    fn merge_failures(&mut self, other: &Self) {
        self.invocations += other.invocations;
        self.failures += other.failures;
        self.worst = self.worst.max(other.worst);
    }
}

/// By how much the latency at the SLO's percentile exceeds what Algorithm 2.1 makes of the mean times
/// of the steps: what the orchestrator takes, and how much the executions of one trial vary.
///
/// With it a latency can be expected from the times of the steps, which are known from many trials, so
/// that what one execution happened to take decides nothing.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(super) struct Latency {
    total_us: i64,
    count: i64,
}

impl Latency {
    /// Takes the latency of one trial.
    pub(super) fn note(&mut self, latency_us: u64, graph: &StepGraph, shown: &Shown) {
        let of_steps_us = Schedule::new(graph, shown.weights_us()).duration_us();
        let signed = |time_us: u64| i64::try_from(time_us).unwrap_or(i64::MAX);
        self.total_us =
            self.total_us.saturating_add(signed(latency_us).saturating_sub(signed(of_steps_us)));
        self.count += 1;
    }

    /// The latency to be expected if the steps take these times.
    pub(super) fn expected_us(&self, graph: &StepGraph, weights_us: Vec<u64>) -> u64 {
        let of_steps_us = Schedule::new(graph, weights_us).duration_us();
        of_steps_us.saturating_add_signed(self.total_us / self.count.max(1))
    }
}

/// Every function and step.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Shown {
    /// In the order of the deployment's functions.
    pub(super) functions: Vec<FunctionShown>,
    /// Time of each step in warm executions that succeeded and ran it, in microseconds, by number:
    /// from its first start to its last end.
    pub(super) steps: Vec<Sum>,
}

impl Shown {
    /// What these executions of a deployment show.
    pub(super) fn of(deployment: &Deployment, graph: &StepGraph, executions: &[Execution]) -> Self {
        let nodes = graph.nodes().iter().enumerate();
        let numbers: HashMap<&StepName, usize> =
            nodes.map(|(number, node)| (&node.step, number)).collect();
        let step_of = |span: &Span| match &span.step {
            Some(step) => numbers.get(step).copied(),
            // Without an orchestrator the only step is what the client invoked.
            None => (span.parent.is_none() && numbers.len() == 1).then_some(0),
        };
        let mut functions = vec![FunctionShown::default(); deployment.functions().len()];
        let mut steps = vec![Sum::default(); numbers.len()];
        for execution in executions {
            let counts = !execution.is_cold() && !execution.failed();
            let mut costs: Vec<Option<u64>> = vec![None; functions.len()];
            let mut times: Vec<Option<(u64, u64)>> = vec![None; steps.len()];
            for span in &execution.spans {
                if let Some(number) = step_of(span) {
                    let (start, end) =
                        (span.start_us, span.start_us.saturating_add(span.duration_us));
                    let (first, last) = times[number].unwrap_or((start, end));
                    times[number] = Some((first.min(start), last.max(end)));
                }
                let Some(function) = deployment.functions().get_index_of(&span.function) else {
                    continue;
                };
                let shown = &mut functions[function];
                shown.invocations += 1;
                if span.outcome != Outcome::Ok {
                    shown.failures += 1;
                    shown.worst = shown.worst.max(Some(span.outcome));
                }
                if let Some(billed) = span.billed.as_ref().filter(|_| counts) {
                    shown.duration.add(billed.duration_us);
                    let cost = costs[function].get_or_insert(0);
                    *cost = cost.saturating_add(billed.cost.0);
                }
            }
            if counts {
                for (shown, cost) in functions.iter_mut().zip(costs) {
                    shown.runs += 1;
                    cost.into_iter().for_each(|cost| shown.cost.add(cost));
                }
                for (sum, time) in steps.iter_mut().zip(times) {
                    time.into_iter().for_each(|(first, last)| sum.add(last - first));
                }
            }
        }
        Self { functions, steps }
    }

    /// Adds what executions of the same deployment show.
    pub(super) fn merge(&mut self, other: &Self) {
        self.merge_where(other, |_| true, |_| true);
    }

    /// Adds what executions show in which one function had something else: all that does not depend
    /// on it.
    pub(super) fn merge_except(&mut self, other: &Self, changed: usize, topology: &Topology) {
        let affected = topology.affected(changed);
        self.merge_where(
            other,
            |function| !affected.contains(&function),
            |step| !topology.is_step_affected(step, changed),
        );
    }

    /// Forgets times and costs that depend on what one function has. Failures stay: they tell what
    /// is usual.
    pub(super) fn forget(&mut self, changed: usize, topology: &Topology) {
        for function in topology.affected(changed) {
            let shown = &mut self.functions[*function];
            (shown.runs, shown.cost, shown.duration) = Default::default();
        }
        for (step, sum) in self.steps.iter_mut().enumerate() {
            if topology.is_step_affected(step, changed) {
                *sum = Sum::default();
            }
        }
    }

    /// The mean time of every step, 0 for those that never ran, in microseconds.
    pub(super) fn weights_us(&self) -> Vec<u64> {
        self.steps.iter().map(|sum| sum.rounded().unwrap_or(0)).collect()
    }

    /// Mean cost of one execution, in 10⁻¹² dollars.
    pub(super) fn cost(&self) -> f64 {
        self.functions.iter().filter_map(FunctionShown::cost_per_execution).sum()
    }

    fn merge_where(
        &mut self,
        other: &Self,
        functions: impl Fn(usize) -> bool,
        steps: impl Fn(usize) -> bool,
    ) {
        for (at, (mine, others)) in self.functions.iter_mut().zip(&other.functions).enumerate() {
            if functions(at) {
                mine.merge(others);
            }
        }
        for (at, (mine, others)) in self.steps.iter_mut().zip(&other.steps).enumerate() {
            if steps(at) {
                mine.merge(*others);
            }
        }
    }
}
