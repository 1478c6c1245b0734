//! What the logs of a workflow's functions say, joined by request ids while it is read.
//!
//! Millions of invocations fit: every request id becomes a number the first time it is named, and
//! reports and calls are kept in rows of figures beside it. Lines may come in any order, and late.
//! [`crate::observe`] sees to it that no event comes twice: a report that says the same again may be
//! that of another attempt.

mod request_ids;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use indexmap::{Equivalent, IndexSet};
use optimizer::deployment::Deployment;
use optimizer::execution::Outcome;
use optimizer::workflow::{TaskName, Workflow};
use wire::log::{Entry, entries};
use wire::payload::RecordedPayload;
use wire::record::{CallKind, CallOutcome, CallRecord, CallSite};
use wire::report::{Report, ReportStatus};
use wire::text::Text;

use self::request_ids::RequestIds;

/// What the logs of a workflow's functions say, by invocation.
#[derive(Clone, Debug, Default)]
pub struct Logs {
    requests: RequestIds,
    /// By the number of their request id.
    invocations: Vec<Row>,
    bills: Vec<BillRow>,
    calls: Vec<CallRow>,
    /// By the number of the call; few calls have them.
    payloads: BTreeMap<u32, Payloads>,
    /// Names of functions and tasks.
    names: IndexSet<TaskName>,
}

/// An invocation that the logs name, in the [`Logs`] that it was got from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Invocation(u32);

/// What a report says that bills an invocation, or an attempt at it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bill {
    /// Time the handler ran, in microseconds.
    pub duration_us: u64,
    /// Time billed, in milliseconds.
    pub billed_ms: u64,
    /// Memory configured, in MB.
    pub memory_mb: u32,
    /// Peak memory of the instance so far, in MB.
    pub max_memory_mb: u32,
    /// Time the instance needed to start or to be restored from a snapshot, in microseconds, if it
    /// was for this invocation.
    pub init_us: Option<u64>,
}

/// A call that was made from an invocation.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Task called.
    pub callee: &'a TaskName,
    /// Invocation of it that the call caused; none if the call was refused.
    pub invocation: Option<Invocation>,
    /// Whether the caller waited.
    pub kind: CallKind,
    /// Where the call was served.
    pub site: CallSite,
    /// When it was made, in microseconds since the Unix epoch.
    pub start_us: u64,
    /// Until the last byte of its answer, in microseconds.
    pub duration_us: u64,
    /// How it ended.
    pub outcome: CallOutcome,
    /// Payload sent, in bytes.
    pub request_bytes: u64,
    /// Payload returned, in bytes.
    pub response_bytes: u64,
    /// Payload sent, where payloads are recorded.
    pub request_payload: Option<&'a RecordedPayload>,
    /// Payload returned, where payloads are recorded.
    pub response_payload: Option<&'a RecordedPayload>,
}

/// What the logs lack of what a request caused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Missing {
    /// The report of the invocation with this request id.
    Report(String),
    /// The record that its supervisor writes when it has answered.
    Record(String),
    /// Records of calls that were made from it.
    Calls(String),
    /// Billed time and memory, which its report does not state.
    Billing(String),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Report(request) => write!(f, "there is no REPORT of {request}"),
            Self::Record(request) => write!(f, "the supervisor's record of {request} is missing"),
            Self::Calls(request) => write!(f, "records of calls that {request} made are missing"),
            Self::Billing(request) => write!(
                f,
                "the report of {request} has no billed time, as those of Managed Instances"
            ),
        }
    }
}

/// A row that is not there.
const NONE: u32 = u32::MAX;

#[derive(Clone, Debug)]
struct Row {
    /// The invocation that caused it.
    caller: u32,
    /// The last call read that was made from it.
    last_call: u32,
    /// How many calls were made from it at least.
    calls: u32,
    /// The last report read that bills it.
    last_bill: u32,
    /// Name of the function whose supervisor wrote a record of it.
    served_by: u32,
    /// Whether its report lacks what was billed.
    unbilled: bool,
    /// Whether its runtime was killed.
    killed: bool,
    /// Whether nobody waited for it: then it may be tried again, with the same request id.
    asynchronous: bool,
}

