//! What is ours to read in a log, found in whole pages of it.
//!
//! Most lines of a log are somebody else's. They are not even cut into lines: a page is searched for
//! the few words that every line of interest has, and only the lines around those are read. Nothing
//! is allocated for the others, and strings are borrowed from the page.
//!
//! A line counts only with its line end, so that a page may end anywhere: a report whose last part
//! is missing would otherwise look like one that never had it.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::record::{CallRecord, InvocationRecord, RECORD_START, Record};
use crate::report::{InitReport, JSON_TYPE, Report};
use crate::text::Text;

/// Bytes searched for all words before the next: they stay in the processor's cache meanwhile.
const WINDOW_BYTES: usize = 64 << 10;

/// What a line says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Entry<'a> {
    /// An invocation ended.
    Report(Report),
    /// An instance failed to start, or took too long.
    InitReport(InitReport),
    /// The runtime of this invocation was killed: before reports had a status, the only sign that
    /// memory ran out.
    Killed(&'a str),
    /// A task called another.
    Call(CallRecord<Text<'a>>),
    /// A supervisor served an invocation.
    Invocation(InvocationRecord<Text<'a>>),
}

/// How a line is read.
type Read = for<'a> fn(&'a [u8]) -> Option<Entry<'a>>;

/// The words, and how lines that have them are read.
static WORDS: LazyLock<[(Finder<'static>, Read); 4]> = LazyLock::new(|| {
    [
        (Finder::new(RECORD_START), record),
        (Finder::new("REPORT "), report),
        (Finder::new(JSON_TYPE), report),
        (Finder::new("signal: killed"), killed),
    ]
});

impl<'a> Entry<'a> {
    /// What a whole line says, with or without its line end, if it is ours to read.
    #[must_use]
    pub fn of_line(line: &'a [u8]) -> Option<Self> {
        WORDS.iter().filter(|(word, _)| word.find(line).is_some()).find_map(|(_, read)| read(line))
    }
}

/// Cuts a page behind its last whole line. What is left is the beginning of the next page.
#[must_use]
pub fn split(page: &[u8]) -> (&[u8], &[u8]) {
    page.split_at(memchr::memrchr(b'\n', page).map_or(0, |end| end + 1))
}

/// The entries of a page, in order. A last line without its line end is not read.
pub fn entries(page: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    let (mut page, _) = split(page);
    std::iter::from_fn(move || {
        let (window, rest) = page.split_at_checked(WINDOW_BYTES).unwrap_or((page, &[]));
        // The line that the window ends in belongs to it.
        let more = memchr::memchr(b'\n', rest).map_or(0, |end| end + 1);
        let window = &page[..window.len() + more];
        page = &page[window.len()..];
        (!window.is_empty()).then(|| Window::new(window))
    })
    .flatten()
}

/// Some whole lines.
struct Window<'a> {
    lines: &'a [u8],
    /// Where the first line starts that has not been read.
    from: usize,
    /// Where each of the words stands next.
    next: [usize; 4],
}

impl<'a> Window<'a> {
    fn new(lines: &'a [u8]) -> Self {
        let mut window = Self { lines, from: 0, next: [0; 4] };
        window.go_on(0);
        window
    }

    /// Goes on to a line.
    fn go_on(&mut self, from: usize) {
        self.from = from;
        for (next, (word, _)) in self.next.iter_mut().zip(&*WORDS) {
            if *next <= from {
                *next = word.find(&self.lines[from..]).map_or(usize::MAX, |at| from + at);
            }
        }
    }
}

impl<'a> Iterator for Window<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            let at = self.next.into_iter().min().filter(|at| *at < self.lines.len())?;
            let (start, end) = line_around(self.lines, at);
            let line = &self.lines[start..end];
            let words = self.next.iter().zip(&*WORDS).filter(|(next, _)| **next < end);
            let entry = words.map(|(_, (_, read))| read).find_map(|read| read(line));
            self.go_on((end + 1).min(self.lines.len()));
            if entry.is_some() {
                return entry;
            }
        }
    }
}

/// Where the line around a place begins and ends, without its line end.
pub(crate) fn line_around(lines: &[u8], at: usize) -> (usize, usize) {
    let start = memchr::memrchr(b'\n', &lines[..at]).map_or(0, |end| end + 1);
    let end = memchr::memchr(b'\n', &lines[at..]).map_or(lines.len(), |length| at + length);
    (start, end)
}

