//! Algorithm 4.2: what becomes of an operation.

use super::AarcSearch;
use super::observation::Shown;
use super::operations::{Operation, Priority};
use super::report::{Change, Fate, Violation, change_text};
use crate::deployment::Deployment;
use crate::execution::{self, Execution};
use crate::measurement::latency_at;
use crate::search::{Decision, Standing, Verdict};
use crate::text;
use crate::units::{PicoUsd, Resources};

/// A figure of an execution with what a function has, and with what is tried.
#[derive(Clone, Copy)]
struct Compared<T> {
    before: T,
    after: T,
}

impl AarcSearch {
    /// Takes what executions with the operation show, and keeps or undoes it.
    pub(super) fn observe_operation(
        &mut self,
        operation: Operation,
        resources: Resources,
        executions: &[Execution],
    ) -> Verdict {
        let Operation { function, dimension, .. } = operation;
        let deployment = self.current.with_resources(self.root(function), resources);
        let shown = Shown::of(&deployment, &self.graph, executions);
        let latency_us = latency_at(executions, self.slo.percentile);
        if let Some(latency_us) = latency_us {
            self.latency.note(latency_us, &self.graph, &shown);
        }
        let costs = self.costs(function, &shown);
        let expected_us = self.expected_us(function, &shown);
        let violation = self.violation(function, executions, &shown, costs.as_ref(), expected_us);
        let saved = costs.map(|costs| costs.before - costs.after);
        let reason = self.reason(function, resources, violation, saved, expected_us.after);
        self.changes.push((
            function,
            Change {
                trial: self.trials,
                dimension,
                from: self.resources(function),
                to: resources,
                saved: saved.map(|saved| saved.round() as i64),
                runtimes_us: self.runtimes_us(function, &shown),
                fate: violation.map_or(Fate::Kept, Fate::Undone),
            },
        ));
        match violation {
            None => {
                let saved = PicoUsd(saved.unwrap_or(0.0).max(0.0).round() as u64);
                self.keep(operation, deployment, &shown, latency_us);
                self.push(operation, Priority::Saved(saved));
            }
            Some(violation) => self.undo(operation, resources, &shown, violation),
        }
        let decision = if violation.is_none() { Decision::Kept } else { Decision::Undone };
        let mut reasons = vec![reason];
        reasons.extend(self.advance());
        Verdict { decision, reasons }
    }

    fn keep(
        &mut self,
        operation: Operation,
        deployment: Deployment,
        shown: &Shown,
        latency_us: Option<u64>,
    ) {
        let Operation { function, .. } = operation;
        self.known.forget(function, &self.topology);
        self.known.merge(shown);
        if latency_us.is_some_and(|latency_us| latency_us <= self.slo.latency_us) {
            self.best = deployment.clone();
        }
        self.current = deployment;
    }

    /// Leaves the function as it was, shortens the step and has it tried again, last of all, unless it
    /// failed too often.
    fn undo(
        &mut self,
        mut operation: Operation,
        resources: Resources,
        shown: &Shown,
        violation: Violation,
    ) {
        self.known.merge_except(shown, operation.function, &self.topology);
        operation.trials -= 1;
        if violation != Violation::NotReached {
            operation.step /= self.parameters.back_off.max(2);
            self.undone[operation.function].insert(resources);
        }
        if operation.trials > 0 {
            self.push(operation, Priority::Saved(PicoUsd(0)));
        }
    }

    fn push(&mut self, operation: Operation, priority: Priority) {
        if let Some(part) = &mut self.part {
            part.queue.push(operation, priority);
        }
    }

    /// Mean cost of all that depends on a function, in 10⁻¹² dollars; none if it was not seen.
    fn costs(&self, function: usize, shown: &Shown) -> Option<Compared<f64>> {
        let mut costs = Compared { before: 0.0, after: 0.0 };
        for affected in self.topology.affected(function) {
            let (known, shown) = (&self.known.functions[*affected], &shown.functions[*affected]);
            let means = known.cost_when_reached().zip(shown.cost_when_reached());
            let Some((before, after)) = means else {
                if *affected == function {
                    return None;
                }
                continue;
            };
            // How often it is reached is chance and says nothing about its size.
            let share = known.share(shown);
            costs.before += share * before;
            costs.after += share * after;
        }
        Some(costs)
    }

