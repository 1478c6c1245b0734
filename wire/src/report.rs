//! Lambda's `REPORT` log line: what an invocation used and what is billed for it.
//!
//! Read independently of the order of its parts and of what separates them, because runtimes,
//! emulators and consoles all write it a little differently; anchored on `REPORT RequestId:`.

use std::fmt;

/// How an invocation ended, as the `REPORT` line states it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ReportStatus {
    /// No `Status` part: the invocation returned (a handled function error included).
    Success,
    /// `Status: timeout`.
    Timeout,
    /// `Status: error`, with its `Error Type` (`Runtime.OutOfMemory`, `Runtime.ExitError`, …).
    Error(String),
}

/// One `REPORT` line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    /// Request id of the invocation.
    pub request_id: String,
    /// Time the handler ran, in microseconds; written with two decimals of a millisecond.
    pub duration_us: u64,
    /// Time billed, in milliseconds.
    pub billed_ms: u64,
    /// Memory configured, in MB.
    pub memory_mb: u32,
    /// Peak memory of the instance so far, in MB.
    pub max_memory_mb: u32,
    /// Time the instance needed to start, in microseconds, if it was started for this invocation.
    pub init_us: Option<u64>,
    /// How the invocation ended.
    pub status: ReportStatus,
}

impl Report {
    /// The `REPORT` in a log line, or `None` if there is none or it lacks a duration.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let line = &line[line.find("REPORT RequestId:")?..];
        // `INIT_REPORT` lines have no request id and so do not come this far.
        let status = match value(line, "Status:") {
            Some("timeout") => ReportStatus::Timeout,
            Some("error" | "failure") => {
                ReportStatus::Error(value(line, "Error Type:").unwrap_or("Unknown").to_owned())
            }
            _ => ReportStatus::Success,
        };
        Some(Self {
            request_id: value(line, "RequestId:")?.to_owned(),
            duration_us: micros(value(line, "\tDuration:").or_else(|| plain_duration(line))?)?,
            billed_ms: value(line, "Billed Duration:")?.parse::<f64>().ok()?.ceil() as u64,
            memory_mb: value(line, "Memory Size:")?.parse().ok()?,
            max_memory_mb: value(line, "Max Memory Used:")?.parse().ok()?,
            init_us: value(line, "Init Duration:").and_then(micros),
            status,
        })
    }

    /// Whether the invocation ran out of memory.
    #[must_use]
    pub fn out_of_memory(&self) -> bool {
        match &self.status {
            ReportStatus::Error(kind) => {
                kind == "Runtime.OutOfMemory" || self.max_memory_mb + 1 >= self.memory_mb
            }
            ReportStatus::Success | ReportStatus::Timeout => false,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "REPORT RequestId: {}\tDuration: {} ms\tBilled Duration: {} ms\tMemory Size: {} MB\tMax Memory Used: {} MB",
            self.request_id,
            millis(self.duration_us),
            self.billed_ms,
            self.memory_mb,
            self.max_memory_mb
        )?;
        if let Some(init_us) = self.init_us {
            write!(f, "\tInit Duration: {} ms", millis(init_us))?;
        }
        match &self.status {
            ReportStatus::Success => Ok(()),
            ReportStatus::Timeout => f.write_str("\tStatus: timeout"),
            ReportStatus::Error(kind) => write!(f, "\tStatus: error\tError Type: {kind}"),
        }
    }
}

/// The word after `key`.
fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let rest = line[line.find(key)? + key.len()..].trim_start();
    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
    (end > 0).then(|| &rest[..end])
}

/// `Duration:` where spaces separate the parts: the one that no longer name ends in.
fn plain_duration(line: &str) -> Option<&str> {
    line.match_indices("Duration:").find_map(|(at, key)| {
        let before = line[..at].trim_end();
        let longer = ["Billed", "Init", "Restore"].iter().any(|word| before.ends_with(word));
        if longer { None } else { value(&line[at..], key) }
    })
}

/// Microseconds in a number of milliseconds with decimals.
fn micros(text: &str) -> Option<u64> {
    let millis: f64 = text.parse().ok()?;
    (millis.is_finite() && millis >= 0.0).then(|| (millis * 1000.0).round() as u64)
}

