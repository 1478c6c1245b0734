//! What the simulator promises.

use crate::common::{Case, CaseTask, name};
use optimizer::deployment::Deployment;
use optimizer::execution::{Execution, Outcome};
use optimizer::performance_model::Models;
use optimizer::simulator::{Overhead, SPAN_LIMIT, Simulator, SimulatorError};
use optimizer::workflow::CallKind::{Async, Sync};

#[test]
fn simulated_executions_are_consistent() {
    let mut case = Case::even(4, vec![(0, 1, Sync, 2), (1, 2, Sync, 1), (0, 3, Async, 1)]);
    case.jitter_permille = 100;
    case.overhead.p95_us = 40_000;
    let workflow = case.workflow();
    let deployment = Deployment::parse(&workflow, "(t0)-(t1,t2)-(t3)").unwrap();
    let executions = case.run(&deployment, 20, 4);
    assert_eq!(executions, case.run(&deployment, 20, 4));
    assert_ne!(executions, case.run(&deployment, 20, 5));
    assert!(executions[0].is_cold() && executions[0].init_us() == 3 * 80_000);
    assert!(!executions[1..].iter().any(Execution::is_cold));
    for execution in &executions[1..] {
        assert_eq!(execution.spans.len(), 6);
        assert_eq!(execution.billed().count(), 4);
        assert_eq!(execution.outcome, Outcome::Ok);
        let entry = execution.spans[0].billed.as_ref().unwrap();
        let callees: Vec<_> = execution.spans.iter().filter(|s| s.task == name(1)).collect();
        assert_eq!(entry.waiting_us, callees.iter().map(|span| span.duration_us).sum::<u64>());
        assert_eq!(execution.latency_us, entry.duration_us);
        let inner = execution.spans.iter().find(|span| span.task == name(2)).unwrap();
        assert_eq!((&inner.function, inner.billed.is_none()), (&name(1), true));
    }
}

#[test]
fn less_cpu_takes_proportionally_longer_and_more_than_one_does_not_help() {
    let latency_us = |memory_mb| {
        let mut case = Case::even(1, Vec::new());
        case.tasks[0] = CaseTask { cpu_us: 17_690, needed_mb: 30, memory_mb };
        let unfused = Deployment::unfused(&case.workflow());
        case.run(&unfused, 1, 0)[1].latency_us
    };
    assert_eq!(latency_us(1_769), 17_690);
    assert_eq!(latency_us(10_240), 17_690);
    assert_eq!(latency_us(885), 17_690 * 1_000 / 500);
}

#[test]
fn an_instance_out_of_memory_fails_its_callers_and_has_to_be_started_again() {
    let mut case = Case::even(2, vec![(0, 1, Sync, 1)]);
    case.tasks[1].needed_mb = 600;
    let unfused = Deployment::unfused(&case.workflow());
    let executions = case.run(&unfused, 3, 0);
    assert_eq!(executions.len(), 4);
    for execution in &executions {
        let outcomes: Vec<Outcome> = execution.spans.iter().map(|span| span.outcome).collect();
        assert_eq!(outcomes, [Outcome::Error, Outcome::OutOfMemory]);
        assert!(execution.failed() && execution.is_cold());
    }
    assert_eq!(executions[1].init_us(), 80_000, "the caller's instance lives on");
}

#[test]
fn overheads_have_the_promised_median_and_percentile() {
    let mut case = Case::even(2, vec![(0, 1, Sync, 1)]);
    case.tasks.iter_mut().for_each(|task| task.cpu_us = 0);
    case.overhead = Overhead { median_us: 15_000, p95_us: 40_000 };
    let executions = case.run(&Deployment::unfused(&case.workflow()), 4_000, 0);
    let mut latencies_us: Vec<u64> = executions[1..].iter().map(|e| e.latency_us).collect();
    latencies_us.sort_unstable();
    assert!(latencies_us[2_000].abs_diff(15_000) < 1_000, "{}", latencies_us[2_000]);
    assert!(latencies_us[3_800].abs_diff(40_000) < 3_000, "{}", latencies_us[3_800]);
}

#[test]
fn executions_that_would_not_end_are_refused() {
    let refused = |case: Case| case.try_simulator().map(|_| ()).unwrap_err();
    let cycle = Case::even(2, vec![(0, 1, Sync, 1), (1, 0, Async, 1)]);
    assert_eq!(refused(cycle), SimulatorError::TooManySpans);
    let many = Case::even(3, vec![(0, 1, Sync, 50), (1, 2, Sync, 50)]);
    assert_eq!(refused(many), SimulatorError::TooManySpans);
    let just = Case::even(2, vec![(0, 1, Sync, SPAN_LIMIT as u32 - 1)]);
    assert!(just.try_simulator().is_ok());
    let case = Case::even(1, Vec::new());
    let error = Simulator::new(case.workflow(), Models::new(), case.parameters()).unwrap_err();
    assert_eq!(error, SimulatorError::MissingModel(name(0)));
}
