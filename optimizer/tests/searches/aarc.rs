//! AARC on workflows whose functions take what a formula says: what it costs against the best there
//! is, and what it never does.

use std::collections::BTreeSet;

use optimizer::aarc::{AarcError, AarcParameters, AarcSearch, Change, Fate, Place, Violation};
use optimizer::deployment::Deployment;
use optimizer::execution::{self, Execution};
use optimizer::platforms;
use optimizer::price::PriceBook;
use optimizer::search::{Decision, Outcome, Recommendation, Search, Standing, Step, Trial};
use optimizer::space::{Dimension, ResourceSpace, SpaceError};
use optimizer::units::{MemoryMb, MilliVcpu, Resources};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::common::{Case, Resumed, cases, name, same_cases};
use crate::orchestrated::{Needs, Steps, task_name};

/// What a search went through.
struct Course {
    trials: Vec<(Trial, Vec<Execution>, Decision)>,
    search: AarcSearch,
    recommendation: Recommendation,
}

impl Course {
    /// What was tried with one task's function, in order.
    fn changes(&self, task: usize) -> Vec<Change> {
        let functions = self.search.functions().into_iter();
        functions.filter(|it| it.function == task_name(task)).flat_map(|it| it.changes).collect()
    }

    fn resources(&self, task: usize) -> Resources {
        self.recommendation.deployment.functions()[&task_name(task)].resources
    }
}

fn search(steps: &Steps, parameters: AarcParameters) -> AarcSearch {
    let workflow = steps.workflow();
    let start = Deployment::unfused(&workflow);
    AarcSearch::new(&workflow, start, steps.space.clone(), parameters).unwrap()
}

fn run(steps: &Steps, parameters: AarcParameters) -> Course {
    drive(search(steps, parameters), Resumed::No, |trial, round| {
        steps.measure(trial, round).deployment
    })
}

/// Runs a search to its end, and checks what holds of every one between any two steps.
fn drive(
    mut search: AarcSearch,
    resumed: Resumed,
    measure: impl Fn(&Trial, u64) -> Vec<Execution>,
) -> Course {
    let mut trials: Vec<(Trial, Vec<Execution>, Decision)> = Vec::new();
    for round in 0..2_000 {
        if resumed == Resumed::Yes {
            let text = serde_json::to_string(&search).unwrap();
            search = serde_json::from_str(&text).unwrap();
            assert_eq!(serde_json::to_string(&search).unwrap(), text);
        }
        assert_eq!(search.next(), search.next(), "the same answer until it observes");
        let trial = match search.next() {
            Step::Done(recommendation) => {
                assert_eq!(recommendation, search.best_so_far());
                return Course { trials, search, recommendation };
            }
            Step::Try(trial) => trial,
        };
        let executions = measure(&trial, round);
        let control = Vec::new();
        let verdict = search.observe(&Outcome { deployment: executions.clone(), control });
        assert!(!verdict.reasons.is_empty());
        trials.push((trial, executions, verdict.decision));
    }
    panic!("the search does not end");
}

/// AWS Lambda in steps of 64 MB, few enough to try all.
fn coarse_lambda() -> ResourceSpace {
    let range = (MemoryMb(128), MemoryMb(10_240));
    ResourceSpace::lambda().with_memory_range(range.0, range.1, 64).unwrap()
}

fn needs() -> impl Strategy<Value = Needs> {
    let waiting_us = prop_oneof![2 => Just(0), 1 => 0_u64..10_000_000];
    (waiting_us, 2_000_000_u64..60_000_000, 0_u64..=100, 100_u32..3_000).prop_map(
        |(waiting_us, cpu_us, parallel_percent, floor_mb)| Needs {
            waiting_us,
            serial_us: cpu_us * (100 - parallel_percent) / 100,
            parallel_us: cpu_us * parallel_percent / 100,
            floor_mb,
        },
    )
}

