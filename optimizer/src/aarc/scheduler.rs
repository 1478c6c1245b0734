//! Algorithm 4.1: which functions are configured when, and under which limit.

use std::collections::{BTreeSet, VecDeque};

use super::observation::Shown;
use super::operations::{Operation, Priority, Queue, amount, reduced};
use super::{AarcSearch, Part, Stage};
use crate::critical_path::{Schedule, detours};
use crate::execution::Execution;
use crate::measurement::latency_at;
use crate::search::{Decision, Standing, Verdict};
use crate::space::Dimension;
use crate::text;
use crate::units::Resources;

impl AarcSearch {
    /// Takes what the base, or the largest, configuration shows.
    pub(super) fn observe_base(&mut self, executions: &[Execution]) -> Verdict {
        let latency_us = latency_at(executions, self.slo.percentile);
        let standing = Standing::of(executions, self.slo);
        let name = match self.stage {
            Stage::Base => "the base configuration",
            _ => "the largest configuration",
        };
        let mut reasons =
            vec![format!("measured {name}: {}", text::against_slo(latency_us, self.slo))];
        if let Standing::Fails { function: Some(function) } = &standing {
            reasons.push(format!("{function} fails even with {name}"));
        }
        if self.standing == Standing::Unmeasured || is_better(&standing, &self.standing) {
            (self.best, self.standing) = (self.current.clone(), standing.clone());
        }
        if standing == Standing::KeepsSlo {
            self.base = self.current.clone();
            self.known = Shown::of(&self.current, &self.graph, executions);
            self.latency.note(latency_us.unwrap_or(0), &self.graph, &self.known);
            reasons.push(self.begin_critical_path());
            reasons.extend(self.advance());
        } else {
            let largest = self.with_everywhere(self.space.largest());
            let is_largest = self.stage == Stage::Largest || largest == self.current;
            self.stage = if is_largest {
                reasons.push(self.hopeless());
                Stage::Done
            } else if self.trials_left() == 0 {
                Stage::Done
            } else {
                self.current = largest;
                Stage::Largest
            };
        }
        Verdict { decision: Decision::Measured, reasons }
    }

    /// Why nothing more is tried.
    fn hopeless(&self) -> String {
        match &self.standing {
            Standing::MissesSlo { latency_us } => format!(
                "no configuration keeps the SLO: the best latency to be reached is {}",
                text::milliseconds(*latency_us as f64)
            ),
            Standing::Fails { function: Some(function) } => {
                format!("no configuration helps: {function} fails at every size")
            }
            Standing::Fails { function: None } => {
                "no configuration helps: the workflow fails at every size".to_owned()
            }
            Standing::KeepsSlo | Standing::Unmeasured => {
                "no warm execution shows what the functions take".to_owned()
            }
        }
    }

    /// Begins with the critical path, and says which it is.
    fn begin_critical_path(&mut self) -> String {
        let schedule = Schedule::new(&self.graph, self.known.weights_us());
        let path = schedule.critical_path(&self.graph);
        let functions: Vec<usize> = self.topology.reached(&path).collect();
        self.begin("on the critical path".to_owned(), &functions, path.clone(), None);
        let text = format!("the critical path is {}", self.path_text(&path));
        self.critical_path = path;
        text
    }

    fn path_text(&self, steps: &[usize]) -> String {
        let names: Vec<&str> =
            steps.iter().map(|step| self.graph.nodes()[*step].step.0.as_str()).collect();
        names.join(" → ")
    }

    /// Decides on the next trial and returns what there is to say of it.
    pub(super) fn advance(&mut self) -> Vec<String> {
        let mut reasons = Vec::new();
        match self.next_operation() {
            Some((operation, resources)) if self.may_try() => {
                self.stage = Stage::Operation(operation, resources);
                return reasons;
            }
            Some(_) => reasons.push(format!(
                "tries nothing more, because the trials are limited to {}",
                self.parameters.max_trials
            )),
            None => {}
        }
        self.part = None;
        reasons.extend(self.begin_validation());
        reasons
    }

    /// The next operation of the path being configured, or the first of the next path.
    fn next_operation(&mut self) -> Option<(Operation, Resources)> {
        loop {
            while let Some(operation) = self.part.as_mut().and_then(|part| part.queue.pop()) {
                let possible = self.possible(operation);
                if possible.is_some() {
                    return possible;
                }
            }
            if !self.begin_next() {
                return None;
            }
        }
    }

