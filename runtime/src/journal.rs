//! Call records, written to standard output off the path of the calls they describe.

use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::Mutex;

use tokio::sync::Notify;
use wire::record::Record;

/// Records that wait to be written.
#[derive(Default)]
pub(crate) struct Journal {
    waiting: Mutex<VecDeque<Record>>,
    added: Notify,
}

/// More than this many records are written at once rather than kept.
const MAX_WAITING: usize = 256;

impl Journal {
    /// Takes a record. It is written when the tasks that are ready now, among them the one that
    /// sends the call's answer, have run.
    pub(crate) fn push(&self, record: Record) {
        let waiting = {
            let mut waiting = self.waiting.lock().expect("no holder panics");
            waiting.push_back(record);
            waiting.len()
        };
        if waiting > MAX_WAITING {
            self.flush();
        } else {
            self.added.notify_one();
        }
    }

    /// Writes what waits, each record with a single write, so that no other process's output comes
    /// between its parts. A closed standard output loses records, not calls.
    pub(crate) fn flush(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock().expect("no holder panics"));
        let mut out = std::io::stdout().lock();
        for record in waiting {
            let mut line = record.to_line();
            line.push('\n');
            let _ = out.write_all(line.as_bytes());
        }
    }

    /// Writes records as they come, for ever.
    pub(crate) async fn keep_writing(&self) {
        loop {
            self.added.notified().await;
            self.flush();
        }
    }
}