/// Workflows of 2 to 4 functions in any order, on the thesis's space with two price books or on
/// Lambda, with an SLO from little more than the largest configuration takes to five times that.
fn workflows() -> impl Strategy<Value = Steps> {
    let tasks = prop::collection::vec(needs(), 2..=4);
    let edges = prop::collection::vec(any::<bool>(), 16);
    let iterations = prop::collection::vec(prop_oneof![3 => Just(1_usize), 1 => 2_usize..6], 4);
    (tasks, edges, iterations, 106_u64..500, 0..3, any::<u64>()).prop_map(
        |(tasks, edges, iterations, slo_percent, platform, seed)| {
            let after: Vec<Vec<usize>> = (0..tasks.len())
                .map(|step| (0..step).filter(|before| edges[step * 4 + before]).collect())
                .collect();
            let after: Vec<&[usize]> = after.iter().map(Vec::as_slice).collect();
            let mut steps = Steps::new(tasks, &after);
            steps.iterations = iterations[..steps.steps.len()].to_vec();
            (steps.space, steps.prices) = match platform {
                0 => (ResourceSpace::decoupled(), PriceBook::thesis_decoupled()),
                1 => {
                    // Cloud Run weighs a vCPU like 9.6 GB, the thesis like half a GB.
                    (ResourceSpace::decoupled(), PriceBook::named("cloud-run").unwrap())
                }
                _ => (coarse_lambda(), PriceBook::lambda_x86()),
            };
            steps.seed = seed;
            steps.with_slo_percent(slo_percent)
        },
    )
}

/// The same on any platform that is built in.
fn on_any_platform() -> impl Strategy<Value = Steps> {
    let platforms: Vec<_> = platforms::built_in().iter().collect();
    (workflows(), prop::sample::select(platforms), 106_u64..500).prop_map(
        |(mut steps, platform, slo_percent)| {
            steps.space = platform.space.clone().unwrap();
            steps.prices = platform.prices[0].clone();
            steps.with_slo_percent(slo_percent)
        },
    )
}

/// Parameters as a user may set them.
fn parameters() -> impl Strategy<Value = AarcParameters> {
    let step = prop::option::of(1_u32..4_000);
    (step.clone(), step, 2_u32..5, 1_u32..5, 1_u32..80, 1_u32..4, 0_u32..10, 0_u32..20).prop_map(
        |(vcpu, memory, back_off, function_trials, max_trials, executions, tolerance, margin)| {
            AarcParameters {
                vcpu_step: vcpu.map(MilliVcpu),
                memory_step: memory.map(MemoryMb),
                back_off,
                function_trials,
                max_trials,
                executions,
                tolerance_percent: tolerance,
                slo_margin_percent: margin,
                ..AarcParameters::default()
            }
        },
    )
}

