//! Joins a long log into executions: a million reports and five million call records, of a workflow
//! of four functions, a fifth of them called remotely.
//!
//! ```text
//! cargo run --release --example join [executions]
//! ```
//!
//! The log is made page by page while it is read, one function after the other, so that every call
//! is read long before the report of what it caused. What is joined is checked against what was
//! written.

#![expect(clippy::print_stdout, reason = "it is a program to look at")]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use optimizer::deployment::Deployment;
use optimizer::execution::{Execution, Outcome};
use optimizer::price::PriceBook;
use optimizer::units::{MemoryMb, MilliVcpu, Resources};
use optimizer::workflow::{Call, CallKind, Slo, Task, TaskName, Workflow};
use platform::assemble;
use platform::load::Sent;
use platform::logs::Logs;
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;
use wire::record::{
    self, CallOutcome, CallRecord, CallSite, InvocationRecord, RECORD_VERSION, Record,
};
use wire::report::{Report, ReportStatus};

const PAGE_BYTES: usize = 1 << 20;

/// The functions, the entry first, with the calls that each serves inside.
const FUNCTIONS: [(&str, u64); 4] =
    [("cancel-order", 5), ("get-order", 4), ("save-order", 4), ("refund", 4)];
/// Spans of an execution: the entry's, three remote calls, and those served inside.
const SPANS: usize = 4 + 17;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let executions = std::env::args().nth(1).map_or(Ok(250_000), |argument| argument.parse())?;
    let mut reader = Reader::default();
    for function in 0..FUNCTIONS.len() {
        for execution in 0..executions {
            reader.invocation(execution, function);
        }
    }
    reader.read();
    let Reader { logs, reading, calls, reports, billed_ms, bytes, .. } = reader;
    println!(
        "{reports} REPORT lines and {calls} call records in {} MB read in {reading}",
        bytes >> 20
    );

    let workflow = workflow();
    let deployment = Deployment::parse(
        &workflow,
        "(cancel-order,cancel-order-inside)-(get-order,get-order-inside)-(save-order,save-order-inside)-(refund,refund-inside)",
    )?;
    let rates = PriceBook::lambda_x86().into();
    let mut joining = Times::default();
    let (mut joined, mut spans, mut joined_ms) = (0, 0, 0);
    joining.measure(|| {
        for execution in 0..executions {
            let sent = sent(execution);
            let Some(execution) = assemble::execution(&sent, &logs, &deployment, &workflow, &rates)
            else {
                continue;
            };
            joined += 1;
            spans += execution.spans.len();
            joined_ms += billed(&execution);
        }
    });
    println!("{joined} executions with {spans} spans joined in {joining}");
    println!("peak memory {} MB", peak_memory_mb()?);
    assert_eq!((joined, spans), (executions, executions as usize * SPANS));
    assert_eq!(joined_ms, billed_ms, "billed milliseconds");
    Ok(())
}

fn billed(execution: &Execution) -> u64 {
    execution.spans.iter().flat_map(|span| &span.billed).map(|billed| billed.billed_ms).sum()
}

/// Reads the log as it is written.
#[derive(Default)]
struct Reader {
    page: String,
    logs: Logs,
    reading: Times,
    reports: u64,
    calls: u64,
    billed_ms: u64,
    bytes: usize,
}

impl Reader {
    /// Writes what an invocation of a function leaves in its log.
    fn invocation(&mut self, execution: u64, function: usize) {
        let (name, inside) = FUNCTIONS[function];
        let request = request_id(execution, function as u64);
        self.line(format_args!("START RequestId: {request} Version: 7"));
        for number in 0..inside {
            let callee = request_id(execution, 10 * (1 + function as u64) + number);
            let inside = format!("{name}-inside");
            self.call(execution, (name, &request), (&inside, callee), CallSite::Inline);
        }
        let mut calls = inside as u32;
        if function == 0 {
            calls += FUNCTIONS.len() as u32 - 1;
            for (number, (callee, _)) in FUNCTIONS.iter().enumerate().skip(1) {
                let callee_request = request_id(execution, number as u64);
                let callee = (*callee, callee_request);
                self.call(execution, (name, &request), callee, CallSite::Remote);
            }
        }
        let served = Record::Invocation(InvocationRecord {
            v: RECORD_VERSION,
            trace: trace(execution),
            function: name.into(),
            version: "7".into(),
            request: request.clone(),
            start_us: start_us(execution),
            duration_us: 90_000,
            first: false,
            outcome: CallOutcome::Ok,
            request_bytes: 180,
            response_bytes: 95,
            calls: Some(calls),
            request_payload: None,
            response_payload: None,
        });
        self.line(served.to_line());
        self.line(format_args!("END RequestId: {request}"));
        let duration_us = 1_000 + scatter(execution * 4 + function as u64) % 1_000_000;
        let report = Report {
            request_id: request,
            duration_us,
            billed_ms: Some(duration_us.div_ceil(1000)),
            memory_mb: Some(512),
            max_memory_mb: Some(41),
            init_us: None,
            restore: None,
            status: ReportStatus::Success,
        };
        self.billed_ms += duration_us.div_ceil(1000);
        self.reports += 1;
        self.line(format_args!("{report}\t"));
    }

