//! START lines: the platform writes one when it gives an invocation to a function, with the version that serves it.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;

use crate::log::{line_around, split};

static TEXT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("START RequestId: "));
static JSON: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"platform.start\""));

/// An invocation began.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Start<'a> {
    /// Request id of the invocation.
    pub request: &'a str,
    /// Published version that serves it, or `$LATEST`.
    pub version: &'a str,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    record: Record<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    request_id: &'a str,
    version: &'a str,
}

/// The starts that a page of a log tells of, in both formats. A last line without its line end is not read.
pub fn starts(page: &[u8]) -> impl Iterator<Item = Start<'_>> {
    let (page, _) = split(page);
    // Whole pages are searched, because most lines are somebody else's.
    let text = TEXT.find_iter(page).filter_map(|at| of_text(line(page, at)));
    let json = JSON.find_iter(page).filter_map(|at| of_json(line(page, at)));
    text.chain(json)
}

/// The whole line around a place in a page.
fn line(page: &[u8], at: usize) -> &str {
    let (from, to) = line_around(page, at);
    std::str::from_utf8(&page[from..to]).unwrap_or_default()
}

fn of_text(line: &str) -> Option<Start<'_>> {
    let mut words = line.trim().strip_prefix("START RequestId: ")?.split_whitespace();
    let (request, name, version) = (words.next()?, words.next()?, words.next()?);
    // What follows would be another line glued to this one.
    (name == "Version:" && words.next().is_none()).then_some(Start { request, version })
}

fn of_json(line: &str) -> Option<Start<'_>> {
    let line: Line<'_> = serde_json::from_str(line.trim()).ok()?;
    Some(Start { request: line.record.request_id, version: line.record.version })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_are_read_and_nothing_else() {
        let page = concat!(
            "START RequestId: 8f507cfc-xmpl-4697-b07a-ac58fc914c95 Version: $LATEST\n",
            "a line of the function's own\n",
            "{\"time\":\"2024-03-13T18:56:24.046Z\",\"type\":\"platform.start\",\"record\":{\"requestId\":\"b2\",\"version\":\"7\"}}\n",
            "{\"type\":\"platform.report\",\"record\":{\"requestId\":\"b2\"}}\n",
            "START RequestId: c3 Version: 4\tREPORT RequestId: c3\n",
            "START RequestId: d4 Versio\n",
            "START RequestId: e5 Version: 1",
        );
        let found: Vec<_> = starts(page.as_bytes()).map(|it| (it.request, it.version)).collect();
        assert_eq!(found, [("8f507cfc-xmpl-4697-b07a-ac58fc914c95", "$LATEST"), ("b2", "7")]);
    }
}