proptest! {
    #![proptest_config(same_cases(64))]

    /// Of 4,000 such workflows the dearest came out 1.44 times as dear as the best there is.
    #[test]
    fn without_noise_the_slo_is_kept_and_the_cost_close_to_the_least(steps in workflows()) {
        let course = run(&steps, AarcParameters::default());
        prop_assert_eq!(&course.recommendation.standing, &Standing::KeepsSlo);
        let (cost, latency_us) = steps.judge(&course.recommendation.deployment).unwrap();
        prop_assert!(latency_us <= steps.slo.latency_us);
        let optimum = steps.optimum().unwrap();
        prop_assert!(cost.0 as f64 <= optimum.0 as f64 * 1.5, "{:?}, at best {:?}", cost, optimum);
    }
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn what_is_recommended_was_measured_whole_and_kept_the_slo(
        mut steps in on_any_platform(),
        parameters in parameters(),
        noise_permille in 0_u64..150,
    ) {
        steps.noise_permille = noise_permille;
        let course = run(&steps, parameters.clone());
        prop_assert!(course.trials.len() <= parameters.max_trials as usize);
        for (trial, ..) in &course.trials {
            for function in trial.deployment.functions().values() {
                prop_assert_eq!(steps.space.check(function.resources), Ok(()));
            }
        }
        let Recommendation { deployment, standing, .. } = &course.recommendation;
        let (last, executions, _) = course.trials.last().unwrap();
        if course.trials.len() > 1 {
            prop_assert_eq!(last.executions, parameters.validation_executions);
        }
        prop_assert_eq!(deployment, &last.deployment);
        prop_assert_eq!(standing, &Standing::of(executions, steps.slo));
    }

    #[test]
    fn a_search_can_be_written_down_between_any_two_steps(
        mut steps in on_any_platform(),
        parameters in parameters(),
        noise_permille in 0_u64..100,
    ) {
        steps.noise_permille = noise_permille;
        let drive = |resumed| {
            let measure = |trial: &Trial, round| steps.measure(trial, round).deployment;
            drive(search(&steps, parameters.clone()), resumed, measure)
        };
        let (once, resumed) = (drive(Resumed::No), drive(Resumed::Yes));
        prop_assert_eq!(once.trials, resumed.trials);
        prop_assert_eq!(once.recommendation, resumed.recommendation);
        prop_assert_eq!(once.search.functions(), resumed.search.functions());
    }

    #[test]
    fn it_can_be_stopped_at_any_time_with_what_is_known_to_keep_the_slo(
        mut steps in on_any_platform(),
        noise_permille in 0_u64..100,
    ) {
        steps.noise_permille = noise_permille;
        let mut search = search(&steps, AarcParameters::default());
        prop_assert_eq!(search.best_so_far().standing, Standing::Unmeasured);
        let mut kept_slo: Vec<Deployment> = Vec::new();
        for round in 0.. {
            let Step::Try(trial) = search.next() else { break };
            let outcome = steps.measure(&trial, round);
            if Standing::of(&outcome.deployment, steps.slo) == Standing::KeepsSlo {
                kept_slo.push(trial.deployment);
            }
            search.observe(&outcome);
            let best = search.best_so_far();
            let is_known = kept_slo.contains(&best.deployment);
            prop_assert!(best.standing != Standing::KeepsSlo || is_known, "round {}", round);
        }
    }

    #[test]
    fn every_operation_takes_something_from_one_function(
        steps in on_any_platform(),
        parameters in parameters(),
    ) {
        let course = run(&steps, parameters);
        let changes: Vec<Change> =
            (0..steps.tasks.len()).flat_map(|task| course.changes(task)).collect();
        for Change { from, to, .. } in &changes {
            prop_assert!(to.vcpu <= from.vcpu && to.memory <= from.memory && to != from);
        }
        let trials: BTreeSet<u32> = changes.iter().map(|change| change.trial).collect();
        prop_assert_eq!(trials.len(), changes.len());
    }
}

/// The mean of what workflows cost as times the least, and of the trials that took, with so much
/// noise.
fn mean_factor_and_trials(noise_permille: u64) -> (f64, f64) {
    const COUNT: u32 = 60;
    let mut runner = TestRunner::deterministic();
    let (mut factors, mut trials) = (0.0, 0);
    for _ in 0..COUNT {
        let mut steps = workflows().new_tree(&mut runner).unwrap().current();
        steps.noise_permille = noise_permille;
        let course = run(&steps, AarcParameters::default());
        assert_eq!(course.recommendation.standing, Standing::KeepsSlo);
        let (cost, _) = steps.judge(&course.recommendation.deployment).unwrap();
        factors += cost.0 as f64 / steps.optimum().unwrap().0 as f64;
        trials += course.trials.len();
    }
    (factors / f64::from(COUNT), trials as f64 / f64::from(COUNT))
}

#[test]
fn on_average_the_cost_is_within_a_few_per_cent_of_the_least() {
    let (factor, trials) = mean_factor_and_trials(0);
    assert!(factor < 1.06 && trials < 50.0, "{factor} after {trials} trials");
}

#[test]
fn noise_of_3_per_cent_in_single_executions_does_little_harm() {
    let (factor, trials) = mean_factor_and_trials(30);
    assert!(factor < 1.12 && trials < 50.0, "{factor} after {trials} trials");
}

