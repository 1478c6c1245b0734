//! What holds of any simulation, and a simple simulator as an oracle.

use std::collections::BTreeMap;

use optimizer::deployment::Deployment;
use optimizer::execution::{Billed, Execution, Outcome, Span};
use optimizer::performance_model::{PerformanceModel, TaskModel};
use optimizer::simulator::{Load, Overhead};
use optimizer::units::MemoryMb;
use optimizer::workflow::{CallKind, TaskName};
use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::common::{Setting, constant, model};

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// A connected call graph of up to six tasks with their models. `kinds` says which calls there are.
fn any_setting(kinds: &'static [char], noise: f64) -> impl Strategy<Value = Setting> {
    let task = (0_u64..60_000, 0_u64..20_000, 10_u32..90).prop_map(move |(cpu, waiting, mb)| {
        let formula = PerformanceModel {
            waiting_us: waiting,
            noise,
            ..PerformanceModel::cpu(cpu, MemoryMb(mb))
        };
        TaskModel { init_us: u64::from(mb) * 1_000, ..model(formula) }
    });
    let callers = prop::collection::vec((0_usize..6, prop::sample::select(kinds), 1_u32..3), 5);
    (prop::collection::vec(task, 1..=6), callers, any::<u64>()).prop_map(
        |(models, callers, seed)| {
            let tasks: Vec<_> = NAMES.into_iter().zip(models).collect();
            let mut calls = Vec::new();
            let mut times: BTreeMap<TaskName, BTreeMap<TaskName, u32>> = BTreeMap::new();
            for (callee, (caller, kind, count)) in (1..tasks.len()).zip(callers) {
                let (caller, callee) = (NAMES[caller % callee], NAMES[callee]);
                calls.push(format!("{caller}{kind}{callee}"));
                times.entry(caller.into()).or_default().insert(callee.into(), count);
            }
            let calls: Vec<&str> = calls.iter().map(String::as_str).collect();
            let mut setting = Setting::new(&tasks, &calls);
            (setting.parameters.times, setting.parameters.seed) = (times, seed);
            setting
        },
    )
}

/// Any tasks fused into any others, by six bits for each task.
fn fused(setting: &Setting, bits: [u8; 6]) -> Deployment {
    Deployment::from_groups(&setting.workflow, |root| {
        let root = NAMES.iter().position(|name| *name == root.0).unwrap();
        let names = setting.workflow.tasks().keys().enumerate();
        names.filter(|(at, _)| bits[root] >> at & 1 == 1).map(|(_, name)| name.clone()).collect()
    })
}

fn any_load() -> impl Strategy<Value = Load> {
    prop_oneof![
        Just(Load::Sequence),
        (1_usize..8).prop_map(|clients| Load::Closed { clients }),
        (1.0..100.0_f64).prop_map(|rate_per_second| Load::Open { rate_per_second }),
    ]
}

/// The old simulator: one instance per function and one call after the other, all of it recursive.
/// Returns how long the caller waits, and adds what each function runs, by its root.
struct Oracle<'a> {
    setting: &'a Setting,
    deployment: &'a Deployment,
    ran_us: BTreeMap<TaskName, u64>,
}

impl Oracle<'_> {
    fn invoke(&mut self, root: &TaskName, overhead_us: u64) -> u64 {
        let duration_us = self.serve(root, root);
        *self.ran_us.entry(root.clone()).or_default() += duration_us;
        overhead_us + duration_us
    }

    fn serve(&mut self, task: &TaskName, root: &TaskName) -> u64 {
        let optimizer::performance_model::Work::Formula(model) = &self.setting.models[task].work
        else {
            panic!("all tasks are formulas")
        };
        let mut duration_us = model.cpu_us + model.waiting_us;
        for call in self.setting.workflow.calls().filter(|call| call.caller == *task) {
            for _ in 0..self.setting.parameters.times[task][&call.callee] {
                if self.deployment.holds(root, &call.callee) {
                    duration_us += 300 + self.serve(&call.callee, root);
                } else {
                    let overhead_us = self.setting.parameters.overhead.median_us;
                    duration_us += self.invoke(&call.callee, overhead_us);
                }
            }
        }
        duration_us
    }
}

/// An invocation as the platform saw it: when it got an instance and when it was over.
struct Seen {
    from_us: u64,
    to_us: u64,
    is_cold: bool,
    is_killed: bool,
}

