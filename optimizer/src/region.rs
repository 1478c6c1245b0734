//! What a trial and its control show about one region of the workflow.

use std::collections::HashMap;

use crate::execution::{self, Execution};
use crate::measurement::warm;
use crate::search::Outcome;
use crate::statistics::{self, Interval};
use crate::text;
use crate::workflow::{CallKind, TaskName};

/// A region in a trial and in its control.
pub(crate) struct RegionComparison {
    trial: Sample,
    control: Sample,
    /// How much more the trial's warm executions cost; `None` without warm executions of both.
    difference: Option<Interval>,
}

/// A region in one set of executions.
struct Sample {
    /// Cost of its functions in each warm execution, in 10⁻¹² dollars.
    costs: Vec<u64>,
    /// Mean duration of the spans by which warm executions enter it, in microseconds.
    latency_us: Option<f64>,
    /// Spans that ended otherwise than well, in all executions.
    failures: usize,
    executions: usize,
}

impl Sample {
    fn new(executions: &[Execution], inside: &impl Fn(&TaskName) -> bool) -> Self {
        let (mut costs, mut durations_us, mut failures) = (Vec::new(), Vec::new(), 0);
        for execution in executions {
            let warm = !execution.is_cold();
            let mut cost = 0;
            for span in execution.spans.iter().filter(|span| inside(&span.function)) {
                failures += usize::from(span.outcome != execution::Outcome::Ok);
                cost += span.billed.as_ref().map_or(0, |billed| billed.cost.0);
                // A region is entered from outside or by an asynchronous call; its synchronous
                // calls stay inside it.
                if warm && (span.parent.is_none() || span.kind == CallKind::Async) {
                    durations_us.push(span.duration_us);
                }
            }
            if warm {
                costs.push(cost);
            }
        }
        let latency_us = statistics::mean(&durations_us);
        Self { costs, latency_us, failures, executions: executions.len() }
    }
}

impl RegionComparison {
    /// Compares the region of the tasks that are `inside`. `seed` makes the interval.
    pub(crate) fn new(outcome: &Outcome, inside: impl Fn(&TaskName) -> bool, seed: u64) -> Self {
        let trial = Sample::new(&outcome.deployment, &inside);
        let control = Sample::new(&outcome.control, &inside);
        let difference = statistics::difference_interval(&trial.costs, &control.costs, seed);
        Self { trial, control, difference }
    }

    /// Whether the trial is shown to cost less: the whole interval is below zero.
    pub(crate) fn is_cheaper(&self) -> bool {
        self.difference.is_some_and(|difference| difference.upper < 0.0)
    }

    /// Whether the region took longer in the trial, on average.
    pub(crate) fn is_slower(&self) -> bool {
        self.trial.latency_us.zip(self.control.latency_us).is_some_and(|(now, was)| now > was)
    }

    /// Whether more of its spans per execution failed in the trial.
    pub(crate) fn fails_more(&self) -> bool {
        let Self { trial, control, .. } = self;
        trial.failures * control.executions.max(1) > control.failures * trial.executions.max(1)
    }

    /// The change of its cost, as part of a sentence.
    pub(crate) fn cost_change(&self) -> String {
        let means = (statistics::mean(&self.trial.costs), statistics::mean(&self.control.costs));
        match (means, self.difference) {
            ((Some(now), Some(was)), Some(difference)) => {
                text::cost_change(was, now - was, difference)
            }
            _ => "cost unknown, because no warm execution was seen".to_owned(),
        }
    }

    /// The change of its latency, as part of a sentence.
    pub(crate) fn latency_change(&self) -> String {
        match (self.control.latency_us, self.trial.latency_us) {
            (Some(was), Some(now)) => {
                let word = if now > was { "rose" } else { "went" };
                let (was, now) = (text::milliseconds(was), text::milliseconds(now));
                format!("the mean latency of its region {word} from {was} to {now}")
            }
            _ => "the latency of its region is unknown".to_owned(),
        }
    }
}

/// Time that callers waited for remote synchronous calls in one warm execution, on average, in
/// microseconds, by caller and callee.
pub(crate) fn mean_waiting_us(executions: &[Execution]) -> HashMap<(&TaskName, &TaskName), u64> {
    let mut totals = HashMap::new();
    let mut count = 0;
    for execution in warm(executions) {
        count += 1;
        for span in &execution.spans {
            let Some(caller) = span.parent.and_then(|parent| execution.spans.get(parent)) else {
                continue;
            };
            if span.kind == CallKind::Sync && span.function != caller.function {
                *totals.entry((&caller.task, &span.task)).or_insert(0) += span.duration_us;
            }
        }
    }
    totals.values_mut().for_each(|total| *total /= count);
    totals
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::execution as executed;
    use execution::Outcome::{Crash, Ok};

    fn compare(trial: &[Execution], control: &[Execution]) -> RegionComparison {
        let outcome = Outcome { deployment: trial.to_vec(), control: control.to_vec() };
        RegionComparison::new(&outcome, |task| task.0 == "a", 1)
    }

    #[test]
    fn only_warm_executions_show_cost_and_latency() {
        let fast = vec![executed(10_000, None, Ok); 5];
        let slow = vec![executed(20_000, None, Ok); 5];
        let cold = executed(90_000, Some(1), Ok);
        let gain = compare(&[fast.clone(), vec![cold.clone()]].concat(), &slow);
        assert!(gain.is_cheaper() && !gain.is_slower() && !gain.fails_more());
        let change = "cost per execution fell by 50.0 % (95 % CI 50.0 … 50.0)";
        assert_eq!(gain.cost_change(), change);
        let loss = compare(&slow, &fast);
        assert!(!loss.is_cheaper() && loss.is_slower());
        let change = "the mean latency of its region rose from 10.0 ms to 20.0 ms";
        assert_eq!(loss.latency_change(), change);
        let unknown = compare(&[cold], &slow);
        assert!(!unknown.is_cheaper() && !unknown.is_slower());
    }

    #[test]
    fn other_regions_do_not_count() {
        let outcome = Outcome {
            deployment: vec![executed(10_000, None, Crash)],
            control: vec![executed(20_000, None, Ok)],
        };
        let other = RegionComparison::new(&outcome, |task| task.0 == "b", 1);
        assert!(!other.is_cheaper() && !other.fails_more());
    }

    #[test]
    fn failures_of_cold_executions_count() {
        let fine = vec![executed(10_000, None, Ok); 2];
        let crash = executed(10_000, Some(1), Crash);
        assert!(compare(&[crash.clone(), crash.clone()], &fine).fails_more());
        assert!(!compare(&[crash.clone(), crash.clone()], &[crash]).fails_more(), "as often");
    }
}