/// A function that uses one vCPU at most and needs 700 MB.
const SERIAL: Needs = Needs { waiting_us: 0, serial_us: 10_000_000, parallel_us: 0, floor_mb: 700 };

/// A function that uses all there is.
const PARALLEL: Needs = Needs { serial_us: 0, parallel_us: 10_000_000, ..SERIAL };

/// A function that uses all there is half of the time.
const MIXED: Needs = Needs { serial_us: 10_000_000, parallel_us: 10_000_000, ..SERIAL };

/// Amounts that operations on one resource led to, and whether they were kept.
fn amounts(changes: &[Change], dimension: Dimension) -> Vec<(u32, bool)> {
    changes
        .iter()
        .filter(|change| change.dimension == dimension)
        .map(|change| {
            let amount = match dimension {
                Dimension::Vcpu => change.to.vcpu.0,
                Dimension::Memory => change.to.memory.0,
            };
            (amount, change.fate == Fate::Kept)
        })
        .collect()
}

#[test]
fn steps_go_on_as_they_are_until_they_fail_and_are_halved_then() {
    let steps = Steps::new(vec![SERIAL], &[&[]]);
    let course = run(&steps, AarcParameters::default());
    let changes = course.changes(0);
    // A quarter of 10,240 MB three times; where the space would end, half of it, which is not enough
    // for the function; and from then on a half for every failure.
    let memory = [
        (7_680, true),
        (5_120, true),
        (2_560, true),
        (1_280, true),
        (640, false),
        (960, true),
        (640, false),
        (800, true),
        (704, true),
    ];
    assert_eq!(amounts(&changes, Dimension::Memory)[..5], memory[..5]);
    let vcpu = [(7_500, true), (5_000, true), (2_500, true), (1_200, true), (500, false)];
    assert_eq!(amounts(&changes, Dimension::Vcpu)[..5], vcpu);
    let failed = changes.iter().find(|change| change.to.memory == MemoryMb(640)).unwrap();
    let outcome = execution::Outcome::OutOfMemory;
    assert_eq!(failed.fate, Fate::Undone(Violation::Failed { outcome }));
    assert_eq!(failed.saved, None);
}

#[test]
fn what_saved_most_comes_first() {
    let big = Needs { serial_us: 100_000_000, ..SERIAL };
    let steps = Steps::new(vec![SERIAL, big], &[&[], &[0]]);
    let course = run(&steps, AarcParameters::default());
    let mut changes: Vec<(u32, Option<i64>)> = (0..2)
        .flat_map(|task| course.changes(task))
        .filter(|change| change.fate == Fate::Kept)
        .map(|change| (change.trial, change.saved))
        .collect();
    changes.sort_unstable();
    // The base is the first trial, the first of each operation the next four.
    let first: Vec<i64> = changes.iter().filter(|it| it.0 <= 5).filter_map(|it| it.1).collect();
    let next = changes.iter().find(|it| it.0 == 6).unwrap();
    let greatest = course
        .changes(1)
        .iter()
        .filter(|it| it.trial <= 5)
        .max_by_key(|it| it.saved)
        .unwrap()
        .clone();
    assert_eq!(first.len(), 4);
    assert_eq!(greatest.saved, first.iter().max().copied());
    let then = course.changes(1).into_iter().find(|it| it.trial == next.0).unwrap();
    assert_eq!(then.dimension, greatest.dimension);
}

#[test]
fn nothing_is_made_slower_for_nothing() {
    // On Lambda a function that uses one vCPU costs the same with less.
    let mut steps = Steps::new(vec![SERIAL], &[&[]]).with_slo_percent(1_000);
    (steps.space, steps.prices) = (coarse_lambda(), PriceBook::lambda_x86());
    let course = run(&steps, AarcParameters::default());
    assert!(course.resources(0).vcpu >= MilliVcpu(700), "{}", course.resources(0));
    let undone = course.changes(0).into_iter().map(|change| change.fate);
    assert!(undone.collect::<Vec<_>>().contains(&Fate::Undone(Violation::NotWorthIt)));
}

