//! What came of every function, and every change of one, as data and as sentences.

use serde::{Deserialize, Serialize};

use crate::execution::Outcome;
use crate::space::Dimension;
use crate::text;
use crate::units::{PicoUsd, Resources};
use crate::workflow::{Slo, TaskName};

/// One function as the search leaves it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct FunctionReport {
    /// Its root task.
    pub function: TaskName,
    /// What it gets.
    pub resources: Resources,
    /// How long one of its invocations runs, on average, in microseconds.
    pub runtime_us: Option<u64>,
    /// What it costs in one execution, on average.
    pub cost: Option<PicoUsd>,
    /// Its share of what an execution costs, from 0 to 1.
    pub cost_share: Option<f64>,
    /// Where it is in the workflow.
    pub place: Place,
    /// What was tried with it, in order.
    pub changes: Vec<Change>,
}

/// Where a function is in the workflow as it is left.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// A step on the critical path reaches it.
    CriticalPath,
    /// Only steps beside it do.
    Beside {
        /// By how much the one with least slack may take longer, in microseconds.
        slack_us: u64,
    },
    /// No execution reached it.
    NotReached,
}

/// One change of one function.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Change {
    /// The trial that showed it, from 1.
    pub trial: u32,
    /// What was reduced.
    pub dimension: Dimension,
    /// What the function had.
    pub from: Resources,
    /// What it was tried with.
    pub to: Resources,
    /// What this saved of the cost of an execution, in 10⁻¹² dollars; negative if it cost more. None
    /// if no cost was seen.
    pub saved: Option<i64>,
    /// Mean time of the steps that depend on the function, before it and with it, in microseconds;
    /// none if it was not seen.
    pub runtimes_us: Option<(u64, u64)>,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It is kept.
    Kept,
    /// It was undone at once.
    Undone(Violation),
    /// It was kept and given back at the end, because the whole did not keep the SLO.
    GivenBack,
}

/// Why a change is undone.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Violation {
    /// The function failed, more often than before.
    Failed {
        /// How its worst failure ended.
        outcome: Outcome,
    },
    /// Too few executions succeeded, though the function itself did not fail.
    ExecutionsFailed,
    /// The workflow is expected to take longer than before, and than the SLO, or the SLO less the
    /// margin, allows.
    SloMissed {
        /// Expected latency at the SLO's percentile, in microseconds.
        latency_us: u64,
        /// What was allowed, in microseconds.
        limit_us: u64,
    },
    /// The detour took longer than its sub-SLO.
    SubSloMissed {
        /// Time of the functions that are configured on it, in microseconds.
        runtime_us: u64,
        /// What was allowed, in microseconds.
        limit_us: u64,
    },
    /// It cost more.
    CostRose,
    /// It took longer, and saved no more than chance may.
    NotWorthIt,
    /// No warm execution reached the function, so that nothing shows what it does.
    NotReached,
}

/// Resources before and after a change, without what stays as it is.
pub(super) fn change_text(from: Resources, to: Resources, dimensions: &[Dimension]) -> String {
    let bundled = !dimensions.contains(&Dimension::Vcpu);
    if bundled || from.vcpu == to.vcpu {
        format!("{} → {}", from.memory, to.memory)
    } else if from.memory == to.memory {
        format!("{} → {}", from.vcpu, to.vcpu)
    } else {
        format!("{from} → {to}")
    }
}

impl Violation {
    /// As part of a sentence. `cost_change` says by how much the cost changed.
    pub(super) fn text(self, slo: Slo, cost_change: &str) -> String {
        match self {
            Self::Failed { outcome } => match outcome {
                Outcome::Ok | Outcome::Error => "it returned errors".to_owned(),
                Outcome::Crash => "it crashed".to_owned(),
                Outcome::Timeout => "it timed out".to_owned(),
                Outcome::OutOfMemory => "it ran out of memory".to_owned(),
                Outcome::Refused => "it was refused".to_owned(),
            },
            Self::ExecutionsFailed => text::against_slo(None, slo),
            Self::SloMissed { latency_us, limit_us } if limit_us < slo.latency_us => {
                let (latency, limit) = (milliseconds(latency_us), milliseconds(limit_us));
                let slo_text = milliseconds(slo.latency_us);
                let percentile = slo.percentile;
                format!(
                    "expected p{percentile} {latency} over {limit}, the SLO of {slo_text} less the margin"
                )
            }
            Self::SloMissed { latency_us, .. } => {
                format!("expected {}", text::against_slo(Some(latency_us), slo))
            }
            Self::SubSloMissed { runtime_us, limit_us } => {
                let (runtime, limit) = (milliseconds(runtime_us), milliseconds(limit_us));
                format!("its detour took {runtime}, over its sub-SLO of {limit}")
            }
            Self::CostRose => cost_change.to_owned(),
            Self::NotWorthIt => format!("it takes longer, and {cost_change}"),
            Self::NotReached => "no warm execution reached it".to_owned(),
        }
    }
}

fn milliseconds(time_us: u64) -> String {
    text::milliseconds(time_us as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{MemoryMb, MilliVcpu};

    #[test]
    fn changes_name_what_changes() {
        let resources =
            |vcpu, memory| Resources { vcpu: MilliVcpu(vcpu), memory: MemoryMb(memory) };
        let both = [Dimension::Vcpu, Dimension::Memory];
        let text = |to| change_text(resources(2_000, 512), to, &both);
        assert_eq!(text(resources(1_500, 512)), "2 vCPU → 1.5 vCPU");
        assert_eq!(text(resources(2_000, 256)), "512 MB → 256 MB");
        assert_eq!(text(resources(1_000, 256)), "2 vCPU and 512 MB → 1 vCPU and 256 MB");
        let bundled = change_text(resources(289, 512), resources(145, 256), &[Dimension::Memory]);
        assert_eq!(bundled, "512 MB → 256 MB");
    }

    #[test]
    fn violations_read_well() {
        let slo = Slo { latency_us: 120_000_000, percentile: 95 };
        let text = |violation: Violation| violation.text(slo, "it costs 3.0 % more");
        let missed = |limit_us| Violation::SloMissed { latency_us: 121_000_000, limit_us };
        for (violation, expected) in [
            (Violation::Failed { outcome: Outcome::OutOfMemory }, "it ran out of memory"),
            (missed(120_000_000), "expected p95 121000 ms over the SLO of 120000 ms"),
            (
                missed(114_000_000),
                "expected p95 121000 ms over 114000 ms, the SLO of 120000 ms less the margin",
            ),
            (
                Violation::SubSloMissed { runtime_us: 31_000, limit_us: 30_000 },
                "its detour took 31.0 ms, over its sub-SLO of 30.0 ms",
            ),
            (Violation::CostRose, "it costs 3.0 % more"),
        ] {
            assert_eq!(text(violation), expected);
        }
    }
}
