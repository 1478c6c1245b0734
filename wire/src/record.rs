//! Call records: one JSON line on standard output per call a task makes and per invocation served.
//!
//! The supervisor writes them into the function's own log, the driver reads them back and joins
//! them by request id: a call names the invocation it was made from and the invocation it caused,
//! so the calls of one trace form a tree.

mod line;

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::{Deserialize, Serialize};

use crate::log::find_last;
use crate::payload::RecordedPayload;
use crate::text::Text;

/// What every record starts with.
pub(crate) const RECORD_START: &str = "{\"fuseline\":";

static START: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(RECORD_START));

/// Format version written to every record; a reader ignores records of a later version.
pub const RECORD_VERSION: u32 = 1;

/// How a task called another.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CallKind {
    /// `RequestResponse`: the caller waits for the result.
    Sync,
    /// `Event`: the caller goes on at once.
    Async,
}

/// Where a call was served.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CallSite {
    /// Inside the caller's own instance.
    Inline,
    /// In the callee's own function.
    Remote,
}

/// How a call or an invocation ended, as its caller sees it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CallOutcome {
    /// The callee returned a result.
    Ok,
    /// The callee returned a function error.
    Error,
    /// The callee's process ended before it answered.
    Crash,
    /// The callee did not answer before its deadline.
    Timeout,
    /// The service refused the call (throttled, not found, too large) or could not be reached.
    Refused,
}

/// One call a task made.
///
/// `S` is a string: an owned one, or a [`Text`] borrowed from the line.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct CallRecord<S = String> {
    /// Format version, [`RECORD_VERSION`].
    pub v: u32,
    /// Root of the X-Ray trace id (`1-67891233-abcdef012345678912345678`), or empty.
    pub trace: S,
    /// Function whose instance the caller runs in.
    pub function: S,
    /// Task that made the call.
    pub caller: S,
    /// Request id of the invocation of `caller` that made the call.
    pub caller_request: S,
    /// Name of the task called, without qualifier.
    pub callee: S,
    /// Request id of the invocation of `callee` that the call caused; empty if it caused none.
    pub callee_request: S,
    /// Whether the caller waited.
    pub kind: CallKind,
    /// Where the call was served.
    pub site: CallSite,
    /// When the call arrived at the supervisor, in microseconds since the Unix epoch.
    pub start_us: u64,
    /// From the call's arrival to the last byte of its answer, in microseconds.
    pub duration_us: u64,
    /// How it ended.
    pub outcome: CallOutcome,
    /// Payload sent, in bytes.
    pub request_bytes: u64,
    /// Payload returned, in bytes.
    pub response_bytes: u64,
    /// Calls made from the invocation of `callee`, if it was served inside: so many records of them
    /// were written before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<u32>,
    /// Payload sent, where payloads are recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_payload: Option<RecordedPayload>,
    /// Payload returned, where payloads are recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_payload: Option<RecordedPayload>,
}

/// One invocation that the platform gave to a function, as its supervisor served it.
///
/// `S` is a string: an owned one, or a [`Text`] borrowed from the line.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct InvocationRecord<S = String> {
    /// Format version, [`RECORD_VERSION`].
    pub v: u32,
    /// Root of the X-Ray trace id, or empty.
    pub trace: S,
    /// Function that served the invocation; its root task has the same name.
    pub function: S,
    /// Published version that served it, or `$LATEST`.
    pub version: S,
    /// Request id of the invocation, the one in its `REPORT` line.
    pub request: S,
    /// When the supervisor received it, in microseconds since the Unix epoch.
    pub start_us: u64,
    /// From its receipt to the last byte of its answer, in microseconds.
    pub duration_us: u64,
    /// Whether it was the first of its instance.
    pub first: bool,
    /// How it ended.
    pub outcome: CallOutcome,
    /// Event received, in bytes.
    pub request_bytes: u64,
    /// Result returned, in bytes.
    pub response_bytes: u64,
    /// Calls made from the invocation: so many records of them were written before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<u32>,
    /// Event received, where payloads are recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_payload: Option<RecordedPayload>,
    /// Result returned, where payloads are recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_payload: Option<RecordedPayload>,
}