#[test]
fn the_first_step_can_be_undone() {
    let steps = Steps::new(vec![PARALLEL], &[&[]]).with_slo_percent(101);
    let parameters = AarcParameters { slo_margin_percent: 0, ..AarcParameters::default() };
    let course = run(&steps, parameters);
    assert!(amounts(&course.changes(0), Dimension::Vcpu).iter().all(|(_, kept)| !kept));
    assert_eq!(course.resources(0).vcpu, MilliVcpu(10_000));
    assert_eq!(course.recommendation.standing, Standing::KeepsSlo);
}

#[test]
fn parallel_steps_of_equal_length_are_configured_apart() {
    let steps = Steps::new(vec![SERIAL; 4], &[&[], &[0], &[0], &[1, 2]]).with_slo_percent(300);
    let course = run(&steps, AarcParameters::default());
    let on_path: Vec<bool> = course
        .search
        .functions()
        .iter()
        .map(|function| function.place == Place::CriticalPath)
        .collect();
    assert_eq!(on_path, [true, true, false, true]);
    let trials = |task| {
        let trials: Vec<u32> = course.changes(task).iter().map(|change| change.trial).collect();
        (trials[0], trials[trials.len() - 1])
    };
    assert!(trials(2).0 > trials(0).1.max(trials(1).1).max(trials(3).1), "after the path");
    assert!((0..4).all(|task| course.resources(task).memory <= MemoryMb(960)));
}

#[test]
fn a_task_of_several_steps_is_one_function() {
    // Task 1 is in the middle of the path and on the detour, in front of task 2.
    let mut steps = Steps::new(vec![SERIAL, PARALLEL, PARALLEL], &[&[], &[0], &[0], &[2], &[1, 3]]);
    steps.tasks[1] = Needs { serial_us: 20_000_000, ..SERIAL };
    steps.tasks[2] = Needs { serial_us: 5_000_000, parallel_us: 5_000_000, ..SERIAL };
    steps.steps =
        vec![(0, vec![]), (1, vec![0]), (0, vec![1]), (1, vec![0]), (2, vec![3]), (0, vec![2, 4])];
    (steps.iterations, steps.every) = (vec![1; 6], vec![1; 6]);
    let steps = steps.with_slo_percent(100);
    let parameters = AarcParameters { slo_margin_percent: 0, ..AarcParameters::default() };
    let course = run(&steps, parameters);
    let trials = course.changes(1).len() + course.changes(0).len() + course.changes(2).len();
    assert_eq!(trials + 2, course.trials.len(), "the base, every operation, the last");
    // Between steps 0 and 5 the path spends 20 s in task 1 and 10 s in task 0. On the detour, task 1 is
    // scheduled and takes 20 s of them.
    let sub_slo_missed = course.changes(2).iter().find_map(|change| match change.fate {
        Fate::Undone(Violation::SubSloMissed { runtime_us, limit_us }) => {
            Some((runtime_us, limit_us))
        }
        _ => None,
    });
    let (runtime_us, limit_us) = sub_slo_missed.expect("with less than one vCPU it takes more");
    assert_eq!(limit_us, 10_000_000);
    assert!(runtime_us > limit_us);
    let (_, latency_us) = steps.judge(&course.recommendation.deployment).unwrap();
    assert_eq!(latency_us, steps.slo.latency_us);
}

#[test]
fn a_sub_slo_has_what_the_workflow_stays_below_its_slo() {
    let beside = Needs { serial_us: 9_000_000, ..SERIAL };
    let steps = Steps::new(vec![SERIAL, beside, SERIAL], &[&[], &[], &[0, 1]]);
    let parameters = AarcParameters { slo_margin_percent: 0, ..AarcParameters::default() };
    let course = run(&steps.with_slo_percent(110), parameters);
    // The path takes 20 s of 22 s, and 10 s until both branches are done.
    let missed = course.changes(1).into_iter().find_map(|change| match change.fate {
        Fate::Undone(Violation::SubSloMissed { limit_us, .. }) => Some(limit_us),
        _ => None,
    });
    assert_eq!(missed, Some(12_000_000));
}

