//! `REPORT` and `INIT_REPORT` as lines of text.
//!
//! Runtimes, emulators and consoles write the parts in different orders and with tabs or spaces
//! between them. What tells a whole line from a cut or glued one:
//!
//! * a number counts only with its unit behind it, and the unit only with a space or the end behind
//!   it, so `Billed Duration: 15` or `15 m` of what was `1542 ms` is nothing;
//! * behind the anchor stand parts and nothing else, each at most once;
//! * the figures that Lambda always writes together are all there, or none of them is.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::{InitReport, Report, ReportStatus, Restore, megabytes, whole};
use crate::log::find_last;

static REPORT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("REPORT RequestId:"));
static INIT_REPORT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("INIT_REPORT "));

/// The `REPORT` at the end of a line.
pub(super) fn report(line: &[u8]) -> Option<Report> {
    let (request_id, rest) = word(trim_start(behind_last(&REPORT, line)?))?;
    let parts = Parts::read(rest)?;
    let together = [parts.billed, parts.memory, parts.max_memory];
    let together = together.iter().flatten().count();
    // An emulator of Managed Instances writes the duration only.
    if !(together == 3 || together == 0 && !parts.unknown) {
        return None;
    }
    Some(Report {
        request_id: request_id.to_owned(),
        duration_us: parts.duration?,
        billed_ms: parts.billed.map(whole),
        memory_mb: megabytes(parts.memory).ok()?,
        max_memory_mb: megabytes(parts.max_memory).ok()?,
        init_us: parts.init,
        restore: match (parts.restore, parts.billed_restore) {
            (Some(duration_us), billed) => {
                Some(Restore { duration_us, billed_ms: billed.map(whole) })
            }
            (None, Some(_)) => return None,
            (None, None) => None,
        },
        status: parts.status()?,
    })
}

/// The `INIT_REPORT` at the end of a line.
pub(super) fn init_report(line: &[u8]) -> Option<InitReport> {
    let parts = Parts::read(behind_last(&INIT_REPORT, line)?)?;
    Some(InitReport {
        init_us: parts.init?,
        phase: parts.phase.map(str::to_owned),
        status: parts.status()?,
    })
}

/// The parts of a line behind its anchor; numbers in thousandths of their unit.
#[derive(Default)]
struct Parts<'a> {
    duration: Option<u64>,
    billed: Option<u64>,
    memory: Option<u64>,
    max_memory: Option<u64>,
    init: Option<u64>,
    restore: Option<u64>,
    billed_restore: Option<u64>,
    phase: Option<&'a str>,
    status: Option<&'a str>,
    error_type: Option<&'a str>,
    /// Read so that they are not taken for something else.
    tracing: [Option<&'a str>; 3],
    /// Whether there is a part that this version does not know.
    unknown: bool,
}

impl<'a> Parts<'a> {
    /// `None` if anything else than parts is there, or a part twice.
    fn read(mut rest: &'a [u8]) -> Option<Self> {
        let mut parts = Self::default();
        loop {
            let part = trim_start(rest);
            let behind_tab = rest[..rest.len() - part.len()].contains(&b'\t');
            if part.is_empty() {
                return Some(parts);
            }
            rest = match parts.known(part) {
                Some(taken) => taken?,
                None if behind_tab => {
                    parts.unknown = true;
                    skip_unknown(part)?
                }
                None => return None,
            };
        }
    }

