//! Streams of log lines that are cut, shuffled and glued: what is found in them was in them.

use proptest::prelude::*;
use proptest::sample::Index;
use wire::log::{Entry, entries};
use wire::record::{
    CallKind, CallOutcome, CallRecord, CallSite, InvocationRecord, RECORD_VERSION, Record,
};
use wire::report::{Report, ReportStatus, Restore};

#[path = "../../fuzz/invariants.rs"]
mod invariants;

/// A line, and the entry in it as its `Debug` has it.
#[derive(Clone, Debug)]
struct Line {
    text: String,
    entry: Option<String>,
}

fn id() -> impl Strategy<Value = String> {
    any::<u128>().prop_map(|id| {
        format!(
            "{:08x}-{:04x}-4000-9000-{:012x}",
            id >> 96,
            id & 0xffff,
            id >> 40 & 0xffff_ffff_ffff
        )
    })
}

fn report() -> impl Strategy<Value = Report> {
    let status = prop_oneof![
        3 => Just(ReportStatus::Success),
        1 => Just(ReportStatus::Timeout),
        1 => prop_oneof![Just("Runtime.OutOfMemory"), Just("Runtime.ExitError"), Just("Unknown")]
            .prop_map(|kind| ReportStatus::Error(kind.to_owned())),
    ];
    // Whole hundredths of milliseconds, as text has them.
    let time = || (0..90_000_000_u64).prop_map(|hundredths| hundredths * 10);
    let restore = (time(), proptest::option::of(0..1_000_u64))
        .prop_map(|(duration_us, billed_ms)| Restore { duration_us, billed_ms });
    let figures = (0..900_000_u64, 128..10_240_u32, 1..10_240_u32);
    (
        id(),
        time(),
        proptest::option::weighted(0.9, figures),
        proptest::option::of(time()),
        proptest::option::weighted(0.2, restore),
        status,
    )
        .prop_map(|(request_id, duration_us, figures, init_us, restore, status)| Report {
            request_id,
            duration_us,
            billed_ms: figures.map(|(billed_ms, ..)| billed_ms),
            memory_mb: figures.map(|(_, memory_mb, _)| memory_mb),
            max_memory_mb: figures.map(|(.., max_memory_mb)| max_memory_mb),
            init_us,
            restore,
            status,
        })
}

/// The ways in which the same report is written.
fn text_line() -> impl Strategy<Value = Line> {
    let before = prop_oneof![3 => Just(""), 1 => Just("50%"), 1 => Just("REPORT RequestId: cut\tDuration: 4")];
    let behind = prop_oneof![
        Just(""),
        Just("\t"),
        Just(" "),
        Just("\tXRAY TraceId: 1-2-3\tSegmentId: 4\tSampled: true"),
        Just("\nXRAY TraceId: 1-2-3\tSegmentId: 4\tSampled: true")
    ];
    (report(), any::<bool>(), any::<bool>(), before, behind).prop_map(
        |(report, spaces, init_first, before, behind)| {
            let mut text = report.to_string();
            if init_first && let Some(init) = text.split('\t').find(|part| part.starts_with("Init"))
            {
                let init = init.to_owned();
                text = text.replacen(&format!("\t{init}"), "", 1);
                text = text.replacen("\tDuration", &format!("\t{init}\tDuration"), 1);
            }
            if spaces {
                text = text.replace('\t', " ");
            }
            let entry = Some(format!("{:?}", Entry::Report(report)));
            Line { text: format!("{before}{text}{behind}"), entry }
        },
    )
}

fn json_line() -> impl Strategy<Value = Line> {
    let before = prop_oneof![3 => Just(""), 1 => Just("[Extension] {serving"), 1 => Just("{\"time\":\"t\",\"type\":\"platform.report\",\"record\":{\"requestId\":\"cut")];
    (report(), before, any::<bool>(), 0..3_u64).prop_map(|(report, before, floats, thousandths)| {
        let report = Report { duration_us: report.duration_us + thousandths, ..report };
        let number = |figure: u64| if floats { format!("{figure}.0") } else { figure.to_string() };
        let ms = |us: u64| format!("{}.{:03}", us / 1000, us % 1000);
        let mut metrics = vec![("durationMs", ms(report.duration_us))];
        metrics.extend(report.billed_ms.map(|it| ("billedDurationMs", number(it))));
        metrics.extend(report.memory_mb.map(|it| ("memorySizeMB", number(it.into()))));
        metrics.extend(report.max_memory_mb.map(|it| ("maxMemoryUsedMB", number(it.into()))));
        metrics.extend(report.init_us.map(|it| ("initDurationMs", ms(it))));
        metrics.extend(report.restore.map(|it| ("restoreDurationMs", ms(it.duration_us))));
        let billed_restore = report.restore.and_then(|it| it.billed_ms);
        metrics.extend(billed_restore.map(|it| ("billedRestoreDurationMs", number(it))));
        let metrics: Vec<_> =
            metrics.iter().map(|(name, number)| format!("\"{name}\": {number}")).collect();
        let status = match &report.status {
            ReportStatus::Success => "\"status\":\"success\"".to_owned(),
            ReportStatus::Timeout => "\"status\":\"timeout\"".to_owned(),
            ReportStatus::Error(kind) => format!("\"errorType\":\"{kind}\",\"status\":\"error\""),
        };
        let text = format!(
            "{before}{{\"time\":\"2026-01-01T00:00:00.000Z\",\"type\":\"platform.report\",\"record\":{{\"requestId\":\"{}\",\"metrics\":{{{}}},{status}}}}}",
            report.request_id,
            metrics.join(",")
        );
        Line { text, entry: Some(format!("{:?}", Entry::Report(report))) }
    })
}

