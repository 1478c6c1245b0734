//! Assembles executions from what was sent and what the logs say.
//!
//! Joined by request ids: a request sent names the entry's invocation, or those that an orchestrator
//! made, a call record names the invocation it was made from and the one it caused, and a `REPORT` line names the invocation it
//! bills. Nothing depends on clocks of different machines agreeing.

use optimizer::deployment::Deployment;
use optimizer::execution::{Billed, Execution, Outcome, Span};
use optimizer::flow::StepName;
use optimizer::space::ResourceSpace;
use optimizer::units::MemoryMb;
use optimizer::workflow::{CallKind, TaskName, Workflow};
use wire::record::{self, CallOutcome, CallSite};

use crate::load::{Attempt, Sent};
use crate::logs::{Bill, Invocation, Logs};
use crate::rates::Rates;

/// The execution that a request caused, or `None` while the logs lack part of it.
#[must_use]
pub fn execution(
    sent: &Sent,
    logs: &Logs,
    deployment: &Deployment,
    workflow: &Workflow,
    rates: &Rates,
) -> Option<Execution> {
    if !sent.request_ids().all(|request| logs.is_complete(request)) {
        return None;
    }
    let mut assembly = Assembly { logs, deployment, workflow, rates, spans: Vec::new() };
    let outcome = match &sent.attempts {
        None => {
            let entry = deployment.functions().keys().next()?.clone();
            let span = root(None, entry, (sent.start_us, sent.latency_us), sent.outcome);
            assembly.root(span, &sent.request_id)
        }
        Some(attempts) => {
            let outcomes = attempts.iter().map(|attempt| {
                let time = (attempt.start_us, attempt.duration_us);
                let step = Some(attempt.step.clone());
                let span = root(step, attempt.task.clone(), time, attempt.outcome);
                assembly.root(span, &attempt.request_id)
            });
            of_orchestrator(sent.outcome, attempts, &outcomes.collect::<Vec<_>>())
        }
    };
    let Assembly { spans, .. } = assembly;
    Some(Execution { trace: sent.trace.clone(), latency_us: sent.latency_us, spans, outcome })
}

/// A span that was caused from outside, at a start and for a duration in microseconds.
fn root(step: Option<StepName>, task: TaskName, time: (u64, u64), outcome: Outcome) -> Span {
    Span {
        task: task.clone(),
        step,
        function: task,
        parent: None,
        kind: CallKind::Sync,
        start_us: time.0,
        duration_us: time.1,
        billed: None,
        outcome,
    }
}

/// How an orchestrator ended. That a function ran out of memory shows in its log only: to those who
/// invoked it, it crashed.
fn of_orchestrator(known: Outcome, attempts: &[Attempt], outcomes: &[Outcome]) -> Outcome {
    let failed = attempts.iter().zip(outcomes).filter(|(_, outcome)| **outcome != Outcome::Ok);
    // The failure that nothing handled is the last one.
    let last = failed.max_by_key(|(attempt, _)| attempt.start_us + attempt.duration_us);
    match (known, last) {
        (Outcome::Crash, Some((_, Outcome::OutOfMemory))) => Outcome::OutOfMemory,
        _ => known,
    }
}

struct Assembly<'a> {
    logs: &'a Logs,
    deployment: &'a Deployment,
    workflow: &'a Workflow,
    rates: &'a Rates,
    spans: Vec<Span>,
}

