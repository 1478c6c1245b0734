//! Workflows and executions for unit tests. In shorthand `a>b` is a synchronous call and `a~b` an
//! asynchronous one.

use std::collections::BTreeSet;

use crate::execution::{Billed, Execution, Outcome, Span};
use crate::space::ResourceSpace;
use crate::units::{MemoryMb, PicoUsd};
use crate::workflow::{Call, CallKind, Slo, Task, TaskName, Workflow, WorkflowError};

/// A call from its shorthand.
pub(crate) fn call(text: &str) -> Call {
    let kind = if text.contains('~') { CallKind::Async } else { CallKind::Sync };
    let (caller, callee) = text.split_once(['>', '~']).expect("a shorthand has > or ~");
    Call { caller: caller.into(), callee: callee.into(), kind }
}

/// A workflow of the tasks that the calls name, in alphabetical order, each with 512 MB on Lambda,
/// and an SLO of ten seconds at the 95th percentile.
pub(crate) fn workflow(entry: &str, calls: &[&str]) -> Result<Workflow, WorkflowError> {
    let calls: Vec<Call> = calls.iter().map(|text| call(text)).collect();
    let names: BTreeSet<TaskName> = calls
        .iter()
        .flat_map(|call| [&call.caller, &call.callee])
        .cloned()
        .chain([TaskName::from(entry)])
        .collect();
    let resources = ResourceSpace::lambda().resources_for_memory(MemoryMb(512));
    let tasks = names.into_iter().map(|name| (name, Task { resources })).collect();
    let slo = Slo { latency_us: 10_000_000, percentile: 95 };
    Workflow::new("test".to_owned(), TaskName::from(entry), slo, tasks, &calls)
}

/// One execution of the task `a` alone, which costs 10⁻⁹ dollars per microsecond.
pub(crate) fn execution(latency_us: u64, init_us: Option<u64>, outcome: Outcome) -> Execution {
    let resources = workflow("a", &[]).unwrap().tasks()[0].resources;
    let billed = Billed {
        duration_us: latency_us - 1_000,
        billed_ms: latency_us / 1_000,
        resources,
        init_us,
        peak_memory_mb: 40,
        waiting_us: 500,
        cost: PicoUsd(latency_us * 1_000),
    };
    let span = Span {
        task: "a".into(),
        step: None,
        function: "a".into(),
        parent: None,
        kind: CallKind::Sync,
        start_us: 0,
        duration_us: latency_us,
        billed: Some(billed),
        outcome,
    };
    Execution { trace: "t".to_owned(), latency_us, spans: vec![span], outcome }
}