    /// Takes a part with a known name: what stands behind it, `Some(None)` if it is damaged.
    /// `None` if its name is not known.
    fn known(&mut self, part: &'a [u8]) -> Option<Option<&'a [u8]>> {
        let [trace, segment, sampled] = &mut self.tracing;
        let (at, unit): (_, &[u8]) = match part {
            [b'D', ..] if named(part, b"Duration:") => (&mut self.duration, b"ms"),
            [b'B', ..] if named(part, b"Billed Duration:") => (&mut self.billed, b"ms"),
            [b'M', ..] if named(part, b"Memory Size:") => (&mut self.memory, b"MB"),
            [b'M', ..] if named(part, b"Max Memory Used:") => (&mut self.max_memory, b"MB"),
            [b'I', ..] if named(part, b"Init Duration:") => (&mut self.init, b"ms"),
            [b'R', ..] if named(part, b"Restore Duration:") => (&mut self.restore, b"ms"),
            [b'B', ..] if named(part, b"Billed Restore Duration:") => {
                (&mut self.billed_restore, b"ms")
            }
            _ => {
                let at = match part {
                    [b'S', ..] if named(part, b"Status:") => &mut self.status,
                    [b'E', ..] if named(part, b"Error Type:") => &mut self.error_type,
                    [b'P', ..] if named(part, b"Phase:") => &mut self.phase,
                    [b'X', ..] if named(part, b"XRAY TraceId:") => trace,
                    [b'S', ..] if named(part, b"SegmentId:") => segment,
                    [b'S', ..] if named(part, b"Sampled:") => sampled,
                    _ => return None,
                };
                return Some(once(at, value(part).and_then(word)));
            }
        };
        Some(once(at, value(part).and_then(|value| quantity(value, unit))))
    }

    fn status(&self) -> Option<ReportStatus> {
        ReportStatus::of(self.status, self.error_type)
    }
}

/// Notes a value, unless there is one: then the line is two that were glued together.
fn once<'a, T>(at: &mut Option<T>, value: Option<(T, &'a [u8])>) -> Option<&'a [u8]> {
    let (value, rest) = value?;
    at.replace(value).is_none().then_some(rest)
}

fn named(part: &[u8], name: &[u8]) -> bool {
    part.starts_with(name)
}

/// What stands behind the name of a part, and a space.
fn value(part: &[u8]) -> Option<&[u8]> {
    let value = &part[memchr::memchr(b':', part)? + 1..];
    value.first().filter(|byte| is_space(**byte)).map(|_| trim_start(value))
}

/// What stands behind a part whose name is not known. Lambda adds parts every few years; they will
/// look like those there are, `Some Words: value` between tabs, which a line that was glued to this
/// one hardly does.
fn skip_unknown(part: &[u8]) -> Option<&[u8]> {
    let (part, rest) = part.split_at(memchr::memchr(b'\t', part)?);
    let mut name = part[..memchr::memmem::find(part, b": ")?].split(|byte| *byte == b' ');
    let word = |word: &[u8]| match word {
        [first, rest @ ..] => first.is_ascii_uppercase() && rest.iter().all(u8::is_ascii_lowercase),
        [] => false,
    };
    name.all(word).then_some(rest)
}

/// A number in thousandths with its unit, and what stands behind it. A fourth decimal rounds.
fn quantity<'a>(text: &'a [u8], unit: &[u8]) -> Option<(u64, &'a [u8])> {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let integer = digits(text);
    let decimals = match text.get(integer) {
        Some(b'.') => digits(&text[integer + 1..]),
        _ => 0,
    };
    let written = if decimals == 0 { integer } else { integer + 1 + decimals };
    if !(1..=15).contains(&integer) {
        return None;
    }
    let fraction = &text[written - decimals..written];
    let digit = |byte: &u8| u64::from(byte - b'0');
    let mut thousandths = text[..integer].iter().fold(0, |sum, byte| sum * 10 + digit(byte));
    for at in 0..3 {
        thousandths = thousandths * 10 + fraction.get(at).map_or(0, digit);
    }
    thousandths += u64::from(fraction.get(3).is_some_and(|byte| *byte >= b'5'));
    let rest = trim_start(&text[written..]).strip_prefix(unit)?;
    ends_a_word(rest).then_some((thousandths, rest))
}

/// A word, and what stands behind it. No word has these characters; lines that are glued to one do.
fn word(text: &[u8]) -> Option<(&str, &[u8])> {
    let end = text.iter().position(|byte| is_space(*byte)).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    if word.iter().any(|byte| matches!(byte, b'{' | b'[' | b'"')) {
        return None;
    }
    Some((std::str::from_utf8(word).ok().filter(|word| !word.is_empty())?, rest))
}

/// What stands behind the last occurrence: what stands before that was cut off, and the next line
/// glued to it.
fn behind_last<'a>(anchor: &Finder<'_>, line: &'a [u8]) -> Option<&'a [u8]> {
    find_last(anchor, line).map(|at| &line[at + anchor.needle().len()..])
}

fn trim_start(text: &[u8]) -> &[u8] {
    &text[text.iter().position(|byte| !is_space(*byte)).unwrap_or(text.len())..]
}

fn ends_a_word(rest: &[u8]) -> bool {
    rest.first().is_none_or(|byte| is_space(*byte))
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}