/// Where a word stands last. (Searching from the end is slower, and lines are short.)
pub(crate) fn find_last(word: &Finder<'_>, line: &[u8]) -> Option<usize> {
    let mut last = word.find(line)?;
    while let Some(further) = word.find(&line[last + 1..]) {
        last += 1 + further;
    }
    Some(last)
}

fn record(line: &[u8]) -> Option<Entry<'_>> {
    Record::parse_borrowed(line).map(|record| match record {
        Record::Call(call) => Entry::Call(call),
        Record::Invocation(invocation) => Entry::Invocation(invocation),
    })
}

fn report(line: &[u8]) -> Option<Entry<'_>> {
    let report = Report::parse_bytes(line).map(Entry::Report);
    report.or_else(|| InitReport::parse_bytes(line).map(Entry::InitReport))
}

fn killed(line: &[u8]) -> Option<Entry<'_>> {
    let line = std::str::from_utf8(line).ok()?;
    let before =
        line.trim_end().strip_suffix(" Error: Runtime exited with error: signal: killed")?;
    let (_, request) = before.rsplit_once("RequestId: ")?;
    (!request.is_empty() && !request.contains(' ')).then_some(Entry::Killed(request))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "REPORT RequestId: r\tDuration: 1.00 ms\tBilled Duration: 1 ms\tMemory Size: 128 MB\tMax Memory Used: 3 MB\tInit Duration: 2.00 ms";
    const KILLED: &str = "RequestId: r Error: Runtime exited with error: signal: killed";

    /// Request ids of reports, and what else there is.
    fn found(page: &str) -> Vec<String> {
        entries(page.as_bytes())
            .map(|entry| match entry {
                Entry::Report(report) => format!("report {}", report.request_id),
                Entry::InitReport(report) => format!("init {}", report.init_us),
                Entry::Killed(request) => format!("killed {request}"),
                Entry::Call(call) => format!("call {}", &*call.caller_request),
                Entry::Invocation(invocation) => format!("invocation {}", &*invocation.request),
            })
            .collect()
    }

    #[test]
    fn every_kind_of_entry_is_found_between_other_lines() {
        let call = r#"{"fuseline":"call","v":1,"trace":"","function":"a","caller":"a","caller_request":"r","callee":"\u0062","callee_request":"s","kind":"sync","site":"inline","start_us":1,"duration_us":2,"outcome":"ok","request_bytes":3,"response_bytes":4}"#;
        let served = r#"{"fuseline":"invocation","v":1,"trace":"","function":"a","version":"1","request":"r","start_us":1,"duration_us":2,"first":false,"outcome":"ok","request_bytes":3,"response_bytes":4}"#;
        let page = format!(
            "START RequestId: r Version: 1\nhello\n{call}\nREPORT of nothing\n\n{served}\n{KILLED}\nRuntime.ExitError\n{REPORT}\nINIT_REPORT Init Duration: 1.00 ms\n"
        );
        let all = ["call r", "invocation r", "killed r", "report r", "init 1000"];
        assert_eq!(found(&page), all);
        assert_eq!(found(&page.replace('\n', "\r\n")), all);
        let Some(Entry::Call(call)) = Entry::of_line(call.as_bytes()) else { panic!("{call}") };
        assert_eq!((&*call.callee, call.response_bytes), ("b", 4));
    }

    #[test]
    fn a_last_line_counts_only_with_its_line_end() {
        let without_init = REPORT.split("\tInit").next().unwrap();
        assert_eq!(found(&format!("{REPORT}\n{without_init}")), ["report r"]);
        assert_eq!(split(b"a\nb\nc"), (&b"a\nb\n"[..], &b"c"[..]));
        assert_eq!(split(b"a"), (&b""[..], &b"a"[..]));
    }

    #[test]
    fn windows_end_where_lines_do() {
        let line = format!("{}{REPORT}\n", "x".repeat(1000));
        let count = 3 * WINDOW_BYTES / line.len();
        assert_eq!(found(&line.repeat(count)).len(), count);
        let long = format!("{}{REPORT}\n", "x".repeat(2 * WINDOW_BYTES));
        assert_eq!(found(&format!("{long}{line}{long}")).len(), 3);
    }

    #[test]
    fn only_the_runtimes_own_end_is_a_kill() {
        for line in [
            "signal: killed",
            "RequestId: r Error: Runtime exited with error: signal: killed by me",
            "RequestId: r s Error: Runtime exited with error: signal: killed",
            "RequestId:  Error: Runtime exited with error: signal: killed",
        ] {
            assert_eq!(Entry::of_line(line.as_bytes()), None, "{line}");
        }
    }
}
