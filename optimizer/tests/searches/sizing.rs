//! Algorithm 3.2 on a platform with known costs, and on the simulator.

use std::collections::BTreeMap;

use crate::common::{Case, CaseTask, Resumed, cases, drive, name};
use optimizer::deployment::Deployment;
use optimizer::execution::{Billed, Execution, Outcome, Span};
use optimizer::search::{self, Decision, Recommendation, Search, Step};
use optimizer::sizing::{SizingParameters, SizingSearch};
use optimizer::space::ResourceSpace;
use optimizer::units::{MemoryMb, MilliVcpu, PicoUsd, Resources};
use optimizer::workflow::{CallKind, TaskName};
use proptest::prelude::*;

/// The range of the thesis's experiments.
fn space() -> ResourceSpace {
    ResourceSpace::lambda().with_memory_range(MemoryMb(128), MemoryMb(1_024), 128).unwrap()
}

fn parameters() -> SizingParameters {
    SizingParameters { executions: 3, ..SizingParameters::default() }
}

/// What a function costs and how long it takes, in microseconds, by its size; `None` is out of
/// memory.
type Curve = Box<dyn Fn(MemoryMb) -> Option<(u64, u64)>>;

/// A chain of functions with their curves.
struct Curves {
    case: Case,
    curves: Vec<Curve>,
}

impl Curves {
    fn new(curves: Vec<Curve>) -> Self {
        let calls = (1..curves.len()).map(|callee| (callee - 1, callee, CallKind::Sync, 1));
        Self { case: Case::even(curves.len(), calls.collect()), curves }
    }

    fn start(&self) -> Deployment {
        Deployment::unfused(&self.case.workflow())
    }

    fn search(&self, parameters: SizingParameters) -> SizingSearch {
        SizingSearch::new(&self.case.workflow(), self.start(), space(), parameters)
    }

    /// Four executions, the first one cold. A function that runs out of memory ends the execution,
    /// and its instance has to be started for the next one.
    fn measure(&self, deployment: &Deployment) -> Vec<Execution> {
        let mut failed = None;
        let execution = |index: usize| {
            let mut spans: Vec<Span> = Vec::new();
            let mut outcome = Outcome::Ok;
            for (at, curve) in self.curves.iter().enumerate() {
                let root = name(at);
                let resources = deployment.functions()[&root].resources;
                let cold = index == 0 || failed == Some(at);
                let result = curve(resources.memory);
                if result.is_none() {
                    failed = Some(at);
                    outcome = Outcome::OutOfMemory;
                }
                let (cost, duration_us) = result.unwrap_or((1, 1));
                let billed = Billed {
                    duration_us,
                    billed_ms: duration_us.div_ceil(1_000),
                    resources,
                    init_us: cold.then_some(1_000),
                    peak_memory_mb: 1,
                    waiting_us: 0,
                    cost: PicoUsd(cost),
                };
                spans.push(Span {
                    task: root.clone(),
                    step: None,
                    function: root,
                    parent: at.checked_sub(1),
                    kind: CallKind::Sync,
                    start_us: 0,
                    duration_us,
                    billed: Some(billed),
                    outcome,
                });
                if result.is_none() {
                    break;
                }
            }
            let latency_us = spans.iter().map(|span| span.duration_us).sum();
            Execution { trace: index.to_string(), latency_us, spans, outcome }
        };
        (0..4).map(execution).collect()
    }

    fn run(&self, mut search: SizingSearch) -> (Vec<Deployment>, Recommendation) {
        let mut measured = Vec::new();
        for _ in 0..200 {
            match search.next() {
                Step::Done(recommendation) => return (measured, recommendation),
                Step::Try(trial) => {
                    let deployment = self.measure(&trial.deployment);
                    search.observe(&search::Outcome { deployment, control: Vec::new() });
                    measured.push(trial.deployment);
                }
            }
        }
        panic!("the search does not end");
    }
}

fn memory_mb(deployment: &Deployment) -> Vec<u32> {
    deployment.functions().values().map(|function| function.resources.memory.0).collect()
}

