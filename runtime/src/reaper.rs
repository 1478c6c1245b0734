//! Collects every child that ends, the tasks' and, as process 1 of a container, everyone's.

use std::sync::Arc;

use rustix::process::{Pid, WaitOptions, WaitStatus, wait};
use tokio::signal::unix::Signal;

use crate::instance::Instance;

/// How a process ended, in the words Lambda uses: `exit status 3`, `signal: killed`.
pub(crate) fn describe(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal: {}", signal_name(signal)),
        (None, None) => "unknown status".to_owned(),
    }
}

/// Names as Go prints them, because Lambda's messages come from there.
fn signal_name(signal: i32) -> String {
    match signal {
        2 => "interrupt".to_owned(),
        4 => "illegal instruction".to_owned(),
        6 => "aborted".to_owned(),
        7 => "bus error".to_owned(),
        8 => "floating point exception".to_owned(),
        9 => "killed".to_owned(),
        11 => "segmentation fault".to_owned(),
        13 => "broken pipe".to_owned(),
        15 => "terminated".to_owned(),
        other => format!("signal {other}"),
    }
}

/// Collects children for ever; `ended` is the signal that announces them.
pub(crate) async fn keep_reaping(mut ended: Signal, instance: Arc<Instance>) {
    loop {
        // One signal can stand for several children, and one may have ended before the first.
        while let Some((pid, status)) = next_ended() {
            instance.process_ended(pid, &describe(status));
        }
        ended.recv().await;
    }
}

/// A child that has ended, if there is one; its process id is free from here on.
fn next_ended() -> Option<(Pid, WaitStatus)> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(found) => return found,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
    }
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
}
