//! The last trial: whether the whole keeps the SLO, and what is given back if it does not.

use super::observation::Shown;
use super::report::Fate;
use super::{AarcSearch, Stage};
use crate::critical_path::Schedule;
use crate::execution::{Execution, Outcome};
use crate::measurement::latency_at;
use crate::search::{Decision, Standing, Verdict};
use crate::text;

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
        let figures = text::against_slo(latency_us, self.slo);
        let failed = self.failed(&shown);
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
        let blamed = if failed.is_empty() {
            let schedule = Schedule::new(&self.graph, self.known.weights_us());
            self.topology.reached(&schedule.critical_path(&self.graph)).collect()
        } else {
            failed
        };
        let given = self.give_back(&blamed, 1_usize.checked_shl(before).unwrap_or(usize::MAX));
        self.stage = Stage::Validation(before + 1);
        let reason = format!("the result as a whole, {figures}, is given back {given}");
        Verdict { decision: Decision::Undone, reasons: vec![reason] }
    }

    /// Changes that are kept, by their index.
    fn kept(&self) -> impl DoubleEndedIterator<Item = usize> + '_ {
        let all = self.changes.iter().enumerate();
        all.filter(|(_, (_, change))| change.fate == Fate::Kept).map(|(index, _)| index)
    }

    /// Functions that a lack of resources may have ended more often than before.
    fn failed(&self, shown: &Shown) -> Vec<usize> {
        let both = shown.functions.iter().zip(&self.known.functions).enumerate();
        let failed = both.filter(|(_, (shown, known))| {
            use Outcome::{Crash, OutOfMemory, Timeout};
            shown.fails_more(known) && matches!(shown.worst, Some(Crash | OutOfMemory | Timeout))
        });
        failed.map(|(function, _)| function).collect()
    }

    /// Gives back the last `count` kept changes, those of the blamed functions first, and names them.
    fn give_back(&mut self, blamed: &[usize], count: usize) -> String {
        let (theirs, others): (Vec<usize>, Vec<usize>) =
            self.kept().rev().partition(|index| blamed.contains(&self.changes[*index].0));
        let mut names = Vec::new();
        for index in theirs.into_iter().chain(others).take(count) {
            let (function, change) = &mut self.changes[index];
            change.fate = Fate::GivenBack;
            let (function, before) = (*function, change.from);
            names.push(self.change_text(function, before));
            self.resize(function, before);
            self.known.forget(function, &self.topology);
        }
        names.join(", ")
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