/// A convex curve with its minimum at `best_mb`.
fn convex(best_mb: u32, steepness: u64) -> Curve {
    Box::new(move |memory| {
        let distance = u64::from(memory.0.abs_diff(best_mb));
        Some((1_000_000 + steepness * distance * distance, 1_000_000 / u64::from(memory.0)))
    })
}

/// One that fails below `floor_mb` and costs more with more memory.
fn floor(floor_mb: u32) -> Curve {
    Box::new(move |memory| (memory.0 >= floor_mb).then_some((u64::from(memory.0) * 1_000, 5_000)))
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn every_function_gets_the_minimum_of_its_convex_curve(
        curves in prop::collection::vec((1_u32..=8, 1_u64..50), 1..5),
        seed in any::<u64>(),
    ) {
        let best: Vec<u32> = curves.iter().map(|(steps, _)| steps * 128).collect();
        let convex = curves.iter().map(|(steps, steepness)| convex(steps * 128, *steepness));
        let curves = Curves::new(convex.collect());
        let search = curves.search(SizingParameters { seed, ..parameters() });
        let (_, recommendation) = curves.run(search);
        prop_assert_eq!(memory_mb(&recommendation.deployment), best);
    }

    #[test]
    fn functions_end_above_their_memory_floors(
        floors in prop::collection::vec(1_u32..=4, 1..5),
        seed in any::<u64>(),
    ) {
        let best: Vec<u32> = floors.iter().map(|steps| steps * 128).collect();
        let curves = Curves::new(best.iter().map(|mb| floor(*mb)).collect());
        let search = curves.search(SizingParameters { seed, ..parameters() });
        let (_, recommendation) = curves.run(search);
        prop_assert_eq!(memory_mb(&recommendation.deployment), best);
    }

    #[test]
    fn resuming_after_every_step_changes_nothing(
        tasks in prop::collection::vec((0_u64..80_000, 20_u32..300), 1..4),
        seed in any::<u64>(),
    ) {
        let calls = (1..tasks.len()).map(|callee| (callee - 1, callee, CallKind::Sync, 1));
        let mut case = Case::even(tasks.len(), calls.collect());
        case.jitter_permille = 50;
        for (task, (cpu_us, needed_mb)) in case.tasks.iter_mut().zip(tasks) {
            *task = CaseTask { cpu_us, needed_mb, memory_mb: 512 };
        }
        let workflow = case.workflow();
        let start = Deployment::unfused(&workflow);
        let parameters = SizingParameters { seed, local_minima: 3, ..parameters() };
        let search = SizingSearch::new(&workflow, start, space(), parameters);
        let once = drive(search.clone(), &case.simulator(), Resumed::No);
        let resumed = drive(search, &case.simulator(), Resumed::Yes);
        prop_assert_eq!(&once.trials, &resumed.trials);
        prop_assert_eq!(&once.recommendation, &resumed.recommendation);
    }
}

#[test]
fn one_run_shows_all_functions_smaller_and_one_all_larger() {
    let curves = Curves::new(vec![convex(512, 1), convex(512, 1)]);
    let (measured, recommendation) =
        curves.run(curves.search(SizingParameters { local_minima: 1, ..parameters() }));
    let sizes: Vec<Vec<u32>> = measured.iter().map(memory_mb).collect();
    assert_eq!(sizes, [vec![512, 512], vec![384, 384], vec![640, 640]]);
    assert_eq!(recommendation.deployment, curves.start());
    assert_eq!(recommendation.reasons.len(), 5);
    let summary =
        "t1 costs least with 512 MB (2.0 ms per execution) of 3 sizes from 384 MB to 640 MB";
    assert_eq!(recommendation.reasons[4], summary);
}

#[test]
fn the_combination_of_the_best_sizes_is_measured_last() {
    let curves = Curves::new(vec![convex(384, 1), convex(640, 1)]);
    let parameters = SizingParameters { local_minima: 1, ..parameters() };
    let (measured, recommendation) = curves.run(curves.search(parameters));
    assert_eq!(memory_mb(measured.last().unwrap()), [384, 640]);
    assert_eq!(&recommendation.deployment, measured.last().unwrap());
}

