//! The test that decides about a canary: a new deployment that gets a small part of the traffic beside the present
//! one.
//!
//! It may be asked after every execution. Whether the canary is worse is judged by confidence sequences, which hold
//! at all times at once: a canary that is as good as the present deployment is rejected with a probability of at
//! most [`Limits::alpha`], however often one looks. Both deployments run at the same time, so what disturbs one
//! disturbs the other. Failures count of all executions, costs and latencies of warm ones: a new version begins cold.

use serde::{Deserialize, Serialize};

use crate::confidence::{Mean, Share};
use crate::execution::Execution;
use crate::statistics::{Interval, quantile};
use crate::workflow::Slo;

/// Warm executions of the present deployment that show its tail latencies; what comes later is compared with them.
const TRAINING: usize = 100;
/// The percentiles that are compared.
const PERCENTILES: [u8; 2] = [95, 99];
/// Tests that share the probability of an error: cost, failures, SLO and the percentiles.
const TESTS: f64 = 3.0 + PERCENTILES.len() as f64;

/// What a canary may do worse, and how sure one wants to be.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Limits {
    /// Probability that a canary is rejected which keeps the limits; from 0 to 1.
    pub alpha: f64,
    /// Cost per execution, as a share of the present one's: 0.05 is 5 % more.
    pub cost_increase: f64,
    /// Latency at the percentiles, as a share of the present one's.
    pub latency_increase: f64,
    /// Failures, as a share of all executions: 0.01 is one in a hundred more.
    pub failure_increase: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { alpha: 0.05, cost_increase: 0.05, latency_increase: 0.1, failure_increase: 0.01 }
    }
}

/// Which deployment served an execution.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Arm {
    /// The present one.
    Stable,
    /// The new one.
    Canary,
}

/// What the executions show.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// The canary is worse, for these reasons.
    Worse(Vec<String>),
    /// It is not shown to be worse, and its cost is shown to keep the limit.
    Good,
    /// Not enough is known; what is missing.
    Open(String),
}

/// What is known of one deployment.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
struct Known {
    cold: u64,
    failures: Share,
    cost: Mean,
    /// Beyond each percentile of the present deployment, and what it may be worse.
    beyond: [Share; PERCENTILES.len()],
    beyond_slo: Share,
    /// Of warm executions that succeeded, in microseconds.
    latencies_us: Vec<u64>,
}

/// One deployment's figures, for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Warm executions.
    pub executions: u64,
    /// Executions for which an instance was started.
    pub cold_executions: u64,
    /// Failed executions, warm and cold.
    pub failures: u64,
    /// Mean cost of a warm execution, in dollars.
    pub cost_usd: Option<f64>,
    /// 95th percentile of the latency of warm executions that succeeded, in milliseconds.
    pub p95_ms: Option<f64>,
    /// 99th percentile.
    pub p99_ms: Option<f64>,
}

/// A canary under test.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Canary {
    limits: Limits,
    slo: Option<Slo>,
    /// The present deployment's percentiles with what they may be worse, in microseconds; once they are known.
    thresholds_us: Option<[u64; PERCENTILES.len()]>,
    stable: Known,
    canary: Known,
}

impl Canary {
    /// A test that has seen nothing. Without an SLO only the deployments are compared.
    #[must_use]
    pub fn new(limits: Limits, slo: Option<Slo>) -> Self {
        let (stable, canary) = (Known::default(), Known::default());
        Self { limits, slo, thresholds_us: None, stable, canary }
    }

    /// Takes in an execution.
    pub fn observe(&mut self, arm: Arm, execution: &Execution) {
        let (slo, thresholds) = (self.slo, self.thresholds_us);
        let known = match arm {
            Arm::Stable => &mut self.stable,
            Arm::Canary => &mut self.canary,
        };
        known.failures.add(execution.failed());
        if execution.is_cold() {
            known.cold += 1;
            return;
        }
        known.cost.add(execution.cost().usd());
        if let Some(slo) = slo {
            known.beyond_slo.add(execution.failed() || execution.latency_us > slo.latency_us);
        }
        if execution.failed() {
            return;
        }
        known.latencies_us.push(execution.latency_us);
        match thresholds {
            Some(thresholds) => known.compare(execution.latency_us, thresholds),
            None => self.train(),
        }
    }

    /// Fixes the thresholds once the present deployment's latencies are known well enough. They come from executions
    /// that are not compared with them.
    fn train(&mut self) {
        if self.stable.latencies_us.len() < TRAINING {
            return;
        }
        let mut ascending = self.stable.latencies_us.clone();
        ascending.sort_unstable();
        let thresholds = PERCENTILES.map(|percentile| {
            let latency_us = quantile(&ascending, f64::from(percentile) / 100.0).unwrap_or(0.0);
            (latency_us * (1.0 + self.limits.latency_increase)).ceil() as u64
        });
        self.thresholds_us = Some(thresholds);
        for latency_us in self.canary.latencies_us.clone() {
            self.canary.compare(latency_us, thresholds);
        }
    }