impl Assembly<'_> {
    /// Adds a span that was caused from outside, and all that its invocation caused. Returns how it
    /// ended.
    fn root(&mut self, span: Span, request: &str) -> Outcome {
        let at = self.spans.len();
        self.spans.push(span);
        if let Some(invocation) = self.logs.invocation(request) {
            self.invocation(at, invocation, None);
        }
        self.spans[at].outcome
    }

    /// Adds what an invocation of a function was billed to the span it was caused by, and the
    /// spans of all calls made in it.
    fn invocation(&mut self, span: usize, invocation: Invocation, called_as: Option<CallOutcome>) {
        let mut waits = Vec::new();
        self.calls(span, invocation, &mut waits);
        let function = &self.spans[span].function;
        let bills = self.logs.bills(invocation).map(|bill| self.billed(function, bill));
        let Some(mut billed) = bills.reduce(both) else { return };
        billed.waiting_us = union_us(&mut waits).min(billed.duration_us);
        self.spans[span].billed = Some(billed);
        let reported = self.logs.outcome(invocation);
        self.spans[span].outcome =
            reported.or(called_as.map(outcome)).unwrap_or(self.spans[span].outcome);
    }

    /// What a report bills, but for the waiting.
    fn billed(&self, function: &TaskName, bill: Bill) -> Billed {
        // What the report states was billed, whatever was asked for: somebody may have changed the function.
        let memory = MemoryMb(bill.memory_mb);
        let deployed = self.deployment.functions().get(function).map(|it| it.resources);
        let deployed = deployed.filter(|it| it.memory == memory);
        // A function outside the deployment took a call that found no free process inside.
        let own = || self.workflow.tasks().get(function).map(|task| task.resources);
        let own = || own().filter(|own| own.memory == memory);
        let resources = deployed
            .or_else(own)
            .unwrap_or_else(|| ResourceSpace::lambda().resources_for_memory(memory));
        let Bill { duration_us, billed_ms, max_memory_mb, init_us, .. } = bill;
        let billed_ms = self.rates.billed_ms_of_report(function, billed_ms, duration_us, init_us);
        Billed {
            duration_us,
            billed_ms,
            resources,
            init_us,
            peak_memory_mb: max_memory_mb,
            waiting_us: 0,
            cost: self.rates.cost(function, resources, billed_ms),
        }
    }

    /// Adds the spans of the calls made by an invocation of a task. The times of remote calls that
    /// were waited for go to `waits`.
    fn calls(&mut self, parent: usize, invocation: Invocation, waits: &mut Vec<(u64, u64)>) {
        for call in self.logs.calls(invocation) {
            let callee = call.callee.clone();
            let span = self.spans.len();
            self.spans.push(Span {
                task: callee.clone(),
                step: None,
                function: match call.site {
                    CallSite::Inline => self.spans[parent].function.clone(),
                    CallSite::Remote => callee,
                },
                parent: Some(parent),
                kind: kind(call.kind),
                start_us: call.start_us,
                duration_us: call.duration_us,
                billed: None,
                outcome: outcome(call.outcome),
            });
            match call.site {
                CallSite::Inline => {
                    if let Some(callee) = call.invocation {
                        self.calls(span, callee, waits);
                    }
                }
                CallSite::Remote => {
                    if call.kind == record::CallKind::Sync {
                        waits.push((call.start_us, call.start_us.saturating_add(call.duration_us)));
                    }
                    if let Some(callee) = call.invocation {
                        self.invocation(span, callee, Some(call.outcome));
                    }
                }
            }
        }
    }
}

/// What two attempts at an asynchronous invocation are billed together.
fn both(one: Billed, other: Billed) -> Billed {
    Billed {
        duration_us: one.duration_us + other.duration_us,
        billed_ms: one.billed_ms + other.billed_ms,
        init_us: one.init_us.into_iter().chain(other.init_us).reduce(|one, other| one + other),
        peak_memory_mb: one.peak_memory_mb.max(other.peak_memory_mb),
        cost: one.cost + other.cost,
        ..one
    }
}

/// Whether the caller waited, in the words of workflows.
pub(crate) fn kind(kind: record::CallKind) -> CallKind {
    match kind {
        record::CallKind::Sync => CallKind::Sync,
        record::CallKind::Async => CallKind::Async,
    }
}

/// How a call ended, in the words of executions.
pub(crate) fn outcome(outcome: CallOutcome) -> Outcome {
    match outcome {
        CallOutcome::Ok => Outcome::Ok,
        CallOutcome::Error => Outcome::Error,
        CallOutcome::Crash => Outcome::Crash,
        CallOutcome::Timeout => Outcome::Timeout,
        CallOutcome::Refused => Outcome::Refused,
    }
}