fn record_line() -> impl Strategy<Value = Line> {
    let names = ("[a-zä\"-]{1,9}", id(), prop_oneof![Just(String::new()), id()]);
    (names, any::<[u64; 4]>(), any::<Option<u32>>(), any::<bool>()).prop_map(
        |((name, id, other), numbers, calls, call)| {
            let [start_us, duration_us, request_bytes, response_bytes] = numbers;
            let (v, trace, outcome) = (RECORD_VERSION, "1-2-3".to_owned(), CallOutcome::Ok);
            let record = if call {
                Record::Call(CallRecord {
                    v,
                    trace,
                    function: name.clone(),
                    caller: name.clone(),
                    caller_request: id,
                    callee: name,
                    callee_request: other,
                    kind: CallKind::Sync,
                    site: CallSite::Inline,
                    start_us,
                    duration_us,
                    outcome,
                    request_bytes,
                    response_bytes,
                    calls,
                    request_payload: None,
                    response_payload: None,
                })
            } else {
                Record::Invocation(InvocationRecord {
                    v,
                    trace,
                    function: name,
                    version: "1".to_owned(),
                    request: id,
                    start_us,
                    duration_us,
                    first: true,
                    outcome,
                    request_bytes,
                    response_bytes,
                    calls,
                    request_payload: None,
                    response_payload: None,
                })
            };
            Line { text: record.to_line(), entry: Some(format!("{record:?}")) }
        },
    )
}

/// Lines of the function's own, among them some that look like others.
fn other_line() -> impl Strategy<Value = Line> {
    let text = prop_oneof![
        "[a-z]{1,5} [a-z].{0,60}",
        ".{0,60}".prop_map(|text| format!("{{\"message\":{text:?}}}")),
        id().prop_map(|id| format!("START RequestId: {id} Version: $LATEST")),
        id().prop_map(|id| format!("END RequestId: {id}")),
        id().prop_map(|id| format!(
            "{{\"time\":\"t\",\"type\":\"platform.start\",\"record\":{{\"requestId\":\"{id}\"}}}}"
        )),
        Just("REPORT RequestId: ".to_owned()),
        Just("{\"time\":\"t\",\"type\":\"platform.report\",\"record\":{".to_owned()),
        Just("{\"fuseline\":\"call\",\"v\":1".to_owned()),
        Just("{\"level\":\"INFO\",\"message\":\"no \"JSON\"}".to_owned()),
    ];
    text.prop_map(|text| Line { text, entry: None })
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let line =
        prop_oneof![3 => text_line(), 3 => json_line(), 2 => record_line(), 3 => other_line()];
    proptest::collection::vec(line, 1..12)
}

fn page<'a>(lines: impl IntoIterator<Item = &'a Line>) -> String {
    lines.into_iter().map(|line| format!("{}\n", line.text)).collect()
}

fn read(page: impl AsRef<[u8]>) -> Vec<String> {
    entries(page.as_ref()).map(|entry| format!("{entry:?}")).collect()
}

fn written<'a>(lines: impl IntoIterator<Item = &'a Line>) -> Vec<String> {
    lines.into_iter().filter_map(|line| line.entry.clone()).collect()
}

/// Whether all of these were written, each at most as often as it was.
fn are_among(found: &[String], written: &[String]) -> bool {
    let count = |all: &[String], one: &String| all.iter().filter(|it| *it == one).count();
    found.iter().all(|one| count(found, one) <= count(written, one))
}