    /// What the executions show so far. `wanted` warm executions of the canary are waited for; of 0, nothing is.
    #[must_use]
    pub fn verdict(&self, wanted: u64) -> Verdict {
        let reasons: Vec<String> =
            [self.failures(), self.cost(), self.slo()].into_iter().flatten().collect();
        let reasons: Vec<String> = reasons.into_iter().chain(self.tails()).collect();
        if !reasons.is_empty() {
            return Verdict::Worse(reasons);
        }
        let seen = self.canary.cost.count;
        if wanted == 0 {
            return Verdict::Good;
        }
        if seen < wanted {
            return Verdict::Open(format!("{seen} of {wanted} warm executions"));
        }
        match self.costs() {
            None => Verdict::Open("too few warm executions of the present deployment".to_owned()),
            Some((stable, canary)) => {
                let limit = 1.0 + self.limits.cost_increase;
                match canary.upper <= stable.lower * limit {
                    true => Verdict::Good,
                    false => Verdict::Open(format!(
                        "its cost is between {:+.1} % and {:+.1} %, and at most {:+.1} % is to be shown",
                        change(stable.upper, canary.lower),
                        change(stable.lower, canary.upper),
                        self.limits.cost_increase * 100.0
                    )),
                }
            }
        }
    }

    /// Warm executions of a deployment so far.
    #[must_use]
    pub fn executions(&self, arm: Arm) -> u64 {
        self.known(arm).cost.count
    }

    fn known(&self, arm: Arm) -> &Known {
        match arm {
            Arm::Stable => &self.stable,
            Arm::Canary => &self.canary,
        }
    }

    /// Figures of a deployment so far.
    #[must_use]
    pub fn figures(&self, arm: Arm) -> Figures {
        let known = self.known(arm);
        let mut ascending = known.latencies_us.clone();
        ascending.sort_unstable();
        let at = |share| quantile(&ascending, share).map(|latency_us| latency_us / 1e3);
        Figures {
            executions: known.cost.count,
            cold_executions: known.cold,
            failures: known.failures.hits,
            cost_usd: (known.cost.count > 0).then_some(known.cost.mean),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
        }
    }

    /// Of one of two intervals that have to hold in one test.
    fn alpha(&self) -> f64 {
        self.limits.alpha / TESTS / 2.0
    }

    fn failures(&self) -> Option<String> {
        let (stable, canary) = (&self.stable.failures, &self.canary.failures);
        let most = stable.interval(self.alpha()).upper + self.limits.failure_increase;
        (canary.interval(self.alpha()).lower > most).then(|| {
            format!(
                "it fails more often: {} of {} executions, the present one {} of {}",
                canary.hits, canary.all, stable.hits, stable.all
            )
        })
    }

    fn costs(&self) -> Option<(Interval, Interval)> {
        let alpha = self.alpha();
        Some((self.stable.cost.interval(alpha)?, self.canary.cost.interval(alpha)?))
    }

    fn cost(&self) -> Option<String> {
        let (stable, canary) = self.costs()?;
        let most = stable.upper * (1.0 + self.limits.cost_increase);
        (canary.lower > most).then(|| {
            let mean = change(self.stable.cost.mean, self.canary.cost.mean);
            let least = change(stable.upper, canary.lower);
            format!("an execution costs {mean:+.1} % (at least {least:+.1} %)")
        })
    }

    /// Whether a share of the canary's executions is shown to be larger than it may be. Where the present deployment's
    /// may be as well, the canary's has to be no larger.
    fn is_larger(&self, canary: &Share, stable: &Share, may: f64) -> bool {
        let most = may.max(stable.interval(self.alpha()).upper);
        canary.interval(self.alpha()).lower > most
    }

    fn slo(&self) -> Option<String> {
        let slo = self.slo?;
        let may = 1.0 - f64::from(slo.percentile) / 100.0;
        let (stable, canary) = (&self.stable.beyond_slo, &self.canary.beyond_slo);
        self.is_larger(canary, stable, may).then(|| {
            format!(
                "it misses the SLO: {} of {} executions fail or take longer than {} ms, at most {:.0} % may",
                canary.hits,
                canary.all,
                slo.latency_us / 1000,
                may * 100.0
            )
        })
    }

    fn tails(&self) -> Vec<String> {
        let Some(thresholds) = self.thresholds_us else { return Vec::new() };
        let worse = PERCENTILES.iter().enumerate().filter_map(|(at, percentile)| {
            let (stable, canary) = (&self.stable.beyond[at], &self.canary.beyond[at]);
            let may = 1.0 - f64::from(*percentile) / 100.0;
            self.is_larger(canary, stable, may).then(|| {
                format!(
                    "its p{percentile} is over the present one's by more than {:.0} %: {} of {} executions take longer than {:.0} ms",
                    self.limits.latency_increase * 100.0,
                    canary.hits,
                    canary.all,
                    thresholds[at] as f64 / 1e3
                )
            })
        });
        worse.collect()
    }
}

impl Known {
    fn compare(&mut self, latency_us: u64, thresholds_us: [u64; PERCENTILES.len()]) {
        for (beyond, threshold_us) in self.beyond.iter_mut().zip(thresholds_us) {
            beyond.add(latency_us > threshold_us);
        }
    }
}