#[test]
fn an_slo_that_the_largest_misses_ends_it_with_the_best_latency() {
    let steps = Steps::new(vec![SERIAL, SERIAL], &[&[], &[0]]).with_slo_percent(99);
    let course = run(&steps, AarcParameters::default());
    assert_eq!(course.trials.len(), 1);
    let standing = Standing::MissesSlo { latency_us: 20_000_000 };
    assert_eq!(course.recommendation.standing, standing);
    let reasons = course.recommendation.reasons.join("; ");
    let text = "no configuration keeps the SLO: the best latency to be reached is 20000 ms";
    assert!(reasons.contains(text), "{reasons}");
}

#[test]
fn a_base_that_misses_the_slo_gives_way_to_the_largest() {
    let steps = Steps::new(vec![PARALLEL, PARALLEL], &[&[], &[0]]).with_slo_percent(150);
    let base = Resources { vcpu: MilliVcpu(2_000), memory: MemoryMb(1_024) };
    let parameters = AarcParameters { base: Some(base), ..AarcParameters::default() };
    let course = run(&steps, parameters.clone());
    let tried = |trial: usize| course.trials[trial].0.deployment.functions()[0].resources;
    assert_eq!((tried(0), tried(1)), (base, steps.space.largest()));
    assert_eq!(course.recommendation.standing, Standing::KeepsSlo);
    let hopeless = run(&steps.clone().with_slo_percent(90), parameters);
    assert_eq!(hopeless.trials.len(), 2);
    let standing = Standing::MissesSlo { latency_us: 2_000_000 };
    assert_eq!(hopeless.recommendation.standing, standing);
}

#[test]
fn a_function_that_fails_at_every_size_is_named() {
    let mut steps = Steps::new(vec![SERIAL, SERIAL], &[&[], &[0]]);
    steps.tasks[1].floor_mb = 20_000;
    let course = run(&steps, AarcParameters::default());
    assert_eq!(course.trials.len(), 1);
    let standing = Standing::Fails { function: Some(name(1)) };
    assert_eq!(course.recommendation.standing, standing);
    let reasons = course.recommendation.reasons.join("; ");
    assert!(reasons.contains("no configuration helps: t1 fails at every size"), "{reasons}");
}

#[test]
fn nothing_is_made_of_cold_executions_alone() {
    let steps = Steps::new(vec![SERIAL], &[&[]]);
    let cold = |trial: &Trial, round| vec![steps.execute(&trial.deployment, true, round)];
    let course = drive(search(&steps, AarcParameters::default()), Resumed::No, cold);
    assert_eq!(course.recommendation.standing, Standing::Unmeasured);
}

#[test]
fn a_result_that_misses_the_slo_gets_resources_back() {
    let steps = Steps::new(vec![MIXED, MIXED, SERIAL], &[&[], &[0], &[]]).with_slo_percent(140);
    // In the last trials everything takes a fifth longer than before.
    let measure = |trial: &Trial, round| {
        let mut executions = steps.measure(trial, round).deployment;
        if trial.executions == 20 {
            executions
                .iter_mut()
                .for_each(|execution| execution.latency_us += execution.latency_us / 5);
        }
        executions
    };
    let course = drive(search(&steps, AarcParameters::default()), Resumed::No, measure);
    assert_eq!(course.recommendation.standing, Standing::KeepsSlo);
    let (_, latency_us) = steps.judge(&course.recommendation.deployment).unwrap();
    assert!(latency_us * 6 / 5 <= steps.slo.latency_us);
    let given_back =
        |task| course.changes(task).iter().filter(|change| change.fate == Fate::GivenBack).count();
    assert!(given_back(0) + given_back(1) > 0);
    assert_eq!(given_back(2), 0, "it is not on the critical path");
    let last: Vec<Decision> = course.trials.iter().rev().take(2).map(|trial| trial.2).collect();
    assert_eq!(last, [Decision::Kept, Decision::Undone]);
}

