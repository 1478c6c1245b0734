//! Algorithm 3.1 against brute force, on simulated workflows.

use crate::common::{Case, CaseTask, Resumed, cases, drive, judge, name};
use optimizer::brute_force::BruteForceSearch;
use optimizer::deployment::Deployment;
use optimizer::execution::Execution;
use optimizer::fusion::{FusionParameters, FusionSearch};
use optimizer::gate::{Check, Configuration, Force, Gate, Permission, TaskFacts};
use optimizer::search::{self, Decision, Search, Step};
use optimizer::simulator::Overhead;
use optimizer::workflow::CallKind::{Async, Sync};
use optimizer::workflow::Slo;
use proptest::prelude::*;

const PARAMETERS: FusionParameters = FusionParameters { executions: 5, seed: 3 };

fn fusion(case: &Case) -> FusionSearch {
    let workflow = case.workflow();
    FusionSearch::new(&workflow, Deployment::unfused(&workflow), PARAMETERS)
}

/// A gate that has nothing against fusing the first `count` tasks.
fn open_gate(count: usize) -> Gate {
    let facts = TaskFacts {
        runtime: "provided.al2023".to_owned(),
        timeout_ms: 30_000,
        role: None,
        environment_bytes: 0,
        package_bytes: Some(0),
        max_payload_mb: Default::default(),
        configuration: Configuration::default(),
    };
    Gate { tasks: (0..count).map(|at| (name(at), facts.clone())).collect(), ..Gate::default() }
}

/// A connected graph of up to five tasks with different sizes, without noise, and an SLO that the
/// unfused deployment just keeps or keeps with room.
fn any_case() -> impl Strategy<Value = Case> {
    let task = (1_000_u64..60_000, 8_u32..50, prop::sample::select(vec![128, 256, 512, 1_024]))
        .prop_map(|(cpu_us, needed_mb, memory_mb)| CaseTask { cpu_us, needed_mb, memory_mb });
    let tasks = prop::collection::vec(task, 2..=5);
    let edges = prop::collection::vec((0_usize..5, prop::bool::weighted(0.8), 1_u32..=2), 4);
    let extra = prop::collection::vec((0_usize..5, 0_usize..5), 0..=2);
    (tasks, edges, extra, 2_000_u64..40_000, 100_u64..160).prop_map(
        |(tasks, edges, extra, overhead_us, room_percent)| {
            let count = tasks.len();
            let mut case = Case::even(count, Vec::new());
            case.tasks = tasks;
            for (callee, (caller, waits, times)) in (1..count).zip(edges) {
                let kind = if waits { Sync } else { Async };
                case.calls.push((caller % callee, callee, kind, times));
            }
            for (one, other) in extra.into_iter().filter(|(a, b)| a < b && *b < count) {
                if !case.calls.iter().any(|call| (call.0, call.1) == (one, other)) {
                    case.calls.push((one, other, Sync, 1));
                }
            }
            case.overhead = Overhead { median_us: overhead_us, p95_us: overhead_us };
            let unfused = Deployment::unfused(&case.workflow());
            let latency_us = case.run(&unfused, 1, 0)[1].latency_us;
            case.slo = Slo { latency_us: latency_us * room_percent / 100, percentile: 95 };
            case
        },
    )
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn the_result_is_between_brute_force_and_no_fusion(case in any_case()) {
        let workflow = case.workflow();
        let course = drive(fusion(&case), &case.simulator(), Resumed::No);
        let brute_force = BruteForceSearch::new(&workflow, 2_000, 5).unwrap();
        let best = drive(brute_force, &case.simulator(), Resumed::No).recommendation.deployment;
        let (found, keeps) = judge(&case, &course.recommendation.deployment);
        let (unfused, unfused_keeps) = judge(&case, &Deployment::unfused(&workflow));
        prop_assert!(unfused_keeps && keeps, "{}", course.recommendation.deployment);
        prop_assert!(found <= unfused);
        prop_assert!(judge(&case, &best).0 <= found, "{best}");
    }

    #[test]
    fn resuming_after_every_step_changes_nothing(
        case in any_case(),
        jitter_permille in 0_u32..200,
    ) {
        let case = Case { jitter_permille, ..case };
        let once = drive(fusion(&case), &case.simulator(), Resumed::No);
        let resumed = drive(fusion(&case), &case.simulator(), Resumed::Yes);
        prop_assert_eq!(&once.trials, &resumed.trials);
        prop_assert_eq!(&once.recommendation, &resumed.recommendation);
    }

    #[test]
    fn chains_end_as_brute_force_says(
        waits in prop::collection::vec(prop::bool::weighted(0.7), 1..=5),
        cpu_us in prop::collection::vec(1_000_u64..60_000, 6),
    ) {
        let calls = waits.iter().enumerate();
        let calls = calls.map(|(at, waits)| (at, at + 1, if *waits { Sync } else { Async }, 1));
        let mut case = Case::even(waits.len() + 1, calls.collect());
        case.tasks.iter_mut().zip(cpu_us).for_each(|(task, cpu_us)| task.cpu_us = cpu_us);
        let course = drive(fusion(&case), &case.simulator(), Resumed::No);
        let brute_force = BruteForceSearch::new(&case.workflow(), 2_000, 5).unwrap();
        let best = drive(brute_force, &case.simulator(), Resumed::No);
        prop_assert_eq!(course.recommendation.deployment, best.recommendation.deployment);
    }
}

