//! What holds for any bytes that are read as a log. The fuzz target and wire's tests share it.

use wire::log::{Entry, entries, split};

/// Checks a page that is cut at some byte.
pub(crate) fn check(page: &[u8], cut: usize) {
    let read = |page| entries(page).map(|entry| format!("{entry:?}")).collect::<Vec<_>>();
    let whole = read(page);

    // Words found in windows find what reading every line finds.
    let lines = split(page).0.split(|byte| *byte == b'\n');
    let line_by_line: Vec<_> =
        lines.filter_map(Entry::of_line).map(|entry| format!("{entry:?}")).collect();
    assert_eq!(whole, line_by_line);

    // Figures as large as a line can hold are no trouble.
    for entry in entries(page) {
        if let Entry::Report(report) = entry {
            let _ = (report.out_of_memory(), report.to_string());
        }
    }

    // What is cut off at the end takes nothing else with it.
    let (start, rest) = page.split_at(cut.min(page.len()));
    let before = read(start);
    assert!(whole.starts_with(&before), "{before:?} of {whole:?}");

    // Page by page, with what is left of each put before the next.
    let (lines, left) = split(start);
    let pages = [read(lines), read(&[left, rest].concat())].concat();
    assert_eq!(whole, pages);
}
