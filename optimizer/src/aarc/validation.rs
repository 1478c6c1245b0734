//! The last trial: whether the whole keeps the SLO, and what is given back if it does not.

use std::cmp::Reverse;

use super::observation::Shown;
use super::report::{Change, Fate};
use super::{AarcSearch, Stage};
use crate::critical_path::Schedule;
use crate::execution::{Execution, Outcome};
use crate::measurement::latency_at;
use crate::search::{Decision, Standing, Verdict};
use crate::space::Dimension;
use crate::text;
use crate::units::Resources;

impl AarcSearch {
    /// Whether another operation can be tried and everything that is kept after it still be
    /// validated.
    pub(super) fn may_try(&self) -> bool {
        self.trials_left() > validations(self.kept().count() + 1)
    }

    /// Begins with the last trial, and says which functions get back what they had.
    pub(super) fn begin_validation(&mut self) -> Vec<String> {
        let mut reasons = Vec::new();
        for function in 0..self.scheduled.len() {
            let root = self.root(function).clone();
            let had = self.start.functions()[&root].resources;
            let reached = self.known.functions[function].is_reached();
            if !reached && !self.is_fixed(function) && self.space.check(had).is_ok() {
                self.resize(function, had);
                reasons.push(format!("{root} keeps what it had: no execution reached it"));
            }
        }
        if self.trials_left() > 0 {
            self.stage = Stage::Validation(0);
        } else {
            self.best = self.current.clone();
            self.stage = Stage::Done;
        }
        reasons
    }

    /// Takes what executions of the whole show, after so many such trials without success.
    pub(super) fn observe_validation(&mut self, before: u32, executions: &[Execution]) -> Verdict {
        let shown = Shown::of(&self.current, &self.graph, executions);
        let standing = Standing::of(executions, self.slo);
        let latency_us = latency_at(executions, self.slo.percentile);
        let failed = self.failed(&shown);
        let mut figures = text::against_slo(latency_us, self.slo);
        for (function, _) in &failed {
            figures.push_str(&format!(", {} failed", self.root(*function)));
        }
        self.known.merge(&shown);
        let is_base = self.kept().next().is_none();
        if standing == Standing::KeepsSlo && (failed.is_empty() || is_base) {
            (self.best, self.standing) = (self.current.clone(), standing);
            self.stage = Stage::Done;
            let reason = format!("measured the result as a whole: {figures}");
            return Verdict { decision: Decision::Kept, reasons: vec![reason] };
        }
        if is_base {
            (self.best, self.standing) = (self.current.clone(), standing);
            self.stage = Stage::Done;
            let reason = format!("measured the base configuration again: {figures}");
            return Verdict { decision: Decision::Undone, reasons: vec![reason] };
        }
        // Nothing but the base is left of which no executions have shown that it misses the SLO.
        self.best = self.base.clone();
        let count = 1_usize.checked_shl(before).unwrap_or(usize::MAX);
        let given = self.give_back(&failed, count);
        self.stage = Stage::Validation(before + 1);
        let reason = format!("measured the result as a whole: {figures}; gives back {given}");
        Verdict { decision: Decision::Undone, reasons: vec![reason] }
    }

    /// Changes that are kept, by their index.
    fn kept(&self) -> impl DoubleEndedIterator<Item = usize> + '_ {
        let all = self.changes.iter().enumerate();
        all.filter(|(_, (_, change))| change.fate == Fate::Kept).map(|(index, _)| index)
    }

    /// Functions that a lack of resources may have ended more often than before.
    fn failed(&self, shown: &Shown) -> Vec<(usize, Outcome)> {
        use Outcome::{Crash, OutOfMemory, Timeout};
        let both = shown.functions.iter().zip(&self.known.functions).enumerate();
        let failed = both.filter(|(_, (shown, known))| shown.fails_more(known));
        failed
            .filter_map(|(function, (shown, _))| Some((function, shown.worst?)))
            .filter(|(_, worst)| matches!(worst, Crash | OutOfMemory | Timeout))
            .collect()
    }

    /// Gives back the last `count` kept changes and names them: first those of the functions that
    /// failed or, if none did, are on the critical path, and of these first those that may have caused
    /// it.
    fn give_back(&mut self, failed: &[(usize, Outcome)], count: usize) -> String {
        let schedule = Schedule::new(&self.graph, self.known.weights_us());
        let critical: Vec<usize> =
            self.topology.reached(&schedule.critical_path(&self.graph)).collect();
        let mut order: Vec<usize> = self.kept().rev().collect();
        // Stable, so that the last of equals stays first.
        order.sort_by_key(|index| {
            let (function, change) = &self.changes[*index];
            let failure = failed.iter().find(|(failed, _)| failed == function);
            let (blamed, fits) = match failure {
                Some((_, Outcome::OutOfMemory)) => (true, change.dimension == Dimension::Memory),
                Some(_) => (true, true),
                None => {
                    let slows =
                        change.to.vcpu < change.from.vcpu || self.is_slower(change.runtimes_us);
                    (failed.is_empty() && critical.contains(function), slows)
                }
            };
            Reverse((blamed, fits))
        });
        let mut names = Vec::new();
        for index in order.into_iter().take(count) {
            if self.changes[index].1.fate == Fate::Kept {
                names.push(self.give_one_back(index));
            }
        }
        names.join(", ")
    }

    /// Gives back one change and what was taken of the same resource later, and names it.
    fn give_one_back(&mut self, index: usize) -> String {
        let (function, Change { dimension, from, .. }) = self.changes[index].clone();
        for (other, change) in &mut self.changes[index..] {
            let same = (*other, change.dimension) == (function, dimension);
            if same && change.fate == Fate::Kept {
                change.fate = Fate::GivenBack;
            }
        }
        let present = self.resources(function);
        let vcpu = Resources { vcpu: from.vcpu.max(present.vcpu), ..present };
        let memory = Resources { memory: from.memory.max(present.memory), ..present };
        let alone = if dimension == Dimension::Vcpu { vcpu } else { memory };
        // A platform that ties the two may not have one alone.
        let both = Resources { vcpu: vcpu.vcpu, memory: memory.memory };
        let legal = [alone, both].into_iter().find(|it| self.space.check(*it).is_ok());
        let with = legal.unwrap_or(self.base.functions()[function].resources);
        let text = self.change_text(function, with);
        self.resize(function, with);
        self.known.forget(function, &self.topology);
        text
    }
}

/// Trials that validation takes at most with so many changes kept: each one that fails is followed by
/// giving back twice as many changes as the one before, and the last is that of the base.
fn validations(kept: usize) -> u32 {
    (kept + 1).next_power_of_two().trailing_zeros() + 1
}

#[cfg(test)]
mod tests {
    use super::validations;

    #[test]
    fn every_change_can_be_given_back_in_so_many_trials() {
        for kept in 0..200 {
            let (mut left, mut trials) = (kept, 1);
            for round in 0.. {
                if left == 0 {
                    break;
                }
                left -= left.min(1 << round);
                trials += 1;
            }
            assert_eq!(validations(kept), trials, "{kept}");
        }
    }
}