/// The start of a text that ends at a byte, or at the next character.
fn start_of(text: &str, at: Index) -> &str {
    let mut end = at.index(text.len() + 1);
    while !text.is_char_boundary(end) {
        end += 1;
    }
    &text[..end]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn everything_written_is_read_in_any_order(lines in lines().prop_shuffle()) {
        prop_assert_eq!(read(page(&lines)), written(&lines));
    }

    /// A part of a stream that starts and ends at any byte.
    #[test]
    fn a_cut_stream_lacks_only_what_was_cut(lines in lines(), from in any::<Index>(), length in any::<Index>()) {
        let page = page(&lines);
        let from = from.index(page.len() + 1);
        let to = from + length.index(page.len() - from + 1);
        let found = read(&page.as_bytes()[from..to]);
        let mut at = 0;
        let mut spans = lines.iter().map(|line| {
            let start = at;
            // The tracing part on a line of its own is not part of the report's.
            let end = start + line.text.find('\n').unwrap_or(line.text.len()) + 1;
            at += line.text.len() + 1;
            (start, end, line)
        });
        let spans: Vec<_> = spans.by_ref().collect();
        let whole = spans.iter().filter(|(start, end, _)| from <= *start && *end <= to);
        let whole = written(whole.map(|(.., line)| *line));
        // Of the line that the cut begins in, only what stood before its entry may be cut off.
        let first = spans.iter().find(|(start, end, _)| *start < from && from < *end && *end <= to);
        let first = first.and_then(|(.., line)| line.entry.clone());
        let with_first: Vec<_> = first.into_iter().chain(whole.iter().cloned()).collect();
        prop_assert!(found == whole || found == with_first, "{found:#?}\n{with_first:#?}");
    }

    /// Lines whose ends are lost together with the line end: the next line follows at once. (Only
    /// an error's type could take in a next line that is a single word.)
    #[test]
    fn glued_lines_give_what_was_written_or_nothing(lines in lines(), cuts in proptest::collection::vec(any::<Option<Index>>(), 12)) {
        let mut page = String::new();
        for (line, cut) in lines.iter().zip(&cuts) {
            match cut {
                Some(at) => page.push_str(start_of(&line.text, *at)),
                None => page.extend([line.text.as_str(), "\n"]),
            }
        }
        prop_assert!(are_among(&read(&page), &written(&lines)), "{page}");
    }

    /// Lines that lost their beginning, but for the line end.
    #[test]
    fn lines_without_their_beginnings(lines in lines(), cuts in proptest::collection::vec(any::<Index>(), 12)) {
        let mut page = Vec::new();
        for (line, cut) in lines.iter().zip(&cuts) {
            page.extend_from_slice(&line.text.as_bytes()[cut.index(line.text.len() + 1)..]);
            page.push(b'\n');
        }
        prop_assert!(are_among(&read(&page), &written(&lines)));
    }

    /// A line whose end was cut off and got a line end again cannot be told from a whole one. Its
    /// figures are right all the same; some are missing.
    #[test]
    fn no_figure_is_made_up_from_a_cut_line(report in report(), cut in any::<Index>(), spaces in any::<bool>()) {
        let line = report.to_string().replace('\t', if spaces { " " } else { "\t" });
        if let Some(read) = Report::parse(start_of(&line, cut)) {
            prop_assert_eq!(&read.request_id, &report.request_id);
            prop_assert_eq!(read.duration_us, report.duration_us);
            prop_assert!(read.billed_ms.is_none() || read.billed_ms == report.billed_ms);
            prop_assert!(read.memory_mb.is_none() || read.memory_mb == report.memory_mb);
            prop_assert!(read.max_memory_mb.is_none() || read.max_memory_mb == report.max_memory_mb);
            prop_assert!(read.init_us.is_none() || read.init_us == report.init_us);
            let restored = |restore: Option<Restore>| restore.map(|it| it.duration_us);
            prop_assert!(read.restore.is_none() || restored(read.restore) == restored(report.restore));
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in any::<Index>()) {
        invariants::check(&bytes, cut.index(bytes.len() + 1));
    }

    /// Lines of the log with anything in their middle.
    #[test]
    fn damaged_streams_are_read_without_a_panic(
        lines in lines(),
        at in any::<Index>(),
        length in 0..40_usize,
        instead in prop_oneof![proptest::collection::vec(any::<u8>(), 0..8), "[0-9\t\n{}\": .]{0,8}".prop_map(String::into_bytes)],
        cut in any::<Index>(),
    ) {
        let mut page = page(&lines).into_bytes();
        let at = at.index(page.len() + 1);
        page.splice(at..(at + length).min(page.len()), instead);
        invariants::check(&page, cut.index(page.len() + 1));
    }
}