/// Time covered by any of the intervals, in microseconds: parallel waits are waited once.
fn union_us(intervals: &mut [(u64, u64)]) -> u64 {
    intervals.sort_unstable();
    let (mut total, mut reached) = (0, 0);
    for &mut (from, to) in intervals {
        total += to.saturating_sub(from.max(reached));
        reached = reached.max(to);
    }
    total
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;
    use optimizer::price::PriceBook;
    use optimizer::units::{MemoryMb, MilliVcpu, Resources};
    use optimizer::workflow::{Call, Slo, Task};
    use serde_json::Value;
    use wire::record::{CallRecord, RECORD_VERSION, Record};

    use super::*;
    use crate::logs::tests::served_with;

    fn workflow() -> Workflow {
        let resources = Resources { vcpu: MilliVcpu(289), memory: MemoryMb(512) };
        let tasks: IndexMap<TaskName, Task> =
            ["a", "b", "c"].map(|name| (name.into(), Task { resources })).into_iter().collect();
        let call = |caller: &str, callee: &str| Call {
            caller: caller.into(),
            callee: callee.into(),
            kind: CallKind::Sync,
        };
        let slo = Slo { latency_us: 1_000_000, percentile: 95 };
        Workflow::new("w".into(), "a".into(), slo, tasks, &[call("a", "b"), call("b", "c")])
            .unwrap()
    }

    fn sent() -> Sent {
        Sent {
            trace: "1-0-0".into(),
            request_id: "ra".into(),
            attempts: None,
            start_us: 1_000,
            latency_us: 100_000,
            outcome: Outcome::Ok,
            status: 200,
            function_error: None,
            answer: Value::Null,
            not_json: None,
        }
    }

    fn call(from: (&str, &str), to: (&str, &str), site: CallSite, at: (u64, u64)) -> String {
        Record::Call(CallRecord {
            v: RECORD_VERSION,
            trace: "1-0-0".into(),
            function: "a".into(),
            caller: from.0.into(),
            caller_request: from.1.into(),
            callee: to.0.into(),
            callee_request: to.1.into(),
            kind: record::CallKind::Sync,
            site,
            start_us: at.0,
            duration_us: at.1,
            outcome: CallOutcome::Ok,
            request_bytes: 1,
            response_bytes: 1,
            calls: (site == CallSite::Inline).then_some(1),
            request_payload: None,
            response_payload: None,
        })
        .to_line()
    }

    fn served(request: &str, calls: u32) -> String {
        served_with(request, Some(calls))
    }

    #[test]
    fn calls_past_the_supervisor_are_those_that_no_record_names() {
        let served = |function: &str, request: &str| {
            served(request, 0)
                .replace("\"function\":\"a\"", &format!("\"function\":\"{function}\""))
        };
        let logs = Logs::of(&[
            served("a", "ra"),
            served("b", "rb"),
            served("b", "stray"),
            served("c", "rc"),
            call(("a", "ra"), ("b", "rb"), CallSite::Remote, (0, 1)),
        ]);
        let past = |text: &str| {
            let deployment = Deployment::parse(&workflow(), text).unwrap();
            logs.past_supervisor(&workflow(), &deployment).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(past("(a)-(b)-(c)"), []);
        // Not `c`, which is a function of its own and may have callers of its own.
        assert_eq!(past("(a,b)-(c)"), [("b".into(), 1)]);
        assert_eq!(past("(a,b,c)"), [("b".into(), 1), ("c".into(), 1)]);
    }

    fn report(request: &str, duration_ms: u64, tail: &str) -> String {
        format!(
            "REPORT RequestId: {request}\tDuration: {duration_ms}.00 ms\tBilled Duration: \
             {duration_ms} ms\tMemory Size: 512 MB\tMax Memory Used: 20 MB{tail}"
        )
    }

    /// `a` with `b` inlined calls `c` remotely from inside `b`.
    fn lines() -> Vec<String> {
        vec![
            call(("a", "ra"), ("b", "rb"), CallSite::Inline, (10, 60_000)),
            call(("b", "rb"), ("c", "rc"), CallSite::Remote, (20, 50_000)),
            served("ra", 1),
            served("rc", 0),
            report("ra", 90, ""),
            report("rc", 30, "\tInit Duration: 5.00 ms"),
        ]
    }

    fn assemble(lines: &[String]) -> Option<Execution> {
        let logs = Logs::of(lines);
        let deployment = Deployment::parse(&workflow(), "(a,b)-(c)").unwrap();
        execution(&sent(), &logs, &deployment, &workflow(), &PriceBook::lambda_x86().into())
    }

    #[test]
    fn inlined_and_remote_calls_become_one_tree_in_any_order_of_the_lines() {
        let mut lines = lines();
        let execution = assemble(&lines).unwrap();
        let shape: Vec<_> = execution
            .spans
            .iter()
            .map(|s| (s.task.0.as_str(), s.function.0.as_str(), s.parent, s.billed.is_some()))
            .collect();
        assert_eq!(
            shape,
            [("a", "a", None, true), ("b", "a", Some(0), false), ("c", "c", Some(1), true)]
        );
        // a waits for c although it is b, inside a, that calls it.
        assert_eq!(execution.waiting_us(), 50_000);
        assert_eq!(execution.init_us(), 5_000);
        let prices = PriceBook::lambda_x86();
        let resources = workflow().tasks()[0].resources;
        assert_eq!(execution.cost(), prices.cost(resources, 90) + prices.cost(resources, 30));
        lines.reverse();
        assert_eq!(assemble(&lines), Some(execution));
    }

    #[test]
    fn an_execution_is_complete_only_with_every_line() {
        let all = lines();
        for missing in 1_u32..1 << all.len() {
            let there =
                |(at, line): (usize, &String)| (missing >> at & 1 == 0).then(|| line.clone());
            let lines: Vec<_> = all.iter().enumerate().filter_map(there).collect();
            assert_eq!(assemble(&lines), None, "without lines {missing:b}");
        }
    }

    #[test]
    fn what_the_platform_reports_tells_how_a_span_ended() {
        let mut lines = lines();
        lines[5] = report("rc", 30, "\tStatus: error\tError Type: Runtime.OutOfMemory");
        lines.remove(3);
        let execution = assemble(&lines).unwrap();
        assert_eq!(execution.spans[2].outcome, Outcome::OutOfMemory);
        assert_eq!(execution.outcome, Outcome::Ok);
    }

    #[test]
    fn every_attempt_at_an_asynchronous_invocation_is_billed() {
        let mut lines = lines();
        lines[5] = report("rc", 30, "\tInit Duration: 5.00 ms\tStatus: timeout");
        lines.extend([lines[5].clone(), report("rc", 20, "")]);
        // Somebody waited: however often it is written, there was one.
        let waited = assemble(&lines).unwrap().spans[2].billed.clone().unwrap();
        assert_eq!((waited.duration_us, waited.billed_ms), (20_000, 20));

        lines[1] = lines[1].replace("sync", "async");
        let execution = assemble(&lines).unwrap();
        let billed = execution.spans[2].billed.clone().unwrap();
        assert_eq!(
            (billed.duration_us, billed.billed_ms, billed.init_us),
            (80_000, 80, Some(10_000))
        );
        let cost = |ms| PriceBook::lambda_x86().cost(billed.resources, ms);
        assert_eq!(billed.cost, cost(30) + cost(30) + cost(20));
        // The last attempt returned.
        assert_eq!(execution.spans[2].outcome, Outcome::Ok);
        lines.pop();
        assert_eq!(assemble(&lines).unwrap().spans[2].outcome, Outcome::Timeout);
    }

    #[test]
    fn attempts_of_an_orchestrator_are_roots() {
        let attempt = |step: &str, task: &str, request: &str, start_us, outcome| Attempt {
            step: step.into(),
            task: task.into(),
            request_id: request.into(),
            start_us,
            duration_us: 95_000,
            outcome,
        };
        let sent = |outcome, last| Sent {
            request_id: String::new(),
            attempts: Some(vec![
                attempt("one", "a", "ra", 1_000, Outcome::Ok),
                attempt("two", "c", "", 100_000, Outcome::Refused),
                attempt("two", "c", "rd", 200_000, last),
            ]),
            outcome,
            ..sent()
        };
        let mut lines = lines();
        let ok = sent(Outcome::Ok, Outcome::Ok);
        let deployment = Deployment::parse(&workflow(), "(a,b)-(c)").unwrap();
        let prices = PriceBook::lambda_x86();
        assert_eq!(
            execution(&ok, &Logs::of(&lines), &deployment, &workflow(), &prices.clone().into()),
            None,
            "lacks rd"
        );
        lines.extend([served("rd", 0), report("rd", 50, "")]);
        let made =
            execution(&ok, &Logs::of(&lines), &deployment, &workflow(), &prices.clone().into())
                .unwrap();
        let shape: Vec<_> = made
            .spans
            .iter()
            .map(|s| (s.step.as_ref().map_or("", |s| s.0.as_str()), s.task.0.as_str(), s.parent))
            .collect();
        let expect = [
            ("one", "a", None),
            ("", "b", Some(0)),
            ("", "c", Some(1)),
            ("two", "c", None),
            ("two", "c", None),
        ];
        assert_eq!(shape, expect);
        assert_eq!((made.latency_us, made.outcome), (100_000, Outcome::Ok));
        let resources = workflow().tasks()[0].resources;
        let cost = |ms| prices.cost(resources, ms);
        assert_eq!(made.cost(), cost(90) + cost(30) + cost(50));

        let report = report("rd", 50, "\tStatus: error\tError Type: Runtime.OutOfMemory");
        *lines.last_mut().unwrap() = report;
        let crashed = sent(Outcome::Crash, Outcome::Crash);
        let made = execution(
            &crashed,
            &Logs::of(&lines),
            &deployment,
            &workflow(),
            &prices.clone().into(),
        )
        .unwrap();
        assert_eq!(made.outcome, Outcome::OutOfMemory);
        let handled = sent(Outcome::Ok, Outcome::Crash);
        let made = execution(
            &handled,
            &Logs::of(&lines),
            &deployment,
            &workflow(),
            &prices.clone().into(),
        )
        .unwrap();
        assert_eq!((made.outcome, made.spans[4].outcome), (Outcome::Ok, Outcome::OutOfMemory));
    }

    #[test]
    fn parallel_waits_count_once() {
        assert_eq!(union_us(&mut [(5, 10), (0, 6), (20, 30), (21, 22)]), 20);
    }
}