/// Invocations by function. That of a caller who gave up is not among them.
fn seen(executions: &[Execution]) -> BTreeMap<&TaskName, Vec<Seen>> {
    let mut functions: BTreeMap<&TaskName, Vec<Seen>> = BTreeMap::new();
    for span in executions.iter().flat_map(|execution| &execution.spans) {
        let Some(billed) = &span.billed else { continue };
        let took_us = billed.duration_us + billed.init_us.unwrap_or(0);
        let end_us = span.start_us + span.duration_us;
        // The caller of an asynchronous call goes on when the function gets it.
        let from_us = if span.kind == CallKind::Async { end_us } else { end_us - took_us };
        functions.entry(&span.function).or_default().push(Seen {
            from_us,
            to_us: from_us + took_us,
            is_cold: billed.init_us.is_some(),
            is_killed: matches!(span.outcome, Outcome::OutOfMemory | Outcome::Timeout),
        });
    }
    functions.values_mut().for_each(|seen| seen.sort_by_key(|seen| seen.from_us));
    functions
}

/// Whether every warm invocation can have had an instance to itself, and every cold one could not.
pub(crate) fn check_instances(executions: &[Execution]) -> Result<(), TestCaseError> {
    for (function, invocations) in seen(executions) {
        for (at, this) in invocations.iter().enumerate() {
            let now_us = this.from_us;
            let free = |until: &dyn Fn(u64) -> bool| {
                invocations.iter().filter(|other| !other.is_killed && until(other.to_us)).count()
            };
            let taken = invocations[..at].iter().filter(|other| !other.is_cold).count();
            if !this.is_cold {
                let free = free(&|to_us| to_us <= now_us);
                prop_assert!(free > taken, "{function} at {now_us}: none of {free} is free");
            } else {
                let free = free(&|to_us| to_us < now_us);
                // Others of the same moment may have come first.
                let others = invocations[at..].iter();
                let also = others.filter(|o| !o.is_cold && o.from_us == now_us).count();
                prop_assert!(free <= taken + also, "{function} at {now_us}: {free} are free");
            }
        }
    }
    Ok(())
}

/// The most invocations of all functions at the same time.
pub(crate) fn most_at_once(executions: &[Execution]) -> usize {
    let functions = seen(executions);
    let all: Vec<&Seen> = functions.values().flatten().collect();
    let at_once = |now_us| all.iter().filter(|s| s.from_us <= now_us && now_us < s.to_us).count();
    all.iter().map(|seen| at_once(seen.from_us)).max().unwrap_or(0)
}

/// What holds of every execution by itself.
fn check_execution(setting: &Setting, execution: &Execution) -> Result<(), TestCaseError> {
    let prices = &setting.parameters.prices;
    let end_us = |span: &Span| span.start_us + span.duration_us;
    let Some(entry) = execution.spans.first() else {
        return Err(TestCaseError::fail("an execution without a span"));
    };
    prop_assert_eq!((entry.parent, entry.duration_us), (None, execution.latency_us));
    prop_assert_eq!(entry.outcome, execution.outcome);
    let mut waited: BTreeMap<usize, u64> = BTreeMap::new();
    for (at, span) in execution.spans.iter().enumerate() {
        if let Some(parent) = span.parent {
            prop_assert!(parent < at, "a parent comes first");
            let caller = &execution.spans[parent];
            prop_assert!(caller.start_us <= span.start_us, "time goes on");
            // What a caller left when its time was up goes on without it.
            let callers = std::iter::successors(Some(parent), |at| execution.spans[*at].parent);
            let mut callers = callers.map(|at| &execution.spans[at]);
            let is_left = callers.any(|span| span.outcome == Outcome::Timeout);
            if caller.kind == CallKind::Sync && !is_left {
                prop_assert!(end_us(span) <= end_us(caller), "callers wait: {execution:#?}");
            }
            let is_inside = span.billed.is_none() && span.outcome != Outcome::Refused;
            prop_assert_eq!(is_inside, span.function == caller.function);
            if !is_inside && span.kind == CallKind::Sync {
                // Whose invocation waits: the task that calls may be inside another.
                let mut waits = parent;
                while execution.spans[waits].billed.is_none() {
                    waits = execution.spans[waits].parent.unwrap();
                }
                *waited.entry(waits).or_default() += span.duration_us;
            }
        }
    }
    let mut total = 0;
    for (at, span) in execution.spans.iter().enumerate() {
        let Some(billed) = &span.billed else { continue };
        let Billed { duration_us, init_us, .. } = *billed;
        prop_assert_eq!(
            billed.billed_ms,
            (duration_us + init_us.unwrap_or(0)).div_ceil(1_000).max(1)
        );
        prop_assert_eq!(billed.cost, prices.cost(billed.resources, billed.billed_ms));
        prop_assert_eq!(billed.waiting_us, waited.get(&at).copied().unwrap_or(0));
        prop_assert!(billed.waiting_us <= duration_us && billed.peak_memory_mb <= 1_024);
        total += billed.cost.0;
    }
    prop_assert_eq!(execution.cost().0, total);
    Ok(())
}

