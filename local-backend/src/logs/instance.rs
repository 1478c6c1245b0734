//! The log of one instance: its stream, and the end of it that `X-Amz-Log-Type: Tail` returns.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

use super::store::LogStore;
use crate::function::Version;

/// Bytes of the log that an invoke can ask for, as on Lambda.
const TAIL_BYTES: usize = 4_096;
/// Longest line, in bytes, as in CloudWatch; a longer one is split.
const MAX_LINE_BYTES: usize = 256 << 10;

/// Where the lines of one instance go.
#[derive(Debug)]
pub(crate) struct InstanceLog {
    store: Arc<LogStore>,
    group: String,
    stream: Arc<str>,
    tail: Mutex<VecDeque<u8>>,
}

impl InstanceLog {
    /// A new stream in the log group of a function.
    pub(crate) fn new(store: Arc<LogStore>, version: &Version) -> Self {
        let day = jiff::Timestamp::now().strftime("%Y/%m/%d");
        Self {
            store,
            group: format!("/aws/lambda/{}", version.function),
            stream: format!("{day}/[{}]{}", version.version, Uuid::new_v4().simple()).into(),
            tail: Mutex::default(),
        }
    }

    pub(crate) fn group(&self) -> &str {
        &self.group
    }

    pub(crate) fn stream(&self) -> &str {
        &self.stream
    }

    /// Adds a line, without its line end.
    pub(crate) fn line(&self, text: &str) {
        let message = format!("{text}\n");
        {
            let mut tail = self.tail.lock().expect("no holder of the tail panics");
            tail.extend(message.as_bytes());
            let excess = tail.len().saturating_sub(TAIL_BYTES);
            tail.drain(..excess);
        }
        self.store.append(&self.group, &self.stream, message);
    }

    /// Forgets the tail: a new invocation starts.
    pub(crate) fn clear_tail(&self) {
        self.tail.lock().expect("no holder of the tail panics").clear();
    }

    /// The tail in base64.
    pub(crate) fn tail(&self) -> String {
        let tail = self.tail.lock().expect("no holder of the tail panics");
        STANDARD.encode(tail.iter().copied().collect::<Vec<u8>>())
    }
}

/// Cuts what a function prints into lines.
#[derive(Debug)]
pub(crate) struct LineSplitter {
    log: Arc<InstanceLog>,
    partial: Vec<u8>,
}

impl LineSplitter {
    pub(crate) fn new(log: Arc<InstanceLog>) -> Self {
        Self { log, partial: Vec::new() }
    }

    /// Adds output; its complete lines go to the log.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(&bytes[..end]);
            self.flush();
            bytes = &bytes[end + 1..];
        }
        self.partial.extend_from_slice(bytes);
        if self.partial.len() >= MAX_LINE_BYTES {
            self.flush();
        }
    }

    /// Ends the line that is there: nothing more will come.
    pub(crate) fn flush(&mut self) {
        for piece in self.partial.chunks(MAX_LINE_BYTES) {
            self.log.line(String::from_utf8_lossy(piece).trim_end_matches('\r'));
        }
        self.partial.clear();
    }
}

impl Drop for LineSplitter {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::{Pattern, Query};

    fn lines(log: &InstanceLog) -> Vec<String> {
        let query = Query {
            from_ms: 0,
            to_ms: i64::MAX,
            streams: Vec::new(),
            stream_prefix: String::new(),
            pattern: Pattern::default(),
            from_sequence: 0,
            limit: 10_000,
        };
        let page = log.store.query(&log.group, &query).unwrap();
        page.events.into_iter().map(|event| event.message).collect()
    }

    fn log() -> Arc<InstanceLog> {
        Arc::new(InstanceLog {
            store: Arc::default(),
            group: "g".into(),
            stream: "s".into(),
            tail: Mutex::default(),
        })
    }

    #[test]
    fn output_is_cut_into_lines_however_it_comes() {
        let log = log();
        let mut splitter = LineSplitter::new(Arc::clone(&log));
        for piece in ["on", "e\ntwo\r\nth", "ree"] {
            splitter.push(piece.as_bytes());
        }
        assert_eq!(lines(&log), ["one\n", "two\n"]);
        drop(splitter);
        assert_eq!(lines(&log), ["one\n", "two\n", "three\n"]);
    }

    #[test]
    fn long_lines_are_split() {
        let log = log();
        LineSplitter::new(Arc::clone(&log)).push(&vec![b'x'; MAX_LINE_BYTES + 1]);
        assert_eq!(
            lines(&log).iter().map(String::len).collect::<Vec<_>>(),
            [MAX_LINE_BYTES + 1, 2]
        );
    }

    #[test]
    fn the_tail_is_the_end_of_the_log() {
        let log = log();
        log.line("before");
        log.clear_tail();
        log.line(&"x".repeat(TAIL_BYTES));
        log.line("REPORT");
        let tail = STANDARD.decode(log.tail()).unwrap();
        assert_eq!(tail.len(), TAIL_BYTES);
        assert!(tail.ends_with(b"x\nREPORT\n"));
    }
}
