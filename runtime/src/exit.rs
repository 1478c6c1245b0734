//! How a process ended, in the words in which Lambda tells a function's caller.

use bytes::Bytes;
use rustix::process::{Signal, WaitStatus, getpid, kill_process};

use crate::message::function_error_body;

/// `errorType` of an invocation whose process ended.
const EXIT_ERROR: &str = "Runtime.ExitError";

/// `errorType` where a program could not even be started.
pub(crate) const INVALID_ENTRYPOINT: &str = "Runtime.InvalidEntrypoint";

/// The end of a process.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Exit {
    /// `errorType` of the invocation that it ended.
    pub(crate) kind: &'static str,
    /// What happened.
    pub(crate) message: String,
}

impl Exit {
    /// The end that a process's parent is told of.
    pub(crate) fn of(status: WaitStatus) -> Self {
        let how = match (status.exit_status(), status.terminating_signal()) {
            (Some(0), _) | (None, None) => return Self::unexplained(),
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(signal)) => format!("signal: {}", signal_name(signal)),
        };
        Self { kind: EXIT_ERROR, message: format!("Runtime exited with error: {how}") }
    }

    /// An end that gives no reason.
    pub(crate) fn unexplained() -> Self {
        Self { kind: EXIT_ERROR, message: "Runtime exited without providing a reason".to_owned() }
    }

    /// The end of a process whose program could not be started, `why` in the words of Lambda.
    pub(crate) fn not_started(why: String) -> Self {
        Self { kind: INVALID_ENTRYPOINT, message: why }
    }

    /// What the caller of the invocation `request_id` gets.
    pub(crate) fn body(&self, request_id: &str) -> Bytes {
        function_error_body(self.kind, &format!("RequestId: {request_id} Error: {}", self.message))
    }
}

/// Ends this process as another ended, because Lambda tells callers how. Returns the exit code to
/// end with where the same signal does not end it: in a container's process 1.
pub(crate) fn repeat(status: WaitStatus) -> u8 {
    if let Some(signal) = status.terminating_signal() {
        if let Some(named) = Signal::from_named_raw(signal) {
            let _ = kill_process(getpid(), named);
        }
        return u8::try_from(128 + signal).unwrap_or(1);
    }
    status.exit_status().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// Names as Go prints them, because Lambda's messages come from there.
fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        4 => "illegal instruction",
        5 => "trace/breakpoint trap",
        6 => "aborted",
        7 => "bus error",
        8 => "floating point exception",
        9 => "killed",
        10 => "user defined signal 1",
        11 => "segmentation fault",
        12 => "user defined signal 2",
        13 => "broken pipe",
        14 => "alarm clock",
        15 => "terminated",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_named_as_lambda_names_them() {
        for (signal, expect) in [(9, "killed"), (11, "segmentation fault"), (64, "signal 64")] {
            assert_eq!(signal_name(signal), expect);
        }
    }

    #[test]
    fn a_caller_is_told_in_lambdas_words_and_order() {
        assert_eq!(
            Exit::unexplained().body("4711"),
            r#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: 4711 Error: Runtime exited without providing a reason"}"#
        );
    }
}
