//! The joining against a plain map, and what is missing.

use proptest::prelude::*;
use wire::record::{InvocationRecord, RECORD_VERSION, Record};
use wire::report::Restore;

use super::*;

const R: &str = "dde1acb5-7158-4518-9547-a5beae8996d2";

fn record(caller: &str, callee: &str, site: CallSite, start_us: u64) -> CallRecord {
    CallRecord {
        v: RECORD_VERSION,
        trace: "1-0-0".into(),
        function: "a".into(),
        caller: "a".into(),
        caller_request: caller.into(),
        callee: "b".into(),
        callee_request: callee.into(),
        kind: CallKind::Sync,
        site,
        start_us,
        duration_us: 1,
        outcome: if callee.is_empty() { CallOutcome::Refused } else { CallOutcome::Ok },
        request_bytes: 2,
        response_bytes: 3,
        calls: None,
        request_payload: None,
        response_payload: None,
    }
}

fn call(caller: &str, callee: &str, site: CallSite, start_us: u64) -> String {
    Record::Call(record(caller, callee, site, start_us)).to_line()
}

/// The supervisor's record of an invocation, with how many calls it made.
pub(crate) fn served_with(request: &str, calls: Option<u32>) -> String {
    Record::Invocation(InvocationRecord {
        v: RECORD_VERSION,
        trace: "1-0-0".into(),
        function: "a".into(),
        version: "1".into(),
        request: request.into(),
        start_us: 0,
        duration_us: 0,
        first: false,
        outcome: CallOutcome::Ok,
        request_bytes: 1,
        response_bytes: 1,
        calls,
        request_payload: None,
        response_payload: None,
    })
    .to_line()
}

fn served(request: &str) -> String {
    served_with(request, None)
}

fn report(request: &str) -> Report {
    Report {
        request_id: request.to_owned(),
        duration_us: 90_000,
        billed_ms: Some(90),
        memory_mb: Some(512),
        max_memory_mb: Some(20),
        init_us: None,
        restore: None,
        status: ReportStatus::Success,
    }
}

#[test]
fn figures_and_names_come_back() {
    let call = call(R, "s", CallSite::Inline, 1);
    let logs = Logs::of(&[served(R), "hello".into(), call, report(R).to_string()]);
    assert_eq!(logs.missing(R), None);
    let invocation = logs.invocation(R).unwrap();
    assert_eq!(logs.request_id(invocation), R);
    let calls = logs.calls(invocation);
    let [only] = calls.as_slice() else { panic!("{calls:?}") };
    assert_eq!(only.invocation.map(|callee| logs.request_id(callee)).as_deref(), Some("s"));
    assert_eq!((only.callee.0.as_str(), only.request_bytes, only.response_bytes), ("b", 2, 3));
}

#[test]
fn what_is_missing_is_said() {
    let lines = [
        served("a"),
        report("a").to_string(),
        call("a", "b", CallSite::Inline, 1),
        call("b", "c", CallSite::Remote, 2),
        served("c"),
        report("c").to_string(),
    ];
    assert_eq!(Logs::of(&lines).missing("a"), None);
    let without = |at: usize| {
        let mut lines = lines.to_vec();
        lines.remove(at);
        Logs::of(&lines).missing("a")
    };
    assert_eq!(without(0), Some(Missing::Record("a".into())));
    assert_eq!(without(1), Some(Missing::Report("a".into())));
    assert_eq!(without(4), Some(Missing::Record("c".into())));
    assert_eq!(without(5), Some(Missing::Report("c".into())));
    assert_eq!(Logs::of(&lines).missing("d"), Some(Missing::Report("d".into())));
    let with_calls = |at: usize| {
        let mut lines = lines.to_vec();
        lines[at] = lines[at].replace("}", ",\"calls\":2}");
        Logs::of(&lines).missing("a")
    };
    assert_eq!(with_calls(0), Some(Missing::Calls("a".into())));
    assert_eq!(with_calls(2), Some(Missing::Calls("b".into())));
    let managed = Report { billed_ms: None, memory_mb: None, max_memory_mb: None, ..report("c") };
    let mut lines = lines.to_vec();
    lines[5] = managed.to_string();
    assert_eq!(Logs::of(&lines).missing("a"), Some(Missing::Billing("c".into())));
}

#[test]
fn a_restored_instance_was_started_for_its_invocation() {
    let restore = Some(Restore { duration_us: 500_790, billed_ms: Some(53) });
    let line = Report { restore, ..report("a") }.to_string();
    let init_us = |line: String| {
        let logs = Logs::of(&[line]);
        let bills: Vec<_> = logs.bills(logs.invocation("a").unwrap()).collect();
        let [only] = bills.as_slice() else { panic!("{bills:?}") };
        only.init_us
    };
    assert_eq!(init_us(line), Some(500_790));
    assert_eq!(init_us(report("a").to_string()), None);
}