    /// What an operation does, with its step shortened where the space ends or the size was undone
    /// before; none if nothing is left of it.
    fn possible(&self, mut operation: Operation) -> Option<(Operation, Resources)> {
        let Operation { function, dimension, .. } = operation;
        while operation.step > 0 {
            let less = reduced(&self.space, self.resources(function), dimension, operation.step);
            match less.filter(|it| !self.undone[function].contains(it)) {
                Some(resources) => return Some((operation, resources)),
                None => operation.step /= self.parameters.back_off.max(2),
            }
        }
        None
    }

    /// Begins with the next detour, or with functions that were reached only after their turn;
    /// returns whether there is one.
    fn begin_next(&mut self) -> bool {
        if self.detours.is_none() {
            let found = detours(&self.graph, &self.known.weights_us(), &self.critical_path);
            self.detours = Some(found.into_iter().map(|detour| detour.steps).collect());
        }
        while let Some(steps) = self.detours.as_mut().and_then(VecDeque::pop_front) {
            if self.begin_detour(&steps) {
                return true;
            }
        }
        let all: Vec<usize> = (0..self.scheduled.len()).collect();
        self.begin("beside all paths".to_owned(), &all, Vec::new(), None)
    }

    /// Begins with a detour, unless all its functions had their turn.
    fn begin_detour(&mut self, steps: &[usize]) -> bool {
        let (Some(first), Some(last)) = (steps.first(), steps.last()) else { return false };
        let weights_us = self.known.weights_us();
        let schedule = Schedule::new(&self.graph, weights_us.clone());
        let (open, scheduled): (Vec<usize>, Vec<usize>) = steps
            .iter()
            .partition(|step| self.topology.reached(&[**step]).any(|f| self.is_open(f)));
        let taken_us: u64 = scheduled.iter().map(|step| weights_us[*step]).sum();
        let expected_us = self.latency.expected_us(&self.graph, weights_us.clone());
        let spare_us = self.limit_us().saturating_sub(expected_us);
        let sub_slo_us =
            schedule.room_us(*first, *last).saturating_add(spare_us).saturating_sub(taken_us);
        let functions: Vec<usize> = self.topology.reached(steps).collect();
        let name = format!("on the detour {}", self.path_text(steps));
        self.begin(name, &functions, open, Some(sub_slo_us))
    }

    /// Begins with those of the functions that have not had their turn; returns whether there is one.
    fn begin(
        &mut self,
        name: String,
        functions: &[usize],
        steps: Vec<usize>,
        sub_slo_us: Option<u64>,
    ) -> bool {
        let mut queue = Queue::default();
        let open: BTreeSet<usize> =
            functions.iter().copied().filter(|function| self.is_open(*function)).collect();
        for function in functions.iter().filter(|function| open.contains(function)) {
            self.scheduled[*function] = true;
            for dimension in self.space.dimensions() {
                let step = self.first_step(*function, *dimension);
                let trials = self.parameters.function_trials.max(1);
                let operation =
                    Operation { function: *function, dimension: *dimension, step, trials };
                queue.push(operation, Priority::Untried);
            }
        }
        self.part = Some(Part { name, steps, sub_slo_us, queue });
        !open.is_empty()
    }

    /// Whether a function still has to be configured, and can be, because its cost was seen.
    fn is_open(&self, function: usize) -> bool {
        !self.scheduled[function]
            && !self.is_fixed(function)
            && self.known.functions[function].shows_cost()
    }

    fn first_step(&self, function: usize, dimension: Dimension) -> u32 {
        let given = match dimension {
            Dimension::Vcpu => self.parameters.vcpu_step.map(|step| step.0),
            Dimension::Memory => self.parameters.memory_step.map(|step| step.0),
        };
        given.unwrap_or(amount(self.resources(function), dimension) / 4).max(1)
    }

    /// The SLO less the margin, in microseconds.
    pub(super) fn limit_us(&self) -> u64 {
        let margin_percent = u128::from(self.parameters.slo_margin_percent.min(99));
        // At most the SLO, which fits.
        (u128::from(self.slo.latency_us) * (100 - margin_percent) / 100) as u64
    }
}

/// Whether the first is closer to keeping the SLO.
fn is_better(one: &Standing, other: &Standing) -> bool {
    match (one, other) {
        (Standing::KeepsSlo, _) => *other != Standing::KeepsSlo,
        (Standing::MissesSlo { latency_us: one }, Standing::MissesSlo { latency_us: other }) => {
            one < other
        }
        (Standing::MissesSlo { .. }, Standing::Fails { .. }) => true,
        _ => false,
    }
}