/// A record as it stands in the log.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "fuseline", rename_all = "lowercase")]
pub enum Record<S = String> {
    /// A call that a task made.
    Call(CallRecord<S>),
    /// An invocation that the function served.
    Invocation(InvocationRecord<S>),
}

impl Record {
    /// The record in a log line, or `None` if the line is anything else. Text that a task printed
    /// without a line end may stand before the record.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        Self::parse_json(line.as_bytes())
    }

    /// The record as one line of JSON, without a line end.
    #[must_use]
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).expect("a record holds only strings and integers")
    }
}

impl<'a> Record<Text<'a>> {
    /// The same for a line that may hold anything, with strings borrowed from it.
    pub(crate) fn parse_borrowed(line: &'a [u8]) -> Option<Self> {
        line::read(start(line)?).or_else(|| Self::parse_json(line))
    }
}

impl<'a, S: Deserialize<'a>> Record<S> {
    fn parse_json(line: &'a [u8]) -> Option<Self> {
        let line = start(line)?;
        let kind = line[START.needle().len()..].strip_prefix(b"\"")?;
        let (record, version) = if kind.starts_with(b"call\"") {
            let call: CallRecord<S> = json(line)?;
            let version = call.v;
            (Self::Call(call), version)
        } else if kind.starts_with(b"invocation\"") {
            let invocation: InvocationRecord<S> = json(line)?;
            let version = invocation.v;
            (Self::Invocation(invocation), version)
        } else {
            return None;
        };
        (version <= RECORD_VERSION).then_some(record)
    }
}

/// A line from where its last record starts. In a payload's text it would start with a backslash
/// before the quotation mark.
fn start(line: &[u8]) -> Option<&[u8]> {
    find_last(&START, line).map(|start| &line[start..])
}

/// The value at the start of a line, whatever stands behind it.
fn json<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Option<T> {
    T::deserialize(&mut serde_json::Deserializer::from_slice(line)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Record {
        Record::Call(CallRecord {
            v: RECORD_VERSION,
            trace: "1-67891233-abcdef012345678912345678".into(),
            function: "a".into(),
            caller: "a".into(),
            caller_request: "r1".into(),
            callee: "b".into(),
            callee_request: "r2".into(),
            kind: CallKind::Sync,
            site: CallSite::Inline,
            start_us: 1_700_000_000_000_000,
            duration_us: 354,
            outcome: CallOutcome::Ok,
            request_bytes: 12,
            response_bytes: 34,
            calls: Some(3),
            request_payload: None,
            response_payload: None,
        })
    }

    #[test]
    fn a_record_reads_back_from_its_line_even_behind_other_output() {
        let line = call().to_line();
        assert!(line.starts_with("{\"fuseline\":\"call\",\"v\":1,"), "{line}");
        assert_eq!(Record::parse(&line), Some(call()));
        assert_eq!(Record::parse(&format!("progress 10%{line}\n")), Some(call()));
    }

    #[test]
    fn a_record_with_the_longest_payloads_fits_into_one_cloudwatch_event() {
        let Record::Call(mut call) = call() else { unreachable!() };
        let worst = "\u{1}".repeat(6 << 20);
        call.caller = "c".repeat(140);
        call.request_payload = Some(RecordedPayload::of(worst.as_bytes(), worst.len()));
        call.response_payload = Some(RecordedPayload::of(&[0xff; 6 << 20], 6 << 20));
        let record = Record::Call(call);
        let line = record.to_line();
        // An event is counted with 26 bytes more than its text.
        assert!(line.len() + 26 <= 256 << 10, "{}", line.len());
        assert_eq!(Record::parse(&line), Some(record));
    }

    #[test]
    fn other_lines_and_later_versions_are_not_records() {
        for line in ["", "hello", "{\"fuseline\":\"call\"}", "{\"fuseline\":\"plan\",\"v\":1}"] {
            assert_eq!(Record::parse(line), None, "{line}");
        }
        let later = call().to_line().replace("\"v\":1", "\"v\":2");
        assert_eq!(Record::parse(&later), None);
    }
}