#[test]
fn the_thesis_example_ends_in_two_groups() {
    let case = Case::even(4, vec![(0, 1, Sync, 1), (1, 2, Async, 1), (2, 3, Sync, 1)]);
    let course = drive(fusion(&case), &case.simulator(), Resumed::No);
    assert_eq!(course.recommendation.deployment.to_string(), "(t0,t1)-(t2,t3)");
    // Both regions at once.
    assert_eq!(course.decisions(), [Decision::Measured, Decision::Kept]);
    let reasons = &course.recommendation.reasons;
    assert_eq!(reasons.len(), 4, "{reasons:#?}");
    assert!(reasons[1].starts_with("fused t0 → t1: cost per execution fell by "), "{}", reasons[1]);
    assert!(reasons[1].ends_with(" within the SLO of 100000 ms"), "{}", reasons[1]);
    assert_eq!(reasons[3], "left t1 ⇢ t2 remote: t1 does not wait for it");
}

#[test]
fn the_call_that_double_bills_most_comes_first() {
    // All are as fast, but t0 waits once for t1, five times for t2 and twice for t3.
    let case = Case::even(4, vec![(0, 1, Sync, 1), (0, 2, Sync, 5), (0, 3, Sync, 2)]);
    let course = drive(fusion(&case), &case.simulator(), Resumed::No);
    let deployments: Vec<&str> = course.trials.iter().map(|(text, _)| text.as_str()).collect();
    let expected = ["(t0)-(t1)-(t2)-(t3)", "(t0,t2)-(t1)-(t3)", "(t0,t2,t3)-(t1)", "(t0,t1,t2,t3)"];
    assert_eq!(deployments, expected);
}

#[test]
fn a_fusion_that_breaks_the_slo_is_undone() {
    // t1 is fast with its 1769 MB and takes almost fourteen times as long with t0's 128 MB.
    let mut case = Case::even(2, vec![(0, 1, Sync, 1)]);
    case.tasks[0] = CaseTask { cpu_us: 1_000, needed_mb: 30, memory_mb: 128 };
    case.tasks[1] = CaseTask { cpu_us: 50_000, needed_mb: 30, memory_mb: 1_769 };
    case.slo.latency_us = 200_000;
    let course = drive(fusion(&case), &case.simulator(), Resumed::No);
    assert_eq!(course.decisions(), [Decision::Measured, Decision::Undone]);
    assert_eq!(course.recommendation.deployment.to_string(), "(t0)-(t1)");
    let reason = &course.recommendation.reasons[1];
    assert!(reason.contains("p95 712 ms over the SLO of 200 ms"), "{reason}");
    assert!(reason.contains("the mean latency of its region rose from 78.9 ms"), "{reason}");
}

