//! How an invocation or an init fails other than by the function's own answer, in Lambda's words.

use bytes::Bytes;
use serde_json::json;
use wire::report::ReportStatus;

use crate::runtime_api::MAX_RESPONSE_BYTES;
use crate::sandbox::Exit;

/// Why the platform answers in place of the function.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Failure {
    /// The process ended without an answer.
    Exited(Exit),
    /// The kernel killed it, or a process of its own, for want of memory.
    OutOfMemory,
    /// It took longer than this many seconds.
    TimedOut(u64),
    /// The runtime said that it cannot start: payload and error type.
    Init(Bytes, Option<String>),
    /// There is no program to start.
    Entrypoint(String),
    /// The result is too large.
    ResponseTooLarge,
}

impl Failure {
    /// `errorType` of the payload.
    pub(crate) fn kind(&self) -> &str {
        match self {
            Self::Exited(_) => "Runtime.ExitError",
            Self::OutOfMemory => "Runtime.OutOfMemory",
            Self::TimedOut(_) => "Sandbox.Timedout",
            Self::Init(_, kind) => kind.as_deref().unwrap_or("Runtime.Unknown"),
            Self::Entrypoint(_) => "Runtime.InvalidEntrypoint",
            Self::ResponseTooLarge => "Function.ResponseSizeTooLarge",
        }
    }

    /// `errorMessage` of the payload.
    pub(crate) fn message(&self, request_id: &str) -> String {
        let text = match self {
            Self::Exited(Exit::Code(0)) => "Runtime exited without providing a reason".to_owned(),
            Self::Exited(Exit::Code(code)) => {
                format!("Runtime exited with error: exit status {code}")
            }
            Self::Exited(Exit::Signal(signal)) => {
                format!("Runtime exited with error: signal: {}", signal_name(*signal))
            }
            Self::OutOfMemory => "Runtime exited with error: signal: killed".to_owned(),
            Self::TimedOut(seconds) => format!("Task timed out after {seconds}.00 seconds"),
            Self::Init(..) => "the runtime could not start".to_owned(),
            Self::Entrypoint(reason) => reason.clone(),
            Self::ResponseTooLarge => format!(
                "Response payload size exceeded maximum allowed payload size ({MAX_RESPONSE_BYTES} bytes)."
            ),
        };
        format!("RequestId: {request_id} Error: {text}")
    }

    /// The payload that the caller gets.
    pub(crate) fn payload(&self, request_id: &str) -> Bytes {
        match self {
            Self::Init(payload, _) if !payload.is_empty() => payload.clone(),
            _ => json!({ "errorType": self.kind(), "errorMessage": self.message(request_id) })
                .to_string()
                .into(),
        }
    }

    /// The status that the report states.
    pub(crate) fn status(&self) -> ReportStatus {
        match self {
            Self::TimedOut(_) => ReportStatus::Timeout,
            other => ReportStatus::Error(other.kind().to_owned()),
        }
    }
}

/// A signal as Go's runtime, and so Lambda, names it.
fn signal_name(signal: i32) -> String {
    match signal {
        4 => "illegal instruction".to_owned(),
        6 => "aborted".to_owned(),
        7 => "bus error".to_owned(),
        8 => "floating point exception".to_owned(),
        9 => "killed".to_owned(),
        11 => "segmentation fault".to_owned(),
        15 => "terminated".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(failure: &Failure, expect: &str) {
        assert_eq!(failure.payload("r"), Bytes::from(expect.to_owned()), "{failure:?}");
    }

    #[test]
    fn payloads_are_lambdas() {
        check(
            &Failure::TimedOut(3),
            r#"{"errorMessage":"RequestId: r Error: Task timed out after 3.00 seconds","errorType":"Sandbox.Timedout"}"#,
        );
        check(
            &Failure::Exited(Exit::Code(7)),
            r#"{"errorMessage":"RequestId: r Error: Runtime exited with error: exit status 7","errorType":"Runtime.ExitError"}"#,
        );
        check(
            &Failure::OutOfMemory,
            r#"{"errorMessage":"RequestId: r Error: Runtime exited with error: signal: killed","errorType":"Runtime.OutOfMemory"}"#,
        );
        check(&Failure::Init("{}".into(), None), "{}");
    }
}
