//! Algorithm 3.1 of the thesis (§3.3.2): which functions to fuse.
//!
//! A *region* is a set of tasks that synchronous calls join. The search measures the start, then,
//! round by round and in all regions at once, fuses the call that double-bills most, measures the
//! new deployment interleaved with the current one, and keeps or undoes each region's fusion.
//!
//! Where it differs from the thesis:
//! * The call that double-bills most is the one whose durations add up to most in an execution. The
//!   thesis takes the longest one, which is the same if every call happens once.
//! * The thesis compares two mean costs and keeps a fusion unless the mean rose, so noise decides
//!   close calls. Here a fusion is kept if its region's cost is *shown* to be lower: the 95 %
//!   bootstrap interval of the difference of means lies below zero. Both samples are taken at the
//!   same time, not one after the other.
//! * More failures than before undo a fusion, however cheap failing is.
//! * An SLO that the deployment before violated as well is held against a fusion only if it made
//!   its region slower. Otherwise a workflow that is too slow to begin with could never be made
//!   faster.
//! * If a violated SLO or failures undo the fusions of some regions only, the others are measured
//!   again without them, because nothing has shown that these alone keep the SLO.
//! * Calls that no execution was seen to make are left alone: fusing them can save nothing.
//! * What the safety [gate](crate::gate) forbids is never tried. What it warns of until the user
//!   allows it is measured, to show what allowing it would save, and not kept.
//! * Calls whose tasks the user wants together come first and are kept whether or not that is
//!   cheaper, if it keeps the SLO.

use serde::{Deserialize, Serialize};

use crate::deployment::Deployment;
use crate::execution::Execution;
use crate::gate::{Effect, Gate, Verdict as GateVerdict};
use crate::measurement;
use crate::region::RegionComparison;
use crate::search::{Decision, Outcome, Recommendation, Search, Standing, Step, Trial, Verdict};
use crate::text;
use crate::workflow::{Call, CallKind, Workflow};

/// How much data the search takes for a decision.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct FusionParameters {
    /// Warm executions for each trial and its control.
    pub executions: u32,
    /// Seed of the confidence intervals.
    pub seed: u64,
}

impl Default for FusionParameters {
    /// 200 executions, as in the thesis's experiments.
    fn default() -> Self {
        Self { executions: 200, seed: 0 }
    }
}

/// The search; see the [module](self).
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct FusionSearch {
    workflow: Workflow,
    parameters: FusionParameters,
    gate: Gate,
    /// Region of every task, in the order of the tasks.
    regions: Vec<usize>,
    /// The synchronous calls, in the workflow's order.
    candidates: Vec<Candidate>,
    current: Deployment,
    /// What its executions showed, or those of the round in which other fusions were tried with it.
    standing: Standing,
    stage: Stage,
    /// Rounds observed so far; makes each round's random numbers its own.
    round: u64,
    reasons: Vec<String>,
}

/// A synchronous call that may be fused.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Candidate {
    call: Call,
    region: usize,
    /// Time callers waited for it remotely in one execution of the current deployment, on average.
    double_billed_us: u64,
    /// Whether it was ever tried. It is not tried again: kept, it is served inside; undone, it is
    /// what the thesis marks as failed.
    tried: bool,
    /// Whether the user wants its tasks together.
    wanted: bool,
    /// Why it may not be tried, once its turn came.
    forbidden: Option<String>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
enum Stage {
    /// The start has to be measured.
    Start,
    /// These candidates, by index and one of each region at most, have to be tried.
    Round(Vec<usize>),
    Done,
}

impl FusionSearch {
    /// A search from `start`, a deployment of `workflow`.
    #[must_use]
    pub fn new(workflow: &Workflow, start: Deployment, parameters: FusionParameters) -> Self {
        let regions = workflow.regions();
        let candidates = workflow
            .synchronous_calls()
            .map(|call| {
                let region = regions[workflow.tasks().get_index_of(&call.caller).expect("checked")];
                Candidate {
                    call,
                    region,
                    double_billed_us: 0,
                    tried: false,
                    wanted: false,
                    forbidden: None,
                }
            })
            .collect();
        Self {
            workflow: workflow.clone(),
            parameters,
            gate: Gate::default(),
            regions,
            candidates,
            current: start,
            standing: Standing::Unmeasured,
            stage: Stage::Start,
            round: 0,
            reasons: Vec::new(),
        }
    }

    /// The same search, which asks this gate before it tries or keeps a fusion.
    #[must_use]
    pub fn with_gate(mut self, gate: Gate) -> Self {
        for candidate in &mut self.candidates {
            candidate.wanted = gate.wants_together(&candidate.call);
        }
        self.gate = gate;
        self
    }

    /// What the gate has against fusing a candidate now, as a sentence, if it does this.
    fn objection(&self, pick: usize, effect: Effect) -> Option<String> {
        let objections = self.gate.objections(&self.current, &self.fused(&[pick]));
        let objections = objections.iter().filter(|verdict| verdict.effect == effect);
        let texts: Vec<String> = objections.map(objection_text).collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    }