impl Row {
    const NEW: Self = Self {
        caller: NONE,
        last_call: NONE,
        calls: 0,
        last_bill: NONE,
        served_by: NONE,
        unbilled: false,
        killed: false,
        asynchronous: false,
    };
}

#[derive(Clone, Debug)]
struct BillRow {
    bill: Bill,
    /// How it ended, where the platform knows better than the caller.
    outcome: Option<Outcome>,
    /// Whether it failed in a way that may have ended its supervisor.
    failed: bool,
    /// The report of the same invocation that was read before.
    previous: u32,
}

#[derive(Clone, Debug)]
struct CallRow {
    start_us: u64,
    duration_us: u64,
    request_bytes: u64,
    response_bytes: u64,
    callee: u32,
    invocation: u32,
    /// The call of the same invocation that was read before.
    previous: u32,
    kind: CallKind,
    site: CallSite,
    outcome: CallOutcome,
}

#[derive(Clone, Debug)]
struct Payloads {
    request: Option<RecordedPayload>,
    response: Option<RecordedPayload>,
}

impl Logs {
    /// Takes in the lines of a page of any function's log. A last line without its line end is not
    /// read.
    pub fn read(&mut self, page: &[u8]) {
        entries(page).for_each(|entry| self.take(entry));
    }

    #[cfg(test)]
    pub(crate) fn of(lines: &[String]) -> Self {
        let mut logs = Self::default();
        lines.iter().for_each(|line| logs.read(format!("{line}\n").as_bytes()));
        logs
    }

    fn take(&mut self, entry: Entry<'_>) {
        match entry {
            Entry::Report(report) => self.report(&report),
            Entry::Call(call) => self.call(call),
            Entry::Invocation(record) => {
                let served_by = self.name(&record.function);
                let row = self.row(&record.request);
                row.served_by = served_by;
                row.calls = row.calls.saturating_add(record.calls.unwrap_or(0));
            }
            Entry::Killed(request) => self.row(request).killed = true,
            // It belongs to no invocation.
            Entry::InitReport(_) => {}
        }
    }

    fn report(&mut self, report: &Report) {
        let (Some(billed_ms), Some(memory_mb), Some(max_memory_mb)) =
            (report.billed_ms, report.memory_mb, report.max_memory_mb)
        else {
            self.row(&report.request_id).unbilled = true;
            return;
        };
        let next = number(self.bills.len());
        let previous = std::mem::replace(&mut self.row(&report.request_id).last_bill, next);
        let bill = Bill {
            duration_us: report.duration_us,
            billed_ms,
            memory_mb,
            max_memory_mb,
            init_us: report.init_us.or(report.restore.map(|restore| restore.duration_us)),
        };
        self.bills.push(BillRow {
            bill,
            outcome: match &report.status {
                _ if report.out_of_memory() => Some(Outcome::OutOfMemory),
                ReportStatus::Timeout => Some(Outcome::Timeout),
                ReportStatus::Error(kind) if kind == "Runtime.ExitError" => Some(Outcome::Crash),
                ReportStatus::Error(_) | ReportStatus::Success => None,
            },
            failed: report.status != ReportStatus::Success,
            previous,
        });
    }

    fn call(&mut self, call: CallRecord<Text<'_>>) {
        let caller = self.number(&call.caller_request);
        let invocation = match &*call.callee_request {
            "" => NONE,
            request => self.number(request),
        };
        if invocation != NONE {
            // An invocation has one cause: this is the same record again. Nor is it its own cause,
            // which only a damaged log could say.
            if self.invocations[invocation as usize].caller != NONE
                || self.is_caused_by(caller, invocation)
            {
                return;
            }
            let row = &mut self.invocations[invocation as usize];
            row.caller = caller;
            row.asynchronous = call.kind == CallKind::Async;
            row.calls = row.calls.saturating_add(call.calls.unwrap_or(0));
        }
        let at = number(self.calls.len());
        let callee = self.name(&call.callee);
        let previous = std::mem::replace(&mut self.invocations[caller as usize].last_call, at);
        self.calls.push(CallRow {
            start_us: call.start_us,
            duration_us: call.duration_us,
            request_bytes: call.request_bytes,
            response_bytes: call.response_bytes,
            callee,
            invocation,
            previous,
            kind: call.kind,
            site: call.site,
            outcome: call.outcome,
        });
        let (request, response) = (call.request_payload, call.response_payload);
        if request.is_some() || response.is_some() {
            self.payloads.insert(at, Payloads { request, response });
        }
    }