proptest! {
    #![proptest_config(Config { cases: 256, failure_persistence: None, ..Config::default() })]

    #[test]
    fn without_chance_and_overlap_it_is_the_simple_simulator(
        setting in any_setting(&['>'], 0.0),
        bits in any::<[u8; 6]>(),
    ) {
        let deployment = fused(&setting, bits);
        let executions = setting.sequence(&deployment, 3);
        let mut oracle = Oracle { setting: &setting, deployment: &deployment, ran_us: BTreeMap::new() };
        let client_us = setting.parameters.client_overhead.median_us;
        let latency_us = oracle.invoke(setting.workflow.entry(), client_us);
        for execution in &executions[1..] {
            prop_assert_eq!(execution.latency_us, latency_us);
            let mut ran_us: BTreeMap<TaskName, u64> = BTreeMap::new();
            for span in &execution.spans {
                let run_us = span.billed.as_ref().map_or(0, |billed| billed.duration_us);
                if span.billed.is_some() {
                    *ran_us.entry(span.function.clone()).or_default() += run_us;
                }
            }
            prop_assert_eq!(&ran_us, &oracle.ran_us);
        }
        // The first one waits for instances besides.
        prop_assert_eq!(executions[0].latency_us, latency_us + executions[0].init_us());
        prop_assert_eq!(executions[0].init_us() > 0, executions[0].is_cold());
    }

    #[test]
    fn executions_are_consistent_and_instances_serve_one_at_a_time(
        setting in any_setting(&['>', '>', '~'], 0.3),
        bits in any::<[u8; 6]>(),
        load in any_load(),
        concurrency in prop_oneof![Just(1_000_u32), 1_u32..6],
        stream in any::<u64>(),
    ) {
        let mut setting = setting;
        setting.parameters.overhead = Overhead { median_us: 15_000, p95_us: 40_000 };
        setting.parameters.concurrency = concurrency;
        let deployment = fused(&setting, bits);
        let run = |stream| setting.simulator().run(&deployment, load, &vec![Default::default(); 25], stream);
        let executions = run(stream);
        prop_assert_eq!(&executions, &run(stream), "the same seed, the same bytes");
        prop_assert_ne!(&executions, &run(stream.wrapping_add(1)));
        prop_assert_eq!(executions.len(), 25);
        for execution in &executions {
            check_execution(&setting, execution)?;
        }
        for pair in executions.windows(2) {
            prop_assert!(pair[0].spans[0].start_us <= pair[1].spans[0].start_us);
        }
        check_instances(&executions)?;
        prop_assert!(most_at_once(&executions) <= concurrency as usize);
        let failed = executions.iter().any(|execution| {
            execution.spans.iter().any(|span| span.outcome != Outcome::Ok)
        });
        prop_assert!(concurrency < 1_000 || !failed, "nothing fails without a cause");
    }

    #[test]
    fn nothing_takes_longer_than_its_timeout_and_failures_are_billed(
        setting in any_setting(&['>', '~'], 0.3),
        bits in any::<[u8; 6]>(),
        load in any_load(),
        timeouts_ms in any::<[u8; 6]>(),
    ) {
        let mut setting = setting;
        setting.parameters.overhead = constant(3);
        for (name, ms) in NAMES.into_iter().zip(timeouts_ms) {
            setting = setting.timeout(name, u64::from(ms) + 1);
        }
        let deployment = fused(&setting, bits);
        let executions = setting.load(&deployment, load, 25);
        let timeout_us = |task: &TaskName| setting.parameters.timeouts_us[task];
        for execution in &executions {
            check_execution(&setting, execution)?;
            for span in &execution.spans {
                match &span.billed {
                    Some(billed) => {
                        prop_assert!(billed.duration_us <= timeout_us(&span.function));
                    }
                    // Served inside: the 0.3 ms to call it come before its own time.
                    None => prop_assert!(span.duration_us <= timeout_us(&span.task) + 300),
                }
                if span.outcome == Outcome::Ok {
                    let failed = execution.spans.iter().filter(|s| s.outcome != Outcome::Ok);
                    let mut waited = failed.filter(|s| s.kind == CallKind::Sync);
                    let fails = waited.any(|s| s.parent.is_some_and(|p| std::ptr::eq(&execution.spans[p], span)));
                    prop_assert!(!fails, "who waits for a failure fails: {execution:#?}");
                }
            }
        }
    }
}