#[test]
fn a_function_that_runs_out_of_memory_in_the_last_trial_gets_memory_back() {
    let steps = Steps::new(vec![SERIAL, SERIAL], &[&[], &[0]]);
    // One in twenty needs twice as much.
    let measure = |trial: &Trial, round| {
        let mut needy = steps.clone();
        needy.tasks[1].floor_mb = 1_400;
        let mut executions = steps.measure(trial, round).deployment;
        if trial.executions == 20 {
            executions[7] = needy.execute(&trial.deployment, false, 7);
        }
        executions
    };
    let course = drive(search(&steps, AarcParameters::default()), Resumed::No, measure);
    assert!(course.resources(1).memory >= MemoryMb(1_400), "{}", course.resources(1));
    assert!(course.resources(0).memory < MemoryMb(800), "{}", course.resources(0));
    let given_back = |task: usize| {
        course.changes(task).into_iter().filter(|change| change.fate == Fate::GivenBack).collect()
    };
    let (none, memory): (Vec<Change>, Vec<Change>) = (given_back(0), given_back(1));
    assert!(none.is_empty() && !memory.is_empty());
    assert!(memory.iter().all(|change| change.dimension == Dimension::Memory));
}

#[test]
fn functions_that_are_never_reached_keep_what_they_had() {
    let mut steps = Steps::new(vec![SERIAL; 3], &[&[], &[0], &[0]]).with_slo_percent(300);
    steps.every = vec![1, 0, 1];
    let had = steps.workflow().tasks()[1].resources;
    let course = run(&steps, AarcParameters::default());
    assert_eq!(course.resources(1), had);
    assert!(course.changes(1).is_empty());
    assert_eq!(course.search.functions()[1].place, Place::NotReached);
    let reasons = &course.recommendation.reasons;
    assert!(reasons.contains(&"t1 keeps what it had: no execution reached it".to_owned()));
}

/// Steps of which the second runs in every other execution.
fn alternating() -> Steps {
    let mut steps = Steps::new(vec![SERIAL; 3], &[&[], &[0], &[0]]).with_slo_percent(300);
    steps.every = vec![1, 2, 1];
    steps
}

#[test]
fn functions_that_are_reached_late_have_their_turn() {
    let steps = alternating();
    let course = drive(search(&steps, AarcParameters::default()), Resumed::No, |trial, round| {
        let number = if round == 0 { 1 } else { 2 * round };
        vec![steps.execute(&trial.deployment, false, number)]
    });
    assert_eq!(course.trials[0].1[0].spans.len(), 2, "not in the first trial");
    assert!(course.resources(1).memory < MemoryMb(1_000), "{}", course.resources(1));
}

#[test]
fn what_was_not_reached_is_tried_again_as_it_was() {
    let steps = alternating();
    let course = drive(search(&steps, AarcParameters::default()), Resumed::No, |trial, round| {
        vec![steps.execute(&trial.deployment, false, round)]
    });
    let changes: Vec<Change> = course.changes(1);
    let not_reached = Fate::Undone(Violation::NotReached);
    let missed = changes.iter().position(|change| change.fate == not_reached).unwrap();
    let mut later = changes[missed + 1..].iter();
    let again = later.find(|change| change.dimension == changes[missed].dimension).unwrap();
    let amount = |change: &Change| match change.dimension {
        Dimension::Vcpu => change.to.vcpu.0,
        Dimension::Memory => change.to.memory.0,
    };
    assert_eq!(amount(again), amount(&changes[missed]));
}