    /// Whether an invocation is, or was caused by, another.
    fn is_caused_by(&self, mut invocation: u32, cause: u32) -> bool {
        while invocation != cause && invocation != NONE {
            invocation = self.invocations[invocation as usize].caller;
        }
        invocation == cause
    }

    fn number(&mut self, request: &str) -> u32 {
        let number = self.requests.number(request);
        if number as usize == self.invocations.len() {
            self.invocations.push(Row::NEW);
        }
        number
    }

    fn row(&mut self, request: &str) -> &mut Row {
        let number = self.number(request);
        &mut self.invocations[number as usize]
    }

    fn name(&mut self, name: &str) -> u32 {
        match self.names.get_index_of(&Name(name)) {
            Some(at) => number(at),
            None => number(self.names.insert_full(TaskName(name.to_owned())).0),
        }
    }

    /// The invocation with a request id, if the logs name it.
    #[must_use]
    pub fn invocation(&self, request: &str) -> Option<Invocation> {
        self.requests.find(request).map(Invocation)
    }

    /// The request id of an invocation.
    #[must_use]
    pub fn request_id(&self, invocation: Invocation) -> String {
        self.requests.id(invocation.0)
    }

    /// What an invocation was billed: nothing until its report has been read, and more than once if
    /// it was asynchronous and tried again.
    pub fn bills(&self, invocation: Invocation) -> impl Iterator<Item = Bill> {
        self.bill_rows(invocation).map(|row| row.bill)
    }

    /// How an invocation ended, where the platform knows better than the caller.
    #[must_use]
    pub fn outcome(&self, invocation: Invocation) -> Option<Outcome> {
        // One attempt that returned is enough, and is the last.
        let outcomes = self.bill_rows(invocation).map(|row| row.outcome);
        let outcome = outcomes.reduce(Option::and)?;
        let tried_again = self.bill_rows(invocation).nth(1).is_some();
        match outcome {
            Some(Outcome::Timeout) => outcome,
            None if tried_again => None,
            _ if self.invocations[invocation.0 as usize].killed => Some(Outcome::OutOfMemory),
            _ => outcome,
        }
    }

    fn bill_rows(&self, invocation: Invocation) -> impl Iterator<Item = &BillRow> {
        let row = &self.invocations[invocation.0 as usize];
        let last = self.bills.get(row.last_bill as usize);
        let all = std::iter::successors(last, |bill| self.bills.get(bill.previous as usize));
        // What somebody waits for has one report, however often it is written.
        all.take(if row.asynchronous { usize::MAX } else { 1 })
    }