    fn call(
        &mut self,
        execution: u64,
        (caller, caller_request): (&str, &str),
        (callee, callee_request): (&str, String),
        site: CallSite,
    ) {
        let record = Record::Call(CallRecord {
            v: RECORD_VERSION,
            trace: trace(execution),
            function: caller.into(),
            caller: caller.into(),
            caller_request: caller_request.into(),
            callee: callee.into(),
            callee_request,
            kind: record::CallKind::Sync,
            site,
            start_us: start_us(execution),
            duration_us: 12_345,
            outcome: CallOutcome::Ok,
            request_bytes: 120,
            response_bytes: 340,
            calls: (site == CallSite::Inline).then_some(0),
            request_payload: None,
            response_payload: None,
        });
        self.calls += 1;
        self.line(record.to_line());
    }

    fn line(&mut self, line: impl std::fmt::Display) {
        writeln!(self.page, "{line}").expect("a string takes everything");
        if self.page.len() >= PAGE_BYTES {
            self.read();
        }
    }

    fn read(&mut self) {
        let Self { page, logs, .. } = self;
        self.reading.measure(|| logs.read(page.as_bytes()));
        self.bytes += page.len();
        page.clear();
    }
}

fn workflow() -> Workflow {
    let resources = Resources { vcpu: MilliVcpu(289), memory: MemoryMb(512) };
    let task = |name: &str| (TaskName::from(name), Task { resources });
    let tasks: IndexMap<TaskName, Task> = FUNCTIONS
        .iter()
        .flat_map(|(name, _)| [task(name), task(&format!("{name}-inside"))])
        .collect();
    let call = |caller: &str, callee: &str| Call {
        caller: caller.into(),
        callee: callee.into(),
        kind: CallKind::Sync,
    };
    let (entry, _) = FUNCTIONS[0];
    let inside = FUNCTIONS.iter().map(|(name, _)| call(name, &format!("{name}-inside")));
    let remote = FUNCTIONS.iter().skip(1).map(|(name, _)| call(entry, name));
    let calls: Vec<Call> = inside.chain(remote).collect();
    let slo = Slo { latency_us: 1_000_000, percentile: 95 };
    Workflow::new("join".into(), entry.into(), slo, tasks, &calls).expect("the workflow is a tree")
}

fn sent(execution: u64) -> Sent {
    Sent {
        trace: trace(execution),
        request_id: request_id(execution, 0),
        attempts: None,
        start_us: start_us(execution),
        latency_us: 100_000,
        outcome: Outcome::Ok,
        status: 200,
        function_error: None,
        answer: Value::Null,
        not_json: None,
    }
}

fn start_us(execution: u64) -> u64 {
    1_768_645_265_000_000 + 1_000 * execution
}

fn trace(execution: u64) -> String {
    format!("1-696b6ad1-{execution:024x}")
}

/// A request id that looks random, the same for the same invocation.
fn request_id(execution: u64, invocation: u64) -> String {
    let seed = execution * 64 + invocation;
    let value = u128::from(scatter(seed)) << 64 | u128::from(scatter(!seed));
    uuid::Builder::from_random_bytes(value.to_be_bytes()).into_uuid().to_string()
}

/// SplitMix64 of a number.
fn scatter(number: u64) -> u64 {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Time by the clock, and of the processor.
#[derive(Default)]
struct Times {
    wall: Duration,
    processor: Duration,
}

impl Times {
    fn measure(&mut self, what: impl FnOnce()) {
        let (started, before) = (Instant::now(), processor_time());
        what();
        self.wall += started.elapsed();
        self.processor += processor_time() - before;
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (processor, wall) = (self.processor.as_secs_f64(), self.wall.as_secs_f64());
        write!(f, "{processor:.2} s of the processor, {wall:.2} s by the clock")
    }
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs().try_into().unwrap_or(0))
}

fn peak_memory_mb() -> Result<u64, Box<dyn std::error::Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? >> 10)
}
