//! The final comparison: which of several deployments, measured side by side, to recommend.

use serde::{Deserialize, Serialize};

use crate::execution::Execution;
use crate::measurement::{fail_more, keeps_slo, latency_at, warm};
use crate::statistics::{Interval, difference_interval, mean};
use crate::text::{against_slo, cost_change};
use crate::workflow::Slo;

/// What a deployment saves against the one it was compared with, as shares: 0.25 is a quarter
/// less, a negative share is more.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Saving {
    /// Of the mean cost per execution.
    pub cost: f64,
    /// 95 % interval of it.
    pub cost_ci95: Option<Interval>,
    /// Of the 95th percentile of the latency.
    pub latency_p95: f64,
}

/// Which deployment to recommend.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Choice {
    /// Its index; 0 is the one the others were compared with.
    pub index: usize,
    /// What it saves against the first one.
    pub saving: Saving,
    /// A sentence for every deployment but the first: why it is recommended or not.
    pub reasons: Vec<String>,
}

/// What a deployment has to save to be recommended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Demand {
    /// It has to be shown cheaper than the present one.
    Cheaper,
    /// Nothing: the user asked for it.
    Nothing,
}

/// Chooses among deployments by their executions, the present one's first.
///
/// Another one is recommended only if it keeps the SLO, does not fail more often, and, if that is
/// demanded, the 95 % interval of the difference of mean costs shows that it is cheaper; of several,
/// the cheapest. If the present one misses the SLO, one that keeps it need not be cheaper.
#[must_use]
pub fn choose(arms: &[(&str, &[Execution])], slo: Slo, seed: u64, demand: Demand) -> Choice {
    let Some((_, present)) = arms.first() else {
        return Choice { index: 0, saving: Saving::default(), reasons: Vec::new() };
    };
    let present_keeps = keeps_slo(present, slo);
    let mut best: Option<(usize, f64)> = None;
    let mut judged = Vec::new();
    for (index, (name, executions)) in arms.iter().enumerate().skip(1) {
        let saving = saving(present, executions, seed);
        let cheaper = saving.cost_ci95.is_some_and(|interval| interval.lower > 0.0);
        let objection = if !keeps_slo(executions, slo) {
            Some("misses the SLO")
        } else if fail_more(executions, present) {
            Some("fails more often")
        } else if present_keeps && !cheaper && demand == Demand::Cheaper {
            Some("is not shown to be cheaper")
        } else {
            None
        };
        let cost = mean(&costs(executions)).unwrap_or(f64::INFINITY);
        if objection.is_none() && best.is_none_or(|(_, least)| cost < least) {
            best = Some((index, cost));
        }
        judged.push((index, *name, executions, objection));
    }
    let index = best.map_or(0, |(index, _)| index);
    let reasons = judged
        .into_iter()
        .map(|(at, name, executions, objection)| {
            let verdict = match objection {
                Some(objection) => objection,
                None if at == index => "is recommended",
                None => "is good, but not the cheapest",
            };
            format!("{name} {verdict}: {}", figures(present, executions, slo, seed))
        })
        .collect();
    // What stays as it is saves exactly nothing.
    let saving = match index {
        0 => Saving::default(),
        _ => saving(present, arms[index].1, seed),
    };
    Choice { index, saving, reasons }
}

fn costs(executions: &[Execution]) -> Vec<u64> {
    warm(executions).map(|execution| execution.cost().0).collect()
}

fn saving(present: &[Execution], other: &[Execution], seed: u64) -> Saving {
    let (before, after) = (costs(present), costs(other));
    let share = |before: Option<f64>, after: Option<f64>| match (before, after) {
        (Some(before), Some(after)) if before > 0.0 => (before - after) / before,
        _ => 0.0,
    };
    let mean_before = mean(&before);
    let latency_us = |executions| latency_at(executions, 95).map(|latency_us| latency_us as f64);
    Saving {
        cost: share(mean_before, mean(&after)),
        cost_ci95: mean_before
            .filter(|mean| *mean > 0.0)
            .and_then(|mean| Some(difference_interval(&before, &after, seed)?.scaled(1.0 / mean))),
        latency_p95: share(latency_us(present), latency_us(other)),
    }
}

fn figures(present: &[Execution], other: &[Execution], slo: Slo, seed: u64) -> String {
    let (before, after) = (costs(present), costs(other));
    let change = match (mean(&before), mean(&after), difference_interval(&after, &before, seed)) {
        (Some(before), Some(after), Some(interval)) => {
            cost_change(before, after - before, interval)
        }
        _ => "no warm execution shows its cost".to_owned(),
    };
    format!("{change}, {}", against_slo(latency_at(other, slo.percentile), slo))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execution::Outcome;
    use crate::testing;
    use crate::units::PicoUsd;

    const SLO: Slo = Slo { latency_us: 100_000, percentile: 95 };

    /// Executions that cost about `cost` and take `latency_us`; the given number of them fail.
    fn executions(cost: u64, latency_us: u64, failed: usize) -> Vec<Execution> {
        (0..40)
            .map(|number| {
                let outcome = if number < failed { Outcome::Timeout } else { Outcome::Ok };
                let mut execution = testing::execution(latency_us, None, outcome);
                let billed = execution.spans[0].billed.as_mut().unwrap();
                billed.cost = PicoUsd(cost + (number as u64 * 7) % 11);
                execution
            })
            .collect()
    }

    fn check(present: &[Execution], others: &[Vec<Execution>], expect: usize) -> Choice {
        let mut arms = vec![("present", present)];
        arms.extend(others.iter().map(|other| ("other", other.as_slice())));
        let choice = choose(&arms, SLO, 1, Demand::Cheaper);
        assert_eq!(choice.index, expect, "{:?}", choice.reasons);
        assert_eq!(choice.reasons.len(), others.len());
        choice
    }

    #[test]
    fn the_cheapest_that_keeps_the_slo_is_recommended() {
        let present = executions(1_000, 50_000, 0);
        let choice = check(
            &present,
            &[
                executions(800, 50_000, 0),
                executions(500, 60_000, 0),
                executions(100, 200_000, 0),
                executions(200, 50_000, 3),
            ],
            2,
        );
        assert!((choice.saving.cost - 0.5).abs() < 0.01, "{:?}", choice.saving);
        assert!((choice.saving.latency_p95 + 0.2).abs() < 0.01, "{:?}", choice.saving);
        assert!(choice.reasons[2].contains("misses the SLO"), "{:?}", choice.reasons);
    }

    #[test]
    fn what_is_not_shown_to_be_cheaper_is_not_recommended() {
        let present = executions(1_000, 50_000, 0);
        check(&present, &[executions(1_000, 10_000, 0)], 0);
        check(&present, &[], 0);
    }

    #[test]
    fn what_the_user_asked_for_has_to_keep_the_slo_only() {
        let present = executions(1_000, 50_000, 0);
        let (dear, slow) = (executions(2_000, 50_000, 0), executions(500, 200_000, 0));
        let choose = |other: &[Execution], demand| {
            choose(&[("present", &present), ("other", other)], SLO, 1, demand).index
        };
        assert_eq!(choose(&dear, Demand::Cheaper), 0);
        assert_eq!(choose(&dear, Demand::Nothing), 1);
        assert_eq!(choose(&slow, Demand::Nothing), 0);
    }

    #[test]
    fn keeping_the_slo_comes_before_cost() {
        let present = executions(1_000, 150_000, 0);
        check(&present, &[executions(2_000, 50_000, 0)], 1);
    }
}
