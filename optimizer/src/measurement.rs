//! What executions of a deployment show: cost, latency, cold starts, double billing, failures.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::deployment::Deployment;
use crate::execution::{Billed, Execution};
use crate::statistics::{self, Interval};
use crate::units::Resources;
use crate::workflow::{Slo, TaskName};

/// A deployment's measured figures, as results print them.
///
/// Cost, latency and double-billed time are of the warm executions. Failed ones count into the
/// cost; printed latencies are of those that succeeded, so they say nothing about failures (the
/// SLO does: see [`keeps_slo`]). Figures that no execution shows are `None`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Measurement {
    /// The deployment, as `(A,B)-(C)`.
    pub deployment: String,
    /// What each function had, by its root.
    pub resources: IndexMap<TaskName, Resources>,
    /// Warm executions.
    pub executions: usize,
    /// Executions for which an instance was started.
    pub cold_executions: usize,
    /// Failed executions, warm and cold.
    pub failures: usize,
    /// Cost of one execution.
    pub cost_usd: Option<Cost>,
    /// End-to-end latency.
    pub latency_ms: Option<Latency>,
    /// By how much the mean latency of cold executions exceeds the warm median.
    pub cold_start_ms: Option<f64>,
    /// Start times of all instances started for one cold execution, added up, on average.
    pub init_ms: Option<f64>,
    /// Time billed while waiting for others, of one execution, on average.
    pub double_billed_ms: Option<f64>,
    /// By function root.
    pub functions: IndexMap<TaskName, FunctionMeasurement>,
}

/// Mean cost of an execution in dollars.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Cost {
    /// The mean.
    pub mean: f64,
    /// Its 95 % bootstrap interval.
    pub ci95: Interval,
}

/// Latency in milliseconds.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Latency {
    /// The mean.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// The 95th percentile.
    pub p95: f64,
    /// The 99th percentile.
    pub p99: f64,
}

/// One function's part in the warm executions.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct FunctionMeasurement {
    /// What its invocations cost in one execution, on average.
    pub cost_usd: Option<f64>,
    /// How long one invocation ran, on average, without the start of its instance.
    pub duration_ms: Option<f64>,
    /// Peak memory of any of its instances, those of cold executions included.
    pub peak_memory_mb: Option<u32>,
    /// Invocations in all warm executions.
    pub invocations: usize,
}

impl Measurement {
    /// What these executions of a deployment show. `seed` makes the interval of the cost.
    #[must_use]
    pub fn of(deployment: &Deployment, executions: &[Execution], seed: u64) -> Self {
        let (cold, warm): (Vec<&Execution>, Vec<_>) =
            executions.iter().partition(|execution| execution.is_cold());
        let each = |of: &[&Execution], figure: fn(&Execution) -> u64| -> Vec<u64> {
            of.iter().map(|execution| figure(execution)).collect()
        };
        let latencies_us = latencies_us(&warm);
        let p50_us = statistics::quantile(&latencies_us, 0.5);
        let cold_mean_us = statistics::mean(&self::latencies_us(&cold));
        Self {
            deployment: deployment.to_string(),
            resources: deployment
                .functions()
                .iter()
                .map(|(r, f)| (r.clone(), f.resources))
                .collect(),
            executions: warm.len(),
            cold_executions: cold.len(),
            failures: executions.iter().filter(|execution| execution.failed()).count(),
            cost_usd: Cost::of(&each(&warm, |execution| execution.cost().0), seed),
            latency_ms: Latency::of(&latencies_us),
            cold_start_ms: cold_mean_us.zip(p50_us).map(|(cold, warm)| (cold - warm) / 1e3),
            init_ms: statistics::mean(&each(&cold, Execution::init_us)).map(|us| us / 1e3),
            double_billed_ms: statistics::mean(&each(&warm, Execution::waiting_us))
                .map(|us| us / 1e3),
            functions: deployment
                .functions()
                .keys()
                .map(|root| (root.clone(), FunctionMeasurement::of(root, &warm, &cold)))
                .collect(),
        }
    }
}