    /// The current deployment with these candidates fused.
    fn fused(&self, picks: &[usize]) -> Deployment {
        picks.iter().fold(self.current.clone(), |deployment, pick| {
            deployment.fuse(&self.workflow, &self.candidates[*pick].call)
        })
    }

    /// Notes how long callers waited in these executions for each candidate of the regions that
    /// `concerned` names.
    fn note_waiting(&mut self, executions: &[Execution], concerned: impl Fn(usize) -> bool) {
        let waiting = crate::region::mean_waiting_us(executions);
        for candidate in self.candidates.iter_mut().filter(|c| concerned(c.region)) {
            let pair = (&candidate.call.caller, &candidate.call.callee);
            candidate.double_billed_us = waiting.get(&pair).copied().unwrap_or(0);
        }
    }

    /// Decides what to try next: in each region what the user wants together, then the call that
    /// double-bills most.
    fn plan(&mut self) {
        let mut picks: Vec<Option<usize>> = vec![None; self.regions.len()];
        let rank = |candidate: &Candidate| (candidate.wanted, candidate.double_billed_us);
        let mut by_rank: Vec<usize> = (0..self.candidates.len()).collect();
        // Stable, so that the first of equals stays first.
        by_rank.sort_by_key(|index| std::cmp::Reverse(rank(&self.candidates[*index])));
        for index in by_rank {
            let Candidate { call, region, double_billed_us, tried, wanted, .. } =
                &self.candidates[index];
            let open = !tried && (*wanted || *double_billed_us > 0);
            let region = *region;
            if !open || picks[region].is_some() || self.current.is_inlined(call) {
                continue;
            }
            let forbidden = self.objection(index, Effect::NeverTried);
            if forbidden.is_none() {
                picks[region] = Some(index);
            }
            self.candidates[index].tried = true;
            self.candidates[index].forbidden = forbidden;
        }
        let picks: Vec<usize> = picks.into_iter().flatten().collect();
        self.stage = if picks.is_empty() { Stage::Done } else { Stage::Round(picks) };
    }

    fn observe_start(&mut self, outcome: &Outcome) -> Verdict {
        self.note_waiting(&outcome.deployment, |_| true);
        let slo = self.workflow.slo();
        self.standing = Standing::of(&outcome.deployment, slo);
        let latency_us = measurement::latency_at(&outcome.deployment, slo.percentile);
        let standing = text::against_slo(latency_us, slo);
        let reason = format!("measured the start {}: {standing}", self.current);
        self.plan();
        Verdict { decision: Decision::Measured, reasons: vec![reason] }
    }

    fn observe_round(&mut self, picks: &[usize], outcome: &Outcome) -> Verdict {
        let comparisons: Vec<RegionComparison> = picks
            .iter()
            .map(|pick| {
                let region = self.candidates[*pick].region;
                let tasks = self.workflow.tasks();
                let inside = |task: &_| {
                    tasks.get_index_of(task).is_some_and(|task| self.regions[task] == region)
                };
                let stream = (self.round << 32) + region as u64;
                RegionComparison::new(outcome, inside, self.parameters.seed.wrapping_add(stream))
            })
            .collect();
        let blame = self.blame(&comparisons, outcome);
        let blamed_any = blame.iter().any(Option::is_some);
        let (mut kept, mut reasons) = (Vec::new(), Vec::new());
        let latency_us =
            measurement::latency_at(&outcome.deployment, self.workflow.slo().percentile);
        let standing = text::against_slo(latency_us, self.workflow.slo());
        for ((pick, comparison), blame) in picks.iter().zip(&comparisons).zip(blame) {
            let call = text::arrow(&self.candidates[*pick].call);
            let cost = comparison.cost_change();
            let wanted = self.candidates[*pick].wanted;
            reasons.push(match (blame, self.objection(*pick, Effect::KeptOut)) {
                (Some(blame), _) => format!("left {call} remote: {blame}"),
                (None, _) if !wanted && !comparison.is_cheaper() => {
                    format!("left {call} remote: {cost}, not shown lower")
                }
                (None, Some(objection)) => {
                    format!("left {call} remote: {objection} (measured: {cost}, {standing})")
                }
                (None, None) => {
                    kept.push(*pick);
                    let asked = if wanted { "asked for by `together`, " } else { "" };
                    let again = if blamed_any { "; measured again without the undone" } else { "" };
                    format!("fused {call}: {asked}{cost}, {standing}{again}")
                }
            });
        }
        let decision = match kept.len() {
            0 => Decision::Undone,
            count if count == picks.len() => Decision::Kept,
            _ => Decision::PartlyKept,
        };
        self.settle(kept, blamed_any, outcome);
        Verdict { decision, reasons }
    }