/// Twenty small calls of a caller with so much memory, over a bare network.
fn chatty(memory_mb: u32) -> Case {
    let mut case = Case::even(2, vec![(0, 1, Sync, 20)]);
    case.tasks = vec![CaseTask { cpu_us: 100, needed_mb: 30, memory_mb }; 2];
    case.overhead = Overhead { median_us: 200, p95_us: 200 };
    case.slo = Slo { latency_us: 60_000, percentile: 95 };
    case
}

#[test]
fn where_the_shared_quota_makes_calls_slower_they_are_not_fused() {
    // 0.07 vCPU: a call inside takes 5.5 ms, one to another function 1.6 ms.
    let course = drive(fusion(&chatty(128)), &chatty(128).simulator(), Resumed::No);
    assert_eq!(course.recommendation.deployment.to_string(), "(t0)-(t1)");
    assert!(course.decisions().contains(&Decision::Undone), "{:?}", course.trials);
    // 0.29 vCPU: 1.4 ms.
    let course = drive(fusion(&chatty(512)), &chatty(512).simulator(), Resumed::No);
    assert_eq!(course.recommendation.deployment.to_string(), "(t0,t1)");
}

#[test]
fn only_the_slower_region_is_undone_and_the_rest_is_measured_again() {
    // t0 and t1 as above; t2 and t3, called asynchronously, gain by fusion.
    let mut case = Case::even(4, vec![(0, 1, Sync, 1), (0, 2, Async, 1), (2, 3, Sync, 1)]);
    case.tasks[0] = CaseTask { cpu_us: 1_000, needed_mb: 30, memory_mb: 128 };
    case.tasks[1] = CaseTask { cpu_us: 50_000, needed_mb: 30, memory_mb: 1_769 };
    case.slo.latency_us = 200_000;
    let course = drive(fusion(&case), &case.simulator(), Resumed::No);
    assert_eq!(course.decisions(), [Decision::Measured, Decision::PartlyKept, Decision::Kept]);
    assert_eq!(course.trials[2].0, "(t0)-(t1)-(t2,t3)");
    assert_eq!(course.recommendation.deployment.to_string(), "(t0)-(t1)-(t2,t3)");
}

#[test]
fn a_fusion_that_is_not_shown_cheaper_is_undone() {
    // Fusing saves half of the cost, but five executions that vary by 90 % do not show it.
    let mut case = Case::even(2, vec![(0, 1, Sync, 1)]);
    case.tasks[0] = CaseTask { cpu_us: 0, needed_mb: 30, memory_mb: 128 };
    case.tasks[1] = CaseTask { cpu_us: 400_000, needed_mb: 30, memory_mb: 128 };
    case.overhead = Overhead { median_us: 0, p95_us: 0 };
    // What five executions show is chance: with this seed not enough.
    (case.seed, case.jitter_permille) = (5, 900);
    let few = drive(fusion(&case), &case.simulator(), Resumed::No);
    let reason = &few.recommendation.reasons[1];
    assert_eq!(few.decisions(), [Decision::Measured, Decision::Undone], "{reason}");
    assert!(reason.ends_with("not shown lower"), "{reason}");

    let workflow = case.workflow();
    let parameters = FusionParameters { executions: 200, ..PARAMETERS };
    let search = FusionSearch::new(&workflow, Deployment::unfused(&workflow), parameters);
    let many = drive(search, &case.simulator(), Resumed::No);
    assert_eq!(many.decisions(), [Decision::Measured, Decision::Kept]);
}

#[test]
fn running_out_of_memory_undoes_a_fusion() {
    let mut case = Case::even(2, vec![(0, 1, Sync, 1)]);
    case.tasks[0].memory_mb = 128;
    case.tasks.iter_mut().for_each(|task| task.needed_mb = 100);
    let course = drive(fusion(&case), &case.simulator(), Resumed::No);
    assert_eq!(course.decisions(), [Decision::Measured, Decision::Undone]);
    let reason = &course.recommendation.reasons[1];
    let expected = "left t0 → t1 remote: 6 of 6 executions failed, before 0 of 6";
    assert_eq!(reason, expected);
}