#[test]
fn a_runtime_that_was_killed_ran_out_of_memory() {
    let killed = "RequestId: a Error: Runtime exited with error: signal: killed".to_owned();
    let outcome = |before: &str, status| {
        let logs = Logs::of(&[before.into(), Report { status, ..report("a") }.to_string()]);
        logs.outcome(logs.invocation("a").unwrap())
    };
    let exit = ReportStatus::Error("Runtime.ExitError".into());
    assert_eq!(outcome(&killed, ReportStatus::Success), Some(Outcome::OutOfMemory));
    assert_eq!(outcome(&killed, exit.clone()), Some(Outcome::OutOfMemory));
    assert_eq!(outcome(&killed, ReportStatus::Timeout), Some(Outcome::Timeout));
    assert_eq!(outcome("", exit), Some(Outcome::Crash));
    // Nor did its supervisor write a record.
    assert_eq!(Logs::of(&[killed, report("a").to_string()]).missing("a"), None);
}

#[test]
fn a_circle_of_calls_is_not_followed() {
    let mut lines = vec![
        call("a", "b", CallSite::Inline, 1),
        call("b", "c", CallSite::Inline, 1),
        call("c", "a", CallSite::Inline, 1),
        call("a", "a", CallSite::Inline, 1),
        served("a"),
        report("a").to_string(),
    ];
    assert_eq!(Logs::of(&lines).missing("a"), None);
    lines.reverse();
    assert_eq!(Logs::of(&lines).missing("a"), None);
}

/// The same without any thought for speed, for logs without circles.
#[derive(Default)]
struct Oracle {
    calls: BTreeMap<String, Vec<CallRecord>>,
    reports: BTreeSet<String>,
    served: BTreeSet<String>,
}

impl Oracle {
    fn read_line(&mut self, line: &str) {
        if let Some(report) = Report::parse(line) {
            self.reports.insert(report.request_id);
        }
        match Record::parse(line) {
            Some(Record::Call(call)) => {
                let calls = self.calls.entry(call.caller_request.clone()).or_default();
                calls.push(call);
                calls.sort_by_key(|call| call.start_us);
            }
            Some(Record::Invocation(invocation)) => {
                self.served.insert(invocation.request);
            }
            None => {}
        }
    }

    fn is_complete(&self, request: &str) -> bool {
        self.served.contains(request) && self.reports.contains(request) && self.calls_are(request)
    }

    fn calls_are(&self, request: &str) -> bool {
        self.calls.get(request).into_iter().flatten().all(|call| {
            call.callee_request.is_empty()
                || match call.site {
                    CallSite::Inline => self.calls_are(&call.callee_request),
                    CallSite::Remote => self.is_complete(&call.callee_request),
                }
        })
    }
}

/// Lines of invocations each of which but the first was caused by an earlier one, in any order; some
/// are missing.
fn lines() -> impl Strategy<Value = Vec<String>> {
    let invocations = proptest::collection::vec(
        (any::<prop::sample::Index>(), any::<bool>(), 0..3_u64, 0..3_usize),
        1..12,
    );
    let kept = proptest::collection::vec(proptest::bool::weighted(0.9), 80);
    let lines = (invocations, kept).prop_map(|(invocations, kept)| {
        let mut lines = Vec::new();
        for (at, (cause, inline, start_us, refused)) in invocations.iter().enumerate() {
            let name = |at: usize| {
                if at.is_multiple_of(3) {
                    format!("r{at}")
                } else {
                    format!("{at:08x}-0000-4000-8000-000000000000")
                }
            };
            let site = if *inline { CallSite::Inline } else { CallSite::Remote };
            if at > 0 {
                lines.push(call(&name(cause.index(at)), &name(at), site, *start_us));
            }
            lines.extend((0..*refused).map(|_| call(&name(at), "", CallSite::Remote, *start_us)));
            lines.push(served(&name(at)));
            lines.push(report(&name(at)).to_string());
        }
        let kept = kept.into_iter().chain(std::iter::repeat(true));
        lines
            .into_iter()
            .zip(kept)
            .filter_map(|(line, kept)| kept.then_some(line))
            .collect::<Vec<_>>()
    });
    lines.prop_shuffle()
}

proptest! {
    #[test]
    fn logs_say_what_a_plain_map_says(lines in lines()) {
        let mut oracle = Oracle::default();
        lines.iter().for_each(|line| oracle.read_line(line));
        let logs = Logs::of(&lines);
        let named = oracle.calls.keys().chain(&oracle.reports).chain(&oracle.served);
        for request in named {
            prop_assert_eq!(logs.is_complete(request), oracle.is_complete(request), "{}", request);
            let calls = logs.calls(logs.invocation(request).unwrap());
            let calls: Vec<_> = calls
                .iter()
                .map(|call| {
                    let callee = call.invocation.map(|callee| logs.request_id(callee));
                    record(request, &callee.unwrap_or_default(), call.site, call.start_us)
                })
                .collect();
            let expect = oracle.calls.get(request).cloned().unwrap_or_default();
            prop_assert_eq!(calls, expect, "{}", request);
        }
    }
}