/// A change in per cent.
fn change(from: f64, to: f64) -> f64 {
    (to / from - 1.0) * 100.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execution::Outcome;
    use crate::random::SplitMix64;
    use crate::testing;

    /// A deployment: latency in milliseconds, cost as a share, share of failures.
    #[derive(Clone, Copy)]
    struct Behaviour(f64, f64, f64);

    const USUAL: Behaviour = Behaviour(100.0, 1.0, 0.002);
    const SLO: Slo = Slo { latency_us: 400_000, percentile: 95 };

    fn execution(random: &mut SplitMix64, Behaviour(ms, cost, failing): Behaviour) -> Execution {
        let latency_us = (ms * 1e3 * (0.3 * random.normals()[0]).exp()) as u64 + 2_000;
        let init_us = (random.unit() < 0.02).then_some(200_000);
        let outcome = if random.unit() < failing { Outcome::Timeout } else { Outcome::Ok };
        let mut execution = testing::execution(latency_us, init_us, outcome);
        let billed = execution.spans[0].billed.as_mut().unwrap();
        billed.cost.0 = (billed.cost.0 as f64 * cost) as u64;
        execution
    }

    /// Looks after every execution of the canary, which serves a tenth; says how it ends and after how many of them.
    fn run(canary: Behaviour, seed: u64, limits: Limits) -> (Verdict, u64) {
        let mut random = SplitMix64::new(seed, 3);
        let mut test = Canary::new(limits, Some(SLO));
        for _ in 0..6_000 {
            let (arm, of) = match random.unit() < 0.1 {
                true => (Arm::Canary, canary),
                false => (Arm::Stable, USUAL),
            };
            test.observe(arm, &execution(&mut random, of));
            if arm == Arm::Stable {
                continue;
            }
            let verdict = test.verdict(u64::MAX);
            if matches!(verdict, Verdict::Worse(_)) {
                return (verdict, test.canary.failures.all);
            }
        }
        (test.verdict(50), test.canary.failures.all)
    }

    #[test]
    fn a_canary_that_is_as_good_is_seldom_rejected() {
        let rejected = (0..200)
            .filter(|seed| matches!(run(USUAL, *seed, Limits::default()).0, Verdict::Worse(_)))
            .count();
        assert!(rejected <= 6, "{rejected} of 200");
    }

    #[test]
    fn a_worse_canary_is_rejected_for_the_right_reason() {
        for (what, behaviour, says, within) in [
            ("slow", Behaviour(250.0, 0.4, 0.002), "its p9", 100),
            ("too slow", Behaviour(600.0, 0.15, 0.002), "misses the SLO", 40),
            ("dear", Behaviour(100.0, 1.8, 0.002), "costs", 200),
            ("failing", Behaviour(100.0, 1.0, 0.3), "fail", 80),
            ("broken", Behaviour(100.0, 1.0, 1.0), "fail", 10),
        ] {
            for seed in 0..10 {
                let (verdict, seen) = run(behaviour, seed, Limits::default());
                let Verdict::Worse(reasons) = verdict else { panic!("{what}: {verdict:?}") };
                assert!(seen <= within, "{what}: only after {seen}");
                assert!(reasons.iter().any(|it| it.contains(says)), "{what}: {reasons:?}");
            }
        }
    }

    #[test]
    fn what_is_allowed_to_be_slower_is_not_rejected_for_it() {
        let limits = Limits { latency_increase: 2.0, ..Limits::default() };
        for seed in 0..10 {
            let (verdict, _) = run(Behaviour(250.0, 0.4, 0.002), seed, limits);
            assert!(!matches!(verdict, Verdict::Worse(_)), "{verdict:?}");
        }
    }

    #[test]
    fn a_cheaper_canary_passes_and_too_little_is_waited_for() {
        let (verdict, _) = run(Behaviour(100.0, 0.5, 0.002), 1, Limits::default());
        assert_eq!(verdict, Verdict::Good);
        let mut random = SplitMix64::new(1, 1);
        let mut test = Canary::new(Limits::default(), None);
        assert!(matches!(test.verdict(5), Verdict::Open(_)));
        assert_eq!(test.verdict(0), Verdict::Good);
        for _ in 0..30 {
            test.observe(Arm::Canary, &execution(&mut random, Behaviour(100.0, 0.5, 0.0)));
        }
        // Nothing of the present deployment.
        assert!(matches!(test.verdict(5), Verdict::Open(_)));
        assert_eq!(test.figures(Arm::Stable).p95_ms, None);
        assert!(test.figures(Arm::Canary).p95_ms.is_some());
    }

    #[test]
    fn it_can_go_on_in_another_process() {
        let mut random = SplitMix64::new(4, 4);
        let mut test = Canary::new(Limits::default(), Some(SLO));
        for _ in 0..300 {
            test.observe(Arm::Stable, &execution(&mut random, USUAL));
            test.observe(Arm::Canary, &execution(&mut random, USUAL));
        }
        let text = serde_json::to_string(&test).unwrap();
        assert_eq!(serde_json::from_str::<Canary>(&text).unwrap().verdict(50), test.verdict(50));
    }
}
