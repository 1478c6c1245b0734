//! The log of one call served inside, as Lambda returns it to a caller who asks for its end: what
//! the callee printed between the lines that Lambda itself writes.

use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::HeaderValue;
use rustix::process::Pid;
use wire::record::CallOutcome;
use wire::report::{Report, ReportStatus};

use crate::output::{Output, TAIL_BYTES};
use crate::pool::ProcessId;
use crate::task::Task;

/// A call whose log is wanted.
pub(crate) struct CallLog {
    pid: Pid,
    output: Arc<Output>,
    started: Instant,
}

impl CallLog {
    /// The log of the invocation that the process was just given; `None` for a process whose output
    /// is not kept.
    pub(crate) fn start(task: &Task, process: ProcessId) -> Option<Self> {
        let (pid, output) = task.pool.output(process)?;
        output.forget();
        Some(Self { pid, output, started: Instant::now() })
    }

    /// The log's last 4 KB, in base64.
    pub(crate) fn end(self, task: &Task, request_id: &str, outcome: CallOutcome) -> HeaderValue {
        let duration_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let report = Report {
            request_id: request_id.to_owned(),
            duration_us,
            billed_ms: Some(duration_us.div_ceil(1000)),
            memory_mb: Some(task.memory_mb),
            max_memory_mb: Some(peak_memory_mb(self.pid).unwrap_or_default()),
            init_us: None,
            restore: None,
            status: match outcome {
                CallOutcome::Timeout => ReportStatus::Timeout,
                CallOutcome::Crash => ReportStatus::Error("Runtime.ExitError".to_owned()),
                CallOutcome::Ok | CallOutcome::Error | CallOutcome::Refused => {
                    ReportStatus::Success
                }
            },
        };
        let mut text =
            format!("START RequestId: {request_id} Version: {}\n", task.version).into_bytes();
        text.extend(self.output.tail());
        if text.last() != Some(&b'\n') {
            text.push(b'\n');
        }
        text.extend(format!("END RequestId: {request_id}\n{report}\n").into_bytes());
        let tail = &text[text.len().saturating_sub(TAIL_BYTES)..];
        HeaderValue::from_str(&BASE64_STANDARD.encode(tail)).expect("base64 is plain ASCII")
    }
}

/// Most memory a process has had resident, in MB; `None` if it has ended.
fn peak_memory_mb(pid: Pid) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u32 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes.div_ceil(1024))
}
