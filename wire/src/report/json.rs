//! `platform.report` as a line of JSON, which functions with the JSON log format get.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;

use super::{Report, ReportStatus, Restore, megabytes, whole};
use crate::log::find_last;

/// What tells such a line from others.
pub(crate) const TYPE: &str = "\"platform.report\"";

static TYPE_WORD: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(TYPE));
static EVENT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("{\"time\""));

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    record: Record<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    #[serde(borrow)]
    request_id: Cow<'a, str>,
    /// Missing in the oldest events.
    #[serde(borrow)]
    status: Option<Cow<'a, str>>,
    #[serde(borrow)]
    error_type: Option<Cow<'a, str>>,
    metrics: Metrics,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metrics {
    duration_ms: Thousandths,
    billed_duration_ms: Option<Thousandths>,
    #[serde(rename = "memorySizeMB")]
    memory_size_mb: Option<Thousandths>,
    #[serde(rename = "maxMemoryUsedMB")]
    max_memory_used_mb: Option<Thousandths>,
    init_duration_ms: Option<Thousandths>,
    restore_duration_ms: Option<Thousandths>,
    billed_restore_duration_ms: Option<Thousandths>,
}

/// A number in thousandths of its unit: emulators and collectors write integers with decimals.
#[derive(Deserialize)]
#[serde(try_from = "f64")]
struct Thousandths(u64);

impl TryFrom<f64> for Thousandths {
    type Error = &'static str;

    fn try_from(value: f64) -> Result<Self, Self::Error> {
        // Up to here every thousandth is a number of its own.
        let possible = (0.0..1e12).contains(&value);
        possible.then(|| Self((value * 1000.0).round() as u64)).ok_or("no such figure")
    }
}

/// The last `platform.report` in a line. Text may stand before it, which an extension printed
/// without a line end, and behind it.
pub(super) fn report(line: &[u8]) -> Option<Report> {
    let kind = find_last(&TYPE_WORD, line)?;
    let start = find_last(&EVENT, &line[..kind]).or_else(|| memchr::memchr(b'{', line))?;
    let mut json = serde_json::Deserializer::from_slice(&line[start..]);
    let Event { kind, record } = Event::deserialize(&mut json).ok()?;
    if kind != "platform.report" {
        return None;
    }
    let Record { request_id, status, error_type, metrics } = record;
    let us = |Thousandths(figure)| figure;
    let ms = |Thousandths(figure)| whole(figure);
    let mb = |figure: Option<Thousandths>| megabytes(figure.map(us)).ok();
    Some(Report {
        request_id: request_id.into_owned(),
        duration_us: us(metrics.duration_ms),
        billed_ms: metrics.billed_duration_ms.map(ms),
        memory_mb: mb(metrics.memory_size_mb)?,
        max_memory_mb: mb(metrics.max_memory_used_mb)?,
        init_us: metrics.init_duration_ms.map(us),
        restore: metrics.restore_duration_ms.map(|duration| Restore {
            duration_us: us(duration),
            billed_ms: metrics.billed_restore_duration_ms.map(ms),
        }),
        status: ReportStatus::of(status.as_deref(), error_type.as_deref())?,
    })
}