    /// What speaks against a change.
    fn violation(
        &self,
        function: usize,
        executions: &[Execution],
        shown: &Shown,
        costs: Option<&Compared<f64>>,
        expected_us: Compared<u64>,
    ) -> Option<Violation> {
        let (known, of_function) = (&self.known.functions[function], &shown.functions[function]);
        if of_function.fails_more(known) {
            let outcome = of_function.worst.unwrap_or(execution::Outcome::Error);
            return Some(Violation::Failed { outcome });
        }
        match Standing::of(executions, self.slo) {
            Standing::Fails { .. } => return Some(Violation::ExecutionsFailed),
            Standing::Unmeasured => return Some(Violation::NotReached),
            Standing::KeepsSlo | Standing::MissesSlo { .. } => {}
        }
        let Some(costs) = costs else { return Some(Violation::NotReached) };
        if let Some((runtime_us, limit_us)) = self.part_runtime_us(function, shown)
            && runtime_us as f64 > limit_us as f64 * self.tolerated()
        {
            return Some(Violation::SubSloMissed { runtime_us, limit_us });
        }
        // What the changed function takes by chance must not use up the margin.
        let slower = self.is_slower(self.runtimes_us(function, shown));
        let limit_us = if slower { self.limit_us() } else { self.slo.latency_us };
        if expected_us.after > limit_us.max(expected_us.before) {
            return Some(Violation::SloMissed { latency_us: expected_us.after, limit_us });
        }
        if costs.after > costs.before * self.tolerated() {
            return Some(Violation::CostRose);
        }
        // Chance alone would give a function less and less of what does not pay, such as vCPU below one.
        (slower && costs.after * self.tolerated() > costs.before).then_some(Violation::NotWorthIt)
    }

    /// The latency to be expected of executions that take the same steps as those that were seen.
    fn expected_us(&self, function: usize, shown: &Shown) -> Compared<u64> {
        let steps = 0..self.known.steps.len();
        let ran = |step: &usize| shown.steps[*step].mean().is_some();
        let before = steps
            .clone()
            .map(|step| if ran(&step) { self.known.steps[step].rounded().unwrap_or(0) } else { 0 });
        let after =
            steps.map(|step| if ran(&step) { self.time_us(step, function, shown) } else { 0 });
        Compared {
            before: self.latency.expected_us(&self.graph, before.collect()),
            after: self.latency.expected_us(&self.graph, after.collect()),
        }
    }

    /// Time of a step with a change of a function: as it was seen with it, if it depends on it.
    fn time_us(&self, step: usize, function: usize, shown: &Shown) -> u64 {
        let changed = self.topology.is_step_affected(step, function);
        let new = shown.steps[step].rounded().filter(|_| changed);
        new.or(self.known.steps[step].rounded()).unwrap_or(0)
    }

    /// What the steps that depend on a function take together, before a change and with it.
    fn runtimes_us(&self, function: usize, shown: &Shown) -> Option<(u64, u64)> {
        let steps = (0..self.known.steps.len())
            .filter(|step| self.topology.is_step_affected(*step, function))
            .filter_map(|step| self.known.steps[step].rounded().zip(shown.steps[step].rounded()));
        steps.reduce(|sum, step| (sum.0 + step.0, sum.1 + step.1))
    }

    /// Whether steps took longer with a change, by more than the tolerance.
    pub(super) fn is_slower(&self, runtimes_us: Option<(u64, u64)>) -> bool {
        let tolerated = self.tolerated();
        runtimes_us
            .is_some_and(|(before_us, after_us)| after_us as f64 > before_us as f64 * tolerated)
    }

    /// What a mean may be of one that it is compared with without counting as more.
    fn tolerated(&self) -> f64 {
        1.0 + f64::from(self.parameters.tolerance_percent) / 100.0
    }

    /// What the steps of the detour being configured take together, and may take, in microseconds.
    fn part_runtime_us(&self, function: usize, shown: &Shown) -> Option<(u64, u64)> {
        let part = self.part.as_ref()?;
        let limit_us = part.sub_slo_us?;
        let times_us = part.steps.iter().map(|step| self.time_us(*step, function, shown));
        Some((times_us.sum(), limit_us))
    }

    /// A function with what it has and what it gets.
    pub(super) fn change_text(&self, function: usize, to: Resources) -> String {
        let change = change_text(self.resources(function), to, self.space.dimensions());
        format!("{} {change}", self.root(function))
    }

    fn reason(
        &self,
        function: usize,
        resources: Resources,
        violation: Option<Violation>,
        saved: Option<f64>,
        expected_us: u64,
    ) -> String {
        let change = self.change_text(function, resources);
        let share = saved.unwrap_or(0.0) / self.known.cost().max(1.0) * 100.0;
        let cost = if share >= 0.0 {
            format!("saves {share:.1} % of the cost of an execution")
        } else {
            format!("an execution costs {:.1} % more", -share)
        };
        match violation {
            None => {
                let standing = text::against_slo(Some(expected_us), self.slo);
                format!("kept {change}: {cost}, expected {standing}")
            }
            Some(violation) => format!("undid {change}: {}", violation.text(self.slo, &cost)),
        }
    }
}