impl Cost {
    fn of(costs: &[u64], seed: u64) -> Option<Self> {
        let mean = statistics::mean(costs)? / 1e12;
        let ci95 = statistics::mean_interval(costs, seed)?.scaled(1e-12);
        Some(Self { mean, ci95 })
    }
}

impl Latency {
    fn of(ascending_us: &[u64]) -> Option<Self> {
        let at = |share| statistics::quantile(ascending_us, share).map(|us| us / 1e3);
        let mean = statistics::mean(ascending_us)? / 1e3;
        Some(Self { mean, p50: at(0.5)?, p95: at(0.95)?, p99: at(0.99)? })
    }
}

impl FunctionMeasurement {
    fn of(root: &TaskName, warm: &[&Execution], cold: &[&Execution]) -> Self {
        let billed: Vec<&Billed> = warm.iter().flat_map(|e| billed_to(e, root)).collect();
        let cost: u128 = billed.iter().map(|billed| u128::from(billed.cost.0)).sum();
        let durations_us: Vec<u64> = billed.iter().map(|billed| billed.duration_us).collect();
        let peaks_mb = warm.iter().chain(cold).flat_map(|e| billed_to(e, root));
        Self {
            cost_usd: (!warm.is_empty()).then(|| cost as f64 / 1e12 / warm.len() as f64),
            duration_ms: statistics::mean(&durations_us).map(|us| us / 1e3),
            peak_memory_mb: peaks_mb.map(|billed| billed.peak_memory_mb).max(),
            invocations: billed.len(),
        }
    }
}

/// The executions for which no instance was started.
pub fn warm(executions: &[Execution]) -> impl Iterator<Item = &Execution> {
    executions.iter().filter(|execution| !execution.is_cold())
}

/// What one execution was billed for invocations of the function of `root`.
pub(crate) fn billed_to<'a>(
    execution: &'a Execution,
    root: &'a TaskName,
) -> impl Iterator<Item = &'a Billed> {
    let spans = execution.spans.iter().filter(move |span| span.function == *root);
    spans.filter_map(|span| span.billed.as_ref())
}

/// The latency within which `percentile` per cent of the warm executions succeeded, in
/// microseconds; `None` if fewer did, at whatever latency, or there are none.
///
/// A failed execution counts as one that never ends.
#[must_use]
pub fn latency_at(executions: &[Execution], percentile: u8) -> Option<u64> {
    let warm: Vec<&Execution> = warm(executions).collect();
    let rank = (warm.len() * usize::from(percentile)).div_ceil(100);
    latencies_us(&warm).get(rank.checked_sub(1)?).copied()
}

/// Whether the warm executions keep an SLO: at least its percentile of them succeeded within its
/// limit. Without warm executions nothing shows that they do.
#[must_use]
pub fn keeps_slo(executions: &[Execution], slo: Slo) -> bool {
    latency_at(executions, slo.percentile).is_some_and(|latency_us| latency_us <= slo.latency_us)
}

/// Whether failures are a larger share of `executions` than of `before`.
pub(crate) fn fail_more(executions: &[Execution], before: &[Execution]) -> bool {
    let failed = |of: &[Execution]| of.iter().filter(|execution| execution.failed()).count();
    failed(executions) * before.len().max(1) > failed(before) * executions.len().max(1)
}

