//! Which measured deployment is the best: the cheapest that keeps the SLO and fails no more often
//! than the first one.

use serde::{Deserialize, Serialize};

use crate::deployment::Deployment;
use crate::execution::Execution;
use crate::measurement::{self, warm};
use crate::search::{Decision, Standing, Verdict};
use crate::statistics;
use crate::text;
use crate::units::PicoUsd;
use crate::workflow::Slo;

/// Deployments measured so far, best first and the others forgotten.
///
/// The best is best by mean cost alone; on a tie the one measured earlier stays.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Ranking {
    slo: Slo,
    first: Option<First>,
    best: Option<Entry>,
}

/// The deployment that the others are compared with.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct First {
    deployment: Deployment,
    /// Mean cost of a warm execution.
    cost: Option<PicoUsd>,
    standing: Standing,
    failures: usize,
    executions: usize,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Entry {
    deployment: Deployment,
    cost: PicoUsd,
}

impl Ranking {
    /// Nothing measured yet.
    pub(crate) fn new(slo: Slo) -> Self {
        Self { slo, first: None, best: None }
    }

    /// The best deployment measured; the first if none keeps the SLO, and `None` before it.
    pub(crate) fn best(&self) -> Option<&Deployment> {
        let best = self.best.as_ref().map(|best| &best.deployment);
        best.or(self.first.as_ref().map(|first| &first.deployment))
    }

    /// How that deployment stands to the SLO.
    pub(crate) fn standing(&self) -> Standing {
        match (&self.best, &self.first) {
            (Some(_), _) => Standing::KeepsSlo,
            (None, Some(first)) => first.standing.clone(),
            (None, None) => Standing::Unmeasured,
        }
    }

    /// Takes what a deployment's executions show. `name` begins the reason.
    pub(crate) fn enter(
        &mut self,
        name: &str,
        deployment: &Deployment,
        executions: &[Execution],
    ) -> Verdict {
        let cost = mean_cost(executions);
        let latency_us = measurement::latency_at(executions, self.slo.percentile);
        let latency = text::against_slo(latency_us, self.slo);
        let keeps_slo = measurement::keeps_slo(executions, self.slo);
        let failed = executions.iter().filter(|execution| execution.failed());
        let (failures, all) = (failed.count(), executions.len());
        let deployment = deployment.clone();
        let Some(first) = &self.first else {
            self.best = cost
                .filter(|_| keeps_slo)
                .map(|cost| Entry { deployment: deployment.clone(), cost });
            let standing = Standing::of(executions, self.slo);
            self.first = Some(First { deployment, cost, standing, failures, executions: all });
            return verdict(Decision::Measured, format!("measured {name}: {latency}"));
        };
        let compared = match (cost, first.cost) {
            (Some(cost), Some(with)) => text::compared(cost.0 as f64, with.0 as f64),
            _ => "an unknown amount more or less".to_owned(),
        };
        let figures = format!("{name}: costs {compared} than the first, {latency}");
        if failures * first.executions.max(1) > first.failures * all.max(1) {
            let reason =
                format!("{name}: {failures} of {all} executions failed, more than at first");
            return verdict(Decision::Undone, reason);
        }
        if !keeps_slo {
            return verdict(Decision::Undone, figures);
        }
        match cost {
            Some(cost) if self.best.as_ref().is_none_or(|best| cost < best.cost) => {
                self.best = Some(Entry { deployment, cost });
                verdict(Decision::Kept, format!("{figures}, the cheapest so far"))
            }
            _ => verdict(Decision::Undone, format!("{figures}, not the cheapest")),
        }
    }
}

fn verdict(decision: Decision, reason: String) -> Verdict {
    Verdict { decision, reasons: vec![reason] }
}

/// Mean cost of a warm execution.
fn mean_cost(executions: &[Execution]) -> Option<PicoUsd> {
    let costs: Vec<u64> = warm(executions).map(|execution| execution.cost().0).collect();
    statistics::mean(&costs).map(|mean| PicoUsd(mean.round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execution::Outcome;
    use crate::testing::{execution, workflow};
    use crate::units::{MemoryMb, MilliVcpu, Resources};

    /// Enters deployments of one function with 1, 2, … MB that take and cost so much, and of whose
    /// four executions so many fail. Returns the decisions and the memory of the best.
    fn rank(latency_us_and_failures: &[(u64, usize)]) -> (Vec<Decision>, u32) {
        let unfused = Deployment::unfused(&workflow("a", &[]).unwrap());
        let mut ranking = Ranking::new(Slo { latency_us: 100_000, percentile: 50 });
        let mut decisions = Vec::new();
        for (index, (latency_us, failures)) in latency_us_and_failures.iter().enumerate() {
            let resources = Resources { vcpu: MilliVcpu(1), memory: MemoryMb(1 + index as u32) };
            let deployment = unfused.with_resources(&"a".into(), resources);
            let outcome = |at| {
                if at < *failures { Outcome::Error } else { Outcome::Ok }
            };
            let executions: Vec<_> =
                (0..4).map(|at| execution(*latency_us, None, outcome(at))).collect();
            decisions.push(ranking.enter("it", &deployment, &executions).decision);
        }
        let best = ranking.best().unwrap();
        (decisions, best.functions()[0].resources.memory.0)
    }

    #[test]
    fn the_cheapest_is_best_and_the_earlier_one_on_a_tie() {
        use Decision::{Kept, Measured, Undone};
        let decisions = vec![Measured, Undone, Undone, Kept, Undone];
        let entered = [(50_000, 0), (60_000, 0), (50_000, 0), (40_000, 0), (40_000, 0)];
        assert_eq!(rank(&entered), (decisions, 4));
    }

    #[test]
    fn a_first_one_that_misses_the_slo_gives_way_to_any_that_keeps_it() {
        assert_eq!(rank(&[(200_000, 0), (100_000, 0)]).1, 2);
        assert_eq!(rank(&[(200_000, 0), (150_000, 0)]).1, 1, "neither keeps it");
    }

    #[test]
    fn it_knows_how_the_best_stands_to_the_slo() {
        let unfused = Deployment::unfused(&workflow("a", &[]).unwrap());
        let mut ranking = Ranking::new(Slo { latency_us: 100_000, percentile: 50 });
        assert_eq!(ranking.standing(), Standing::Unmeasured);
        for (latency_us, standing) in [
            (150_000, Standing::MissesSlo { latency_us: 150_000 }),
            (120_000, Standing::MissesSlo { latency_us: 150_000 }),
            (90_000, Standing::KeepsSlo),
            (150_000, Standing::KeepsSlo),
        ] {
            ranking.enter("it", &unfused, &[execution(latency_us, None, Outcome::Ok)]);
            assert_eq!(ranking.standing(), standing, "the first stays if none keeps it");
        }
    }

    #[test]
    fn more_failures_than_at_first_are_no_bargain() {
        assert_eq!(rank(&[(50_000, 0), (10_000, 1)]).1, 1);
        assert_eq!(rank(&[(50_000, 1), (10_000, 1)]).1, 2);
    }
}