/// Milliseconds with two decimals, rounded half up.
fn millis(us: u64) -> String {
    let hundredths = (us + 5) / 10;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expect: Option<(u64, u64, u32, u32, Option<u64>, ReportStatus)>) {
        let got = Report::parse(line).map(|r| {
            (r.duration_us, r.billed_ms, r.memory_mb, r.max_memory_mb, r.init_us, r.status)
        });
        assert_eq!(got, expect, "{line}");
    }

    /// Real lines, from power-tuning's tests, AWS's guide and public issues (`facts/lambda.md` 6.1).
    #[test]
    fn real_lines() {
        let ok = ReportStatus::Success;
        check(
            "REPORT RequestId: 55bc566d-1e2c-11e7-93e6-6705ceb4c1cc\tDuration: 469.40 ms\tBilled Duration: 500 ms\tMemory Size: 1024 MB\tMax Memory Used: 21 MB\tInit Duration: 100.99 ms",
            Some((469_400, 500, 1024, 21, Some(100_990), ok.clone())),
        );
        check(
            "REPORT RequestId: 24addd09 Duration: 127.10 ms Billed Duration: 154 ms Memory Size: 2048 MB Max Memory Used: 212 MB Restore Duration: 325.93 ms Billed Restore Duration: 26 ms XRAY TraceId: 1-66d978e5 SegmentId: 29c Sampled: true",
            Some((127_100, 154, 2048, 212, None, ok.clone())),
        );
        check(
            "REPORT RequestId: 13222b1e\tDuration: 3000.00 ms\tBilled Duration: 3000 ms\tMemory Size: 1024 MB\tMax Memory Used: 64 MB\tStatus: timeout\nXRAY TraceId: 1-6ac7\tSampled: true",
            Some((3_000_000, 3000, 1024, 64, None, ReportStatus::Timeout)),
        );
        check(
            "REPORT RequestId: 806ab12b\tDuration: 376256.59 ms\tBilled Duration: 376257 ms\tMemory Size: 10239 MB\tMax Memory Used: 10239 MB\tInit Duration: 551.73 ms\tStatus: error\tError Type: Runtime.OutOfMemory",
            Some((
                376_256_590,
                376_257,
                10_239,
                10_239,
                Some(551_730),
                ReportStatus::Error("Runtime.OutOfMemory".into()),
            )),
        );
        check(
            "REPORT RequestId: r\tInit Duration: 12.50 ms\tDuration: 27.00 ms\tBilled Duration: 27 ms \tMemory Size: 128 MB\tMax Memory Used: 128 MB\t",
            Some((27_000, 27, 128, 128, Some(12_500), ok)),
        );
    }

    #[test]
    fn lines_that_are_no_report() {
        check("INIT_REPORT Init Duration: 10009.13 ms Phase: init Status: timeout", None);
        check("START RequestId: 1 Version: $LATEST", None);
        check("REPORT RequestId: r\tBilled Duration: 5 ms", None);
    }

    #[test]
    fn a_report_reads_back_from_its_line() {
        for (init_us, status) in [
            (None, ReportStatus::Success),
            (Some(100_990), ReportStatus::Timeout),
            (None, ReportStatus::Error("Runtime.ExitError".into())),
        ] {
            let report = Report {
                request_id: "dde1acb5-7158-4518-9547-a5beae8996d2".into(),
                duration_us: 35_500,
                billed_ms: 36,
                memory_mb: 512,
                max_memory_mb: 3,
                init_us,
                status,
            };
            assert_eq!(Report::parse(&report.to_string()), Some(report));
        }
    }

    #[test]
    fn out_of_memory_is_told_by_type_or_by_peak() {
        let line = |tail: &str, max: u32| {
            Report::parse(&format!(
                "REPORT RequestId: r\tDuration: 1.00 ms\tBilled Duration: 1 ms\tMemory Size: 128 MB\tMax Memory Used: {max} MB{tail}"
            ))
            .map(|r| r.out_of_memory())
        };
        assert_eq!(line("\tStatus: error\tError Type: Runtime.OutOfMemory", 5), Some(true));
        assert_eq!(line("\tStatus: error\tError Type: Runtime.ExitError", 127), Some(true));
        assert_eq!(line("\tStatus: error\tError Type: Runtime.ExitError", 20), Some(false));
        assert_eq!(line("", 128), Some(false));
    }
}