    /// Moves on to the deployment with the kept fusions, or has them measured again without those
    /// undone for an SLO or failures.
    fn settle(&mut self, kept: Vec<usize>, blamed_any: bool, outcome: &Outcome) {
        let regions: Vec<usize> = kept.iter().map(|pick| self.candidates[*pick].region).collect();
        if blamed_any && !kept.is_empty() {
            // Fewer than before, so that this ends.
            self.stage = Stage::Round(kept);
            return;
        }
        let current = if kept.is_empty() { &outcome.control } else { &outcome.deployment };
        self.standing = Standing::of(current, self.workflow.slo());
        self.current = self.fused(&kept);
        self.note_waiting(&outcome.deployment, |region| regions.contains(&region));
        self.note_waiting(&outcome.control, |region| !regions.contains(&region));
        self.plan();
    }

    /// For every region, why its fusion is undone whatever it saves, if it is.
    fn blame(&self, comparisons: &[RegionComparison], outcome: &Outcome) -> Vec<Option<String>> {
        if measurement::fail_more(&outcome.deployment, &outcome.control) {
            let failed = |of: &[Execution]| of.iter().filter(|e| e.failed()).count();
            let counts = format!(
                "{} of {} executions failed, before {} of {}",
                failed(&outcome.deployment),
                outcome.deployment.len(),
                failed(&outcome.control),
                outcome.control.len(),
            );
            let nobody = !comparisons.iter().any(RegionComparison::fails_more);
            return comparisons
                .iter()
                .map(|comparison| (nobody || comparison.fails_more()).then(|| counts.clone()))
                .collect();
        }
        let slo = self.workflow.slo();
        if measurement::keeps_slo(&outcome.deployment, slo) {
            return vec![None; comparisons.len()];
        }
        let latency_us = measurement::latency_at(&outcome.deployment, slo.percentile);
        let standing = text::against_slo(latency_us, slo);
        let nobody = !comparisons.iter().any(RegionComparison::is_slower);
        let all = nobody && measurement::keeps_slo(&outcome.control, slo);
        comparisons
            .iter()
            .map(|comparison| {
                let change = comparison.latency_change();
                (all || comparison.is_slower()).then(|| format!("{standing}, and {change}"))
            })
            .collect()
    }

    /// Calls that were never tried, and why.
    fn left_alone(&self) -> impl Iterator<Item = String> {
        let asynchronous = self.workflow.calls().filter(|call| call.kind == CallKind::Async);
        let asynchronous = asynchronous.map(|call| {
            format!("left {} remote: {} does not wait for it", text::arrow(&call), call.caller)
        });
        let unseen = self.candidates.iter().filter(|candidate| {
            !candidate.tried
                && candidate.double_billed_us == 0
                && !self.current.is_inlined(&candidate.call)
        });
        let forbidden = self.candidates.iter().filter_map(|candidate| {
            let why = candidate.forbidden.as_ref()?;
            Some(format!("left {} remote, untried: {why}", text::arrow(&candidate.call)))
        });
        asynchronous.chain(forbidden).chain(unseen.map(|candidate| {
            format!("left {} remote: no execution made this call", text::arrow(&candidate.call))
        }))
    }
}

/// A verdict of the gate with what to write to lift it.
fn objection_text(verdict: &GateVerdict) -> String {
    let GateVerdict { check, text, allow_with, .. } = verdict;
    match allow_with {
        Some(line) => format!("{}: {text}; to allow it: {line}", check.code()),
        None => format!("{}: {text}", check.code()),
    }
}

impl Search for FusionSearch {
    fn next(&self) -> Step {
        let (deployment, control, reason) = match &self.stage {
            Stage::Start => {
                let reason = format!("measures {} to see which calls double-bill", self.current);
                (self.current.clone(), None, reason)
            }
            Stage::Round(picks) => {
                let calls: Vec<String> = picks
                    .iter()
                    .map(|pick| {
                        let Candidate { call, double_billed_us, .. } = &self.candidates[*pick];
                        let waiting = text::milliseconds(*double_billed_us as f64);
                        format!("{} ({waiting} double-billed per execution)", text::arrow(call))
                    })
                    .collect();
                let reason = format!("fuses {}", calls.join(" and "));
                (self.fused(picks), Some(self.current.clone()), reason)
            }
            Stage::Done => return Step::Done(self.best_so_far()),
        };
        Step::Try(Trial { deployment, control, executions: self.parameters.executions, reason })
    }

    fn best_so_far(&self) -> Recommendation {
        Recommendation {
            deployment: self.current.clone(),
            standing: self.standing.clone(),
            reasons: self.reasons.iter().cloned().chain(self.left_alone()).collect(),
        }
    }

    fn observe(&mut self, outcome: &Outcome) -> Verdict {
        let verdict = match self.stage.clone() {
            Stage::Start => self.observe_start(outcome),
            Stage::Round(picks) => self.observe_round(&picks, outcome),
            Stage::Done => Verdict { decision: Decision::Measured, reasons: Vec::new() },
        };
        self.round += 1;
        self.reasons.extend(verdict.reasons.iter().cloned());
        verdict
    }
}