    /// The calls made from an invocation, in the order they were made in.
    #[must_use]
    pub fn calls(&self, invocation: Invocation) -> Vec<Call<'_>> {
        let mut calls: Vec<Call<'_>> = self.call_rows(invocation).map(|at| self.view(at)).collect();
        // The last one read comes first, and the order of those made at the same time is kept.
        calls.reverse();
        calls.sort_by_key(|call| call.start_us);
        calls
    }

    fn call_rows(&self, invocation: Invocation) -> impl Iterator<Item = u32> {
        let exists = |at: u32| (at != NONE).then_some(at);
        let last = exists(self.invocations[invocation.0 as usize].last_call);
        std::iter::successors(last, move |at| exists(self.calls[*at as usize].previous))
    }

    fn view(&self, at: u32) -> Call<'_> {
        let row = &self.calls[at as usize];
        let payloads = self.payloads.get(&at);
        Call {
            callee: &self.names[row.callee as usize],
            invocation: (row.invocation != NONE).then_some(Invocation(row.invocation)),
            kind: row.kind,
            site: row.site,
            start_us: row.start_us,
            duration_us: row.duration_us,
            outcome: row.outcome,
            request_bytes: row.request_bytes,
            response_bytes: row.response_bytes,
            request_payload: payloads.and_then(|payloads| payloads.request.as_ref()),
            response_payload: payloads.and_then(|payloads| payloads.response.as_ref()),
        }
    }

    /// What the logs lack of what a request caused, or `None` if everything is in them.
    #[must_use]
    pub fn missing(&self, request: &str) -> Option<Missing> {
        match self.invocation(request) {
            Some(invocation) => self.missing_of(invocation),
            None => Some(Missing::Report(request.to_owned())),
        }
    }

    /// Whether a call record says that the invocation was caused by another.
    #[must_use]
    pub(crate) fn is_called(&self, request: &str) -> bool {
        let invocation = self.invocation(request);
        invocation.is_some_and(|it| self.invocations[it.0 as usize].caller != NONE)
    }

    /// Whether everything that the invocation caused is in the logs.
    #[must_use]
    pub(crate) fn is_complete(&self, request: &str) -> bool {
        self.missing(request).is_none()
    }

    fn missing_of(&self, invocation: Invocation) -> Option<Missing> {
        let row = &self.invocations[invocation.0 as usize];
        if row.last_bill == NONE {
            let request = self.request_id(invocation);
            let missing = if row.unbilled { Missing::Billing } else { Missing::Report };
            return Some(missing(request));
        }
        // An instance that was killed wrote no record of its last invocation.
        let failed = row.killed || self.bill_rows(invocation).any(|bill| bill.failed);
        if row.served_by == NONE && !failed {
            return Some(Missing::Record(self.request_id(invocation)));
        }
        self.missing_of_calls(invocation)
    }

    fn missing_of_calls(&self, invocation: Invocation) -> Option<Missing> {
        let made = self.invocations[invocation.0 as usize].calls as usize;
        if self.call_rows(invocation).take(made).count() < made {
            return Some(Missing::Calls(self.request_id(invocation)));
        }
        self.call_rows(invocation).find_map(|at| {
            let row = &self.calls[at as usize];
            let callee = (row.invocation != NONE).then_some(Invocation(row.invocation))?;
            match row.site {
                CallSite::Inline => self.missing_of_calls(callee),
                CallSite::Remote => self.missing_of(callee),
            }
        })
    }

    /// Invocations that no call record names, of functions whose task is inlined, by function: calls
    /// that went past the supervisor, as those of an SDK do that ignores `AWS_ENDPOINT_URL_LAMBDA`.
    #[must_use]
    pub fn past_supervisor(
        &self,
        workflow: &Workflow,
        deployment: &Deployment,
    ) -> BTreeMap<TaskName, usize> {
        let inlined: BTreeSet<&TaskName> =
            deployment.functions().values().flat_map(|function| &function.inlined).collect();
        // Invocations of these come from outside.
        let roots = workflow.roots();
        let counts = |name: &TaskName| inlined.contains(name) && !roots.contains(&name);
        let counted: Vec<bool> = self.names.iter().map(counts).collect();
        let mut strays = BTreeMap::new();
        for row in self.invocations.iter().filter(|row| row.caller == NONE) {
            if counted.get(row.served_by as usize) == Some(&true) {
                let function = self.names[row.served_by as usize].clone();
                *strays.entry(function).or_default() += 1;
            }
        }
        strays
    }
}

/// A name that is looked up without a copy of it.
#[derive(Hash)]
struct Name<'a>(&'a str);

impl Equivalent<TaskName> for Name<'_> {
    fn equivalent(&self, name: &TaskName) -> bool {
        self.0 == name.0
    }
}

/// The number of a row.
fn number(at: usize) -> u32 {
    let number = u32::try_from(at).ok().filter(|number| *number != NONE);
    number.expect("memory is full before there are 2³² rows")
}

#[cfg(test)]
pub(crate) mod tests;