#[test]
fn the_cheapest_that_keeps_the_slo_is_recommended() {
    // Smaller is cheaper and slower, and only 640 MB and more are fast enough.
    let curve = |memory: MemoryMb| Some((u64::from(memory.0), 64_000_000 / u64::from(memory.0)));
    let mut curves = Curves::new(vec![Box::new(curve)]);
    curves.case.slo.latency_us = 100_000;
    let (measured, recommendation) = curves.run(curves.search(parameters()));
    assert!(measured.iter().any(|deployment| memory_mb(deployment) == [128]));
    assert_eq!(memory_mb(&recommendation.deployment), [640]);
    let kept: Vec<_> =
        recommendation.reasons.iter().filter(|reason| reason.contains("so far")).collect();
    assert!(kept[0].contains("p95 100 ms within the SLO of 100 ms"), "{kept:?}");
}

#[test]
fn fixed_functions_keep_what_they_have() {
    let curves = Curves::new(vec![convex(128, 1), convex(128, 1)]);
    let parameters = SizingParameters { fixed: [name(1)].into(), ..parameters() };
    let (measured, recommendation) = curves.run(curves.search(parameters));
    assert!(measured.iter().all(|deployment| memory_mb(deployment)[1] == 512));
    assert_eq!(memory_mb(&recommendation.deployment), [128, 512]);
}

#[test]
fn the_iterations_are_bounded() {
    let curves = Curves::new(vec![convex(128, 1)]);
    let parameters = SizingParameters { max_iterations: 1, ..parameters() };
    let (measured, recommendation) = curves.run(curves.search(parameters));
    assert_eq!(measured.len(), 3, "start, smaller, larger; their best is among them");
    assert_eq!(memory_mb(&recommendation.deployment), [384]);
    let none = SizingParameters { max_iterations: 0, ..SizingParameters::default() };
    assert_eq!(curves.run(curves.search(none)).0.len(), 1);
}

#[test]
fn a_start_that_fails_is_left_for_more_memory() {
    let mut curves = Curves::new(vec![floor(384), floor(256)]);
    curves.case.tasks.iter_mut().for_each(|task| task.memory_mb = 128);
    let (_, recommendation) = curves.run(curves.search(parameters()));
    assert_eq!(memory_mb(&recommendation.deployment), [384, 256]);
}

#[test]
fn a_workflow_that_always_fails_ends_with_the_start() {
    let curves = Curves::new(vec![floor(4_096), floor(128)]);
    let (_, recommendation) = curves.run(curves.search(parameters()));
    assert_eq!(recommendation.deployment, curves.start());
}

#[test]
fn functions_that_are_not_reached_keep_what_they_have() {
    let case = Case::even(2, vec![(0, 1, CallKind::Sync, 0)]);
    let workflow = case.workflow();
    let start = Deployment::unfused(&workflow);
    let search = SizingSearch::new(&workflow, start, space(), parameters());
    let course = drive(search, &case.simulator(), Resumed::No);
    assert_eq!(memory_mb(&course.recommendation.deployment)[1], 512);
    let reasons = &course.recommendation.reasons;
    assert!(reasons.contains(&"t1 keeps its size: no execution reached it".to_owned()));
    assert_eq!(course.decisions()[0], Decision::Measured);
}

#[test]
fn a_start_off_the_coupling_is_measured_again_on_it() {
    let curves = Curves::new(vec![convex(512, 1)]);
    let off = Resources { vcpu: MilliVcpu(2_000), memory: MemoryMb(512) };
    let start = curves.start().with_resources(&name(0), off);
    let search = SizingSearch::new(&curves.case.workflow(), start, space(), parameters());
    let (measured, _) = curves.run(search);
    assert_eq!(measured[1], curves.start(), "512 MB with the vCPU that goes with it");
}

#[test]
fn a_search_over_many_functions_and_all_of_lambda_ends() {
    let best: BTreeMap<TaskName, u32> =
        (0..50).map(|at| (name(at), 128 + at as u32 * 100)).collect();
    let curves = Curves::new(best.values().map(|mb| convex(*mb, 1)).collect());
    let workflow = curves.case.workflow();
    let search =
        SizingSearch::new(&workflow, curves.start(), ResourceSpace::lambda(), parameters());
    let (measured, _) = curves.run(search);
    assert!(measured.len() <= 62, "{} runs", measured.len());
}