#[test]
fn fixed_functions_keep_what_they_have() {
    let steps = Steps::new(vec![SERIAL; 2], &[&[], &[0]]).with_slo_percent(300);
    let fixed: BTreeSet<_> = [task_name(1)].into();
    let workflow = steps.workflow();
    let start = Deployment::unfused(&workflow);
    let had = start.functions()[1].resources;
    let parameters = AarcParameters { fixed, ..AarcParameters::default() };
    let course = run(&steps, parameters.clone());
    assert!(
        course.trials.iter().all(|(trial, ..)| trial.deployment.functions()[1].resources == had)
    );
    let illegal = Resources { vcpu: MilliVcpu(1), ..had };
    let start = start.with_resources(&task_name(1), illegal);
    let error = AarcSearch::new(&workflow, start, steps.space.clone(), parameters).unwrap_err();
    assert_eq!(error.to_string(), "`t1` cannot keep what it has");
}

#[test]
fn a_base_that_the_platform_does_not_have_is_refused() {
    let steps = Steps::new(vec![SERIAL], &[&[]]);
    let base = Some(Resources { vcpu: MilliVcpu(1_000), memory: MemoryMb(100) });
    let workflow = steps.workflow();
    let start = Deployment::unfused(&workflow);
    let parameters = AarcParameters { base, ..AarcParameters::default() };
    let error = AarcSearch::new(&workflow, start, steps.space.clone(), parameters).unwrap_err();
    assert!(matches!(error, AarcError::Base(SpaceError::Memory { .. })), "{error}");
}

#[test]
fn the_report_adds_up() {
    let steps = Steps::new(vec![SERIAL, PARALLEL, SERIAL], &[&[], &[], &[1]]).with_slo_percent(400);
    let course = run(&steps, AarcParameters::default());
    let functions = course.search.functions();
    let share: f64 = functions.iter().filter_map(|function| function.cost_share).sum();
    assert!((share - 1.0).abs() < 1e-9);
    let cost: u64 = functions.iter().filter_map(|function| function.cost).map(|cost| cost.0).sum();
    let resources = |task: usize| course.resources(task);
    assert!(cost.abs_diff(steps.cost(resources).0) <= 3);
    for (task, function) in functions.iter().enumerate() {
        assert_eq!(function.resources, course.resources(task));
        assert_eq!(function.runtime_us, Some(steps.tasks[task].duration_us(function.resources)));
        let kept = function.changes.iter().filter(|change| change.fate == Fate::Kept);
        let saved: i64 = kept.filter_map(|change| change.saved).sum();
        let alone = |resources| {
            let duration_us = steps.tasks[task].duration_us(resources);
            steps.prices.cost(resources, steps.prices.billed_ms(duration_us, None)).0 as i64
        };
        let expected = alone(steps.space.largest()) - alone(function.resources);
        assert!((saved - expected).abs() <= function.changes.len() as i64, "{saved} {expected}");
    }
    let slacks: Vec<bool> =
        functions.iter().map(|function| matches!(function.place, Place::Beside { .. })).collect();
    assert_eq!(slacks.iter().filter(|beside| **beside).count(), 1);
}

#[test]
fn a_workflow_without_an_orchestrator_is_one_step() {
    use optimizer::workflow::CallKind::{Async, Sync};
    let mut case = Case::even(3, vec![(0, 1, Sync, 1), (1, 2, Async, 1)]);
    case.slo.latency_us = 500_000;
    let workflow = case.workflow();
    let start = Deployment::unfused(&workflow);
    let space = ResourceSpace::lambda();
    let search = AarcSearch::new(&workflow, start, space, AarcParameters::default()).unwrap();
    let simulator = case.simulator();
    let course =
        drive(search, Resumed::No, |trial, round| simulator.measure(trial, round).deployment);
    assert_eq!(course.recommendation.standing, Standing::KeepsSlo);
    let functions = course.search.functions();
    assert!(functions.iter().all(|function| function.resources.memory < MemoryMb(1_000)));
    let shown: Vec<usize> = functions.iter().map(|function| function.changes.len()).collect();
    assert!(shown.iter().all(|changes| *changes > 0), "{shown:?}");
}
