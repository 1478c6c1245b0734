//! Collects every child that ends, the tasks' and, as process 1 of a container, everyone's.

use std::sync::Arc;

use rustix::process::{Pid, WaitOptions, WaitStatus, wait};
use tokio::signal::unix::Signal;

use crate::instance::Instance;

/// Collects children for ever; `ended` is the signal that announces them.
pub(crate) async fn keep_reaping(mut ended: Signal, instance: Arc<Instance>) {
    loop {
        // One signal can stand for several children, and one may have ended before the first.
        while let Some((pid, status)) = next_ended() {
            instance.process_ended(pid, status);
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