#[test]
fn a_workflow_that_misses_its_slo_is_fused_all_the_same() {
    let mut case = Case::even(2, vec![(0, 1, Sync, 1)]);
    case.slo.latency_us = 1_000;
    let course = drive(fusion(&case), &case.simulator(), Resumed::No);
    assert_eq!(course.recommendation.deployment.to_string(), "(t0,t1)");
}

#[test]
fn calls_that_were_not_seen_are_left_alone() {
    let case = Case::even(3, vec![(0, 1, Sync, 1), (1, 2, Sync, 0)]);
    let course = drive(fusion(&case), &case.simulator(), Resumed::No);
    assert_eq!(course.recommendation.deployment.to_string(), "(t0,t1)-(t2)");
    let reason = "left t1 → t2 remote: no execution made this call";
    assert_eq!(course.recommendation.reasons.last().unwrap(), reason);
}

#[test]
fn nothing_is_fused_on_no_data() {
    let case = Case::even(2, vec![(0, 1, Sync, 1)]);
    let mut search = fusion(&case);
    search.observe(&search::Outcome { deployment: Vec::new(), control: Vec::new() });
    assert!(matches!(search.next(), Step::Done(_)));
    // Only cold executions of the trial: its cost is unknown.
    let mut search = fusion(&case);
    let simulator = case.simulator();
    let Step::Try(first) = search.next() else { panic!("starts with a trial") };
    search.observe(&simulator.measure(&first, 0));
    let Step::Try(second) = search.next() else { panic!("has a call to fuse") };
    let mut outcome = simulator.measure(&second, 1);
    outcome.deployment.retain(Execution::is_cold);
    assert_eq!(search.observe(&outcome).decision, Decision::Undone);
}

#[test]
fn the_noise_of_a_platform_does_not_hide_what_fusing_saves() {
    for seed in 0..5 {
        let mut case = Case::even(4, vec![(0, 1, Sync, 1), (0, 2, Sync, 2), (0, 3, Sync, 1)]);
        (case.seed, case.jitter_permille) = (seed, 200);
        case.overhead = Overhead { median_us: 15_000, p95_us: 40_000 };
        let workflow = case.workflow();
        let parameters = FusionParameters { executions: 100, seed };
        let search = FusionSearch::new(&workflow, Deployment::unfused(&workflow), parameters);
        let course = drive(search, &case.simulator(), Resumed::No);
        let found = course.recommendation.deployment.to_string();
        assert_eq!(found, "(t0,t1,t2,t3)", "seed {seed}: {:#?}", course.recommendation.reasons);
    }
}

#[test]
fn a_workflow_of_200_tasks_is_fused_whole() {
    let calls = (0..199).map(|task| (task, task + 1, Sync, 1)).collect();
    let mut case = Case::even(200, calls);
    case.tasks.iter_mut().for_each(|task| task.needed_mb = 1);
    let workflow = case.workflow();
    let parameters = FusionParameters { executions: 2, seed: 1 };
    let search = FusionSearch::new(&workflow, Deployment::unfused(&workflow), parameters);
    let course = drive(search, &case.simulator(), Resumed::No);
    assert_eq!(course.recommendation.deployment.functions().len(), 1);
    assert_eq!(course.trials.len(), 200);
}

