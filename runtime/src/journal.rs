//! Call records, written to standard output off the path of the calls they describe.

use std::collections::{HashMap, VecDeque};
use std::io::Write as _;
use std::sync::Mutex;

use tokio::sync::Notify;
use wire::record::{CallSite, Record};

/// Records that wait to be written.
#[derive(Default)]
pub(crate) struct Journal {
    pages: Mutex<Pages>,
    added: Notify,
}

#[derive(Default)]
struct Pages {
    waiting: VecDeque<Record>,
    /// Records of calls, by the request id they were made from, until that invocation is over.
    calls: HashMap<String, u32>,
}

impl Pages {
    /// Notes in the record that ends an invocation how many records of calls from it there are, so
    /// that a reader knows if one is missing.
    fn count(&mut self, record: &mut Record) {
        match record {
            Record::Call(call) => {
                *self.calls.entry(call.caller_request.clone()).or_default() += 1;
                if call.site == CallSite::Inline {
                    call.calls = Some(self.calls.remove(&call.callee_request).unwrap_or(0));
                }
            }
            Record::Invocation(invocation) => {
                invocation.calls = Some(self.calls.remove(&invocation.request).unwrap_or(0));
                // What goes on after the answer is not counted.
                self.calls.clear();
            }
        }
    }
}

/// More than this many records are written at once rather than kept.
const MAX_WAITING: usize = 256;

impl Journal {
    /// Takes a record. It is written when the tasks that are ready now, among them the one that
    /// sends the call's answer, have run.
    pub(crate) fn push(&self, mut record: Record) {
        let waiting = {
            let mut pages = self.pages.lock().expect("no holder panics");
            pages.count(&mut record);
            pages.waiting.push_back(record);
            pages.waiting.len()
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
        let waiting = std::mem::take(&mut self.pages.lock().expect("no holder panics").waiting);
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

#[cfg(test)]
mod tests {
    use wire::record::Record;

    use super::*;

    /// The records that were pushed, by what ends in them, with their numbers of calls.
    fn counts(lines: &[&str]) -> Vec<(String, Option<u32>)> {
        let journal = Journal::default();
        for line in lines {
            journal.push(Record::parse(line).expect("it is a record"));
        }
        let waiting = std::mem::take(&mut journal.pages.lock().unwrap().waiting);
        let count = |record| match record {
            Record::Call(call) => (call.callee_request, call.calls),
            Record::Invocation(invocation) => (invocation.request, invocation.calls),
        };
        waiting.into_iter().map(count).collect()
    }

    #[test]
    fn records_that_end_an_invocation_say_how_many_calls_there_were() {
        let call = |from: &str, to: &str, site: &str| {
            format!(
                r#"{{"fuseline":"call","v":1,"trace":"","function":"a","caller":"a","caller_request":"{from}","callee":"b","callee_request":"{to}","kind":"sync","site":"{site}","start_us":1,"duration_us":2,"outcome":"ok","request_bytes":3,"response_bytes":4}}"#
            )
        };
        let served = |request: &str| {
            format!(
                r#"{{"fuseline":"invocation","v":1,"trace":"","function":"a","version":"1","request":"{request}","start_us":1,"duration_us":2,"first":false,"outcome":"ok","request_bytes":3,"response_bytes":4}}"#
            )
        };
        let lines = [
            call("b1", "c1", "remote"),
            call("b1", "c2", "remote"),
            call("a1", "b1", "inline"),
            call("a1", "b2", "inline"),
            served("a1"),
            // What a1 still does later is not a2's.
            call("a1", "c3", "remote"),
            served("a2"),
        ];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let expect = [
            ("c1", None),
            ("c2", None),
            ("b1", Some(2)),
            ("b2", Some(0)),
            ("a1", Some(2)),
            ("c3", None),
            ("a2", Some(0)),
        ];
        assert_eq!(counts(&lines), expect.map(|(id, calls)| (id.to_owned(), calls)));
    }
}