/// Latencies of those that succeeded, in ascending order.
fn latencies_us(executions: &[&Execution]) -> Vec<u64> {
    let succeeded = executions.iter().filter(|execution| !execution.failed());
    let mut latencies_us: Vec<u64> = succeeded.map(|execution| execution.latency_us).collect();
    latencies_us.sort_unstable();
    latencies_us
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execution::Outcome;
    use crate::testing::{execution, workflow};

    #[test]
    fn is_written_as_specified() {
        let deployment = Deployment::unfused(&workflow("a", &[]).unwrap());
        let mut executions = vec![
            execution(90_000, Some(50_000), Outcome::Ok),
            execution(10_000, None, Outcome::Ok),
            execution(30_000, None, Outcome::Ok),
        ];
        executions.push(execution(2_000, None, Outcome::Crash));
        let measurement = Measurement::of(&deployment, &executions, 1);
        let mut json = serde_json::to_value(&measurement).unwrap();
        let ci95 = json["cost_usd"]["ci95"].take();
        let end = |index: usize| ci95[index].as_f64().unwrap();
        assert!(end(0) >= 2e-6 && end(0) < 1.4e-5 && end(1) > 1.4e-5 && end(1) <= 3e-5, "{ci95}");
        let expected = serde_json::json!({
            "deployment": "(a)",
            "resources": {"a": {"milli_vcpu": 289, "memory_mb": 512}},
            "executions": 3,
            "cold_executions": 1,
            "failures": 1,
            "cost_usd": {"mean": 1.4e-5, "ci95": null},
            "latency_ms": {"mean": 20.0, "p50": 20.0, "p95": 29.0, "p99": 29.8},
            "cold_start_ms": 70.0,
            "init_ms": 50.0,
            "double_billed_ms": 0.5,
            "functions": {"a":
                {"cost_usd": 1.4e-5, "duration_ms": 13.0, "peak_memory_mb": 40, "invocations": 3}},
        });
        assert_eq!(json, expected);
        let text = serde_json::to_string(&measurement).unwrap();
        assert_eq!(serde_json::from_str::<Measurement>(&text).unwrap(), measurement);
    }

    #[test]
    fn what_was_not_seen_is_null() {
        let deployment = Deployment::unfused(&workflow("a", &[]).unwrap());
        let nothing = Measurement::of(&deployment, &[], 1);
        assert_eq!(
            (nothing.cost_usd, nothing.latency_ms, nothing.cold_start_ms),
            (None, None, None)
        );
        let warm = Measurement::of(&deployment, &[execution(5_000, None, Outcome::Ok)], 1);
        assert_eq!((warm.cold_start_ms, warm.init_ms), (None, None));
        let crashes = [execution(5_000, Some(1), Outcome::Crash)];
        let crashed = Measurement::of(&deployment, &crashes, 1);
        assert_eq!((crashed.executions, crashed.failures), (0, 1));
        assert_eq!((crashed.cold_start_ms, crashed.functions[0].peak_memory_mb), (None, Some(40)));
    }

    #[test]
    fn failures_are_infinitely_late() {
        let slo = Slo { latency_us: 20_000, percentile: 90 };
        let mut executions = vec![execution(20_000, None, Outcome::Ok); 9];
        executions.push(execution(2_000, None, Outcome::Error));
        assert!(keeps_slo(&executions, slo), "9 of 10 are within the limit");
        executions.push(execution(2_000, None, Outcome::Error));
        assert!(!keeps_slo(&executions, slo), "9 of 11 are 81 %");
        assert_eq!(latency_at(&executions, 90), None);
        assert!(keeps_slo(&executions, Slo { percentile: 81, ..slo }));
        assert!(!keeps_slo(&executions, Slo { latency_us: 19_999, percentile: 1 }));
    }

    #[test]
    fn cold_executions_do_not_count_against_the_slo() {
        let slo = Slo { latency_us: 20_000, percentile: 100 };
        let cold = execution(90_000, Some(1), Outcome::Ok);
        assert!(!keeps_slo(std::slice::from_ref(&cold), slo), "nothing shows that it is kept");
        assert!(keeps_slo(&[cold, execution(9_000, None, Outcome::Ok)], slo));
    }

    #[test]
    fn failures_compare_as_shares() {
        let fine = execution(2_000, None, Outcome::Ok);
        let failed = execution(2_000, None, Outcome::Error);
        let half = [fine.clone(), failed.clone()];
        assert!(!fail_more(&half, &half));
        assert!(!fail_more(&half, &[failed.clone(), fine.clone(), failed.clone(), fine.clone()]));
        assert!(fail_more(&half, &[failed.clone(), fine.clone(), fine.clone()]));
        assert!(fail_more(&[failed], &half));
        assert!(!fail_more(&[], &half));
    }
}
