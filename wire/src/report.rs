//! Lambda's reports: what an invocation used and what is billed for it.
//!
//! Text and JSON are read independently of the order of their parts, because runtimes, emulators
//! and consoles all write them a little differently. A line must be whole at its end, which
//! [`crate::log`] sees to; at its beginning it may be cut or have other text before it. What cannot
//! be trusted is left out, never guessed: a damaged line is no report.

mod json;
mod text;

use std::fmt;
use std::num::TryFromIntError;

pub(crate) use json::TYPE as JSON_TYPE;

/// How an invocation ended, as its report states it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ReportStatus {
    /// No status, or `success`: the invocation returned (a handled function error included).
    Success,
    /// `timeout`.
    Timeout,
    /// `error` or `failure`, with its type (`Runtime.OutOfMemory`, `Runtime.ExitError`, …), which is
    /// `Unknown` if none is stated.
    Error(String),
}

/// What the instance needed to be restored from a snapshot (SnapStart).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Restore {
    /// Time it took, in microseconds.
    pub duration_us: u64,
    /// Part of it that is billed, in milliseconds; it is part of the report's billed time.
    pub billed_ms: Option<u64>,
}

/// One report.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    /// Request id of the invocation.
    pub request_id: String,
    /// Time the handler ran, in microseconds; text has two decimals of a millisecond.
    pub duration_us: u64,
    /// Time billed, in milliseconds. Lambda Managed Instances report neither this nor memory: they
    /// are paid for by the hour.
    pub billed_ms: Option<u64>,
    /// Memory configured, in MB.
    pub memory_mb: Option<u32>,
    /// Peak memory of the instance so far, in MB.
    pub max_memory_mb: Option<u32>,
    /// Time the instance needed to start, in microseconds, if it was started for this invocation.
    pub init_us: Option<u64>,
    /// How the instance was restored, if it was for this invocation.
    pub restore: Option<Restore>,
    /// How the invocation ended.
    pub status: ReportStatus,
}

/// A start that failed or took too long, of an instance that has not served an invocation yet: it
/// names none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InitReport {
    /// Time the start took, in microseconds.
    pub init_us: u64,
    /// When it happened: `init`, or `invoke` if Lambda tried again for the invocation that waited.
    pub phase: Option<String>,
    /// How it ended.
    pub status: ReportStatus,
}

impl Report {
    /// The report at the end of a whole log line, as text or JSON.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        Self::parse_bytes(line.as_bytes())
    }

    /// The same for a line that may hold anything.
    pub(crate) fn parse_bytes(line: &[u8]) -> Option<Self> {
        json::report(line).or_else(|| text::report(line))
    }

    /// Whether the invocation ran out of memory: its report says so; or it failed with all memory
    /// but a megabyte in use; or, in reports from before there was a status, with more than all.
    #[must_use]
    pub fn out_of_memory(&self) -> bool {
        let (Some(memory), Some(max)) = (self.memory_mb, self.max_memory_mb) else {
            return self.status.is("Runtime.OutOfMemory");
        };
        match &self.status {
            ReportStatus::Error(kind) => {
                kind == "Runtime.OutOfMemory" || max >= memory.saturating_sub(1)
            }
            ReportStatus::Success => max > memory,
            ReportStatus::Timeout => false,
        }
    }
}

impl ReportStatus {
    /// From the words in a report; `None` if they are unknown.
    fn of(status: Option<&str>, error_type: Option<&str>) -> Option<Self> {
        match (status, error_type) {
            (None | Some("success"), None) => Some(Self::Success),
            (Some("timeout"), _) => Some(Self::Timeout),
            (Some("error" | "failure"), kind) => {
                Some(Self::Error(kind.unwrap_or("Unknown").into()))
            }
            _ => None,
        }
    }

    fn is(&self, error_type: &str) -> bool {
        matches!(self, Self::Error(kind) if kind == error_type)
    }
}

impl InitReport {
    /// The `INIT_REPORT` at the end of a whole log line, which may hold anything.
    pub(crate) fn parse_bytes(line: &[u8]) -> Option<Self> {
        text::init_report(line)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { request_id, duration_us, .. } = self;
        write!(f, "REPORT RequestId: {request_id}\tDuration: {} ms", millis(*duration_us))?;
        if let Some(billed_ms) = self.billed_ms {
            write!(f, "\tBilled Duration: {billed_ms} ms")?;
        }
        if let Some(memory_mb) = self.memory_mb {
            write!(f, "\tMemory Size: {memory_mb} MB")?;
        }
        if let Some(max_memory_mb) = self.max_memory_mb {
            write!(f, "\tMax Memory Used: {max_memory_mb} MB")?;
        }
        if let Some(init_us) = self.init_us {
            write!(f, "\tInit Duration: {} ms", millis(init_us))?;
        }
        if let Some(Restore { duration_us, billed_ms }) = self.restore {
            write!(f, "\tRestore Duration: {} ms", millis(duration_us))?;
            if let Some(billed_ms) = billed_ms {
                write!(f, "\tBilled Restore Duration: {billed_ms} ms")?;
            }
        }
        match &self.status {
            ReportStatus::Success => Ok(()),
            ReportStatus::Timeout => f.write_str("\tStatus: timeout"),
            ReportStatus::Error(kind) => write!(f, "\tStatus: error\tError Type: {kind}"),
        }
    }
}

/// Milliseconds with two decimals, rounded half up.
fn millis(us: u64) -> String {
    let hundredths = (us + 5) / 10;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// A figure without decimals, rounded up, from one in thousandths.
fn whole(thousandths: u64) -> u64 {
    thousandths.div_ceil(1000)
}

/// Megabytes from thousandths of one.
fn megabytes(thousandths: Option<u64>) -> Result<Option<u32>, TryFromIntError> {
    thousandths.map(|figure| whole(figure).try_into()).transpose()
}

#[cfg(test)]
mod tests;
