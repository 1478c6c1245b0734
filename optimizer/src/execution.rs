//! One execution of a workflow as a tree of spans, however it was observed.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::flow::StepName;
use crate::units::{PicoUsd, Resources};
use crate::workflow::{CallKind, TaskName};

/// How a span or an execution ended. Failures are outcomes, not errors of the observer.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It returned.
    Ok,
    /// It returned a function error.
    Error,
    /// Its process ended before it returned.
    Crash,
    /// It did not return before its deadline.
    Timeout,
    /// Its instance ran out of memory.
    OutOfMemory,
    /// The service refused it: throttled, too large, not found.
    Refused,
}

/// What a platform bills for one invocation of a function.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Billed {
    /// Time the handler ran, in microseconds.
    pub duration_us: u64,
    /// Time billed, start of the instance included where the platform bills it, in milliseconds.
    pub billed_ms: u64,
    /// What the instance had.
    pub resources: Resources,
    /// Start of the instance, in microseconds, if it was started for this invocation.
    pub init_us: Option<u64>,
    /// Peak memory of the instance so far, in MB.
    pub peak_memory_mb: u32,
    /// Time of the duration in which the invocation waited for remote synchronous calls, in
    /// microseconds: what is paid twice.
    pub waiting_us: u64,
    /// What the invocation costs.
    pub cost: PicoUsd,
}

/// One task's part in an execution.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Span {
    /// Task that ran.
    pub task: TaskName,
    /// Step of an orchestrated workflow that invoked it; none for a call between tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepName>,
    /// Root of the function it ran in.
    pub function: TaskName,
    /// Span that called it, as an index into the execution's spans; `None` for the entry and for what
    /// an orchestrator invoked.
    pub parent: Option<usize>,
    /// Whether its caller waited; clients and orchestrators wait.
    pub kind: CallKind,
    /// When its caller called it, in microseconds since the Unix epoch.
    pub start_us: u64,
    /// From the call to its answer as the caller saw it, in microseconds.
    pub duration_us: u64,
    /// What was billed; `None` for a span served inside its caller's instance.
    pub billed: Option<Billed>,
    /// How it ended.
    pub outcome: Outcome,
}

/// One execution of the workflow.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Execution {
    /// Trace id that all its invocations carry.
    pub trace: String,
    /// End-to-end latency as the client saw it, in microseconds.
    pub latency_us: u64,
    /// The entry first, every other span behind its parent. What an orchestrator invoked is in the
    /// order of its start; every attempt is a span.
    pub spans: Vec<Span>,
    /// How the entry, or the orchestrator, ended; `Ok` does not rule out failed spans that their callers handled.
    pub outcome: Outcome,
}

impl Execution {
    /// What all its invocations cost together, asynchronous ones included.
    #[must_use]
    pub fn cost(&self) -> PicoUsd {
        self.billed().map(|billed| billed.cost).sum()
    }

    /// Whether any instance was started for it.
    #[must_use]
    pub fn is_cold(&self) -> bool {
        self.billed().any(|billed| billed.init_us.is_some())
    }

    /// Start times of all instances started for it, added up, in microseconds.
    #[must_use]
    pub fn init_us(&self) -> u64 {
        self.billed().filter_map(|billed| billed.init_us).sum()
    }

    /// Time billed while waiting for others, in microseconds.
    #[must_use]
    pub fn waiting_us(&self) -> u64 {
        self.billed().map(|billed| billed.waiting_us).sum()
    }

    /// Whether it failed as a whole.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.outcome != Outcome::Ok
    }

    /// Spans with what was billed for them.
    pub fn billed(&self) -> impl Iterator<Item = &Billed> {
        self.spans.iter().filter_map(|span| span.billed.as_ref())
    }
}

/// The function that is to blame for the first failed execution: that of the first span that failed
/// without waiting for another failed one.
pub(crate) fn failed_function(executions: &[Execution]) -> Option<&TaskName> {
    let spans = &executions.iter().find(|execution| execution.failed())?.spans;
    let failed = |span: &&Span| span.outcome != Outcome::Ok;
    let waited_for = spans.iter().filter(failed).filter(|span| span.kind == CallKind::Sync);
    let callers: BTreeSet<usize> = waited_for.filter_map(|span| span.parent).collect();
    let mut own = spans.iter().enumerate().filter(|(at, _)| !callers.contains(at));
    own.find(|(_, span)| failed(span)).map(|(_, span)| &span.function)
}