#[test]
fn a_forbidden_fusion_is_never_tried() {
    // t0 waits for t1, which waits for t2; t0 and t2 may not share a function.
    let case = Case::even(3, vec![(0, 1, Sync, 1), (1, 2, Sync, 1)]);
    let mut gate = open_gate(3);
    gate.apart = vec![[name(0), name(2)].into()];
    let course = drive(fusion(&case).with_gate(gate), &case.simulator(), Resumed::Yes);
    let together = |text: &str| {
        let groups: optimizer::deployment::Groups = text.parse().unwrap();
        groups.0.iter().any(|group| group.contains(&name(0)) && group.contains(&name(2)))
    };
    assert!(!course.trials.iter().any(|(text, _)| together(text)), "{:?}", course.trials);
    // Either fusion alone would do; t1's call takes longer, because t2's time is in it.
    assert_eq!(course.recommendation.deployment.to_string(), "(t0,t1)-(t2)");
    let expected = "left t1 → t2 remote, untried: apart: `constraints.apart` keeps `t0` and `t2` \
                    apart";
    assert_eq!(course.recommendation.reasons.last().unwrap(), expected);
}

#[test]
fn a_fusion_that_needs_consent_is_measured_and_left_until_it_is_given() {
    let case = Case::even(2, vec![(0, 1, Sync, 1)]);
    let mut gate = open_gate(2);
    gate.tasks[1].configuration.reserved_concurrency = Some(5);
    let course = drive(fusion(&case).with_gate(gate.clone()), &case.simulator(), Resumed::Yes);
    assert_eq!(course.decisions(), [Decision::Measured, Decision::Undone]);
    assert_eq!(course.recommendation.deployment.to_string(), "(t0)-(t1)");
    let reason = &course.recommendation.reasons[1];
    assert!(reason.starts_with("left t0 → t1 remote: reserved-concurrency: `t1` runs"), "{reason}");
    let line = "to allow it: { fuse: [t0, t1], check: reserved-concurrency, reason: \"…\" }";
    assert!(reason.contains(line), "{reason}");
    assert!(reason.contains("(measured: cost per execution fell by "), "{reason}");

    gate.allow = vec![Permission {
        fuse: [name(0), name(1)].into(),
        check: Check::ReservedConcurrency,
        reason: None,
        force: Force::Warnings,
    }];
    let course = drive(fusion(&case).with_gate(gate), &case.simulator(), Resumed::No);
    assert_eq!(course.recommendation.deployment.to_string(), "(t0,t1)");
}

#[test]
fn what_is_wanted_together_is_fused_if_it_keeps_the_slo() {
    // Fusing is much dearer: t1 is busy for long and t0's memory is several times t1's.
    let mut case = Case::even(2, vec![(0, 1, Sync, 0)]);
    case.tasks[0] = CaseTask { cpu_us: 1_000, needed_mb: 30, memory_mb: 1_024 };
    let mut gate = open_gate(2);
    gate.together = vec![[name(0), name(1)].into()];
    let wanted = || fusion(&case).with_gate(gate.clone());
    let left = drive(fusion(&case), &case.simulator(), Resumed::No);
    assert_eq!(left.recommendation.deployment.to_string(), "(t0)-(t1)");
    let course = drive(wanted(), &case.simulator(), Resumed::No);
    assert_eq!(course.recommendation.deployment.to_string(), "(t0,t1)");
    let reason = &course.recommendation.reasons[1];
    assert!(reason.starts_with("fused t0 → t1: asked for by `together`, cost per"), "{reason}");

    let mut gate = gate.clone();
    gate.tasks[0].timeout_ms = 10_000;
    let held = drive(fusion(&case).with_gate(gate), &case.simulator(), Resumed::No);
    assert_eq!(held.recommendation.deployment.to_string(), "(t0)-(t1)", "still gated");

    let mut slow = Case::even(2, vec![(0, 1, Sync, 1)]);
    slow.tasks[0] = CaseTask { cpu_us: 1_000, needed_mb: 30, memory_mb: 128 };
    slow.tasks[1] = CaseTask { cpu_us: 50_000, needed_mb: 30, memory_mb: 1_769 };
    slow.slo.latency_us = 200_000;
    let mut gate = open_gate(2);
    gate.together = vec![[name(0), name(1)].into()];
    let held = drive(fusion(&slow).with_gate(gate), &slow.simulator(), Resumed::No);
    assert_eq!(held.recommendation.deployment.to_string(), "(t0)-(t1)", "the SLO comes first");
}
